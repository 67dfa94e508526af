/* SPDX-License-Identifier: Apache-2.0 */
/* One training step of a layer, bit for bit, against a straightforward transcription of docs/NUMERICS.md: input errors,
 * weight and bias updates of dense layers and convolutions, at batch 1 and above, with and without selection. */
#include "../../../csrc/tinyprop.c"

#include "../tp_reference.h"
#include "../tp_build.h"

enum { TP_LAYERS = 3, TP_ROOM = 4096, TP_SAMPLES = 3 };

/* Errors of every weight layer, as the trace shows them: before and after the selection. */
static float tp_delta_seen[TP_SAMPLES][TP_LAYERS][TP_ROOM], tp_kept_seen[TP_SAMPLES][TP_LAYERS][TP_ROOM];
static uint32_t tp_sample_seen;

static void tp_see(void *user, const tp_trace *event) {
    (void)user;
    if (event->delta != NULL) { memcpy(tp_delta_seen[tp_sample_seen][event->layer], event->delta, event->n_delta * 4u); }
    if (event->kept != NULL) { memcpy(tp_kept_seen[tp_sample_seen][event->layer], event->kept, event->n_delta * 4u); }
    if (event->kept != NULL && event->layer == 0) { tp_sample_seen++; }
}

/* A weight layer seen from outside: a dense layer is the convolution of a 1x1 map (except for its forward order). */
typedef struct tp_view {
    const tp_plan_node *p;
    tp_conv g;
    bool dense;
    uint32_t n_in, n_w;
    float *w, *b;        /* before the step */
    float *x[TP_SAMPLES]; /* inputs */
} tp_view;

static tp_view tp_view_of(const tp_live *v, const tp_plan_node *p) {
    tp_view l;
    memset(&l, 0, sizeof l);
    const char *op = tp_layer_find(p->node.op)->name;
    l.p = p;
    l.dense = strcmp(op, "dense") == 0;
    if (l.dense) {
        l.g = (tp_conv){1, 1, p->in.c, 1, 1, p->rows, 1, 1, 1, 1, 0, 0, 1};
    } else {
        uint32_t groups = strstr(op, "depthwise") != NULL ? p->in.c : p->node.groups > 0 ? p->node.groups : 1u;
        l.g = (tp_conv){p->in.h, p->in.w, p->in.c, p->out.h, p->out.w, p->out.c, p->node.kernel[0], p->node.kernel[1],
                        p->node.stride[0], p->node.stride[1], p->pad_top, p->pad_left, groups};
    }
    l.n_in = l.g.h * l.g.w * l.g.c_in;
    l.n_w = p->tensor[0].bytes / 4u;
    l.w = (float *)tp_alloc(p->tensor[0].bytes);
    memcpy(l.w, tp_tensor_f32(v->arena, &p->tensor[0]), p->tensor[0].bytes);
    if (p->n_tensors > 1) {
        l.b = (float *)tp_alloc(p->tensor[1].bytes);
        memcpy(l.b, tp_tensor_f32(v->arena, &p->tensor[1]), p->tensor[1].bytes);
    }
    for (uint32_t i = 0; i < TP_SAMPLES; i++) { l.x[i] = (float *)tp_alloc(l.n_in * 4u); }
    return l;
}

static void tp_view_free(tp_view *l) {
    free(l->w);
    free(l->b);
    for (uint32_t i = 0; i < TP_SAMPLES; i++) { free(l->x[i]); }
}

static void tp_view_forward(const tp_view *l, float *y, const float *x) {
    if (!l->dense) {
        tp_ref_conv_f32(&l->g, y, x, l->w, l->b);
        return;
    }
    for (uint32_t i = 0; i < l->g.c_out; i++) { /* P = 8 */
        float s[8] = {0};
        for (uint32_t r = 0; r < l->n_in; r++) { s[r % 8u] = tp_fma_soft(l->w[(size_t)i * l->n_in + r], x[r], s[r % 8u]); }
        for (uint32_t h = 4; h > 0; h /= 2) {
            for (uint32_t j = 0; j < h; j++) { s[j] += s[j + h]; }
        }
        y[i] = (l->b != NULL ? s[0] + l->b[i] : s[0]) + 0.0f;
    }
}

