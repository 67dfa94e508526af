/* SPDX-License-Identifier: Apache-2.0 */
/* TinyPropv2 whose theta follows a wanted share of trained samples, or of backward work: after every batch of n samples
 * theta *= 1 + gain n (measured - rate). It starts at the theta of tau, beta, d_min, d_max; one that is not above 0 stays, and all train. */
#include "tp_policy.h"

static bool tp_steered_check(const tp_policy_params *p) {
    bool wanted = p->rate > 0.0f && p->rate <= 1.0f && p->steer <= TP_STEER_EFFORT && p->gain > 0.0f && p->gain <= 1.0f;
    return tp_tinypropv2_check(p) && wanted;
}

/* state: alpha_max, theta (0: not yet) */
static bool tp_steered_learn(const tp_plan *plan, float *state, const tp_outcome *o) {
    tp_outcome own = *o;
    if (!(state[1] > 0.0f)) { state[1] = o->theta; }
    own.theta = state[1];
    return tp_tinypropv2_learn(plan, state, &own);
}

/* A threshold after a batch of n samples: one step is at most a factor of 2, and it stays where some are above and some below. */
static float tp_steered_follow(const tp_policy_params *p, float threshold, float done, float all, uint64_t n) {
    float step = p->gain * (float)n;
    float factor = 1.0f + step * (done / all - p->rate);
    factor = factor < 0.5f ? 0.5f : factor > 2.0f ? 2.0f : factor;
    float next = threshold * factor;
    return next < 1e-6f ? 1e-6f : next > 0.999f ? 0.999f : next;
}

static void tp_steered_spent(const tp_plan *plan, float *state, const tp_spent *spent) {
    const tp_policy_params *p = &plan->recipe.policy_params;
    bool effort = p->steer == TP_STEER_EFFORT;
    float done = effort ? (float)spent->macs : (float)spent->trained, all = effort ? (float)spent->dense : (float)spent->samples;
    if (state[1] > 0.0f && all > 0.0f) { state[1] = tp_steered_follow(p, state[1], done, all, spent->samples); }
}

TP_OPTIONAL tp_policy_ops tp_policy_steered = {
    .name = "steered", .layer_words = 1, .net_words = 2, .theta = true, .check = tp_steered_check, .learn = tp_steered_learn,
    .spent = tp_steered_spent, .budget = tp_tinyprop_budget, .epoch_begin = tp_tinyprop_epoch_begin,
};
