/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry: a fixed-size record per step, write-only, free of time and addresses. */
#include "tp_base.h"
#include "tp_state.h"

uint32_t tp_stats_bytes(const tp_plan *plan) {
    uint32_t layers = plan->n_layers > 0 ? plan->n_layers : 1u;
    return (uint32_t)(sizeof(tp_stats) + (layers - 1u) * sizeof(tp_layer_stats));
}

static void tp_stats_clear(tp_stats *stats, const tp_plan *plan) {
    if (stats == NULL) { return; }
    TP_MEMSET(stats, 0, tp_stats_bytes(plan));
    stats->bytes = tp_stats_bytes(plan);
    stats->n_layers = plan->n_layers;
}

/* One weight layer of one trained sample; under a mask k rows train and all pass errors on. MACs are counted by k, zeros included; `worked` is what was really done. */
static void tp_stats_layer(tp_step *s, const tp_plan_node *p, uint32_t k, float l1, const float *kept, uint32_t passed) {
    tp_stats *stats = s->stats;
    bool masks = tp_policy_find(s->plan->recipe.policy)->masks;
    const tp_mask *mask = masks ? tp_mask_of(s->arena, p) : NULL;
    uint32_t dx = p->needs_dx[0] != 0 && (mask == NULL || (mask->flags & TP_MASK_ENDS) == 0) ? p->macs_row : 0u;
    uint32_t dw = tp_trains_weights(p) ? p->macs_row : 0u, passes = k;
    if (masks && k > 0) { k = tp_mask_rows(mask, p); }
    uint32_t positions = p->select == TP_SELECT_CHANNEL ? p->n_out / p->rows : 1u, elements = k * positions;
    s->macs += (uint64_t)elements * dw + (uint64_t)passes * positions * dx;
    if (stats == NULL) { return; }
    tp_layer_stats *layer = &stats->layer[p->layer];
    if (passed == TP_UNCOUNTED) { passed = TP_CALL(s->k, count_above_f32)(kept, 0, p->n_out); }
    uint32_t worked = masks ? tp_mask_live(mask, p, kept) : passed;
    layer->n += p->n_select;
    layer->k += k;
    layer->worked += worked;
    layer->l1 += l1;
    layer->macs_dw += elements * dw;
    layer->macs_dx += passes * positions * dx;
    stats->macs_dw += (uint64_t)elements * dw;
    stats->macs_dx += (uint64_t)passes * positions * dx;
    stats->macs_worked += (uint64_t)worked * dw + (uint64_t)passed * dx;
    stats->selected += k > 0 && k < p->n_select && !masks ? p->n_out : 0u;
}

void tp_totals_add(tp_totals *totals, const tp_plan *plan, const tp_stats *stats) {
    totals->samples += stats->samples;
    totals->trained += stats->trained;
    totals->correct += stats->correct;
    totals->steps += 1u;
    totals->macs_forward += stats->macs_forward;
    totals->macs_dw += stats->macs_dw;
    totals->macs_dx += stats->macs_dx;
    totals->macs_worked += stats->macs_worked;
    totals->selected += stats->selected;
    uint64_t seen = (uint64_t)stats->samples + stats->passed;
    totals->passed += stats->passed;
    totals->macs_dense_backward += plan->macs_backward * seen;
    totals->macs_dense_forward += plan->macs_forward * seen;
    totals->macs_policy += plan->training != 0 ? plan->macs_look * seen + plan->macs_learn * stats->samples : 0u;
    totals->loss += (double)stats->loss * (double)stats->samples;
}
