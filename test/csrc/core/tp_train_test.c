/* SPDX-License-Identifier: Apache-2.0 */
/* Training steps: sparse equals dense when everything is kept, skipped samples and batches, counters and records. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

static void tp_graph_of(tp_graph *g, uint32_t which) {
    if (which == 0) {
        tp_graph_mlp(g, (const uint32_t[]){11, 16, 9, 5, 0}, "softmax_cross_entropy");
    } else if (which == 1) {
        tp_graph_cnn(g, "softmax_cross_entropy");
    } else {
        tp_graph_mlp(g, (const uint32_t[]){6, 12, 6, 0}, which == 2 ? "bce" : "mse");
    }
}

/* Keeps everything under every policy. */
static tp_recipe tp_keep_all(const char *policy, const char *optimizer, uint32_t batch, uint32_t select) {
    tp_recipe r = tp_recipe_of(policy, optimizer, batch, 0.05f);
    r.policy_params.s_min = r.policy_params.s_max = 1.0f;
    r.policy_params.select = select;
    r.policy_params.tau = -1.0f; /* theta < 0: trains every sample */
    r.policy_params.beta = 1e-9f; /* the power of any rank is 1 */
    r.policy_params.rate = 1.0f;
    return r;
}

/* Bytes of parameters and of the optimizer's state, without the policy's words. */
static uint64_t tp_hash_learnt(const tp_live *v) {
    uint64_t hash = tp_hash(0, v->arena + v->plan->params_at, v->plan->params_bytes);
    for (uint32_t i = 0; i < v->plan->n_nodes; i++) {
        const tp_plan_node *p = &v->plan->node[i];
        if (p->optim == TP_NO_OFFSET) { continue; }
        uint32_t bias = p->layer != TP_NO_OFFSET && p->n_tensors > 1 ? p->rows : 0u;
        hash = tp_hash(hash, v->arena + p->optim, 4u * (p->rows + 1u + p->rows * p->row_len + bias));
    }
    return hash;
}

static uint64_t tp_learnt_with(uint32_t graph, const tp_recipe *r, uint32_t steps) {
    tp_graph g;
    tp_live v;
    tp_graph_of(&g, graph);
    TP_CHECK_STATUS(tp_live_open(&v, &g, r, NULL), TP_OK);
    tp_live_scramble(&v, 4);
    tp_data d = tp_data_make(v.plan, 16, 6);
    TP_CHECK_STATUS(tp_live_train(&v, &d, steps, r->batch), TP_OK);
    uint64_t hash = tp_hash_learnt(&v);
    tp_data_free(&d);
    tp_live_close(&v);
    return hash;
}

static void tp_sparse_is_dense(void) {
    static const char *const optimizer[2] = {"sgd", "momentum"};
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t graph = i % 4u, batch = i / 4u % 2u == 0 ? 1u : 4u, select = i / 16u;
        const char *o = optimizer[i / 8u % 2u], *policy;
        tp_recipe full = tp_keep_all("full", o, batch, select);
        full.weight_decay = i % 3u == 0 ? 0.01f : 0.0f;
        uint64_t hash = tp_learnt_with(graph, &full, 12);
        for (uint32_t j = 0; (policy = tp_list_name(TP_LIST_POLICY, j, NULL)) != NULL; j++) {
            tp_recipe r = tp_keep_all(policy, o, batch, select);
            r.weight_decay = full.weight_decay;
            TP_CHECKF(tp_learnt_with(graph, &r, 12) == hash, "graph %u %s batch %u select %u: %s is not full", graph, o, batch, select, policy);
        }
        TP_CHECKF(tp_learnt_with(graph, &full, 11) != hash, "graph %u learns nothing", graph);
    }
}

