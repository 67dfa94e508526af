/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of an optimizer: updates one row of weights from its summed gradient. */
#ifndef TINYPROP_TP_OPTIM_H
#define TINYPROP_TP_OPTIM_H

#include "../kernel/tp_kernel.h"

/* One row to update. The bias vector is row number `rows` of its layer. */
typedef struct tp_update {
    const tp_kernels *k;
    float *w;
    const float *g;     /* sum over the batch, accumulated from +0 */
    uint32_t n;
    uint32_t row, rows, row_len;
    float lr_batch;     /* lr / batch, rounded once */
    float momentum;
    uint32_t update;    /* number of this optimizer step, from 1 */
    uint32_t *state;    /* of the layer */
} tp_update;

typedef struct tp_optim_ops {
    const char *name;
    bool plain; /* w -= lr g and no state: batch 1 may fuse it into the backward pass */
    /* 4-byte words of state for a layer of `rows` rows and a bias of `bias` elements. NULL: none. */
    uint32_t (*words)(uint32_t rows, uint32_t row_len, uint32_t bias, bool *overflow);
    void (*row)(const tp_update *u);
} tp_optim_ops;

static const tp_optim_ops *tp_optim_find(uint32_t id);

#endif /* TINYPROP_TP_OPTIM_H */
