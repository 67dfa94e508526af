/* SPDX-License-Identifier: Apache-2.0 */
/* The planner: no two living buffers share a byte (by brute force over random graphs, and because the same training with
 * nothing shared leaves the same bits), golden sizes, and hostile models refused with status and place. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

/* --- random graphs --- */

static int32_t tp_pick(const tp_graph *g) { return (int32_t)tp_random_below(g->n + 1u) - 1; }

static tp_shape tp_shape_of(const tp_graph *g, const tp_shape *shape, int32_t i) { return i == TP_INPUT ? g->input : shape[i]; }

/* Adds one operation that fits tensor `in`; its shape in *out. False: none fits. */
static bool tp_grow(tp_graph *g, const tp_shape *shape, int32_t in, tp_shape *out) {
    static const char *const unary[7] = {"relu", "relu6", "leaky_relu", "sigmoid", "tanh", "dropout", "batch_norm"};
    tp_shape s = tp_shape_of(g, shape, in);
    uint32_t kind = tp_random_below(8);
    *out = s;
    if (kind < 2) {
        uint32_t op = tp_random_below(7);
        tp_graph_param(g, unary[op], in, op == 6 ? 1e-3f : 0.2f);
        return true;
    }
    if (kind < 5) { /* add: the latest tensor of the same shape */
        for (int32_t other = (int32_t)g->n - 1; other >= TP_INPUT; other--) {
            tp_shape t = tp_shape_of(g, shape, other);
            if (memcmp(&t, &s, sizeof s) == 0 && (other != in || kind == 2)) {
                tp_graph_node(g, "add", in, other);
                return true;
            }
        }
        return false;
    }
    if (kind == 5) {
        tp_graph_op(g, "flatten", in);
        *out = tp_vector(s.h * s.w * s.c);
        return true;
    }
    if (s.rank == 1) {
        uint32_t units = tp_random_below(2) != 0 ? s.c : 4u + tp_random_below(3);
        tp_graph_dense(g, in, units);
        *out = tp_vector(units);
        return true;
    }
    uint32_t units = tp_random_below(2) != 0 ? s.c : 2u + tp_random_below(3);
    if (kind == 6) {
        tp_graph_conv(g, in, units, 1u + 2u * tp_random_below(2), 1, TP_PAD_SAME);
        out->c = units;
    } else {
        tp_graph_window(g, tp_random_below(2) != 0 ? "max_pool2d" : "depthwise_conv2d", in, s.c, 2, 2, 1, TP_PAD_SAME);
    }
    return true;
}

/* A random graph in which everything is read, ending in three logits. */
static void tp_graph_random(tp_graph *g, uint32_t nodes) {
    tp_shape shape[TP_GRAPH_NODES];
    bool read[TP_GRAPH_NODES] = {false};
    tp_graph_begin(g, tp_random_below(2) != 0 ? tp_vector(6) : tp_image(3, 3, 2), "softmax_cross_entropy");
    while (g->n < nodes) {
        uint32_t before = g->n;
        tp_shape out;
        if (tp_grow(g, shape, tp_random_below(3) != 0 && g->n > 0 ? (int32_t)g->n - 1 : tp_pick(g), &out)) { shape[before] = out; }
    }
    for (uint32_t i = 0; i < g->n; i++) {
        for (uint32_t slot = 0; slot < 2; slot++) {
            if (g->node[i].in[slot] >= 0) { read[g->node[i].in[slot]] = true; }
        }
    }
    int32_t sum = TP_NONE;
    for (int32_t i = 0; i < (int32_t)nodes; i++) { /* everything unread goes through a dense layer into one sum */
        if (read[i]) { continue; }
        int32_t flat = shape[i].rank == 1 ? i : tp_graph_op(g, "flatten", i);
        int32_t branch = tp_graph_dense(g, flat, 4);
        sum = sum == TP_NONE ? branch : tp_graph_node(g, "add", sum, branch);
    }
    tp_graph_dense(g, sum, 3);
    for (uint32_t i = 0; i < g->n; i++) {
        if (tp_random_below(6) == 0) { g->node[i].flags |= TP_FLAG_FROZEN; }
    }
}