/* Weights and biases after the step, from the errors that were kept. */
static void tp_view_update(tp_view *l, uint32_t layer, uint32_t batch, float lr) {
    uint32_t k = l->n_w / l->g.c_out, positions = l->g.oh * l->g.ow;
    float *g = (float *)tp_alloc(k * 4u), rate = lr / (float)batch;
    for (uint32_t o = 0; o < l->g.c_out; o++) {
        bool touched = false;
        memset(g, 0, k * 4u);
        for (uint32_t i = 0; i < batch; i++) {
            const float *d = tp_kept_seen[i][layer];
            for (uint32_t p = 0; p < positions; p++) { touched = touched || d[(size_t)p * l->g.c_out + o] != 0.0f; }
            tp_ref_conv_dw_f32(&l->g, g, l->x[i], d, o);
        }
        float *w = l->w + (size_t)o * k;
        for (uint32_t t = 0; t < k && touched; t++) {
            if (l->dense && batch == 1) {
                w[t] = tp_fma_soft(-(lr * tp_kept_seen[0][layer][o]), l->x[0][t], w[t]);
            } else {
                w[t] = tp_fma_soft(-rate, g[t] + 0.0f, w[t]);
            }
        }
        float db = 0.0f; /* the bias takes the error before the selection */
        for (uint32_t i = 0; i < batch; i++) {
            for (uint32_t p = 0; p < positions; p++) { db += tp_delta_seen[i][layer][(size_t)p * l->g.c_out + o]; }
        }
        if (l->b != NULL) { l->b[o] = tp_fma_soft(-rate, db + 0.0f, l->b[o]); }
    }
    free(g);
}

/* Three weight layers without anything between them but a flatten. */
static void tp_order(const tp_graph *g, const char *policy, uint32_t batch, uint32_t select) {
    tp_recipe r = tp_recipe_of(policy, "sgd", batch, 0.37f);
    tp_live v;
    tp_view l[TP_LAYERS];
    float dx[TP_ROOM], y[TP_ROOM];
    uint32_t n = 0;
    r.policy_params.select = select;
    r.policy_params.s_min = 0.3f;
    r.policy_params.s_max = 0.6f;
    r.policy_params.output_dense = 0;
    TP_CHECK_STATUS(tp_live_open(&v, g, &r, NULL), TP_OK);
    tp_live_scramble(&v, 5);
    tp_data d = tp_data_make(v.plan, TP_SAMPLES, 21);
    for (uint32_t i = 0; i < v.plan->n_nodes; i++) {
        if (v.plan->node[i].layer != TP_NO_OFFSET) { l[n++] = tp_view_of(&v, &v.plan->node[i]); }
    }
    for (uint32_t i = 0; i < batch; i++) {
        memcpy(l[0].x[i], d.x + (size_t)i * d.n_in, d.n_in * 4u);
        tp_view_forward(&l[0], l[1].x[i], l[0].x[i]);
        tp_view_forward(&l[1], l[2].x[i], l[1].x[i]);
    }
    tp_view_forward(&l[2], y, l[2].x[batch - 1u]);
    v.net.trace = tp_see;
    tp_sample_seen = 0;
    tp_batch b = tp_data_batch(&d, 0, batch);
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
    TP_CHECK(tp_sample_seen == batch);
    const float *z = tp_arena_f32(v.arena, v.plan->node[v.plan->n_nodes - 1u].act);
    TP_CHECKF(memcmp(z, y, v.plan->n_out * 4u) == 0, "%s %u: outputs", policy, batch);
    for (uint32_t i = 0; i < batch; i++) {
        for (uint32_t j = 0; j + 1u < TP_LAYERS; j++) {
            tp_ref_conv_dx_f32(&l[j + 1u].g, dx, tp_kept_seen[i][j + 1u], l[j + 1u].w);
            TP_CHECKF(memcmp(dx, tp_delta_seen[i][j], l[j + 1u].n_in * 4u) == 0, "%s %u: input error of layer %u, sample %u", policy, batch, j + 1u, i);
        }
    }
    for (uint32_t j = 0; j < TP_LAYERS; j++) {
        tp_view_update(&l[j], j, batch, r.lr);
        TP_CHECKF(memcmp(l[j].w, tp_tensor_f32(v.arena, &l[j].p->tensor[0]), l[j].n_w * 4u) == 0, "%s %u: weights of layer %u", policy, batch, j);
        TP_CHECKF(l[j].b == NULL || memcmp(l[j].b, tp_tensor_f32(v.arena, &l[j].p->tensor[1]), l[j].g.c_out * 4u) == 0, "%s %u: bias of layer %u", policy, batch, j);
        tp_view_free(&l[j]);
    }
    tp_data_free(&d);
    tp_live_close(&v);
}

