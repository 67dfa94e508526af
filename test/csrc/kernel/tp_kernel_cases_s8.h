/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of tp_kernel_test.c for int8 kernels: bytes lie at any address. */
#include "tp_s8_numbers.h"

static int8_t *tp_bytes(tp_case *c, uint32_t n, bool input) {
    int8_t *x = (int8_t *)tp_region_off(c, n, input, 5u * c->shift);
    tp_fill_s8(x, n, c->kind);
    return x;
}
static int8_t *tp_in_s8(tp_case *c, uint32_t n) { return tp_bytes(c, n, true); }
static int8_t *tp_io_s8(tp_case *c, uint32_t n) { return tp_bytes(c, n, false); }

static int32_t *tp_in_s32(tp_case *c, uint32_t n) {
    int32_t *x = (int32_t *)tp_region(c, (size_t)n * 4u, true);
    tp_fill_s32(x, n, c->kind);
    return x;
}

static tp_requant tp_in_requant(tp_case *c, uint32_t n) {
    int32_t *multiplier = tp_in_s32(c, n), *shift = tp_in_s32(c, n);
    tp_fill_requant(multiplier, shift, n, c->kind);
    return tp_requant_of(multiplier, shift, c->n % 2u != 0);
}

TP_CASE(dense_s8) {
    uint32_t m, samples;
    tp_dense_sizes(c, &m, &samples);
    int8_t *y = tp_io_s8(c, samples * m);
    const int8_t *w = tp_in_s8(c, m * c->n), *x = tp_in_s8(c, samples * c->n);
    const int32_t *b = tp_in_s32(c, m);
    tp_requant q = tp_in_requant(c, m);
    tp_ready(c);
    k->dense_s8(y, w, x, b, &q, m, c->n, samples);
}

static uint32_t *tp_scratch_s8(const tp_conv *g, uint32_t n) { return tp_scratch_of(tp_conv_s8_scratch(g), n); }

/* Groups: none, or one for every input channel. */
static tp_conv tp_geometry_s8(const tp_case *c, bool depthwise) {
    tp_conv g = tp_geometry(depthwise && c->n % 3u == 2u ? c->n + 1u : c->n, depthwise);
    if (depthwise) {
        g.c_out *= c->n % 5u == 0 ? 2u : 1u;
    } else {
        g.groups = 1;
    }
    return g;
}

TP_CASE(conv_s8) {
    tp_conv g = tp_geometry_s8(c, false);
    uint32_t n = tp_conv_samples(c);
    int8_t *y = tp_io_s8(c, n * tp_conv_out(&g));
    const int8_t *x = tp_in_s8(c, n * tp_conv_in(&g)), *w = tp_in_s8(c, g.c_out * tp_conv_row(&g));
    const int32_t *b = tp_in_s32(c, g.c_out);
    tp_requant q = tp_in_requant(c, g.c_out);
    tp_ready(c);
    k->conv_s8(&g, n, y, x, w, b, &q, tp_scratch_s8(&g, c->n));
}

TP_CASE(depthwise_s8) {
    tp_conv g = tp_geometry_s8(c, true);
    uint32_t n = tp_conv_samples(c);
    int8_t *y = tp_io_s8(c, n * tp_conv_out(&g));
    const int8_t *x = tp_in_s8(c, n * tp_conv_in(&g)), *w = tp_in_s8(c, g.c_out * g.kh * g.kw);
    const int32_t *b = tp_in_s32(c, g.c_out);
    tp_requant q = tp_in_requant(c, g.c_out);
    tp_ready(c);
    k->depthwise_s8(&g, n, y, x, w, b, &q, tp_scratch_s8(&g, c->n));
}

TP_FLAT(clamp_s8) {
    int8_t *x = tp_io_s8(c, c->n), *y = c->n % 2u == 0 ? x : tp_io_s8(c, c->n);
    tp_requant q = tp_requant_of(NULL, NULL, true);
    tp_ready(c);
    k->clamp_s8(y, x, q.lo, q.hi, c->n);
}

TP_FLAT(add_s8) {
    int8_t *a = tp_io_s8(c, c->n), *y = c->n % 2u == 0 ? a : tp_io_s8(c, c->n);
    const int8_t *b = tp_in_s8(c, c->n);
    int32_t m[3], s[3];
    tp_fill_requant(m, s, 3, c->kind);
    if (c->kind != TP_KIND_WILD) { s[2] = -15 - s[2]; }
    tp_add_s8 q = {tp_zero_s8(), tp_zero_s8(), tp_zero_s8(), m[0], m[1], m[2], s[0], s[1], s[2]};
    tp_ready(c);
    k->add_s8(y, a, b, &q, c->n);
}

TP_CASE(max_pool_s8) {
    tp_conv g = tp_geometry_s8(c, true);
    g.groups = g.c_out = g.c_in;
    int8_t *y = tp_io_s8(c, tp_conv_out(&g));
    const int8_t *x = tp_in_s8(c, tp_conv_in(&g));
    tp_ready(c);
    k->max_pool_s8(&g, y, x);
}

TP_CASE(avg_pool_s8) {
    tp_conv g = tp_geometry_s8(c, true);
    g.groups = g.c_out = g.c_in;
    int8_t *y = tp_io_s8(c, tp_conv_out(&g));
    const int8_t *x = tp_in_s8(c, tp_conv_in(&g));
    tp_ready(c);
    k->avg_pool_s8(&g, y, x, tp_scratch_of(g.c_in, 0));
}

