/* SPDX-License-Identifier: Apache-2.0 */
/* Small graphs: every row of the layer list, in the shapes and neighbourhoods where mistakes hide. */
#ifndef TINYPROP_TP_LAYER_CASES_H
#define TINYPROP_TP_LAYER_CASES_H

#include "../tp_build.h"

/* Ends a graph in three logits. */
static void tp_head(tp_graph *g, int32_t at, bool map) {
    if (map) { at = tp_graph_op(g, "flatten", at); }
    tp_graph_dense(g, at, 3);
}

/* input -> dense 6 -> op -> 3 logits */
static void tp_around(tp_graph *g, const char *op, float param) {
    tp_graph_begin(g, tp_vector(5), "softmax_cross_entropy");
    int32_t a = tp_graph_dense(g, TP_INPUT, 6);
    tp_head(g, tp_graph_param(g, op, a, param), false);
}

static void tp_case_dense(tp_graph *g) { tp_graph_mlp(g, (const uint32_t[]){5, 9, 4, 0}, "softmax_cross_entropy"); }
static void tp_case_dense_alone(tp_graph *g) { tp_graph_mlp(g, (const uint32_t[]){17, 3, 0}, "softmax_cross_entropy"); }
static void tp_case_dense_bce(tp_graph *g) { tp_graph_mlp(g, (const uint32_t[]){5, 6, 4, 0}, "bce"); }
static void tp_case_dense_mse(tp_graph *g) { tp_graph_mlp(g, (const uint32_t[]){5, 6, 4, 0}, "mse"); }
static void tp_case_bce_single(tp_graph *g) { tp_graph_mlp(g, (const uint32_t[]){5, 6, 1, 0}, "bce"); }
static void tp_case_dense_no_bias(tp_graph *g) {
    tp_case_dense(g);
    g->node[0].flags = g->node[2].flags = TP_FLAG_NO_BIAS;
}
static void tp_case_frozen_first(tp_graph *g) {
    tp_case_dense(g);
    g->node[0].flags = TP_FLAG_FROZEN;
}
static void tp_case_frozen_middle(tp_graph *g) {
    tp_graph_mlp(g, (const uint32_t[]){5, 7, 6, 3, 0}, "softmax_cross_entropy");
    g->node[2].flags = TP_FLAG_FROZEN;
}
static void tp_case_frozen_last(tp_graph *g) {
    tp_case_dense(g);
    g->node[2].flags = TP_FLAG_FROZEN;
}

static void tp_case_relu(tp_graph *g) { tp_around(g, "relu", 0); }
static void tp_case_relu6(tp_graph *g) { tp_around(g, "relu6", 0); }
static void tp_case_leaky(tp_graph *g) { tp_around(g, "leaky_relu", 0.1f); }
static void tp_case_sigmoid(tp_graph *g) { tp_around(g, "sigmoid", 0); }
static void tp_case_tanh(tp_graph *g) { tp_around(g, "tanh", 0); }
static void tp_case_dropout(tp_graph *g) { tp_around(g, "dropout", 0.4f); }
static void tp_case_bn_vector(tp_graph *g) { tp_around(g, "batch_norm", 1e-3f); }

/* --- in place, or not --- */

/* dense, then the operations of the list one after the other */
static void tp_chain(tp_graph *g, const char *const *ops) {
    tp_graph_begin(g, tp_vector(5), "softmax_cross_entropy");
    int32_t at = tp_graph_dense(g, TP_INPUT, 8);
    for (; *ops != NULL; ops++) { at = tp_graph_param(g, *ops, at, strcmp(*ops, "dropout") == 0 ? 0.3f : strcmp(*ops, "batch_norm") == 0 ? 1e-3f : 0.1f); }
    tp_graph_dense(g, at, 3);
}
#define TP_CHAIN(...) tp_chain(g, (const char *const[]){__VA_ARGS__, NULL})
static void tp_case_relu_after_sigmoid(tp_graph *g) { TP_CHAIN("sigmoid", "relu"); }
static void tp_case_dropout_after_relu(tp_graph *g) { TP_CHAIN("relu", "dropout"); }
static void tp_case_relu_after_dropout(tp_graph *g) { TP_CHAIN("dropout", "relu"); }
static void tp_case_dropouts(tp_graph *g) { TP_CHAIN("dropout", "dropout"); }
static void tp_case_views(tp_graph *g) { TP_CHAIN("tanh", "flatten", "dropout", "flatten", "leaky_relu"); }
static void tp_case_chain(tp_graph *g) { TP_CHAIN("sigmoid", "leaky_relu", "dropout", "tanh", "batch_norm", "relu6"); }

