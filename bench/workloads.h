/* SPDX-License-Identifier: Apache-2.0 */
/* The networks that are measured, W1 to W6, and their 64 samples. */
#ifndef TINYPROP_BENCH_WORKLOADS_H
#define TINYPROP_BENCH_WORKLOADS_H

#include "bench.h"

enum { BENCH_NODES = 128 };

typedef struct workload {
    tp_node nodes[BENCH_NODES];
    tp_model model;
} workload;

/* Appends an operation on the node before it. */
static tp_node *workload_add(workload *w, const char *op) {
    uint32_t i = w->model.n_nodes++;
    if (i == BENCH_NODES) { bench_fail("a workload has more than %d nodes", BENCH_NODES); }
    tp_node *n = &w->nodes[i];
    snprintf(n->name, sizeof n->name, "%s%u", op, i);
    n->op = tp_list_id(TP_LIST_LAYER, op);
    n->in[0] = (int32_t)i - 1;
    n->in[1] = TP_NONE;
    return n;
}

static void workload_dense(workload *w, uint32_t units) { workload_add(w, "dense")->units = units; }

static void workload_window(tp_node *n, uint32_t units, uint32_t kernel, uint32_t stride, bool flat) {
    uint32_t pad = kernel / 2u;
    n->units = units;
    n->kernel[0] = flat ? 1 : kernel;
    n->kernel[1] = kernel;
    n->stride[0] = flat ? 1 : stride;
    n->stride[1] = stride;
    n->padding = TP_PAD_EXPLICIT;
    n->pad[0] = n->pad[1] = flat ? 0 : pad;
    n->pad[2] = n->pad[3] = pad;
}

static void workload_conv2d(workload *w, uint32_t units, uint32_t kernel, uint32_t stride) {
    workload_window(workload_add(w, "conv2d"), units, kernel, stride, false);
}

static void workload_conv1d(workload *w, uint32_t units, uint32_t kernel, uint32_t stride) {
    workload_window(workload_add(w, "conv1d"), units, kernel, stride, true);
}

/* Dense layers with ReLU between them. */
static void workload_mlp(workload *w, const uint32_t *sizes, uint32_t n) {
    w->model.input = (tp_shape){1, 1, sizes[0], 1};
    for (uint32_t i = 1; i < n; i++) {
        workload_dense(w, sizes[i]);
        if (i + 1 < n) { (void)workload_add(w, "relu"); }
    }
}

static void workload_w1(workload *w) {
    static const uint32_t sizes[] = {784, 256, 128, 64, 32, 10};
    workload_mlp(w, sizes, 6);
}

static void workload_head(workload *w, uint32_t hidden, uint32_t classes) {
    (void)workload_add(w, "flatten");
    workload_dense(w, hidden), workload_add(w, "relu");
    workload_dense(w, classes);
}

static void workload_w3(workload *w) {
    w->model.input = (tp_shape){28, 28, 1, 3};
    workload_conv2d(w, 8, 3, 1), workload_add(w, "relu");
    workload_conv2d(w, 16, 3, 2), workload_add(w, "relu");
    workload_conv2d(w, 32, 3, 2), workload_add(w, "relu");
    workload_head(w, 64, 10);
}

static void workload_w4(workload *w) {
    w->model.input = (tp_shape){1, 128, 9, 2};
    workload_conv1d(w, 16, 5, 2), workload_add(w, "relu");
    workload_conv1d(w, 32, 5, 2), workload_add(w, "relu");
    workload_conv1d(w, 32, 3, 2), workload_add(w, "relu");
    workload_head(w, 64, 6);
}

