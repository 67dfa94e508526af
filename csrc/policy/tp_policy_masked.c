/* SPDX-License-Identifier: Apache-2.0 */
/* Static masks: which layers, biases and channels train is said from outside (tp_net_mask): Sparse Update, TinyTrain, Velocity. */
#include "tp_policy.h"

static uint32_t tp_masked_words(const tp_plan_node *p) { return p->rows / 32u + (p->rows % 32u != 0 ? 1u : 0u); }

/* Errors pass every row. */
static uint32_t tp_masked_budget(const tp_policy_params *p, float *state, const tp_delta *d) {
    (void)p;
    (void)state;
    return d->l1 == 0.0f ? 0u : d->rows;
}

TP_OPTIONAL tp_policy_ops tp_policy_masked = {
    .name = "masked", .layer_words = 1, .channels = true, .masks = true, .more_layer_words = tp_masked_words, .budget = tp_masked_budget,
};
