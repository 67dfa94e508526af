/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the k largest |delta|, or the k channels of the largest scores, and sets the rest to zero. */
#include "tp_base.h"
#include "tp_state.h"

/* Whole channels by score, ties to the lower one. */
static void tp_select_channels(const tp_step *s, const tp_plan_node *p, float *d, uint32_t keep, float *score) {
    const tp_policy_ops *policy = tp_policy_find(s->plan->recipe.policy);
    uint32_t positions = p->n_out / p->rows;
    TP_CALL(s->k, channel_asum_f32)(score, d, positions, p->rows);
    for (uint32_t c = 0; TP_ANY_SCORES != 0 && c < p->rows && policy->score != NULL; c++) {
        const tp_layer_ops *ops = tp_layer_find(p->node.op);
        const float *w = tp_tensor_f32(tp_home(s, p), &p->tensor[0]) + (size_t)c * p->row_len;
        float weights = ops->row_l1 != NULL ? ops->row_l1(s, p, c) : TP_CALL(s->k, asum_f32)(w, p->row_len);
        tp_channel channel = {p->layer, c, score[c], weights};
        score[c] = policy->score(&s->plan->recipe.policy_params, tp_arena_f32(s->arena, p->policy), &channel);
    }
    (void)TP_CALL(s->k, top_f32)(score, p->rows, keep);
    TP_CALL(s->k, mask_channels_f32)(d, score, positions, p->rows);
}

/* What stays is counted on the way, or not (TP_UNCOUNTED). */
#define TP_UNCOUNTED 0xffffffffu
static uint32_t tp_select_rows(const tp_step *s, const tp_plan_node *p, float *d, uint32_t keep, void *scratch) {
    if (keep == 0) {
        TP_MEMSET(d, 0, (size_t)p->n_out * sizeof(float));
    } else if (keep < p->n_select && p->select == TP_SELECT_CHANNEL) {
        tp_select_channels(s, p, d, keep, (float *)scratch);
    } else if (keep < p->n_select) {
        return TP_CALL(s->k, top_f32)(d, p->n_out, keep);
    }
    return TP_UNCOUNTED;
}
