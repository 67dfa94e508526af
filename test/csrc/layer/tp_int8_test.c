/* SPDX-License-Identifier: Apache-2.0 */
/* The int8 layers as a net: what they give, what they learn, what is refused. Their kernels: kernel/tp_s8_test.c; the same bits on
 * every table, plan and number of threads: the int8 rows of tp_parity_test.c; TFLite's bytes: test/lib/import. */
#include "../../../csrc/tinyprop.c"

#include <math.h> /* NAN */

#include "../tp_build.h"

/* libm is not linked. Halves away from zero. */
static double tp_whole(double x) {
    double size = x < 0 ? -x : x, whole = (double)(int64_t)size;
    whole += size - whole >= 0.5 ? 1.0 : 0.0;
    return x < 0 ? -whole : whole;
}

static int32_t tp_graph_s8(tp_graph *g, const char *op, int32_t in, float scale, int32_t zero) {
    int32_t i = tp_graph_op(g, op, in);
    tp_graph_last(g)->scale = scale;
    tp_graph_last(g)->zero = zero;
    return i;
}

/* input -> quantize -> dense_s8 -> dequantize */
static void tp_graph_one_layer(tp_graph *g, uint32_t n_in, uint32_t n_out) {
    tp_graph_begin(g, tp_vector(n_in), "softmax_cross_entropy");
    int32_t q = tp_graph_s8(g, "quantize", TP_INPUT, 0.02f, -7);
    int32_t d = tp_graph_s8(g, "dense_s8", q, 0.05f, 3);
    tp_graph_last(g)->units = n_out;
    tp_graph_op(g, "dequantize", d);
}

/* Every layer that int8 has, and a frozen one in the middle. */
static void tp_graph_int8(tp_graph *g) {
    tp_graph_begin(g, tp_image(8, 8, 2), "softmax_cross_entropy");
    int32_t q = tp_graph_s8(g, "quantize", TP_INPUT, 0.02f, -20);
    int32_t a = tp_graph_window(g, "conv2d_s8", q, 6, 3, 3, 1, TP_PAD_SAME);
    tp_graph_last(g)->scale = 0.03f;
    int32_t b = tp_graph_window(g, "depthwise_conv2d_s8", tp_graph_op(g, "clamp_s8", a), 12, 3, 3, 1, TP_PAD_SAME);
    tp_graph_last(g)->scale = 0.05f;
    tp_graph_last(g)->flags = TP_FLAG_FROZEN;
    int32_t c = tp_graph_window(g, "conv2d_s8", tp_graph_param(g, "clamp_s8", b, 6.0f), 6, 1, 1, 1, TP_PAD_VALID);
    tp_graph_last(g)->scale = 0.04f;
    int32_t sum = tp_graph_node(g, "add_s8", a + 1, c);
    tp_graph_last(g)->scale = 0.06f;
    int32_t pool = tp_graph_window(g, "max_pool2d_s8", sum, 0, 2, 2, 2, TP_PAD_VALID);
    int32_t mean = tp_graph_window(g, "avg_pool2d_s8", pool, 0, 2, 1, 1, TP_PAD_VALID);
    int32_t out = tp_graph_s8(g, "dense_s8", tp_graph_op(g, "flatten", mean), 0.08f, 5);
    tp_graph_last(g)->units = 4;
    tp_graph_op(g, "dequantize", out);
}

static tp_status tp_open_int8(tp_live *v, const tp_graph *g, tp_recipe *r) { return tp_live_open(v, g, r, NULL); }

