/* SPDX-License-Identifier: Apache-2.0 */
/* From reals to int8 and back (TFLite's QUANTIZE and DEQUANTIZE): q = clamp(round(x / scale) + zero), x = scale * (q - zero). */
#include "tp_layer_s8.h"

static void tp_quantize_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, quantize_s8)(a->y, a->x[0], p->yq.scale, p->yq.zero, a->n * p->n_out);
}

/* What is rounded is learnt from as if it were not. */
static void tp_quantize_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    TP_MEMCPY(a->dx[0], a->d, (size_t)a->n * p->n_out * sizeof(float));
}

static void tp_dequantize_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, dequantize_s8)(a->y, a->x[0], p->xq[0].scale, p->xq[0].zero, a->n * p->n_out);
}

TP_OPTIONAL tp_layer_ops tp_layer_quantize = {
    .name = "quantize", .inputs = 1, .flags = TP_LAYER_BATCH | TP_LAYER_Y_S8 | TP_LAYER_INPUT_S8,
    .shape = tp_act_shape, .forward = tp_quantize_forward, .errors = tp_quantize_errors,
};

TP_OPTIONAL tp_layer_ops tp_layer_dequantize = {
    .name = "dequantize", .inputs = 1, .flags = TP_LAYER_BATCH | TP_LAYER_X_S8,
    .shape = tp_act_shape, .forward = tp_dequantize_forward, .errors = tp_quantize_errors,
};
