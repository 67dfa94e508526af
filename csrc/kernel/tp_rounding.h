/* SPDX-License-Identifier: Apache-2.0 */
/* Whole numbers from reals, for updates of int8 weights and their biases: at random (16 bits a number), to the nearest, or with what is
 * left carried on. */
#ifndef TINYPROP_TP_ROUNDING_H
#define TINYPROP_TP_ROUNDING_H

#include "../core/tp_rng.h"

/* Number i of a row takes half i mod 2 of word i / 2 mod 4 of block `block` + i / 8 of the stream (seed, node, update). */
typedef struct tp_rounding {
    uint64_t seed, update;
    uint32_t node, block;
    float *carry; /* of the row, between its numbers too; NULL: nothing is carried on */
    bool nearest;
} tp_rounding;

TP_INLINE float tp_limit(float x, float limit) { return x > limit ? limit : x > -limit ? x : -limit; }

TP_INLINE float tp_floor(float x) {
    float whole = (float)(int32_t)x;
    return whole > x ? whole - 1.0f : whole;
}

/* Number i of a row, in order; |x| < 2^30. *r: the block of random words at hand. */
TP_INLINE float tp_rounding_next(const tp_rounding *q, tp_rng_block *r, uint32_t i, float x) {
    if (q->carry != NULL) {
        float t = x + *q->carry, whole = tp_floor(t + 0.5f);
        *q->carry = t - whole;
        return whole;
    }
    if (q->nearest) { return tp_floor(x + 0.5f); }
    if (i % 8u == 0) { *r = tp_rng(q->seed, TP_RNG_ROUND, q->node, q->update, q->block + i / 8u); }
    return tp_floor(x + (float)(r->word[i % 8u / 2u] >> i % 2u * 16u & 0xffffu) * 0x1p-16f);
}

#endif /* TINYPROP_TP_ROUNDING_H */