/* One step of one layer against the formulas in double: the weights move to the nearest whole number. */
static void tp_update_is_the_formula(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.3f);
    r.int8 = TP_INT8_NEAREST;
    tp_graph_one_layer(&g, 11, 4);
    TP_CHECK_STATUS(tp_open_int8(&v, &g, &r), TP_OK);
    const tp_plan_node *p = &v.plan->node[1];
    int8_t *w = tp_tensor_s8(v.arena, &p->tensor[0]), before[44];
    const float *scale = tp_tensor_f32(v.arena, &p->tensor[2]), *y;
    uint32_t moved = 0, label = 2;
    float x[11], prob[4];
    memcpy(before, w, sizeof before);
    for (uint32_t i = 0; i < 11; i++) { x[i] = (float)((int32_t)i - 4) * 0.31f; }
    TP_CHECK_STATUS(tp_net_forward(&v.net, x, &y), TP_OK);
    TP_CHECK_STATUS(tp_net_probabilities(&v.net, y, prob), TP_OK);
    tp_batch b = {x, &label, NULL, 1};
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
    for (uint32_t i = 0; i < 44; i++) {
        double q = tp_whole((double)x[i % 11] / (double)0.02f) - 7.0;
        q = q > 127 ? 127 : q < -128 ? -128 : q;
        double delta = (double)prob[i / 11] - (i / 11 == label ? 1.0 : 0.0);
        double want = before[i] - 0.3 * delta * (q + 7.0) * (double)0.02f / (double)scale[i / 11];
        want = want > 127 ? 127 : want < -127 ? -127 : want;
        TP_CHECKF(w[i] - want < 0.501 && want - w[i] < 0.501, "weight %u: %d, expected %f", i, w[i], want);
        moved += w[i] != before[i] ? 1u : 0u;
    }
    TP_CHECKF(moved > 20, "%u weights moved", moved);
    tp_live_close(&v);
}

/* Updates far below one step: lost by the nearest, kept on average by the others. */
static void tp_small_updates(void) {
    static const struct {
        uint32_t int8;
        double low, high; /* of what should have moved */
    } way[3] = {{0, 0.8, 1.2}, {TP_INT8_RESIDUAL, 0.95, 1.05}, {TP_INT8_NEAREST, 0.0, 0.0}};
    for (uint32_t k = 0; k < 3; k++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.002f);
        r.int8 = way[k].int8;
        tp_graph_one_layer(&g, 400, 2);
        TP_CHECK_STATUS(tp_open_int8(&v, &g, &r), TP_OK);
        const tp_plan_node *p = &v.plan->node[1];
        int8_t *w = tp_tensor_s8(v.arena, &p->tensor[0]);
        float grad[400];
        double want = 0, got = 0;
        memset(w, 0, 800);
        for (uint32_t j = 0; j < 400; j++) { grad[j] = 1.0f; }
        float c = r.lr * 0.02f / tp_tensor_f32(v.arena, &p->tensor[2])[1];
        tp_step s;
        tp_step_open(&s, &v.net);
        s.lr = s.lr_batch = r.lr;
        for (s.update = 1; s.update <= 20; s.update++) {
            tp_s8_update(&s, p, 1, grad);
            want += 400.0 * (double)c;
        }
        for (uint32_t j = 0; j < 400; j++) { got -= (double)w[400 + j]; }
        TP_CHECKF(c > 0.001f && c < 0.1f && got >= way[k].low * want && got <= way[k].high * want, "%u: moved %f of %f", way[k].int8, got, want);
        for (uint32_t j = 0; j < 400; j++) { TP_CHECK(w[j] == 0); }
        tp_live_close(&v);
    }
}

/* With fractions every weight is where the real one would be, to a 256th of a step an update; at the bounds it stays. */
static void tp_fractions_follow(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.01f);
    r.int8 = TP_INT8_FRACTION;
    tp_graph_one_layer(&g, 101, 2);
    TP_CHECK_STATUS(tp_open_int8(&v, &g, &r), TP_OK);
    const tp_plan_node *p = &v.plan->node[1];
    int8_t *w = tp_tensor_s8(v.arena, &p->tensor[0]), before[202];
    const int8_t *fraction = (const int8_t *)v.arena + p->optim;
    float grad[101], c = r.lr * 0.02f / tp_tensor_f32(v.arena, &p->tensor[2])[1];
    w[101 + 50] = 127;
    memcpy(before, w, sizeof before);
    for (uint32_t j = 0; j < 101; j++) { grad[j] = j == 50 ? -100.0f : ((float)j - 50.0f) * 0.1f; }
    tp_step s;
    tp_step_open(&s, &v.net);
    s.lr = s.lr_batch = r.lr;
    for (s.update = 1; s.update <= 30; s.update++) { tp_s8_update(&s, p, 1, grad); }
    for (uint32_t j = 0; j < 101; j++) {
        double want = 256.0 * ((double)before[101 + j] - 30.0 * (double)c * (double)grad[j]), found = 256.0 * (double)w[101 + j] + (double)fraction[101 + j];
        want = want > 127.0 * 256.0 ? 127.0 * 256.0 : want < -127.0 * 256.0 ? -127.0 * 256.0 : want;
        TP_CHECKF(found - want < 30.0 && want - found < 30.0, "weight %u: %f, expected %f", j, found, want);
        TP_CHECK(w[j] == before[j] && fraction[j] == 0);
    }
    TP_CHECK(w[101 + 50] == 127 && fraction[101 + 50] == 0);
    tp_live_close(&v);
}

