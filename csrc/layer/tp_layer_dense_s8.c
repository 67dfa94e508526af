/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected in int8 (TFLite's FULLY_CONNECTED), W [out][in], a scale for every output. */
#include "tp_layer_s8.h"

static tp_status tp_dense_s8_shape(tp_plan_node *p, const tp_shape *in1) {
    return (p->node.flags & TP_FLAG_NO_BIAS) != 0 ? TP_E_MODEL : tp_dense_shape(p, in1);
}

/* As a map of one position. */
static tp_conv tp_dense_s8_map(const tp_plan_node *p) { return (tp_conv){1, 1, p->in.c, 1, 1, p->out.c, 1, 1, 1, 1, 0, 0, 1}; }

static void tp_dense_s8_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) {
    uint32_t weight[4] = {p->node.units, p->in.c, 1, 1};
    tp_s8_parameters(p, 2, weight, overflow);
    tp_conv g = tp_dense_s8_map(p);
    p->scratch = options->packing != 0 ? tp_mul(tp_conv_back_s8_scratch(&g), 4, overflow) : 0u;
}

static void tp_dense_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_requant q = tp_s8_requant(s, p);
    TP_CALL(s->k, dense_s8)(a->y, tp_tensor_s8(tp_home(s, p), &p->tensor[0]), a->x[0], tp_tensor_s32(tp_home_bias(s, p), &p->tensor[1]), &q, p->rows, p->row_len, a->n);
}

static void tp_dense_s8_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, dense_dx_s8)(a->dx[0], a->d, tp_tensor_s8(tp_home(s, p), &p->tensor[0]), tp_tensor_f32(tp_home(s, p), &p->tensor[2]), p->rows, p->row_len, a->n, tp_conv_room(s, a));
}

static void tp_dense_s8_gradient(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows) {
    (void)c;
    tp_conv map = tp_dense_s8_map(p);
    TP_CALL(s->k, conv_dw_s8)(&map, a->n, g, a->x[0], p->xq[0].zero, a->d, first, rows, tp_conv_room(s, a));
}

TP_OPTIONAL tp_layer_ops tp_layer_dense_s8 = {
    .name = "dense_s8", .inputs = 1,
    .flags = TP_LAYER_WEIGHTS | TP_LAYER_X_IF_TRAINED | TP_LAYER_BATCH | TP_LAYER_X_S8 | TP_LAYER_Y_S8 | TP_LAYER_CLAMPED,
    .shape = tp_dense_s8_shape, .plan = tp_dense_s8_plan, .init = tp_s8_init, .sane = tp_s8_sane,
    .forward = tp_dense_s8_forward, .bias = tp_dense_bias, .errors = tp_dense_s8_errors,
    .gradient = tp_dense_s8_gradient, .update = tp_s8_update, .state_words = tp_s8_state_words, .row_l1 = tp_s8_row_l1,
};