static void tp_case_relu_on_input(tp_graph *g) {
    tp_graph_begin(g, tp_vector(7), "softmax_cross_entropy");
    tp_graph_dense(g, tp_graph_op(g, "relu", TP_INPUT), 3);
}
static void tp_case_flatten_input(tp_graph *g) {
    tp_graph_begin(g, tp_image(2, 3, 2), "softmax_cross_entropy");
    int32_t flat = tp_graph_op(g, "flatten", TP_INPUT);
    int32_t more = tp_graph_op(g, "tanh", tp_graph_op(g, "flatten", flat));
    tp_graph_dense(g, tp_graph_node(g, "add", flat, more), 3);
}
static void tp_case_relu_read_twice(tp_graph *g) {
    tp_graph_begin(g, tp_vector(5), "softmax_cross_entropy");
    int32_t a = tp_graph_dense(g, TP_INPUT, 6), b = tp_graph_op(g, "relu", a);
    tp_graph_dense(g, tp_graph_node(g, "add", b, tp_graph_op(g, "tanh", a)), 3);
}
static void tp_case_flatten_read_twice(tp_graph *g) {
    tp_graph_begin(g, tp_image(3, 3, 2), "softmax_cross_entropy");
    int32_t a = tp_graph_conv(g, TP_INPUT, 3, 2, 1, TP_PAD_VALID), flat = tp_graph_op(g, "flatten", a);
    int32_t left = tp_graph_dense(g, tp_graph_op(g, "relu", flat), 4);
    int32_t right = tp_graph_dense(g, tp_graph_op(g, "flatten", tp_graph_op(g, "sigmoid", a)), 4);
    tp_graph_dense(g, tp_graph_node(g, "add", left, right), 3);
}

/* --- several consumers --- */

static void tp_case_add_residual(tp_graph *g) {
    tp_graph_begin(g, tp_vector(5), "softmax_cross_entropy");
    int32_t a = tp_graph_op(g, "relu", tp_graph_dense(g, TP_INPUT, 6)), b = tp_graph_op(g, "tanh", tp_graph_dense(g, a, 6));
    int32_t c = tp_graph_node(g, "add", a, b);
    int32_t d = tp_graph_node(g, "add", tp_graph_dense(g, c, 6), a);
    tp_graph_dense(g, tp_graph_node(g, "add", d, c), 3);
}
static void tp_case_add_same(tp_graph *g) {
    tp_graph_begin(g, tp_vector(5), "softmax_cross_entropy");
    int32_t a = tp_graph_dense(g, TP_INPUT, 6);
    int32_t b = tp_graph_node(g, "add", a, a);
    int32_t c = tp_graph_op(g, "relu", b);
    tp_graph_dense(g, tp_graph_node(g, "add", c, c), 3);
}
static void tp_case_add_shared_twice(tp_graph *g) { /* add(x, x) whose x is also read later: both errors are added */
    tp_graph_begin(g, tp_vector(5), "softmax_cross_entropy");
    int32_t a = tp_graph_dense(g, TP_INPUT, 6), b = tp_graph_dense(g, TP_INPUT, 6);
    int32_t same = tp_graph_node(g, "add", a, a), both = tp_graph_node(g, "add", a, b);
    int32_t sum = tp_graph_node(g, "add", same, both);
    tp_graph_dense(g, tp_graph_node(g, "add", tp_graph_node(g, "add", b, sum), a), 3);
}
static void tp_case_add_input(tp_graph *g) {
    tp_graph_begin(g, tp_vector(6), "softmax_cross_entropy");
    int32_t a = tp_graph_dense(g, TP_INPUT, 6);
    int32_t b = tp_graph_node(g, "add", TP_INPUT, a);
    int32_t c = tp_graph_node(g, "add", TP_INPUT, TP_INPUT);
    tp_graph_dense(g, tp_graph_node(g, "add", b, c), 3);
}
static void tp_case_inverted_residual(tp_graph *g) {
    tp_graph_begin(g, tp_image(4, 4, 2), "softmax_cross_entropy");
    int32_t a = tp_graph_conv(g, TP_INPUT, 3, 3, 1, TP_PAD_SAME);
    int32_t wide = tp_graph_op(g, "relu6", tp_graph_param(g, "batch_norm", tp_graph_conv(g, a, 6, 1, 1, TP_PAD_VALID), 1e-3f));
    int32_t deep = tp_graph_op(g, "relu6", tp_graph_window(g, "depthwise_conv2d", wide, 6, 3, 3, 1, TP_PAD_SAME));
    int32_t sum = tp_graph_node(g, "add", a, tp_graph_conv(g, deep, 3, 1, 1, TP_PAD_VALID));
    tp_head(g, tp_graph_op(g, "global_avg_pool", sum), false);
}

