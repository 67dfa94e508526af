/* SPDX-License-Identifier: Apache-2.0 */
/* Model + recipe -> shapes, lifetimes and byte offsets. Pure arithmetic: the same plan on every machine. */
#include "tp_base.h"
#include "tp_control.h"
#include "tp_state.h"

uint32_t tp_plan_bytes(uint32_t n_nodes) {
    if (n_nodes == 0 || n_nodes > TP_MAX_NODES) { return 0; }
    return (uint32_t)(sizeof(tp_plan) + (n_nodes - 1u) * sizeof(tp_plan_node));
}

static tp_shape tp_plan_shape_of(const tp_plan *plan, int32_t input) {
    return input == TP_INPUT ? plan->input : plan->node[input].out;
}

static uint32_t tp_plan_dtype_of(const tp_plan *plan, int32_t input) {
    return input == TP_INPUT ? plan->input_dtype : plan->node[input].dtype;
}

/* Types, scales and zeros of a node's inputs and output. */
static tp_status tp_plan_types(const tp_plan *plan, tp_plan_node *p, const tp_layer_ops *ops) {
    bool any = (ops->flags & TP_LAYER_ANY) != 0, same = (ops->flags & TP_LAYER_SAME) != 0 || any, scaled = p->node.scale != 0.0f;
    for (uint32_t slot = 0; slot < ops->inputs; slot++) {
        int32_t in = p->node.in[slot];
        uint32_t dtype = tp_plan_dtype_of(plan, in);
        bool bytes = in == TP_INPUT && dtype == TP_S8 && (ops->flags & TP_LAYER_INPUT_S8) != 0;
        if (!any && !bytes && dtype != ((ops->flags & TP_LAYER_X_S8) != 0 ? TP_S8 : TP_F32)) { return TP_E_MODEL; }
        if (in != TP_INPUT) { p->xq[slot] = plan->node[in].yq; }
    }
    p->dtype = any ? tp_plan_dtype_of(plan, p->node.in[0]) : (ops->flags & TP_LAYER_Y_S8) != 0 ? TP_S8 : TP_F32;
    p->yq = same ? p->xq[0] : (tp_quant){p->node.scale, p->node.zero};
    bool sane = p->yq.scale > 0.0f && tp_finite(p->yq.scale) && p->yq.zero >= -128 && p->yq.zero <= 127;
    if (scaled && (p->yq.scale != p->node.scale || p->yq.zero != p->node.zero)) { return TP_E_MODEL; }
    return p->dtype == TP_S8 ? (sane ? TP_OK : TP_E_MODEL) : scaled ? TP_E_MODEL : TP_OK;
}

/* How often node i is read; the output counts as read by the loss. */
static uint32_t tp_plan_readers(const tp_plan *plan, uint32_t i) {
    uint32_t readers = i + 1u == plan->n_nodes ? 1u : 0u;
    for (uint32_t j = i + 1; j < plan->n_nodes; j++) {
        for (uint32_t slot = 0; slot < 2; slot++) { readers += plan->node[j].node.in[slot] == (int32_t)i ? 1u : 0u; }
    }
    return readers;
}

/* --- graph --- */

static tp_status tp_plan_check_name(const tp_plan *plan, uint32_t i) {
    const char *name = plan->node[i].node.name;
    uint32_t length = 0;
    while (length < TP_NAME_BYTES && name[length] != 0) { length++; }
    if (length == 0 || length == TP_NAME_BYTES) { return TP_E_MODEL; }
    for (uint32_t j = 0; j < i; j++) {
        if (tp_text_equal(plan->node[j].node.name, name)) { return TP_E_MODEL; }
    }
    return TP_OK;
}

