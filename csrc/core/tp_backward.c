/* SPDX-License-Identifier: Apache-2.0 */
/* The backward pass over some samples: nodes last to first; every weight layer asks the policy for a budget for each. */
#include "tp_base.h"
#include "tp_state.h"

/* Of the samples of this pass: their losses, and the sums|delta| of the weight layer whose turn it is. */
static float *tp_step_loss(const tp_step *s) { return tp_arena_f32(s->arena, s->plan->outcome_at) + s->first; }
static float *tp_step_l1(const tp_step *s) { return tp_step_loss(s) + s->plan->options.samples; }

static void tp_backward_trace(const tp_step *s, const tp_plan_node *p, uint64_t sample, const tp_trace *event) {
    if (s->net->trace == NULL) { return; }
    tp_trace t = *event;
    t.sample = sample;
    t.node = (uint32_t)(p - s->plan->node);
    t.layer = p->layer;
    t.n = p->n_select;
    t.n_delta = p->n_out;
    s->net->trace(s->net->trace_user, &t);
}

/* One weight layer, one sample: sum|delta| -> budget -> bias -> selection. */
static tp_status tp_backward_choose(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float l1, float loss) {
    const tp_policy_ops *policy = tp_policy_find(s->plan->recipe.policy);
    float *state = tp_arena_f32(s->arena, p->policy);
    if (!tp_finite(l1)) { return TP_E_DELTA; }
    tp_delta d = {p->n_select, p->layer, s->plan->n_layers, l1, p->zpow, s->plan->alpha_bound, loss, a->sample};
    uint32_t k = policy->budget(&s->plan->recipe.policy_params, state, &d);
    tp_trace event = {.k = k, .l1 = l1, .ymax = policy->layer_words > 0 ? state[0] : 0.0f, .delta = a->d};
    tp_backward_trace(s, p, a->sample, &event);
    /* a zero error updates nothing, not even a bias that has momentum (the baselines keep k = n) */
    if (p->trainable != 0 && p->n_tensors > 1 && k > 0 && l1 > 0.0f) { tp_update_bias(s, p, a); }
    tp_select_rows(s, p, a->d, k, a->scratch);
    event.delta = NULL;
    event.kept = a->d;
    tp_backward_trace(s, p, a->sample, &event);
    tp_stats_layer(s, p, k, l1, a->d);
    return TP_OK;
}

/* Node i: its error is checked and, in a weight layer, masked. `summed`: its sums are known already. */
static tp_status tp_backward_check(const tp_step *s, const tp_plan_node *p, const tp_pass *a, bool summed) {
    float *l1 = tp_step_l1(s);
    if (p->layer == TP_NO_OFFSET) { return p->trainable != 0 && !TP_CALL(s->k, finite_f32)(a->d, a->n * p->n_out) ? TP_E_DELTA : TP_OK; }
    for (uint32_t j = 0; j < a->n; j++) {
        tp_pass one = tp_pass_part(p, a, j, 1);
        if (!summed) { l1[j] = TP_CALL(s->k, asum_f32)(one.d, p->n_out); }
        tp_status status = tp_backward_choose(s, p, &one, l1[j], tp_step_loss(s)[j]);
        if (status != TP_OK) { return status; }
    }
    return TP_OK;
}

/* Where node i's input errors go: into the input's buffer, or into scratch to be added afterwards. */
static void tp_backward_targets(const tp_step *s, const tp_plan_node *p, tp_pass *a) {
    uint32_t at = s->plan->scratch_at + p->scratch * s->plan->options.threads;
    for (uint32_t slot = 0; slot < 2; slot++) {
        if (p->needs_dx[slot] == 0) { continue; }
        const tp_plan_node *input = &s->plan->node[p->node.in[slot]];
        bool overflow = false;
        a->n_dx[slot] = input->n_out;
        if (p->adds_dx[slot] != 0) {
            a->dx[slot] = tp_arena_f32(s->arena, at);
            at += tp_plan_elements(s->plan, input->n_out, &overflow);
        } else {
            a->dx[slot] = tp_arena_f32(s->arena, input->err) + (size_t)s->first * input->n_out;
        }
    }
}

