/* SPDX-License-Identifier: Apache-2.0 */
/* The parity trace: an MLP, a CNN, MobileNetV2 blocks and a 1-D CNN trained under every policy, optimizer and batch size. Every row ends in a hash over
 * the records of all steps and the weights along the way, which must be the same on every machine (docs/NUMERICS.md).
 * Include after csrc/tinyprop.c. Static memory only: it also runs on a microcontroller. */
#ifndef TINYPROP_PARITY_TRACE_H
#define TINYPROP_PARITY_TRACE_H

typedef struct tp_parity_row {
    const char *graph, *policy, *optimizer;
    uint32_t batch;
    uint64_t hash;
} tp_parity_row;

enum { TP_PARITY_SAMPLES = 40, TP_PARITY_IN = 192, TP_PARITY_CLASSES = 5, TP_PARITY_NODES = 24, TP_PARITY_GRAPHS = 5, TP_PARITY_POLICIES = 5 };
#ifndef TP_PARITY_ARENA
#define TP_PARITY_ARENA (64 * 1024)
#endif

/* Wire ids: 1 dense, 2 conv2d, 3 conv1d, 4 depthwise_conv2d, 5 max_pool2d, 6 avg_pool2d, 7 global_avg_pool, 8 relu, 9 relu6, 10 leaky_relu, 11 sigmoid,
 * 12 tanh, 13 batch_norm, 14 add, 15 flatten, 16 dropout, 17 quantize, 18 dequantize, 19 dense_s8, 20 conv2d_s8, 21 depthwise_conv2d_s8,
 * 22 clamp_s8, 23 max_pool2d_s8, 24 avg_pool2d_s8, 25 add_s8 */
static const tp_node tp_parity_mlp[] = {
    {.name = "d1", .op = 1, .in = {TP_INPUT, TP_NONE}, .units = 24},
    {.name = "r1", .op = 8, .in = {0, TP_NONE}},
    {.name = "drop", .op = 16, .in = {1, TP_NONE}, .param = 0.25f},
    {.name = "d2", .op = 1, .in = {2, TP_NONE}, .units = 17, .init = TP_INIT_GLOROT_UNIFORM},
    {.name = "t2", .op = 12, .in = {3, TP_NONE}},
    {.name = "d3", .op = 1, .in = {4, TP_NONE}, .units = 17},
    {.name = "s3", .op = 11, .in = {5, TP_NONE}},
    {.name = "sum", .op = 14, .in = {4, 6}},
    {.name = "out", .op = 1, .in = {7, TP_NONE}, .units = TP_PARITY_CLASSES},
};

static const tp_node tp_parity_cnn[] = {
    {.name = "c1", .op = 2, .in = {TP_INPUT, TP_NONE}, .units = 9, .kernel = {3, 3}, .stride = {1, 1}, .padding = TP_PAD_SAME},
    {.name = "n1", .op = 13, .in = {0, TP_NONE}, .param = 1e-3f},
    {.name = "r1", .op = 9, .in = {1, TP_NONE}},
    {.name = "dw", .op = 4, .in = {2, TP_NONE}, .units = 9, .kernel = {3, 3}, .stride = {1, 1}, .padding = TP_PAD_SAME},
    {.name = "r2", .op = 10, .in = {3, TP_NONE}, .param = 0.1f},
    {.name = "pw", .op = 2, .in = {4, TP_NONE}, .units = 9, .kernel = {1, 1}, .stride = {1, 1}},
    {.name = "sum", .op = 14, .in = {2, 5}},
    {.name = "pool", .op = 5, .in = {6, TP_NONE}, .kernel = {2, 2}, .stride = {2, 2}},
    {.name = "c2", .op = 2, .in = {7, TP_NONE}, .units = 12, .kernel = {3, 3}, .stride = {2, 2}, .padding = TP_PAD_EXPLICIT, .pad = {1, 0, 0, 1}, .groups = 3},
    {.name = "r3", .op = 8, .in = {8, TP_NONE}},
    {.name = "flat", .op = 15, .in = {9, TP_NONE}},
    {.name = "out", .op = 1, .in = {10, TP_NONE}, .units = TP_PARITY_CLASSES},
};