/* MobileNetV2, width 0.35, batch norms folded into the convolutions. */
static void workload_mobilenet(workload *w, uint32_t size) {
    static const uint32_t blocks[7][4] = {{1, 8, 1, 1},  {6, 8, 2, 2},  {6, 16, 3, 2}, {6, 24, 4, 2},
                                          {6, 32, 3, 1}, {6, 56, 3, 2}, {6, 112, 1, 1}}; /* expansion, channels, repeats, stride */
    uint32_t c = 16;
    w->model.input = (tp_shape){size, size, 3, 3};
    workload_conv2d(w, c, 3, 2), workload_add(w, "relu6");
    for (uint32_t b = 0; b < 7; b++) {
        for (uint32_t r = 0; r < blocks[b][2]; r++) {
            uint32_t expanded = c * blocks[b][0], stride = r == 0 ? blocks[b][3] : 1;
            int32_t input = (int32_t)w->model.n_nodes - 1;
            bool residual = stride == 1 && c == blocks[b][1];
            if (blocks[b][0] > 1) { workload_conv2d(w, expanded, 1, 1), workload_add(w, "relu6"); }
            workload_window(workload_add(w, "depthwise_conv2d"), expanded, 3, stride, false);
            (void)workload_add(w, "relu6");
            c = blocks[b][1];
            workload_conv2d(w, c, 1, 1); /* linear bottleneck */
            if (residual) { workload_add(w, "add")->in[1] = input; }
        }
    }
    workload_conv2d(w, 1280, 1, 1), workload_add(w, "relu6");
    (void)workload_add(w, "global_avg_pool");
    workload_dense(w, 10);
}

static void workload_w5_32(workload *w) { workload_mobilenet(w, 32); }
static void workload_w5_96(workload *w) { workload_mobilenet(w, 96); }

static void workload_w6(workload *w) {
    static const uint32_t sizes[] = {640, 128, 128, 128, 8, 128, 128, 128, 640};
    workload_mlp(w, sizes, 9);
}

/* Sizes of a batch that are measured when none is asked for; 0: none. */
typedef struct workload_row {
    const char *name;
    void (*build)(workload *w);
    const char *loss;
    uint32_t batch[2];
} workload_row;

static const workload_row workload_rows[] = {
    {"W1", workload_w1, "softmax_cross_entropy", {1, 0}},
    {"W2", workload_w1, "softmax_cross_entropy", {32, 0}},
    {"W3", workload_w3, "softmax_cross_entropy", {1, 32}},
    {"W4", workload_w4, "softmax_cross_entropy", {1, 32}},
    {"W5-32", workload_w5_32, "softmax_cross_entropy", {1, 32}},
    {"W5-96", workload_w5_96, "softmax_cross_entropy", {1, 32}},
    {"W6", workload_w6, "mse", {1, 32}},
};
enum { WORKLOADS = sizeof workload_rows / sizeof workload_rows[0] };

static void workload_build(workload *w, const workload_row *row) {
    memset(w, 0, sizeof *w);
    w->model.nodes = w->nodes;
    w->model.input_dtype = TP_F32;
    w->model.loss = tp_list_id(TP_LIST_LOSS, row->loss);
    row->build(w);
}

typedef struct workload_data {
    uint32_t n_in, n_out;
    float *x, *target; /* BENCH_SAMPLES of them */
    uint32_t *label;
} workload_data;

/* x and targets about N(0, 1), labels uniform. */
static workload_data workload_samples(uint32_t n_in, uint32_t n_out) {
    workload_data d = {.n_in = n_in, .n_out = n_out};
    d.x = bench_take(sizeof(float) * BENCH_SAMPLES * n_in);
    d.target = bench_take(sizeof(float) * BENCH_SAMPLES * n_out);
    d.label = bench_take(sizeof(uint32_t) * BENCH_SAMPLES);
    for (uint32_t i = 0; i < BENCH_SAMPLES * n_in; i++) { d.x[i] = bench_normal(1, i); }
    for (uint32_t i = 0; i < BENCH_SAMPLES * n_out; i++) { d.target[i] = bench_normal(2, i); }
    for (uint32_t i = 0; i < BENCH_SAMPLES; i++) { d.label[i] = bench_uniform(3, i, n_out); }
    return d;
}

/* Samples first .. first + n, wrapping to the start at a multiple of n. */
static tp_batch workload_batch(const workload_data *d, uint32_t first, uint32_t n) {
    return (tp_batch){d->x + (size_t)first * d->n_in, d->label + first, d->target + (size_t)first * d->n_out, n};
}

static void workload_free(workload_data *d) {
    free(d->x);
    free(d->target);
    free(d->label);
}

#endif /* TINYPROP_BENCH_WORKLOADS_H */