/* A layer without any error takes no update, its bias neither, under every policy: lazy momentum must not move it. */
static void tp_silent_layer_stays(void) {
    const char *policy;
    for (uint32_t j = 0; (policy = tp_list_name(TP_LIST_POLICY, j, NULL)) != NULL; j++) {
        for (uint32_t batch = 1; batch <= 2; batch++) {
            tp_graph g;
            tp_live v;
            tp_recipe r = tp_keep_all(policy, "momentum", batch, TP_SELECT_ELEMENT);
            tp_graph_of(&g, 0);
            TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
            tp_data d = tp_data_make(v.plan, 8, 6);
            TP_CHECK_STATUS(tp_live_train(&v, &d, 3, batch), TP_OK);
            const tp_tensor *t = v.plan->node[0].tensor; /* every unit of the first layer dies */
            float *bias = tp_tensor_f32(v.arena, &t[1]);
            for (uint32_t i = 0; i < 16; i++) { bias[i] = -100.0f; }
            uint64_t hash = tp_hash(0, v.arena + t[0].offset, t[0].bytes + t[1].bytes);
            TP_CHECK_STATUS(tp_live_train(&v, &d, 3, batch), TP_OK);
            TP_CHECKF(tp_hash(0, v.arena + t[0].offset, t[0].bytes + t[1].bytes) == hash, "%s batch %u", policy, batch);
            tp_data_free(&d);
            tp_live_close(&v);
        }
    }
}

/* A decision that never trains: alpha_max fixed and far away. */
static tp_recipe tp_never(const char *optimizer, uint32_t batch) {
    tp_recipe r = tp_recipe_of("tinypropv2", optimizer, batch, 0.1f);
    r.policy_params.alpha_mode = TP_MAX_FIXED;
    r.policy_params.alpha_fixed = 1e20f;
    return r;
}

static void tp_skipped_changes_nothing(void) {
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t batch = i < 2 ? 1u : 3u;
        tp_graph g;
        tp_live v;
        tp_progress progress = {0};
        tp_recipe r = tp_never(i % 2u == 0 ? "sgd" : "momentum", batch);
        tp_graph_of(&g, 1);
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 12, 6);
        uint64_t hash = tp_hash_learnt(&v);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 5, batch), TP_OK);
        tp_totals totals;
        memset(&totals, 0, sizeof totals);
        tp_totals_add(&totals, v.plan, v.stats); /* the share of the effort is of every sample seen */
        TP_CHECK(totals.macs_dense_backward == batch * v.plan->macs_backward && totals.trained == 0 && totals.samples == batch);
        TP_CHECK(tp_hash_learnt(&v) == hash && v.stats->trained == 0 && v.stats->samples == batch);
        TP_CHECK(v.stats->macs_dw == 0 && v.stats->macs_dx == 0 && v.stats->selected == 0 && v.stats->macs_forward == batch * v.plan->macs_forward);
        TP_CHECK_STATUS(tp_net_progress(&v.net, &progress), TP_OK);
        TP_CHECK(progress.samples == 5 * batch && progress.batches == 5 && progress.updates == 0); /* batches count, optimizer steps do not */
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

/* Some samples of a batch skipped: as if they were zeros; the gradient is divided by the nominal batch. */
static void tp_skipped_count_as_zeros(void) {
    tp_graph g;
    tp_live v, w;
    tp_graph_of(&g, 0);
    tp_recipe r = tp_recipe_of("tinypropv2", "sgd", 4, 0.5f), full = tp_recipe_of("full", "sgd", 4, 0.5f);
    r.policy_params.s_min = r.policy_params.s_max = 1.0f;
    r.policy_params.tau = 0.8f;
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &full, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 64, 3);
    uint32_t mixed = 0;
    for (uint32_t i = 0; i < 16; i++) {
        tp_batch b = tp_data_batch(&d, 4u * i, 4);
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
        uint32_t trained = v.stats->trained, n = 0;
        mixed += trained > 0 && trained < 4 ? 1u : 0u;
        float x[4 * 11];
        uint32_t label[4];
        for (uint32_t j = 0; j < 4; j++) { /* only those that were trained, as a short batch */
            tp_batch one = tp_data_batch(&d, 4u * i + j, 1);
            TP_CHECK_STATUS(tp_eval_step(&w.net, &one, NULL, w.stats), TP_OK);
            const float *z;
            float p[5];
            TP_CHECK_STATUS(tp_net_forward(&w.net, one.x, &z), TP_OK);
            TP_CHECK_STATUS(tp_net_probabilities(&w.net, z, p), TP_OK);
            p[d.label[4u * i + j]] -= 1.0f;
            if (!(TP_CALL(w.net.kernels, asum_f32)(p, 5) > 0.8f * 2.0f)) { continue; }
            memcpy(x + (size_t)n * 11u, one.x, 44);
            label[n++] = d.label[4u * i + j];
        }
        TP_CHECKF(n == trained, "batch %u: %u trained, expected %u", i, trained, n);
        tp_batch some = {x, label, NULL, n};
        if (n > 0) { TP_CHECK_STATUS(tp_live_step(&w, &some), TP_OK); }
        TP_CHECKF(tp_live_same_params(&v, &w), "batch %u: other weights", i);
    }
    TP_CHECKF(mixed > 2, "no batch was mixed");
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
}

