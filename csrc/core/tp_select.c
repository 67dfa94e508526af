/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the k largest |delta| and sets the rest to zero. O(n), no sort, no memory: a search on the float bits. */
#include "tp_base.h"
#include "tp_state.h"

/* Masks x to its k largest |x|; ties: the lower index; zeros are never kept. */
static void tp_select_top(const tp_kernels *k, float *x, uint32_t n, uint32_t keep) {
    uint32_t above = k->count_above_f32(x, 0, n);
    if (above <= keep) { return; }
    /* count(bits > low) > keep >= count(bits > high) */
    uint32_t low = 0, high = k->max_bits_f32(x, n), above_high = 0;
    while (high - low > 1u) {
        uint32_t middle = low + (high - low) / 2u;
        above = k->count_above_f32(x, middle, n);
        if (above > keep) {
            low = middle;
        } else {
            high = middle;
            above_high = above;
            if (above == keep) { break; }
        }
    }
    k->mask_f32(x, high, keep - above_high, n);
}

/* Whole channels by score, ties to the lower one. */
static void tp_select_channels(const tp_step *s, const tp_plan_node *p, float *d, uint32_t keep, float *score) {
    const tp_policy_ops *policy = tp_policy_find(s->plan->recipe.policy);
    uint32_t positions = p->n_out / p->rows;
    s->k->channel_asum_f32(score, d, positions, p->rows);
    for (uint32_t c = 0; c < p->rows && policy->score != NULL; c++) {
        const float *w = tp_tensor_f32(s->arena, &p->tensor[0]) + (size_t)c * p->row_len;
        tp_channel channel = {p->layer, c, score[c], s->k->asum_f32(w, p->row_len)};
        score[c] = policy->score(&s->plan->recipe.policy_params, tp_arena_f32(s->arena, p->policy), &channel);
    }
    tp_select_top(s->k, score, p->rows, keep);
    for (uint32_t i = 0; i < p->n_out; i += p->rows) {
        for (uint32_t c = 0; c < p->rows; c++) { d[i + c] = score[c] != 0.0f ? d[i + c] : 0.0f; }
    }
}

static void tp_select_rows(const tp_step *s, const tp_plan_node *p, float *d, uint32_t keep, void *scratch) {
    if (keep == 0) {
        TP_MEMSET(d, 0, (size_t)p->n_out * sizeof(float));
    } else if (keep < p->n_select && p->select == TP_SELECT_CHANNEL) {
        tp_select_channels(s, p, d, keep, (float *)scratch);
    } else if (keep < p->n_select) {
        tp_select_top(s->k, d, p->n_out, keep);
    }
}
