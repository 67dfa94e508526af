/* SPDX-License-Identifier: Apache-2.0 */
/* The head of the training state in the arena; policy and optimizer words follow it. */
#ifndef TINYPROP_TP_STATE_H
#define TINYPROP_TP_STATE_H

#include "tp_base.h"

typedef struct tp_state {
    tp_progress progress;
} tp_state;

_Static_assert(sizeof(tp_state) == 32, "the training state is part of the file format");

TP_INLINE tp_state *tp_net_state(const tp_net *net) {
    return (tp_state *)(void *)(net->arena + net->plan->state_at);
}

TP_INLINE float *tp_arena_f32(const uint8_t *arena, uint32_t offset) {
    return (float *)(void *)(uintptr_t)(arena + offset);
}

#endif /* TINYPROP_TP_STATE_H */
