/* SPDX-License-Identifier: Apache-2.0 */
/* Selective-Backprop (Jiang et al., arXiv 1910.00762): a sample is trained with probability P(loss)^beta, P being the share of the last
 * `history` losses that are not above its own. Stale: in all but every stale-th epoch its last known loss decides, before the forward pass. */
#include "tp_policy.h"

typedef struct tp_losses {
    uint32_t count, next; /* remembered; where the next one goes */
    float loss[1];        /* `history` of them */
} tp_losses;

static bool tp_selective_check(const tp_policy_params *p) {
    return p->beta > 0.0f && tp_finite(p->beta) && p->history >= 1 && p->history <= TP_MAX_HISTORY && p->stale >= 1;
}

static uint32_t tp_selective_words(const tp_plan *plan) { return plan->recipe.policy_params.history; }

static bool tp_selective_looks(const tp_policy_params *p) { return p->stale > 1; }

/* Does the last known loss decide? */
static bool tp_selective_stale(const tp_plan *plan, const tp_glance *g) {
    uint32_t stale = plan->recipe.policy_params.stale;
    return stale > 1 && g->epoch > 0 && (g->epoch - 1u) % stale != 0 && g->loss > 0.0f;
}

static bool tp_selective_wins(const tp_plan *plan, const float *state, float loss, uint64_t sample) {
    const tp_policy_params *p = &plan->recipe.policy_params;
    const tp_losses *l = (const tp_losses *)(const void *)state;
    uint32_t below = 1, count = tp_min_u32(l->count, p->history); /* itself; a damaged file may say anything */
    for (uint32_t i = 0; i < count; i++) { below += l->loss[i] <= loss ? 1u : 0u; }
    return tp_policy_draw(plan, sample) < tp_policy_power((float)below / (float)(count + 1u), p->beta);
}

static void tp_selective_remember(const tp_plan *plan, float *state, float loss) {
    tp_losses *l = (tp_losses *)(void *)state;
    uint32_t most = plan->recipe.policy_params.history, at = l->next % most;
    l->loss[at] = loss;
    l->next = at + 1u;
    l->count = tp_min_u32(l->count, most - 1u) + 1u;
}

static bool tp_selective_look(const tp_plan *plan, float *state, const tp_glance *g) {
    if (!tp_selective_stale(plan, g) || tp_selective_wins(plan, state, g->loss, g->sample)) { return true; }
    tp_selective_remember(plan, state, g->loss);
    return false;
}

static bool tp_selective_learn(const tp_plan *plan, float *state, const tp_outcome *o) {
    bool stale = tp_selective_stale(plan, o->before); /* then it has won already */
    bool wins = stale || tp_selective_wins(plan, state, o->loss, o->before->sample);
    tp_selective_remember(plan, state, stale ? o->before->loss : o->loss);
    return wins;
}

TP_OPTIONAL tp_policy_ops tp_policy_selective = {
    .name = "selective", .net_words = 2, .more_words = tp_selective_words, .check = tp_selective_check, .looks = tp_selective_looks,
    .look = tp_selective_look, .learn = tp_selective_learn, .budget = tp_full_budget,
};
