/* SPDX-License-Identifier: Apache-2.0 */
/* TinyProp (arXiv 2409.07109, eq. 9 to 12): the share of rows follows the layer's error against its maximum. */
#include "tp_policy.h"

static TP_COLD bool tp_tinyprop_check(const tp_policy_params *p) {
    bool share = p->s_min >= 0.0f && p->s_min <= p->s_max && p->s_max <= 1.0f && p->s_max > 0.0f;
    bool damping = p->zeta > 0.0f && p->zeta <= 1.0f;
    bool mode = p->ymax_mode <= TP_MAX_ANALYTIC;
    bool decay = p->ymax_mode != TP_MAX_DECAY || (p->ymax_decay > 0.0f && p->ymax_decay <= 1.0f);
    bool fixed = p->ymax_mode != TP_MAX_FIXED || (p->ymax_fixed > 0.0f && tp_finite(p->ymax_fixed));
    return share && damping && mode && decay && fixed;
}

/* A maximum after one more value; `bound` > 0 is the analytic one. */
static float tp_max_follow(uint32_t mode, float old, float value, float decay, float fixed, float bound) {
    if (mode == TP_MAX_FIXED) { return fixed; }
    if (mode == TP_MAX_ANALYTIC && bound > 0.0f) { return bound; }
    if (mode == TP_MAX_DECAY) { old = decay * old; }
    return value > old ? value : old;
}

static uint32_t tp_tinyprop_budget(const tp_policy_params *p, float *state, const tp_delta *d) {
    bool output = d->layer + 1u == d->layers;
    state[0] = tp_max_follow(p->ymax_mode, state[0], d->l1, p->ymax_decay, p->ymax_fixed, output ? d->bound : 0.0f);
    if (d->l1 == 0.0f) { return 0; }
    if (output && p->output_dense != 0) { return d->rows; }
    /* this order of operations, one rounding each: Y = Ymax with s_max 1 and zeta 1 gives k = N */
    float q = d->l1 / state[0];
    float s = p->s_min + (p->s_max - p->s_min) * q;
    s = s * d->zpow;
    s = s < 0.0f ? 0.0f : s > 1.0f ? 1.0f : s;
    return tp_policy_rows(s, d->rows);
}

static void tp_tinyprop_epoch_begin(const tp_policy_params *p, float *state) {
    if (p->ymax_mode == TP_MAX_EPOCH) { state[0] = 0.0f; }
}

TP_OPTIONAL tp_policy_ops tp_policy_tinyprop = {
    .name = "tinyprop", .layer_words = 1, .check = tp_tinyprop_check, .budget = tp_tinyprop_budget,
    .epoch_begin = tp_tinyprop_epoch_begin,
};
