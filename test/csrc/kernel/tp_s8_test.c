/* SPDX-License-Identifier: Apache-2.0 */
/* int8 kernels of every instruction set against TensorFlow Lite's specification, written down anew: gemmlowp's two roundings, sums
 * in 64 bits, one output after the other. Exact; the ends of every range are among the operands. */
#include "../../../csrc/tinyprop.c"

#include "../tp_test.h"
#include "tp_s8_numbers.h"

enum { TP_ROOM = 1 << 15, TP_SOFTMAX = 4200 };

static int8_t tp_x[TP_ROOM], tp_w[TP_ROOM], tp_got[TP_ROOM], tp_want[TP_ROOM];
static int32_t tp_b[1024], tp_multiplier[1024], tp_shift[1024];
static float tp_d[TP_ROOM], tp_scale[1024], tp_got_f32[TP_ROOM], tp_want_f32[TP_ROOM];
static uint32_t tp_scratch[4 * TP_ROOM];
static const tp_kernels *tp_under_test;

/* --- the specification --- */

static int32_t tp_spec_wrap(int64_t a) { return (int32_t)(uint32_t)(uint64_t)a; }

/* SaturatingRoundingDoublingHighMul */
static int32_t tp_spec_high_mul(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) { return INT32_MAX; }
    int64_t product = (int64_t)a * b;
    int64_t nudge = product >= 0 ? 1 << 30 : 1 - (1 << 30);
    return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}

/* RoundingDivideByPOT: half away from zero */
static int32_t tp_spec_divide(int32_t a, int32_t exponent) {
    int64_t power = (int64_t)1 << exponent, size = a < 0 ? -(int64_t)a : a;
    int64_t quotient = (2 * size + power) / (2 * power);
    return (int32_t)(a < 0 ? -quotient : quotient);
}

/* MultiplyByQuantizedMultiplier */
static int32_t tp_spec_multiply(int32_t a, int32_t multiplier, int32_t shift) {
    int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    return tp_spec_divide(tp_spec_high_mul(tp_spec_wrap((int64_t)a * ((int64_t)1 << left)), multiplier), right);
}

static int8_t tp_spec_output(int64_t sum, const tp_requant *q, uint32_t o) {
    int32_t y = tp_spec_wrap((int64_t)tp_spec_multiply(tp_spec_wrap(sum), q->multiplier[o], q->shift[o]) + q->y_zero);
    return (int8_t)(y < q->lo ? q->lo : y > q->hi ? q->hi : y);
}

/* The input at padded coordinates, minus its zero point: 0 outside. */
static int64_t tp_spec_input(const tp_conv *g, const int8_t *x, int32_t zero, uint32_t y, uint32_t xx, uint32_t c) {
    int64_t iy = (int64_t)y - g->pad_top, ix = (int64_t)xx - g->pad_left;
    if (iy < 0 || ix < 0 || iy >= g->h || ix >= g->w) { return 0; }
    return x[((size_t)iy * g->w + (size_t)ix) * g->c_in + c] - zero;
}

/* A convolution's groups: 1, or its inputs and depthwise weights. One input channel may be either. */
static bool tp_is_depthwise;

/* Index of weight (o, ky, kx, c of the group) */
static size_t tp_spec_weight(const tp_conv *g, uint32_t o, uint32_t ky, uint32_t kx, uint32_t c) {
    size_t tap = ky * g->kw + kx;
    return tp_is_depthwise ? tap * g->c_out + o : (o * (size_t)(g->kh * g->kw) + tap) * g->c_in + c;
}

static uint32_t tp_spec_channel(const tp_conv *g, uint32_t o, uint32_t c) { return tp_is_depthwise ? o / (g->c_out / g->c_in) : c; }