/* The nominal batch divides, also in a short last one: (lr, B) and (2 lr, 2 B) are the same step. */
static void tp_short_batch(void) {
    tp_graph g;
    tp_live v, w;
    tp_graph_of(&g, 1);
    tp_recipe a = tp_recipe_of("full", "sgd", 4, 0.25f), b = tp_recipe_of("full", "sgd", 8, 0.5f);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &a, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &b, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 9, 3);
    tp_batch batch = tp_data_batch(&d, 0, 3);
    TP_CHECK_STATUS(tp_live_step(&v, &batch), TP_OK);
    TP_CHECK_STATUS(tp_live_step(&w, &batch), TP_OK);
    TP_CHECK(tp_live_same_params(&v, &w));
    TP_CHECK_STATUS(tp_live_step(&v, &batch), TP_OK);
    TP_CHECK(!tp_live_same_params(&v, &w));
    batch = tp_data_batch(&d, 0, 5);
    TP_CHECK_STATUS(tp_train_step(&v.net, &batch, v.stats), TP_E_ARG); /* more than the recipe's batch */
    batch.n = 0;
    TP_CHECK_STATUS(tp_train_step(&v.net, &batch, v.stats), TP_E_ARG);
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
}

/* The masks depend on seed, node and number of the sample only. */
static void tp_dropout_is_seeded(void) {
    uint64_t hash[4];
    for (uint32_t i = 0; i < 4; i++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.1f);
        r.seed = i == 2 ? 8 : 7;
        tp_graph_begin(&g, tp_vector(6), "softmax_cross_entropy");
        tp_graph_dense(&g, tp_graph_param(&g, "dropout", tp_graph_dense(&g, TP_INPUT, 12), 0.5f), 3);
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        memset(v.arena + v.plan->params_at, 0, v.plan->params_bytes); /* seeds must not matter through the weights */
        tp_live_scramble(&v, 2);
        float *w = tp_tensor_f32(v.arena, &v.plan->node[2].tensor[0]);
        for (uint32_t j = 0; j < 36; j++) { w[j] = 0.1f * (float)(j % 7u); }
        tp_data d = tp_data_make(v.plan, 8, 6);
        if (i == 3) { tp_net_state(&v.net)->progress.samples = 1; } /* another sample, another mask */
        TP_CHECK_STATUS(tp_live_train(&v, &d, 4, 1), TP_OK);
        hash[i] = tp_hash(0, v.arena + v.plan->params_at, v.plan->params_bytes);
        tp_data_free(&d);
        tp_live_close(&v);
    }
    TP_CHECK(hash[0] == hash[1] && hash[0] != hash[2] && hash[0] != hash[3]);
}

/* --- records --- */