static tp_status tp_plan_shape(tp_plan *plan, uint32_t i) {
    tp_plan_node *p = &plan->node[i];
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    tp_status status = tp_plan_check_name(plan, i);
    if (status != TP_OK) { return status; }
    if (ops == NULL) { return tp_row_status(TP_LIST_LAYER, p->node.op, TP_E_MODEL); }
    for (uint32_t slot = 0; slot < 2; slot++) {
        int32_t in = p->node.in[slot];
        bool wanted = slot < ops->inputs;
        if (wanted ? (in < TP_INPUT || in >= (int32_t)i) : in != TP_NONE) { return TP_E_MODEL; }
    }
    p->in = tp_plan_shape_of(plan, p->node.in[0]);
    tp_shape in1 = ops->inputs > 1 ? tp_plan_shape_of(plan, p->node.in[1]) : p->in;
    status = tp_plan_types(plan, p, ops);
    if (status == TP_OK) { status = ops->shape(p, &in1); }
    if (status != TP_OK) { return status; }
    bool overflow = false;
    p->n_out = tp_mul(tp_mul(p->out.h, p->out.w, &overflow), p->out.c, &overflow);
    (void)tp_align_up(tp_mul(tp_mul(p->n_out, 4, &overflow), plan->options.samples, &overflow), TP_ALIGN, &overflow);
    if (overflow) { return TP_E_LIMIT; }
    if (p->n_out == 0) { return TP_E_SHAPE; }
    if (ops->plan != NULL) { ops->plan(p, &plan->options, &overflow); }
    p->layer = TP_NO_OFFSET;
    if ((ops->flags & TP_LAYER_WEIGHTS) != 0) {
        if (plan->n_layers == TP_MAX_LAYERS) { return TP_E_LIMIT; }
        p->layer = plan->n_layers++;
    }
    plan->macs_forward += p->macs_forward;
    return overflow ? TP_E_LIMIT : TP_OK;
}

/* Which nodes the backward pass visits, and which errors they must produce. */
static void tp_plan_backward(tp_plan *plan) {
    plan->first_trainable = plan->n_nodes;
    for (uint32_t i = 0; i < plan->n_nodes && plan->training != 0; i++) {
        tp_plan_node *p = &plan->node[i];
        p->trainable = p->rows > 0 && (p->node.flags & TP_FLAG_FROZEN) == 0 ? 1u : 0u;
        p->backward = p->trainable;
        for (uint32_t slot = 0; slot < 2; slot++) {
            int32_t in = p->node.in[slot];
            p->needs_dx[slot] = in >= 0 && plan->node[in].backward != 0 ? 1u : 0u;
            p->backward |= p->needs_dx[slot];
        }
        if (p->trainable != 0 && plan->first_trainable == plan->n_nodes) { plan->first_trainable = i; }
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        for (uint32_t slot = 0; slot < 2; slot++) {
            int32_t in = p->node.in[slot];
            if (p->needs_dx[slot] == 0) { continue; }
            p->adds_dx[slot] = slot == 1 && p->node.in[0] == in ? 1u : 0u;
            for (uint32_t j = i + 1; j < plan->n_nodes; j++) {
                if (plan->node[j].node.in[0] == in || plan->node[j].node.in[1] == in) { p->adds_dx[slot] = 1; }
            }
        }
    }
}

/* Rows to choose from (algorithm: auto is decided from the shape alone) and MACs of dense training. */
static void tp_plan_layers(tp_plan *plan, bool *overflow) {
    const tp_policy_params *params = &plan->recipe.policy_params;
    float zpow = 1.0f;
    for (uint32_t i = plan->n_nodes; i-- > 0;) {
        tp_plan_node *p = &plan->node[i];
        if (p->layer == TP_NO_OFFSET) { continue; }
        p->zpow = zpow;
        zpow = zpow * params->zeta;
        bool map = p->n_out != p->rows; /* more than one position: a convolution */
        bool wide = p->row_len >= 72;
        bool channel = params->select == TP_SELECT_CHANNEL || (params->select == TP_SELECT_AUTO && !wide);
        p->select = (map || p->tensor[0].rank == 4) && channel ? TP_SELECT_CHANNEL : TP_SELECT_ELEMENT;
        p->n_select = p->select == TP_SELECT_CHANNEL ? p->rows : p->n_out;
        p->macs_dw = p->trainable != 0 ? tp_mul(p->n_out, p->macs_row, overflow) : 0u;
        p->macs_dx = p->needs_dx[0] != 0 ? tp_mul(p->n_out, p->macs_row, overflow) : 0u;
        if (p->backward == 0) { continue; }
        plan->macs_backward += (uint64_t)p->macs_dw + p->macs_dx;
    }
}

