/* SPDX-License-Identifier: Apache-2.0 */
/* Max, average and global average pooling; padding takes no part. */
#include "tp_layer_window.h"

static tp_status tp_pool_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (p->in.rank < 2) { return TP_E_SHAPE; }
    p->out.c = p->in.c;
    return tp_window_shape(p);
}

/* The real elements under one window, as rows y0 .. y1 and columns x0 .. x1 of the input. */
typedef struct tp_pool_window {
    uint32_t y0, y1, x0, x1;
} tp_pool_window;

static tp_pool_window tp_pool_window_at(const tp_plan_node *p, uint32_t position) {
    uint32_t y = position / p->out.w * p->node.stride[0], x = position % p->out.w * p->node.stride[1];
    tp_pool_window v;
    v.y0 = y < p->pad_top ? 0u : y - p->pad_top;
    v.x0 = x < p->pad_left ? 0u : x - p->pad_left;
    v.y1 = tp_min_u32(y + p->node.kernel[0] < p->pad_top ? 0u : y + p->node.kernel[0] - p->pad_top, p->in.h);
    v.x1 = tp_min_u32(x + p->node.kernel[1] < p->pad_left ? 0u : x + p->node.kernel[1] - p->pad_left, p->in.w);
    return v;
}

/* Index of the first maximum in (ky, kx) order; NaN is a maximum, so that it is noticed. */
static uint32_t tp_pool_argmax(const tp_plan_node *p, const float *x, uint32_t position, uint32_t c) {
    tp_pool_window v = tp_pool_window_at(p, position);
    uint32_t best = (v.y0 * p->in.w + v.x0) * p->in.c + c;
    for (uint32_t y = v.y0; y < v.y1; y++) {
        for (uint32_t i = v.x0; i < v.x1; i++) {
            uint32_t at = (y * p->in.w + i) * p->in.c + c;
            if (x[at] > x[best] || (x[at] != x[at] && x[best] == x[best])) { best = at; }
        }
    }
    return best;
}

/* The value of that element, for all channels of a position. */
static void tp_max_pool_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    uint32_t channels = p->in.c;
    const float *from = a->x[0];
    float *restrict y = a->y;
    for (uint32_t position = 0; position < p->out.h * p->out.w; position++, y += channels) {
        tp_pool_window v = tp_pool_window_at(p, position);
        const float *first = from + (size_t)(v.y0 * p->in.w + v.x0) * channels;
        for (uint32_t c = 0; c < channels; c++) { y[c] = first[c]; }
        for (uint32_t iy = v.y0; iy < v.y1; iy++) {
            const float *x = from + (size_t)(iy * p->in.w + v.x0) * channels;
            for (uint32_t ix = v.x0; ix < v.x1; ix++, x += channels) {
                for (uint32_t c = 0; c < channels; c++) { y[c] = (x[c] > y[c]) | ((x[c] != x[c]) & (y[c] == y[c])) ? x[c] : y[c]; }
            }
        }
    }
}

static void tp_max_pool_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_MEMSET(a->dx[0], 0, (size_t)a->n_dx[0] * sizeof(float));
    const float *d = a->d;
    for (uint32_t position = 0; position < p->out.h * p->out.w; position++, d += p->out.c) {
        for (uint32_t c = 0; c < p->out.c; c++) {
            if (d[c] != 0.0f) { a->dx[0][tp_pool_argmax(p, a->x[0], position, c)] += d[c]; }
        }
    }
    TP_CALL(s->k, finish_f32)(a->dx[0], a->n_dx[0]);
}

static void tp_avg_pool_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    (void)s;
    uint32_t channels = p->in.c;
    const float *from = a->x[0];
    float *restrict to = a->y;
    for (uint32_t position = 0; position < p->out.h * p->out.w; position++, to += channels) {
        tp_pool_window v = tp_pool_window_at(p, position);
        float count = (float)((v.y1 - v.y0) * (v.x1 - v.x0));
        for (uint32_t c = 0; c < channels; c++) { to[c] = 0.0f; }
        for (uint32_t y = v.y0; y < v.y1; y++) {
            const float *x = from + (size_t)(y * p->in.w + v.x0) * channels;
            for (uint32_t ix = v.x0; ix < v.x1; ix++, x += channels) {
                for (uint32_t c = 0; c < channels; c++) { to[c] += x[c]; }
            }
        }
        for (uint32_t c = 0; c < channels; c++) { to[c] /= count; }
    }
}

static void tp_avg_pool_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    TP_MEMSET(a->dx[0], 0, (size_t)a->n_dx[0] * sizeof(float));
    const float *d = a->d;
    for (uint32_t position = 0; position < p->out.h * p->out.w; position++, d += p->out.c) {
        tp_pool_window v = tp_pool_window_at(p, position);
        float count = (float)((v.y1 - v.y0) * (v.x1 - v.x0));
        for (uint32_t y = v.y0; y < v.y1; y++) {
            float *restrict dx = a->dx[0] + (size_t)(y * p->in.w + v.x0) * p->in.c;
            for (uint32_t ix = v.x0; ix < v.x1; ix++, dx += p->in.c) {
                for (uint32_t c = 0; c < p->in.c; c++) { dx[c] += d[c] / count; }
            }
        }
    }
    TP_CALL(s->k, finish_f32)(a->dx[0], a->n_dx[0]);
}

static tp_status tp_global_avg_pool_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (p->in.rank < 2) { return TP_E_SHAPE; }
    p->out = (tp_shape){1, 1, p->in.c, 1};
    return TP_OK;
}

static void tp_global_avg_pool_forward(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    uint32_t positions = p->in.h * p->in.w;
    float *y = a->y;
    TP_MEMSET(y, 0, (size_t)p->n_out * sizeof(float));
    TP_CALL(s->k, channel_sum_f32)(y, a->x[0], positions, p->n_out);
    for (uint32_t c = 0; c < p->n_out; c++) { y[c] /= (float)positions; }
}

static void tp_global_avg_pool_errors(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    uint32_t positions = p->in.h * p->in.w;
    float *restrict dx = a->dx[0];
    for (uint32_t position = 0; position < positions; position++, dx += p->n_out) {
        for (uint32_t c = 0; c < p->n_out; c++) { dx[c] = a->d[c] / (float)positions; }
    }
    TP_CALL(s->k, finish_f32)(a->dx[0], a->n_dx[0]);
}

TP_OPTIONAL tp_layer_ops tp_layer_max_pool2d = {
    .name = "max_pool2d", .inputs = 1, .flags = TP_LAYER_NEEDS_X, .shape = tp_pool_shape,
    .forward = tp_max_pool_forward, .errors = tp_max_pool_errors,
};

TP_OPTIONAL tp_layer_ops tp_layer_avg_pool2d = {
    .name = "avg_pool2d", .inputs = 1, .shape = tp_pool_shape,
    .forward = tp_avg_pool_forward, .errors = tp_avg_pool_errors,
};

TP_OPTIONAL tp_layer_ops tp_layer_global_avg_pool = {
    .name = "global_avg_pool", .inputs = 1, .shape = tp_global_avg_pool_shape,
    .forward = tp_global_avg_pool_forward, .errors = tp_global_avg_pool_errors,
};
