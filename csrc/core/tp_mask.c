/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that train although all pass errors on: what is said from outside (policies that `masks`), and the backward pass under it. */
#include "tp_base.h"
#include "tp_state.h"

static tp_mask *tp_mask_of(const uint8_t *arena, const tp_plan_node *p) { return (tp_mask *)(void *)tp_arena_f32(arena, p->policy); }

TP_INLINE bool tp_mask_trains(const tp_mask *m, uint32_t row) { return (m->frozen[row / 32u] >> (row % 32u) & 1u) == 0; }

/* Rows that train. */
static uint32_t tp_mask_rows(const tp_mask *m, const tp_plan_node *p) {
    uint32_t n = 0;
    for (uint32_t r = 0; r < p->rows; r++) { n += tp_mask_trains(m, r) ? 1u : 0u; }
    return n;
}

/* Elements of d that are not 0, in rows that train. */
static uint32_t tp_mask_live(const tp_mask *m, const tp_plan_node *p, const float *d) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_out; i += p->rows) {
        for (uint32_t r = 0; r < p->rows; r++) { n += d[i + r] != 0.0f && tp_mask_trains(m, r) ? 1u : 0u; }
    }
    return n;
}

/* Which layers compute the error below: those with anything upstream that trains. */
static void tp_mask_flow(const tp_net *net) {
    const tp_plan *plan = net->plan;
    uint32_t live[TP_MAX_NODES / 32u] = {0}; /* a bit a node: it or something upstream of it trains */
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const tp_plan_node *p = &plan->node[i];
        bool below = false, trains = p->trainable != 0;
        for (uint32_t slot = 0; slot < 2; slot++) {
            int32_t in = p->node.in[slot];
            below = below || (in >= 0 && (live[in / 32] >> ((uint32_t)in % 32u) & 1u) != 0);
        }
        if (p->layer != TP_NO_OFFSET) {
            tp_mask *m = tp_mask_of(net->arena, p);
            bool bias = (m->flags & TP_MASK_BIAS) == TP_BIAS_ALL && p->n_tensors > 1;
            m->flags = (m->flags & TP_MASK_BIAS) | (below ? 0u : (uint32_t)TP_MASK_ENDS);
            trains = trains && (bias || tp_mask_rows(m, p) > 0);
        }
        if (trains || below) { live[i / 32u] |= 1u << (i % 32u); }
    }
}

tp_status tp_net_mask(tp_net *net, uint32_t layer, const uint8_t *rows, uint32_t bias) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    const tp_plan *plan = net->plan;
    if (plan->training == 0 || !tp_policy_find(plan->recipe.policy)->masks) { return TP_E_MODE; }
    if (layer >= plan->n_layers || bias > TP_BIAS_NONE) { return TP_E_ARG; }
    const tp_plan_node *p = plan->node;
    while (p->layer != layer) { p++; }
    tp_mask *m = tp_mask_of(net->arena, p);
    TP_MEMSET(m, 0, tp_policy_layer_words(plan, p) * 4u);
    m->flags = bias;
    for (uint32_t r = 0; r < p->rows && rows != NULL; r++) {
        if (rows[r] == 0) { m->frozen[r / 32u] |= 1u << (r % 32u); }
    }
    tp_mask_flow(net);
    return TP_OK;
}

/* Between a layer's input errors and its gradient: the biases, and zeros where nothing trains. */
static void tp_mask_apply(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    const tp_mask *m = tp_mask_of(s->arena, p);
    uint32_t bias = m->flags & TP_MASK_BIAS, rows = tp_mask_rows(m, p);
    for (uint32_t j = 0; j < a->n; j++) {
        if ((s->learns >> (s->first + j) & 1u) == 0) { continue; }
        tp_pass one = tp_pass_part(p, a, j, 1);
        bool any = p->n_tensors > 1 && tp_step_l1(s)[j] > 0.0f;
        if (any && bias == TP_BIAS_ALL) { tp_update_bias(s, p, &one); }
        float *d = a->d + (size_t)j * p->n_out;
        for (uint32_t i = 0; i < p->n_out && rows < p->rows; i += p->rows) {
            for (uint32_t r = 0; r < p->rows; r++) { d[i + r] = tp_mask_trains(m, r) ? d[i + r] : 0.0f; }
        }
        if (any && bias == TP_BIAS_ROWS && rows > 0) { tp_update_bias(s, p, &one); }
    }
}
