/* SPDX-License-Identifier: Apache-2.0 */
/* A net that trains with one policy on the samples of a workload in turn. */
#ifndef TINYPROP_BENCH_RUNNER_H
#define TINYPROP_BENCH_RUNNER_H

#include "workloads.h"

/* A policy with its parameters. */
typedef struct variant {
    const char *policy;
    float keep; /* share of rows; 0: the policy has none */
} variant;

static const variant variants[] = {
    {"dense", 0}, {"full", 0}, {"meprop", 0.5f}, {"meprop", 0.25f}, {"meprop", 0.1f}, {"meprop", 0.05f}, {"tinyprop", 0}, {"tinypropv2", 0},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

typedef struct options {
    const char *workload, *policy;
    uint32_t batch; /* 0: those of the workload */
    const tp_kernels *kernels;
    uint32_t rounds;
    bench_host host;
    double ms; /* of one measurement */
    bool machine;
} options;

/* A net that trains on the samples in turn, and its measurements. */
typedef struct runner {
    const variant *v;
    bench_net b;
    const workload_data *data;
    uint32_t batch, next;
    bool counts; /* steps fill the statistics */
    float *logits; /* of a batch */
    uint32_t step_calls, infer_calls;
    double step_us[BENCH_ROUNDS_MAX], infer_us[BENCH_ROUNDS_MAX];
} runner;

static tp_recipe runner_recipe(const variant *v, uint32_t batch) {
    tp_recipe recipe = tp_recipe_default();
    recipe.policy = tp_list_id(TP_LIST_POLICY, v->policy);
    recipe.batch = batch;
    recipe.lr = 1e-6f; /* 10^5 steps on 64 samples must not kill the net: the errors of a dead one are zero */
    if (v->keep > 0.0f) { recipe.policy_params.s_max = v->keep; }
    return recipe;
}

static runner *runner_open(const workload *w, const workload_data *data, const variant *v, uint32_t batch, const options *o) {
    runner *r = bench_take(sizeof *r);
    tp_recipe recipe = runner_recipe(v, batch);
    r->v = v;
    r->data = data;
    r->batch = batch;
    r->b = bench_open(&w->model, &recipe, &o->host, o->kernels);
    r->logits = bench_take(sizeof(float) * batch * r->b.plan->n_out);
    return r;
}

static void runner_close(runner *r) {
    bench_close(&r->b);
    free(r->logits);
    free(r);
}

static tp_batch runner_next(runner *r) {
    tp_batch batch = workload_batch(r->data, r->next, r->batch);
    r->next = (r->next + r->batch) % BENCH_SAMPLES;
    return batch;
}

static void runner_step(void *user) {
    runner *r = user;
    tp_batch batch = runner_next(r);
    bench_check(tp_train_step(&r->b.net, &batch, r->counts ? r->b.stats : NULL), "step");
}

/* One batch to logits. */
static void runner_infer(void *user) {
    runner *r = user;
    tp_batch batch = runner_next(r);
    const float *y;
    if (r->batch == 1) {
        bench_check(tp_net_forward(&r->b.net, batch.x, &y), "forward");
    } else {
        bench_check(tp_net_forward_batch(&r->b.net, batch.x, r->batch, r->logits), "forward");
    }
}

/* Shares of the backward work really done over all samples once: the whole net's, by MACs, and each layer's. Untimed. */
static double runner_rows(runner *r, double *used) {
    const tp_plan *plan = r->b.plan;
    bool all = tp_policy_find(plan->recipe.policy)->zeros; /* the rows of zero error are worked too */
    double done = 0.0, trained = 0.0;
    memset(used, 0, sizeof *used * TP_MAX_LAYERS);
    r->next = 0;
    r->counts = true;
    do {
        runner_step(r);
        done += (double)(all ? r->b.stats->macs_dw + r->b.stats->macs_dx : r->b.stats->macs_worked);
        trained += r->b.stats->trained;
        for (uint32_t l = 0; l < plan->n_layers; l++) { used[l] += r->b.stats->layer[l].worked; }
    } while (r->next != 0);
    r->counts = false;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const tp_plan_node *p = &plan->node[i];
        if (p->layer == TP_NO_OFFSET) { continue; }
        used[p->layer] = (all ? trained : used[p->layer] / p->n_out) / BENCH_SAMPLES;
    }
    return done / ((double)plan->macs_backward * BENCH_SAMPLES);
}

#endif /* TINYPROP_BENCH_RUNNER_H */