/* It learns what a float net of its shape learns; a frozen layer stays. */
static void tp_int8_learns(void) {
    static const uint32_t batch[2] = {1, 4};
    for (uint32_t i = 0; i < 2; i++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_recipe_of("tinypropv2", "sgd", batch[i], batch[i] > 1 ? 0.2f : 0.05f);
        tp_graph_int8(&g);
        TP_CHECK_STATUS(tp_open_int8(&v, &g, &r), TP_OK);
        tp_data d = tp_data_make(v.plan, 32, 7);
        const tp_tensor *frozen = &v.plan->node[3].tensor[0];
        uint8_t *kept = (uint8_t *)tp_alloc(frozen->bytes);
        memcpy(kept, v.arena + frozen->offset, frozen->bytes);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 60 * 32 / batch[i], batch[i]), TP_OK);
        tp_batch all = {d.x, d.label, d.target, 32};
        TP_CHECK_STATUS(tp_eval_step(&v.net, &all, NULL, v.stats), TP_OK);
        TP_CHECKF(v.stats->correct >= 30, "batch %u: %u of 32 after 60 epochs, loss %f", batch[i], v.stats->correct, (double)v.stats->loss);
        TP_CHECK(memcmp(kept, v.arena + frozen->offset, frozen->bytes) == 0);
        free(kept);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

/* A model of int8 input is the float one without its quantize: bytes of the same scale and zero. */
static void tp_int8_input(void) {
    tp_graph g;
    tp_live v, w;
    tp_graph_int8(&g);
    tp_recipe r = tp_recipe_of("tinypropv2", "sgd", 1, 0.05f);
    TP_CHECK_STATUS(tp_open_int8(&v, &g, &r), TP_OK);
    tp_model m = tp_graph_model(&g);
    m.input_dtype = TP_S8;
    w = v;
    w.plan = (tp_plan *)tp_alloc(tp_plan_bytes(g.n));
    TP_CHECK_STATUS(tp_plan_make(&m, &r, w.plan, tp_plan_bytes(g.n), NULL), TP_OK);
    TP_CHECK(w.plan->node[0].act == TP_ACT_INPUT && w.plan->arena_bytes <= v.plan->arena_bytes);
    w.arena = (uint8_t *)aligned_alloc(TP_ALIGN, w.plan->arena_bytes);
    TP_CHECK_STATUS(tp_net_open(&w.net, w.plan, w.arena, w.plan->arena_bytes, NULL), TP_OK);
    TP_CHECK_STATUS(tp_net_init(&w.net), TP_OK);
    tp_data d = tp_data_make(v.plan, 16, 9);
    for (uint32_t s = 0; s < 16; s++) {
        int8_t bytes[128];
        TP_CALL(tp_kernels_best(), quantize_s8)(bytes, d.x + s * 128u, 0.02f, -20, 128);
        tp_batch b = tp_data_batch(&d, s, 1), c = b;
        c.x = bytes;
        TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
        TP_CHECK_STATUS(tp_train_step(&w.net, &c, v.stats), TP_OK);
    }
    TP_CHECK(memcmp(v.arena, w.arena, v.plan->params_bytes) == 0);
    tp_data_free(&d);
    free(w.arena);
    free(w.plan);
    tp_live_close(&v);
}

/* relu behind a convolution costs nothing forward, wherever nobody else needs what it clamps. */
static void tp_clamps_fold(void) {
    tp_graph g;
    tp_graph_int8(&g);
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.05f);
    tp_live v;
    TP_CHECK_STATUS(tp_open_int8(&v, &g, &r), TP_OK);
    const tp_plan_node *p = v.plan->node;
    TP_CHECK(p[2].folded == 1 && p[1].fixed[0] == 0 && p[1].fixed[1] == 127 && p[4].folded == 1 && p[3].fixed[1] == 120);
    TP_CHECK(p[1].dtype == TP_S8 && p[1].act % TP_ALIGN == 0 && v.plan->acts_bytes > 0);
    tp_live_close(&v);
}

