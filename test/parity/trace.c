/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the parity trace, in the form of trace_pinned.h:
 *   cc -std=c11 -O2 test/parity/trace.c -o trace && ./trace [ISA]
 * On every machine, compiler and optimisation level the same lines. */
#include "../../csrc/tinyprop.c"

#include <inttypes.h>
#include <stdio.h>

#include "trace.h"

int main(int argc, char **argv) {
    const tp_kernels *k = argc > 1 ? tp_kernels_named(argv[1]) : tp_kernels_best();
    static const tp_plan_options smallest = {1, 1, 0, 0};
    tp_parity_row row;
    if (k == NULL) {
        fprintf(stderr, "no kernels \"%s\" here\n", argv[1]);
        return 2;
    }
    for (uint32_t i = 0; tp_parity_row_at(i, &row); i++) {
        row.hash = tp_parity_run(&row, k, &smallest, NULL);
        if (row.hash == 0) {
            fprintf(stderr, "%s %s %s %" PRIu32 " failed\n", row.graph, row.policy, row.optimizer, row.batch);
            return 1;
        }
        printf("TP_PINNED(%s, %s, %s, %" PRIu32 ", 0x%016" PRIx64 "u)\n", row.graph, row.policy, row.optimizer, row.batch, row.hash);
    }
    return 0;
}