/* MobileNetV2: a stem, a block with a residual, one of stride 2, the head. */
#define TP_PARITY_PW(name_, from, units_) {.name = name_, .op = 2, .in = {from, TP_NONE}, .units = units_, .kernel = {1, 1}, .stride = {1, 1}}
#define TP_PARITY_DW(name_, from, units_, step) {.name = name_, .op = 4, .in = {from, TP_NONE}, .units = units_, .kernel = {3, 3}, .stride = {step, step}, .padding = TP_PAD_EXPLICIT, .pad = {1, 1, 1, 1}}
static const tp_node tp_parity_mobile[] = {
    {.name = "stem", .op = 2, .in = {TP_INPUT, TP_NONE}, .units = 8, .kernel = {3, 3}, .stride = {1, 1}, .padding = TP_PAD_EXPLICIT, .pad = {1, 1, 1, 1}},
    {.name = "r0", .op = 9, .in = {0, TP_NONE}},
    TP_PARITY_PW("e1", 1, 24),
    {.name = "r1", .op = 9, .in = {2, TP_NONE}},
    TP_PARITY_DW("w1", 3, 24, 1),
    {.name = "r2", .op = 9, .in = {4, TP_NONE}},
    TP_PARITY_PW("p1", 5, 8),
    {.name = "sum", .op = 14, .in = {1, 6}},
    TP_PARITY_PW("e2", 7, 17),
    {.name = "r3", .op = 9, .in = {8, TP_NONE}},
    TP_PARITY_DW("w2", 9, 17, 2),
    {.name = "r4", .op = 9, .in = {10, TP_NONE}},
    TP_PARITY_PW("p2", 11, 12),
    TP_PARITY_PW("head", 12, 33),
    {.name = "r5", .op = 9, .in = {13, TP_NONE}},
    {.name = "pool", .op = 7, .in = {14, TP_NONE}},
    {.name = "out", .op = 1, .in = {15, TP_NONE}, .units = TP_PARITY_CLASSES},
};

static const tp_node tp_parity_wave[] = {
    {.name = "c1", .op = 3, .in = {TP_INPUT, TP_NONE}, .units = 8, .kernel = {1, 5}, .stride = {1, 2}, .padding = TP_PAD_SAME},
    {.name = "r1", .op = 8, .in = {0, TP_NONE}},
    {.name = "c2", .op = 3, .in = {1, TP_NONE}, .units = 16, .kernel = {1, 9}, .stride = {1, 1}, .padding = TP_PAD_SAME},
    {.name = "r2", .op = 8, .in = {2, TP_NONE}},
    {.name = "pool", .op = 6, .in = {3, TP_NONE}, .kernel = {1, 2}, .stride = {1, 2}},
    {.name = "flat", .op = 15, .in = {4, TP_NONE}},
    {.name = "out", .op = 1, .in = {5, TP_NONE}, .units = TP_PARITY_CLASSES},
};

/* Errors skip nothing here: clamps in place and not, scales and zeros of every kind. */
static const tp_node tp_parity_int8[] = {
    {.name = "q", .op = 17, .in = {TP_INPUT, TP_NONE}, .scale = 0.0098f, .zero = -50},
    {.name = "c1", .op = 20, .in = {0, TP_NONE}, .units = 9, .kernel = {3, 3}, .stride = {1, 1}, .padding = TP_PAD_SAME, .scale = 0.03f, .zero = -11},
    {.name = "r1", .op = 22, .in = {1, TP_NONE}},
    {.name = "dw", .op = 21, .in = {2, TP_NONE}, .units = 18, .kernel = {3, 3}, .stride = {1, 1}, .padding = TP_PAD_EXPLICIT, .pad = {1, 1, 1, 1}, .scale = 0.05f, .zero = -100},
    {.name = "r2", .op = 22, .in = {3, TP_NONE}, .param = 6.0f},
    {.name = "pw", .op = 20, .in = {4, TP_NONE}, .units = 9, .kernel = {1, 1}, .stride = {1, 1}, .scale = 0.04f, .zero = 7},
    {.name = "sum", .op = 25, .in = {2, 5}, .scale = 0.06f, .zero = -3},
    {.name = "r3", .op = 22, .in = {6, TP_NONE}},
    {.name = "pool", .op = 23, .in = {7, TP_NONE}, .kernel = {2, 2}, .stride = {2, 2}},
    {.name = "c2", .op = 20, .in = {8, TP_NONE}, .units = 12, .kernel = {3, 3}, .stride = {2, 2}, .padding = TP_PAD_EXPLICIT, .pad = {1, 0, 0, 1}, .scale = 0.07f, .zero = 0},
    {.name = "r4", .op = 22, .in = {9, TP_NONE}},
    {.name = "mean", .op = 24, .in = {10, TP_NONE}, .kernel = {2, 1}, .stride = {1, 1}},
    {.name = "flat", .op = 15, .in = {11, TP_NONE}},
    {.name = "out", .op = 19, .in = {12, TP_NONE}, .units = TP_PARITY_CLASSES, .scale = 0.08f, .zero = 5},
    {.name = "real", .op = 18, .in = {13, TP_NONE}},
};

