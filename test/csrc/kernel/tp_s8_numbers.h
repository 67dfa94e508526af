/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of int8 kernels: what networks hold, and the ends of every range. Include after tp_test.h. */
#ifndef TINYPROP_TP_S8_NUMBERS_H
#define TINYPROP_TP_S8_NUMBERS_H

/* PLAIN: everything. WILD: both ends and 0. TIES: -1, 0, 1; sometimes all -128. */
static void tp_fill_s8(int8_t *x, uint32_t n, uint32_t kind) {
    static const int8_t ends[4] = {-128, 127, -127, 0};
    bool all = tp_random_below(4) == 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t r = tp_random();
        x[i] = kind == TP_KIND_PLAIN ? (int8_t)((int32_t)(r >> 24) - 128) : kind == TP_KIND_WILD ? ends[r >> 30] : all ? (int8_t)-128 : (int8_t)((int32_t)((r >> 8) % 3u) - 1);
    }
}

/* PLAIN: as large as the sum of a layer. WILD: any, so that sums wrap. TIES: small. */
static void tp_fill_s32(int32_t *x, uint32_t n, uint32_t kind) {
    for (uint32_t i = 0; i < n; i++) {
        int32_t r = (int32_t)tp_random();
        x[i] = kind == TP_KIND_PLAIN ? r >> 14 : kind == TP_KIND_WILD ? r : r >> 27;
    }
}

static int32_t tp_zero_s8(void) {
    static const int32_t often[4] = {-128, 0, 127, -1};
    uint32_t r = tp_random_below(8);
    return r < 4 ? often[r] : (int32_t)tp_random_below(256) - 128;
}

/* Half or more, as TensorFlow Lite makes them, the smallest and the largest, 0; mostly shifts that leave something. */
static void tp_fill_requant(int32_t *multiplier, int32_t *shift, uint32_t n, uint32_t kind) {
    static const int32_t ends[4] = {INT32_MAX, 1 << 30, 0, 1};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t r = tp_random_below(16);
        multiplier[i] = kind == TP_KIND_PLAIN || r >= 4u ? (int32_t)(0x40000000u | tp_random() >> 2) : ends[r];
        if (kind == TP_KIND_TIES && r % 2u == 0) { multiplier[i] = 1 << 30; }
        shift[i] = kind == TP_KIND_WILD ? (int32_t)tp_random_below(40) - 31 : kind == TP_KIND_TIES ? (int32_t)tp_random_below(6) - 4 : -(int32_t)tp_random_below(13);
    }
}

/* The numbers of a requantisation but its multipliers and shifts. */
static tp_requant tp_requant_of(const int32_t *multiplier, const int32_t *shift, bool clamped) {
    tp_requant q = {multiplier, shift, tp_zero_s8(), tp_zero_s8(), -128, 127};
    if (clamped) {
        q.lo = -128 + (int32_t)tp_random_below(150);
        q.hi = q.lo + (int32_t)tp_random_below((uint32_t)(128 - q.lo));
    }
    return q;
}

#endif /* TINYPROP_TP_S8_NUMBERS_H */