/* --- brute force --- */

/* Who touches which bytes when, from the definition of a step alone: each buffer is marked with the value it holds at
 * every time; a value that is overwritten while somebody still reads it is found. */
typedef struct tp_span {
    uint32_t at, bytes, from, to, owner;
} tp_span;

static uint32_t tp_reads_at(const tp_plan *plan, uint32_t node) { /* last time the output of a node is read */
    uint32_t n = plan->n_nodes, last = node + 1u == n ? 2u * n + 1u : node;
    const tp_plan_node *p = &plan->node[node];
    if (p->backward != 0 && (tp_layer_find(p->node.op)->flags & TP_LAYER_NEEDS_Y) != 0) { last = tp_max_u32(last, 2u * n - node); }
    for (uint32_t j = node + 1; j < n; j++) {
        const tp_plan_node *q = &plan->node[j];
        if (q->node.in[0] != (int32_t)node && q->node.in[1] != (int32_t)node) { continue; }
        bool later = q->backward != 0 && (tp_layer_find(q->node.op)->flags & (TP_LAYER_NEEDS_X | TP_LAYER_X_IF_TRAINED)) != 0;
        if (q->trainable == 0 && (tp_layer_find(q->node.op)->flags & TP_LAYER_NEEDS_X) == 0) { later = false; }
        last = tp_max_u32(last, later ? 2u * n - j : j);
    }
    return last;
}

/* Every write must not meet a buffer that is still to be read. A view shares with its input: same value. */
static void tp_no_overlap(const tp_plan *plan) {
    tp_span span[2 * TP_GRAPH_NODES];
    uint32_t count = 0, n = plan->n_nodes;
    for (uint32_t i = 0; i < n; i++) {
        const tp_plan_node *p = &plan->node[i];
        if (p->act != TP_ACT_INPUT) { span[count++] = (tp_span){p->act, p->n_out * 4u, i, tp_reads_at(plan, i), i}; }
        if (p->backward == 0) {
            TP_CHECK(p->err == TP_NO_OFFSET);
            continue;
        }
        uint32_t from = n;
        for (uint32_t j = n; j-- > i + 1u && from == n;) {
            if (plan->node[j].node.in[0] == (int32_t)i || plan->node[j].node.in[1] == (int32_t)i) { from = 2u * n - j; }
        }
        span[count++] = (tp_span){p->err, p->n_out * 4u, from, 2u * n - i, i};
    }
    for (uint32_t i = 0; i < count; i++) {
        const tp_span *a = &span[i];
        TP_CHECKF(a->at % TP_ALIGN == 0 && a->at >= plan->acts_at && a->at + a->bytes <= plan->acts_at + plan->acts_bytes, "buffer %u outside its region", i);
        for (uint32_t j = 0; j < count; j++) {
            const tp_span *b = &span[j]; /* b is written while a lives */
            bool bytes = a->at < b->at + b->bytes && b->at < a->at + a->bytes;
            /* at the very time a is read last, an element-wise operation may write over it */
            bool in_place = b->from == a->to && a->at == b->at && a->bytes == b->bytes;
            bool view = a->at == b->at && b->from < n && a->from < n && tp_layer_find(plan->node[b->owner].node.op)->flags & TP_LAYER_VIEW;
            if (i != j && bytes && b->from > a->from && b->from <= a->to && !in_place && !view) {
                TP_CHECKF(false, "node %u (times %u..%u) is overwritten by node %u at %u", a->owner, a->from, a->to, b->owner, b->from);
            }
        }
    }
}

static void tp_random_graphs_place(void) {
    for (uint32_t i = 0; i < 1000; i++) {
        tp_graph g;
        tp_live v;
        tp_random_state = i;
        tp_graph_random(&g, 3u + i % 20u);
        tp_recipe r = tp_recipe_of("tinyprop", i % 3u == 0 ? "momentum" : "sgd", 1u + i % 2u, 0.05f);
        tp_status status = tp_live_open(&v, &g, &r, NULL);
        TP_CHECKF(status == TP_OK, "graph %u: %s at node %u", i, tp_status_name(status), v.where);
        if (status == TP_OK) { tp_no_overlap(v.plan); }
        tp_live_close(&v);
    }
}

