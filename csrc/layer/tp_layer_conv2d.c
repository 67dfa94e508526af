/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution, NHWC, W [out][kh][kw][in/groups]; conv1d is the case of height 1. */
#include "tp_layer_window.h"

TP_INLINE uint32_t tp_conv_groups(const tp_plan_node *p) { return tp_max_u32(p->node.groups, 1u); }

static TP_COLD tp_status tp_conv2d_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    uint32_t groups = tp_conv_groups(p);
    if (p->node.units == 0 || p->node.units % groups != 0) { return TP_E_MODEL; }
    if (p->in.c % groups != 0 || p->in.rank != 3) { return TP_E_SHAPE; }
    p->out.c = p->node.units;
    return tp_window_shape(p);
}

static tp_status tp_conv1d_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    uint32_t groups = tp_conv_groups(p);
    if (p->node.units == 0 || p->node.units % groups != 0 || p->node.kernel[0] != 1 || p->node.stride[0] != 1) { return TP_E_MODEL; }
    if (p->in.c % groups != 0 || p->in.rank != 2) { return TP_E_SHAPE; }
    p->out.c = p->node.units;
    return tp_window_shape(p);
}

/* Everything about a convolution's parameters that does not depend on how it is computed. */
static void tp_conv_parameters(tp_plan_node *p, uint32_t groups, bool *overflow) {
    uint32_t weight[4] = {p->out.c, p->node.kernel[0], p->node.kernel[1], p->in.c / groups}, bias[4] = {p->out.c, 1, 1, 1};
    tp_tensor_add(p, TP_F32, 4, weight, overflow);
    if ((p->node.flags & TP_FLAG_NO_BIAS) == 0) { tp_tensor_add(p, TP_F32, 1, bias, overflow); }
    p->rows = p->out.c;
    p->row_len = tp_mul(tp_mul(weight[1], weight[2], overflow), weight[3], overflow);
    p->row_stride = tp_mul(p->row_len, tp_dtype_bytes(TP_F32), overflow);
    p->macs_forward = tp_mul(tp_mul(tp_mul(p->out.h, p->out.w, overflow), p->out.c, overflow), p->row_len, overflow);
    p->macs_row = p->row_len;
}

/* Words of scratch; NULL (no words) where the plan saves memory, and for pieces, whose words nobody has counted. */
TP_INLINE uint32_t *tp_conv_room(const tp_step *s, const tp_pass *a) { return s->plan->options.packing != 0 && a->pieces == 0 ? a->scratch : NULL; }

static void tp_conv_plan(tp_plan_node *p, const tp_plan_options *options, uint32_t groups, bool *overflow) {
    tp_conv_parameters(p, groups, overflow);
    tp_conv g = tp_window_geometry(p, groups);
    p->scratch = options->packing != 0 ? tp_mul(tp_conv_scratch(&g), 4, overflow) : 0u;
}

static TP_COLD void tp_conv2d_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) { tp_conv_plan(p, options, tp_conv_groups(p), overflow); }

/* --- pieces of one sample: rows of positions forward, `sh` rows of the input backward --- */

/* The whole map. A single row stands upright: its bytes, and the order of taps, are those of a column. */
static tp_conv tp_conv_map(const tp_plan_node *p) {
    tp_conv g = tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]);
    if (g.h != 1 || g.oh != 1 || g.kh != 1) { return g; }
    return (tp_conv){g.w, 1, g.c_in, g.ow, 1, g.c_out, g.kw, 1, g.sw, 1, g.pad_left, 0, g.groups};
}

static uint32_t tp_conv2d_pieces(const tp_plan_node *p, bool back) {
    tp_conv g = tp_conv_map(p);
    return back ? (g.h + g.pad_top + g.sh - 1u) / g.sh : g.oh;
}

/* Rows of the input, and the windows that reach them, as a map of their own. */
typedef struct tp_conv_cut {
    tp_conv g;
    uint32_t y, oy; /* the first of each in the whole map */
} tp_conv_cut;

static TP_COLD tp_conv_cut tp_conv_errors_cut(const tp_plan_node *p, uint32_t piece, uint32_t pieces) {
    tp_conv_cut c = {tp_conv_map(p), 0, 0};
    uint32_t pad = c.g.pad_top, step = c.g.sh;
    uint32_t begin = tp_max_u32(piece * step, pad), end = tp_max_u32(tp_min_u32((piece + pieces) * step, c.g.h + pad), pad); /* with the padding */
    uint32_t last = tp_min_u32(c.g.oh, (end + step - 1u) / step);
    c.oy = begin < c.g.kh ? 0u : tp_min_u32((begin - c.g.kh) / step + 1u, last);
    c.y = begin - pad;
    c.g.h = end - begin;
    c.g.oh = last - c.oy;
    c.g.pad_top = begin - c.oy * step;
    return c;
}