static const struct {
    const char *name;
    const tp_node *nodes;
    uint32_t n_nodes, steps;
    tp_shape input;
} tp_parity_graph[TP_PARITY_GRAPHS] = {
#define TP_PARITY_GRAPH(name, steps, ...) {#name, tp_parity_##name, sizeof tp_parity_##name / sizeof(tp_node), steps, __VA_ARGS__}
    TP_PARITY_GRAPH(mlp, 240, {1, 1, 30, 1}),
    TP_PARITY_GRAPH(cnn, 60, {8, 8, 2, 3}),
    TP_PARITY_GRAPH(mobile, 60, {8, 8, 3, 3}),
    TP_PARITY_GRAPH(wave, 60, {1, 32, 3, 2}),
    TP_PARITY_GRAPH(int8, 60, {8, 8, 2, 3}),
#undef TP_PARITY_GRAPH
};

static union {
    tp_plan plan;
    uint8_t bytes[sizeof(tp_plan) + TP_PARITY_NODES * sizeof(tp_plan_node)];
} tp_parity_plan;
static _Alignas(TP_ALIGN) uint8_t tp_parity_arena[TP_PARITY_ARENA];
static float tp_parity_x[TP_PARITY_SAMPLES * TP_PARITY_IN];
static uint32_t tp_parity_label[TP_PARITY_SAMPLES];
static union {
    tp_stats stats;
    uint8_t bytes[sizeof(tp_stats) + TP_PARITY_NODES * sizeof(tp_layer_stats)];
} tp_parity_record;

static uint64_t tp_parity_mix(uint64_t hash, const void *data, uint32_t bytes) { /* FNV-1a */
    const uint8_t *b = (const uint8_t *)data;
    for (uint32_t i = 0; i < bytes; i++) { hash = (hash ^ b[i]) * 0x100000001b3u; }
    return hash;
}

/* Classes that can be learnt: every class has its own few bright elements. */
static void tp_parity_data(uint32_t n_in) {
    for (uint32_t s = 0; s < TP_PARITY_SAMPLES; s++) {
        tp_parity_label[s] = s % TP_PARITY_CLASSES;
        for (uint32_t i = 0; i < n_in; i++) {
            tp_rng_block r = tp_rng(99, TP_RNG_SHUFFLE, 1, s, i);
            float noise = tp_rng_unit(r.word[0]) - 0.5f;
            tp_parity_x[s * n_in + i] = i % TP_PARITY_CLASSES == tp_parity_label[s] ? noise + 0.75f : noise;
        }
    }
}

/* Another length and another selection than the pinned rows have; `seen` is told the hash after every step. */
typedef struct tp_parity_long {
    uint32_t steps, select;
    void (*seen)(uint32_t step, uint64_t hash);
} tp_parity_long;

static tp_recipe tp_parity_recipe(const tp_parity_row *row, uint32_t steps) {
    tp_recipe r = tp_recipe_default();
    r.policy = tp_list_id(TP_LIST_POLICY, row->policy);
    if (tp_text_equal(row->optimizer, "residual")) { /* int8 knows no other optimizer, but roundings */
        r.int8 = TP_INT8_RESIDUAL;
        r.weight_decay = 1e-3f;
    } else if (tp_text_equal(row->optimizer, "fraction")) {
        r.int8 = TP_INT8_FRACTION;
    } else {
        r.optimizer = tp_list_id(TP_LIST_OPTIMIZER, row->optimizer);
    }
    r.batch = row->batch;
    r.lr = row->batch > 1 ? 0.15f : 0.04f;
    r.momentum = 0.8f;
    if (r.optimizer == tp_list_id(TP_LIST_OPTIMIZER, "momentum")) { r.weight_decay = 1e-3f; }
    r.schedule = (tp_schedule){TP_SCHEDULE_COSINE, 5, steps, 1, 1.0f};
    r.policy_params.zeta = 0.9f;
    r.policy_params.tau = 0.3f;
    r.policy_params.s_max = 0.6f;
    return r;
}

/* Policies that train by masks get some: layers at the bottom that do not train, rows here and there, biases of every kind. */
static void tp_parity_mask(tp_net *net) {
    uint8_t rows[64];
    for (uint32_t layer = 0; layer < net->plan->n_layers; layer++) {
        for (uint32_t r = 0; r < sizeof rows; r++) { rows[r] = layer > 0 && (r * 5u + layer) % 3u != 0 ? 1 : 0; }
        (void)tp_net_mask(net, layer, rows, layer == 0 ? (uint32_t)TP_BIAS_NONE : layer % 3u); /* TP_E_MODE: no such policy */
    }
}