static void tp_spec_conv(const tp_conv *g, int8_t *y, const int8_t *x, const int8_t *w, const int32_t *b, const tp_requant *q) {
    uint32_t cg = g->c_in / g->groups;
    for (uint32_t i = 0; i < g->oh * g->ow * g->c_out; i++) {
        uint32_t o = i % g->c_out, ox = i / g->c_out % g->ow, oy = i / g->c_out / g->ow;
        int64_t sum = b[o];
        for (uint32_t t = 0; t < g->kh * g->kw * cg; t++) {
            uint32_t c = t % cg, kx = t / cg % g->kw, ky = t / cg / g->kw;
            sum += tp_spec_input(g, x, q->x_zero, oy * g->sh + ky, ox * g->sw + kx, tp_spec_channel(g, o, c)) * w[tp_spec_weight(g, o, ky, kx, c)];
        }
        y[i] = tp_spec_output(sum, q, o);
    }
}

/* --- requantisation alone --- */

static void tp_requantisation(void) {
    static const int32_t sums[12] = {0, 1, -1, 2, -2, INT32_MAX, INT32_MIN, INT32_MIN + 1, 1 << 30, -(1 << 30), 3, -3};
    static const int32_t multipliers[6] = {INT32_MAX, 1 << 30, (1 << 30) + 1, 0, 1, 0x5a827999};
    for (uint32_t i = 0; i < 12 * 6 * 62; i++) {
        int32_t a = sums[i % 12u], m = multipliers[i / 12u % 6u], s = (int32_t)(i / 72u) - 31;
        TP_CHECKF(tp_requantize(a, m, s) == tp_spec_multiply(a, m, s), "%d times %d, shift %d", a, m, s);
    }
    tp_random_state = 3;
    for (uint32_t i = 0; i < 1000000; i++) {
        int32_t a = (int32_t)tp_random() >> tp_random_below(31), m, s;
        tp_fill_requant(&m, &s, 1, i % TP_KINDS);
        TP_CHECKF(tp_requantize(a, m, s) == tp_spec_multiply(a, m, s), "%d times %d, shift %d", a, m, s);
    }
}

/* --- layers --- */

static tp_requant tp_operands(const tp_conv *g, uint32_t n, uint32_t i) {
    uint32_t n_x = n * g->h * g->w * g->c_in, n_w = g->c_out * g->kh * g->kw * (g->c_in / g->groups);
    if (n_x > TP_ROOM || n_w > TP_ROOM || g->c_out > 1024u || n * g->oh * g->ow * g->c_out > TP_ROOM) { abort(); }
    tp_fill_s8(tp_x, n_x, i % TP_KINDS);
    tp_fill_s8(tp_w, n_w, i / 3u % TP_KINDS);
    tp_fill_s32(tp_b, g->c_out, i % TP_KINDS);
    tp_fill_requant(tp_multiplier, tp_shift, g->c_out, i / 9u % TP_KINDS);
    memset(tp_scratch, 0xff, sizeof tp_scratch);
    if (tp_conv_s8_scratch(g) > TP_ROOM) { abort(); }
    return tp_requant_of(tp_multiplier, tp_shift, i % 2u == 0);
}

static void tp_compare_conv(const tp_conv *g, uint32_t i) {
    uint32_t n_y = g->oh * g->ow * g->c_out, n_x = g->h * g->w * g->c_in, *room = i % 5u == 4u ? NULL : tp_scratch;
    tp_requant q = tp_operands(g, 2, i);
    tp_spec_conv(g, tp_want, tp_x, tp_w, tp_b, &q);
    tp_spec_conv(g, tp_want + n_y, tp_x + n_x, tp_w, tp_b, &q);
    memset(tp_got, 0x55, sizeof tp_got);
    if (tp_is_depthwise) {
        tp_under_test->depthwise_s8(g, 2, tp_got, tp_x, tp_w, tp_b, &q, room);
    } else {
        tp_under_test->conv_s8(g, 2, tp_got, tp_x, tp_w, tp_b, &q, room);
    }
    TP_CHECKF(memcmp(tp_got, tp_want, 2u * n_y) == 0, "case %u: %u x %u x %u, %u x %u -> %u", i, g->h, g->w, g->c_in, g->kh, g->kw, g->c_out);
}

