/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of int8 (kernel/tp_softmax_s8.h). For inference: training has the loss's own softmax. */
#include "tp_layer_s8.h"

static tp_status tp_softmax_s8_shape(tp_plan_node *p, const tp_shape *in1) {
    if (p->yq.scale != 1.0f / 256.0f || p->yq.zero != -128 || p->in.h != 1 || p->in.w != 1) { return TP_E_MODEL; }
    double rescale = (double)p->xq[0].scale * (double)(1 << 26);
    if (!(rescale > 1.0)) { return TP_E_MODEL; }
    tp_fixed_point(rescale < 0x7fffffff ? rescale : 0x7fffffff, &p->fixed[0], &p->fixed[1]);
    p->fixed[2] = -(int32_t)(((int64_t)31 << 26) >> p->fixed[1]);
    return tp_act_shape(p, in1);
}

static void tp_softmax_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    const tp_softmax_s8 q = {p->fixed[0], p->fixed[1], p->fixed[2]};
    TP_CALL(s->k, softmax_s8)(a->y, a->x[0], &q, p->n_out);
}

TP_OPTIONAL tp_layer_ops tp_layer_softmax_s8 = {
    .name = "softmax_s8", .inputs = 1, .flags = TP_LAYER_X_S8 | TP_LAYER_Y_S8,
    .shape = tp_softmax_s8_shape, .forward = tp_softmax_s8_forward,
};