/* Trains one row with these kernels and options; 0 is no hash: something failed. */
static uint64_t tp_parity_run_long(const tp_parity_row *row, const tp_kernels *k, const tp_plan_options *options, const tp_parallel *parallel,
                                   const tp_parity_long *longer) {
    uint32_t graph = 0, at = 0;
    while (graph < TP_PARITY_GRAPHS - 1u && !tp_text_equal(tp_parity_graph[graph].name, row->graph)) { graph++; }
    uint32_t steps = longer != NULL ? longer->steps : tp_parity_graph[graph].steps;
    tp_model m = {tp_parity_graph[graph].nodes, tp_parity_graph[graph].n_nodes, tp_parity_graph[graph].input, TP_F32, 1};
    tp_recipe r = tp_parity_recipe(row, steps);
    if (longer != NULL) { r.policy_params.select = longer->select; }
    tp_plan *plan = &tp_parity_plan.plan;
    tp_net net;
    if (tp_plan_make_with(&m, &r, options, plan, sizeof tp_parity_plan, NULL) != TP_OK) { return 0; }
    if (tp_net_open(&net, plan, tp_parity_arena, sizeof tp_parity_arena, k) != TP_OK || tp_net_init(&net) != TP_OK) { return 0; }
    if (parallel != NULL) { net.parallel = *parallel; }
    tp_parity_mask(&net);
    tp_parity_data(plan->n_in);
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t n = i % 7u == 3 ? 1u : row->batch; /* short batches too */
        at = at + n > TP_PARITY_SAMPLES ? 0 : at;
        if (at == 0 && tp_net_epoch_begin(&net) != TP_OK) { return 0; }
        tp_batch b = {tp_parity_x + (size_t)at * plan->n_in, tp_parity_label + at, NULL, n};
        if (tp_train_step(&net, &b, &tp_parity_record.stats) != TP_OK) { return 0; }
        hash = tp_parity_mix(hash, &tp_parity_record, tp_stats_bytes(plan));
        if (i % 10u == 9u) { hash = tp_parity_mix(hash, tp_parity_arena, plan->state_at + plan->state_bytes); }
        if (longer != NULL) { longer->seen(i + 1u, hash); }
        at += n;
    }
    const float *y;
    float p[TP_PARITY_CLASSES];
    if (tp_net_forward(&net, tp_parity_x, &y) != TP_OK || tp_net_probabilities(&net, y, p) != TP_OK) { return 0; }
    return tp_parity_mix(hash, p, sizeof p);
}

static uint64_t tp_parity_run(const tp_parity_row *row, const tp_kernels *k, const tp_plan_options *options, const tp_parallel *parallel) {
    return tp_parity_run_long(row, k, options, parallel, NULL);
}

/* Row number `index`; false past the last. Policies that came later have their rows behind those of the first ones, and so has a rounding. */
static bool tp_parity_row_at(uint32_t index, tp_parity_row *row) {
    uint32_t policies = 0, optimizers = 0, before = 0;
    while (tp_list_name(TP_LIST_POLICY, policies, NULL) != NULL) { policies++; }
    while (tp_list_name(TP_LIST_OPTIMIZER, optimizers, NULL) != NULL) { optimizers++; }
    if (index >= 2u * TP_PARITY_GRAPHS * optimizers * TP_PARITY_POLICIES) {
        before = index / (2u * TP_PARITY_GRAPHS * optimizers);
        index -= 2u * TP_PARITY_GRAPHS * optimizers * before;
        if (before >= policies) {
            *row = (tp_parity_row){"int8", "tinypropv2", "fraction", index == 0 ? 1u : 4u, 0};
            return before == policies && index < 2;
        }
        policies = 1;
    } else {
        policies = TP_PARITY_POLICIES;
    }
    row->batch = index % 2u == 0 ? 1u : 4u;
    row->optimizer = tp_list_name(TP_LIST_OPTIMIZER, index / 2u % optimizers, NULL);
    row->policy = tp_list_name(TP_LIST_POLICY, before + index / 2u / optimizers % policies, NULL);
    row->graph = tp_parity_graph[index / 2u / optimizers / policies % TP_PARITY_GRAPHS].name;
    if (tp_text_equal(row->graph, "int8") && tp_text_equal(row->optimizer, "momentum")) { row->optimizer = "residual"; }
    row->hash = 0;
    return true;
}

#endif /* TINYPROP_PARITY_TRACE_H */
