/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected: y = W x + b, W [out][in]. */
#include "tp_layer.h"

static tp_status tp_dense_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (p->node.units == 0) { return TP_E_MODEL; }
    if (p->in.h != 1 || p->in.w != 1) { return TP_E_SHAPE; } /* flatten first */
    p->out = (tp_shape){1, 1, p->node.units, 1};
    return TP_OK;
}

static void tp_dense_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) {
    (void)options;
    uint32_t weight[4] = {p->node.units, p->in.c, 1, 1}, bias[4] = {p->node.units, 1, 1, 1};
    tp_tensor_add(p, TP_F32, 2, weight, overflow);
    if ((p->node.flags & TP_FLAG_NO_BIAS) == 0) { tp_tensor_add(p, TP_F32, 1, bias, overflow); }
    p->rows = p->node.units;
    p->row_len = p->in.c;
    p->row_stride = tp_mul(p->in.c, tp_dtype_bytes(TP_F32), overflow);
    p->macs_forward = tp_mul(p->rows, p->row_len, overflow);
    p->macs_row = p->row_len;
}

static void tp_dense_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    const float *w = tp_tensor_f32(s->arena, &p->tensor[0]), *b = tp_tensor_f32(s->arena, &p->tensor[1]);
    TP_CALL(s->k, dense_f32)(a->y, w, a->x[0], b, p->rows, p->row_len, a->n);
}

static void tp_dense_bias(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g) { TP_CALL(s->k, add_f32)(g, a->d, p->rows); }

static void tp_dense_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, dense_dx_f32)(a->dx[0], a->d, tp_tensor_f32(s->arena, &p->tensor[0]), p->rows, p->row_len, a->n, a->zeros);
}

static void tp_dense_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    float *w = tp_tensor_f32(s->arena, &p->tensor[0]) + (size_t)first * p->row_len;
    TP_CALL(s->k, dense_dw_f32)(g, w, c, a->x[0], a->d, p->rows, p->row_len, a->n, first, rows, a->zeros);
}

static void tp_dense_fused(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, dense_sgd_f32)(a->dx[0], tp_tensor_f32(s->arena, &p->tensor[0]), a->x[0], a->d, s->lr, p->rows, p->row_len, a->zeros);
}

TP_OPTIONAL tp_layer_ops tp_layer_dense = {
    .name = "dense", .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED | TP_LAYER_BATCH,
    .shape = tp_dense_shape, .plan = tp_dense_plan, .forward = tp_dense_forward, .bias = tp_dense_bias,
    .errors = tp_dense_errors, .gradient = tp_dense_gradient, .fused = tp_dense_fused,
};
