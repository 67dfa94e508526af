/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, initial weights, tensors, probabilities, fine-tuning edits, lists and names. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

static void tp_open_refuses(void) {
    tp_graph g;
    tp_live v;
    tp_net net;
    tp_graph_mlp(&g, (const uint32_t[]){5, 4, 3, 0}, "softmax_cross_entropy");
    tp_recipe r = tp_recipe_default();
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    uint32_t bytes = v.plan->arena_bytes;
    uint8_t *arena = (uint8_t *)tp_alloc(bytes + TP_ALIGN);
    TP_CHECK_STATUS(tp_net_open(&net, v.plan, arena, bytes - 1u, NULL), TP_E_ARENA);
    TP_CHECK_STATUS(tp_net_open(&net, v.plan, arena + 4, bytes, NULL), TP_E_ARENA);
    TP_CHECK_STATUS(tp_net_open(&net, v.plan, NULL, bytes, NULL), TP_E_ARENA);
    TP_CHECK_STATUS(tp_net_open(&net, NULL, arena, bytes, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_open(NULL, v.plan, arena, bytes, NULL), TP_E_ARG);
    memset(arena, 0x5a, bytes);
    TP_CHECK_STATUS(tp_net_open(&net, v.plan, arena, bytes, tp_kernels_named("soft")), TP_OK);
    bool same = true; /* what is in the arena stays: weights may already be there */
    for (uint32_t i = 0; i < bytes; i++) { same = same && (arena[i] == 0x5a || (i >= v.plan->grad_at && i < v.plan->grad_at + v.plan->grad_bytes)); }
    TP_CHECK(same && strcmp(tp_kernels_name(net.kernels), "soft") == 0);
    v.plan->source ^= 1u;
    TP_CHECK_STATUS(tp_net_open(&net, v.plan, arena, bytes, NULL), TP_E_VERSION);
    tp_net closed;
    memset(&closed, 0, sizeof closed);
    const float *y;
    float x[5] = {0};
    tp_batch b = {x, NULL, NULL, 1};
    TP_CHECK_STATUS(tp_net_init(&closed), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_forward(&closed, x, &y), TP_E_ARG);
    TP_CHECK_STATUS(tp_train_step(&closed, &b, NULL), TP_E_ARG);
    free(arena);
    tp_live_close(&v);
}

/* Bounds of He and Glorot, zero biases, neutral normalisation; the seed decides, and nothing else. */
static void tp_initial_weights(void) {
    tp_graph g;
    tp_live a, b, c;
    tp_recipe r = tp_recipe_default();
    tp_graph_begin(&g, tp_image(5, 5, 4), "softmax_cross_entropy");
    int32_t conv = tp_graph_conv(&g, TP_INPUT, 8, 3, 1, TP_PAD_SAME);
    g.node[conv].groups = 2;
    g.node[conv].init = TP_INIT_GLOROT_UNIFORM;
    tp_graph_dense(&g, tp_graph_op(&g, "flatten", tp_graph_param(&g, "batch_norm", conv, 1e-3f)), 10);
    TP_CHECK_STATUS(tp_live_open(&a, &g, &r, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&b, &g, &r, tp_kernels_named("soft")), TP_OK);
    r.seed = 2;
    TP_CHECK_STATUS(tp_live_open(&c, &g, &r, NULL), TP_OK);
    TP_CHECK(tp_live_same_params(&a, &b) && !tp_live_same_params(&a, &c));
    const float limit[2] = {tp_port_sqrt(6.0f / (2.0f * 9.0f + 8.0f * 9.0f / 2.0f)), tp_port_sqrt(6.0f / 200.0f)};
    for (uint32_t i = 0; i < 2; i++) {
        const tp_plan_node *p = &a.plan->node[i == 0 ? 0 : 3];
        const float *w = tp_tensor_f32(a.arena, &p->tensor[0]), *bias = tp_tensor_f32(a.arena, &p->tensor[1]);
        float largest = 0.0f, mean = 0.0f;
        uint32_t n = p->tensor[0].bytes / 4u;
        for (uint32_t j = 0; j < n; j++) {
            largest = tp_abs(w[j]) > largest ? tp_abs(w[j]) : largest;
            mean += w[j] / (float)n;
        }
        TP_CHECKF(largest <= limit[i] && largest > 0.9f * limit[i] && tp_abs(mean) < 0.2f * limit[i], "tensor %u: largest %f of %f, mean %f", i,
                  (double)largest, (double)limit[i], (double)mean);
        for (uint32_t j = 0; j < p->rows; j++) { TP_CHECK(bias[j] == 0.0f); }
    }
    const tp_plan_node *norm = &a.plan->node[1];
    static const float neutral[4] = {1.0f, 0.0f, 0.0f, 1.0f};
    for (uint32_t t = 0; t < 4; t++) {
        for (uint32_t j = 0; j < 8; j++) { TP_CHECK(tp_tensor_f32(a.arena, &norm->tensor[t])[j] == neutral[t]); }
    }
    tp_live_close(&a);
    tp_live_close(&b);
    tp_live_close(&c);
}

static void tp_tensors_and_views(void) {
    static const char *const wanted[6] = {"conv2d_0.weight", "conv2d_0.bias", "batch_norm_1.gamma", "batch_norm_1.beta", "batch_norm_1.mean", "batch_norm_1.variance"};
    tp_graph g;
    tp_live v;
    tp_tensor t;
    char name[TP_NAME_BYTES + 16];
    void *data;
    tp_progress progress = {0, 0, 0, 0};
    tp_graph_begin(&g, tp_image(3, 3, 2), "softmax_cross_entropy");
    tp_graph_param(&g, "batch_norm", tp_graph_conv(&g, TP_INPUT, 4, 3, 1, TP_PAD_VALID), 1e-3f);
    TP_CHECK_STATUS(tp_live_open(&v, &g, NULL, NULL), TP_OK);
    for (uint32_t i = 0; i < 6; i++) {
        TP_CHECK_STATUS(tp_net_tensor(&v.net, i, &t, name, &data), TP_OK);
        TP_CHECKF(strcmp(name, wanted[i]) == 0, "%s", name);
        TP_CHECK(t.dtype == TP_F32 && t.offset % TP_ALIGN == 0 && (uint8_t *)data == v.arena + t.offset);
    }
    TP_CHECK_STATUS(tp_net_tensor(&v.net, 6, &t, name, &data), TP_E_ARG);
    TP_CHECK(tp_net_tensor(&v.net, 0, &t, NULL, NULL) == TP_OK && t.rank == 4 && t.dim[0] == 4 && t.dim[1] == 3 && t.dim[2] == 3 && t.dim[3] == 2 && t.bytes == 288);
    TP_CHECK(tp_net_lr(&v.net) == 0.0f);
    TP_CHECK_STATUS(tp_net_reset_state(&v.net), TP_E_MODE);
    TP_CHECK_STATUS(tp_net_epoch_begin(&v.net), TP_E_MODE);
    TP_CHECK_STATUS(tp_net_epoch_end(&v.net), TP_E_MODE);
    TP_CHECK_STATUS(tp_net_progress(&v.net, &progress), TP_E_MODE);
    tp_live_close(&v);
}

static void tp_outputs(void) {
    static const char *const loss[3] = {"softmax_cross_entropy", "bce", "mse"};
    for (uint32_t i = 0; i < 3; i++) {
        tp_graph g;
        tp_live v;
        tp_graph_mlp(&g, (const uint32_t[]){5, 4, 3, 0}, loss[i]);
        TP_CHECK_STATUS(tp_live_open(&v, &g, NULL, NULL), TP_OK);
        float x[5] = {1, -2, 3, 0.5f, 0}, p[3], sum = 0.0f;
        const float *y = NULL;
        TP_CHECK_STATUS(tp_net_forward(&v.net, x, &y), TP_OK);
        TP_CHECK_STATUS(tp_net_probabilities(&v.net, y, p), TP_OK);
        for (uint32_t j = 0; j < 3; j++) {
            sum += p[j];
            TP_CHECK(i == 2 ? p[j] == y[j] : p[j] > 0.0f && p[j] < 1.0f);
        }
        TP_CHECK(i != 0 || tp_abs(sum - 1.0f) < 1e-6f);
        x[3] = tp_f32_from_bits(0x7f800000u);
        TP_CHECK_STATUS(tp_net_forward(&v.net, x, &y), TP_E_DATA);
        TP_CHECK_STATUS(tp_net_forward(&v.net, NULL, &y), TP_E_ARG);
        tp_live_close(&v);
    }
}

static void tp_fine_tuning_edits(void) {
    tp_graph g;
    tp_graph_begin(&g, tp_image(5, 5, 2), "softmax_cross_entropy");
    int32_t a = tp_graph_param(&g, "batch_norm", tp_graph_conv(&g, TP_INPUT, 4, 3, 1, TP_PAD_SAME), 1e-3f);
    int32_t b = tp_graph_op(&g, "relu", tp_graph_conv(&g, a, 4, 3, 1, TP_PAD_SAME));
    tp_graph_op(&g, "relu", tp_graph_dense(&g, tp_graph_op(&g, "flatten", b), 10));
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "conv2d_0"), TP_OK);
    TP_CHECK(g.node[0].flags == TP_FLAG_FROZEN && g.node[2].flags == 0);
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "batch_norm_1"), TP_OK);
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "relu_3"), TP_E_MODEL);
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "nobody"), TP_E_ARG);
    g.node[0].flags = g.node[1].flags = 0;
    TP_CHECK_STATUS(tp_model_freeze_all_but_last(g.node, g.n, 0), TP_E_ARG);
    TP_CHECK_STATUS(tp_model_freeze_all_but_last(g.node, g.n, 4), TP_E_ARG);
    TP_CHECK_STATUS(tp_model_freeze_all_but_last(g.node, g.n, 2), TP_OK);
    TP_CHECK(g.node[0].flags == TP_FLAG_FROZEN && g.node[1].flags == TP_FLAG_FROZEN && g.node[2].flags == 0 && g.node[5].flags == 0);
    TP_CHECK_STATUS(tp_model_freeze_all_but_last(g.node, g.n, 1), TP_OK);
    TP_CHECK(g.node[2].flags == TP_FLAG_FROZEN && g.node[5].flags == 0);
    g.node[5].flags = TP_FLAG_FROZEN;
    TP_CHECK_STATUS(tp_model_replace_head(g.node, g.n, 0), TP_E_ARG);
    TP_CHECK_STATUS(tp_model_replace_head(g.node, g.n, 7), TP_OK);
    TP_CHECK(g.node[5].units == 7 && g.node[5].flags == 0);
    TP_CHECK_STATUS(tp_model_replace_head(&g.node[3], 1, 7), TP_E_MODEL);
}