static void tp_dense(void) {
    tp_is_depthwise = false;
    tp_random_state = 5;
    for (uint32_t i = 0; i < 400; i++) {
        tp_conv g = {1, 1, 1u + tp_random_below(i % 4u == 0 ? 700u : 90u), 1, 1, 1u + tp_random_below(40), 1, 1, 1, 1, 0, 0, 1};
        tp_requant q = tp_operands(&g, 3, i);
        for (uint32_t s = 0; s < 3; s++) { tp_spec_conv(&g, tp_want + s * g.c_out, tp_x + s * g.c_in, tp_w, tp_b, &q); }
        tp_under_test->dense_s8(tp_got, tp_w, tp_x, tp_b, &q, g.c_out, g.c_in, 1u + i % 3u);
        TP_CHECKF(memcmp(tp_got, tp_want, (1u + i % 3u) * g.c_out) == 0, "case %u: %u -> %u", i, g.c_in, g.c_out);
    }
}

static tp_conv tp_random_geometry(uint32_t c_in, uint32_t c_out, uint32_t groups) {
    tp_conv g = {0, 0, c_in, 0, 0, c_out, 1u + tp_random_below(3), 1u + tp_random_below(4), 1u + tp_random_below(2), 1u + tp_random_below(3), 0, 0, groups};
    if (tp_random_below(4) == 0) { g.kh = g.kw = g.sh = g.sw = 1; }
    g.pad_top = tp_random_below(g.kh);
    g.pad_left = tp_random_below(g.kw);
    g.h = g.kh + tp_random_below(4);
    g.w = g.kw + tp_random_below(12);
    g.oh = (g.h + g.pad_top + tp_random_below(g.kh) - g.kh) / g.sh + 1u;
    g.ow = (g.w + g.pad_left + tp_random_below(g.kw) - g.kw) / g.sw + 1u;
    return g;
}

static void tp_convolutions(void) {
    tp_is_depthwise = false;
    tp_random_state = 6;
    for (uint32_t i = 0; i < 500; i++) {
        tp_conv g = tp_random_geometry(1u + tp_random_below(i % 2u == 0 ? 40u : 5u), 1u + tp_random_below(i % 3u == 0 ? 70u : 18u), 1);
        tp_compare_conv(&g, i);
    }
}

static void tp_depthwise(void) {
    tp_is_depthwise = true;
    tp_random_state = 7;
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t c = 1u + tp_random_below(i % 8u == 0 ? 130u : 36u), each = i % 4u == 3u ? 2u + tp_random_below(2) : 1u;
        tp_conv g = tp_random_geometry(c, c * each, c);
        tp_compare_conv(&g, i);
    }
}

/* --- poolings --- */

/* Of the elements of channel c under window (oy, ox) that are no padding. */
static void tp_spec_pool(const tp_conv *g, const int8_t *x, uint32_t oy, uint32_t ox, uint32_t c, int32_t *most, int32_t *sum, int32_t *count) {
    *most = -128, *sum = 0, *count = 0;
    for (uint32_t t = 0; t < g->kh * g->kw; t++) {
        int64_t iy = (int64_t)oy * g->sh + t / g->kw - g->pad_top, ix = (int64_t)ox * g->sw + t % g->kw - g->pad_left;
        if (iy < 0 || ix < 0 || iy >= g->h || ix >= g->w) { continue; }
        int32_t a = x[((size_t)iy * g->w + (size_t)ix) * g->c_in + c];
        *most = a > *most ? a : *most;
        *sum += a;
        *count += 1;
    }
}