/* --- windows --- */

/* conv -> tanh -> the window under test -> logits: its input error is checked too */
static tp_node *tp_windowed(tp_graph *g, tp_shape input, const char *op, uint32_t units, uint32_t kh, uint32_t kw, uint32_t stride, tp_padding padding) {
    tp_graph_begin(g, input, "softmax_cross_entropy");
    bool flat = input.rank == 2;
    int32_t a = tp_graph_window(g, flat ? "conv1d" : "conv2d", TP_INPUT, input.c, 1, 1, 1, TP_PAD_VALID);
    int32_t b = tp_graph_window(g, op, tp_graph_op(g, "tanh", a), units, kh, kw, stride, padding);
    tp_head(g, b, true);
    return &g->node[b];
}
static void tp_pads(tp_node *node, uint32_t top, uint32_t bottom, uint32_t left, uint32_t right) {
    const uint32_t pad[4] = {top, bottom, left, right};
    memcpy(node->pad, pad, sizeof pad);
}

static void tp_case_conv_valid(tp_graph *g) { tp_windowed(g, tp_image(4, 5, 2), "conv2d", 5, 3, 2, 1, TP_PAD_VALID); }
static void tp_case_conv_same(tp_graph *g) { tp_windowed(g, tp_image(5, 4, 2), "conv2d", 4, 3, 3, 2, TP_PAD_SAME); }
static void tp_case_conv_same_even(tp_graph *g) { tp_windowed(g, tp_image(4, 4, 1), "conv2d", 2, 2, 4, 1, TP_PAD_SAME); }
static void tp_case_conv_explicit(tp_graph *g) { tp_pads(tp_windowed(g, tp_image(4, 3, 2), "conv2d", 3, 3, 3, 2, TP_PAD_EXPLICIT), 2, 0, 1, 2); }
static void tp_case_conv_spare_padding(tp_graph *g) { /* stride 3 never reaches the last padded rows */
    tp_pads(tp_windowed(g, tp_image(4, 4, 1), "conv2d", 2, 3, 3, 3, TP_PAD_EXPLICIT), 1, 2, 0, 2);
}
static void tp_case_conv_small_map(tp_graph *g) { tp_windowed(g, tp_image(1, 1, 3), "conv2d", 9, 3, 3, 1, TP_PAD_SAME); }
static void tp_case_conv_pointwise(tp_graph *g) { tp_windowed(g, tp_image(3, 3, 3), "conv2d", 4, 1, 1, 2, TP_PAD_VALID); }
static void tp_case_conv_wide(tp_graph *g) { tp_windowed(g, tp_image(4, 7, 3), "conv2d", 9, 2, 3, 1, TP_PAD_SAME); }
static void tp_case_conv_groups(tp_graph *g) { tp_windowed(g, tp_image(3, 3, 4), "conv2d", 6, 2, 2, 1, TP_PAD_SAME)->groups = 2; }
static void tp_case_conv_no_bias(tp_graph *g) { tp_windowed(g, tp_image(3, 3, 2), "conv2d", 3, 2, 2, 1, TP_PAD_VALID)->flags = TP_FLAG_NO_BIAS; }
static void tp_case_conv_frozen(tp_graph *g) { tp_windowed(g, tp_image(3, 3, 2), "conv2d", 3, 2, 2, 1, TP_PAD_VALID)->flags = TP_FLAG_FROZEN; }
static void tp_case_conv1d_same(tp_graph *g) { tp_windowed(g, tp_series(9, 2), "conv1d", 4, 1, 4, 2, TP_PAD_SAME); }
static void tp_case_conv1d_explicit(tp_graph *g) {
    tp_node *node = tp_windowed(g, tp_series(6, 4), "conv1d", 4, 1, 3, 1, TP_PAD_EXPLICIT);
    tp_pads(node, 0, 0, 2, 1);
    node->groups = 2;
}
static void tp_case_depthwise(tp_graph *g) { tp_windowed(g, tp_image(4, 4, 5), "depthwise_conv2d", 5, 3, 3, 1, TP_PAD_SAME); }
static void tp_case_depthwise_wide(tp_graph *g) { tp_windowed(g, tp_image(5, 3, 9), "depthwise_conv2d", 9, 3, 2, 2, TP_PAD_VALID)->flags = TP_FLAG_NO_BIAS; }
static void tp_case_depthwise_twofold(tp_graph *g) { tp_windowed(g, tp_image(4, 4, 3), "depthwise_conv2d", 6, 3, 3, 2, TP_PAD_SAME); }
static void tp_case_depthwise_explicit(tp_graph *g) { tp_pads(tp_windowed(g, tp_image(3, 4, 2), "depthwise_conv2d", 2, 3, 3, 1, TP_PAD_EXPLICIT), 0, 2, 2, 1); }
static void tp_case_max_pool(tp_graph *g) { tp_windowed(g, tp_image(4, 6, 2), "max_pool2d", 0, 2, 2, 2, TP_PAD_VALID); }
static void tp_case_max_pool_same(tp_graph *g) { tp_windowed(g, tp_image(5, 5, 2), "max_pool2d", 0, 3, 3, 2, TP_PAD_SAME); }
static void tp_case_max_pool_overlap(tp_graph *g) { tp_pads(tp_windowed(g, tp_image(3, 3, 2), "max_pool2d", 0, 2, 3, 1, TP_PAD_EXPLICIT), 1, 0, 0, 2); }
static void tp_case_avg_pool(tp_graph *g) { tp_windowed(g, tp_image(4, 5, 2), "avg_pool2d", 0, 2, 3, 2, TP_PAD_VALID); }
static void tp_case_avg_pool_same(tp_graph *g) { tp_windowed(g, tp_image(5, 4, 2), "avg_pool2d", 0, 3, 3, 2, TP_PAD_SAME); }
static void tp_case_pool_series(tp_graph *g) { tp_windowed(g, tp_series(7, 3), "max_pool2d", 0, 1, 2, 1, TP_PAD_SAME)->stride[1] = 2; }
static void tp_case_global_pool(tp_graph *g) {
    tp_graph_begin(g, tp_image(3, 4, 2), "softmax_cross_entropy");
    tp_head(g, tp_graph_op(g, "global_avg_pool", tp_graph_conv(g, TP_INPUT, 5, 2, 1, TP_PAD_SAME)), false);
}
static void tp_case_global_pool_series(tp_graph *g) {
    tp_graph_begin(g, tp_series(6, 2), "softmax_cross_entropy");
    tp_head(g, tp_graph_op(g, "global_avg_pool", tp_graph_window(g, "conv1d", TP_INPUT, 4, 1, 3, 1, TP_PAD_SAME)), false);
}
static void tp_case_bn_map(tp_graph *g) {
    tp_graph_begin(g, tp_image(3, 3, 2), "softmax_cross_entropy");
    int32_t a = tp_graph_param(g, "batch_norm", tp_graph_conv(g, TP_INPUT, 4, 2, 1, TP_PAD_SAME), 1e-3f);
    tp_head(g, tp_graph_op(g, "relu", a), true);
}
static void tp_case_bn_frozen(tp_graph *g) {
    tp_case_bn_map(g);
    g->node[1].flags = TP_FLAG_FROZEN;
}
static void tp_case_bn_first(tp_graph *g) {
    tp_graph_begin(g, tp_image(3, 3, 2), "softmax_cross_entropy");
    tp_head(g, tp_graph_param(g, "batch_norm", TP_INPUT, 1e-3f), true);
}
static void tp_case_cnn(tp_graph *g) { tp_graph_cnn(g, "softmax_cross_entropy"); }
static void tp_case_map_output(tp_graph *g) { /* the output is a map: no flatten, no dense */
    tp_graph_begin(g, tp_image(3, 3, 2), "mse");
    tp_graph_conv(g, tp_graph_op(g, "tanh", tp_graph_conv(g, TP_INPUT, 3, 2, 1, TP_PAD_SAME)), 2, 3, 1, TP_PAD_SAME);
}

