/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers by themselves: what sparse errors are worth, and what choosing them costs (bench/README.md).
 *   kernels [--isa avx2] [--rounds 9] [--ms 3]
 * prints one JSON line per measurement. Those of one size take turns within every round; figures are medians.
 */
#include "layer.h"

typedef struct options {
    const tp_kernels *kernels;
    uint32_t rounds;
    double ms;
} options;

/* Something that is timed. */
typedef struct probe {
    void (*call)(void *user);
    void *user;
    uint32_t calls;
    double us[BENCH_ROUNDS_MAX];
    double median;
} probe;

enum { PROBES = 24 };

static void probe_add(probe *probes, uint32_t *n, void (*call)(void *), void *user) {
    if (*n == PROBES) { bench_fail("too many probes"); }
    memset(&probes[*n], 0, sizeof *probes);
    probes[*n].call = call;
    probes[(*n)++].user = user;
}

static void probe_run(probe *probes, uint32_t n, const options *o) {
    for (uint32_t i = 0; i < n; i++) { probes[i].calls = bench_calls(probes[i].call, probes[i].user, o->ms, LAYER_SETS); }
    for (uint32_t round = 0; round < o->rounds; round++) {
        for (uint32_t i = 0; i < n; i++) { probes[i].us[round] = bench_round_us(probes[i].call, probes[i].user, probes[i].calls); }
    }
    for (uint32_t i = 0; i < n; i++) { probes[i].median = bench_median(probes[i].us, o->rounds); }
}

static const double shares[] = {1.0, 0.5, 0.25, 0.1, 0.05};
enum { SHARES = sizeof shares / sizeof shares[0] };

static void print_start(const options *o, const char *kind) { printf("{\"kind\":\"%s\",\"isa\":\"%s\"", kind, tp_kernels_name(o->kernels)); }

/* --- a dense layer, batch 1: kept rows against all rows, and the forward pass beside them --- */

/* Three ways to look at it: the layer's pass, the kernel by itself, and the pass with the choice of its rows. */
static void dense_batch_one(const options *o, uint32_t n) {
    static probe probes[PROBES];
    layer_shape shape = {"dense", 0, n, n, 0, 0};
    layer_bench *l[SHARES], *all[SHARES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < SHARES; i++) {
        l[i] = layer_open(&shape, 1, shares[i], false, false, o->kernels);
        all[i] = layer_open(&shape, 1, 1.0, false, false, o->kernels);
        all[i]->keep = l[i]->keep;
    }
    for (uint32_t i = 0; i < SHARES; i++) { probe_add(probes, &count, layer_backward, l[i]); }
    for (uint32_t i = 0; i < SHARES; i++) { probe_add(probes, &count, layer_rows, l[i]); }
    for (uint32_t i = 0; i < SHARES; i++) { probe_add(probes, &count, layer_choose_backward, all[i]); }
    probe_add(probes, &count, layer_forward, l[0]);
    probe_add(probes, &count, layer_copy, all[0]);
    probe_run(probes, count, o);
    const probe *rows = probes + SHARES, *chosen = rows + SHARES;
    double forward = chosen[SHARES].median, copy = chosen[SHARES + 1].median;
    for (uint32_t i = 0; i < SHARES; i++) {
        double choosing = chosen[i].median - copy;
        print_start(o, "dense");
        printf(",\"size\":%u,\"batch\":1,\"share\":%g,\"us\":%.4f,\"speedUp\":%.3f,\"ideal\":%.2f,\"forwardUs\":%.4f", n, shares[i], probes[i].median,
               probes[0].median / probes[i].median, (double)n / layer_keep(n, shares[i]), forward);
        printf(",\"kernelUs\":%.4f,\"kernelSpeedUp\":%.3f,\"chosenUs\":%.4f,\"chosenSpeedUp\":%.3f}\n", rows[i].median, rows[0].median / rows[i].median, choosing,
               probes[0].median / choosing);
        layer_close(l[i]);
        layer_close(all[i]);
    }
    fflush(stdout);
}

/* --- a dense layer, batch 32: each sample its own rows against the product over all --- */

static void dense_batch(const options *o, uint32_t n, uint32_t batch) {
    static probe probes[PROBES];
    layer_shape shape = {"dense", 0, n, n, 0, 0};
    layer_bench *l[SHARES + 1];
    uint32_t count = 0;
    l[SHARES] = layer_open(&shape, batch, 1.0, false, true, o->kernels);
    for (uint32_t i = 0; i < SHARES; i++) { l[i] = layer_open(&shape, batch, shares[i], false, false, o->kernels); }
    for (uint32_t i = 0; i <= SHARES; i++) { probe_add(probes, &count, layer_backward, l[i]); }
    probe_run(probes, count, o);
    for (uint32_t i = 0; i < SHARES; i++) {
        print_start(o, "dense batch");
        printf(",\"size\":%u,\"batch\":%u,\"share\":%g,\"us\":%.4f,\"speedUp\":%.3f,\"ideal\":%.2f,\"denseUs\":%.4f}\n", n, batch, shares[i],
               probes[i].median, probes[SHARES].median / probes[i].median, (double)n / layer_keep(n, shares[i]), probes[SHARES].median);
    }
    for (uint32_t i = 0; i <= SHARES; i++) { layer_close(l[i]); }
    fflush(stdout);
}

