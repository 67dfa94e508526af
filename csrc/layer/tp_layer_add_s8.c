/* SPDX-License-Identifier: Apache-2.0 */
/* Residual sum of two int8 tensors of the same shape, each of its own scale (TFLite's ADD); its error goes unchanged to both. */
#include "tp_layer_s8.h"

static tp_status tp_add_s8_shape(tp_plan_node *p, const tp_shape *in1) {
    double a = (double)p->xq[0].scale, b = (double)p->xq[1].scale, twice = 2.0 * (a > b ? a : b);
    tp_fixed_point(a / twice, &p->fixed[0], &p->fixed[1]);
    tp_fixed_point(b / twice, &p->fixed[2], &p->fixed[3]);
    tp_fixed_point(twice / ((double)(1 << 20) * (double)p->yq.scale), &p->fixed[4], &p->fixed[5]);
    return p->fixed[5] > 0 ? TP_E_MODEL : tp_add_shape(p, in1); /* TFLite wants the sum scaled down */
}

static void tp_add_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_add_s8 q = {p->xq[0].zero, p->xq[1].zero, p->yq.zero, p->fixed[0], p->fixed[2], p->fixed[4], p->fixed[1], p->fixed[3], p->fixed[5]};
    TP_CALL(s->k, add_s8)(a->y, a->x[0], a->x[1], &q, a->n * p->n_out);
}

TP_OPTIONAL tp_layer_ops tp_layer_add_s8 = {
    .name = "add_s8", .inputs = 2, .flags = TP_LAYER_BATCH | TP_LAYER_X_S8 | TP_LAYER_Y_S8,
    .shape = tp_add_s8_shape, .forward = tp_add_s8_forward, .errors = tp_add_errors,
};
