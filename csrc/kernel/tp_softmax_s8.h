/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of int8 in fixed point, as TFLite's reference computes it (gemmlowp's exp and reciprocal): output scale 1/256, zero -128.
 * Qn: n integer bits, 31 - n behind the point. */
#ifndef TINYPROP_TP_SOFTMAX_S8_H
#define TINYPROP_TP_SOFTMAX_S8_H

#include "../core/tp_base.h"

/* What a difference of inputs is in Q5: shifted left, then times multiplier / 2^31; differences below `least` give 0. */
typedef struct tp_softmax_s8 {
    int32_t multiplier, shift, least;
} tp_softmax_s8;

/* (a * b * 2) >> 32, rounded; as gemmlowp's SaturatingRoundingDoublingHighMul. */
TP_INLINE int32_t tp_fixed_mul(int32_t a, int32_t b) {
    if (a == b && a == INT32_MIN) { return INT32_MAX; }
    int64_t product = (int64_t)a * b;
    return (int32_t)((product + (product >= 0 ? 1 << 30 : 1 - (1 << 30))) / ((int64_t)1 << 31));
}

/* x / 2^by, halves away from zero. */
TP_INLINE int32_t tp_fixed_shift(int32_t x, int32_t by) {
    if (by > 31) { return 0; }
    int32_t mask = (int32_t)(((int64_t)1 << by) - 1), rest = x & mask;
    return (x >> by) + (rest > (mask >> 1) + (x < 0 ? 1 : 0) ? 1 : 0);
}

/* x * 2^by, saturated. */
TP_INLINE int32_t tp_fixed_raise(int32_t x, int32_t by) {
    int64_t wide = (int64_t)x * ((int64_t)1 << by);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* exp(x) in Q0 for x in [-1/4, 0): its Taylor polynomial about -1/8. */
static __attribute__((unused)) int32_t tp_softmax_exp_near(int32_t x) {
    const int32_t center = 1895147668, third = 715827883; /* exp(-1/8), 1/3 */
    x += 1 << 28;
    int32_t x2 = tp_fixed_mul(x, x), x3 = tp_fixed_mul(x2, x), x4 = tp_fixed_mul(x2, x2);
    int32_t rest = tp_fixed_shift(tp_fixed_mul(tp_fixed_shift(x4, 2) + x3, third) + x2, 1);
    return center + tp_fixed_mul(center, x + rest);
}

/* exp(x) in Q0 for x <= 0 in Q5: that of the rest of a quarter, times exp(-2^e) for every bit 2^e of the quarters. */
static __attribute__((unused)) int32_t tp_softmax_exp(int32_t x) {
    static const int32_t factor[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242}; /* e = -2 .. 4 */
    const int32_t quarter = 1 << 24;
    if (x == 0) { return INT32_MAX; }
    int32_t rest = (x & (quarter - 1)) - quarter, quarters = rest - x;
    int32_t y = tp_softmax_exp_near(tp_fixed_raise(rest, 5));
    for (uint32_t i = 0; i < 7; i++) {
        if ((quarters & quarter << i) != 0) { y = tp_fixed_mul(y, factor[i]); }
    }
    return y;
}

/* 1 / (1 + x) in Q0 for x in [0, 1) in Q0: three steps of Newton and Raphson for the reciprocal of (1 + x) / 2, in Q2. */
static __attribute__((unused)) int32_t tp_softmax_reciprocal(int32_t x) {
    int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t y = 1515870810 + tp_fixed_mul(half, -1010580540); /* 48/17 - 32/17 half */
    for (uint32_t i = 0; i < 3; i++) {
        int32_t off = (1 << 29) - tp_fixed_mul(half, y);
        y += tp_fixed_raise(tp_fixed_mul(y, off), 2);
    }
    return tp_fixed_raise(y, 1);
}

static __attribute__((unused)) void tp_softmax_of_s8(int8_t *y, const int8_t *x, const tp_softmax_s8 *q, uint32_t n) {
    int32_t most = -128;
    uint32_t sum = 0, room = 0; /* leading zeros: sum >= 1 in Q12 */
    for (uint32_t i = 0; i < n; i++) { most = x[i] > most ? x[i] : most; }
    for (uint32_t i = 0; i < n; i++) {
        int32_t off = x[i] - most;
        if (off < q->least) { continue; }
        sum += (uint32_t)tp_fixed_shift(tp_softmax_exp(tp_fixed_mul((int32_t)((uint32_t)off << q->shift), q->multiplier)), 12);
        sum = tp_min_u32(sum, INT32_MAX); /* from 4,096 inputs on */
    }
    while (sum << room < 0x80000000u) { room++; }
    int32_t scale = tp_softmax_reciprocal((int32_t)((sum << room) - 0x80000000u));
    for (uint32_t i = 0; i < n; i++) {
        int32_t off = x[i] - most, value = -128;
        if (off >= q->least) {
            int32_t e = tp_softmax_exp(tp_fixed_mul((int32_t)((uint32_t)off << q->shift), q->multiplier));
            value += tp_fixed_shift(tp_fixed_mul(scale, e), 12 - (int32_t)room + 31 - 8);
        }
        y[i] = (int8_t)(value > 127 ? 127 : value);
    }
}

#endif /* TINYPROP_TP_SOFTMAX_S8_H */