/* The smallest plan gives convolutions scratch that nothing lives in at that time, at no cost: for training all of them; for inference,
 * which needs less memory beside the largest activations, not all. */
static void tp_scratch_is_idle(void) {
    tp_graph g;
    tp_graph_int8(&g);
    tp_model m = tp_graph_model(&g);
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.05f);
    tp_plan *plan = (tp_plan *)tp_alloc(tp_plan_bytes(g.n));
    for (uint32_t training = 0; training < 2; training++) {
        uint32_t rooms = 0;
        TP_CHECK_STATUS(tp_plan_make(&m, training == 0 ? NULL : &r, plan, tp_plan_bytes(g.n), NULL), TP_OK);
        for (uint32_t i = 0; i < plan->n_nodes; i++) {
            const tp_plan_node *p = &plan->node[i];
            const tp_conv conv = tp_window_geometry(p, tp_text_equal(tp_layer_find(p->node.op)->name, "conv2d_s8") ? 1u : p->in.c);
            const uint32_t end = p->room + 4u * tp_conv_s8_scratch(&conv);
            if (p->room == 0) { continue; }
            rooms++;
            TP_CHECKF(p->room % TP_ALIGN == 0 && p->room >= plan->acts_at && end <= plan->arena_bytes, "node %u", i);
            for (uint32_t j = 0; j < plan->n_nodes; j++) {
                const tp_plan_node *q = &plan->node[j];
                if (q->act_owner != j || q->act == TP_ACT_INPUT || q->act_from > i || q->act_to < i) { continue; }
                TP_CHECKF(end <= q->act || q->act + q->n_out * tp_dtype_bytes(q->dtype) <= p->room, "node %u in the output of %u", i, j);
            }
        }
        TP_CHECKF(training == 0 ? rooms < 3 : rooms == 3, "%u of 3 have scratch", rooms);
    }
    free(plan);
}

static tp_status tp_planned_status(const tp_graph *g, const tp_recipe *r) {
    tp_model m = tp_graph_model(g);
    tp_plan *plan = (tp_plan *)tp_alloc(tp_plan_bytes(g->n));
    tp_status status = tp_plan_make(&m, r, plan, tp_plan_bytes(g->n), NULL);
    free(plan);
    return status;
}

static void tp_int8_refusals(void) {
    tp_graph good, g;
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.05f), bad = tp_recipe_of("full", "momentum", 1, 0.05f);
    tp_graph_int8(&good);
    TP_CHECK_STATUS(tp_planned_status(&good, &r), TP_OK);
    TP_CHECK_STATUS(tp_planned_status(&good, &bad), TP_E_RECIPE);
    bad = r;
    bad.int8 = TP_INT8_NEAREST | TP_INT8_RESIDUAL;
    TP_CHECK_STATUS(tp_planned_status(&good, &bad), TP_E_RECIPE);
    bad.int8 = TP_INT8_NEAREST | TP_INT8_FRACTION;
    TP_CHECK_STATUS(tp_planned_status(&good, &bad), TP_E_RECIPE);
    bad.int8 = 16;
    TP_CHECK_STATUS(tp_planned_status(&good, &bad), TP_E_RECIPE);
