/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected: y = W x + b, W [out][in]. */
#include "tp_layer.h"

static TP_COLD tp_status tp_dense_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (p->node.units == 0) { return TP_E_MODEL; }
    if (p->in.h != 1 || p->in.w != 1) { return TP_E_SHAPE; } /* flatten first */
    p->out = (tp_shape){1, 1, p->node.units, 1};
    return TP_OK;
}

static TP_COLD void tp_dense_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) {
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
    const float *w = tp_tensor_f32(tp_home(s, p), &p->tensor[0]), *b = tp_tensor_f32(tp_home_bias(s, p), &p->tensor[1]);
    uint32_t first = a->piece, rows = a->pieces > 0 ? a->pieces : p->rows;
    float *y = a->y;
    TP_CALL(s->k, dense_f32)(y + first, w + (size_t)first * p->row_len, a->x[0], b != NULL ? b + first : NULL, rows, p->row_len, a->n);
}

static void tp_dense_bias(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g) { TP_CALL(s->k, add_f32)(g, a->d, p->rows); }

/* A piece is a row. */
static uint32_t tp_dense_pieces(const tp_plan_node *p, bool back) {
    (void)back;
    return p->rows;
}

static uint32_t tp_dense_piece_macs(const tp_step *s, const tp_plan_node *p, const tp_pass *a, uint32_t piece) {
    (void)s;
    return a->d[piece] != 0.0f || a->zeros ? p->row_len : 0u;
}

/* Some rows of one sample: their part of dx, and (update) the rows themselves, as the kernels for all rows do it. */
static void tp_dense_some(const tp_step *s, const tp_plan_node *p, const tp_pass *a, bool update) {
    float *w = tp_tensor_f32(tp_home(s, p), &p->tensor[0]) + (size_t)a->piece * p->row_len, *dx = a->dx[0];
    uint32_t end = a->piece + a->pieces;
    if (a->piece == 0 && dx != NULL) { TP_MEMSET(dx, 0, (size_t)p->row_len * sizeof(float)); }
    for (uint32_t i = a->piece; i < end; i++, w += p->row_len) {
        if (a->d[i] == 0.0f) { continue; }
        if (dx != NULL) { TP_CALL(s->k, axpy_f32)(dx, a->d[i], w, p->row_len); }
        if (update) { TP_CALL(s->k, axpy_f32)(w, -(s->lr * a->d[i]), a->x[0], p->row_len); }
    }
    if (end == p->rows && dx != NULL) { TP_CALL(s->k, finish_f32)(dx, p->row_len); }
}

static void tp_dense_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    if (a->pieces > 0) {
        tp_dense_some(s, p, a, false);
        return;
    }
    TP_CALL(s->k, dense_dx_f32)(a->dx[0], a->d, tp_tensor_f32(tp_home(s, p), &p->tensor[0]), p->rows, p->row_len, a->n, a->zeros);
}

static void tp_dense_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    float *w = tp_tensor_f32(tp_home(s, p), &p->tensor[0]) + (size_t)first * p->row_len;
    TP_CALL(s->k, dense_dw_f32)(g, w, c, a->x[0], a->d, p->rows, p->row_len, a->n, first, rows, a->zeros);
}

static void tp_dense_fused(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    if (a->pieces > 0) {
        tp_dense_some(s, p, a, true);
        return;
    }
    TP_CALL(s->k, dense_sgd_f32)(a->dx[0], tp_tensor_f32(tp_home(s, p), &p->tensor[0]), a->x[0], a->d, s->lr, p->rows, p->row_len, a->zeros);
}

TP_OPTIONAL tp_layer_ops tp_layer_dense = {
    .name = "dense", .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED | TP_LAYER_BATCH,
    .shape = tp_dense_shape, .plan = tp_dense_plan, .forward = tp_dense_forward, .bias = tp_dense_bias,
    .errors = tp_dense_errors, .gradient = tp_dense_gradient, .fused = tp_dense_fused,
    .pieces = tp_dense_pieces, .piece_macs = tp_dense_piece_macs,
};