TP_CASE(softmax_s8) {
    int8_t *y = tp_io_s8(c, c->n);
    const int8_t *x = tp_in_s8(c, c->n);
    const tp_softmax_s8 q = {(int32_t)(0x40000000u | tp_random() >> 2), 22, -(31 << 4)};
    tp_ready(c);
    if (c->n > 0) { k->softmax_s8(y, x, &q, c->n); }
}

TP_FLAT(quantize_s8) {
    int8_t *y = tp_io_s8(c, c->n);
    float *x = tp_io(c, c->n), scale = c->n % 3u == 0 ? 0.5f : 0.01f + 0.1f * tp_abs(tp_random_f32());
    for (uint32_t i = 0; i < c->n && c->kind == TP_KIND_TIES; i++) { x[i] = scale * 0.5f * (float)((int32_t)tp_random_below(600) - 300); }
    tp_spoil(c, x);
    tp_ready(c);
    k->quantize_s8(y, x, scale, tp_zero_s8(), c->n);
}

TP_FLAT(dequantize_s8) {
    float *y = tp_io(c, c->n);
    const int8_t *x = tp_in_s8(c, c->n);
    tp_ready(c);
    k->dequantize_s8(y, x, 0.01f + tp_abs(tp_random_f32()), tp_zero_s8(), c->n);
}

TP_FLAT(clamp_back_s8) {
    float *d = tp_io(c, c->n);
    const int8_t *y = tp_in_s8(c, c->n);
    tp_requant q = tp_requant_of(NULL, NULL, c->n % 3u == 0);
    tp_ready(c);
    tp_back_sum(k, c, d, k->clamp_back_s8(d, y, q.lo, q.hi, c->n));
}

static uint32_t *tp_scratch_back_s8(const tp_conv *g, uint32_t n) { return tp_scratch_of(tp_conv_back_s8_scratch(g), n); }

TP_CASE(dense_dx_s8) {
    uint32_t m, samples;
    tp_dense_sizes(c, &m, &samples);
    float *dx = tp_io(c, samples * c->n);
    const float *d = tp_errors(c, samples, m), *scale = tp_in(c, m);
    const int8_t *w = tp_in_s8(c, m * c->n);
    tp_ready(c);
    tp_conv g = {1, 1, c->n, 1, 1, m, 1, 1, 1, 1, 0, 0, 1};
    k->dense_dx_s8(dx, d, w, scale, m, c->n, samples, tp_scratch_back_s8(&g, c->n));
}

static void tp_errors_through_s8(const tp_kernels *k, tp_case *c, bool depthwise) {
    tp_conv g = tp_geometry_s8(c, depthwise);
    uint32_t n = tp_conv_samples(c);
    float *dx = tp_io(c, n * tp_conv_in(&g));
    const float *d = tp_errors(c, n * g.oh * g.ow, g.c_out), *scale = tp_in(c, g.c_out);
    const int8_t *w = tp_in_s8(c, g.c_out * tp_conv_row(&g));
    tp_ready(c);
    (depthwise ? k->depthwise_dx_s8 : k->conv_dx_s8)(&g, n, dx, d, w, scale, tp_scratch_back_s8(&g, c->n));
}

TP_CASE(conv_dx_s8) { tp_errors_through_s8(k, c, false); }

TP_CASE(depthwise_dx_s8) { tp_errors_through_s8(k, c, true); }

TP_CASE(conv_dw_s8) {
    tp_conv g = tp_geometry_s8(c, c->n % 3u == 1u);
    uint32_t n = tp_conv_samples(c);
    uint32_t first = c->n % 2u == 0 ? tp_random_below(g.c_out) : 0u, rows = c->n % 2u == 0 ? 1u + tp_random_below(g.c_out - first) : g.c_out;
    float *grad = tp_io(c, rows * tp_conv_row(&g));
    const float *d = tp_errors(c, n * g.oh * g.ow, g.c_out);
    const int8_t *x = tp_in_s8(c, n * tp_conv_in(&g));
    tp_ready(c);
    k->conv_dw_s8(&g, n, grad, x, tp_zero_s8(), d, first, rows, tp_scratch_back_s8(&g, c->n));
}

/* Steps from far below one to beyond the clamp, by every way of rounding; rows of depthwise layers have others between. */
TP_FLAT(sgd_s8) {
    static const float size[4] = {1e-3f, 1.0f, 100.0f, 1e9f};
    uint32_t step = c->n % 4u == 1u ? 1u + tp_random_below(5) : 1u, way = tp_random_below(4);
    int8_t *w = tp_io_s8(c, c->n * step);
    float *g = tp_io(c, c->n), *carry = tp_io(c, 1);
    tp_spoil(c, g);
    *carry = tp_random_f32() * 0.5f;
    tp_rounding q = {(uint64_t)tp_random() << 32 | tp_random(), (uint64_t)tp_random() << 32 | tp_random(), tp_random_below(1000),
                     tp_random_below(3) == 0 ? 0xfffffffeu : tp_random_below(1u << 20), way == 0 ? carry : NULL, way == 1u};
    float factor = tp_random_f32() * size[tp_random_below(4)], decay = tp_random_below(2) == 0 ? 0.0f : 0.01f;
    tp_ready(c);
    k->sgd_s8(w, step, factor, decay, g, &q, c->n);
}
