/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of a loss: one tp_loss_ops per row of tp_loss_list.h. */
#ifndef TINYPROP_TP_LOSS_H
#define TINYPROP_TP_LOSS_H

#include "../kernel/tp_kernel.h"

typedef struct tp_truth {
    uint32_t label;      /* if the loss takes labels */
    const float *target; /* else n values */
} tp_truth;

typedef struct tp_loss_ops {
    const char *name;
    bool labels; /* class labels, not targets */
    /* Largest possible sum|d| over n outputs; 0: unbounded. NULL: unbounded. */
    float (*bound)(uint32_t n);
    /* Loss of outputs z; d = dLoss/dz and *l1 = sum|d| (NULL: not wanted). *correct: the prediction is right. */
    float (*eval)(const tp_kernels *k, const float *z, float *d, float *l1, uint32_t n, const tp_truth *truth, bool *correct);
    void (*probabilities)(const tp_kernels *k, float *p, const float *z, uint32_t n);
    /* A target in range? NULL: any finite number. */
    bool (*target_ok)(float target);
} tp_loss_ops;

static const tp_loss_ops *tp_loss_find(uint32_t id);

#endif /* TINYPROP_TP_LOSS_H */