static void tp_poolings(void) {
    tp_random_state = 11;
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t channels = 1u + tp_random_below(i % 8u == 0 ? 130u : 36u);
        tp_conv g = tp_random_geometry(channels, channels, channels);
        if (i % 5u == 0) { g = (tp_conv){5, 5, channels, 1, 1, channels, 5, 5, 1, 1, 0, 0, channels}; } /* all of the map */
        uint32_t n_y = g.oh * g.ow * channels;
        tp_fill_s8(tp_x, g.h * g.w * channels, i % TP_KINDS);
        if (i % 50u == 7) { /* the largest sums of int16, and beyond */
            const uint32_t side = i % 100u == 7 ? 16 : 17;
            channels = 5;
            g = (tp_conv){16, side, 5, 1, 1, 5, 16, side, 1, 1, 0, 0, 5};
            n_y = 5;
            memset(tp_x, -128, (size_t)16 * side * 5);
        }
        memset(tp_got, 0x55, sizeof tp_got);
        tp_under_test->max_pool_s8(&g, tp_got, tp_x);
        for (uint32_t j = 0; j < n_y; j++) {
            int32_t most, sum, count;
            tp_spec_pool(&g, tp_x, j / channels / g.ow, j / channels % g.ow, j % channels, &most, &sum, &count);
            TP_CHECKF(tp_got[j] == most, "case %u: maximum %d became %d", i, most, tp_got[j]);
            tp_want[j] = (int8_t)((sum < 0 ? -1 : 1) * ((2 * (sum < 0 ? -sum : sum) + count) / (2 * count))); /* halves away from zero */
        }
        memset(tp_scratch, 0xff, sizeof tp_scratch);
        tp_under_test->avg_pool_s8(&g, tp_got, tp_x, tp_scratch);
        TP_CHECKF(memcmp(tp_got, tp_want, n_y) == 0, "case %u: mean of %u x %u", i, g.kh, g.kw);
    }
}

/* --- softmax: gemmlowp's exp_on_negative_values and one_over_one_plus_x_for_x_in_0_1 --- */

/* x 2^exponent, saturated */
static int32_t tp_spec_raise(int64_t x, int32_t exponent) {
    int64_t y = x * ((int64_t)1 << exponent);
    return y > INT32_MAX ? INT32_MAX : y < INT32_MIN ? INT32_MIN : (int32_t)y;
}

static int32_t tp_spec_exp(int32_t a) {
    static const int32_t power[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242}; /* exp(-1/4), exp(-1/2) .. */
    int32_t modulo = (a & 0xffffff) - 0x1000000, x = tp_spec_raise(modulo, 5) + (1 << 28);
    int32_t x2 = tp_spec_high_mul(x, x), x3 = tp_spec_high_mul(x2, x), x4 = tp_spec_high_mul(x2, x2);
    int32_t rest = tp_spec_divide(tp_spec_high_mul(tp_spec_divide(x4, 2) + x3, 715827883) + x2, 1);
    int32_t y = 1895147668 + tp_spec_high_mul(1895147668, x + rest);
    for (int32_t e = 0; e < 7; e++) { y = ((modulo - a) >> (24 + e) & 1) != 0 ? tp_spec_high_mul(y, power[e]) : y; }
    return a == 0 ? INT32_MAX : y;
}

static void tp_spec_softmax(int8_t *y, const int8_t *x, const tp_softmax_s8 *q, uint32_t n) {
    int32_t most = -128, zeros = 0, e[TP_SOFTMAX];
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) { most = x[i] > most ? x[i] : most; }
    for (uint32_t i = 0; i < n; i++) {
        e[i] = x[i] - most < q->least ? 0 : tp_spec_exp(tp_spec_high_mul(tp_spec_wrap((int64_t)(x[i] - most) * ((int64_t)1 << q->shift)), q->multiplier));
        sum += tp_spec_divide(e[i], 12);
    }
    sum = sum > INT32_MAX ? INT32_MAX : sum;
    while (sum << zeros < (int64_t)1 << 31) { zeros++; }
    int32_t half = (int32_t)((sum << zeros) / 2), r = 1515870810 + tp_spec_high_mul(half, -1010580540);
    for (uint32_t i = 0; i < 3; i++) { r += tp_spec_raise(tp_spec_high_mul(r, (1 << 29) - tp_spec_high_mul(half, r)), 2); }
    r = tp_spec_raise(r, 1);
    for (uint32_t i = 0; i < n; i++) {
        int32_t v = x[i] - most < q->least ? -128 : tp_spec_divide(tp_spec_high_mul(r, e[i]), 35 - zeros) - 128;
        y[i] = (int8_t)(v > 127 ? 127 : v);
    }
}

