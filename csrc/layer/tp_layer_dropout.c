/* SPDX-License-Identifier: Apache-2.0 */
/* Inverted dropout. Element i of node l at the n-th sample is kept iff rng(seed, l, n, i) says so; the backward pass asks
 * the generator again, so no mask is stored. Inactive outside training. */
#include "../core/tp_rng.h"
#include "tp_layer.h"

static tp_status tp_dropout_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (!(p->node.param >= 0.0f && p->node.param < 1.0f)) { return TP_E_MODEL; }
    p->out = p->in;
    return TP_OK;
}

static void tp_dropout_apply(const tp_step *s, const tp_plan_node *p, uint64_t sample, float *to, const float *from) {
    uint32_t node = (uint32_t)(p - s->plan->node);
    float scale = 1.0f / (1.0f - p->node.param);
    for (uint32_t i = 0; i < p->n_out; i += 4) {
        tp_rng_block r = tp_rng(s->plan->recipe.seed, TP_RNG_DROPOUT, node, sample, i / 4u);
        for (uint32_t j = 0; j < 4 && i + j < p->n_out; j++) {
            to[i + j] = tp_rng_unit(r.word[j]) >= p->node.param ? from[i + j] * scale : 0.0f;
        }
    }
}

static void tp_dropout_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    if (s->training) {
        tp_dropout_apply(s, p, a->sample, a->y, a->x[0]);
    } else if (a->x[0] != a->y) {
        TP_MEMCPY(a->y, a->x[0], (size_t)p->n_out * sizeof(float));
    }
}

static void tp_dropout_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_dropout_apply(s, p, a->sample, a->dx[0], a->d);
}

TP_OPTIONAL tp_layer_ops tp_layer_dropout = {
    .name = "dropout", .inputs = 1, .flags = TP_LAYER_IN_PLACE | TP_LAYER_RANDOM,
    .shape = tp_dropout_shape, .forward = tp_dropout_forward, .errors = tp_dropout_errors,
};
