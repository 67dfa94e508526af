/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time of a training step and of its forward pass: every workload, batch size and policy (bench/README.md).
 *   step [--workload W1] [--batch 1] [--policy full] [--isa avx2] [--rounds 9] [--ms 10] [--threads 1] [--samples 32] [--machine]
 * prints one JSON line per policy and share of rows. `step --describe` prints the nets, `step --data` the inputs of one,
 * `step --serve` measures what lines on its input ask for.
 * Policies take turns within every round; figures are medians over the rounds, so drift of the machine hits all alike.
 */
#include "describe.h"
#include "roofline.h"
#include "runner.h"
#include "serve.h"

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
    tp_plan *plan = bench_plan(&w.model, NULL, &o->host);
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

/* The samples of the net that is chosen, as they lie in memory: inputs, targets, labels. */
static void data(const options *o) {
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        workload w;
        if (o->workload == NULL || !tp_text_equal(o->workload, workload_rows[i].name)) { continue; }
        workload_build(&w, &workload_rows[i]);
        tp_plan *plan = bench_plan(&w.model, NULL, &o->host);
        workload_data d = workload_samples(plan->n_in, plan->n_out);
        fwrite(d.x, sizeof(float) * d.n_in, BENCH_SAMPLES, stdout);
        fwrite(d.target, sizeof(float) * d.n_out, BENCH_SAMPLES, stdout);
        fwrite(d.label, sizeof(uint32_t), BENCH_SAMPLES, stdout);
    }
}

/* The nets that are chosen, one line of JSON each. */
static void describe(const options *o) {
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        workload w;
        if (!chosen(o, workload_rows[i].name)) { continue; }
        workload_build(&w, &workload_rows[i]);
        const uint32_t *batch = workload_rows[i].batch;
        printf("{\"sourceId\":\"%s\",\"workload\":\"%s\",\"batches\":[%u", tp_source_id(), workload_rows[i].name, batch[0]);
        printf(batch[1] == 0 ? "],\"model\":" : ",%u],\"model\":", batch[1]);
        describe_workload(&w, workload_rows[i].loss);
        printf("}\n");
    }
}

int main(int argc, char **argv) {
    options o = {.rounds = 9, .ms = 10.0, .host.threads = 1};
    const char *isa = NULL, *text;
    void (*instead)(const options *) = NULL;
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
            o.host.threads = bench_integer("--threads", text, 1, TP_MAX_THREADS);
        } else if ((text = bench_option(argc, argv, &i, "--samples")) != NULL) {
            o.host.samples = bench_integer("--samples", text, 1, TP_MAX_SAMPLES);
        } else if ((text = bench_option(argc, argv, &i, "--ms")) != NULL) {
            o.ms = bench_number("--ms", text, 0.1, 10000);
        } else if (strcmp(argv[i], "--machine") == 0) {
            o.machine = true; /* the limits that were measured, a line before the policies of a workload */
        } else if (strcmp(argv[i], "--serve") == 0) {
            instead = serve;
        } else if (strcmp(argv[i], "--describe") == 0) {
            instead = describe;
        } else if (strcmp(argv[i], "--data") == 0) {
            instead = data;
        } else {
            bench_fail("unknown option %s", argv[i]);
        }
    }
    o.kernels = bench_kernels(isa);
    check_names(&o);
    if (instead != NULL) {
        instead(&o);
        return 0;
    }
    bench_share share = bench_share_begin();
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        const workload_row *row = &workload_rows[i];
        for (uint32_t b = 0; b < 2 && chosen(&o, row->name); b++) {
            if (o.batch != 0 ? b == 0 : row->batch[b] != 0) { measure(row, o.batch != 0 ? o.batch : row->batch[b], &o); }
        }
    }
    bench_share_report(&share);
    return 0;
}
