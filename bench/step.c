/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time of one training step at batch 1, per workload and policy, with the rows really worked (bench/README.md).
 *   cc -O3 -std=gnu11 -o step bench/step.c && ./step [kernels] > step.jsonl
 * Policies take turns within every round; the figure is the median over the rounds, so drift of the machine hits all alike.
 */
#include "../csrc/tinyprop.c"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 9, SAMPLES = 64, POLICIES = 5, MAX_NODES = 24 };

typedef struct workload {
    const char *name;
    tp_node nodes[MAX_NODES];
    tp_model model;
} workload;

static tp_node *add(workload *w, const char *op) {
    tp_node *n = &w->nodes[w->model.n_nodes];
    snprintf(n->name, sizeof n->name, "%s%u", op, w->model.n_nodes);
    n->op = tp_list_id(TP_LIST_LAYER, op);
    n->in[0] = (int32_t)w->model.n_nodes++ - 1;
    n->in[1] = TP_NONE;
    return n;
}

static void dense(workload *w, uint32_t units) { add(w, "dense")->units = units; }

static void conv(workload *w, uint32_t kh, uint32_t kw, uint32_t units, uint32_t stride, uint32_t pad) {
    tp_node *n = add(w, kh == 1 ? "conv1d" : "conv2d");
    n->units = units;
    n->kernel[0] = kh;
    n->kernel[1] = kw;
    n->stride[0] = kh == 1 ? 1 : stride;
    n->stride[1] = stride;
    n->padding = TP_PAD_EXPLICIT;
    n->pad[0] = n->pad[1] = kh == 1 ? 0 : pad;
    n->pad[2] = n->pad[3] = pad;
}

static void mlp(workload *w, const uint32_t *sizes, uint32_t n, uint32_t loss) {
    w->model.input = (tp_shape){1, 1, sizes[0], 1};
    w->model.loss = loss;
    for (uint32_t i = 1; i < n; i++) {
        dense(w, sizes[i]);
        if (i + 1 < n) { (void)add(w, "relu"); }
    }
}

static void build(workload *w, uint32_t which) {
    static const uint32_t w1[] = {784, 256, 128, 64, 32, 10}, w6[] = {640, 128, 128, 128, 8, 128, 128, 128, 640};
    memset(w, 0, sizeof *w);
    w->model.nodes = w->nodes;
    w->model.input_dtype = TP_F32;
    w->model.loss = tp_list_id(TP_LIST_LOSS, "softmax_cross_entropy");
    if (which == 0) {
        w->name = "W1";
        mlp(w, w1, 6, w->model.loss);
    } else if (which == 1) {
        w->name = "W3";
        w->model.input = (tp_shape){28, 28, 1, 3};
        conv(w, 3, 3, 8, 1, 1), add(w, "relu"), conv(w, 3, 3, 16, 2, 1), add(w, "relu"), conv(w, 3, 3, 32, 2, 1);
        add(w, "relu"), add(w, "flatten"), dense(w, 64), add(w, "relu"), dense(w, 10);
    } else if (which == 2) {
        w->name = "W4";
        w->model.input = (tp_shape){1, 128, 9, 2};
        conv(w, 1, 5, 16, 2, 2), add(w, "relu"), conv(w, 1, 5, 32, 2, 2), add(w, "relu"), conv(w, 1, 3, 32, 2, 1);
        add(w, "relu"), add(w, "flatten"), dense(w, 64), add(w, "relu"), dense(w, 6);
    } else {
        w->name = "W6";
        mlp(w, w6, 9, tp_list_id(TP_LIST_LOSS, "mse"));
    }
}

typedef struct runner {
    tp_plan *plan;
    tp_net net;
    tp_stats *stats;
    double us[ROUNDS];
    double k, worked, trained, steps;
} runner;

static void *take(size_t bytes) {
    void *p = aligned_alloc(TP_ALIGN, (bytes + TP_ALIGN - 1) / TP_ALIGN * TP_ALIGN);
    if (p == NULL) { exit(2); }
    memset(p, 0, bytes);
    return p;
}

