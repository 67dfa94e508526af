/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of int8 in fixed point, as TFLite's reference computes it (gemmlowp's exp and reciprocal): output scale 1/256, zero -128.
 * For inference: training has the loss's own softmax. Qn: n integer bits, 31 - n behind the point. */
#include "tp_layer_s8.h"

static tp_status tp_softmax_s8_shape(tp_plan_node *p, const tp_shape *in1) {
    if (p->yq.scale != 1.0f / 256.0f || p->yq.zero != -128 || p->in.h != 1 || p->in.w != 1) { return TP_E_MODEL; }
    double rescale = (double)p->xq[0].scale * (double)(1 << 26);
    if (!(rescale > 1.0)) { return TP_E_MODEL; }
    tp_fixed_point(rescale < 0x7fffffff ? rescale : 0x7fffffff, &p->fixed[0], &p->fixed[1]);
    p->fixed[2] = -(int32_t)(((int64_t)31 << 26) >> p->fixed[1]); /* differences below give 0 */
    return tp_act_shape(p, in1);
}

/* exp(x) in Q0 for x in [-1/4, 0): its Taylor polynomial about -1/8. */
static int32_t tp_softmax_exp_near(int32_t x) {
    const int32_t center = 1895147668, third = 715827883; /* exp(-1/8), 1/3 */
    x += 1 << 28;
    int32_t x2 = tp_fixed_mul(x, x), x3 = tp_fixed_mul(x2, x), x4 = tp_fixed_mul(x2, x2);
    int32_t rest = tp_fixed_shift(tp_fixed_mul(tp_fixed_shift(x4, 2) + x3, third) + x2, 1);
    return center + tp_fixed_mul(center, x + rest);
}

/* exp(x) in Q0 for x <= 0 in Q5: that of the rest of a quarter, times exp(-2^e) for every bit 2^e of the quarters. */
static int32_t tp_softmax_exp(int32_t x) {
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
static int32_t tp_softmax_reciprocal(int32_t x) {
    int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t y = 1515870810 + tp_fixed_mul(half, -1010580540); /* 48/17 - 32/17 half */
    for (uint32_t i = 0; i < 3; i++) {
        int32_t off = (1 << 29) - tp_fixed_mul(half, y);
        y += tp_fixed_raise(tp_fixed_mul(y, off), 2);
    }
    return tp_fixed_raise(y, 1);
}

static void tp_softmax_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    const int8_t *x = a->x[0];
    int8_t *y = a->y;
    int32_t most = -128, sum = 0;
    for (uint32_t i = 0; i < p->n_out; i++) { most = x[i] > most ? x[i] : most; }
    for (uint32_t i = 0; i < p->n_out; i++) {
        int32_t off = x[i] - most;
        if (off < p->fixed[2]) { continue; }
        sum += tp_fixed_shift(tp_softmax_exp(tp_fixed_mul((int32_t)((uint32_t)off << p->fixed[1]), p->fixed[0])), 12);
    }
    uint32_t room = 0; /* leading zeros: sum >= 1 in Q12 */
    while ((uint32_t)sum << room < 0x80000000u) { room++; }
    int32_t scale = tp_softmax_reciprocal((int32_t)(((uint32_t)sum << room) - 0x80000000u));
    for (uint32_t i = 0; i < p->n_out; i++) {
        int32_t off = x[i] - most, value = -128;
        if (off >= p->fixed[2]) {
            int32_t e = tp_softmax_exp(tp_fixed_mul((int32_t)((uint32_t)off << p->fixed[1]), p->fixed[0]));
            value += tp_fixed_shift(tp_fixed_mul(scale, e), 12 - (int32_t)room + 31 - 8);
        }
        y[i] = (int8_t)(value > 127 ? 127 : value);
    }
}

TP_OPTIONAL tp_layer_ops tp_layer_softmax_s8 = {
    .name = "softmax_s8", .inputs = 1, .flags = TP_LAYER_X_S8 | TP_LAYER_Y_S8,
    .shape = tp_softmax_s8_shape, .forward = tp_softmax_s8_forward,
};
