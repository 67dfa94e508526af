/* SPDX-License-Identifier: Apache-2.0 */
/* Float kernels on the shapes of docs/FIRMWARE.md: bytes of the outputs, and what they take.
 *   float SHAPE HASH ticks=N        ticks of the system timer, in an emulator that runs by instructions; on the host 0
 * No shape has padding, so that all of its multiply-accumulates are done. */
#include "../../csrc/tinyprop.c"

#include <stdio.h>

#include "counter.h"

enum { ROWS = 64, KEPT = 16, MOST = 256, ROOM = 8192 };
static float x[ROOM], y[ROOM], w[ROWS * MOST], d[ROWS];
static const tp_kernels *k;
static uint64_t none; /* what two looks at the counter take */

static void say(const char *shape, uint64_t from) {
    const uint64_t ticks = counter_now() - from;
    uint32_t hash = 0x811c9dc5u; /* FNV-1a */
    const uint8_t *bytes[2] = {(const uint8_t *)y, (const uint8_t *)w};
    const size_t n[2] = {sizeof y, sizeof w};
    for (uint32_t part = 0; part < 2; part++) {
        for (size_t i = 0; i < n[part]; i++) { hash = (hash ^ bytes[part][i]) * 0x01000193u; }
    }
    printf("float %s %08lx ticks=%lu\n", shape, (unsigned long)hash, (unsigned long)(ticks > none ? ticks - none : 0u));
    memset(y, 0, sizeof y);
}

static const struct {
    const char *name;
    tp_conv g;
} convolutions[] = {
    {"conv_k72", {10, 10, 8, 8, 8, 16, 3, 3, 1, 1, 0, 0, 1}},
    {"conv_k144", {10, 10, 16, 8, 8, 16, 3, 3, 1, 1, 0, 0, 1}},
    {"pointwise_k72", {8, 8, 72, 8, 8, 16, 1, 1, 1, 1, 0, 0, 1}},
    {"depthwise", {10, 10, 48, 8, 8, 48, 3, 3, 1, 1, 0, 0, 48}},
};

static const struct {
    const char *forward, *back;
    uint32_t n_in;
} layers[] = {{"dense_k144", "back_k144", 144}, {"dense_k256", "back_k256", 256}};

int main(void) {
    uint32_t random = 1;
    for (uint32_t i = 0; i < ROOM; i++) { x[i] = (float)(int32_t)(random = random * 1664525u + 1013904223u) * 0x1p-31f; }
    for (uint32_t i = 0; i < ROWS * MOST; i++) { w[i] = (float)(int32_t)(random = random * 1664525u + 1013904223u) * 0x1p-31f; }
    for (uint32_t kept = 0; kept < KEPT;) { /* wherever chance puts them */
        float *at = &d[(random = random * 1664525u + 1013904223u) >> 26];
        if (*at == 0.0f) { *at = 0.01f * (float)++kept; }
    }
    k = tp_kernels_best();
    const double unit = counter_start();
    uint64_t from = counter_now();
    none = counter_now() - from;
    printf("source %s\nisa %s\nticks_of_a_million %.0f\n", tp_source_id(), tp_kernels_name(k), unit);
    for (uint32_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const uint32_t n_in = layers[i].n_in;
        from = counter_now();
        TP_CALL(k, dense_f32)(y, w, x, NULL, 16, n_in, 1);
        say(layers[i].forward, from);
        from = counter_now();
        TP_CALL(k, dense_sgd_f32)(y, w, x, d, 0.01f, ROWS, n_in, false);
        say(layers[i].back, from);
    }
    for (uint32_t i = 0; i < sizeof convolutions / sizeof convolutions[0]; i++) {
        const tp_conv *g = &convolutions[i].g;
        from = counter_now();
        TP_CALL(k, conv_f32)(g, 1, y, x, w, NULL, NULL);
        say(convolutions[i].name, from);
    }
    printf("end\n");
    return 0;
}
