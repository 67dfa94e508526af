/* SPDX-License-Identifier: Apache-2.0 */
/* Frozen batch normalisation: y = gamma (x - mean) / sqrt(variance + epsilon) + beta per channel, with mean and variance
 * fixed (at batch 1 batch statistics mean nothing); gamma and beta train unless frozen. */
#include "tp_layer.h"

static tp_status tp_batch_norm_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (!(p->node.param > 0.0f && tp_finite(p->node.param))) { return TP_E_MODEL; }
    p->out = p->in;
    return TP_OK;
}

static void tp_batch_norm_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) {
    (void)options;
    uint32_t dim[4] = {p->in.c, 1, 1, 1};
    for (uint32_t i = 0; i < 4; i++) { tp_tensor_add(p, TP_F32, 1, dim, overflow); }
    p->rows = 2; /* gamma, beta */
    p->row_len = p->in.c;
    p->row_stride = tp_align_up(p->tensor[0].bytes, TP_ALIGN, overflow);
    p->scratch = tp_mul(p->in.c, 4, overflow); /* 1 / sqrt(variance + epsilon) */
}

static void tp_batch_norm_init(const tp_net *net, const tp_plan_node *p) {
    float *gamma = tp_tensor_f32(net->arena, &p->tensor[0]), *variance = tp_tensor_f32(net->arena, &p->tensor[3]);
    for (uint32_t i = 1; i < 3; i++) { TP_MEMSET(net->arena + p->tensor[i].offset, 0, p->tensor[i].bytes); }
    for (uint32_t c = 0; c < p->in.c; c++) { gamma[c] = variance[c] = 1.0f; }
}

static float *tp_batch_norm_inverse(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    const float *variance = tp_tensor_f32(tp_home(s, p), &p->tensor[3]);
    float *inverse = (float *)(void *)a->scratch;
    for (uint32_t c = 0; c < p->in.c; c++) { inverse[c] = 1.0f / TP_SQRT(variance[c] + p->node.param); }
    return inverse;
}

static void tp_batch_norm_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    const float *gamma = tp_tensor_f32(tp_home(s, p), &p->tensor[0]), *beta = tp_tensor_f32(tp_home(s, p), &p->tensor[1]);
    const float *mean = tp_tensor_f32(tp_home(s, p), &p->tensor[2]), *inverse = tp_batch_norm_inverse(s, p, a);
    const float *x = a->x[0];
    float *y = a->y;
    for (uint32_t i = 0; i < p->n_out; i += p->in.c) {
        for (uint32_t c = 0; c < p->in.c; c++) {
            float normal = (x[i + c] - mean[c]) * inverse[c];
            y[i + c] = gamma[c] * normal + beta[c];
        }
    }
}

static void tp_batch_norm_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    const float *gamma = tp_tensor_f32(tp_home(s, p), &p->tensor[0]), *inverse = tp_batch_norm_inverse(s, p, a);
    for (uint32_t i = 0; i < p->n_out; i += p->in.c) {
        for (uint32_t c = 0; c < p->in.c; c++) { a->dx[0][i + c] = a->d[i + c] * (gamma[c] * inverse[c]); }
    }
}

static void tp_batch_norm_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    (void)c;
    const float *mean = tp_tensor_f32(tp_home(s, p), &p->tensor[2]), *inverse = tp_batch_norm_inverse(s, p, a);
    const float *x = a->x[0];
    float *gamma = first == 0 ? g : NULL, *beta = first + rows == 2 ? g + (size_t)(1u - first) * p->in.c : NULL;
    for (uint32_t i = 0; i < p->n_out && gamma != NULL; i += p->in.c) {
        for (uint32_t j = 0; j < p->in.c; j++) {
            float normal = (x[i + j] - mean[j]) * inverse[j];
            gamma[j] += a->d[i + j] * normal;
        }
    }
    if (beta != NULL) { TP_CALL(s->k, channel_sum_f32)(beta, a->d, p->n_out / p->in.c, p->in.c); }
}

TP_OPTIONAL tp_layer_ops tp_layer_batch_norm = {
    .name = "batch_norm", .inputs = 1, .flags = TP_LAYER_X_IF_TRAINED,
    .shape = tp_batch_norm_shape, .plan = tp_batch_norm_plan, .init = tp_batch_norm_init,
    .forward = tp_batch_norm_forward, .errors = tp_batch_norm_errors, .gradient = tp_batch_norm_gradient,
};
