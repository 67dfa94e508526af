/* SPDX-License-Identifier: Apache-2.0 */
/* Small graphs, live nets and random data for tests. */
#ifndef TINYPROP_TP_BUILD_H
#define TINYPROP_TP_BUILD_H

#include "tp_test.h"

/* --- graphs --- */

enum { TP_GRAPH_NODES = 64 };

typedef struct tp_graph {
    tp_node node[TP_GRAPH_NODES];
    uint32_t n;
    tp_shape input;
    uint32_t loss;
} tp_graph;

static void tp_graph_begin(tp_graph *g, tp_shape input, const char *loss) {
    memset(g, 0, sizeof *g);
    g->input = input;
    g->loss = tp_list_id(TP_LIST_LOSS, loss);
}

static tp_shape tp_vector(uint32_t n) { return (tp_shape){1, 1, n, 1}; }
static tp_shape tp_series(uint32_t w, uint32_t c) { return (tp_shape){1, w, c, 2}; }
static tp_shape tp_image(uint32_t h, uint32_t w, uint32_t c) { return (tp_shape){h, w, c, 3}; }

static tp_node *tp_graph_last(tp_graph *g) { return &g->node[g->n - 1u]; }

/* Adds a node named after its operation and number; gives its index. */
static int32_t tp_graph_node(tp_graph *g, const char *op, int32_t in0, int32_t in1) {
    if (g->n == TP_GRAPH_NODES) { abort(); }
    tp_node *node = &g->node[g->n++];
    snprintf(node->name, sizeof node->name, "%.16s_%u", op, g->n - 1u);
    node->op = tp_list_id(TP_LIST_LAYER, op);
    node->in[0] = in0;
    node->in[1] = in1;
    return (int32_t)g->n - 1;
}

static int32_t tp_graph_op(tp_graph *g, const char *op, int32_t in) { return tp_graph_node(g, op, in, TP_NONE); }

static int32_t tp_graph_param(tp_graph *g, const char *op, int32_t in, float param) {
    int32_t i = tp_graph_op(g, op, in);
    tp_graph_last(g)->param = param;
    return i;
}

static int32_t tp_graph_dense(tp_graph *g, int32_t in, uint32_t units) {
    int32_t i = tp_graph_op(g, "dense", in);
    tp_graph_last(g)->units = units;
    return i;
}

/* A windowed operation (convolution, pooling) with square stride. */
static int32_t tp_graph_window(tp_graph *g, const char *op, int32_t in, uint32_t units, uint32_t kh, uint32_t kw, uint32_t stride,
                               tp_padding padding) {
    int32_t i = tp_graph_op(g, op, in);
    tp_node *node = tp_graph_last(g);
    node->units = units;
    node->kernel[0] = kh;
    node->kernel[1] = kw;
    node->stride[0] = strcmp(op, "conv1d") == 0 ? 1u : stride;
    node->stride[1] = stride;
    node->padding = (uint32_t)padding;
    return i;
}

static int32_t tp_graph_conv(tp_graph *g, int32_t in, uint32_t units, uint32_t kernel, uint32_t stride, tp_padding padding) {
    return tp_graph_window(g, "conv2d", in, units, kernel, kernel, stride, padding);
}

static tp_model tp_graph_model(const tp_graph *g) { return (tp_model){g->node, g->n, g->input, TP_F32, g->loss}; }

/* An MLP with relu between its layers; sizes end with 0. */
static void tp_graph_mlp(tp_graph *g, const uint32_t *sizes, const char *loss) {
    tp_graph_begin(g, tp_vector(sizes[0]), loss);
    int32_t at = TP_INPUT;
    for (uint32_t i = 1; sizes[i] != 0; i++) {
        at = tp_graph_dense(g, at, sizes[i]);
        if (sizes[i + 1] != 0) { at = tp_graph_op(g, "relu", at); }
    }
}

/* A small CNN with most things a CNN has. */
static void tp_graph_cnn(tp_graph *g, const char *loss) {
    tp_graph_begin(g, tp_image(8, 8, 2), loss);
    int32_t a = tp_graph_op(g, "relu", tp_graph_conv(g, TP_INPUT, 6, 3, 1, TP_PAD_SAME));
    int32_t b = tp_graph_window(g, "depthwise_conv2d", a, 6, 3, 3, 1, TP_PAD_SAME);
    int32_t c = tp_graph_op(g, "relu6", tp_graph_conv(g, tp_graph_op(g, "relu", b), 6, 1, 1, TP_PAD_VALID));
    int32_t sum = tp_graph_node(g, "add", a, c);
    int32_t pool = tp_graph_window(g, "max_pool2d", sum, 0, 2, 2, 2, TP_PAD_VALID);
    int32_t deep = tp_graph_op(g, "relu", tp_graph_conv(g, pool, 8, 3, 1, TP_PAD_VALID));
    tp_graph_dense(g, tp_graph_op(g, "flatten", deep), 5);
}

/* Of node i the bias alone trains. */
static void tp_graph_bias(tp_graph *g, uint32_t i) {
    char name[TP_NAME_BYTES + 16];
    snprintf(name, sizeof name, "%s.weight", g->node[i].name);
    TP_CHECK_STATUS(tp_model_freeze(g->node, g->n, name), TP_OK);
}

/* --- recipes --- */

static tp_recipe tp_recipe_of(const char *policy, const char *optimizer, uint32_t batch, float lr) {
    tp_recipe r = tp_recipe_default();
    r.policy = tp_list_id(TP_LIST_POLICY, policy);
    r.optimizer = tp_list_id(TP_LIST_OPTIMIZER, optimizer);
    r.batch = batch;
    r.lr = lr;
    r.momentum = 0.9f;
    return r;
}

/* --- live nets --- */

