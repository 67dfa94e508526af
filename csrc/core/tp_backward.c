/* SPDX-License-Identifier: Apache-2.0 */
/* The backward pass over some samples: nodes last to first; every weight layer asks the policy for a budget for each. */
#include "tp_base.h"
#include "tp_state.h"

/* Before the selection, and after it. */
static TP_COLD TP_NOINLINE void tp_backward_trace(const tp_step *s, const tp_plan_node *p, const tp_pass *a, uint32_t k, float l1, bool after) {
    bool follows = tp_policy_find(s->plan->recipe.policy)->layer_words > 0;
    tp_trace t = {
        .sample = a->sample, .node = (uint32_t)(p - s->plan->node), .layer = p->layer, .n = p->n_select, .n_delta = p->n_out, .k = k, .l1 = l1,
        .ymax = follows ? tp_arena_f32(s->arena, p->policy)[0] : 0.0f, .delta = after ? NULL : a->d, .kept = after ? a->d : NULL,
    };
    s->net->trace(s->net->trace_user, &t);
}

/* One weight layer, one sample: sum|delta| -> budget -> bias -> selection. */
static tp_status tp_backward_choose(tp_step *s, const tp_plan_node *p, const tp_pass *a, float l1, float loss) {
    const tp_policy_ops *policy = tp_policy_find(s->plan->recipe.policy);
    if (!tp_finite(l1)) { return TP_E_DELTA; }
    tp_delta d = {p->n_select, p->layer, s->plan->n_layers, l1, p->zpow, s->plan->alpha_bound, loss, a->sample};
    uint32_t k = policy->budget(&s->plan->recipe.policy_params, tp_arena_f32(s->arena, p->policy), &d);
    if (s->net->trace != NULL) { tp_backward_trace(s, p, a, k, l1, false); }
    /* a zero error updates nothing, not even a bias that has momentum (the baselines keep k = n) */
    if (p->trainable != 0 && p->n_tensors > 1 && k > 0 && l1 > 0.0f && !policy->masks) { tp_update_bias(s, p, a); }
    uint32_t passed = tp_select_rows(s, p, a->d, k, a->scratch);
    if (s->net->trace != NULL) { tp_backward_trace(s, p, a, k, l1, true); }
    tp_stats_layer(s, p, k, l1, a->d, passed);
    return TP_OK;
}

