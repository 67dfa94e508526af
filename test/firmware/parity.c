/* SPDX-License-Identifier: Apache-2.0 */
/* The parity trace at length, on a board or on the host: an MLP and a conv net under every policy, with every way of
 * selecting. The output of two machines is compared line by line; arguments: steps, instruction set (default: the best).
 *   trace MODEL POLICY[/SELECT] HASH STEPS SUMS   the hash is that of all records, of weights and state every 10 steps
 *   at STEP HASH                                  every 100 steps: says where two runs part
 * Arguments `pinned [ISA]`: the rows of trace_pinned.h instead. */
#include "../../csrc/tinyprop.c"

#include <stdio.h>
#include <stdlib.h>

#include "../parity/trace.h"

/* newlib's small printf knows no 64 bits. */
static const char *hex(uint64_t value) {
    static char text[17];
    for (uint32_t i = 0; i < 16; i++) { text[i] = "0123456789abcdef"[value >> (60u - 4u * i) & 15u]; }
    return text;
}

static tp_totals totals;

static void seen(uint32_t step, uint64_t hash) {
    tp_totals_add(&totals, &tp_parity_plan.plan, &tp_parity_record.stats);
    if (step % 100u == 0) { printf("at %u %s\n", (unsigned)step, hex(hash)); }
}

static int run(const tp_parity_row *row, const char *mode, tp_parity_long longer, const tp_kernels *k) {
    static const tp_plan_options smallest = {1, 1, 0, 0};
    memset(&totals, 0, sizeof totals);
    uint64_t hash = tp_parity_run_long(row, k, &smallest, NULL, &longer);
    printf("trace %s %s%s %s steps=%u trained=%u correct=%u macs_dw=%u macs_dx=%u selected=%u\n", row->graph, row->policy, mode, hex(hash), (unsigned)totals.steps,
           (unsigned)totals.trained, (unsigned)totals.correct, (unsigned)totals.macs_dw, (unsigned)totals.macs_dx, (unsigned)totals.selected);
    fflush(stdout);
    return hash == 0;
}

static int pinned(const tp_kernels *k) {
    static const tp_plan_options smallest = {1, 1, 0, 0};
    static const tp_parity_row wanted[] = {
#define TP_PINNED(graph, policy, optimizer, batch, hash) {#graph, #policy, #optimizer, batch, hash},
#include "../parity/trace_pinned.h"
#undef TP_PINNED
    };
    int failed = 0;
    for (uint32_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        uint64_t hash = tp_parity_run(&wanted[i], k, &smallest, NULL);
        failed += hash != wanted[i].hash;
        printf("pinned %s %s %s/%u %s %s\n", wanted[i].graph, wanted[i].policy, wanted[i].optimizer, (unsigned)wanted[i].batch, hex(hash),
               hash == wanted[i].hash ? "ok" : "DIFFERENT");
        fflush(stdout);
    }
    return failed;
}

int main(int argc, char **argv) {
    const tp_kernels *k = argc > 2 ? tp_kernels_named(argv[2]) : tp_kernels_best();
    if (k == NULL || argc < 2) { return 2; }
    printf("source %s\nisa %s\n", tp_source_id(), tp_kernels_name(k));
    if (strcmp(argv[1], "pinned") == 0) { return pinned(k); }
    static const struct {
        const char *name;
        uint32_t select;
    } modes[] = {{"/element", TP_SELECT_ELEMENT}, {"/channel", TP_SELECT_CHANNEL}};
    const uint32_t steps = (uint32_t)strtoul(argv[1], NULL, 10);
    int failed = 0;
    const char *policy;
    for (uint32_t i = 0; (policy = tp_list_name(TP_LIST_POLICY, i, NULL)) != NULL; i++) {
        tp_parity_row row = {"mlp", policy, "sgd", 1, 0};
        failed += run(&row, "", (tp_parity_long){steps, TP_SELECT_AUTO, seen}, k);
        row.graph = "cnn";
        for (uint32_t m = 0; m < 2; m++) { failed += run(&row, modes[m].name, (tp_parity_long){steps, modes[m].select, seen}, k); }
    }
    printf("end\n");
    return failed;
}
