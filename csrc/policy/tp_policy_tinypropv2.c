/* SPDX-License-Identifier: Apache-2.0 */
/* TinyPropv2 (arXiv 2409.07109, eq. 14): TinyProp, and the decision whether to train on a sample at all. The four numbers
 * tau, beta, d_min, d_max act as one: train iff alpha > theta * alpha_max. */
#include "tp_policy.h"

static bool tp_tinypropv2_check(const tp_policy_params *p) {
    bool decision = p->beta > 0.0f && p->d_max > p->d_min && tp_finite(p->tau) && tp_finite(p->beta) && tp_finite(p->d_min) && tp_finite(p->d_max);
    bool mode = p->alpha_mode <= TP_MAX_AUTO && p->alpha_mode != TP_MAX_EPOCH;
    bool decay = p->alpha_decay > 0.0f && p->alpha_decay <= 1.0f;
    bool fixed = p->alpha_mode != TP_MAX_FIXED || (p->alpha_fixed > 0.0f && tp_finite(p->alpha_fixed));
    return tp_tinyprop_check(p) && decision && mode && decay && fixed;
}

/* Every sample seen moves alpha_max, before the comparison: a skipped one could otherwise never lower it. */
static bool tp_tinypropv2_learn(const tp_plan *plan, float *state, const tp_outcome *o) {
    const tp_policy_params *p = &plan->recipe.policy_params;
    uint32_t mode = p->alpha_mode;
    if (mode == TP_MAX_AUTO) { mode = o->bound > 0.0f ? TP_MAX_ANALYTIC : TP_MAX_DECAY; }
    state[0] = tp_max_follow(mode, state[0], o->alpha, p->alpha_decay, p->alpha_fixed, o->bound);
    return o->alpha > o->theta * state[0];
}

TP_OPTIONAL tp_policy_ops tp_policy_tinypropv2 = {
    .name = "tinypropv2", .layer_words = 1, .net_words = 1, .theta = true, .check = tp_tinypropv2_check, .learn = tp_tinypropv2_learn,
    .budget = tp_tinyprop_budget, .epoch_begin = tp_tinyprop_epoch_begin,
};
