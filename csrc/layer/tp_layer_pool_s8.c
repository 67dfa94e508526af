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
    (void)s;
    uint32_t channels = p->in.c;
    const int8_t *from = a->x[0];
    int8_t *restrict y = a->y;
    for (uint32_t position = 0; position < p->out.h * p->out.w; position++, y += channels) {
        tp_pool_window v = tp_pool_window_at(p, position);
        for (uint32_t c = 0; c < channels; c++) { y[c] = -128; }
        for (uint32_t iy = v.y0; iy < v.y1; iy++) {
            const int8_t *x = from + (size_t)(iy * p->in.w + v.x0) * channels;
            for (uint32_t ix = v.x0; ix < v.x1; ix++, x += channels) {
                for (uint32_t c = 0; c < channels; c++) { y[c] = x[c] > y[c] ? x[c] : y[c]; }
            }
        }
    }
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

/* The mean of the real elements, halves away from zero. */
static void tp_avg_pool_s8_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    uint32_t channels = p->in.c;
    int8_t *y = a->y;
    for (uint32_t position = 0; position < p->out.h * p->out.w; position++, y += channels) {
        tp_pool_window v = tp_pool_window_at(p, position);
        int32_t count = (int32_t)((v.y1 - v.y0) * (v.x1 - v.x0));
        for (uint32_t c = 0; c < channels; c++) {
            int32_t sum = 0;
            for (uint32_t iy = v.y0; iy < v.y1; iy++) {
                const int8_t *x = (const int8_t *)a->x[0] + (size_t)(iy * p->in.w + v.x0) * channels + c;
                for (uint32_t ix = v.x0; ix < v.x1; ix++, x += channels) { sum += *x; }
            }
            y[c] = (int8_t)(sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count);
        }
    }
}

TP_OPTIONAL tp_layer_ops tp_layer_max_pool2d_s8 = {
    .name = "max_pool2d_s8", .inputs = 1, .flags = TP_LAYER_NEEDS_X | TP_LAYER_X_S8 | TP_LAYER_Y_S8 | TP_LAYER_SAME,
    .shape = tp_pool_shape, .forward = tp_max_pool_s8_forward, .errors = tp_max_pool_s8_errors,
};

TP_OPTIONAL tp_layer_ops tp_layer_avg_pool2d_s8 = {
    .name = "avg_pool2d_s8", .inputs = 1, .flags = TP_LAYER_X_S8 | TP_LAYER_Y_S8 | TP_LAYER_SAME,
    .shape = tp_pool_shape, .forward = tp_avg_pool_s8_forward, .errors = tp_avg_pool_errors,
};