/* --- convolutions, batch 1: kept elements, kept channels --- */

static const layer_shape convolutions[] = {
    {"W3.c1 28x28 1>8 k3 s1", 28, 1, 8, 3, 1}, {"W3.c2 28x28 8>16 k3 s2", 28, 8, 16, 3, 2}, {"W3.c3 14x14 16>32 k3 s2", 14, 16, 32, 3, 2},
    {"16x16 32>32 k3 s1", 16, 32, 32, 3, 1},   {"8x8 64>64 k3 s1", 8, 64, 64, 3, 1},         {"32x32 16>16 k3 s1", 32, 16, 16, 3, 1},
    {"pw 16x16 8>48", 16, 8, 48, 1, 1},        {"pw 16x16 48>8", 16, 48, 8, 1, 1},           {"pw 12x12 96>16", 12, 96, 16, 1, 1},
    {"pw 6x6 24>144", 6, 24, 144, 1, 1},       {"pw 6x6 144>24", 6, 144, 24, 1, 1},          {"pw 1x1 112>1280", 1, 112, 1280, 1, 1},
};

static void convolution(const options *o, const layer_shape *shape) {
    static probe probes[PROBES];
    layer_bench *l[PROBES];
    uint32_t count = 0;
    l[0] = layer_open(shape, 1, 1.0, false, true, o->kernels);
    probe_add(probes, &count, layer_backward, l[0]);
    for (uint32_t i = 0; i < SHARES; i++) {
        for (uint32_t channels = 0; channels < (shares[i] < 1.0 ? 2u : 1u); channels++) {
            l[count] = layer_open(shape, 1, shares[i], channels != 0, false, o->kernels);
            probe_add(probes, &count, layer_backward, l[count]);
        }
    }
    probe_run(probes, count, o);
    const tp_plan_node *p = layer_node(l[0]);
    double flops = 2.0 * ((double)p->macs_dw + p->macs_dx);
    for (uint32_t i = 0, at = 1; i < SHARES; i++) {
        print_start(o, "conv");
        printf(",\"shape\":\"%s\",\"elements\":%u,\"share\":%g,\"denseUs\":%.4f,\"denseGflops\":%.1f,\"elementUs\":%.4f,\"elementSpeedUp\":%.3f", shape->name,
               p->n_out, shares[i], probes[0].median, flops / probes[0].median * 1e-3, probes[at].median, probes[0].median / probes[at].median);
        at++;
        if (shares[i] < 1.0) {
            printf(",\"channelUs\":%.4f,\"channelSpeedUp\":%.3f", probes[at].median, probes[0].median / probes[at].median);
            at++;
        }
        printf("}\n");
    }
    for (uint32_t i = 0; i < count; i++) { layer_close(l[i]); }
    fflush(stdout);
}

/* --- selection: the k largest of n --- */

typedef struct selection {
    layer_bench *l;
    uint32_t n, keep, next;
    float *from[8], *to;
    bool copies; /* the copy alone: a selection overwrites its input */
} selection;

static void selection_call(void *user) {
    selection *s = user;
    memcpy(s->to, s->from[s->next++ % 8u], sizeof(float) * s->n);
    if (!s->copies) { layer_select(s->l, s->to, s->keep); }
}

/* Gaussian, or as behind a ReLU: half zeros, the others log-normal (about: a power of two with a normal exponent). */
static float selection_value(bool relu, uint32_t stream, uint32_t i) {
    float normal = bench_normal(stream, i);
    if (!relu) { return normal; }
    if (bench_uniform(stream + 50u, i, 2) == 0) { return 0.0f; }
    int32_t e = (int32_t)(normal * 2.0f);
    float sign = bench_uniform(stream + 60u, i, 2) == 0 ? 1.0f : -1.0f;
    return sign * tp_f32_from_bits((uint32_t)(127 + e) << 23) * (1.0f + tp_rng_unit(tp_rng(3, 9, stream, 0, i).word[0]));
}

