/* SPDX-License-Identifier: Apache-2.0 */
/* The two baselines. `full`: every row, those of exactly zero delta skipped, which changes no bit. `dense`: the work of
 * zero rows is done too, as frameworks do. */
#include "tp_policy.h"

static uint32_t tp_full_budget(const tp_policy_params *p, float *state, const tp_delta *d) {
    (void)p;
    (void)state;
    return d->rows;
}

TP_OPTIONAL tp_policy_ops tp_policy_dense = {.name = "dense", .zeros = true, .budget = tp_full_budget};
TP_OPTIONAL tp_policy_ops tp_policy_full = {.name = "full", .budget = tp_full_budget};
