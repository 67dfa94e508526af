/* SPDX-License-Identifier: Apache-2.0 */
/* [h][w][c] seen as one vector: no bytes move unless another node reads the input too. */
#include "tp_layer.h"

static tp_status tp_flatten_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    bool overflow = false;
    p->out = (tp_shape){1, 1, tp_mul(tp_mul(p->in.h, p->in.w, &overflow), p->in.c, &overflow), 1};
    return overflow ? TP_E_LIMIT : TP_OK;
}

static void tp_flatten_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s, (void)p;
    if (a->x[0] != a->y) { TP_MEMCPY(a->y, a->x[0], (size_t)a->n * a->y_bytes); }
}

static void tp_flatten_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    if (a->dx[0] != a->d) { TP_MEMCPY(a->dx[0], a->d, (size_t)a->n * p->n_out * sizeof(float)); }
}

TP_OPTIONAL tp_layer_ops tp_layer_flatten = {
    .name = "flatten", .inputs = 1, .flags = TP_LAYER_VIEW | TP_LAYER_IN_PLACE | TP_LAYER_BATCH | TP_LAYER_ANY,
    .shape = tp_flatten_shape, .forward = tp_flatten_forward, .errors = tp_flatten_errors,
};