static TP_COLD uint32_t tp_conv2d_piece_macs(const tp_step *s, const tp_plan_node *p, const tp_pass *a, uint32_t piece) {
    tp_conv_cut c = tp_conv_errors_cut(p, piece, 1);
    const tp_conv *g = &c.g;
    uint32_t row = g->ow * g->c_out, macs = 0;
    bool all = a->zeros || g->groups == g->c_in; /* depthwise kernels work on every element */
    for (uint32_t oy = 0; oy < g->oh; oy++) {
        uint32_t top = oy * g->sh, from = tp_max_u32(top, g->pad_top), to = tp_min_u32(top + g->kh, g->pad_top + g->h);
        uint32_t live = all ? row : TP_CALL(s->k, count_above_f32)(a->d + (size_t)(c.oy + oy) * row, 0, row);
        macs += to > from ? live * (to - from) * g->kw * (g->c_in / g->groups) : 0u;
    }
    return macs;
}

static void tp_conv2d_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]);
    const float *w = tp_tensor_f32(tp_home(s, p), &p->tensor[0]), *b = tp_tensor_f32(tp_home_bias(s, p), &p->tensor[1]), *x = a->x[0];
    float *y = a->y;
    if (a->pieces > 0) {
        g = tp_conv_map(p);
        uint32_t top = a->piece * g.sh, skip = top > g.pad_top ? top - g.pad_top : 0u; /* rows of the input that no window reaches */
        x += (size_t)skip * g.w * g.c_in;
        y += (size_t)a->piece * g.ow * g.c_out;
        g.h -= skip;
        g.oh = a->pieces;
        g.pad_top = g.pad_top > top ? g.pad_top - top : 0u;
    }
    TP_CALL(s->k, conv_f32)(&g, a->n, y, x, w, b, tp_conv_room(s, a));
}

static void tp_conv2d_bias(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g) {
    TP_CALL(s->k, channel_sum_f32)(g, a->d, p->out.h * p->out.w, p->out.c);
}

static void tp_conv2d_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv_cut c = {tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]), 0, 0};
    if (a->pieces > 0) { c = tp_conv_errors_cut(p, a->piece, a->pieces); }
    size_t row = (size_t)c.g.w * c.g.c_in;
    if (c.g.oh == 0 || c.g.h == 0) { /* no window reaches these rows */
        TP_MEMSET(a->dx[0] + c.y * row, 0, c.g.h * row * sizeof(float));
        return;
    }
    const float *d = a->d + (size_t)c.oy * c.g.ow * c.g.c_out;
    TP_CALL(s->k, conv_dx_f32)(&c.g, a->n, a->dx[0] + c.y * row, d, tp_tensor_f32(tp_home(s, p), &p->tensor[0]), a->zeros, tp_conv_room(s, a));
}

static void tp_conv2d_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    tp_conv geometry = tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]);
    float *w = tp_tensor_f32(tp_home(s, p), &p->tensor[0]) + (size_t)first * p->row_len;
    TP_CALL(s->k, conv_dw_f32)(&geometry, a->n, g, w, c, a->x[0], a->d, first, rows, a->zeros, tp_conv_room(s, a));
}

static void tp_conv2d_both(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]);
    float *w = tp_tensor_f32(tp_home(s, p), &p->tensor[0]);
    TP_CALL(s->k, conv_sgd_f32)(&g, a->dx[0], w, -s->lr_batch, a->x[0], a->d, a->zeros, tp_conv_room(s, a));
}

#define TP_CONVOLUTION(op, op_name, shape_of, plan_of)                                              \
    TP_OPTIONAL tp_layer_ops tp_layer_##op = {                                                     \
        .name = op_name, .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED | TP_LAYER_BATCH, \
        .shape = shape_of, .plan = plan_of, .forward = tp_conv2d_forward, .bias = tp_conv2d_bias,   \
        .errors = tp_conv2d_errors, .gradient = tp_conv2d_gradient, .both = tp_conv2d_both,         \
        .pieces = tp_conv2d_pieces, .piece_macs = tp_conv2d_piece_macs,                             \
    };
TP_CONVOLUTION(conv2d, "conv2d", tp_conv2d_shape, tp_conv2d_plan)
TP_CONVOLUTION(conv1d, "conv1d", tp_conv1d_shape, tp_conv2d_plan)