static void tp_order_all(const tp_graph *g) {
    static const char *const policy[3] = {"full", "dense", "tinyprop"};
    for (uint32_t i = 0; i < 6; i++) {
        tp_order(g, policy[i % 3u], i < 3 ? 1 : TP_SAMPLES, TP_SELECT_ELEMENT);
        tp_order(g, policy[i % 3u], i < 3 ? 1 : TP_SAMPLES, TP_SELECT_CHANNEL);
    }
}

static void tp_order_dense(void) {
    tp_graph g;
    tp_graph_begin(&g, tp_vector(29), "softmax_cross_entropy");
    tp_graph_dense(&g, tp_graph_dense(&g, tp_graph_dense(&g, TP_INPUT, 70), 19), 10);
    tp_order_all(&g);
    g.node[1].flags = TP_FLAG_NO_BIAS;
    tp_order_all(&g);
}

/* window, window, flatten, dense */
static void tp_order_windows(tp_shape input, const char *op, uint32_t units0, uint32_t units1, uint32_t kernel, uint32_t stride, uint32_t groups) {
    tp_graph g;
    bool flat = input.rank == 2;
    tp_graph_begin(&g, input, "softmax_cross_entropy");
    int32_t a = tp_graph_window(&g, op, TP_INPUT, units0, flat ? 1u : kernel, kernel, 1, TP_PAD_SAME);
    g.node[a].groups = groups;
    int32_t b = tp_graph_window(&g, op, a, units1, flat ? 1u : kernel, kernel, stride, TP_PAD_EXPLICIT);
    g.node[b].groups = groups;
    g.node[b].pad[flat ? 3 : 0] = kernel - 1u;
    tp_graph_dense(&g, tp_graph_op(&g, "flatten", b), 7);
    tp_order_all(&g);
}

static void tp_order_conv(void) {
    tp_order_windows(tp_image(6, 7, 2), "conv2d", 5, 9, 3, 2, 1);
    tp_order_windows(tp_image(3, 5, 3), "conv2d", 9, 13, 2, 1, 1);
    tp_order_windows(tp_image(5, 5, 9), "conv2d", 10, 4, 1, 1, 1);
}
static void tp_order_conv_groups(void) { tp_order_windows(tp_image(5, 6, 4), "conv2d", 6, 8, 3, 1, 2); }
static void tp_order_conv1d(void) { tp_order_windows(tp_series(20, 3), "conv1d", 6, 9, 5, 2, 1); }
static void tp_order_depthwise(void) {
    tp_order_windows(tp_image(5, 6, 11), "depthwise_conv2d", 11, 11, 3, 2, 0);
    tp_order_windows(tp_image(5, 4, 3), "depthwise_conv2d", 6, 12, 3, 1, 0);
}

/* --- shapes --- */

static void tp_shape_is(tp_graph *g, uint32_t h, uint32_t w, uint32_t c, uint32_t pad_top, uint32_t pad_left) {
    tp_live v;
    g->loss = tp_list_id(TP_LIST_LOSS, "mse");
    tp_status status = tp_live_open(&v, g, NULL, NULL);
    TP_CHECK_STATUS(status, TP_OK);
    if (status == TP_OK) {
        const tp_plan_node *p = &v.plan->node[v.plan->n_nodes - 1u];
        TP_CHECKF(p->out.h == h && p->out.w == w && p->out.c == c && p->pad_top == pad_top && p->pad_left == pad_left, "%s: %u x %u x %u, pad %u %u",
                  p->node.name, p->out.h, p->out.w, p->out.c, p->pad_top, p->pad_left);
    }
    tp_live_close(&v);
}

