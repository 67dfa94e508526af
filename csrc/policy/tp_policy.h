/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of a policy: a summary of the error in, a row budget out. It never sees a tensor. */
#ifndef TINYPROP_TP_POLICY_H
#define TINYPROP_TP_POLICY_H

#include "../core/tp_base.h"

/* One weight layer's error, as far as a policy may know it. */
typedef struct tp_delta {
    uint32_t rows;      /* N */
    uint32_t layer;     /* from the input, 0 .. layers - 1 */
    uint32_t layers;    /* L */
    float l1;           /* Y = sum|delta| */
    float zpow;         /* zeta^(L - l) */
    float bound;        /* analytic maximum of Y; 0: none */
    float loss;
    uint64_t sample;
} tp_delta;

/* The outcome of a forward pass. */
typedef struct tp_outcome {
    float loss;
    float alpha;        /* sum|delta^L| */
    float theta, bound; /* from the plan */
    uint64_t sample;
} tp_outcome;

/* One output channel, for policies that rank channels their own way. */
typedef struct tp_channel {
    uint32_t layer, channel;
    float l1;           /* sum|delta| over its map */
    float weight_l1;    /* sum|w| of its row */
} tp_channel;

/* State words are f32 or u32; they start at 0 and are part of every checkpoint. Word 0 of a layer is its running
 * maximum where the policy has one (shown by traces). */
typedef struct tp_policy_ops {
    const char *name;
    uint32_t layer_words, net_words; /* 4-byte words of state per weight layer, per net */
    bool zeros;                      /* does the work of zero rows too (the `dense` baseline) */
    /* Are its parameters valid? NULL: it has none. */
    bool (*check)(const tp_policy_params *p);
    /* Train this sample at all? NULL: always. */
    bool (*learn)(const tp_policy_params *p, float *net_state, const tp_outcome *o);
    /* Rows to keep, 0 .. rows. 0: no update here and no error below. */
    uint32_t (*budget)(const tp_policy_params *p, float *layer_state, const tp_delta *d);
    /* Rank of a channel in channel mode; 0 is never kept. NULL: its l1. */
    float (*score)(const tp_policy_params *p, const float *layer_state, const tp_channel *c);
    /* Per weight layer, at the borders of an epoch. NULL: nothing to do. */
    void (*epoch_begin)(const tp_policy_params *p, float *layer_state);
    void (*epoch_end)(const tp_policy_params *p, float *layer_state);
} tp_policy_ops;

static const tp_policy_ops *tp_policy_find(uint32_t id);

/* k = clamp(floor(share * n), 1, n) in f32 (docs/ALGORITHM.md). A share of NaN (state from a damaged file) gives 1. */
TP_INLINE uint32_t tp_policy_rows(float share, uint32_t n) {
    float rows = share * (float)n;
    return rows >= 1.0f ? tp_min_u32((uint32_t)rows, n) : 1u;
}

#endif /* TINYPROP_TP_POLICY_H */
