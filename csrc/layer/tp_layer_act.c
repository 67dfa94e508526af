/* SPDX-License-Identifier: Apache-2.0 */
/* Activations: element-wise, in place where the graph allows, derivatives taken from the output. */
#include "tp_layer.h"

static tp_status tp_act_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    p->out = p->in;
    return TP_OK;
}

/* Brings the error to where it is wanted; then the derivative works on it in place. */
static float *tp_act_error(const tp_plan_node *p, const tp_pass *a) {
    if (a->dx[0] != a->d) { TP_MEMCPY(a->dx[0], a->d, (size_t)a->n * p->n_out * sizeof(float)); }
    return a->dx[0];
}

/* The derivative, sample by sample: its kernels add up what they leave. */
#define TP_ACT_ERRORS(op, derivative)                                                             \
    static void tp_##op##_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {     \
        float *d = tp_act_error(p, a);                                                            \
        const float *y = a->y;                                                                    \
        for (uint32_t i = 0; i < a->n; i++, d += p->n_out, y += p->n_out) {                       \
            float sum = derivative;                                                               \
            if (a->l1 != NULL) { a->l1[i] = sum; }                                                \
        }                                                                                         \
    }

static void tp_relu_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, clamp_f32)(a->y, a->x[0], tp_f32_from_bits(0x7f800000u), a->n * p->n_out);
}

TP_ACT_ERRORS(relu, TP_CALL(s->k, clamp_back_f32)(d, y, tp_f32_from_bits(0x7f800000u), p->n_out))

static void tp_relu6_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, clamp_f32)(a->y, a->x[0], 6.0f, a->n * p->n_out);
}

TP_ACT_ERRORS(relu6, TP_CALL(s->k, clamp_back_f32)(d, y, 6.0f, p->n_out))

static tp_status tp_leaky_relu_shape(tp_plan_node *p, const tp_shape *in1) {
    /* the derivative is read off the sign of the output */
    if (!(p->node.param >= 0.0f && p->node.param < 1.0f)) { return TP_E_MODEL; }
    return tp_act_shape(p, in1);
}

static void tp_leaky_relu_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, leaky_f32)(a->y, a->x[0], p->node.param, a->n * p->n_out);
}

TP_ACT_ERRORS(leaky_relu, TP_CALL(s->k, leaky_back_f32)(d, y, p->node.param, p->n_out))

static void tp_sigmoid_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, sigmoid_f32)(a->y, a->x[0], a->n * p->n_out);
}

TP_ACT_ERRORS(sigmoid, TP_CALL(s->k, sigmoid_back_f32)(d, y, p->n_out))

static void tp_tanh_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_CALL(s->k, tanh_f32)(a->y, a->x[0], a->n * p->n_out);
}

TP_ACT_ERRORS(tanh, TP_CALL(s->k, tanh_back_f32)(d, y, p->n_out))

#define TP_ACTIVATION(op, shape_of)                                                        \
    TP_OPTIONAL tp_layer_ops tp_layer_##op = {                                            \
        .name = #op, .inputs = 1, .flags = TP_LAYER_IN_PLACE | TP_LAYER_NEEDS_Y | TP_LAYER_BATCH | TP_LAYER_SUMS, \
        .shape = shape_of, .forward = tp_##op##_forward, .errors = tp_##op##_errors,       \
    };
TP_ACTIVATION(relu, tp_act_shape)
TP_ACTIVATION(relu6, tp_act_shape)
TP_ACTIVATION(leaky_relu, tp_leaky_relu_shape)
TP_ACTIVATION(sigmoid, tp_act_shape)
TP_ACTIVATION(tanh, tp_act_shape)
#undef TP_ACTIVATION
#undef TP_ACT_ERRORS