/* Node i: its error is checked and, in a weight layer, masked. `summed`: its sums are known already. */
static tp_status tp_backward_check(tp_step *s, const tp_plan_node *p, const tp_pass *a, bool summed) {
    float *l1 = tp_step_l1(s);
    if (p->layer == TP_NO_OFFSET) { return p->trainable != 0 && !TP_CALL(s->k, finite_f32)(a->d, a->n * p->n_out) ? TP_E_DELTA : TP_OK; }
    for (uint32_t j = 0; j < a->n; j++) {
        if ((s->learns >> (s->first + j) & 1u) == 0) { continue; }
        tp_pass part;
        const tp_pass *one = a;
        if (a->n > 1) {
            part = tp_pass_part(p, a, j, 1);
            one = &part;
        }
        if (!summed) { l1[j] = TP_CALL(s->k, asum_f32)(one->d, p->n_out); }
        tp_status status = tp_backward_choose(s, p, one, l1[j], tp_step_loss(s)[j]);
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
            at += tp_plan_elements(s->plan, input->n_out, TP_F32, &overflow);
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

static void tp_backward_pass(tp_pass *a, const tp_step *s, uint32_t i) {
    const tp_plan_node *p = &s->plan->node[i];
    tp_step_pass(a, s, i);
    a->d = tp_arena_f32(s->arena, p->err) + (size_t)s->first * p->n_out;
    a->zeros = tp_policy_find(s->plan->recipe.policy)->zeros;
}

static bool tp_backward_errors(tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_work work = {s, p, a, tp_layer_find(p->node.op)->errors, 0, a->n, tp_step_parts(s, a->n, (uint64_t)p->macs_dx * a->n)};
    return tp_step_samples(s, &work, 1);
}

static TP_NOINLINE void tp_backward_rows_part(const tp_work *w, uint32_t index) {
    uint32_t first = tp_part_begin(w->items, index, w->parts);
    tp_pass a = *w->a;
    a.scratch = tp_step_scratch(w->s, w->p, index);
    tp_update_weights(w->s, w->p, &a, w->first + first, tp_part_begin(w->items, index + 1u, w->parts) - first);
}

static void tp_backward_rows(void *argument, uint32_t index) {
    const tp_work *w = (const tp_work *)argument;
    tp_control control = tp_net_enter(w->s->net);
    tp_backward_rows_part(w, index);
    tp_control_leave(control);
}

static TP_NOINLINE bool tp_backward_gradients(tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    for (uint32_t n; s->item < p->rows; s->item += n) {
        if (tp_step_stops(s)) { return false; }
        n = s->left == TP_BUDGET_ALL && tp_step_take(s, 0) ? p->rows - s->item : 0u;
        while (s->item + n < p->rows && tp_step_take(s, tp_update_macs(s, p, a, s->item + n))) { n++; }
        if (n == 0) { return false; }
        tp_work work = {s, p, a, NULL, s->item, n, s->batch_one ? 1u : tp_step_parts(s, n, (uint64_t)p->macs_dw * a->n)};
        if (work.parts == 1) {
            tp_update_weights(s, p, a, s->item, n);
        } else {
            s->net->parallel.run(s->net->parallel.user, tp_backward_rows, &work, work.parts);
        }
    }
    s->item = 0;
    return true;
}

/* Input errors of node i, and, unless they wait for the other layers, its parameters. false: the slice has ended before. */
static bool tp_backward_node(tp_step *s, const tp_plan_node *p, tp_pass *a, bool gradients) {
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    bool masks = TP_ANY_MASKS != 0 && tp_policy_find(s->plan->recipe.policy)->masks && p->layer != TP_NO_OFFSET;
    bool trains = gradients && tp_trains_weights(p), fused = ops->fused != NULL && trains && s->batch_one && tp_update_is_plain(s->plan);
    tp_backward_targets(s, p, a);
    bool errors = a->dx[0] != NULL || a->dx[1] != NULL;
    bool both = ops->both != NULL && trains && s->batch_one && s->direct && errors && !masks && s->left == TP_BUDGET_ALL && s->item == 0;
    if (s->stage < TP_STAGE_GRADIENT && masks && errors && (tp_mask_of(s->arena, p)->flags & TP_MASK_ENDS) != 0) {
        TP_MEMSET(a->dx[0], 0, (size_t)a->n * a->n_dx[0] * sizeof(float)); /* weight layers have one input */
        errors = false;
    }
    if (s->stage < TP_STAGE_GRADIENT) {
        tp_work work = {s, p, a, both ? ops->both : ops->fused, 0, a->n, 1};
        if (both || (fused && !masks) ? !tp_step_samples(s, &work, errors ? 2 : 1) : errors && !tp_backward_errors(s, p, a)) { return false; }
        if (masks && p->trainable != 0) { tp_mask_apply(s, p, a); }
        s->stage = both ? TP_STAGE_ADD : TP_STAGE_GRADIENT;
    }
    if (s->stage == TP_STAGE_GRADIENT) {
        if (trains && !fused && !tp_backward_gradients(s, p, a)) { return false; }
        if (fused && masks) { /* the errors are done */
            tp_pass update = *a;
            update.dx[0] = update.dx[1] = NULL;
            tp_work work = {s, p, &update, ops->fused, 0, a->n, 1};
            if (!tp_step_samples(s, &work, 1)) { return false; }
        }
        s->stage = TP_STAGE_ADD;
    }
    uint32_t adds = p->adds_dx[0] * a->n_dx[0] + p->adds_dx[1] * a->n_dx[1];
    if (adds > 0 && !tp_step_take(s, (uint64_t)a->n * adds)) { return false; }
    tp_backward_add(s, p, a);
    s->stage = TP_STAGE_CHECK;
    return true;
}

/* Goes back over the samples of this pass from node s->node (exclusive) on. In firmware every node's parameters move with it.
 * Samples worked on together: all errors come before the first gradient (tp_backward_late), so that a failure has changed
 * nothing. false: the slice has ended before; else *status says how the pass ended. */
static bool tp_backward(tp_step *s, tp_status *status) {
    const tp_plan *plan = s->plan;
    bool late = tp_plan_late(plan);
    *status = TP_OK;
    for (; s->node > plan->first_trainable; s->node--) {
        const tp_plan_node *p = &plan->node[s->node - 1u];
        if (p->backward == 0) { continue; }
        tp_pass a;
        tp_backward_pass(&a, s, s->node - 1u);
        if (s->stage == TP_STAGE_CHECK) {
            bool looks = p->layer != TP_NO_OFFSET || p->trainable != 0;
            if (tp_step_stops(s) || !tp_step_take(s, looks ? (uint64_t)a.n * p->n_out : 0u)) { return false; }
            *status = tp_backward_check(s, p, &a, s->summed == (int32_t)(s->node - 1u));
            if (*status != TP_OK) { return true; }
            if (p->layer != TP_NO_OFFSET) { s->summed = TP_NONE; }
            s->stage = TP_STAGE_ERRORS;
        }
        if ((tp_layer_find(p->node.op)->flags & TP_LAYER_SUMS) != 0 && p->adds_dx[0] == 0) {
            a.l1 = tp_step_l1(s);
            s->summed = p->node.in[0];
        }
        if (!tp_backward_node(s, p, &a, !late)) { return false; }
    }
    return true;
}

/* The gradients that have waited. */
static bool tp_backward_late(tp_step *s) {
    const tp_plan *plan = s->plan;
    for (; s->node > plan->first_trainable; s->node--) {
        const tp_plan_node *p = &plan->node[s->node - 1u];
        if (p->backward == 0 || !tp_trains_weights(p)) { continue; }
        tp_pass a;
        tp_backward_pass(&a, s, s->node - 1u);
        if (!tp_backward_gradients(s, p, &a)) { return false; }
    }
    return true;
}
