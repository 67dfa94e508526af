/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that fail: what is reported, and that nothing that must stay has moved. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

#define TP_NAN tp_f32_from_bits(0x7fc00000u)
#define TP_INF tp_f32_from_bits(0x7f800000u)

/* Runs a step that must fail; true: parameters and training state are as before, and the gradient buffer is empty. */
static bool tp_fails_cleanly(tp_live *v, const tp_batch *b, tp_status wanted) {
    uint32_t bytes = tp_live_kept_bytes(v);
    uint8_t *before = (uint8_t *)tp_alloc(bytes);
    memcpy(before, v->arena, bytes);
    TP_CHECK_STATUS(tp_live_step(v, b), wanted);
    bool same = memcmp(before, v->arena, bytes) == 0;
    for (uint32_t i = 0; i < v->plan->grad_bytes; i++) { same = same && v->arena[v->plan->grad_at + i] == 0; }
    free(before);
    return same;
}

/* Bad data and labels: refused before anything at all is written. */
static void tp_data_refused(void) {
    static const char *const loss[3] = {"softmax_cross_entropy", "bce", "mse"};
    for (uint32_t i = 0; i < 3; i++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_recipe_of("tinypropv2", "momentum", 4, 0.1f);
        tp_graph_mlp(&g, (const uint32_t[]){5, 6, 3, 0}, loss[i]);
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 4, 5);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 2, 4), TP_OK);
        uint64_t hash = tp_hash(0, v.arena, v.plan->arena_bytes);
        tp_batch b = tp_data_batch(&d, 0, 4);
        float spare = d.x[17], target = d.target[11];
        uint32_t label = d.label[3];
#define TP_BAD(change, status)                                                  \
        change;                                                                 \
        TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), (status));          \
        TP_CHECK_STATUS(tp_eval_step(&v.net, &b, NULL, v.stats), (status));     \
        d.x[17] = spare;                                                        \
        d.target[11] = target;                                                  \
        d.label[3] = label;                                                     \
        b = tp_data_batch(&d, 0, 4)
        TP_BAD(d.x[17] = TP_NAN, TP_E_DATA);
        TP_BAD(d.x[17] = -TP_INF, TP_E_DATA);
        TP_BAD(b.x = NULL, TP_E_ARG);
        if (i == 0) {
            TP_BAD(d.label[3] = 3, TP_E_LABEL);
            TP_BAD(d.label[3] = 0xffffffffu, TP_E_LABEL);
            TP_BAD(b.label = NULL, TP_E_ARG);
        } else {
            TP_BAD(d.target[11] = TP_INF, TP_E_DATA);
            TP_BAD(b.target = NULL, TP_E_ARG);
        }
        if (i == 1) {
            TP_BAD(d.target[11] = 1.0001f, TP_E_LABEL);
            TP_BAD(d.target[11] = -0.0001f, TP_E_LABEL);
        }
#undef TP_BAD
        TP_CHECK_STATUS(tp_train_step(&v.net, NULL, NULL), TP_E_ARG);
        TP_CHECK(hash == tp_hash(0, v.arena, v.plan->arena_bytes));
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

/* A loss that overflows, of every kind, at batch 1: not one bit of parameters and state. */
static void tp_loss_diverges(void) {
    static const char *const loss[3] = {"softmax_cross_entropy", "bce", "mse"};
    const char *policy;
    for (uint32_t i = 0; i < 6; i++) {
        for (uint32_t j = 0; (policy = tp_list_name(TP_LIST_POLICY, j, NULL)) != NULL; j++) {
            tp_graph g;
            tp_live v;
            tp_recipe r = tp_recipe_of(policy, i < 3 ? "sgd" : "momentum", 1, 0.1f);
            r.policy_params.rate = 1.0f; /* look at every sample */
            tp_graph_mlp(&g, (const uint32_t[]){5, 6, 3, 0}, loss[i % 3u]);
            TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
            tp_data d = tp_data_make(v.plan, 4, 5);
            TP_CHECK_STATUS(tp_live_train(&v, &d, 3, 1), TP_OK);
            float *w = tp_tensor_f32(v.arena, &v.plan->node[2].tensor[0]), *hidden = tp_tensor_f32(v.arena, &v.plan->node[0].tensor[1]);
            for (uint32_t n = 0; n < 6; n++) { hidden[n] = 10.0f; }
            w[0] = i % 3u == 1 ? 3e38f : -3e38f; /* one logit is -inf (BCE: +inf) */
            w[6] = 3e38f;
            tp_batch b = tp_data_batch(&d, 0, 1);
            TP_CHECKF(tp_fails_cleanly(&v, &b, TP_E_LOSS), "%s %s: something moved", loss[i % 3u], policy);
            tp_data_free(&d);
            tp_live_close(&v);
        }
    }
}

