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

static void tp_conv2d_plan(tp_plan_node *p, bool *overflow) {
    tp_conv_parameters(p, tp_conv_groups(p), overflow);
    /* a tile of patches, or of weights and their biases; lists of one position; a block of gradient rows; the bias gradient */
    uint32_t tile = tp_mul(tp_sum(p->row_len, 1, overflow), TP_CONV_TILE, overflow), list = tp_mul(p->out.c, 2, overflow);
    p->scratch = tp_mul(tp_max_u32(tile, list), 4, overflow);
}

static void tp_conv2d_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, tp_conv_groups(p));
    const float *w = tp_tensor_f32(s->arena, &p->tensor[0]), *b = tp_tensor_f32(s->arena, &p->tensor[1]);
    s->k->conv_f32(&g, a->y, a->x[0], w, b, (float *)(void *)a->scratch);
}

static void tp_conv2d_bias(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    float *g = tp_grad_bias(s, p, (float *)(void *)a->scratch);
    s->k->channel_sum_f32(g, a->d, p->out.h * p->out.w, p->out.c);
    tp_grad_bias_done(s, p, g);
}

/* Does output channel o propagate anything? */
static bool tp_conv_channel_works(const tp_plan_node *p, const float *d, uint32_t o) {
    for (uint32_t i = o; i < p->n_out; i += p->out.c) {
        if (d[i] != 0.0f) { return true; }
    }
    return false;
}

/* Weight gradients, a block of output channels at a time; channels that propagate nothing are not touched. */
static void tp_conv_weights(const tp_step *s, const tp_plan_node *p, const tp_pass *a, const tp_conv *g) {
    enum { BLOCK = 8 };
    for (uint32_t o = 0; o < p->rows; o += BLOCK) {
        uint32_t n = tp_min_u32(BLOCK, p->rows - o), any = 0;
        bool works[BLOCK];
        for (uint32_t r = 0; r < n; r++) {
            works[r] = tp_conv_channel_works(p, a->d, o + r);
            any += works[r] ? 1u : 0u;
        }
        if (any == 0) { continue; }
        float *grad = tp_grad_rows(s, p, o, n, (float *)(void *)a->scratch);
        s->k->conv_dw_f32(g, grad, a->x[0], a->d, o, n, a->zeros);
        for (uint32_t r = 0; r < n; r++) {
            if (works[r]) { tp_grad_done(s, p, o + r, grad + (size_t)r * p->row_len); }
        }
    }
}

static void tp_conv2d_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, tp_conv_groups(p));
    if (a->dx[0] != NULL) {
        TP_MEMSET(a->dx[0], 0, (size_t)a->n_dx[0] * sizeof(float));
        s->k->conv_dx_f32(&g, a->dx[0], a->d, tp_tensor_f32(s->arena, &p->tensor[0]), a->zeros, a->scratch);
        s->k->finish_f32(a->dx[0], a->n_dx[0]);
    }
    if (p->trainable != 0) { tp_conv_weights(s, p, a, &g); }
}

static const tp_layer_ops tp_layer_conv2d = {
    .name = "conv2d", .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED,
    .shape = tp_conv2d_shape, .plan = tp_conv2d_plan,
    .forward = tp_conv2d_forward, .bias = tp_conv2d_bias, .backward = tp_conv2d_backward,
};

static const tp_layer_ops tp_layer_conv1d = {
    .name = "conv1d", .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED,
    .shape = tp_conv1d_shape, .plan = tp_conv2d_plan,
    .forward = tp_conv2d_forward, .bias = tp_conv2d_bias, .backward = tp_conv2d_backward,
};