/* --- activations and errors: lifetimes, shared buffers, first fit --- */

/* Times: forward of node i is i, the loss n, backward of node i is 2n - i; the output lives to the end. */
static void tp_plan_lifetime_act(tp_plan *plan, uint32_t i) {
    tp_plan_node *p = &plan->node[i];
    uint32_t n = plan->n_nodes;
    p->act_from = i;
    p->act_to = i + 1u == n ? 2u * n + 1u : i;
    uint32_t end = plan->options.samples > 1 ? 2u * n + 1u : 0u; /* gradients come after all errors (tp_backward.c) */
    if (p->backward != 0 && (tp_layer_find(p->node.op)->flags & TP_LAYER_NEEDS_Y) != 0) { p->act_to = tp_max_u32(p->act_to, tp_max_u32(end, 2u * n - i)); }
    for (uint32_t j = i + 1; j < n; j++) {
        const tp_plan_node *reader = &plan->node[j];
        if (reader->node.in[0] != (int32_t)i && reader->node.in[1] != (int32_t)i) { continue; }
        uint32_t flags = tp_layer_find(reader->node.op)->flags;
        bool later = reader->backward != 0 && ((flags & TP_LAYER_NEEDS_X) != 0 || ((flags & TP_LAYER_X_IF_TRAINED) != 0 && reader->trainable != 0));
        p->act_to = tp_max_u32(p->act_to, later ? tp_max_u32(end, 2u * n - j) : j);
    }
}

static void tp_plan_lifetime_err(tp_plan *plan, uint32_t i) {
    tp_plan_node *p = &plan->node[i];
    uint32_t n = plan->n_nodes;
    p->err_from = n;
    for (uint32_t j = n; j-- > i + 1;) {
        if (plan->node[j].node.in[0] == (int32_t)i || plan->node[j].node.in[1] == (int32_t)i) {
            p->err_from = 2u * n - j;
            break;
        }
    }
    p->err_to = plan->options.samples > 1 && p->trainable != 0 ? 2u * n + 1u : 2u * n - i;
}

/* Does any node that shares this buffer need its own output later? Then nobody may write over it. */
static bool tp_plan_output_needed(const tp_plan *plan, uint32_t owner, uint32_t last) {
    for (uint32_t j = owner; j <= last; j++) {
        const tp_plan_node *q = &plan->node[j];
        if (q->act_owner == owner && q->backward != 0 && (tp_layer_find(q->node.op)->flags & TP_LAYER_NEEDS_Y) != 0) { return true; }
    }
    return false;
}

static void tp_plan_share(tp_plan *plan) {
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        uint32_t flags = tp_layer_find(p->node.op)->flags;
        int32_t in = p->node.in[0];
        p->act = p->err = TP_NO_OFFSET;
        p->act_owner = p->err_owner = i;
        tp_plan_lifetime_act(plan, i);
        tp_plan_lifetime_err(plan, i);
        bool bytes = plan->input_dtype == TP_S8 && (flags & TP_LAYER_INPUT_S8) != 0;
        if (in == TP_INPUT && ((flags & TP_LAYER_VIEW) != 0 || bytes)) { p->act = TP_ACT_INPUT; }
        if (in < 0 || (flags & (TP_LAYER_VIEW | TP_LAYER_IN_PLACE)) == 0 || tp_plan_readers(plan, (uint32_t)in) != 1) { continue; }
        tp_plan_node *before = &plan->node[in];
        bool view = (flags & TP_LAYER_VIEW) != 0;
        if (before->act == TP_ACT_INPUT) {
            if (view) { p->act = TP_ACT_INPUT; }
        } else if (view || !tp_plan_output_needed(plan, before->act_owner, (uint32_t)in)) {
            p->act_owner = before->act_owner;
            tp_plan_node *owner = &plan->node[p->act_owner];
            owner->act_to = tp_max_u32(owner->act_to, p->act_to);
        }
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++) { /* a clamp in place behind an op that clamps anyway */
        tp_plan_node *p = &plan->node[i];
        int32_t in = p->node.in[0];
        if ((tp_layer_find(p->node.op)->flags & TP_LAYER_CLAMPS) == 0 || p->act_owner == i || in < 0) { continue; }
        tp_plan_node *before = &plan->node[in];
        if ((tp_layer_find(before->node.op)->flags & TP_LAYER_CLAMPED) == 0) { continue; }
        before->fixed[0] = p->fixed[0];
        before->fixed[1] = p->fixed[1];
        p->folded = 1;
    }
    /* the error of an in-place node's input takes over the buffer of its own error, so owners are the later nodes */
    for (uint32_t i = plan->n_nodes; i-- > 0;) {
        const tp_plan_node *p = &plan->node[i];
        int32_t in = p->node.in[0];
        if (in < 0 || (tp_layer_find(p->node.op)->flags & TP_LAYER_IN_PLACE) == 0 || tp_plan_readers(plan, (uint32_t)in) != 1) { continue; }
        tp_plan_node *before = &plan->node[in], *owner = &plan->node[p->err_owner];
        if (before->backward == 0) { continue; }
        before->err_owner = p->err_owner;
        owner->err_to = tp_max_u32(owner->err_to, before->err_to);
    }
}

