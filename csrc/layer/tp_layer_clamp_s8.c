/* SPDX-License-Identifier: Apache-2.0 */
/* relu and relu6 of int8: keeps real values between 0 and `param` (0: no upper bound), in place, scale and zero unchanged. Behind a
 * layer that saturates it costs nothing: the plan lets that layer clamp closer. */
#include "tp_layer_s8.h"

static tp_status tp_clamp_s8_shape(tp_plan_node *p, const tp_shape *in1) {
    float top = p->node.param;
    if (!(top >= 0.0f && tp_finite(top))) { return TP_E_MODEL; }
    p->fixed[0] = p->yq.zero;
    p->fixed[1] = 127;
    int32_t steps = tp_round_away(top / p->yq.scale);
    if (top > 0.0f && steps < 127 - p->yq.zero) { p->fixed[1] = p->yq.zero + steps; }
    return tp_act_shape(p, in1);
}

static void tp_clamp_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, clamp_s8)(a->y, a->x[0], p->fixed[0], p->fixed[1], a->n * p->n_out);
}

/* Nothing is learnt from what was clamped, at 127 neither. */
static void tp_clamp_s8_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    float *d = tp_act_error(p, a);
    const int8_t *y = a->y;
    for (uint32_t i = 0; i < a->n; i++, d += p->n_out, y += p->n_out) {
        float sum = TP_CALL(s->k, clamp_back_s8)(d, y, p->fixed[0], p->fixed[1], p->n_out);
        if (a->l1 != NULL) { a->l1[i] = sum; }
    }
}

TP_OPTIONAL tp_layer_ops tp_layer_clamp_s8 = {
    .name = "clamp_s8", .inputs = 1,
    .flags = TP_LAYER_IN_PLACE | TP_LAYER_NEEDS_Y | TP_LAYER_BATCH | TP_LAYER_SUMS | TP_LAYER_X_S8 | TP_LAYER_Y_S8 | TP_LAYER_SAME | TP_LAYER_CLAMPS,
    .shape = tp_clamp_s8_shape, .forward = tp_clamp_s8_forward, .errors = tp_clamp_s8_errors,
};
