/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution kernels of every instruction set against the naive loops of tp_reference.h, bit for bit, zeros of both signs
 * and denormals included. */
#include "../../../csrc/tinyprop.c"

#include "../tp_reference.h"

enum { TP_ROOM = 16384 };

static float tp_x[TP_ROOM], tp_w[TP_ROOM], tp_b[TP_ROOM], tp_d[TP_ROOM], tp_got[TP_ROOM], tp_want[TP_ROOM], tp_turned[TP_ROOM];
static uint32_t tp_scratch[TP_ROOM];

static tp_conv tp_random_geometry(uint32_t groups, uint32_t c_in, uint32_t c_out) {
    tp_conv g = {0};
    g.groups = groups;
    g.c_in = c_in;
    g.c_out = c_out;
    g.kh = 1u + tp_random_below(3);
    g.kw = 1u + tp_random_below(4);
    g.sh = 1u + tp_random_below(2);
    g.sw = 1u + tp_random_below(3);
    g.pad_top = tp_random_below(g.kh);
    g.pad_left = tp_random_below(g.kw);
    g.h = g.kh + tp_random_below(4);
    g.w = g.kw + tp_random_below(10);
    g.oh = (g.h + g.pad_top + tp_random_below(g.kh) - g.kh) / g.sh + 1u;
    g.ow = (g.w + g.pad_left + tp_random_below(g.kw) - g.kw) / g.sw + 1u;
    return g;
}

static void tp_fill(float *x, uint32_t n, uint32_t kind) {
    if (n > TP_ROOM) { abort(); }
    for (uint32_t i = 0; i < n; i++) { x[i] = tp_random_kind(kind); }
}

/* Operands of one case. Few non-zero errors in every third. */
static uint32_t tp_operands(const tp_conv *g, uint32_t i) {
    uint32_t row = g->kh * g->kw * g->c_in / g->groups, n_d = g->oh * g->ow * g->c_out, kind = i % TP_KINDS;
    tp_fill(tp_x, g->h * g->w * g->c_in, kind);
    tp_fill(tp_w, g->c_out * row, kind);
    tp_fill(tp_b, g->c_out, kind);
    tp_fill(tp_d, n_d, kind);
    for (uint32_t j = 0; j < n_d && i % 4u == 3u; j++) { tp_d[j] = tp_random_below(9) == 0 ? tp_d[j] : 0.0f; }
    memset(tp_scratch, 0xff, sizeof tp_scratch);
    return row;
}

static const tp_kernels *tp_under_test;

static void tp_convolutions(void) {
    tp_random_state = 17;
    for (uint32_t i = 0; i < 1200; i++) {
        uint32_t groups = i % 5u == 0 ? 1u + tp_random_below(3) : 1u;
        tp_conv g = tp_random_geometry(groups, groups * (1u + tp_random_below(i % 2u == 0 ? 18u : 3u)), groups * (1u + tp_random_below(i % 3u == 0 ? 20u : 5u)));
        uint32_t row = tp_operands(&g, i), n_x = g.h * g.w * g.c_in, n_y = g.oh * g.ow * g.c_out;
        bool zeros = i % 7u == 0;
        const float *b = i % 5u == 1u ? NULL : tp_b;
        tp_ref_conv_f32(&g, tp_want, tp_x, tp_w, b);
        tp_under_test->conv_f32(&g, tp_got, tp_x, tp_w, b, (float *)(void *)tp_scratch);
        TP_CHECKF(memcmp(tp_got, tp_want, n_y * 4u) == 0, "forward, case %u", i);
        tp_ref_conv_dx_f32(&g, tp_want, tp_d, tp_w);
        memset(tp_got, 0, n_x * 4u);
        tp_under_test->conv_dx_f32(&g, tp_got, tp_d, tp_w, zeros, tp_scratch);
        tp_under_test->finish_f32(tp_got, n_x);
        TP_CHECKF(memcmp(tp_got, tp_want, n_x * 4u) == 0, "input error, case %u", i);
        tp_fill(tp_got, g.c_out * row, i % TP_KINDS); /* gradients go on from what is there */
        memcpy(tp_want, tp_got, sizeof tp_got);
        for (uint32_t o = 0; o < g.c_out; o++) { tp_ref_conv_dw_f32(&g, tp_want + (size_t)o * row, tp_x, tp_d, o); }
        for (uint32_t j = 0; j < g.c_out * row; j++) { tp_want[j] += 0.0f; }
        uint32_t split = tp_random_below(g.c_out + 1u);
        tp_under_test->conv_dw_f32(&g, tp_got, tp_x, tp_d, 0, split, zeros);
        tp_under_test->conv_dw_f32(&g, tp_got + (size_t)split * row, tp_x, tp_d, split, g.c_out - split, zeros);
        TP_CHECKF(memcmp(tp_got, tp_want, g.c_out * row * 4u) == 0, "weight gradient, case %u", i);
    }
}

/* [c][taps] <-> [taps][c] */
static void tp_turn(float *to, const float *from, uint32_t rows, uint32_t columns) {
    for (uint32_t i = 0; i < rows * columns; i++) { to[i % columns * rows + i / columns] = from[i]; }
}

static void tp_depthwise(void) {
    tp_random_state = 18;
    for (uint32_t i = 0; i < 600; i++) {
        uint32_t c = 1u + tp_random_below(24);
        tp_conv g = tp_random_geometry(c, c, c);
        uint32_t row = tp_operands(&g, i), n_x = g.h * g.w * c, n_y = g.oh * g.ow * c;
        const float *b = i % 5u == 1u ? NULL : tp_b;
        tp_turn(tp_turned, tp_w, c, row);
        tp_ref_conv_f32(&g, tp_want, tp_x, tp_w, b);
        tp_under_test->dwconv_f32(&g, tp_got, tp_x, tp_turned, b);
        TP_CHECKF(memcmp(tp_got, tp_want, n_y * 4u) == 0, "forward, case %u", i);
        tp_ref_conv_dx_f32(&g, tp_want, tp_d, tp_w);
        memset(tp_got, 0, n_x * 4u);
        tp_under_test->dwconv_dx_f32(&g, tp_got, tp_d, tp_turned);
        tp_under_test->finish_f32(tp_got, n_x);
        TP_CHECKF(memcmp(tp_got, tp_want, n_x * 4u) == 0, "input error, case %u", i);
        memset(tp_want, 0, c * row * 4u);
        memset(tp_turned, 0, c * row * 4u);
        for (uint32_t o = 0; o < c; o++) { tp_ref_conv_dw_f32(&g, tp_want + (size_t)o * row, tp_x, tp_d, o); }
        tp_under_test->dwconv_dw_f32(&g, tp_turned, tp_x, tp_d);
        tp_turn(tp_got, tp_turned, row, c);
        for (uint32_t j = 0; j < c * row; j++) { TP_CHECKF(tp_f32_bits(tp_got[j] + 0.0f) == tp_f32_bits(tp_want[j] + 0.0f), "weight gradient, case %u", i); }
    }
}

int main(void) {
    bool usable = false;
    for (uint32_t i = 0; (tp_under_test = tp_kernels_row(i, &usable)) != NULL; i++) {
        char name[64];
        if (!usable) { continue; }
        snprintf(name, sizeof name, "tp_convolutions_%s", tp_kernels_name(tp_under_test));
        tp_run(name, tp_convolutions);
        snprintf(name, sizeof name, "tp_depthwise_%s", tp_kernels_name(tp_under_test));
        tp_run(name, tp_depthwise);
    }
    return tp_end();
}
