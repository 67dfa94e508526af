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

static void tp_dense_plan(tp_plan_node *p, bool *overflow) {
    uint32_t weight[4] = {p->node.units, p->in.c, 1, 1}, bias[4] = {p->node.units, 1, 1, 1};
    tp_tensor_add(p, TP_F32, 2, weight, overflow);
    if ((p->node.flags & TP_FLAG_NO_BIAS) == 0) { tp_tensor_add(p, TP_F32, 1, bias, overflow); }
    p->rows = p->node.units;
    p->row_len = p->in.c;
    p->row_stride = tp_mul(p->in.c, tp_dtype_bytes(TP_F32), overflow);
    p->macs_forward = tp_mul(p->rows, p->row_len, overflow);
    p->macs_row = p->row_len;
    /* the factors c[] of a fused update, one per row; or one gradient row */
    p->scratch = tp_mul(tp_max_u32(p->rows, p->row_len), 4, overflow);
}

static void tp_dense_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    const float *w = tp_tensor_f32(s->arena, &p->tensor[0]), *b = tp_tensor_f32(s->arena, &p->tensor[1]);
    s->k->gemv_f32(a->y, w, a->x[0], b, p->rows, p->row_len);
}

static void tp_dense_bias(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    float *g = tp_grad_bias(s, p, (float *)(void *)a->scratch);
    s->k->add_f32(g, a->d, p->rows);
    tp_grad_bias_done(s, p, g);
}

/* Rows to work on, a block at a time: keeps the list off the arena. */
enum { TP_DENSE_BLOCK = 64 };

static void tp_dense_fused(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *w) {
    uint32_t row[TP_DENSE_BLOCK];
    float *c = (float *)(void *)a->scratch;
    for (uint32_t i = 0; i < p->rows;) {
        uint32_t m = 0;
        for (; i < p->rows && m < TP_DENSE_BLOCK; i++) {
            c[i] = -(s->lr * a->d[i]);
            row[m] = i;
            m += a->zeros || a->d[i] != 0.0f ? 1u : 0u;
        }
        s->k->rows_sgd_f32(a->dx[0], w, a->x[0], a->d, c, row, m, p->row_len);
    }
}

static void tp_dense_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    float *w = tp_tensor_f32(s->arena, &p->tensor[0]);
    if (a->dx[0] != NULL) { TP_MEMSET(a->dx[0], 0, (size_t)p->row_len * sizeof(float)); }
    if (p->trainable != 0 && tp_update_is_fused(s)) {
        tp_dense_fused(s, p, a, w);
    } else {
        for (uint32_t i = 0; i < p->rows && a->dx[0] != NULL; i++) {
            if (a->zeros || a->d[i] != 0.0f) { s->k->axpy_f32(a->dx[0], a->d[i], w + (size_t)i * p->row_len, p->row_len); }
        }
        for (uint32_t i = 0; i < p->rows && p->trainable != 0; i++) {
            if (a->d[i] == 0.0f) { continue; }
            float *g = tp_grad_rows(s, p, i, 1, (float *)(void *)a->scratch);
            s->k->axpy_f32(g, a->d[i], a->x[0], p->row_len);
            tp_grad_done(s, p, i, g);
        }
    }
    if (a->dx[0] != NULL) { s->k->finish_f32(a->dx[0], p->row_len); }
}

static const tp_layer_ops tp_layer_dense = {
    .name = "dense", .inputs = 1, .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED,
    .shape = tp_dense_shape, .plan = tp_dense_plan,
    .forward = tp_dense_forward, .bias = tp_dense_bias, .backward = tp_dense_backward,
};