static void start(runner *r, const tp_model *model, const char *policy, const tp_kernels *kernels) {
    tp_recipe recipe = tp_recipe_default();
    memset(r, 0, sizeof *r);
    recipe.policy = tp_list_id(TP_LIST_POLICY, policy);
    recipe.lr = 1e-6f; /* thousands of steps on 64 samples must not kill the net: a dead one measures nothing */
    if (tp_text_equal(policy, "meprop")) { recipe.policy_params.s_max = 0.1f; }
    r->plan = take(tp_plan_bytes(model->n_nodes));
    tp_status status = tp_plan_make(model, &recipe, r->plan, tp_plan_bytes(model->n_nodes), NULL);
    if (status == TP_OK) { status = tp_net_open(&r->net, r->plan, take(r->plan->arena_bytes), r->plan->arena_bytes, kernels); }
    if (status == TP_OK) { status = tp_net_init(&r->net); }
    if (status != TP_OK) {
        fprintf(stderr, "%s\n", tp_status_name(status));
        exit(1);
    }
    r->stats = take(tp_stats_bytes(r->plan));
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void round_of(runner *r, uint32_t round, uint32_t steps, const float *x, const uint32_t *label, const float *target) {
    uint32_t n_in = r->plan->n_in, n_out = r->plan->n_out;
    double begin = now_us();
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t s = i % SAMPLES;
        tp_batch b = {x + (size_t)s * n_in, label + s, target + (size_t)s * n_out, 1};
        if (tp_train_step(&r->net, &b, r->stats) != TP_OK) { exit(1); }
        r->k += (double)(r->stats->macs_dw + r->stats->macs_dx);
        r->worked += (double)r->stats->macs_worked;
        r->trained += r->stats->trained;
    }
    r->steps += steps;
    r->us[round] = (now_us() - begin) / steps;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    static const char *const policies[POLICIES] = {"dense", "full", "meprop", "tinyprop", "tinypropv2"};
    const tp_kernels *kernels = argc > 1 ? tp_kernels_named(argv[1]) : tp_kernels_best();
    if (kernels == NULL) {
        fprintf(stderr, "this CPU has no kernels named %s\n", argv[1]);
        return 1;
    }
    for (uint32_t which = 0; which < 4; which++) {
        workload w;
        runner r[POLICIES];
        build(&w, which);
        for (uint32_t p = 0; p < POLICIES; p++) { start(&r[p], &w.model, policies[p], kernels); }
        uint32_t n_in = r[0].plan->n_in, n_out = r[0].plan->n_out, label[SAMPLES];
        float *x = take(sizeof(float) * SAMPLES * n_in), *target = take(sizeof(float) * SAMPLES * n_out);
        for (uint32_t i = 0; i < SAMPLES * n_in; i++) { x[i] = 2.0f * tp_rng_unit(tp_rng(7, 9, 0, i, 0).word[0]) - 1.0f; }
        for (uint32_t i = 0; i < SAMPLES * n_out; i++) { target[i] = 2.0f * tp_rng_unit(tp_rng(8, 9, 0, i, 0).word[0]) - 1.0f; }
        for (uint32_t i = 0; i < SAMPLES; i++) { label[i] = tp_rng(9, 9, 0, i, 0).word[0] % n_out; }
        for (uint32_t round = 0; round < ROUNDS; round++) {
            for (uint32_t p = 0; p < POLICIES; p++) { round_of(&r[p], round, 1024, x, label, target); }
        }
        for (uint32_t p = 0; p < POLICIES; p++) {
            double dense_macs = (double)r[p].plan->macs_backward * r[p].steps;
            qsort(r[p].us, ROUNDS, sizeof(double), by_value);
            printf("{\"workload\":\"%s\",\"batch\":1,\"policy\":\"%s\",\"isa\":\"%s\",\"stepUs\":%.2f,\"effortBackward\":%.4f,"
                   "\"rowsWorked\":%.4f,\"trained\":%.3f}\n",
                   w.name, policies[p], tp_kernels_name(kernels), r[p].us[ROUNDS / 2], r[p].k / dense_macs, r[p].worked / dense_macs, r[p].trained / r[p].steps);
        }
    }
    return 0;
}