typedef struct tp_live {
    tp_plan *plan;
    uint8_t *arena;
    tp_stats *stats;
    tp_net net;
    uint32_t where;
} tp_live;

static void tp_live_close(tp_live *v) {
    free(v->plan);
    free(v->arena);
    free(v->stats);
    memset(v, 0, sizeof *v);
}

/* Activations, errors and scratch hold nothing between steps: fills them with `bits`. */
static void tp_live_poison(tp_live *v, uint32_t bits) {
    for (uint32_t at = v->plan->acts_at; at + 4u <= v->plan->arena_bytes; at += 4) { memcpy(v->arena + at, &bits, 4); }
}

/* Plan, arena full of NaN, net with initial weights. kernels NULL: the best. */
static tp_status tp_live_open(tp_live *v, const tp_graph *g, const tp_recipe *recipe, const tp_kernels *kernels) {
    tp_model model = tp_graph_model(g);
    memset(v, 0, sizeof *v);
    v->plan = (tp_plan *)tp_alloc(tp_plan_bytes(g->n));
    tp_status status = tp_plan_make(&model, recipe, v->plan, tp_plan_bytes(g->n), &v->where);
    if (status != TP_OK) { return status; }
    v->arena = (uint8_t *)tp_alloc(v->plan->arena_bytes);
    memset(v->arena, 0xff, v->plan->arena_bytes);
    v->stats = (tp_stats *)tp_alloc(tp_stats_bytes(v->plan));
    status = tp_net_open(&v->net, v->plan, v->arena, v->plan->arena_bytes, kernels);
    return status == TP_OK ? tp_net_init(&v->net) : status;
}

/* Moves the net to an arena in which every activation and error has memory of its own. */
static void tp_live_spread(tp_live *v) {
    tp_plan *plan = v->plan;
    uint32_t at = plan->acts_at;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_plan_node *p = &plan->node[i];
        uint32_t bytes = (p->n_out * 4u + TP_ALIGN - 1u) / TP_ALIGN * TP_ALIGN;
        p->room = 0;
        if (p->act != TP_ACT_INPUT) {
            p->act = at;
            at += bytes;
        }
        if (p->err != TP_NO_OFFSET) {
            p->err = at;
            at += bytes;
        }
    }
    plan->scratch_at = at;
    plan->arena_bytes = at + plan->scratch_bytes;
    uint8_t *arena = (uint8_t *)tp_alloc(plan->arena_bytes);
    memcpy(arena, v->arena, plan->acts_at);
    free(v->arena);
    v->arena = v->net.arena = arena;
}

/* Gives biases and normalisations values that matter. */
static void tp_live_scramble(tp_live *v, uint64_t seed) {
    tp_tensor t;
    char name[TP_NAME_BYTES + 16];
    void *data;
    tp_random_state = seed;
    for (uint32_t i = 0; tp_net_tensor(&v->net, i, &t, name, &data) == TP_OK; i++) {
        float *to = (float *)data;
        bool positive = strstr(name, ".variance") != NULL || strstr(name, ".gamma") != NULL;
        if (strstr(name, ".weight") != NULL) { continue; }
        for (uint32_t j = 0; j < t.bytes / 4u; j++) { to[j] = positive ? 1.0f + 0.5f * tp_random_f32() : 0.3f * tp_random_f32(); }
    }
}

static tp_status tp_live_step(tp_live *v, const tp_batch *batch) {
    tp_live_poison(v, 0x7fc00000u);
    return tp_train_step(&v->net, batch, v->stats);
}

/* Bytes that a step must leave alone on an error: parameters and training state, contiguous. */
static uint32_t tp_live_kept_bytes(const tp_live *v) { return v->plan->state_at + v->plan->state_bytes; }

static bool tp_live_same_params(const tp_live *a, const tp_live *b) {
    return a->plan->params_bytes == b->plan->params_bytes &&
           memcmp(a->arena + a->plan->params_at, b->arena + b->plan->params_at, a->plan->params_bytes) == 0;
}

/* --- data --- */

typedef struct tp_data {
    float *x, *target;
    uint32_t *label;
    uint32_t n, n_in, n_out;
} tp_data;

static tp_data tp_data_make(const tp_plan *plan, uint32_t n, uint64_t seed) {
    tp_data d = {NULL, NULL, NULL, n, plan->n_in, plan->n_out};
    d.x = (float *)tp_alloc((size_t)n * d.n_in * 4u);
    d.target = (float *)tp_alloc((size_t)n * d.n_out * 4u);
    d.label = (uint32_t *)tp_alloc((size_t)n * 4u);
    tp_random_state = seed;
    for (uint32_t i = 0; i < n * d.n_in; i++) { d.x[i] = tp_random_f32(); }
    for (uint32_t i = 0; i < n * d.n_out; i++) { d.target[i] = 0.5f + 0.5f * tp_random_f32(); }
    for (uint32_t i = 0; i < n; i++) { d.label[i] = tp_random_below(d.n_out); }
    return d;
}

static void tp_data_free(tp_data *d) {
    free(d->x);
    free(d->target);
    free(d->label);
}

static tp_batch tp_data_batch(const tp_data *d, uint32_t from, uint32_t n) {
    return (tp_batch){d->x + (size_t)from * d->n_in, d->label + from, d->target + (size_t)from * d->n_out, n};
}

/* `steps` batches of `n` samples, round and round. */
static tp_status tp_live_train(tp_live *v, const tp_data *d, uint32_t steps, uint32_t n) {
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < steps && status == TP_OK; i++) {
        tp_batch batch = tp_data_batch(d, i * n % (d->n - n + 1u), n);
        status = tp_live_step(v, &batch);
    }
    return status;
}

#endif /* TINYPROP_TP_BUILD_H */