static void tp_softmaxes(void) {
    static const uint32_t size[4] = {12, 511, 1030, TP_SOFTMAX}; /* 511: the largest that CMSIS-NN gets */
    tp_random_state = 12;
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t n = i % 4u == 0 ? size[i / 4u % 4u] : 1u + tp_random_below(i % 4u == 1u ? 130u : 20u), span = 1u + tp_random_below(256);
        double scale = 1e-6 * (double)(1u << tp_random_below(24)) * (1.0 + (double)tp_random_below(1000) / 1000.0), real = scale * (1 << 26);
        tp_softmax_s8 q;
        tp_fixed_point(real < INT32_MAX ? real : INT32_MAX, &q.multiplier, &q.shift);
        q.least = -(int32_t)(((int64_t)31 << 26) >> q.shift);
        for (uint32_t j = 0; j < n; j++) { tp_x[j] = (int8_t)(127 - (int32_t)tp_random_below(i % 16u == 0 ? 1u : span)); } /* sometimes all equal */
        tp_spec_softmax(tp_want, tp_x, &q, n);
        tp_under_test->softmax_s8(tp_got, tp_x, &q, n);
        TP_CHECKF(memcmp(tp_got, tp_want, n) == 0, "case %u: %u inputs of scale %g", i, n, scale);
    }
}

/* --- element by element: every byte, every pair of bytes --- */

static void tp_elements(void) {
    static const float scale = 0.0235294122f;
    for (uint32_t i = 0; i < TP_ROOM; i++) { tp_x[i] = (int8_t)((int32_t)(i & 255u) - 128); }
    tp_under_test->clamp_s8(tp_got, tp_x, -100, 17, 256);
    tp_under_test->dequantize_s8(tp_got_f32, tp_x, scale, -7, 256);
    for (int32_t i = 0; i < 256; i++) {
        int32_t x = i - 128;
        TP_CHECK(tp_got[i] == (x < -100 ? -100 : x > 17 ? 17 : x));
        TP_CHECK(tp_got_f32[i] == (float)((double)scale * (x + 7)));
    }
    /* halves, their neighbours, and far beyond */
    for (int32_t i = 0; i < 2048; i++) { tp_d[i] = tp_f32_from_bits(tp_f32_bits(0.25f * (float)((i / 3 - 341) | 1)) + (uint32_t)(i % 3) - 1u); }
    tp_d[2048] = 3e38f, tp_d[2049] = -3e38f, tp_d[2050] = 0.0f, tp_d[2051] = -0.0f;
    tp_under_test->quantize_s8(tp_got, tp_d, 0.5f, 3, 2052);
    for (uint32_t i = 0; i < 2052; i++) {
        double v = (double)tp_d[i] / 0.5, size = v < 0 ? -v : v;
        int64_t whole = size > 1000.0 ? 1000 : (int64_t)(size + 0.5); /* exact in double */
        int64_t y = (v < 0 ? -whole : whole) + 3;
        TP_CHECKF(tp_got[i] == (y < -128 ? -128 : y > 127 ? 127 : y), "%a becomes %d", (double)tp_d[i], tp_got[i]);
    }
}

