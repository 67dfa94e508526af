/* SPDX-License-Identifier: Apache-2.0 */
/* A workload as one line of JSON, in the form that Model.fromJSON reads: Node and the rivals build their nets from it. */
#ifndef TINYPROP_BENCH_DESCRIBE_H
#define TINYPROP_BENCH_DESCRIBE_H

#include "workloads.h"

/* max_pool2d -> maxPool2d */
static void describe_name(const char *name) {
    putchar('"');
    for (; *name != 0; name++) {
        if (*name == '_') {
            name++;
            putchar(*name - 'a' + 'A');
        } else {
            putchar(*name);
        }
    }
    putchar('"');
}

/* Geometry of a window: two dimensions, or the second alone. */
static void describe_window(const tp_node *n, bool flat) {
    if (flat) {
        printf(",\"kernel\":%u,\"stride\":%u,\"padding\":[%u,%u]", n->kernel[1], n->stride[1], n->pad[2], n->pad[3]);
    } else {
        printf(",\"kernel\":[%u,%u],\"stride\":[%u,%u],\"padding\":[%u,%u,%u,%u]", n->kernel[0], n->kernel[1], n->stride[0], n->stride[1],
               n->pad[0], n->pad[1], n->pad[2], n->pad[3]);
    }
}

static void describe_node(const tp_model *model, const tp_node *n) {
    const char *op = tp_layer_find(n->op)->name;
    printf("{\"name\":\"%s\",\"op\":", n->name);
    describe_name(op);
    printf(",\"inputs\":[");
    for (uint32_t i = 0; i < 2 && n->in[i] != TP_NONE; i++) {
        printf("%s\"%s\"", i == 0 ? "" : ",", n->in[i] == TP_INPUT ? "input" : model->nodes[n->in[i]].name);
    }
    putchar(']');
    if (n->units > 0 && !tp_text_equal(op, "depthwise_conv2d")) { printf(",\"units\":%u", n->units); }
    if (n->kernel[1] > 0) { describe_window(n, tp_text_equal(op, "conv1d")); }
    putchar('}');
}

static void describe_workload(const workload *w, const char *loss) {
    const tp_shape *in = &w->model.input;
    uint32_t shape[3] = {in->h, in->w, in->c};
    printf("{\"format\":\"tinyprop-model\",\"version\":1,\"input\":[");
    for (uint32_t i = 3 - in->rank; i < 3; i++) { printf("%u%s", shape[i], i < 2 ? "," : "],\"loss\":"); }
    describe_name(loss);
    printf(",\"nodes\":[");
    for (uint32_t i = 0; i < w->model.n_nodes; i++) {
        if (i > 0) { putchar(','); }
        describe_node(&w->model, &w->nodes[i]);
    }
    printf("]}");
}

#endif /* TINYPROP_BENCH_DESCRIBE_H */