/* One buffer of the activation region; kind 0: activation, 1: error. */
typedef struct tp_buffer {
    uint32_t *at;
    uint32_t bytes, from, to;
} tp_buffer;

/* Bytes of that many elements of every sample worked on together. */
static uint32_t tp_plan_elements(const tp_plan *plan, uint32_t n, uint32_t dtype, bool *overflow) {
    return tp_align_up(tp_mul(tp_mul(n, tp_dtype_bytes(dtype), overflow), plan->options.samples, overflow), TP_ALIGN, overflow);
}

/* Buffer number b of the plan (2 a node); false: shared, or never needed. */
static bool tp_plan_buffer(tp_plan *plan, uint32_t b, tp_buffer *out) {
    tp_plan_node *p = &plan->node[b / 2u];
    bool overflow = false;
    out->bytes = tp_plan_elements(plan, p->n_out, (b & 1u) == 0 ? p->dtype : (uint32_t)TP_F32, &overflow); /* errors are floats */
    if ((b & 1u) == 0) {
        *out = (tp_buffer){&p->act, out->bytes, p->act_from, p->act_to};
        return p->act != TP_ACT_INPUT && p->act_owner == b / 2u;
    }
    *out = (tp_buffer){&p->err, out->bytes, p->err_from, p->err_to};
    return p->backward != 0 && p->err_owner == b / 2u;
}

/* Lowest offset where `want` meets no placed buffer that lives at the same time. Ends at the first overflow: offsets that
 * wrap could move for ever. */
static uint32_t tp_plan_fit(tp_plan *plan, const tp_buffer *want, bool *overflow) {
    uint32_t at = 0;
    for (bool moved = true; moved && !*overflow;) {
        moved = false;
        for (uint32_t b = 0; b < 2u * plan->n_nodes; b++) {
            tp_buffer other;
            if (!tp_plan_buffer(plan, b, &other) || *other.at == TP_NO_OFFSET) { continue; }
            bool together = other.from <= want->to && want->from <= other.to;
            if (together && *other.at < tp_sum(at, want->bytes, overflow) && at < *other.at + other.bytes) {
                at = *other.at + other.bytes;
                moved = true;
            }
        }
    }
    return at;
}

/* Largest buffers first: a good packing of lifetimes, and deterministic. */
static void tp_plan_place(tp_plan *plan, bool *overflow) {
    for (;;) {
        tp_buffer best = {NULL, 0, 0, 0}, b;
        for (uint32_t i = 0; i < 2u * plan->n_nodes; i++) {
            if (tp_plan_buffer(plan, i, &b) && *b.at == TP_NO_OFFSET && b.bytes > best.bytes) { best = b; }
        }
        if (best.at == NULL) { break; }
        uint32_t at = tp_plan_fit(plan, &best, overflow);
        *best.at = at;
        plan->acts_bytes = tp_max_u32(plan->acts_bytes, tp_sum(at, best.bytes, overflow));
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++) { /* sharers take their owner's place */
        tp_plan_node *p = &plan->node[i];
        if (p->act == TP_NO_OFFSET) { p->act = plan->node[p->act_owner].act; }
    }
    for (uint32_t i = plan->n_nodes; i-- > 0;) {
        tp_plan_node *p = &plan->node[i];
        if (p->backward != 0) { p->err = plan->node[p->err_owner].err; }
    }
}

