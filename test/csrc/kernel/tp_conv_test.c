/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution kernels of every instruction set against the naive loops of tp_reference.h, bit for bit, zeros of both signs
 * and denormals included. */
#include "../../../csrc/tinyprop.c"

#include "../tp_reference.h"

enum { TP_ROOM = 16384 };

static float tp_x[TP_ROOM], tp_w[TP_ROOM], tp_b[TP_ROOM], tp_d[TP_ROOM], tp_got[TP_ROOM], tp_want[TP_ROOM], tp_old[TP_ROOM];
static uint32_t tp_scratch[2 * TP_ROOM];

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

/* All of one sample, then two samples, of which the first was done before, in one gradient. */
static void tp_compare(const tp_conv *g, uint32_t i, uint32_t row) {
    uint32_t n_x = g->h * g->w * g->c_in, n_y = g->oh * g->ow * g->c_out, *room = i % 11u == 0 ? NULL : tp_scratch;
    bool zeros = i % 7u == 0;
    const float *b = i % 5u == 1u ? NULL : tp_b;
    tp_ref_conv_f32(g, tp_want, tp_x, tp_w, b);
    tp_under_test->conv_f32(g, 1, tp_got, tp_x, tp_w, b, room);
    TP_CHECKF(memcmp(tp_got, tp_want, n_y * 4u) == 0, "forward, case %u", i);
    tp_ref_conv_dx_f32(g, tp_want, tp_d, tp_w);
    tp_under_test->conv_dx_f32(g, 1, tp_got, tp_d, tp_w, zeros, room);
    TP_CHECKF(memcmp(tp_got, tp_want, n_x * 4u) == 0, "input error, case %u", i);
    tp_fill(tp_got, g->c_out * row, i % TP_KINDS); /* gradients go on from what is there */
    for (uint32_t j = 0; j < g->c_out * row; j++) { tp_got[j] += 0.0f; }
    memcpy(tp_want, tp_got, sizeof tp_got);
    for (uint32_t o = 0; o < g->c_out; o++) { tp_ref_conv_dw_f32(g, tp_want + (size_t)o * row, tp_x, tp_d, o); }
    for (uint32_t j = 0; j < g->c_out * row; j++) { tp_want[j] += 0.0f; }
    uint32_t split = tp_random_below(g->c_out + 1u);
    tp_under_test->conv_dw_f32(g, 1, tp_got, NULL, 0.0f, tp_x, tp_d, 0, split, zeros, room);
    tp_under_test->conv_dw_f32(g, 1, tp_got + (size_t)split * row, NULL, 0.0f, tp_x, tp_d, split, g->c_out - split, zeros, room);
    TP_CHECKF(memcmp(tp_got, tp_want, g->c_out * row * 4u) == 0, "weight gradient, case %u", i);
    memset(tp_want, 0, sizeof tp_want);
    for (uint32_t o = 0; o < g->c_out; o++) { tp_ref_conv_dw_f32(g, tp_want + (size_t)o * row, tp_x, tp_d, o); }
    for (uint32_t j = 0; j < g->c_out * row; j++) { tp_want[j] = tp_fma_soft(-0.01f, tp_want[j] + 0.0f, tp_w[j]); }
    memcpy(tp_old, tp_w, sizeof tp_w);
    tp_under_test->conv_dw_f32(g, 1, NULL, tp_w, -0.01f, tp_x, tp_d, 0, g->c_out, zeros, room);
    TP_CHECKF(memcmp(tp_w, tp_want, g->c_out * row * 4u) == 0, "update, case %u", i);
    memcpy(tp_w, tp_old, sizeof tp_w);
    tp_under_test->conv_sgd_f32(g, tp_got, tp_w, -0.01f, tp_x, tp_d, zeros, room);
    TP_CHECKF(memcmp(tp_w, tp_want, g->c_out * row * 4u) == 0, "update after the input error, case %u", i);
    tp_ref_conv_dx_f32(g, tp_want, tp_d, tp_old);
    TP_CHECKF(memcmp(tp_got, tp_want, n_x * 4u) == 0, "input error before the update, case %u", i);
}

static void tp_convolutions(void) {
    tp_random_state = 17;
    for (uint32_t i = 0; i < 1200; i++) {
        uint32_t groups = i % 5u == 0 ? 1u + tp_random_below(3) : 1u;
        tp_conv g = tp_random_geometry(groups, groups * (1u + tp_random_below(i % 2u == 0 ? 18u : 3u)), groups * (1u + tp_random_below(i % 3u == 0 ? 20u : 5u)));
        tp_compare(&g, i, tp_operands(&g, i));
    }
}

static void tp_depthwise(void) {
    tp_random_state = 18;
    for (uint32_t i = 0; i < 600; i++) {
        uint32_t c = 1u + tp_random_below(24);
        tp_conv g = tp_random_geometry(c, c, c * (i % 9u == 0 ? 2u : 1u));
        tp_compare(&g, i, tp_operands(&g, i));
    }
}

/* An argument: that instruction set alone. */
int main(int argc, char **argv) {
    bool usable = false;
    for (uint32_t i = 0; (tp_under_test = tp_kernels_row(i, &usable)) != NULL; i++) {
        char name[64];
        if (!usable || (argc > 1 && strcmp(argv[1], tp_kernels_name(tp_under_test)) != 0)) { continue; }
        snprintf(name, sizeof name, "tp_convolutions_%s", tp_kernels_name(tp_under_test));
        tp_run(name, tp_convolutions);
        snprintf(name, sizeof name, "tp_depthwise_%s", tp_kernels_name(tp_under_test));
        tp_run(name, tp_depthwise);
    }
    return tp_end();
}
