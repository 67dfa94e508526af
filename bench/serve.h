/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements on request, for programs that take turns with this one (node.mjs, rivals.mjs). One request a line,
 * `WHAT WORKLOAD BATCH POLICY KEEP AMOUNT [NET]`; the answer is a line of JSON. NET, 0 if it is missing, tells nets of the same kind apart, each with
 * memory of its own. WHAT and AMOUNT:
 *   step, infer   a training step, a forward pass: milliseconds to repeat it
 *   counted       a step that fills the statistics, as the Node package's does: milliseconds
 *   loop          the loop of the Node package's fit() over so many samples in random order
 * What a request needs stays open for the next ones. */
#ifndef TINYPROP_BENCH_SERVE_H
#define TINYPROP_BENCH_SERVE_H

#include "runner.h"

typedef struct served {
    const workload_row *row;
    variant v;
    char policy[16];
    uint32_t net;
    runner *r;
} served;

static runner *serve_runner(const char *name, uint32_t batch, const char *policy, float keep, uint32_t net, const options *o) {
    static served all[256];
    static uint32_t n;
    for (uint32_t i = 0; i < n; i++) {
        const served *s = &all[i];
        if (tp_text_equal(s->row->name, name) && s->r->batch == batch && tp_text_equal(s->policy, policy) && s->v.keep == keep && s->net == net) { return s->r; }
    }
    for (uint32_t i = 0; i < WORKLOADS && n < 256; i++) {
        if (!tp_text_equal(workload_rows[i].name, name)) { continue; }
        served *s = &all[n++];
        workload *w = bench_take(sizeof *w);
        workload_build(w, &workload_rows[i]);
        s->row = &workload_rows[i];
        snprintf(s->policy, sizeof s->policy, "%s", policy);
        s->v = (variant){s->policy, keep};
        s->net = net;
        tp_plan *plan = bench_plan(&w->model, NULL, &o->host);
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

/* Samples enough for a loop: those of the workload, again and again, and the order of an epoch. */
typedef struct serve_loop_data {
    workload_data all;
    uint32_t *order;
    float *x, *target; /* a batch */
    uint32_t *label;
} serve_loop_data;

static serve_loop_data serve_loop_open(const runner *r, uint32_t samples) {
    uint32_t n_in = r->data->n_in, n_out = r->data->n_out;
    serve_loop_data d = {.all = {.n_in = n_in, .n_out = n_out}};
    d.all.x = bench_take(sizeof(float) * samples * n_in);
    d.all.target = bench_take(sizeof(float) * samples * n_out);
    d.all.label = bench_take(sizeof(uint32_t) * samples);
    d.order = bench_take(sizeof(uint32_t) * samples);
    d.x = bench_take(sizeof(float) * r->batch * n_in);
    d.target = bench_take(sizeof(float) * r->batch * n_out);
    d.label = bench_take(sizeof(uint32_t) * r->batch);
    for (uint32_t i = 0; i < samples; i++) {
        tp_batch one = workload_batch(r->data, i % BENCH_SAMPLES, 1);
        memcpy(d.all.x + (size_t)i * n_in, one.x, sizeof(float) * n_in);
        memcpy(d.all.target + (size_t)i * n_out, one.target, sizeof(float) * n_out);
        d.all.label[i] = *one.label;
    }
    tp_shuffle(1, 0, d.order, samples);
    return d;
}

static void serve_loop_close(serve_loop_data *d) {
    workload_free(&d->all);
    free(d->order);
    free(d->x);
    free(d->target);
    free(d->label);
}

/* Samples order[first ..], gathered where there are several; a single one stays where it is. */
static tp_batch serve_loop_batch(const serve_loop_data *d, uint32_t first, uint32_t n) {
    if (n == 1) { return workload_batch(&d->all, d->order[first], 1); }
    for (uint32_t i = 0; i < n; i++) {
        tp_batch one = workload_batch(&d->all, d->order[first + i], 1);
        memcpy(d->x + (size_t)i * d->all.n_in, one.x, sizeof(float) * d->all.n_in);
        memcpy(d->target + (size_t)i * d->all.n_out, one.target, sizeof(float) * d->all.n_out);
        d->label[i] = *one.label;
    }
    return (tp_batch){d->x, d->label, d->target, n};
}

static void serve_loop(runner *r, uint32_t samples) {
    serve_loop_data d = serve_loop_open(r, samples);
    tp_totals totals;
    memset(&totals, 0, sizeof totals);
    bench_share share = bench_share_begin();
    double begin = bench_now_us();
    for (uint32_t i = 0; i < samples; i += r->batch) {
        tp_batch batch = serve_loop_batch(&d, i, tp_min_u32(r->batch, samples - i));
        bench_check(tp_train_step(&r->b.net, &batch, r->b.stats), "loop");
        tp_totals_add(&totals, r->b.plan, r->b.stats);
    }
    double cpu = bench_now_us() - begin, of_day = bench_share_end(&share);
    printf("{\"us\":%.1f,\"cpuUs\":%.1f}\n", cpu / of_day, cpu);
    serve_loop_close(&d);
}

static void serve(const options *o) {
    char line[128], what[16], name[16], policy[16];
    uint32_t batch, net;
    float keep;
    double amount;
    while (fgets(line, sizeof line, stdin) != NULL) {
        net = 0;
        bool whole = sscanf(line, "%15s %15s %u %15s %f %lf %u", what, name, &batch, policy, &keep, &amount, &net) >= 6;
        if (!whole || batch == 0 || BENCH_SAMPLES % batch != 0 || !(amount >= 1.0 && amount < 1e8)) { bench_fail("serve: not a request: %s", line); }
        runner *r = serve_runner(name, batch, policy, keep, net, o);
        if (tp_text_equal(what, "loop")) {
            serve_loop(r, (uint32_t)amount);
        } else {
            r->counts = tp_text_equal(what, "counted");
            bench_share share = bench_share_begin();
            double us = serve_measure(r, tp_text_equal(what, "infer"), amount);
            printf("{\"us\":%.4f,\"isa\":\"%s\",\"share\":%.3f}\n", us, tp_kernels_name(o->kernels), bench_share_end(&share));
        }
        fflush(stdout);
    }
}

#endif /* TINYPROP_BENCH_SERVE_H */