static void tp_sums(void) {
    tp_random_state = 8;
    for (uint32_t i = 0; i < 200; i++) {
        int32_t m[3], s[3];
        tp_fill_requant(m, s, 3, i % TP_KINDS);
        if (i % 4u != 0) { s[2] = -15 - s[2] > -32 ? -15 - s[2] : -31; }
        if (i % 4u > 1u) { /* as quantisers choose them: one 0, the other right */
            s[i % 2u] = 0;
            s[1u - i % 2u] = -(int32_t)tp_random_below(i % 5u + 1u);
        }
        tp_add_s8 q = {tp_zero_s8(), tp_zero_s8(), tp_zero_s8(), m[0], m[1], m[2], s[0], s[1], s[2]};
        uint32_t n = 1u + tp_random_below(600);
        tp_fill_s8(tp_x, n, i % TP_KINDS);
        tp_fill_s8(tp_w, n, i / 3u % TP_KINDS);
        tp_under_test->add_s8(tp_got, tp_x, tp_w, &q, n);
        for (uint32_t j = 0; j < n; j++) {
            int64_t a = tp_spec_multiply((tp_x[j] - q.a_zero) * (1 << 20), q.a_multiplier, q.a_shift);
            int64_t b = tp_spec_multiply((tp_w[j] - q.b_zero) * (1 << 20), q.b_multiplier, q.b_shift);
            int32_t y = tp_spec_wrap((int64_t)tp_spec_multiply(tp_spec_wrap(a + b), q.y_multiplier, q.y_shift) + q.y_zero);
            TP_CHECKF(tp_got[j] == (y < -128 ? -128 : y > 127 ? 127 : y), "case %u: %d + %d became %d", i, tp_x[j], tp_w[j], tp_got[j]);
        }
    }
}

/* --- backward --- */

static void tp_spec_dx(const tp_conv *g, float *dx, const float *d, const int8_t *w, const float *scale) {
    uint32_t cg = g->c_in / g->groups;
    memset(dx, 0, (size_t)g->h * g->w * g->c_in * 4u);
    for (uint32_t i = 0; i < g->oh * g->ow * g->c_out; i++) { /* (oy, ox, o) */
        uint32_t o = i % g->c_out, ox = i / g->c_out % g->ow, oy = i / g->c_out / g->ow;
        float e = d[i] * scale[o];
        for (uint32_t t = 0; t < g->kh * g->kw * cg && d[i] != 0.0f; t++) {
            uint32_t c = t % cg, kx = t / cg % g->kw, ky = t / cg / g->kw;
            int64_t iy = (int64_t)oy * g->sh + ky - g->pad_top, ix = (int64_t)ox * g->sw + kx - g->pad_left;
            if (iy < 0 || ix < 0 || iy >= g->h || ix >= g->w) { continue; }
            float *to = dx + ((size_t)iy * g->w + (size_t)ix) * g->c_in + tp_spec_channel(g, o, c);
            *to = tp_fma_soft(e, (float)w[tp_spec_weight(g, o, ky, kx, c)], *to);
        }
    }
    for (uint32_t i = 0; i < g->h * g->w * g->c_in; i++) { dx[i] += 0.0f; }
}

/* One sample's part of gradient row o. */
static void tp_spec_dw(const tp_conv *g, float *row, const int8_t *x, int32_t zero, const float *d, uint32_t o) {
    uint32_t cg = g->c_in / g->groups;
    for (uint32_t p = 0; p < g->oh * g->ow; p++) {
        float a = d[p * g->c_out + o];
        for (uint32_t t = 0; t < g->kh * g->kw * cg && a != 0.0f; t++) {
            uint32_t c = t % cg, y = p / g->ow * g->sh + t / cg / g->kw, xx = p % g->ow * g->sw + t / cg % g->kw;
            row[t] = tp_fma_soft(a, (float)tp_spec_input(g, x, zero, y, xx, tp_spec_channel(g, o, c)), row[t]);
        }
    }
    for (uint32_t t = 0; t < g->kh * g->kw * cg; t++) { row[t] += 0.0f; }
}

