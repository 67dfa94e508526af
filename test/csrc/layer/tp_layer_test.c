/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of the layer list in small nets: loss and gradient against a reference forward pass in double and its finite
 * differences, with activations poisoned before every step; baselines and in-place sharing leave the same bits. */
#include "../../../csrc/tinyprop.c"

#include "../tp_reference.h"
#include "tp_layer_cases.h"

static uint32_t tp_case_number;
static uint8_t tp_ops_seen[256];

static tp_live tp_open_case(const tp_recipe *recipe, tp_data *data) {
    tp_graph g;
    tp_live v;
    tp_layer_cases[tp_case_number].build(&g);
    for (uint32_t i = 0; i < g.n; i++) { tp_ops_seen[g.node[i].op & 255u] = 1; }
    TP_CHECK_STATUS(tp_live_open(&v, &g, recipe, NULL), TP_OK);
    tp_live_scramble(&v, 77);
    *data = tp_data_make(v.plan, 4, 11u + tp_case_number);
    for (uint32_t i = 0; i < data->n * data->n_in; i++) { data->x[i] *= tp_layer_cases[tp_case_number].scale; }
    return v;
}

static double *tp_params_f64(const tp_live *v) {
    double *params = (double *)tp_alloc((size_t)v->plan->params_bytes / 4u * sizeof(double));
    const float *from = (const float *)(const void *)(v->arena + v->plan->params_at);
    for (uint32_t i = 0; i < v->plan->params_bytes / 4u; i++) { params[i] = (double)from[i]; }
    return params;
}

/* Mean loss of the first n samples. */
static double tp_mean_loss(const tp_live *v, const double *params, const tp_data *d, uint32_t n, bool training) {
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        tp_ref_net r = {v->plan, params, i, training};
        sum += tp_ref_loss(&r, d->x + (size_t)i * d->n_in, d->label[i], d->target + (size_t)i * d->n_out);
    }
    return sum / (double)n;
}

/* Does tensor t of the node move in training? Mean and variance of a normalisation do not. */
static bool tp_moves(const tp_plan_node *p, uint32_t t) { return p->trainable != 0 && t < 2; }

/* One step at learning rate 1 moves every parameter by its gradient. */
static void tp_gradient(const char *policy, const char *optimizer, uint32_t batch) {
    tp_recipe recipe = tp_recipe_of(policy, optimizer, batch, 1.0f);
    tp_data d;
    tp_live v = tp_open_case(&recipe, &d);
    tp_batch b = tp_data_batch(&d, 0, batch);
    double *params = tp_params_f64(&v), loss = tp_mean_loss(&v, params, &d, batch, true);
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
    double error = loss - (double)v.stats->loss;
    TP_CHECKF(error < 1e-5 && error > -1e-5, "%s %s %u: loss %.9f, reference %.9f", policy, optimizer, batch, (double)v.stats->loss, loss);
    for (uint32_t i = 0; i < v.plan->n_nodes; i++) {
        const tp_plan_node *p = &v.plan->node[i];
        for (uint32_t t = 0; t < p->n_tensors; t++) {
            const float *now = tp_tensor_f32(v.arena, &p->tensor[t]);
            double *at = params + (p->tensor[t].offset - v.plan->params_at) / 4u;
            for (uint32_t j = 0; j < p->tensor[t].bytes / 4u; j++) {
                const double h = 1e-5, here = at[j], moved = here - (double)now[j];
                if (!tp_moves(p, t)) {
                    TP_CHECKF(moved == 0.0, "%s tensor %u moved", p->node.name, t);
                    continue;
                }
                at[j] = here + h;
                double up = tp_mean_loss(&v, params, &d, batch, true);
                at[j] = here - h;
                double slope = (up - tp_mean_loss(&v, params, &d, batch, true)) / (2.0 * h);
                at[j] = here;
                double difference = moved - slope, limit = 2e-6 + 2e-5 * (slope < 0.0 ? -slope : slope);
                TP_CHECKF(difference < limit && difference > -limit, "%s %s %u: %s tensor %u element %u: gradient %.9f, difference quotient %.9f",
                          policy, optimizer, batch, p->node.name, t, j, moved, slope);
            }
        }
    }
    free(params);
    tp_data_free(&d);
    tp_live_close(&v);
}

static void tp_gradients(void) {
    tp_gradient("full", "sgd", 1);
    tp_gradient("dense", "sgd", 1);
    tp_gradient("full", "momentum", 1);
    tp_gradient("full", "sgd", 2);
}