/* --- regions --- */

static void tp_plan_parameters(tp_plan *plan, uint32_t *at, bool *overflow) {
    plan->params_at = *at;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        for (uint32_t t = 0; t < p->n_tensors; t++) {
            p->tensor[t].offset = *at;
            *at = tp_align_up(tp_sum(*at, p->tensor[t].bytes, overflow), TP_ALIGN, overflow);
            bool constant = p->layer != TP_NO_OFFSET && t > 1; /* scales of int8 */
            plan->n_params += constant ? 0u : p->tensor[t].bytes / tp_dtype_bytes(p->tensor[t].dtype);
        }
    }
    plan->params_bytes = *at - plan->params_at;
}

static uint32_t tp_plan_bias(const tp_plan_node *p) {
    return p->layer != TP_NO_OFFSET && p->n_tensors > 1 ? p->rows : 0u;
}

/* Bytes of the policy state of the net and of all its layers. */
static uint32_t tp_plan_policy_bytes(const tp_plan *plan) {
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    return (policy->net_words + policy->layer_words * plan->n_layers) * 4u;
}

static void tp_plan_state(tp_plan *plan, uint32_t *at, bool *overflow) {
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    const tp_optim_ops *optim = tp_optim_find(plan->recipe.optimizer);
    plan->state_at = *at;
    *at = tp_sum(*at, (uint32_t)sizeof(tp_state), overflow);
    plan->policy_at = *at;
    *at = tp_sum(*at, policy->net_words * 4u, overflow);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        p->optim = p->grad = p->touched = p->policy = TP_NO_OFFSET;
        if (p->layer != TP_NO_OFFSET) {
            p->policy = *at;
            *at = tp_sum(*at, policy->layer_words * 4u, overflow);
        }
        if (p->trainable != 0 && optim->words != NULL) {
            p->optim = *at;
            uint32_t words = optim->words(p->rows, p->row_len, tp_plan_bias(p), overflow);
            *at = tp_sum(*at, tp_mul(words, 4, overflow), overflow);
        }
        const tp_layer_ops *ops = tp_layer_find(p->node.op);
        if (p->trainable != 0 && ops->state_words != NULL) {
            p->optim = *at;
            *at = tp_sum(*at, tp_mul(ops->state_words(plan, p), 4, overflow), overflow);
        }
    }
    plan->state_bytes = *at - plan->state_at;
    /* no state, but small: in the gap before the next region */
    plan->outcome_at = *at;
    *at = tp_sum(*at, plan->options.samples * 2u * (uint32_t)sizeof(float), overflow);
    plan->undo_at = *at;
    *at = tp_align_up(tp_sum(*at, plan->recipe.batch > 1 ? tp_plan_policy_bytes(plan) : 0u, overflow), TP_ALIGN, overflow);
}

/* Batch > 1: gradient rows, the bias gradient behind them, and one mark a row (one more for the bias). */
static void tp_plan_gradients(tp_plan *plan, uint32_t *at, bool *overflow) {
    plan->grad_at = *at;
    for (uint32_t i = 0; i < plan->n_nodes && plan->recipe.batch > 1; i++) {
        tp_plan_node *p = &plan->node[i];
        if (p->trainable == 0) { continue; }
        p->grad = *at;
        uint32_t elements = tp_sum(tp_mul(p->rows, p->row_len, overflow), tp_plan_bias(p), overflow);
        *at = tp_sum(*at, tp_mul(elements, 4, overflow), overflow);
        p->touched = *at;
        *at = tp_align_up(tp_sum(*at, p->rows + 1u, overflow), TP_ALIGN, overflow);
    }
    plan->grad_bytes = *at - plan->grad_at;
}

