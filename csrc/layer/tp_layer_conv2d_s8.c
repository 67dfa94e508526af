/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions in int8 (TFLite's CONV_2D, W [out][kh][kw][in], and DEPTHWISE_CONV_2D, W [1][kh][kw][out]), a scale for every
 * output channel. */
#include "tp_layer_s8.h"

static tp_status tp_conv2d_s8_shape(tp_plan_node *p, const tp_shape *in1) {
    bool plain = (p->node.flags & TP_FLAG_NO_BIAS) == 0 && p->node.groups <= 1;
    return plain ? tp_conv2d_shape(p, in1) : TP_E_MODEL;
}

static tp_status tp_dwconv2d_s8_shape(tp_plan_node *p, const tp_shape *in1) {
    return (p->node.flags & TP_FLAG_NO_BIAS) != 0 ? TP_E_MODEL : tp_dwconv2d_shape(p, in1);
}

/* Scratch is the same on all machines: a plan may be made on another one. */
static void tp_conv_s8_room(tp_plan_node *p, uint32_t groups, const tp_plan_options *options, bool *overflow) {
    tp_conv g = tp_window_geometry(p, groups);
    p->scratch = options->packing != 0 ? tp_mul(tp_max_u32(tp_conv_s8_scratch(&g), tp_conv_back_s8_scratch(&g)), 4, overflow) : 0u;
    p->room = tp_align_up(tp_mul(tp_conv_s8_scratch(&g), 4, overflow), TP_ALIGN, overflow);
}

static uint32_t *tp_conv_s8_scratch_of(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    return p->room != 0 ? (uint32_t *)(void *)(s->arena + p->room) : tp_conv_room(s, a);
}

static void tp_conv2d_s8_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) {
    uint32_t weight[4] = {p->out.c, p->node.kernel[0], p->node.kernel[1], p->in.c};
    tp_s8_parameters(p, 4, weight, overflow);
    tp_conv_s8_room(p, 1, options, overflow);
}

static void tp_dwconv2d_s8_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) {
    uint32_t weight[4] = {1, p->node.kernel[0], p->node.kernel[1], p->out.c};
    tp_s8_parameters(p, 4, weight, overflow);
    tp_conv_s8_room(p, p->in.c, options, overflow);
}

static void tp_conv2d_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, 1);
    tp_requant q = tp_s8_requant(s, p);
    TP_CALL(s->k, conv_s8)(&g, a->n, a->y, a->x[0], tp_tensor_s8(tp_home(s, p), &p->tensor[0]), tp_tensor_s32(tp_home_bias(s, p), &p->tensor[1]), &q, tp_conv_s8_scratch_of(s, p, a));
}

static void tp_dwconv2d_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c);
    tp_requant q = tp_s8_requant(s, p);
    TP_CALL(s->k, depthwise_s8)(&g, a->n, a->y, a->x[0], tp_tensor_s8(tp_home(s, p), &p->tensor[0]), tp_tensor_s32(tp_home_bias(s, p), &p->tensor[1]), &q, tp_conv_s8_scratch_of(s, p, a));
}

static void tp_conv_s8_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, uint32_t first, uint32_t rows, uint32_t groups) {
    tp_conv geometry = tp_window_geometry(p, groups);
    TP_CALL(s->k, conv_dw_s8)(&geometry, a->n, g, a->x[0], p->xq[0].zero, a->d, first, rows, tp_conv_room(s, a));
}

static void tp_conv2d_s8_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, 1);
    TP_CALL(s->k, conv_dx_s8)(&g, a->n, a->dx[0], a->d, tp_tensor_s8(tp_home(s, p), &p->tensor[0]), tp_tensor_f32(tp_home(s, p), &p->tensor[2]), tp_conv_room(s, a));
}

static void tp_dwconv2d_s8_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c);
    TP_CALL(s->k, depthwise_dx_s8)(&g, a->n, a->dx[0], a->d, tp_tensor_s8(tp_home(s, p), &p->tensor[0]), tp_tensor_f32(tp_home(s, p), &p->tensor[2]), tp_conv_room(s, a));
}

static void tp_conv2d_s8_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    (void)c;
    tp_conv_s8_gradient(s, p, a, g, first, rows, 1);
}

static void tp_dwconv2d_s8_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    (void)c;
    tp_conv_s8_gradient(s, p, a, g, first, rows, p->in.c);
}

#define TP_CONVOLUTION_S8(op, part)                                                                                      \
    TP_OPTIONAL tp_layer_ops tp_layer_##op = {                                                                           \
        .name = #op, .inputs = 1,                                                                                        \
        .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED | TP_LAYER_BATCH | TP_LAYER_X_S8 | TP_LAYER_Y_S8 | TP_LAYER_CLAMPED, \
        .shape = tp_##part##_shape, .plan = tp_##part##_plan, .init = tp_s8_init, .sane = tp_s8_sane,                    \
        .forward = tp_##part##_forward, .bias = tp_conv2d_bias, .errors = tp_##part##_errors,                            \
        .gradient = tp_##part##_gradient, .update = tp_s8_update, .state_words = tp_s8_state_words, .row_l1 = tp_s8_row_l1,  \
    };
TP_CONVOLUTION_S8(conv2d_s8, conv2d_s8)
TP_CONVOLUTION_S8(depthwise_conv2d_s8, dwconv2d_s8)
#undef TP_CONVOLUTION_S8