static const struct {
    const char *name;
    void (*build)(tp_graph *g);
    float scale; /* of the inputs */
} tp_layer_cases[] = {
#define TP_ROW(name, scale) {#name, tp_case_##name, scale},
    TP_ROW(dense, 1) TP_ROW(dense_alone, 1) TP_ROW(dense_bce, 1) TP_ROW(dense_mse, 1) TP_ROW(bce_single, 1) TP_ROW(dense_no_bias, 1)
    TP_ROW(frozen_first, 1) TP_ROW(frozen_middle, 1) TP_ROW(frozen_last, 1) TP_ROW(relu, 1) TP_ROW(relu6, 8) TP_ROW(leaky, 1)
    TP_ROW(sigmoid, 2) TP_ROW(tanh, 1) TP_ROW(dropout, 1) TP_ROW(bn_vector, 1) TP_ROW(relu_after_sigmoid, 1)
    TP_ROW(dropout_after_relu, 1) TP_ROW(relu_after_dropout, 1) TP_ROW(dropouts, 1) TP_ROW(views, 1) TP_ROW(chain, 1)
    TP_ROW(relu_on_input, 1) TP_ROW(flatten_input, 1) TP_ROW(relu_read_twice, 1) TP_ROW(flatten_read_twice, 1)
    TP_ROW(add_residual, 1) TP_ROW(add_same, 1) TP_ROW(add_shared_twice, 1) TP_ROW(add_input, 1) TP_ROW(inverted_residual, 4)
    TP_ROW(conv_valid, 1) TP_ROW(conv_same, 1) TP_ROW(conv_same_even, 1) TP_ROW(conv_explicit, 1) TP_ROW(conv_spare_padding, 1)
    TP_ROW(conv_small_map, 1) TP_ROW(conv_pointwise, 1) TP_ROW(conv_wide, 1) TP_ROW(conv_groups, 1) TP_ROW(conv_no_bias, 1)
    TP_ROW(conv_frozen, 1) TP_ROW(conv1d_same, 1) TP_ROW(conv1d_explicit, 1) TP_ROW(depthwise, 1) TP_ROW(depthwise_wide, 1)
    TP_ROW(depthwise_twofold, 1) TP_ROW(depthwise_explicit, 1) TP_ROW(max_pool, 1) TP_ROW(max_pool_same, 1)
    TP_ROW(max_pool_overlap, 1) TP_ROW(avg_pool, 1) TP_ROW(avg_pool_same, 1) TP_ROW(pool_series, 1) TP_ROW(global_pool, 1)
    TP_ROW(global_pool_series, 1) TP_ROW(bn_map, 1) TP_ROW(bn_frozen, 1) TP_ROW(bn_first, 1) TP_ROW(cnn, 1) TP_ROW(map_output, 1)
#undef TP_ROW
};
enum { TP_LAYER_CASES = sizeof tp_layer_cases / sizeof tp_layer_cases[0] };

#endif /* TINYPROP_TP_LAYER_CASES_H */