/* Scratch of one node: for every thread what the op wants and what choosing and updating rows want (tp_select.c,
 * tp_update.c), then, for all of them, where errors to be added are computed first. */
static void tp_plan_scratch(tp_plan *plan, bool *overflow) {
    bool direct = tp_optim_find(plan->recipe.optimizer)->plain && plan->recipe.weight_decay == 0.0f;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        const tp_layer_ops *ops = tp_layer_find(p->node.op);
        uint32_t own = p->scratch;
        if (p->trainable != 0) {
            bool at_once = direct && p->layer != TP_NO_OFFSET && ops->update == NULL && (ops->fused != NULL || plan->options.packing != 0);
            uint32_t rows = plan->recipe.batch == 1 && !at_once ? tp_plan_gradient_block(plan, p) : 0u;
            own = tp_sum(own, tp_plan_marks(p, overflow), overflow);
            own = tp_sum(own, tp_mul(tp_mul(rows, p->row_len, overflow), 4, overflow), overflow);
        }
        if (p->backward != 0 && p->layer != TP_NO_OFFSET) {
            own = tp_max_u32(own, tp_mul(p->select == TP_SELECT_CHANNEL ? tp_mul(p->rows, 2, overflow) : p->rows, 4, overflow));
        }
        p->scratch = tp_align_up(own, TP_ALIGN, overflow);
        uint32_t end = tp_mul(p->scratch, plan->options.threads, overflow);
        for (uint32_t slot = 0; slot < 2; slot++) {
            if (p->adds_dx[slot] != 0) { end = tp_sum(end, tp_plan_elements(plan, plan->node[p->node.in[slot]].n_out, TP_F32, overflow), overflow); }
        }
        plan->scratch_bytes = tp_max_u32(plan->scratch_bytes, end);
    }
}

static tp_status tp_plan_regions(tp_plan *plan) {
    bool overflow = false;
    uint32_t at = 0;
    tp_plan_parameters(plan, &at, &overflow);
    if (plan->training != 0) {
        tp_plan_state(plan, &at, &overflow);
        tp_plan_gradients(plan, &at, &overflow);
    }
    tp_plan_share(plan);
    tp_plan_place(plan, &overflow);
    plan->acts_at = at;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        if (p->act != TP_ACT_INPUT) { p->act = tp_sum(p->act, at, &overflow); }
        if (p->err != TP_NO_OFFSET) { p->err = tp_sum(p->err, at, &overflow); }
    }
    at = tp_sum(at, plan->acts_bytes, &overflow);
    tp_plan_scratch(plan, &overflow);
    plan->scratch_at = at;
    plan->arena_bytes = tp_sum(at, plan->scratch_bytes, &overflow);
    return overflow ? TP_E_LIMIT : TP_OK;
}

static tp_status tp_plan_model(tp_plan *plan, const tp_model *model, uint32_t *where) {
    const tp_shape *in = &model->input;
    bool overflow = false;
    uint32_t n_in = tp_mul(tp_mul(in->h, in->w, &overflow), in->c, &overflow);
    bool ranked = in->rank >= 1 && in->rank <= 3 && (in->rank == 3 || in->h == 1) && (in->rank >= 2 || in->w == 1);
    if (overflow || tp_mul(n_in, 4, &overflow) == 0 || overflow || !ranked) { return TP_E_SHAPE; }
    if (model->input_dtype != TP_F32 && model->input_dtype != TP_S8) { return TP_E_MODEL; }
    if (tp_loss_find(model->loss) == NULL) { return tp_row_status(TP_LIST_LOSS, model->loss, TP_E_MODEL); }
    plan->input = *in;
    plan->n_in = n_in;
    plan->input_dtype = model->input_dtype;
    plan->loss = model->loss;
    for (uint32_t i = 0; i < model->n_nodes; i++) {
        *where = i;
        plan->node[i].node = model->nodes[i];
        tp_status status = tp_plan_shape(plan, i);
        if (status != TP_OK) { return status; }
    }
    for (uint32_t i = 0; i < model->n_nodes; i++) { /* every result but the last must be used */
        *where = i;
        if (tp_plan_readers(plan, i) == 0) { return TP_E_MODEL; }
    }
    *where = model->n_nodes;
    plan->n_out = plan->node[model->n_nodes - 1u].n_out;
    return plan->node[model->n_nodes - 1u].dtype == TP_F32 ? TP_OK : TP_E_MODEL; /* losses are of floats: dequantize */
}

