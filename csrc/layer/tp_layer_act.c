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
    if (a->dx[0] != a->d) { TP_MEMCPY(a->dx[0], a->d, (size_t)p->n_out * sizeof(float)); }
    return a->dx[0];
}

static void tp_relu_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    s->k->clamp_f32(a->y, a->x[0], tp_f32_from_bits(0x7f800000u), p->n_out);
}

static void tp_relu_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s->k->clamp_back_f32(tp_act_error(p, a), a->y, tp_f32_from_bits(0x7f800000u), p->n_out);
}

static void tp_relu6_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    s->k->clamp_f32(a->y, a->x[0], 6.0f, p->n_out);
}

static void tp_relu6_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s->k->clamp_back_f32(tp_act_error(p, a), a->y, 6.0f, p->n_out);
}

static tp_status tp_leaky_relu_shape(tp_plan_node *p, const tp_shape *in1) {
    /* the derivative is read off the sign of the output */
    if (!(p->node.param >= 0.0f && p->node.param < 1.0f)) { return TP_E_MODEL; }
    return tp_act_shape(p, in1);
}

static void tp_leaky_relu_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    s->k->leaky_f32(a->y, a->x[0], p->node.param, p->n_out);
}

static void tp_leaky_relu_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s->k->leaky_back_f32(tp_act_error(p, a), a->y, p->node.param, p->n_out);
}

static void tp_sigmoid_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    s->k->sigmoid_f32(a->y, a->x[0], p->n_out);
}

static void tp_sigmoid_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s->k->sigmoid_back_f32(tp_act_error(p, a), a->y, p->n_out);
}

static void tp_tanh_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    s->k->tanh_f32(a->y, a->x[0], p->n_out);
}

static void tp_tanh_backward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s->k->tanh_back_f32(tp_act_error(p, a), a->y, p->n_out);
}

#define TP_ACTIVATION(op, shape_of)                                                        \
    static const tp_layer_ops tp_layer_##op = {                                            \
        .name = #op, .inputs = 1, .flags = TP_LAYER_IN_PLACE | TP_LAYER_NEEDS_Y,           \
        .shape = shape_of, .forward = tp_##op##_forward, .backward = tp_##op##_backward,   \
    };
TP_ACTIVATION(relu, tp_act_shape)
TP_ACTIVATION(relu6, tp_act_shape)
TP_ACTIVATION(leaky_relu, tp_leaky_relu_shape)
TP_ACTIVATION(sigmoid, tp_act_shape)
TP_ACTIVATION(tanh, tp_act_shape)
#undef TP_ACTIVATION