/* `same` as TensorFlow: ceil(in / stride) outputs, the odd pad at the end. */
static void tp_shapes(void) {
    static const struct {
        uint32_t in, kernel, stride;
        tp_padding padding;
        uint32_t out, lead;
    } row[] = {{8, 3, 1, TP_PAD_SAME, 8, 1}, {8, 3, 2, TP_PAD_SAME, 4, 0}, {7, 3, 2, TP_PAD_SAME, 4, 1}, {5, 4, 1, TP_PAD_SAME, 5, 1}, {5, 2, 3, TP_PAD_SAME, 2, 0},
               {1, 5, 1, TP_PAD_SAME, 1, 2}, {6, 1, 2, TP_PAD_SAME, 3, 0}, {8, 3, 1, TP_PAD_VALID, 6, 0}, {8, 3, 2, TP_PAD_VALID, 3, 0}, {3, 3, 2, TP_PAD_VALID, 1, 0}};
    for (uint32_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        tp_graph g;
        tp_graph_begin(&g, tp_image(row[i].in, row[i].in, 2), "mse");
        tp_graph_conv(&g, TP_INPUT, 3, row[i].kernel, row[i].stride, row[i].padding);
        tp_shape_is(&g, row[i].out, row[i].out, 3, row[i].lead, row[i].lead);
        tp_graph_begin(&g, tp_image(row[i].in, row[i].in, 2), "mse");
        tp_graph_window(&g, "max_pool2d", TP_INPUT, 0, row[i].kernel, row[i].kernel, row[i].stride, row[i].padding);
        tp_shape_is(&g, row[i].out, row[i].out, 2, row[i].lead, row[i].lead);
        tp_graph_begin(&g, tp_series(row[i].in, 2), "mse");
        tp_graph_window(&g, "conv1d", TP_INPUT, 4, 1, row[i].kernel, row[i].stride, row[i].padding);
        tp_shape_is(&g, 1, row[i].out, 4, 0, row[i].lead);
    }
}

/* relu'(0) = 0, relu6' = 1 on (0, 6), leaky' (0) = slope; the first maximum of a window takes the error. */
static void tp_kinks(void) {
    const tp_kernels *k = tp_kernels_best();
    float y[5] = {0.0f, 0x1p-149f, 5.999f, 6.0f, -1.0f}, d[5] = {1, 1, 1, 1, 1}, e[5] = {1, 1, 1, 1, 1}, f[5] = {1, 1, 1, 1, 1};
    TP_CALL(k, clamp_back_f32)(d, y, tp_f32_from_bits(0x7f800000u), 5);
    TP_CALL(k, clamp_back_f32)(e, y, 6.0f, 5);
    TP_CALL(k, leaky_back_f32)(f, y, 0.25f, 5);
    TP_CHECK(d[0] == 0.0f && d[1] == 1.0f && d[2] == 1.0f && d[3] == 1.0f && d[4] == 0.0f);
    TP_CHECK(e[0] == 0.0f && e[1] == 1.0f && e[2] == 1.0f && e[3] == 0.0f && e[4] == 0.0f);
    TP_CHECK(f[0] == 0.25f && f[1] == 1.0f && f[4] == 0.25f);
    tp_plan_node p;
    memset(&p, 0, sizeof p);
    p.in = tp_image(2, 2, 1);
    p.out = tp_image(1, 1, 1);
    p.node.kernel[0] = p.node.kernel[1] = p.node.stride[0] = p.node.stride[1] = 2;
    float tie[4] = {-1.0f, 3.0f, 3.0f, 3.0f};
    TP_CHECK(tp_pool_argmax(&p, tie, 0, 0) == 1u);
    tie[2] = tp_f32_from_bits(0x7fc00000u);
    TP_CHECK(tp_pool_argmax(&p, tie, 0, 0) == 2u);
}

int main(void) {
    TP_RUN(tp_order_dense);
    TP_RUN(tp_order_conv);
    TP_RUN(tp_order_conv_groups);
    TP_RUN(tp_order_conv1d);
    TP_RUN(tp_order_depthwise);
    TP_RUN(tp_shapes);
    TP_RUN(tp_kinks);
    return tp_end();
}
