/* SPDX-License-Identifier: Apache-2.0 */
/* Model + recipe -> shapes, lifetimes and byte offsets. Pure arithmetic: the same plan on every machine. */
#include "tp_base.h"
#include "tp_control.h"
#include "tp_state.h"

/* No gaps, and 64-bit members at multiples of 8: every compiler lays a plan out alike. */
_Static_assert(sizeof(tp_plan_node) == 464 && sizeof(tp_plan) == 328 + 464 && offsetof(tp_plan, macs_forward) == 96 &&
                   offsetof(tp_plan, recipe) == 160 && offsetof(tp_recipe, seed) == 32 && offsetof(tp_plan, node) == 328,
               "a plan that a PC made would not be this compiler's");

/* FNV-1a over version and source id: other sources may lay out an arena otherwise. */
static uint32_t tp_plan_source(void) {
    const char *text[2] = {tp_version(), tp_source_id()};
    uint32_t hash = 0x811c9dc5u;
    for (uint32_t i = 0; i < 2; i++) {
        for (const char *c = text[i]; *c != 0; c++) { hash = (hash ^ (uint8_t)*c) * 0x01000193u; }
    }
    return hash;
}

static bool tp_plan_known(const tp_plan *plan) {
    return plan->source == tp_plan_source() && plan->n_nodes > 0 && plan->bytes == tp_plan_bytes(plan->n_nodes);
}

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
    if ((p->node.flags & TP_FLAG_BIAS_TRAINS) != 0) {
        if (!TP_WITH(PART, bias_only)) { return TP_E_ABSENT; }
        if ((ops->flags & TP_LAYER_WEIGHTS) == 0 || p->n_tensors < 2) { return TP_E_MODEL; }
    }
    p->layer = TP_NO_OFFSET;
    if ((ops->flags & TP_LAYER_WEIGHTS) != 0) {
        if (plan->n_layers == TP_MAX_LAYERS) { return TP_E_LIMIT; }
        p->layer = plan->n_layers++;
    }
    plan->macs_forward += p->macs_forward;
    return overflow ? TP_E_LIMIT : TP_OK;
}

/* TP_TRAINS_*; 0: nothing. */
static uint32_t tp_plan_trains(const tp_plan_node *p) {
    if (p->rows == 0) { return 0; }
    if ((p->node.flags & TP_FLAG_FROZEN) == 0) { return TP_TRAINS_ALL; }
    return TP_WITH(PART, bias_only) && (p->node.flags & TP_FLAG_BIAS_TRAINS) != 0 ? (uint32_t)TP_TRAINS_BIAS : 0u;
}

/* Which nodes the backward pass visits, and which errors they must produce. */
static void tp_plan_backward(tp_plan *plan) {
    plan->first_trainable = plan->n_nodes;
    for (uint32_t i = 0; i < plan->n_nodes && plan->training != 0; i++) {
        tp_plan_node *p = &plan->node[i];
        p->trainable = tp_plan_trains(p);
        p->backward = p->trainable != 0 ? 1u : 0u;
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
        p->select = ((map || p->tensor[0].rank == 4) && channel) || tp_policy_find(plan->recipe.policy)->channels ? TP_SELECT_CHANNEL : TP_SELECT_ELEMENT;
        p->n_select = p->select == TP_SELECT_CHANNEL ? p->rows : p->n_out;
        p->macs_dw = tp_trains_weights(p) ? tp_mul(p->n_out, p->macs_row, overflow) : 0u;
        p->macs_dx = p->needs_dx[0] != 0 ? tp_mul(p->n_out, p->macs_row, overflow) : 0u;
        if (p->backward == 0) { continue; }
        plan->macs_backward += (uint64_t)p->macs_dw + p->macs_dx;
    }
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
    return o->samples >= 1 && o->samples <= TP_MAX_SAMPLES && o->threads >= 1 && o->threads <= TP_MAX_THREADS && o->packing <= 1 && o->flash <= 1;
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
    plan->source = tp_plan_source();
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
        if (tp_policy_looks(plan)) { plan->options.samples = 1; }
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
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    if (recipe != NULL && policy->macs != NULL) { policy->macs(plan); }
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
    static const tp_plan_options smallest = {1, 1, 0, 0};
    return tp_plan_make_with(model, recipe, &smallest, plan, bytes, where);
}

/* By what the nodes say of themselves, so that a plan for inference has the same cut. */
tp_status tp_plan_cut(const tp_plan *plan, tp_cut *cut) {
    if (plan == NULL || cut == NULL) { return TP_E_ARG; }
    if (!TP_WITH(PART, cut)) { return TP_E_ABSENT; }
    uint32_t same = 0, i = plan->n_nodes;
    while (same < plan->n_nodes && tp_plan_trains(&plan->node[same]) == 0 && (tp_layer_find(plan->node[same].node.op)->flags & TP_LAYER_RANDOM) == 0) { same++; }
    for (int32_t lowest = (int32_t)i - 1; i-- > 0;) { /* that the nodes behind i read; the loss reads the last */
        if (i < same && lowest >= (int32_t)i) { break; }
        const tp_node *node = &plan->node[i].node;
        int32_t in = node->in[1] != TP_NONE && node->in[1] < node->in[0] ? node->in[1] : node->in[0];
        lowest = in < lowest ? in : lowest;
    }
    if (i >= plan->n_nodes) { return TP_E_MODEL; }
    *cut = (tp_cut){i, plan->node[i].n_out * tp_dtype_bytes(plan->node[i].dtype), 0};
    for (uint32_t j = 0; j <= i; j++) { cut->macs += plan->node[j].macs_forward; }
    return cut->macs > 0 ? TP_OK : TP_E_MODEL;
}

bool tp_plan_can_look_ahead(const tp_plan *plan) {
    if (!TP_WITH(PART, ahead) || plan == NULL || plan->training == 0 || plan->recipe.batch != 1 || tp_policy_looks(plan)) { return false; }
    uint32_t i = 0; /* the number of a sample, which dropout depends on, is that of its own step */
    while (i < plan->n_nodes && (tp_layer_find(plan->node[i].node.op)->flags & TP_LAYER_RANDOM) == 0) { i++; }
    return i == plan->n_nodes && tp_policy_find(plan->recipe.policy)->learn != NULL;
}