static void tp_random_graphs_train(void) {
    for (uint32_t i = 0; i < 300; i++) {
        tp_graph g;
        tp_live v, w;
        tp_random_state = 1000u + i;
        tp_graph_random(&g, 3u + i % 20u);
        tp_recipe r = tp_recipe_of(i % 2u == 0 ? "full" : "tinyprop", "sgd", 1u + i % 2u, 0.02f);
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        TP_CHECK_STATUS(tp_live_open(&w, &g, &r, NULL), TP_OK);
        tp_live_spread(&w);
        TP_CHECK(v.plan->arena_bytes <= w.plan->arena_bytes);
        tp_data d = tp_data_make(v.plan, 4, i);
        for (uint32_t j = 0; j < 3; j++) {
            tp_batch b = tp_data_batch(&d, j, r.batch);
            tp_status status = tp_live_step(&v, &b);
            TP_CHECKF(status == tp_live_step(&w, &b), "graph %u: other status", i);
        }
        TP_CHECKF(memcmp(v.arena, w.arena, v.plan->acts_at) == 0, "graph %u: sharing changes the result", i);
        tp_data_free(&d);
        tp_live_close(&v);
        tp_live_close(&w);
    }
}

/* --- sizes --- */

static tp_plan *tp_planned(const tp_graph *g, const tp_recipe *r) {
    tp_model m = tp_graph_model(g);
    tp_plan *plan = (tp_plan *)tp_alloc(tp_plan_bytes(g->n));
    TP_CHECK_STATUS(tp_plan_make(&m, r, plan, tp_plan_bytes(g->n), NULL), TP_OK);
    return plan;
}

static void tp_golden_sizes(void) {
    tp_graph g;
    tp_recipe sgd = tp_recipe_of("tinypropv2", "sgd", 1, 0.01f), momentum = tp_recipe_of("tinypropv2", "momentum", 8, 0.01f);
    tp_graph_mlp(&g, (const uint32_t[]){784, 256, 128, 64, 32, 10, 0}, "softmax_cross_entropy");
    tp_plan *inference = tp_planned(&g, NULL), *small = tp_planned(&g, &sgd), *large = tp_planned(&g, &momentum);
    const uint32_t params = 784 * 256 + 256 + 256 * 128 + 128 + 128 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10;
    TP_CHECK(small->n_params == params && small->n_layers == 5 && small->n_in == 784 && small->n_out == 10);
    TP_CHECK(small->macs_forward == 784 * 256 + 256 * 128 + 128 * 64 + 64 * 32 + 32 * 10);
    TP_CHECK(small->macs_backward == 2 * small->macs_forward - 784 * 256);
    TP_CHECK(small->grad_bytes == 0 && large->grad_bytes > params * 4u);
    TP_CHECKF(inference->arena_bytes == 979648u && small->arena_bytes == 981824u && large->arena_bytes == 2940736u, "arena: %u, %u, %u bytes",
              inference->arena_bytes, small->arena_bytes, large->arena_bytes);
    TP_CHECK(inference->acts_bytes <= small->acts_bytes && inference->state_bytes == 0);
    free(inference);
    free(small);
    free(large);
    tp_graph_cnn(&g, "softmax_cross_entropy");
    inference = tp_planned(&g, NULL);
    small = tp_planned(&g, &sgd);
    TP_CHECKF(inference->arena_bytes == 8192u && small->arena_bytes == 14720u, "arena of the CNN: %u, %u bytes", inference->arena_bytes, small->arena_bytes);
    TP_CHECK(inference->acts_bytes < small->acts_bytes);
    free(inference);
    free(small);
}