/* In a batch: the third sample's loss overflows. No weight, no optimizer state, no counter; the net goes on as if the
 * batch had never been. */
static void tp_loss_diverges_in_a_batch(void) {
    for (uint32_t i = 0; i < 2; i++) {
        tp_graph g;
        tp_live v;
        tp_progress progress = {0, 0, 0, 0};
        tp_recipe r = tp_recipe_of("full", i == 0 ? "sgd" : "momentum", 4, 0.1f);
        tp_graph_mlp(&g, (const uint32_t[]){5, 6, 3, 0}, "mse");
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 8, 5);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 2, 4), TP_OK);
        d.x[5 * 2] = 3e38f;
        tp_batch b = tp_data_batch(&d, 0, 4);
        TP_CHECK(tp_fails_cleanly(&v, &b, TP_E_LOSS));
        TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.batches == 2 && progress.samples == 8 && progress.updates == 2);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

/* dense 4 (zero) -> dense 4 (huge) -> dense 3: the forward pass is tame, the error of the first layer overflows. */
static void tp_steep(tp_live *v, uint32_t batch, bool norm) {
    tp_graph g;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", batch, 0.1f);
    tp_graph_begin(&g, tp_vector(5), "softmax_cross_entropy");
    int32_t at = tp_graph_dense(&g, TP_INPUT, 4);
    if (norm) { at = tp_graph_param(&g, "batch_norm", at, 1e-3f); }
    tp_graph_dense(&g, tp_graph_dense(&g, at, 4), 3);
    TP_CHECK_STATUS(tp_live_open(v, &g, &r, NULL), TP_OK);
    uint32_t steep = norm ? 2 : 1;
    memset(tp_tensor_f32(v->arena, &v->plan->node[0].tensor[0]), 0, v->plan->node[0].tensor[0].bytes);
    float *w = tp_tensor_f32(v->arena, &v->plan->node[steep].tensor[0]), *top = tp_tensor_f32(v->arena, &v->plan->node[steep + 1u].tensor[0]);
    for (uint32_t i = 0; i < 16; i++) { w[i] = 3e38f; }
    for (uint32_t i = 0; i < 12; i++) { top[i] = i < 4 ? -8.0f : 8.0f; }
}

static uint64_t tp_hash_node(const tp_live *v, uint32_t i) {
    const tp_plan_node *p = &v->plan->node[i];
    uint64_t hash = 0;
    for (uint32_t t = 0; t < p->n_tensors; t++) { hash = tp_hash(hash, v->arena + p->tensor[t].offset, p->tensor[t].bytes); }
    return p->policy == TP_NO_OFFSET ? hash : tp_hash(hash, v->arena + p->policy, 4);
}

/* A layer's error overflows: that layer and those below stay, those above keep their update, the node is named. */
static void tp_delta_diverges(void) {
    for (uint32_t norm = 0; norm < 2; norm++) {
        tp_live v;
        tp_progress progress = {0, 0, 0, 0};
        uint64_t before[4], same;
        tp_steep(&v, 1, norm != 0);
        tp_data d = tp_data_make(v.plan, 2, 5);
        d.label[0] = 0;
        for (uint32_t i = 0; i < v.plan->n_nodes; i++) { before[i] = tp_hash_node(&v, i); }
        tp_batch b = tp_data_batch(&d, 0, 1);
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_E_DELTA);
        TP_CHECKF(v.net.error_node == norm, "node %u", v.net.error_node);
        for (uint32_t i = 0; i < v.plan->n_nodes; i++) {
            same = tp_hash_node(&v, i) == before[i];
            TP_CHECKF(same == (i <= norm), "node %u of %u", i, v.plan->n_nodes);
        }
        TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.samples == 1 && progress.batches == 1 && progress.updates == 1);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

static void tp_delta_diverges_in_a_batch(void) {
    tp_live v;
    tp_progress progress = {0, 0, 0, 0};
    tp_steep(&v, 2, false);
    tp_data d = tp_data_make(v.plan, 2, 5);
    d.label[0] = d.label[1] = 0;
    uint64_t hash = tp_hash(0, v.arena + v.plan->params_at, v.plan->params_bytes);
    tp_batch b = tp_data_batch(&d, 0, 2);
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_E_DELTA);
    TP_CHECK(v.net.error_node == 0 && hash == tp_hash(0, v.arena + v.plan->params_at, v.plan->params_bytes));
    for (uint32_t i = 0; i < v.plan->grad_bytes; i++) { TP_CHECK(v.arena[v.plan->grad_at + i] == 0); }
    TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.samples == 0 && progress.batches == 0);
    float *w = tp_tensor_f32(v.arena, &v.plan->node[1].tensor[0]); /* repaired, it trains again */
    for (uint32_t i = 0; i < 16; i++) { w[i] = 0.1f; }
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
    TP_CHECK(v.net.error_node == v.plan->n_nodes && hash != tp_hash(0, v.arena + v.plan->params_at, v.plan->params_bytes));
    tp_data_free(&d);
    tp_live_close(&v);
}

