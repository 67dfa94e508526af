/* SPDX-License-Identifier: Apache-2.0 */
/* Error map pruning (Wu et al., arXiv 2007.03213): a constant share s_max of the channels (outputs of dense layers), those of the largest
 * g1 norm1(weights) + g2 norm1(error); the output layer stays dense, as in meProp. */
#include "tp_policy.h"

static bool tp_emp_check(const tp_policy_params *p) {
    bool shares = p->weight_share >= 0.0f && p->delta_share >= 0.0f && tp_finite(p->weight_share) && tp_finite(p->delta_share);
    return tp_meprop_check(p) && shares && p->weight_share + p->delta_share > 0.0f;
}

static float tp_emp_score(const tp_policy_params *p, const float *state, const tp_channel *c) {
    (void)state;
    return p->weight_share * c->weight_l1 + p->delta_share * c->l1;
}

/* Sums of |w|, one element each: of every layer that chooses. */
static void tp_emp_macs(tp_plan *plan) {
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const tp_plan_node *p = &plan->node[i];
        if (p->layer == TP_NO_OFFSET || p->backward == 0 || p->layer + 1u == plan->n_layers) { continue; }
        plan->macs_learn += (uint64_t)p->rows * p->row_len;
    }
}

TP_OPTIONAL tp_policy_ops tp_policy_emp = {
    .name = "emp", .channels = true, .check = tp_emp_check, .macs = tp_emp_macs, .budget = tp_meprop_budget, .score = tp_emp_score,
};
