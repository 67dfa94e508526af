/* SPDX-License-Identifier: Apache-2.0 */
/* A live net: plan + arena + kernels, initial weights, access to tensors. */
#include "tp_base.h"
#include "tp_control.h"
#include "tp_rng.h"
#include "tp_state.h"

/* A plan of another machine: has this build the rows it needs? */
static bool tp_net_has_rows(const tp_plan *plan) {
    bool rows = tp_loss_find(plan->loss) != NULL;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const tp_plan_node *p = &plan->node[i];
        rows = rows && tp_layer_find(p->node.op) != NULL && (TP_WITH(PART, bias_only) || p->trainable != TP_TRAINS_BIAS);
    }
    if (plan->training == 0) { return rows; }
    return rows && tp_policy_find(plan->recipe.policy) != NULL && tp_optim_find(plan->recipe.optimizer) != NULL;
}

TP_COLD tp_status tp_net_open(tp_net *net, const tp_plan *plan, void *arena, uint32_t bytes, const tp_kernels *kernels) {
    if (net == NULL || plan == NULL) { return TP_E_ARG; }
    if (!tp_plan_known(plan)) { return TP_E_VERSION; }
    if (!tp_net_has_rows(plan)) { return TP_E_ABSENT; }
    if (plan->training != 0 && plan->recipe.numerics == TP_NUMERICS_FLUSH && TP_CONTROL_FLUSH == 0) { return TP_E_RECIPE; }
    if (arena == NULL || (uintptr_t)arena % TP_ALIGN != 0 || bytes < plan->arena_bytes) { return TP_E_ARENA; }
    if (kernels == NULL) { kernels = tp_kernels_best(); }
    if (kernels == NULL) { return TP_E_ARG; } /* compiled for another CPU */
    TP_MEMSET(net, 0, sizeof *net);
    net->plan = plan;
    net->arena = (uint8_t *)arena;
    net->kernels = kernels;
    net->error_node = plan->n_nodes;
    if (plan->training != 0) { TP_MEMSET(net->arena + plan->grad_at, 0, plan->grad_bytes); }
    net->ready = plan->options.flash != 0 ? 0u : 1u; /* tp_net_flash */
    return TP_OK;
}

TP_INLINE bool tp_net_ready(const tp_net *net) { return net != NULL && net->ready != 0; }

/* Open, and no step in flight. */
static tp_status tp_net_idle(const tp_net *net) { return !tp_net_ready(net) ? TP_E_ARG : net->step.phase != TP_STEP_NONE ? TP_E_BUSY : TP_OK; }

TP_INLINE tp_control tp_net_enter(const tp_net *net) {
    return tp_control_enter(net->plan->training != 0 ? net->plan->recipe.numerics : TP_NUMERICS_IEEE);
}

/* He: +-sqrt(6 / fan_in); Glorot: +-sqrt(6 / (fan_in + fan_out)). Element i is number i of the node's stream. */
static void tp_net_init_uniform(const tp_net *net, const tp_plan_node *p) {
    const tp_tensor *w = &p->tensor[0];
    uint32_t taps = w->rank == 4 ? w->dim[1] * w->dim[2] : 1u;
    float fan = (float)p->row_len;
    if (p->node.init == TP_INIT_GLOROT_UNIFORM) { fan += (float)w->dim[0] * (float)taps / (float)tp_max_u32(p->node.groups, 1u); }
    float limit = TP_SQRT(6.0f / fan);
    float *to = tp_tensor_f32(net->arena, w);
    uint32_t n = p->rows * p->row_len, node = (uint32_t)(p - net->plan->node);
    for (uint32_t i = 0; i < n; i += 4) {
        tp_rng_block r = tp_rng(net->plan->recipe.seed, TP_RNG_INIT, node, 0, i / 4u);
        for (uint32_t j = 0; j < 4 && i + j < n; j++) { to[i + j] = (2.0f * tp_rng_unit(r.word[j]) - 1.0f) * limit; }
    }
    if (p->n_tensors > 1) { TP_MEMSET(net->arena + p->tensor[1].offset, 0, p->tensor[1].bytes); }
}

static TP_COLD TP_NOINLINE void tp_net_init_all(const tp_net *net) {
    TP_MEMSET(net->arena + net->plan->params_at, 0, net->plan->params_bytes);
    for (uint32_t i = 0; i < net->plan->n_nodes; i++) {
        const tp_plan_node *p = &net->plan->node[i];
        const tp_layer_ops *ops = tp_layer_find(p->node.op);
        if (p->n_tensors == 0 || p->flash != 0) { continue; }
        if (ops->init != NULL) {
            ops->init(net, p);
        } else {
            tp_net_init_uniform(net, p);
        }
    }
}

TP_COLD tp_status tp_net_init(tp_net *net) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    tp_control control = tp_net_enter(net);
    tp_net_init_all(net);
    tp_control_leave(control);
    return net->plan->training != 0 ? tp_net_reset_state(net) : TP_OK;
}

TP_COLD tp_status tp_net_reset_state(tp_net *net) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    if (net->plan->training == 0) { return TP_E_MODE; }
    TP_MEMSET(net->arena + net->plan->state_at, 0, net->plan->state_bytes);
    TP_MEMSET(net->arena + net->plan->grad_at, 0, net->plan->grad_bytes);
    return TP_OK;
}

