/* SPDX-License-Identifier: Apache-2.0 */
/* The public header alone, before anything else: it needs no other include, may come twice, and its types have the sizes
 * that cross boundaries. C++ reads it in test/csrc/header.test.ts. */
#include "../../csrc/include/tinyprop.h"

#include "../../csrc/include/tinyprop.h"

static tp_recipe header_recipe; /* the types are complete here */
static tp_net header_net;

_Static_assert(sizeof(tp_status) == 4, "a status is 32 bits");
_Static_assert(sizeof(tp_node) == 108, "node records are part of the file format");
_Static_assert(sizeof(tp_recipe) == 152, "recipes are part of the file format");
_Static_assert(sizeof(tp_progress) == 32, "counters are part of the file format");
_Static_assert(sizeof(tp_layer_stats) == 24, "records are read by other languages");
_Static_assert(offsetof(tp_stats, macs_forward) == 24 && offsetof(tp_stats, layer) == 72, "records are read by other languages");

#include "../../csrc/tinyprop.c"

#include "tp_test.h"

/* A plan holds no pointer and no size of this machine: offsets made here are the microcontroller's. */
static void tp_plan_is_pointer_free(void) {
    TP_CHECKF(sizeof(tp_plan_node) == 464 && sizeof(tp_tensor) == 32, "%zu, %zu", sizeof(tp_plan_node), sizeof(tp_tensor));
    TP_CHECKF(sizeof(tp_plan) == 792 && offsetof(tp_plan, node) == 328, "%zu, %zu", sizeof(tp_plan), offsetof(tp_plan, node));
    TP_CHECK(offsetof(tp_stats, layer) == 72);
}

static void tp_header_stands_alone(void) {
    TP_CHECK(header_recipe.policy == 0 && header_net.ready == 0);
    TP_CHECK(TP_VERSION_MAJOR == 0 && TP_ALIGN == 64u);
}

int main(void) {
    TP_RUN(tp_header_stands_alone);
    TP_RUN(tp_plan_is_pointer_free);
    return tp_end();
}
