/* SPDX-License-Identifier: Apache-2.0 */
/* Residual sum of two tensors of the same shape; its error goes unchanged to both. */
#include "tp_layer.h"

static tp_status tp_add_shape(tp_plan_node *p, const tp_shape *in1) {
    if (p->in.h != in1->h || p->in.w != in1->w || p->in.c != in1->c || p->in.rank != in1->rank) { return TP_E_SHAPE; }
    p->out = p->in;
    return TP_OK;
}

static void tp_add_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    const float *left = a->x[0], *right = a->x[1];
    float *y = a->y;
    for (uint32_t i = 0; i < a->n * p->n_out; i++) { y[i] = left[i] + right[i]; }
}

static void tp_add_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    for (uint32_t slot = 0; slot < 2; slot++) {
        if (a->dx[slot] != NULL) { TP_MEMCPY(a->dx[slot], a->d, (size_t)a->n * p->n_out * sizeof(float)); }
    }
}

TP_OPTIONAL tp_layer_ops tp_layer_add = {
    .name = "add", .inputs = 2, .flags = TP_LAYER_BATCH, .shape = tp_add_shape, .forward = tp_add_forward, .errors = tp_add_errors,
};
