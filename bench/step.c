/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time of a training step and of its forward pass: every workload, batch size and policy (bench/README.md).
 *   step [--workload W1] [--batch 1] [--policy full] [--isa avx2] [--rounds 9] [--ms 10] [--threads 1] [--machine]
 * prints one JSON line per policy and share of rows. `step --describe` prints the nets, `step --serve` measures what lines
 * on its input ask for.
 * Policies take turns within every round; figures are medians over the rounds, so drift of the machine hits all alike.
 */
#include "bench.h"
#include "describe.h"
#include "roofline.h"
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
    uint32_t rounds, threads;
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
    float logits[32 * 1024];
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
    r->b = bench_open(&w->model, &recipe, o->threads, o->kernels);
    if (batch * r->b.plan->n_out > sizeof r->logits / sizeof *r->logits) { bench_fail("too many outputs"); }
    return r;
}

static void runner_close(runner *r) {
    bench_close(&r->b);
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
        bench_check(tp_eval_step(&r->b.net, &batch, r->logits, NULL), "forward");
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

static void print_line(runner *r, const char *name, const roofline *roof, const options *o) {
    double used[TP_MAX_LAYERS], backward[BENCH_ROUNDS_MAX];
    double rows = runner_rows(r, used);
    for (uint32_t i = 0; i < o->rounds; i++) { backward[i] = r->step_us[i] - r->infer_us[i]; }
    double step = bench_median(r->step_us, o->rounds), infer = bench_median(r->infer_us, o->rounds);
    char keep[16] = "null";
    if (r->v->keep > 0.0f) { snprintf(keep, sizeof keep, "%g", (double)r->v->keep); }
    printf("{\"workload\":\"%s\",\"batch\":%u,\"policy\":\"%s\",\"keep\":%s,\"isa\":\"%s\",\"stepUs\":%.3f,\"inferUs\":%.3f,"
           "\"backwardUs\":%.3f,\"rowsUsed\":%.4f,\"rooflineFraction\":%.4f}\n",
           name, r->batch, r->v->policy, keep, tp_kernels_name(o->kernels), step, infer, bench_median(backward, o->rounds), rows,
           roofline_us(roof, r->b.plan, r->batch, used) / step);
}

/* All policies on one workload and batch size, interleaved. */
static void measure(const workload_row *row, uint32_t batch, const options *o) {
    workload w;
    workload_build(&w, row);
    tp_plan *plan = bench_plan(&w.model, NULL, o->threads);
    workload_data data = workload_samples(plan->n_in, plan->n_out);
    roofline_bench *roof = roofline_open(tp_kernels_name(o->kernels), plan->params_bytes);
    runner *r[VARIANTS];
    uint32_t n = 0;
    for (uint32_t v = 0; v < VARIANTS; v++) {
        if (o->policy != NULL && !tp_text_equal(o->policy, variants[v].policy)) { continue; }
        r[n] = runner_open(&w, &data, &variants[v], batch, o);
        /* whole turns through the samples, if a turn is not long by itself */
        r[n]->step_calls = bench_calls(runner_step, r[n], o->ms, BENCH_SAMPLES / batch);
        r[n]->infer_calls = bench_calls(runner_infer, r[n], o->ms, 1);
        n++;
    }
    for (uint32_t round = 0; round < o->rounds; round++) {
        roofline_round(roof, round);
        for (uint32_t i = 0; i < n; i++) {
            r[i]->step_us[round] = bench_round_us(runner_step, r[i], r[i]->step_calls);
            r[i]->infer_us[round] = bench_round_us(runner_infer, r[i], r[i]->infer_calls);
        }
    }
    roofline limit = roofline_result(roof, o->rounds);
    if (o->machine) {
        printf("{\"workload\":\"%s\",\"batch\":%u,\"isa\":\"%s\",\"weightKiB\":%u,\"peakGflops\":%.1f,\"readGBs\":%.1f,\"updateGBs\":%.1f}\n",
               row->name, batch, tp_kernels_name(o->kernels), plan->params_bytes / 1024u, limit.flops * 1e-3, limit.read * 1e-3, limit.update * 1e-3);
    }
    for (uint32_t i = 0; i < n; i++) {
        print_line(r[i], row->name, &limit, o);
        runner_close(r[i]);
    }
    fflush(stdout);
    roofline_close(roof);
    workload_free(&data);
    free(plan);
}

/* --- served: one request a line, `WHAT WORKLOAD BATCH POLICY KEEP MS`, WHAT one of step, counted (a step that fills the
 * statistics), infer; the answer is a JSON line. What a request needs stays open for the next ones. --- */

typedef struct served {
    const workload_row *row;
    variant v;
    char policy[16];
    runner *r;
} served;

static runner *serve_runner(const char *name, uint32_t batch, const char *policy, float keep, const options *o) {
    static served all[256];
    static uint32_t n;
    for (uint32_t i = 0; i < n; i++) {
        const served *s = &all[i];
        if (tp_text_equal(s->row->name, name) && s->r->batch == batch && tp_text_equal(s->policy, policy) && s->v.keep == keep) { return s->r; }
    }
    for (uint32_t i = 0; i < WORKLOADS && n < 256; i++) {
        if (!tp_text_equal(workload_rows[i].name, name)) { continue; }
        served *s = &all[n++];
        workload *w = bench_take(sizeof *w);
        workload_build(w, &workload_rows[i]);
        s->row = &workload_rows[i];
        snprintf(s->policy, sizeof s->policy, "%s", policy);
        s->v = (variant){s->policy, keep};
        tp_plan *plan = bench_plan(&w->model, NULL, o->threads);
        workload_data *data = bench_take(sizeof *data);
        *data = workload_samples(plan->n_in, plan->n_out);
        s->r = runner_open(w, data, &s->v, batch, o);
        free(plan);
        return s->r;
    }
    bench_fail("serve: no workload %s", name);
    return NULL;
}

static double serve_measure(runner *r, bool infer, double ms) {
    uint32_t *calls = infer ? &r->infer_calls : &r->step_calls;
    void (*call)(void *) = infer ? runner_infer : runner_step;
    if (*calls == 0) { *calls = bench_calls(call, r, ms, infer ? 1u : BENCH_SAMPLES / r->batch); }
    return bench_round_us(call, r, *calls);
}

static void serve(const options *o) {
    char line[128], what[16], name[16], policy[16];
    uint32_t batch;
    float keep;
    double ms;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "%15s %15s %u %15s %f %lf", what, name, &batch, policy, &keep, &ms) != 6 || batch == 0 || BENCH_SAMPLES % batch != 0) {
            bench_fail("serve: not a request: %s", line);
        }
        runner *r = serve_runner(name, batch, policy, keep, o);
        r->counts = tp_text_equal(what, "counted");
        bench_share share = bench_share_begin();
        double us = serve_measure(r, tp_text_equal(what, "infer"), ms);
        printf("{\"us\":%.4f,\"isa\":\"%s\",\"share\":%.3f}\n", us, tp_kernels_name(o->kernels), bench_share_end(&share));
        fflush(stdout);
    }
}

