/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution: output channel o reads input channel o / multiplier, W [out][kh][kw][1]. With multiplier 1 the
 * channels are the lanes (weights turned to [kh][kw][c] in scratch); any other multiplier is a grouped convolution. */
#include "tp_layer_window.h"

TP_INLINE bool tp_dwconv_by_lanes(const tp_plan_node *p) { return p->out.c == p->in.c; }

static tp_status tp_dwconv2d_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (p->in.rank != 3) { return TP_E_SHAPE; }
    if (p->node.units == 0 || p->node.units % p->in.c != 0) { return TP_E_MODEL; }
    p->out.c = p->node.units;
    return tp_window_shape(p);
}

static void tp_dwconv2d_plan(tp_plan_node *p, bool *overflow) {
    tp_conv_parameters(p, p->in.c, overflow);
    uint32_t turned = tp_mul(tp_sum(p->row_len, 1, overflow), tp_max_u32(p->out.c, TP_CONV_TILE), overflow);
    uint32_t list = tp_mul(p->out.c, 2, overflow);
    p->scratch = tp_mul(tp_sum(tp_max_u32(turned, list), p->row_len, overflow), 4, overflow);
}

/* [c][taps] -> [taps][c] */
static void tp_dwconv_turn(float *to, const float *from, uint32_t rows, uint32_t columns) {
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t c = 0; c < columns; c++) { to[(size_t)c * rows + r] = from[(size_t)r * columns + c]; }
    }
}

static void tp_dwconv2d_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c);
    const float *w = tp_tensor_f32(s->arena, &p->tensor[0]), *b = tp_tensor_f32(s->arena, &p->tensor[1]);
    float *scratch = (float *)(void *)a->scratch;
    if (!tp_dwconv_by_lanes(p)) {
        s->k->conv_f32(&g, a->y, a->x[0], w, b, scratch);
        return;
    }
    tp_dwconv_turn(scratch, w, p->rows, p->row_len);
    s->k->dwconv_f32(&g, a->y, a->x[0], scratch, b);
}

static void tp_dwconv2d_weights(const tp_step *s, const tp_plan_node *p, const tp_pass *a, const tp_conv *g) {
    float *gt = (float *)(void *)a->scratch, *row = gt + (size_t)p->rows * p->row_len;
    TP_MEMSET(gt, 0, (size_t)p->rows * p->row_len * sizeof(float));
    for (uint32_t o = 0; o < p->rows && !s->batch_one; o++) { /* go on where the last sample stopped */
        if (!tp_conv_channel_works(p, a->d, o)) { continue; }
        const float *grad = tp_grad_rows(s, p, o, 1, row);
        for (uint32_t t = 0; t < p->row_len; t++) { gt[(size_t)t * p->rows + o] = grad[t]; }
    }
    s->k->dwconv_dw_f32(g, gt, a->x[0], a->d);
    if (!s->k->finite_f32(gt, p->rows * p->row_len)) { /* an infinite input where the error is zero must not count */
        tp_conv_weights(s, p, a, g);
        return;
    }
    for (uint32_t o = 0; o < p->rows; o++) {
        if (!tp_conv_channel_works(p, a->d, o)) { continue; }
        float *grad = tp_grad_rows(s, p, o, 1, row);
        for (uint32_t t = 0; t < p->row_len; t++) { grad[t] = gt[(size_t)t * p->rows + o]; }
        tp_grad_done(s, p, o, grad);
    }
}

static void tp_dwconv2d_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c);
    const float *w = tp_tensor_f32(s->arena, &p->tensor[0]);
    bool lanes = tp_dwconv_by_lanes(p);
    if (a->dx[0] != NULL) {
        TP_MEMSET(a->dx[0], 0, (size_t)a->n_dx[0] * sizeof(float));
        if (lanes) {
            tp_dwconv_turn((float *)(void *)a->scratch, w, p->rows, p->row_len);
            s->k->dwconv_dx_f32(&g, a->dx[0], a->d, (const float *)(void *)a->scratch);
        } else {
            s->k->conv_dx_f32(&g, a->dx[0], a->d, w, a->zeros, a->scratch);
        }
        s->k->finish_f32(a->dx[0], a->n_dx[0]);
    }
    if (p->trainable != 0 && lanes) {
        tp_dwconv2d_weights(s, p, a, &g);
    } else if (p->trainable != 0) {
        tp_conv_weights(s, p, a, &g);
    }
}

static const tp_layer_ops tp_layer_depthwise_conv2d = {
    .name = "depthwise_conv2d", .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED,
    .shape = tp_dwconv2d_shape, .plan = tp_dwconv2d_plan,
    .forward = tp_dwconv2d_forward, .bias = tp_conv2d_bias, .backward = tp_dwconv2d_backward,
};