static void tp_backward_add(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    for (uint32_t slot = 0; slot < 2; slot++) {
        if (p->needs_dx[slot] == 0 || p->adds_dx[slot] == 0) { continue; }
        const tp_plan_node *input = &s->plan->node[p->node.in[slot]];
        TP_CALL(s->k, add_f32)(tp_arena_f32(s->arena, input->err) + (size_t)s->first * input->n_out, a->dx[slot], a->n * a->n_dx[slot]);
    }
}

static tp_pass tp_backward_pass(const tp_step *s, uint32_t i) {
    const tp_plan_node *p = &s->plan->node[i];
    tp_pass a = tp_step_pass(s, i);
    a.d = tp_arena_f32(s->arena, p->err) + (size_t)s->first * p->n_out;
    a.zeros = tp_policy_find(s->plan->recipe.policy)->zeros;
    return a;
}

static void tp_backward_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_work work = {s, p, a, tp_layer_find(p->node.op)->errors, tp_step_parts(s, a->n, (uint64_t)p->macs_dx * a->n)};
    tp_step_run(s, tp_work_samples, &work, work.parts);
}

static TP_NOINLINE void tp_backward_rows_part(const tp_work *w, uint32_t index) {
    uint32_t first = tp_part_begin(w->p->rows, index, w->parts);
    tp_pass a = *w->a;
    a.scratch = tp_step_scratch(w->s, w->p, index);
    tp_update_weights(w->s, w->p, &a, first, tp_part_begin(w->p->rows, index + 1u, w->parts) - first);
}

static void tp_backward_rows(void *argument, uint32_t index) {
    const tp_work *w = (const tp_work *)argument;
    tp_control control = tp_net_enter(w->s->net);
    tp_backward_rows_part(w, index);
    tp_control_leave(control);
}

static void tp_backward_gradients(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_work work = {s, p, a, NULL, s->batch_one ? 1u : tp_step_parts(s, p->rows, (uint64_t)p->macs_dw * a->n)};
    tp_step_run(s, tp_backward_rows, &work, work.parts);
}

/* Input errors of node i, and, unless they wait for the other layers, its parameters. */
static void tp_backward_node(const tp_step *s, const tp_plan_node *p, tp_pass *a, bool gradients) {
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    tp_backward_targets(s, p, a);
    if (ops->fused != NULL && gradients && p->trainable != 0 && s->batch_one && tp_update_is_plain(s->plan)) {
        ops->fused(s, p, a);
    } else {
        if (a->dx[0] != NULL || a->dx[1] != NULL) { tp_backward_errors(s, p, a); }
        if (gradients && p->trainable != 0) { tp_backward_gradients(s, p, a); }
    }
    tp_backward_add(s, p, a);
}

/* The errors of the output node are in place. *where: the node that failed. Samples worked on together: all errors come
 * before the first gradient, so that a failure has changed nothing. */
static tp_status tp_backward(const tp_step *s, uint32_t *where) {
    const tp_plan *plan = s->plan;
    bool together = plan->options.samples > 1;
    int32_t summed = TP_NONE; /* the weight layer whose sums|delta| came with the errors of the op behind it */
    for (uint32_t i = plan->n_nodes; i-- > plan->first_trainable;) {
        const tp_plan_node *p = &plan->node[i];
        if (p->backward == 0) { continue; }
        tp_pass a = tp_backward_pass(s, i);
        tp_status status = tp_backward_check(s, p, &a, summed == (int32_t)i);
        if (status != TP_OK) {
            *where = i;
            return status;
        }
        if (p->layer != TP_NO_OFFSET) { summed = TP_NONE; }
        if ((tp_layer_find(p->node.op)->flags & TP_LAYER_SUMS) != 0 && p->adds_dx[0] == 0) {
            a.l1 = tp_step_l1(s);
            summed = p->node.in[0];
        }
        tp_backward_node(s, p, &a, !together || s->batch_one);
    }
    for (uint32_t i = plan->n_nodes; i-- > plan->first_trainable && together && !s->batch_one;) {
        const tp_plan_node *p = &plan->node[i];
        if (p->backward == 0 || p->trainable == 0) { continue; }
        tp_pass a = tp_backward_pass(s, i);
        tp_backward_gradients(s, p, &a);
    }
    return TP_OK;
}
