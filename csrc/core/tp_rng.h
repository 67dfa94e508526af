/* SPDX-License-Identifier: Apache-2.0 */
/* Philox4x32-10 (Salmon et al., SC 2011): a counter-based generator, the same stream on every machine. */
#ifndef TINYPROP_TP_RNG_H
#define TINYPROP_TP_RNG_H

#include "tp_base.h"

/* What a stream is for: part of the counter, so that no two uses ever share numbers. */
enum { TP_RNG_INIT = 1, TP_RNG_SHUFFLE = 2, TP_RNG_DROPOUT = 3, TP_RNG_ROUND = 4, TP_RNG_POLICY = 5 };

typedef struct tp_rng_block {
    uint32_t word[4];
} tp_rng_block;

#define TP_PHILOX_FACTOR0 0xd2511f53u
#define TP_PHILOX_FACTOR1 0xcd9e8d57u
#define TP_PHILOX_STEP0 0x9e3779b9u
#define TP_PHILOX_STEP1 0xbb67ae85u

TP_INLINE tp_rng_block tp_philox(tp_rng_block counter, uint32_t key0, uint32_t key1) {
    for (uint32_t round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)TP_PHILOX_FACTOR0 * counter.word[0];
        uint64_t p1 = (uint64_t)TP_PHILOX_FACTOR1 * counter.word[2];
        tp_rng_block next;
        next.word[0] = (uint32_t)(p1 >> 32) ^ counter.word[1] ^ key0;
        next.word[1] = (uint32_t)p1;
        next.word[2] = (uint32_t)(p0 >> 32) ^ counter.word[3] ^ key1;
        next.word[3] = (uint32_t)p0;
        counter = next;
        key0 += TP_PHILOX_STEP0;
        key1 += TP_PHILOX_STEP1;
    }
    return counter;
}

/* Four words number 4*block .. 4*block+3 of the stream (seed, purpose, layer, n). */
static tp_rng_block tp_rng(uint64_t seed, uint32_t purpose, uint32_t layer, uint64_t n, uint32_t block) {
    tp_rng_block counter = {{block, (uint32_t)n, (uint32_t)(n >> 32), purpose << 24 | layer}};
    return tp_philox(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
}

/* Uniform in [0, 1): 24 bits, exact. */
TP_INLINE float tp_rng_unit(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

#endif /* TINYPROP_TP_RNG_H */