/* W5 means W5-32 and W5-96. */
static bool chosen(const options *o, const char *name) {
    return o->workload == NULL || tp_text_equal(o->workload, name) || (tp_text_equal(o->workload, "W5") && strncmp(name, "W5", 2) == 0);
}

static void check_names(const options *o) {
    bool workload = false, policy = o->policy == NULL;
    for (uint32_t i = 0; i < WORKLOADS; i++) { workload = workload || chosen(o, workload_rows[i].name); }
    for (uint32_t v = 0; v < VARIANTS; v++) { policy = policy || tp_text_equal(o->policy, variants[v].policy); }
    if (!workload) { bench_fail("--workload %s: expected W1, W2, W3, W4, W5, W5-32, W5-96 or W6", o->workload); }
    if (!policy) { bench_fail("--policy %s: expected dense, full, meprop, tinyprop or tinypropv2", o->policy); }
    if (o->batch != 0 && BENCH_SAMPLES % o->batch != 0) { bench_fail("--batch %u: expected a divisor of %d", o->batch, BENCH_SAMPLES); }
}

/* The nets that are chosen, one line of JSON each. */
static void describe(const options *o) {
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        workload w;
        if (!chosen(o, workload_rows[i].name)) { continue; }
        workload_build(&w, &workload_rows[i]);
        const uint32_t *batch = workload_rows[i].batch;
        printf("{\"workload\":\"%s\",\"batches\":[%u", workload_rows[i].name, batch[0]);
        printf(batch[1] == 0 ? "],\"model\":" : ",%u],\"model\":", batch[1]);
        describe_workload(&w, workload_rows[i].loss);
        printf("}\n");
    }
}

int main(int argc, char **argv) {
    options o = {.rounds = 9, .ms = 10.0, .threads = 1};
    const char *isa = NULL, *text;
    bool serves = false, describes = false;
    for (int i = 1; i < argc; i++) {
        if ((text = bench_option(argc, argv, &i, "--workload")) != NULL) {
            o.workload = text;
        } else if ((text = bench_option(argc, argv, &i, "--policy")) != NULL) {
            o.policy = text;
        } else if ((text = bench_option(argc, argv, &i, "--isa")) != NULL) {
            isa = text;
        } else if ((text = bench_option(argc, argv, &i, "--batch")) != NULL) {
            o.batch = bench_integer("--batch", text, 1, BENCH_SAMPLES);
        } else if ((text = bench_option(argc, argv, &i, "--rounds")) != NULL) {
            o.rounds = bench_integer("--rounds", text, 1, BENCH_ROUNDS_MAX);
        } else if ((text = bench_option(argc, argv, &i, "--threads")) != NULL) {
            o.threads = bench_integer("--threads", text, 1, 1024);
        } else if ((text = bench_option(argc, argv, &i, "--ms")) != NULL) {
            o.ms = bench_number("--ms", text, 0.1, 10000);
        } else if (strcmp(argv[i], "--machine") == 0) {
            o.machine = true; /* the limits that were measured, a line before the policies of a workload */
        } else if (strcmp(argv[i], "--serve") == 0) {
            serves = true;
        } else if (strcmp(argv[i], "--describe") == 0) {
            describes = true;
        } else {
            bench_fail("unknown option %s", argv[i]);
        }
    }
    o.kernels = bench_kernels(isa);
    check_names(&o);
    bench_share share = bench_share_begin();
    if (describes) { describe(&o); }
    if (serves) { serve(&o); }
    if (describes || serves) { return 0; }
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        const workload_row *row = &workload_rows[i];
        for (uint32_t b = 0; b < 2 && chosen(&o, row->name); b++) {
            if (o.batch != 0 ? b == 0 : row->batch[b] != 0) { measure(row, o.batch != 0 ? o.batch : row->batch[b], &o); }
        }
    }
    bench_share_report(&share);
    return 0;
}
