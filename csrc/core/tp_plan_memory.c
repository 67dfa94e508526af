/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of a plan: where parameters, state, activations, errors and scratch lie in the arena, from shapes and graph. */
#include "tp_base.h"
#include "tp_state.h"

/* How often node i is read; the output counts as read by the loss. */
static TP_COLD uint32_t tp_plan_readers(const tp_plan *plan, uint32_t i) {
    uint32_t readers = i + 1u == plan->n_nodes ? 1u : 0u;
    for (uint32_t j = i + 1; j < plan->n_nodes; j++) {
        for (uint32_t slot = 0; slot < 2; slot++) { readers += plan->node[j].node.in[slot] == (int32_t)i ? 1u : 0u; }
    }
    return readers;
}

/* --- activations and errors: lifetimes, shared buffers, first fit --- */

/* Times: forward of node i is i, the loss n, backward of node i is 2n - i; the output lives to the end. */
static void tp_plan_lifetime_act(tp_plan *plan, uint32_t i) {
    tp_plan_node *p = &plan->node[i];
    uint32_t n = plan->n_nodes;
    p->act_from = i;
    p->act_to = i + 1u == n ? 2u * n + 1u : i;
    uint32_t end = tp_plan_late(plan) ? 2u * n + 1u : 0u;
    if (p->backward != 0 && (tp_layer_find(p->node.op)->flags & TP_LAYER_NEEDS_Y) != 0) { p->act_to = tp_max_u32(p->act_to, tp_max_u32(end, 2u * n - i)); }
    for (uint32_t j = i + 1; j < n; j++) {
        const tp_plan_node *reader = &plan->node[j];
        if (reader->node.in[0] != (int32_t)i && reader->node.in[1] != (int32_t)i) { continue; }
        uint32_t flags = tp_layer_find(reader->node.op)->flags;
        bool later = reader->backward != 0 && ((flags & TP_LAYER_NEEDS_X) != 0 || ((flags & TP_LAYER_X_IF_TRAINED) != 0 && tp_trains_weights(reader)));
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
    p->err_to = tp_plan_late(plan) && tp_trains_weights(p) ? 2u * n + 1u : 2u * n - i;
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
    for (uint32_t i = 0; TP_WITH(LAYER, clamp_s8) && i < plan->n_nodes; i++) { /* a clamp in place behind an op that clamps anyway */
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
static TP_COLD uint32_t tp_plan_elements(const tp_plan *plan, uint32_t n, uint32_t dtype, bool *overflow) {
    return tp_align_up(tp_mul(tp_mul(n, tp_dtype_bytes(dtype), overflow), plan->options.samples, overflow), TP_ALIGN, overflow);
}

/* Buffer number b of the plan (2 a node); false: shared, or never needed. */
static TP_COLD bool tp_plan_buffer(tp_plan *plan, uint32_t b, tp_buffer *out) {
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
    uint32_t in_blob = 0;
    plan->params_at = *at;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        p->flash = plan->options.flash != 0 && p->trainable == 0 && p->n_tensors > 0 ? 1u : 0u;
        if (TP_WITH(PART, bias_only) && plan->options.flash != 0 && p->trainable == TP_TRAINS_BIAS) { p->flash = 2u; }
        for (uint32_t t = 0; t < p->n_tensors; t++) {
            bool in_flash = tp_in_flash(p, t);
            p->tensor[t].offset = in_flash ? in_blob : *at;
            in_blob = tp_align_up(tp_sum(in_blob, p->tensor[t].bytes, overflow), TP_WEIGHTS_ALIGN, overflow);
            if (!in_flash) { *at = tp_align_up(tp_sum(*at, p->tensor[t].bytes, overflow), TP_ALIGN, overflow); }
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
    uint32_t words = tp_policy_net_words(plan);
    for (uint32_t i = 0; i < plan->n_nodes; i++) { words += plan->node[i].layer != TP_NO_OFFSET ? tp_policy_layer_words(plan, &plan->node[i]) : 0u; }
    return words * 4u;
}

static void tp_plan_state(tp_plan *plan, uint32_t *at, bool *overflow) {
    const tp_optim_ops *optim = tp_optim_find(plan->recipe.optimizer);
    plan->state_at = *at;
    *at = tp_sum(*at, (uint32_t)sizeof(tp_state), overflow);
    plan->policy_at = *at;
    *at = tp_sum(*at, tp_policy_net_words(plan) * 4u, overflow);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        p->optim = p->grad = p->touched = p->policy = TP_NO_OFFSET;
        if (p->layer != TP_NO_OFFSET) {
            p->policy = *at;
            *at = tp_sum(*at, tp_policy_layer_words(plan, p) * 4u, overflow);
        }
        if (p->trainable != 0 && optim->words != NULL) {
            p->optim = *at;
            uint32_t words = optim->words(p->rows, tp_trains_weights(p) ? p->row_len : 0u, tp_plan_bias(p), overflow);
            *at = tp_sum(*at, tp_mul(words, 4, overflow), overflow);
        }
        const tp_layer_ops *ops = tp_layer_find(p->node.op);
        if (tp_trains_weights(p) && ops->state_words != NULL) {
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
        uint32_t elements = tp_sum(tp_trains_weights(p) ? tp_mul(p->rows, p->row_len, overflow) : 0u, tp_plan_bias(p), overflow);
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
        if (tp_trains_weights(p)) {
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

/* Forward scratch of int8 convolutions costs nothing: it lies where no activation does at that time, or there is none. Only without
 * `packing`, which has scratch for everything, and with one thread, since it is there once. */
static void tp_plan_rooms(tp_plan *plan, bool *overflow) {
    uint32_t most = tp_sum(plan->acts_bytes, plan->scratch_bytes, overflow);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        tp_buffer want = {NULL, p->room, i, i};
        p->room = 0;
        if (want.bytes == 0 || want.bytes > most || plan->options.packing != 0 || plan->options.threads > 1) { continue; }
        uint32_t at = tp_plan_fit(plan, &want, overflow);
        if (at <= most - want.bytes) { p->room = plan->acts_at + at; }
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
    tp_plan_scratch(plan, &overflow);
    plan->acts_at = at;
    tp_plan_rooms(plan, &overflow);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        if (p->act != TP_ACT_INPUT) { p->act = tp_sum(p->act, at, &overflow); }
        if (p->err != TP_NO_OFFSET) { p->err = tp_sum(p->err, at, &overflow); }
    }
    at = tp_sum(at, plan->acts_bytes, &overflow);
    plan->scratch_at = at;
    plan->arena_bytes = tp_sum(at, plan->scratch_bytes, &overflow);
    return overflow ? TP_E_LIMIT : TP_OK;
}