static void tp_compare_back(const tp_conv *g, uint32_t i) {
    uint32_t n_y = g->oh * g->ow * g->c_out, n_x = g->h * g->w * g->c_in, k = g->kh * g->kw * (g->c_in / g->groups), *room = i % 5u == 4u ? NULL : tp_scratch;
    tp_requant q = tp_operands(g, 2, i);
    for (uint32_t j = 0; j < 2u * n_y; j++) { tp_d[j] = tp_random_below(3) == 0 ? tp_random_kind(i % TP_KINDS) : 0.0f; }
    for (uint32_t o = 0; o < g->c_out; o++) { tp_scale[o] = 0.01f * tp_random_f32(); }
    if (tp_conv_back_s8_scratch(g) > 4u * TP_ROOM || 2u * n_x > TP_ROOM || g->c_out * k > TP_ROOM) { abort(); }
    for (uint32_t s = 0; s < 2; s++) { tp_spec_dx(g, tp_want_f32 + s * n_x, tp_d + s * n_y, tp_w, tp_scale); }
    (tp_is_depthwise ? tp_under_test->depthwise_dx_s8 : tp_under_test->conv_dx_s8)(g, 2, tp_got_f32, tp_d, tp_w, tp_scale, room);
    TP_CHECKF(memcmp(tp_got_f32, tp_want_f32, 2u * n_x * 4u) == 0, "input error, case %u", i);
    for (uint32_t j = 0; j < g->c_out * k; j++) { tp_want_f32[j] = tp_got_f32[j] = tp_random_f32() + 0.0f; }
    for (uint32_t j = 0; j < 2u * g->c_out; j++) { tp_spec_dw(g, tp_want_f32 + j / 2u * k, tp_x + j % 2u * n_x, q.x_zero, tp_d + j % 2u * n_y, j / 2u); }
    uint32_t split = tp_random_below(g->c_out + 1u);
    tp_under_test->conv_dw_s8(g, 2, tp_got_f32, tp_x, q.x_zero, tp_d, 0, split, room);
    tp_under_test->conv_dw_s8(g, 2, tp_got_f32 + (size_t)split * k, tp_x, q.x_zero, tp_d, split, g->c_out - split, room);
    TP_CHECKF(memcmp(tp_got_f32, tp_want_f32, g->c_out * k * 4u) == 0, "weight gradient, case %u", i);
    if (g->h * g->w * g->kh * g->kw == 1u && !tp_is_depthwise) {
        for (uint32_t s = 0; s < 2; s++) { tp_spec_dx(g, tp_want_f32 + s * n_x, tp_d + s * n_y, tp_w, tp_scale); }
        tp_under_test->dense_dx_s8(tp_got_f32, tp_d, tp_w, tp_scale, g->c_out, g->c_in, 2, room);
        TP_CHECKF(memcmp(tp_got_f32, tp_want_f32, 2u * n_x * 4u) == 0, "dense input error, case %u", i);
    }
}

static void tp_back(void) {
    tp_random_state = 9;
    for (uint32_t i = 0; i < 600; i++) {
        uint32_t c = 1u + tp_random_below(24);
        tp_is_depthwise = i % 3u == 0;
        tp_conv g = i % 3u == 0 ? tp_random_geometry(c, c * (1u + i % 2u), c) : tp_random_geometry(1u + tp_random_below(20), 1u + tp_random_below(20), 1);
        if (i % 6u == 1u) { g = (tp_conv){1, 1, 1u + tp_random_below(200), 1, 1, 1u + tp_random_below(40), 1, 1, 1, 1, 0, 0, 1}; }
        tp_compare_back(&g, i);
    }
}

/* --- updates --- */

