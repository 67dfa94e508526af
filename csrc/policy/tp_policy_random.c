/* SPDX-License-Identifier: Apache-2.0 */
/* Random skip: every sample has the same chance, `rate`, to be looked at and trained in full. What a rule that skips samples must beat. */
#include "tp_policy.h"

static bool tp_random_check(const tp_policy_params *p) { return p->rate > 0.0f && p->rate <= 1.0f; }

static bool tp_random_looks(const tp_policy_params *p) { return p->rate < 1.0f; }

static bool tp_random_look(const tp_plan *plan, float *state, const tp_glance *g) {
    (void)state;
    return tp_policy_draw(plan, g->sample) < plan->recipe.policy_params.rate;
}

TP_OPTIONAL tp_policy_ops tp_policy_random = {
    .name = "random", .check = tp_random_check, .looks = tp_random_looks, .look = tp_random_look, .budget = tp_full_budget,
};