static void tp_lists_are_sound(void) {
    for (uint32_t list = 0; list < TP_LIST_COUNT; list++) {
        const char *name;
        int32_t id = 0;
        uint32_t i = 0;
        for (; (name = tp_list_name((tp_list)list, i, &id)) != NULL; i++) {
            TP_CHECK(name[0] != 0);
            if (list <= TP_LIST_OPTIMIZER) { TP_CHECKF(id > 0 && tp_list_id((tp_list)list, name) == (uint32_t)id, "%s", name); }
            for (uint32_t j = 0; j < i; j++) { /* wire ids and names are unique */
                int32_t other = 0;
                const char *earlier = tp_list_name((tp_list)list, j, &other);
                TP_CHECKF(strcmp(earlier, name) != 0 && (list > TP_LIST_OPTIMIZER || other != id), "%s", name);
            }
            if (list == TP_LIST_STATUS) { TP_CHECKF(strcmp(tp_status_name(id), name) == 0 && id == -(int32_t)i, "%s", name); }
        }
        TP_CHECK(i > 0);
    }
    TP_CHECK(tp_list_name(TP_LIST_COUNT, 0, NULL) == NULL && tp_list_id(TP_LIST_LAYER, "nothing") == 0 && tp_list_id(TP_LIST_LAYER, NULL) == 0);
    TP_CHECK(strcmp(tp_status_name(-99), "TP_E_?") == 0 && strcmp(tp_status_name(TP_OK), "TP_OK") == 0);
    TP_CHECK(tp_kernels_named("nothing") == NULL && tp_kernels_named(NULL) == NULL && tp_kernels_named("soft") != NULL);
    TP_CHECK(strcmp(tp_version(), "0.1.0") == 0 && tp_source_id()[0] != 0);
    /* wire ids never change */
    TP_CHECK(tp_list_id(TP_LIST_LAYER, "dense") == 1 && tp_list_id(TP_LIST_LAYER, "dropout") == 16 && tp_list_id(TP_LIST_POLICY, "tinypropv2") == 5);
    TP_CHECK(tp_list_id(TP_LIST_LOSS, "mse") == 3 && tp_list_id(TP_LIST_OPTIMIZER, "momentum") == 2);
}

int main(void) {
    TP_RUN(tp_open_refuses);
    TP_RUN(tp_initial_weights);
    TP_RUN(tp_tensors_and_views);
    TP_RUN(tp_outputs);
    TP_RUN(tp_fine_tuning_edits);
    TP_RUN(tp_lists_are_sound);
    return tp_end();
}
