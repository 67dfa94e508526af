/* SPDX-License-Identifier: Apache-2.0 */
/* meProp (Sun et al. 2017): a constant share s_max of the rows; the output layer stays dense (a sparse one diverges). */
#include "tp_policy.h"

static bool tp_meprop_check(const tp_policy_params *p) { return p->s_max > 0.0f && p->s_max <= 1.0f; }

static uint32_t tp_meprop_budget(const tp_policy_params *p, float *state, const tp_delta *d) {
    (void)state;
    if (d->l1 == 0.0f) { return 0; }
    return d->layer + 1u == d->layers ? d->rows : tp_policy_rows(p->s_max, d->rows);
}

TP_OPTIONAL tp_policy_ops tp_policy_meprop = {.name = "meprop", .check = tp_meprop_check, .budget = tp_meprop_budget};
