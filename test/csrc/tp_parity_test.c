/* SPDX-License-Identifier: Apache-2.0 */
/* The parity trace on every instruction set of this machine, with every kind of plan and number of threads, against its
 * pinned hashes. */
#define TP_PARALLEL_MACS 1u /* small as the nets are, split them */
#define TP_PARITY_ARENA (4096 * 1024)
#include "../../csrc/tinyprop.c"

#include "../parity/trace.h"
#include "tp_test.h"

static const tp_parity_row tp_pinned[] = {
#define TP_PINNED(graph, policy, optimizer, batch, hash) {#graph, #policy, #optimizer, batch, hash},
#include "../parity/trace_pinned.h"
#undef TP_PINNED
};
enum { TP_PINNED_ROWS = sizeof tp_pinned / sizeof tp_pinned[0] };

static const tp_kernels *tp_under_test;
static const tp_plan_options *tp_options;

/* Threads end in any order: here the last part is done first. */
static void tp_backwards(void *user, void (*task)(void *argument, uint32_t index), void *argument, uint32_t n) {
    (*(uint32_t *)user)++;
    while (n-- > 0) { task(argument, n); }
}

/* Every byte as filled: the first, and each as the one before it (a loop over 4 MiB takes longer than the training). */
static bool tp_untouched(const unsigned char *bytes, size_t n) { return n == 0 || (bytes[0] == 0xa5 && memcmp(bytes, bytes + 1, n - 1) == 0); }

static void tp_trace_is_pinned(void) {
    tp_parity_row row;
    uint32_t i = 0, splits = 0;
    tp_parallel parallel = {tp_backwards, &splits};
    for (; tp_parity_row_at(i, &row); i++) {
        if (i >= TP_PINNED_ROWS) { break; }
        const tp_parity_row *want = &tp_pinned[i];
        bool named = strcmp(row.graph, want->graph) == 0 && strcmp(row.policy, want->policy) == 0 && strcmp(row.optimizer, want->optimizer) == 0 && row.batch == want->batch;
        TP_CHECKF(named, "row %u is %s %s %s %u", i, row.graph, row.policy, row.optimizer, row.batch);
        memset(tp_parity_arena, 0xa5, sizeof tp_parity_arena);
        uint64_t hash = tp_parity_run(&row, tp_under_test, tp_options, &parallel);
        size_t end = tp_parity_plan.plan.arena_bytes;
        TP_CHECKF(tp_untouched(tp_parity_arena + end, sizeof tp_parity_arena - end), "%s %s %s %u: wrote behind the arena", row.graph, row.policy, row.optimizer, row.batch);
        TP_CHECKF(hash == want->hash, "%s %s %s %u: %016llx, pinned %016llx", row.graph, row.policy, row.optimizer, row.batch,
                  (unsigned long long)hash, (unsigned long long)want->hash);
    }
    TP_CHECKF(i == TP_PINNED_ROWS && !tp_parity_row_at(i, &row), "trace and pinned trace differ in length");
    TP_CHECK((splits > 0) == (tp_options->threads > 1 && tp_options->samples > 1));
}

static const tp_plan_options tp_plans[] = {{1, 1, 0, 0}, {1, 1, 1, 0}, {3, 1, 0, 0}, {3, 3, 1, 0}, {TP_MAX_SAMPLES, 2, 1, 0}};

/* A trace that learns nothing would prove nothing: full training must fit the data. */
static void tp_trace_learns(void) {
    static const tp_parity_row row[2] = {{"mlp", "full", "momentum", 4, 0}, {"cnn", "full", "momentum", 4, 0}};
    for (uint32_t i = 0; i < 2; i++) {
        TP_CHECK(tp_parity_run(&row[i], tp_kernels_best(), &tp_plans[0], NULL) != 0);
        TP_CHECKF(tp_parity_record.stats.correct == tp_parity_record.stats.samples && tp_parity_record.stats.loss < 0.5f, "%s: %u of %u, loss %.3f", row[i].graph,
                  tp_parity_record.stats.correct, tp_parity_record.stats.samples, (double)tp_parity_record.stats.loss);
    }
}

/* An argument: that instruction set alone with the first and the last kind of plan, or `all`, the wide ones with the last kind alone
 * (emulators and sanitizers are slow). */
int main(int argc, char **argv) {
    const uint32_t plans = sizeof tp_plans / sizeof tp_plans[0];
    bool usable = false;
    for (uint32_t i = 0; (tp_under_test = tp_kernels_row(i, &usable)) != NULL; i++) {
        const bool all = argc > 1 && strcmp(argv[1], "all") == 0;
        if (argc > 1 && !all && strcmp(argv[1], tp_kernels_name(tp_under_test)) != 0) { continue; }
        for (uint32_t o = all && i > 1 ? plans - 1u : 0; o < plans && usable; o += argc > 1 ? plans - 1u : 1u) {
            char name[96];
            if (tp_text_equal(tp_kernels_name(tp_under_test), "soft") && o > 0) { continue; } /* slow, and split like scalar */
            tp_options = &tp_plans[o];
            snprintf(name, sizeof name, "tp_trace_is_pinned_%s_%u_samples_%u_threads%s", tp_kernels_name(tp_under_test), tp_options->samples, tp_options->threads,
                     tp_options->packing != 0 ? "_packing" : "");
            tp_run(name, tp_trace_is_pinned);
        }
    }
    if (argc < 2) { TP_RUN(tp_trace_learns); }
    return tp_end();
}