#define TP_WRONG(change)                                       \
    g = good;                                                  \
    change;                                                    \
    TP_CHECKF(tp_planned_status(&g, &r) == TP_E_MODEL, "%s", #change)
    TP_WRONG(g.n--);                           /* int8 is no output */
    TP_WRONG(g.node[1].scale = 0.0f);
    TP_WRONG(g.node[1].scale = -1.0f);
    TP_WRONG(g.node[1].scale = INFINITY);
    TP_WRONG(g.node[1].scale = NAN);
    TP_WRONG(g.node[1].zero = 128);
    TP_WRONG(g.node[1].zero = -129);
    TP_WRONG(g.node[1].flags = TP_FLAG_NO_BIAS);
    TP_WRONG(g.node[1].groups = 2);
    TP_WRONG(g.node[2].param = -1.0f);
    TP_WRONG(g.node[2].param = NAN);
    TP_WRONG(g.node[2].scale = 0.5f);          /* not its input's */
    TP_WRONG(g.node[1].op = tp_list_id(TP_LIST_LAYER, "conv2d")); /* int8 into floats */
    TP_WRONG(g.node[0].op = tp_list_id(TP_LIST_LAYER, "relu"));
    TP_WRONG(g.node[6].scale = 1e-8f);         /* the sum would be scaled up */
    /* softmax in fixed point is for inference */
    tp_graph_one_layer(&g, 5, 4);
    g.n--;
    tp_graph_op(&g, "dequantize", tp_graph_s8(&g, "softmax_s8", 1, 1.0f / 256.0f, -128));
    TP_CHECK_STATUS(tp_planned_status(&g, NULL), TP_OK);
    TP_CHECK_STATUS(tp_planned_status(&g, &r), TP_E_MODEL);
    TP_WRONG((g = good, g.node[0].op = tp_list_id(TP_LIST_LAYER, "dense"), g.node[0].units = 4)); /* floats with a scale */
}

/* Scales and multipliers that nothing gives are not loaded, and not written. */
static void tp_insane_tensors(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.05f);
    tp_graph_one_layer(&g, 3, 2);
    TP_CHECK_STATUS(tp_open_int8(&v, &g, &r), TP_OK);
    float scale[2] = {0.1f, 0.0f};
    int32_t requant[4] = {1 << 30, 1 << 30, 0, -32};
    TP_CHECK_STATUS(tp_net_write(&v.net, 2, scale), TP_E_DATA);
    scale[1] = NAN;
    TP_CHECK_STATUS(tp_net_write(&v.net, 2, scale), TP_E_DATA);
    scale[1] = 0.2f;
    TP_CHECK_STATUS(tp_net_write(&v.net, 2, scale), TP_OK);
    TP_CHECK_STATUS(tp_net_write(&v.net, 3, requant), TP_E_DATA);
    requant[3] = 31;
    TP_CHECK_STATUS(tp_net_write(&v.net, 3, requant), TP_E_DATA);
    requant[3] = -31;
    TP_CHECK_STATUS(tp_net_write(&v.net, 3, requant), TP_OK);
    requant[1] = -1;
    TP_CHECK_STATUS(tp_net_write(&v.net, 3, requant), TP_E_DATA);
    TP_CHECK_STATUS(tp_net_write(&v.net, 4, requant), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_write(&v.net, 3, NULL), TP_E_ARG);
    tp_live_close(&v);
}

/* TFLite's QuantizeMultiplier. */
static void tp_fixed_points(void) {
    static const double real[] = {1.0, 0.5, 0.75, 0.0037, 123.456, 1e-9, 1e-12, 1e12, 0.99999999999, 4.656612873077393e-10};
    for (uint32_t i = 0; i < sizeof real / sizeof real[0]; i++) {
        int32_t m, s, exponent = 0;
        tp_fixed_point(real[i], &m, &s);
        double fraction = real[i];
        for (; fraction >= 1.0; fraction /= 2.0) { exponent++; }
        for (; fraction < 0.5; fraction *= 2.0) { exponent--; }
        int64_t q = (int64_t)tp_whole(fraction * 2147483648.0);
        if (q == (int64_t)1 << 31) { q /= 2, exponent++; }
        if (exponent < -31) { q = 0, exponent = 0; }
        if (exponent > 30) { q = 0x7fffffff, exponent = 30; }
        TP_CHECKF(m == q && s == exponent, "%g: %d, %d, expected %d, %d", real[i], m, s, (int32_t)q, exponent);
    }
}

int main(void) {
    TP_RUN(tp_fixed_points);
    TP_RUN(tp_update_is_the_formula);
    TP_RUN(tp_small_updates);
    TP_RUN(tp_fractions_follow);
    TP_RUN(tp_int8_learns);
    TP_RUN(tp_int8_input);
    TP_RUN(tp_clamps_fold);
    TP_RUN(tp_scratch_is_idle);
    TP_RUN(tp_int8_refusals);
    TP_RUN(tp_insane_tensors);
    return tp_end();
}
