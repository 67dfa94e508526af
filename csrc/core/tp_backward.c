/* SPDX-License-Identifier: Apache-2.0 */
/* The backward pass: nodes last to first; every weight layer asks the policy for its budget. */
#include "tp_base.h"
#include "tp_state.h"

static void tp_backward_trace(const tp_step *s, const tp_plan_node *p, const tp_trace *event) {
    if (s->net->trace == NULL) { return; }
    tp_trace t = *event;
    t.node = (uint32_t)(p - s->plan->node);
    t.layer = p->layer;
    t.n = p->n_select;
    t.n_delta = p->n_out;
    s->net->trace(s->net->trace_user, &t);
}

/* One weight layer: sum|delta| -> budget -> bias -> selection. */
static tp_status tp_backward_choose(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float loss) {
    const tp_policy_ops *policy = tp_policy_find(s->plan->recipe.policy);
    float *state = tp_arena_f32(s->arena, p->policy);
    float l1 = s->k->asum_f32(a->d, p->n_out);
    if (!tp_finite(l1)) { return TP_E_DELTA; }
    tp_delta d = {p->n_select, p->layer, s->plan->n_layers, l1, p->zpow, s->plan->alpha_bound, loss, s->sample};
    uint32_t k = policy->budget(&s->plan->recipe.policy_params, state, &d);
    tp_trace event = {.k = k, .l1 = l1, .ymax = policy->layer_words > 0 ? state[0] : 0.0f, .delta = a->d};
    tp_backward_trace(s, p, &event);
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    /* a zero error updates nothing, not even a bias that has momentum (the baselines keep k = n) */
    if (p->trainable != 0 && p->n_tensors > 1 && k > 0 && l1 > 0.0f) { ops->bias(s, p, a); }
    tp_select_rows(s, p, a->d, k, a->scratch);
    event.delta = NULL;
    event.kept = a->d;
    tp_backward_trace(s, p, &event);
    tp_stats_layer(s, p, k, l1, a->d);
    return TP_OK;
}

/* Where node i's input errors go: into the input's buffer, or into scratch to be added afterwards. */
static void tp_backward_targets(const tp_step *s, const tp_plan_node *p, tp_pass *a) {
    uint32_t taken = 0;
    for (uint32_t slot = 0; slot < 2; slot++) {
        if (p->needs_dx[slot] == 0) { continue; }
        const tp_plan_node *input = &s->plan->node[p->node.in[slot]];
        a->n_dx[slot] = input->n_out;
        a->dx[slot] = tp_arena_f32(s->arena, input->err);
        if (p->adds_dx[slot] != 0) {
            a->dx[slot] = tp_arena_f32(s->arena, s->plan->scratch_at + taken);
            taken += (input->n_out * 4u + TP_ALIGN - 1u) & ~(TP_ALIGN - 1u);
        }
    }
    a->scratch += taken / 4u;
}

static void tp_backward_add(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    for (uint32_t slot = 0; slot < 2; slot++) {
        if (p->needs_dx[slot] == 0 || p->adds_dx[slot] == 0) { continue; }
        s->k->add_f32(tp_arena_f32(s->arena, s->plan->node[p->node.in[slot]].err), a->dx[slot], a->n_dx[slot]);
    }
}

/* The error of the output node is in place. *where: the node that failed. */
static tp_status tp_backward(const tp_step *s, float loss, uint32_t *where) {
    bool zeros = tp_policy_find(s->plan->recipe.policy)->zeros;
    for (uint32_t i = s->plan->n_nodes; i-- > s->plan->first_trainable;) {
        const tp_plan_node *p = &s->plan->node[i];
        if (p->backward == 0) { continue; }
        tp_pass a = tp_step_pass(s, i);
        a.d = tp_arena_f32(s->arena, p->err);
        a.zeros = zeros;
        tp_backward_targets(s, p, &a);
        tp_status status = TP_OK;
        if (p->layer != TP_NO_OFFSET) {
            status = tp_backward_choose(s, p, &a, loss);
        } else if (p->trainable != 0 && !s->k->finite_f32(a.d, p->n_out)) {
            status = TP_E_DELTA;
        }
        if (status != TP_OK) {
            *where = i;
            return status;
        }
        tp_layer_find(p->node.op)->backward(s, p, &a);
        tp_backward_add(s, p, &a);
    }
    return TP_OK;
}