/* `auto` is decided from the shape: convolutions of 72 or more taps by element, narrower ones by channel. */
static void tp_select_auto(void) {
    tp_graph g;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", 1, 0.01f);
    tp_graph_begin(&g, tp_image(6, 6, 8), "softmax_cross_entropy");
    int32_t wide = tp_graph_conv(&g, TP_INPUT, 8, 3, 1, TP_PAD_SAME);
    int32_t narrow = tp_graph_conv(&g, wide, 8, 1, 1, TP_PAD_SAME);
    int32_t deep = tp_graph_window(&g, "depthwise_conv2d", narrow, 8, 3, 3, 1, TP_PAD_SAME);
    tp_graph_dense(&g, tp_graph_op(&g, "flatten", deep), 3);
    tp_plan *plan = tp_planned(&g, &r);
    TP_CHECK(plan->node[0].select == TP_SELECT_ELEMENT && plan->node[0].n_select == 6 * 6 * 8);
    TP_CHECK(plan->node[1].select == TP_SELECT_CHANNEL && plan->node[1].n_select == 8);
    TP_CHECK(plan->node[2].select == TP_SELECT_CHANNEL && plan->node[4].select == TP_SELECT_ELEMENT);
    TP_CHECK(plan->node[0].layer == 0 && plan->node[2].layer == 2 && plan->node[4].layer == 3 && plan->node[3].layer == TP_NO_OFFSET);
    TP_CHECK(plan->node[0].macs_dx == 0 && plan->node[1].macs_dx == plan->node[1].macs_forward);
    free(plan);
}

/* --- hostile models --- */

static void tp_refused(const char *what, const tp_model *m, const tp_recipe *r, tp_status wanted, uint32_t wanted_at) {
    tp_plan *plan = (tp_plan *)tp_alloc(tp_plan_bytes(TP_MAX_NODES));
    uint32_t where = 12345;
    tp_status status = tp_plan_make(m, r, plan, tp_plan_bytes(TP_MAX_NODES), &where);
    TP_CHECKF(status == wanted && (where == wanted_at), "%s: %s at %u, expected %s at %u", what, tp_status_name(status), where,
              tp_status_name(wanted), wanted_at);
    free(plan);
}

static void tp_hostile_graphs(void) {
    tp_recipe r = tp_recipe_default();
    tp_graph good, g;
    tp_model m;
    tp_graph_mlp(&good, (const uint32_t[]){5, 4, 3, 0}, "softmax_cross_entropy");
#define TP_HOSTILE(change, status, where)  \
    g = good;                              \
    m = tp_graph_model(&g);                \
    change;                                \
    tp_refused(#change, &m, &r, (status), (where))
    TP_HOSTILE(g.node[1].in[0] = 2, TP_E_MODEL, 1);             /* a later node: a cycle */
    TP_HOSTILE(g.node[1].in[0] = 1, TP_E_MODEL, 1);             /* itself */
    TP_HOSTILE(g.node[0].in[0] = TP_NONE, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].in[0] = INT32_MIN, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[1].in[1] = 0, TP_E_MODEL, 1);             /* an input too many */
    TP_HOSTILE(g.node[1].in[1] = TP_INPUT, TP_E_MODEL, 1);
    TP_HOSTILE(g.node[1].op = 0, TP_E_MODEL, 1);
    TP_HOSTILE(g.node[1].op = 0xffffffffu, TP_E_MODEL, 1);
    TP_HOSTILE(g.node[2].in[0] = 0, TP_E_MODEL, 1);             /* nobody reads node 1 */
    TP_HOSTILE(g.node[2].name[0] = 0, TP_E_MODEL, 2);
    TP_HOSTILE(memset(g.node[1].name, 'x', TP_NAME_BYTES), TP_E_MODEL, 1);
    TP_HOSTILE(memcpy(g.node[2].name, g.node[0].name, TP_NAME_BYTES), TP_E_MODEL, 2);
    TP_HOSTILE(g.node[0].units = 0, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].units = 0xffffffffu, TP_E_LIMIT, 0);
    TP_HOSTILE(g.node[2].units = 1, TP_E_SHAPE, 3);             /* softmax of one output */
    TP_HOSTILE(m.loss = 77, TP_E_MODEL, 3);
    TP_HOSTILE(m.input_dtype = TP_S8, TP_E_MODEL, 0);
    TP_HOSTILE(m.input.rank = 0, TP_E_SHAPE, 3);
    TP_HOSTILE(m.input.rank = 4, TP_E_SHAPE, 3);
    TP_HOSTILE(m.input.h = 2, TP_E_SHAPE, 3);                   /* rank 1 with a height */
    TP_HOSTILE(m.input.c = 0, TP_E_SHAPE, 3);
    TP_HOSTILE(m.input = tp_image(2, 2, 5), TP_E_SHAPE, 0);     /* dense wants a vector */
    TP_HOSTILE(m.n_nodes = 0, TP_E_MODEL, 0);
    TP_HOSTILE(m.n_nodes = TP_MAX_NODES + 1u, TP_E_LIMIT, TP_MAX_NODES + 1u);
    TP_HOSTILE(r.lr = -1.0f, TP_E_RECIPE, 3);
