/* SPDX-License-Identifier: Apache-2.0 */
/* What every benchmark shares: the whole library, memory, the clock, inputs, plans, medians. */
#ifndef TINYPROP_BENCH_H
#define TINYPROP_BENCH_H

#include "../csrc/tinyprop.c"
#include "pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { BENCH_SAMPLES = 64, BENCH_ROUNDS_MAX = 999 };

static void bench_fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

static void bench_check(tp_status status, const char *what) {
    if (status != TP_OK) { bench_fail("%s: %s", what, tp_status_name(status)); }
}

static void *bench_take(size_t bytes) {
    void *p = aligned_alloc(TP_ALIGN, (bytes + TP_ALIGN) / TP_ALIGN * TP_ALIGN);
    if (p == NULL) { bench_fail("out of memory: %zu bytes", bytes); }
    memset(p, 0, bytes);
    return p;
}

/* Memory of a net, in large pages where the system has them, as the Node package takes it (binding/memory.cc). */
static void *bench_arena(size_t bytes) {
#ifdef MADV_HUGEPAGE
    enum { LARGE_PAGE = 2 << 20 };
    if (bytes >= LARGE_PAGE / 8 * 3) {
        size_t whole = (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
        void *p = aligned_alloc(LARGE_PAGE, whole);
        if (p == NULL) { bench_fail("out of memory: %zu bytes", bytes); }
        (void)madvise(p, whole, MADV_HUGEPAGE);
        memset(p, 0, bytes);
        return p;
    }
#endif
    return bench_take(bytes);
}

/* Time that this process has computed: on a quiet core the time of day, and on a busy one not the time of others. With several
 * threads the time of day. */
static clockid_t bench_clock = CLOCK_PROCESS_CPUTIME_ID;

static double bench_now_us(void) {
    struct timespec t;
    clock_gettime(bench_clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* What share of the time of day we computed: below 1, others used the core, and its caches. */
typedef struct bench_share {
    struct timespec wall;
    double cpu;
} bench_share;

static bench_share bench_share_begin(void) {
    bench_share s;
    clock_gettime(CLOCK_MONOTONIC, &s.wall);
    s.cpu = bench_now_us();
    return s;
}

static double bench_share_end(const bench_share *s) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double wall = (double)(t.tv_sec - s->wall.tv_sec) * 1e6 + (double)(t.tv_nsec - s->wall.tv_nsec) * 1e-3;
    return (bench_now_us() - s->cpu) / wall;
}

/* For a program that never waits. */
static void bench_share_report(const bench_share *s) {
    double share = bench_share_end(s);
    if (share < 0.97 && bench_clock != CLOCK_MONOTONIC) { fprintf(stderr, "bench: others used the core %.0f %% of the time: times are too long, ratios less so\n", 100.0 * (1.0 - share)); }
}

static int bench_by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts x. */
static double bench_median(double *x, uint32_t n) {
    qsort(x, n, sizeof *x, bench_by_value);
    return n % 2u != 0 ? x[n / 2u] : 0.5 * (x[n / 2u - 1u] + x[n / 2u]);
}

/* About N(0, 1): the sum of four uniform numbers. `stream` tells arrays apart. */
static float bench_normal(uint32_t stream, uint32_t i) {
    tp_rng_block r = tp_rng(7, 9, stream, 0, i);
    float sum = tp_rng_unit(r.word[0]) + tp_rng_unit(r.word[1]) + tp_rng_unit(r.word[2]) + tp_rng_unit(r.word[3]);
    return (sum - 2.0f) * 1.7320508f;
}

static uint32_t bench_uniform(uint32_t stream, uint32_t i, uint32_t below) {
    return (uint32_t)(((uint64_t)tp_rng(8, 9, stream, 0, i).word[0] * below) >> 32);
}

/* Calls per round that keep `call` busy for about `ms`, a multiple of `unit`; also warms everything up. */
static uint32_t bench_calls(void (*call)(void *user), void *user, double ms, uint32_t unit) {
    for (uint32_t calls = unit;; calls *= 2u) {
        double begin = bench_now_us();
        for (uint32_t i = 0; i < calls; i++) { call(user); }
        double us = bench_now_us() - begin;
        if (us < 500.0 * ms && calls < 1u << 24) { continue; } /* too short to scale */
        double wanted = ms * 1000.0 / (us / calls);
        return (uint32_t)(wanted / unit + 1.0) * unit;
    }
}

static double bench_round_us(void (*call)(void *user), void *user, uint32_t calls) {
    double begin = bench_now_us();
    for (uint32_t i = 0; i < calls; i++) { call(user); }
    return (bench_now_us() - begin) / calls;
}

/* A net with memory of its own. */
typedef struct bench_net {
    tp_plan *plan;
    tp_net net;
    tp_stats *stats;
} bench_net;

/* What a plan may use. */
typedef struct bench_host {
    uint32_t samples; /* of a batch worked on together; 0: as many as pay */
    uint32_t threads;
} bench_host;

static tp_plan *bench_plan_with(const tp_model *model, const tp_recipe *recipe, uint32_t samples, uint32_t threads) {
    uint32_t bytes = tp_plan_bytes(model->n_nodes), where = 0;
    tp_plan_options options = {.samples = samples, .threads = threads, .packing = 1};
    tp_plan *plan = bench_take(bytes);
    tp_status status = tp_plan_make_with(model, recipe, &options, plan, bytes, &where);
    if (status != TP_OK) { bench_fail("plan: node %u: %s", where, tp_status_name(status)); }
    return plan;
}

/* The one place where the benchmarks choose a plan: the Node package's choice (binding/net.cc). recipe NULL: inference. */
static tp_plan *bench_plan(const tp_model *model, const tp_recipe *recipe, const bench_host *host) {
    tp_plan *plan = bench_plan_with(model, recipe, host->samples > 0 ? host->samples : 1u, host->threads);
    uint32_t most = tp_min_u32(recipe != NULL ? recipe->batch : 1u, 32u);
    while (most > host->threads && plan->acts_bytes > (uint64_t)(9u << 18) * host->threads / most) { most /= 2u; }
    if (host->samples > 0 || most == 1) { return plan; }
    free(plan);
    return bench_plan_with(model, recipe, most, host->threads);
}

static bench_net bench_open(const tp_model *model, const tp_recipe *recipe, const bench_host *host, const tp_kernels *kernels) {
    bench_net b = {.plan = bench_plan(model, recipe, host)};
    bench_check(tp_net_open(&b.net, b.plan, bench_arena(b.plan->arena_bytes), b.plan->arena_bytes, kernels), "open");
    if (!pool_start(host->threads, &b.net.parallel)) { bench_fail("cannot start %u threads", host->threads); }
    if (host->threads > 1) { bench_clock = CLOCK_MONOTONIC; }
    bench_check(tp_net_init(&b.net), "init");
    b.stats = bench_take(tp_stats_bytes(b.plan));
    return b;
}

static void bench_close(bench_net *b) {
    free(b->net.arena);
    free(b->plan);
    free(b->stats);
}

/* The table of that name, NULL: the best; ends the program where this CPU has none. */
static const tp_kernels *bench_kernels(const char *isa) {
    const tp_kernels *kernels = isa == NULL ? tp_kernels_best() : tp_kernels_named(isa);
    if (kernels == NULL) { bench_fail("--isa %s: this CPU has no kernels of that name", isa); }
    return kernels;
}

/* Value of option `name` at argv[*i]; moves *i. NULL: argv[*i] is another option. */
static const char *bench_option(int argc, char **argv, int *i, const char *name) {
    if (strcmp(argv[*i], name) != 0) { return NULL; }
    if (*i + 1 >= argc) { bench_fail("%s: a value is missing", name); }
    return argv[++*i];
}

static double bench_number(const char *name, const char *text, double least, double most) {
    char *end;
    double x = strtod(text, &end);
    if (*text == 0 || *end != 0 || !(x >= least && x <= most)) { bench_fail("%s %s: expected a number from %g to %g", name, text, least, most); }
    return x;
}

static uint32_t bench_integer(const char *name, const char *text, double least, double most) {
    double x = bench_number(name, text, least, most);
    if (x != (double)(uint32_t)x) { bench_fail("%s %s: expected a whole number", name, text); }
    return (uint32_t)x;
}

#endif /* TINYPROP_BENCH_H */