static const char *const tp_tensor_suffix[2][TP_NODE_TENSORS] = {{".weight", ".bias", ".scale", ".requant"}, {".gamma", ".beta", ".mean", ".variance"}};

static TP_COLD void tp_tensor_name(const tp_plan_node *p, uint32_t t, char name[TP_NAME_BYTES + 16]) {
    const char *suffix = tp_tensor_suffix[p->layer == TP_NO_OFFSET ? 1 : 0][t];
    uint32_t n = 0;
    for (uint32_t i = 0; p->node.name[i] != 0 && i < TP_NAME_BYTES; i++) { name[n++] = p->node.name[i]; }
    for (uint32_t i = 0; suffix[i] != 0; i++) { name[n++] = suffix[i]; }
    name[n] = 0;
}

TP_COLD tp_status tp_net_tensor(const tp_net *net, uint32_t index, tp_tensor *tensor, char name[TP_NAME_BYTES + 16], void **data) {
    if (!tp_net_ready(net)) { return TP_E_ARG; }
    for (uint32_t i = 0; i < net->plan->n_nodes; i++) {
        const tp_plan_node *p = &net->plan->node[i];
        if (index >= p->n_tensors) {
            index -= p->n_tensors;
            continue;
        }
        if (tensor != NULL) { *tensor = p->tensor[index]; }
        if (name != NULL) { tp_tensor_name(p, index, name); }
        if (data != NULL) { *data = (void *)(uintptr_t)((tp_in_flash(p, index) ? net->flash : net->arena) + p->tensor[index].offset); }
        return TP_OK;
    }
    return TP_E_ARG;
}

/* The node of parameter tensor *index, which becomes its number there. */
static const tp_plan_node *tp_net_owner(const tp_net *net, uint32_t *index) {
    const tp_plan_node *p = net->plan->node;
    for (; *index >= p->n_tensors; p++) { *index -= p->n_tensors; }
    return p;
}

static bool tp_net_in_flash(const tp_net *net, uint32_t index) {
    const tp_plan_node *p = tp_net_owner(net, &index);
    return tp_in_flash(p, index);
}

/* Would these bytes, which need no alignment, be values of parameter tensor `index`? Floats are finite. */
static TP_COLD bool tp_net_sane(const tp_net *net, uint32_t index, const uint8_t *bytes) {
    const tp_plan_node *p = tp_net_owner(net, &index);
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    bool sane = ops->sane == NULL || ops->sane(p, index, bytes);
    for (uint32_t i = 0; p->tensor[index].dtype == TP_F32 && i < p->tensor[index].bytes; i += 4) {
        float value;
        TP_MEMCPY(&value, bytes + i, 4);
        sane = sane && tp_finite(value);
    }
    return sane;
}

TP_COLD tp_status tp_net_write(tp_net *net, uint32_t index, const void *from) {
    tp_tensor t;
    void *to;
    tp_status status = tp_net_idle(net);
    if (status == TP_OK) { status = from == NULL ? TP_E_ARG : tp_net_tensor(net, index, &t, NULL, &to); }
    if (status != TP_OK) { return status; }
    if (tp_net_in_flash(net, index)) { return TP_E_MODE; }
    if (!tp_net_sane(net, index, (const uint8_t *)from)) { return TP_E_DATA; }
    TP_MEMCPY(to, from, t.bytes);
    return TP_OK;
}

float tp_net_lr(const tp_net *net) {
    if (!tp_net_ready(net) || net->plan->training == 0) { return 0.0f; }
    return tp_recipe_lr(&net->plan->recipe, tp_net_state(net)->progress.batches);
}

/* Runs one of a policy's epoch hooks over all weight layers. */
static void tp_net_epoch_hook(const tp_net *net, void (*hook)(const tp_policy_params *p, float *layer_state)) {
    for (uint32_t i = 0; i < net->plan->n_nodes && hook != NULL; i++) {
        const tp_plan_node *p = &net->plan->node[i];
        if (p->layer != TP_NO_OFFSET) { hook(&net->plan->recipe.policy_params, tp_arena_f32(net->arena, p->policy)); }
    }
}

tp_status tp_net_epoch_begin(tp_net *net) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    if (net->plan->training == 0) { return TP_E_MODE; }
    tp_net_state(net)->progress.epochs++;
    tp_net_epoch_hook(net, tp_policy_find(net->plan->recipe.policy)->epoch_begin);
    return TP_OK;
}

tp_status tp_net_epoch_end(tp_net *net) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    if (net->plan->training == 0) { return TP_E_MODE; }
    tp_net_epoch_hook(net, tp_policy_find(net->plan->recipe.policy)->epoch_end);
    return TP_OK;
}

tp_status tp_net_progress(const tp_net *net, tp_progress *progress) {
    if (!tp_net_ready(net) || progress == NULL) { return TP_E_ARG; }
    if (net->plan->training == 0) { return TP_E_MODE; }
    *progress = tp_net_state(net)->progress;
    return TP_OK;
}

void tp_shuffle(uint64_t seed, uint32_t epoch, uint32_t *index, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) { index[i] = i; }
    for (uint32_t i = n; i > 1; i--) {
        tp_rng_block r = tp_rng(seed, TP_RNG_SHUFFLE, 0, epoch, i);
        uint32_t j = (uint32_t)(((uint64_t)r.word[0] * i) >> 32); /* bias below 2^-32 a swap */
        uint32_t swap = index[i - 1u];
        index[i - 1u] = index[j];
        index[j] = swap;
    }
}
