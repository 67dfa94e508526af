/* SPDX-License-Identifier: Apache-2.0 */
/* The head of the training state in the arena; policy and optimizer words follow it. */
#ifndef TINYPROP_TP_STATE_H
#define TINYPROP_TP_STATE_H

#include "tp_base.h"

typedef struct tp_state {
    tp_progress progress;
} tp_state;

_Static_assert(sizeof(tp_state) == 32, "the training state is part of the file format");

/* Phases of a step, in their order; a forward pass alone has the first. */
enum { TP_STEP_NONE, TP_STEP_FORWARD, TP_STEP_DECIDE, TP_STEP_RUN, TP_STEP_BACKWARD, TP_STEP_GRADIENT, TP_STEP_UPDATE };

/* Stages of a node going backward. */
enum { TP_STAGE_CHECK, TP_STAGE_ERRORS, TP_STAGE_GRADIENT, TP_STAGE_ADD };

TP_INLINE tp_state *tp_net_state(const tp_net *net) {
    return (tp_state *)(void *)(net->arena + net->plan->state_at);
}

TP_INLINE float *tp_arena_f32(const uint8_t *arena, uint32_t offset) {
    return (float *)(void *)(uintptr_t)(arena + offset);
}

/* Of the samples of this pass: their losses, and the sums|delta| of the weight layer whose turn it is. */
TP_INLINE float *tp_step_loss(const tp_step *s) { return tp_arena_f32(s->arena, s->plan->outcome_at) + s->first; }
TP_INLINE float *tp_step_l1(const tp_step *s) { return tp_step_loss(s) + s->plan->options.samples; }

/* Gradient rows that are computed together where there is no buffer for all of them. */
TP_INLINE uint32_t tp_plan_gradient_block(const tp_plan *plan, const tp_plan_node *p) { return tp_min_u32(plan->options.packing != 0 || p->row_len <= 16u ? 8u : 1u, p->rows); }

/* Do gradients come after all errors, so that a batch that fails has changed nothing? With batches of one sample rows move at once. */
TP_INLINE bool tp_plan_late(const tp_plan *plan) { return plan->options.samples > 1 && plan->recipe.batch > 1; }

/* Bytes of one mark a row. */
TP_INLINE uint32_t tp_plan_marks(const tp_plan_node *p, bool *overflow) { return tp_align_up(tp_mul(p->rows, 4, overflow), 16, overflow); }

#endif /* TINYPROP_TP_STATE_H */