#undef TP_HOSTILE
    m = tp_graph_model(&good);
    tp_plan *plan = (tp_plan *)tp_alloc(tp_plan_bytes(3));
    r = tp_recipe_default();
    TP_CHECK_STATUS(tp_plan_make(&m, &r, plan, tp_plan_bytes(3) - 1u, NULL), TP_E_BUFFER);
    TP_CHECK_STATUS(tp_plan_make(NULL, &r, plan, tp_plan_bytes(3), NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_plan_make(&m, &r, NULL, tp_plan_bytes(3), NULL), TP_E_ARG);
    TP_CHECK(tp_plan_bytes(0) == 0 && tp_plan_bytes(TP_MAX_NODES + 1u) == 0);
    free(plan);
}

static void tp_hostile_attributes(void) {
    tp_recipe r = tp_recipe_default();
    tp_graph good, g;
    tp_model m;
    tp_graph_begin(&good, tp_image(6, 6, 4), "softmax_cross_entropy");
    tp_graph_param(&good, "dropout", tp_graph_conv(&good, TP_INPUT, 6, 3, 1, TP_PAD_EXPLICIT), 0.5f);
    tp_graph_window(&good, "max_pool2d", 1, 0, 2, 2, 2, TP_PAD_VALID);
    tp_graph_param(&good, "batch_norm", 2, 1e-3f);
    tp_graph_param(&good, "leaky_relu", 3, 0.1f);
    tp_graph_node(&good, "add", 4, 3);
    tp_graph_dense(&good, tp_graph_op(&good, "flatten", 5), 3);
    m = tp_graph_model(&good);
    tp_refused("nothing", &m, &r, TP_OK, 8);
#define TP_HOSTILE(change, status, where)  \
    g = good;                              \
    m = tp_graph_model(&g);                \
    change;                                \
    tp_refused(#change, &m, &r, (status), (where))
    TP_HOSTILE(g.node[0].groups = 3, TP_E_SHAPE, 0);
    TP_HOSTILE(g.node[0].groups = 4, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].units = 0, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].kernel[0] = 0, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].kernel[0] = 7, TP_E_SHAPE, 0);
    TP_HOSTILE(g.node[0].kernel[1] = 0xffffffffu, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].stride[1] = 0, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].padding = 3, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[0].pad[1] = 3, TP_E_SHAPE, 0);            /* a window of padding alone */
    TP_HOSTILE(g.node[0].pad[2] = 0xffffffffu, TP_E_MODEL, 0);
    TP_HOSTILE(g.node[1].param = 1.0f, TP_E_MODEL, 1);          /* drops everything */
    TP_HOSTILE(g.node[1].param = tp_f32_from_bits(0x7fc00000u), TP_E_MODEL, 1);
    TP_HOSTILE(g.node[2].kernel[1] = 9, TP_E_SHAPE, 2);
    TP_HOSTILE(g.node[3].param = 0.0f, TP_E_MODEL, 3);
    TP_HOSTILE(g.node[4].param = -0.5f, TP_E_MODEL, 4);
    TP_HOSTILE(g.node[5].in[1] = 0, TP_E_SHAPE, 5);             /* other shapes */
    TP_HOSTILE(g.node[7].in[0] = 5, TP_E_SHAPE, 7);
    TP_HOSTILE(g.node[0].units = 0x40000000u, TP_E_LIMIT, 0);
#undef TP_HOSTILE
}

