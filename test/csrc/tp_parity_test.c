/* SPDX-License-Identifier: Apache-2.0 */
/* The parity trace on every instruction set of this machine against its pinned hashes. */
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

static void tp_trace_is_pinned(void) {
    tp_parity_row row;
    uint32_t i = 0;
    for (; tp_parity_row_at(i, &row); i++) {
        if (i >= TP_PINNED_ROWS) { break; }
        const tp_parity_row *want = &tp_pinned[i];
        bool named = strcmp(row.graph, want->graph) == 0 && strcmp(row.policy, want->policy) == 0 && strcmp(row.optimizer, want->optimizer) == 0 && row.batch == want->batch;
        TP_CHECKF(named, "row %u is %s %s %s %u", i, row.graph, row.policy, row.optimizer, row.batch);
        uint64_t hash = tp_parity_run(&row, tp_under_test);
        TP_CHECKF(hash == want->hash, "%s %s %s %u: %016llx, pinned %016llx", row.graph, row.policy, row.optimizer, row.batch,
                  (unsigned long long)hash, (unsigned long long)want->hash);
    }
    TP_CHECKF(i == TP_PINNED_ROWS && !tp_parity_row_at(i, &row), "trace and pinned trace differ in length");
}

/* A trace that learns nothing would prove nothing: full training must fit the data. */
static void tp_trace_learns(void) {
    static const tp_parity_row row[2] = {{"mlp", "full", "momentum", 4, 0}, {"cnn", "full", "momentum", 4, 0}};
    for (uint32_t i = 0; i < 2; i++) {
        TP_CHECK(tp_parity_run(&row[i], tp_kernels_best()) != 0);
        TP_CHECKF(tp_parity_record.stats.correct == tp_parity_record.stats.samples && tp_parity_record.stats.loss < 0.5f, "%s: %u of %u, loss %.3f", row[i].graph,
                  tp_parity_record.stats.correct, tp_parity_record.stats.samples, (double)tp_parity_record.stats.loss);
    }
}

int main(void) {
    bool usable = false;
    for (uint32_t i = 0; (tp_under_test = tp_kernels_row(i, &usable)) != NULL; i++) {
        char name[64];
        snprintf(name, sizeof name, "tp_trace_is_pinned_%s", tp_kernels_name(tp_under_test));
        if (usable) { tp_run(name, tp_trace_is_pinned); }
    }
    TP_RUN(tp_trace_learns);
    return tp_end();
}