/* What trains without float weights knows plain SGD only. */
static bool tp_plan_optimizer_ok(const tp_plan *plan) {
    bool plain = tp_optim_find(plan->recipe.optimizer)->plain, ok = true;
    for (uint32_t i = 0; i < plan->n_nodes; i++) { ok = ok && (plain || plan->node[i].trainable == 0 || tp_layer_find(plan->node[i].node.op)->update == NULL); }
    return ok;
}

static bool tp_plan_options_ok(const tp_plan_options *o) {
    return o->samples >= 1 && o->samples <= TP_MAX_SAMPLES && o->threads >= 1 && o->threads <= TP_MAX_THREADS && o->packing <= 1;
}

static TP_COLD TP_NOINLINE tp_status tp_plan_make_checked(const tp_model *model, const tp_recipe *recipe, const tp_plan_options *options,
                                                  tp_plan *plan, uint32_t bytes, uint32_t *where) {
    if (model == NULL || plan == NULL || model->nodes == NULL || options == NULL || !tp_plan_options_ok(options)) { return TP_E_ARG; }
    *where = model->n_nodes;
    if (model->n_nodes == 0) { return TP_E_MODEL; }
    if (model->n_nodes > TP_MAX_NODES) { return TP_E_LIMIT; }
    if (bytes < tp_plan_bytes(model->n_nodes)) { return TP_E_BUFFER; }
    TP_MEMSET(plan, 0, tp_plan_bytes(model->n_nodes));
    plan->n_nodes = model->n_nodes;
    plan->training = recipe != NULL ? 1u : 0u;
    plan->recipe = recipe != NULL ? *recipe : tp_recipe_default();
    plan->source_version = TP_VERSION_MAJOR << 16 | TP_VERSION_MINOR << 8 | TP_VERSION_PATCH;
    plan->bytes = tp_plan_bytes(model->n_nodes);
    plan->options = *options;
    tp_status status = tp_plan_model(plan, model, where);
    if (status != TP_OK) { return status; }
    const tp_loss_ops *loss = tp_loss_find(plan->loss);
    plan->alpha_bound = loss->bound != NULL ? loss->bound(plan->n_out) : 0.0f;
    if (loss->labels && plan->n_out < 2) { return TP_E_SHAPE; }
    if (recipe != NULL) {
        status = tp_recipe_check(recipe, plan->alpha_bound, &plan->warnings);
        if (status != TP_OK) { return status; }
        plan->theta = tp_recipe_theta(&recipe->policy_params);
    }
    bool overflow = false;
    tp_plan_backward(plan);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        *where = i;
        if ((plan->node[i].needs_dx[0] | plan->node[i].needs_dx[1]) != 0 && tp_layer_find(plan->node[i].node.op)->errors == NULL) { return TP_E_MODEL; }
    }
    *where = plan->n_nodes;
    if (recipe != NULL && !tp_plan_optimizer_ok(plan)) { return TP_E_RECIPE; }
    tp_plan_layers(plan, &overflow);
    return overflow ? TP_E_LIMIT : tp_plan_regions(plan);
}

tp_status tp_plan_make_with(const tp_model *model, const tp_recipe *recipe, const tp_plan_options *options, tp_plan *plan,
                            uint32_t bytes, uint32_t *where) {
    uint32_t place = 0;
    tp_control control = tp_control_enter(TP_NUMERICS_IEEE);
    tp_status status = tp_plan_make_checked(model, recipe, options, plan, bytes, where != NULL ? where : &place);
    tp_control_leave(control);
    return status;
}

tp_status tp_plan_make(const tp_model *model, const tp_recipe *recipe, tp_plan *plan, uint32_t bytes, uint32_t *where) {
    static const tp_plan_options smallest = {1, 1, 0};
    return tp_plan_make_with(model, recipe, &smallest, plan, bytes, where);
}