static void tp_records_add_up(void) {
    for (uint32_t i = 0; i < 4; i++) {
        tp_graph g;
        tp_live v;
        tp_totals totals;
        uint32_t batch = i < 2 ? 1u : 4u;
        tp_recipe r = tp_recipe_of(i % 2u == 0 ? "full" : "tinyprop", "sgd", batch, 0.05f);
        memset(&totals, 0, sizeof totals);
        tp_graph_of(&g, i % 2u);
        g.node[0].flags |= i == 3 ? TP_FLAG_FROZEN : 0u;
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 16, 6);
        for (uint32_t s = 0; s < 5; s++) {
            tp_batch b = tp_data_batch(&d, s, batch);
            TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
            uint64_t dw = 0, dx = 0;
            for (uint32_t l = 0; l < v.stats->n_layers; l++) {
                const tp_layer_stats *layer = &v.stats->layer[l];
                dw += layer->macs_dw;
                dx += layer->macs_dx;
                TP_CHECK(layer->k <= layer->n && layer->l1 >= 0.0f);
            }
            TP_CHECK(v.stats->bytes == tp_stats_bytes(v.plan) && v.stats->macs_dw == dw && v.stats->macs_dx == dx && v.stats->macs_worked <= dw + dx);
            tp_totals_add(&totals, v.plan, v.stats);
        }
        TP_CHECK(totals.samples == 5 * batch && totals.trained == totals.samples && totals.steps == 5 && totals.macs_forward == totals.samples * v.plan->macs_forward);
        TP_CHECK(i % 2u == 0 ? totals.macs_dw + totals.macs_dx == totals.macs_dense_backward : totals.macs_dw + totals.macs_dx < totals.macs_dense_backward);
        TP_CHECK(totals.loss > 0.0 && totals.correct <= totals.samples);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

static uint32_t tp_trace_calls, tp_trace_layer;

static void tp_trace_count(void *user, const tp_trace *event) {
    TP_CHECK(user == &tp_trace_calls && (event->delta != NULL) == (event->kept == NULL) && (event->delta != NULL) == (tp_trace_calls % 2u == 0));
    if (event->delta != NULL) { tp_trace_layer--; }
    TP_CHECK(event->layer == tp_trace_layer && event->k <= event->n && event->n <= event->n_delta && event->l1 <= event->ymax);
    uint32_t kept = 0;
    for (uint32_t i = 0; event->kept != NULL && i < event->n_delta; i++) { kept += event->kept[i] != 0.0f ? 1u : 0u; }
    TP_CHECK(event->n != event->n_delta || kept <= event->k);
    tp_trace_calls++;
}

/* The trace sees every layer twice; it and the record change no bit. */
static void tp_watching_changes_nothing(void) {
    tp_graph g;
    tp_live v, w;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", 1, 0.05f);
    tp_graph_of(&g, 1);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &r, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 4, 6);
    v.net.trace = tp_trace_count;
    v.net.trace_user = &tp_trace_calls;
    for (uint32_t i = 0; i < 4; i++) {
        tp_batch b = tp_data_batch(&d, i, 1);
        tp_trace_calls = 0;
        tp_trace_layer = v.plan->n_layers;
        TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
        TP_CHECK_STATUS(tp_train_step(&w.net, &b, NULL), TP_OK);
        TP_CHECK(tp_trace_calls == 2 * v.plan->n_layers && tp_trace_layer == 0);
    }
    TP_CHECK(memcmp(v.arena, w.arena, tp_live_kept_bytes(&v)) == 0);
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
}

static void tp_all_frozen(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("tinypropv2", "momentum", 2, 0.05f);
    tp_graph_of(&g, 0);
    for (uint32_t i = 0; i < g.n; i++) { g.node[i].flags |= TP_FLAG_FROZEN; }
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    TP_CHECK(v.plan->first_trainable == v.plan->n_nodes && v.plan->macs_backward == 0);
    uint64_t hash = tp_hash(0, v.arena + v.plan->params_at, v.plan->params_bytes);
    tp_data d = tp_data_make(v.plan, 4, 6);
    TP_CHECK_STATUS(tp_live_train(&v, &d, 3, 2), TP_OK);
    TP_CHECK(v.stats->trained == 0 && v.stats->loss > 0.0f && hash == tp_hash(0, v.arena + v.plan->params_at, v.plan->params_bytes));
    tp_data_free(&d);
    tp_live_close(&v);
}

int main(void) {
    TP_RUN(tp_sparse_is_dense);
    TP_RUN(tp_silent_layer_stays);
    TP_RUN(tp_skipped_changes_nothing);
    TP_RUN(tp_skipped_count_as_zeros);
    TP_RUN(tp_short_batch);
    TP_RUN(tp_dropout_is_seeded);
    TP_RUN(tp_records_add_up);
    TP_RUN(tp_watching_changes_nothing);
    TP_RUN(tp_all_frozen);
    return tp_end();
}