/* Outside training: loss of an evaluation, no dropout. */
static void tp_evaluation(void) {
    tp_recipe recipe = tp_recipe_of("full", "sgd", 1, 0.1f);
    tp_graph g;
    tp_data d;
    tp_live v = tp_open_case(&recipe, &d), w;
    double *params = tp_params_f64(&v), loss = tp_mean_loss(&v, params, &d, 4, false);
    float *out = (float *)tp_alloc(4u * d.n_out * 4u);
    tp_batch b = tp_data_batch(&d, 0, 4);
    TP_CHECK_STATUS(tp_eval_step(&v.net, &b, out, v.stats), TP_OK);
    double error = loss - (double)v.stats->loss;
    TP_CHECKF(error < 1e-5 && error > -1e-5, "loss %.9f, reference %.9f", (double)v.stats->loss, loss);
    /* the inference plan shares more memory and gives the same bits */
    tp_layer_cases[tp_case_number].build(&g);
    TP_CHECK_STATUS(tp_live_open(&w, &g, NULL, NULL), TP_OK);
    TP_CHECK(w.plan->arena_bytes <= v.plan->arena_bytes && w.plan->params_bytes == v.plan->params_bytes);
    memcpy(w.arena + w.plan->params_at, v.arena + v.plan->params_at, v.plan->params_bytes);
    for (uint32_t i = 0; i < 4; i++) {
        const float *y = NULL;
        tp_live_poison(&w, 0x7fc00000u);
        TP_CHECK_STATUS(tp_net_forward(&w.net, d.x + (size_t)i * d.n_in, &y), TP_OK);
        TP_CHECK(y != NULL && memcmp(y, out + (size_t)i * d.n_out, d.n_out * 4u) == 0);
    }
    TP_CHECK_STATUS(tp_train_step(&w.net, &b, NULL), TP_E_MODE);
    free(out);
    free(params);
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
}

/* A few steps; a hash over parameters, state and records. */
static uint64_t tp_trajectory(const char *policy, const char *optimizer, uint32_t batch, uint32_t poison, const tp_kernels *k, bool apart) {
    tp_recipe recipe = tp_recipe_of(policy, optimizer, batch, 0.05f);
    tp_data d;
    tp_live v = tp_open_case(&recipe, &d);
    uint64_t hash = 0;
    v.net.kernels = k;
    if (apart) { tp_live_spread(&v); }
    for (uint32_t i = 0; i < 5; i++) {
        tp_batch b = tp_data_batch(&d, batch > 1 ? 0 : i % 4u, i == 3 && batch > 1 ? batch - 1u : batch);
        tp_live_poison(&v, poison);
        TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
        hash = tp_hash(hash, v.stats, tp_stats_bytes(v.plan));
        hash = tp_hash(hash, v.arena, v.plan->acts_at);
    }
    tp_data_free(&d);
    tp_live_close(&v);
    return hash;
}

/* What was in activations, errors and scratch does not matter; nor does where they are, nor the instruction set. */
static void tp_same_bits(void) {
    static const char *const policy[3] = {"full", "tinyprop", "dense"};
    const tp_kernels *best = tp_kernels_best(), *k;
    bool usable = false;
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t batch = i < 3 ? 1u : 3u;
        const char *optimizer = i % 2u == 0 ? "sgd" : "momentum";
        uint64_t hash = tp_trajectory(policy[i % 3u], optimizer, batch, 0x7fc00000u, best, false);
        TP_CHECKF(hash == tp_trajectory(policy[i % 3u], optimizer, batch, 0, best, false), "%s %s %u reads what nobody wrote", policy[i % 3u], optimizer, batch);
        TP_CHECKF(hash == tp_trajectory(policy[i % 3u], optimizer, batch, 0x7fc00000u, best, true), "%s %s %u: buffers shared too soon", policy[i % 3u], optimizer, batch);
        for (uint32_t j = 0; (k = tp_kernels_row(j, &usable)) != NULL; j++) {
            if (usable) { TP_CHECKF(hash == tp_trajectory(policy[i % 3u], optimizer, batch, 0, k, false), "%s %s %u: %s", policy[i % 3u], optimizer, batch, k->name); }
        }
    }
}

int main(void) {
    for (tp_case_number = 0; tp_case_number < TP_LAYER_CASES; tp_case_number++) {
        char name[96];
        const char *c = tp_layer_cases[tp_case_number].name;
        snprintf(name, sizeof name, "gradient_%s", c);
        tp_run(name, tp_gradients);
        snprintf(name, sizeof name, "evaluation_%s", c);
        tp_run(name, tp_evaluation);
        snprintf(name, sizeof name, "same_bits_%s", c);
        tp_run(name, tp_same_bits);
    }
    const char *op;
    int32_t id;
    for (uint32_t i = 0; (op = tp_list_name(TP_LIST_LAYER, i, &id)) != NULL; i++) {
        bool int8 = (tp_layer_find((uint32_t)id)->flags & (TP_LAYER_X_S8 | TP_LAYER_Y_S8)) != 0; /* tp_int8_test.c */
        TP_CHECKF(int8 || tp_ops_seen[id & 255] != 0, "no case has a %s", op);
    }
    tp_tests.failed += tp_tests.notes > 0 ? 1u : 0u;
    return tp_end();
}