/* An activation overflows, but what sees it is clamped and has no error: under every policy that keeps all, on every
 * instruction set, the same finite weights. (Zero times infinity is NaN: rows of zero error are left out, by definition.) */
static uint64_t tp_overflow_run(const char *op, const char *policy, const tp_kernels *k) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of(policy, "sgd", 1, 0.01f);
    bool dense = strcmp(op, "dense") == 0;
    tp_graph_begin(&g, dense ? tp_vector(16) : tp_image(12, 12, 8), "softmax_cross_entropy");
    int32_t a, b;
    if (dense) {
        a = tp_graph_dense(&g, TP_INPUT, 16);
        b = tp_graph_dense(&g, a, 8);
    } else {
        a = tp_graph_window(&g, "depthwise_conv2d", TP_INPUT, 8, 1, 1, 1, TP_PAD_VALID);
        b = tp_graph_window(&g, op, a, 8, 2, 2, 1, TP_PAD_VALID);
    }
    b = tp_graph_op(&g, "relu6", b);
    tp_graph_dense(&g, dense ? b : tp_graph_op(&g, "flatten", b), 3);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, k), TP_OK);
    tp_data d = tp_data_make(v.plan, 1, 3);
    float *w = tp_tensor_f32(v.arena, &v.plan->node[a].tensor[0]), *next = tp_tensor_f32(v.arena, &v.plan->node[1].tensor[0]);
    for (uint32_t i = 0; i < v.plan->node[1].tensor[0].bytes / 4u; i++) { next[i] = 0.1f + tp_abs(next[i]); }
    for (uint32_t i = 0; i < d.n_in; i++) { d.x[i] = dense ? 0.001f : 1e-39f * tp_abs(d.x[i]); }
    if (dense) {
        for (uint32_t i = 0; i < 16; i++) { w[3u * 16u + i] = 3e38f; } /* 16 x .001 x 3e38 is finite; scaled up it is not */
        d.x[0] = 1000.0f;
        for (uint32_t i = 0; i < 16; i++) { w[i * 16u] = i == 3 ? w[i * 16u] : 1e-4f; }
        next[3] = -next[3]; /* -inf: relu6 gives 0; the others are +inf: 6 */
    } else {
        for (uint32_t i = 0; i < 8; i++) { w[i] = i == 3 ? 3e38f : 1.0f; }
        d.x[50u * 8u + 3u] = 1000.0f;
    }
    tp_batch batch = tp_data_batch(&d, 0, 1);
    TP_CHECK_STATUS(tp_live_step(&v, &batch), TP_OK);
    TP_CHECKF(TP_CALL(v.net.kernels, finite_f32)((const float *)(const void *)(v.arena + v.plan->params_at), v.plan->params_bytes / 4u), "%s %s %s: weights are not finite", op, policy, k->name);
    const float *inner = tp_arena_f32(v.arena, v.plan->node[a].act);
    TP_CHECKF(!TP_CALL(v.net.kernels, finite_f32)(inner, v.plan->node[a].n_out), "%s: nothing overflows here", op);
    uint64_t hash = tp_hash(0, v.arena, v.plan->params_bytes);
    tp_data_free(&d);
    tp_live_close(&v);
    return hash;
}

static void tp_overflow_behind_a_clamp(void) {
    static const char *const op[3] = {"dense", "conv2d", "depthwise_conv2d"}, *const policy[2] = {"full", "dense"};
    const tp_kernels *k;
    bool usable = false;
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t want = tp_overflow_run(op[i], "full", tp_kernels_named("soft"));
        for (uint32_t j = 0; (k = tp_kernels_row(j / 2u, &usable)) != NULL; j++) {
            if (usable) { TP_CHECKF(tp_overflow_run(op[i], policy[j % 2u], k) == want, "%s %s %s: other bits", op[i], policy[j % 2u], k->name); }
        }
    }
}

int main(void) {
    TP_RUN(tp_data_refused);
    TP_RUN(tp_loss_diverges);
    TP_RUN(tp_loss_diverges_in_a_batch);
    TP_RUN(tp_delta_diverges);
    TP_RUN(tp_delta_diverges_in_a_batch);
    TP_RUN(tp_overflow_behind_a_clamp);
    return tp_end();
}