/* Sizes at the edge of 32 bits: refused, and in finite time. */
static void tp_hostile_sizes(void) {
    tp_graph g;
    for (uint32_t i = 0; i < 4; i++) {
        static const uint32_t size[4] = {0x20000000u, 0x3fffffffu, 0x3ffffff0u, 0x15555556u};
        tp_graph_begin(&g, tp_vector(size[i]), "mse");
        int32_t a = tp_graph_op(&g, "relu", TP_INPUT), b = tp_graph_op(&g, "tanh", TP_INPUT), c = tp_graph_op(&g, "sigmoid", TP_INPUT);
        tp_graph_node(&g, "add", tp_graph_node(&g, "add", a, b), c);
        tp_model m = tp_graph_model(&g);
        tp_refused("three large maps", &m, NULL, TP_E_LIMIT, i == 1 ? 0 : g.n);
    }
    tp_graph_begin(&g, tp_vector(0x3fffffffu), "mse");
    tp_graph_op(&g, "relu", TP_INPUT);
    tp_model m = tp_graph_model(&g);
    tp_refused("a map that only its alignment makes too large", &m, NULL, TP_E_LIMIT, 0);
    tp_graph_begin(&g, tp_image(0x10000u, 0x10000u, 1), "mse");
    tp_graph_op(&g, "relu", TP_INPUT);
    m = tp_graph_model(&g);
    tp_refused("an input of 2^32", &m, NULL, TP_E_SHAPE, 1);
    tp_graph_begin(&g, tp_vector(0x10000u), "mse");
    tp_graph_dense(&g, TP_INPUT, 0x10000u);
    m = tp_graph_model(&g);
    tp_refused("2^32 weights", &m, NULL, TP_E_LIMIT, 0);
    tp_graph_begin(&g, tp_image(0x7fffu, 0x8000u, 1), "mse");
    tp_graph_conv(&g, TP_INPUT, 3, 3, 1, TP_PAD_SAME);
    m = tp_graph_model(&g);
    tp_refused("2^30 positions, 3 channels", &m, NULL, TP_E_LIMIT, 0);
}

/* The largest model: planned, and quickly. */
static void tp_many_nodes(void) {
    tp_node *node = (tp_node *)tp_alloc(TP_MAX_NODES * sizeof(tp_node));
    tp_recipe r = tp_recipe_default();
    tp_plan *plan = (tp_plan *)tp_alloc(tp_plan_bytes(TP_MAX_NODES));
    memset(node, 0, TP_MAX_NODES * sizeof(tp_node));
    for (uint32_t i = 0; i < TP_MAX_NODES; i++) {
        snprintf(node[i].name, sizeof node[i].name, "n%u", i);
        bool dense = i < TP_MAX_LAYERS, add = !dense && i % 2u == 0;
        node[i].op = tp_list_id(TP_LIST_LAYER, dense ? "dense" : add ? "add" : "tanh");
        node[i].units = 16;
        node[i].in[0] = i == 0 ? TP_INPUT : (int32_t)i - 1;
        node[i].in[1] = add ? (int32_t)(i / 2u) : TP_NONE;
    }
    tp_model m = {node, TP_MAX_NODES, tp_vector(16), TP_F32, tp_list_id(TP_LIST_LOSS, "mse")};
    TP_CHECK_STATUS(tp_plan_make(&m, &r, plan, tp_plan_bytes(TP_MAX_NODES), NULL), TP_OK);
    node[TP_MAX_LAYERS].op = node[0].op; /* one weight layer too many */
    node[TP_MAX_LAYERS].in[1] = TP_NONE;
    tp_refused("129 weight layers", &m, &r, TP_E_LIMIT, TP_MAX_LAYERS);
    free(plan);
    free(node);
}

int main(void) {
    TP_RUN(tp_random_graphs_place);
    TP_RUN(tp_random_graphs_train);
    TP_RUN(tp_golden_sizes);
    TP_RUN(tp_select_auto);
    TP_RUN(tp_hostile_graphs);
    TP_RUN(tp_hostile_attributes);
    TP_RUN(tp_hostile_sizes);
    TP_RUN(tp_many_nodes);
    return tp_end();
}