static void select_top(const options *o, uint32_t n) {
    static probe probes[PROBES];
    static const double keeps[2] = {0.1, 0.5};
    static selection s[5];
    uint32_t count = 0;
    layer_shape shape = {"select", 0, 1, n, 0, 0};
    layer_bench *l = layer_open(&shape, 1, 1.0, false, false, o->kernels);
    float *to = bench_take(sizeof(float) * n);
    for (uint32_t i = 0; i < 5; i++) {
        s[i] = (selection){.l = l, .n = n, .keep = layer_keep(n, keeps[i % 2u]), .to = to, .copies = i == 4};
        for (uint32_t j = 0; j < 8; j++) {
            s[i].from[j] = bench_take(sizeof(float) * n);
            for (uint32_t e = 0; e < n; e++) { s[i].from[j][e] = selection_value(i / 2u == 1u, j, e); }
        }
        probe_add(probes, &count, selection_call, &s[i]);
    }
    probe_run(probes, count, o);
    for (uint32_t i = 0; i < 4; i++) {
        print_start(o, "select");
        printf(",\"n\":%u,\"share\":%g,\"data\":\"%s\",\"nsPerElement\":%.4f}\n", n, keeps[i % 2u], i / 2u == 1u ? "relu" : "gauss",
               (probes[i].median - probes[4].median) * 1000.0 / n);
    }
    for (uint32_t i = 0; i < 5; i++) {
        for (uint32_t j = 0; j < 8; j++) { free(s[i].from[j]); }
    }
    free(to);
    layer_close(l);
    fflush(stdout);
}

/* --- a sample that TinyPropv2 skips: its forward pass and the decision --- */

typedef struct skipped {
    bench_net b;
    const workload_data *data;
    uint32_t next;
} skipped;

static void skipped_step(void *user) {
    skipped *s = user;
    tp_batch one = workload_batch(s->data, s->next++ % BENCH_SAMPLES, 1);
    bench_check(tp_train_step(&s->b.net, &one, NULL), "skip");
}

static void skipped_forward(void *user) {
    skipped *s = user;
    tp_batch one = workload_batch(s->data, s->next++ % BENCH_SAMPLES, 1);
    const float *y;
    bench_check(tp_net_forward(&s->b.net, one.x, &y), "skip");
}

static void skip(const options *o, const workload_row *row) {
    static probe probes[PROBES];
    static workload w;
    uint32_t count = 0;
    tp_recipe recipe = tp_recipe_default();
    recipe.policy = tp_list_id(TP_LIST_POLICY, "tinypropv2");
    recipe.policy_params.alpha_mode = TP_MAX_FIXED;
    recipe.policy_params.alpha_fixed = 1e30f; /* no error comes near */
    workload_build(&w, row);
    skipped s = {.b = bench_open(&w.model, &recipe, &(bench_host){1, 1}, o->kernels)};
    workload_data data = workload_samples(s.b.plan->n_in, s.b.plan->n_out);
    s.data = &data;
    probe_add(probes, &count, skipped_step, &s);
    probe_add(probes, &count, skipped_forward, &s);
    probe_run(probes, count, o);
    tp_progress progress;
    bench_check(tp_net_progress(&s.b.net, &progress), "skip");
    if (progress.updates != 0) { bench_fail("skip: %s has learnt", row->name); }
    print_start(o, "skip");
    printf(",\"workload\":\"%s\",\"skippedUs\":%.4f,\"forwardUs\":%.4f,\"ratio\":%.4f}\n", row->name, probes[0].median, probes[1].median,
           probes[0].median / probes[1].median);
    bench_close(&s.b);
    workload_free(&data);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static const uint32_t sizes[] = {64, 128, 256, 512, 1024}, lengths[] = {64, 256, 1000, 4096, 16384, 100000};
    options o = {.rounds = 9, .ms = 3.0};
    const char *isa = NULL, *text;
    for (int i = 1; i < argc; i++) {
        if ((text = bench_option(argc, argv, &i, "--isa")) != NULL) {
            isa = text;
        } else if ((text = bench_option(argc, argv, &i, "--rounds")) != NULL) {
            o.rounds = bench_integer("--rounds", text, 1, BENCH_ROUNDS_MAX);
        } else if ((text = bench_option(argc, argv, &i, "--ms")) != NULL) {
            o.ms = bench_number("--ms", text, 0.1, 10000);
        } else {
            bench_fail("unknown option %s", argv[i]);
        }
    }
    o.kernels = bench_kernels(isa);
    bench_share share = bench_share_begin();
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) { dense_batch_one(&o, sizes[i]); }
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) { dense_batch(&o, sizes[i], 32); }
    for (uint32_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++) { convolution(&o, &convolutions[i]); }
    for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) { select_top(&o, lengths[i]); }
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        if (workload_rows[i].batch[0] == 1) { skip(&o, &workload_rows[i]); }
    }
    bench_share_report(&share);
    return 0;
}
