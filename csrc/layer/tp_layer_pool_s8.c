/* SPDX-License-Identifier: Apache-2.0 */
/* Max and average pooling of int8 (TFLite's MAX_POOL_2D, AVERAGE_POOL_2D), scale and zero unchanged; padding takes no part. */
#include "tp_layer_s8.h"

static uint32_t tp_pool_s8_argmax(const tp_plan_node *p, const int8_t *x, uint32_t position, uint32_t c) {
    tp_pool_window v = tp_pool_window_at(p, position);
    uint32_t best = (v.y0 * p->in.w + v.x0) * p->in.c + c;
    for (uint32_t y = v.y0; y < v.y1; y++) {
        for (uint32_t i = v.x0; i < v.x1; i++) {
            uint32_t at = (y * p->in.w + i) * p->in.c + c;
            best = x[at] > x[best] ? at : best;
        }
    }
    return best;
}

static void tp_max_pool_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c);
    TP_CALL(s->k, max_pool_s8)(&g, a->y, a->x[0]);
}

/* The error goes to the first maximum in (ky, kx) order. */
static void tp_max_pool_s8_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_MEMSET(a->dx[0], 0, (size_t)a->n_dx[0] * sizeof(float));
    const float *d = a->d;
    for (uint32_t position = 0; position < p->out.h * p->out.w; position++, d += p->out.c) {
        for (uint32_t c = 0; c < p->out.c; c++) {
            if (d[c] != 0.0f) { a->dx[0][tp_pool_s8_argmax(p, a->x[0], position, c)] += d[c]; }
        }
    }
    TP_CALL(s->k, finish_f32)(a->dx[0], a->n_dx[0]);
}

static void tp_avg_pool_s8_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) {
    (void)options;
    p->scratch = tp_mul(p->in.c, 4, overflow);
}

/* The mean of the real elements, halves away from zero. */
static void tp_avg_pool_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    tp_conv g = tp_window_geometry(p, p->in.c);
    TP_CALL(s->k, avg_pool_s8)(&g, a->y, a->x[0], a->scratch);
}

TP_OPTIONAL tp_layer_ops tp_layer_max_pool2d_s8 = {
    .name = "max_pool2d_s8", .inputs = 1, .flags = TP_LAYER_NEEDS_X | TP_LAYER_X_S8 | TP_LAYER_Y_S8 | TP_LAYER_SAME,
    .shape = tp_pool_shape, .forward = tp_max_pool_s8_forward, .errors = tp_max_pool_s8_errors,
};

TP_OPTIONAL tp_layer_ops tp_layer_avg_pool2d_s8 = {
    .name = "avg_pool2d_s8", .inputs = 1, .flags = TP_LAYER_X_S8 | TP_LAYER_Y_S8 | TP_LAYER_SAME,
    .shape = tp_pool_shape, .plan = tp_avg_pool_s8_plan, .forward = tp_avg_pool_s8_forward, .errors = tp_avg_pool_errors,
};