/* Number i of the row, 16 bits: Philox4x32-10 from its paper. */
static uint32_t tp_spec_random(const tp_rounding *q, uint32_t i) {
    uint32_t x[4] = {q->block + i / 8u, (uint32_t)q->update, (uint32_t)(q->update >> 32), 4u << 24 | q->node}, key[2] = {(uint32_t)q->seed, (uint32_t)(q->seed >> 32)};
    for (uint32_t round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xd2511f53u * x[0], b = (uint64_t)0xcd9e8d57u * x[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ x[1] ^ key[0], (uint32_t)b, (uint32_t)(a >> 32) ^ x[3] ^ key[1], (uint32_t)a};
        memcpy(x, next, sizeof x);
        key[0] += 0x9e3779b9u, key[1] += 0xbb67ae85u;
    }
    uint16_t half[8];
    memcpy(half, x, sizeof half);
    return half[i % 8u];
}

static void tp_updates(void) {
    tp_random_state = 10;
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t n = 1u + tp_random_below(i % 4u == 0 ? 700u : 70u), step = i % 3u == 0 ? 1u + tp_random_below(7) : 1u;
        float carry = 0.25f, left = carry, c = 0.01f * tp_random_f32(), decay = i % 2u == 0 ? 0.0f : 0.03125f;
        tp_rounding q = {(uint64_t)tp_random() << 32 | tp_random(), (uint64_t)(i % 7u) << 32 | tp_random(), i, i * 1000u, i % 5u == 3u ? &carry : NULL, i % 5u == 4u};
        tp_fill_s8(tp_w, n * step, i % TP_KINDS);
        memcpy(tp_got, tp_w, n * step);
        memcpy(tp_want, tp_w, n * step);
        for (uint32_t j = 0; j < n; j++) { tp_d[j] = tp_random_f32() * (j % 3u == 0 ? 1e4f : 30.0f); }
        for (uint32_t j = 0; j < n; j++) {
            float w = (float)tp_w[j * step], lost = decay * w, kept = w - lost, moved = c * tp_d[j], v = kept + moved;
            float u = q.carry != NULL || q.nearest ? 0.5f : (float)tp_spec_random(&q, j) / 65536.0f, x = q.carry != NULL ? v + left : v, t = x + u;
            int64_t whole = (int64_t)t;
            whole -= (float)whole > t ? 1 : 0;
            left = x - (float)whole;
            tp_want[j * step] = (int8_t)(whole > 127 ? 127 : whole < -127 ? -127 : whole);
        }
        tp_under_test->sgd_s8(tp_got, step, c, decay, tp_d, &q, n);
        TP_CHECKF(memcmp(tp_got, tp_want, n * step) == 0, "case %u: %u weights, %u apart", i, n, step);
        TP_CHECKF(q.carry == NULL || memcmp(&carry, &left, 4) == 0, "case %u: %a is left, not %a", i, (double)carry, (double)left);
    }
}

/* An argument: that instruction set alone. */
int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {{"tp_dense", tp_dense}, {"tp_convolutions", tp_convolutions}, {"tp_depthwise", tp_depthwise}, {"tp_poolings", tp_poolings}, {"tp_softmaxes", tp_softmaxes},
                 {"tp_elements", tp_elements}, {"tp_sums", tp_sums}, {"tp_back", tp_back}, {"tp_updates", tp_updates}};
    bool usable = false;
    TP_RUN(tp_requantisation);
    for (uint32_t i = 0; (tp_under_test = tp_kernels_row(i, &usable)) != NULL; i++) {
        if (!usable || (argc > 1 && strcmp(argv[1], tp_kernels_name(tp_under_test)) != 0)) { continue; }
        for (uint32_t t = 0; t < sizeof tests / sizeof tests[0]; t++) {
            char name[64];
            snprintf(name, sizeof name, "%s_%s", tests[t].name, tp_kernels_name(tp_under_test));
            tp_run(name, tests[t].run);
        }
    }
    return tp_end();
}
