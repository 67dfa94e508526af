/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution, NHWC, W [out][kh][kw][in/groups]; conv1d is the case of height 1. */
#include "tp_layer_window.h"

TP_INLINE uint32_t tp_conv_groups(const tp_plan_node *p) { return tp_max_u32(p->node.groups, 1u); }

static tp_status tp_conv2d_shape(tp_plan_node *p, const tp_shape *in1) {
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

/* Words of scratch; NULL (no words) where the plan saves memory. */
TP_INLINE uint32_t *tp_conv_room(const tp_step *s, const tp_pass *a) { return s->plan->options.packing != 0 ? a->scratch : NULL; }

static void tp_conv_plan(tp_plan_node *p, const tp_plan_options *options, uint32_t groups, bool *overflow) {
    tp_conv_parameters(p, groups, overflow);
    tp_conv g = tp_window_geometry(p, groups);
    p->scratch = options->packing != 0 ? tp_mul(tp_conv_scratch(&g), 4, overflow) : 0u;
}

static void tp_conv2d_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) { tp_conv_plan(p, options, tp_conv_groups(p), overflow); }

static void tp_conv2d_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]);
    const float *w = tp_tensor_f32(s->arena, &p->tensor[0]), *b = tp_tensor_f32(s->arena, &p->tensor[1]);
    TP_CALL(s->k, conv_f32)(&g, a->n, a->y, a->x[0], w, b, tp_conv_room(s, a));
}

static void tp_conv2d_bias(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g) {
    TP_CALL(s->k, channel_sum_f32)(g, a->d, p->out.h * p->out.w, p->out.c);
}

static void tp_conv2d_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]);
    TP_CALL(s->k, conv_dx_f32)(&g, a->n, a->dx[0], a->d, tp_tensor_f32(s->arena, &p->tensor[0]), a->zeros, tp_conv_room(s, a));
}

static void tp_conv2d_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    tp_conv geometry = tp_window_geometry(p, p->in.c / p->tensor[0].dim[3]);
    float *w = tp_tensor_f32(s->arena, &p->tensor[0]) + (size_t)first * p->row_len;
    TP_CALL(s->k, conv_dw_f32)(&geometry, a->n, g, w, c, a->x[0], a->d, first, rows, a->zeros, tp_conv_room(s, a));
}

#define TP_CONVOLUTION(op, op_name, shape_of, plan_of)                                              \
    TP_OPTIONAL tp_layer_ops tp_layer_##op = {                                                     \
        .name = op_name, .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED | TP_LAYER_BATCH, \
        .shape = shape_of, .plan = plan_of, .forward = tp_conv2d_forward, .bias = tp_conv2d_bias,   \
        .errors = tp_conv2d_errors, .gradient = tp_conv2d_gradient,                                 \
    };
TP_CONVOLUTION(conv2d, "conv2d", tp_conv2d_shape, tp_conv2d_plan)
TP_CONVOLUTION(conv1d, "conv1d", tp_conv1d_shape, tp_conv2d_plan)
