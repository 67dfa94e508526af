/* SPDX-License-Identifier: Apache-2.0 */
/* Trains a network on handwritten digits, on the device, sample by sample. All the memory it learns in is `arena`. */
#include <stdio.h>

#include "tinyprop.h"

/* op 1: dense, 8: relu (csrc/layer/tp_layer_list.h) */
static const tp_node nodes[] = {
    {.name = "hidden", .op = 1, .in = {TP_INPUT, TP_NONE}, .units = 32},
    {.name = "relu", .op = 8, .in = {0, TP_NONE}},
    {.name = "out", .op = 1, .in = {1, TP_NONE}, .units = 10},
};
static const tp_model model = {nodes, 3, {1, 1, 64, 1}, TP_F32, 1 /* softmax cross-entropy */};
static _Alignas(8) uint8_t plan_bytes[2048];
static _Alignas(TP_ALIGN) uint8_t arena[12 * 1024];

/* The samples in flash: 8 bytes of name, their number, 64 pixels of 0 to 16 each, labels, and which are for testing. */
__asm__(".section .rodata\n.balign 4\ndigits:\n.incbin \"" DIGITS_FILE "\"\n.previous\n");
extern const uint8_t digits[];
static uint32_t n_digits(void) { return digits[8] | (uint32_t)digits[9] << 8; }
static const uint8_t *digit(uint32_t i) { return digits + 12 + 64u * i; }
static uint32_t digit_label(uint32_t i) { return digits[12 + 64u * n_digits() + i]; }
static uint32_t digit_is_test(uint32_t i) { return digits[12 + 65u * n_digits() + i]; }

/* Your sensor goes here. */
static void read_sample(uint32_t i, float x[64]) {
    for (uint32_t j = 0; j < 64; j++) { x[j] = (float)digit(i)[j] * (1.0f / 16.0f) - 0.3f; }
}

/* Per mille of the test digits that it reads right. */
static unsigned accuracy(tp_net *net) {
    uint32_t right = 0, seen = 0;
    for (uint32_t i = 0; i < n_digits(); i++) {
        float x[64];
        const float *y;
        if (!digit_is_test(i)) { continue; }
        read_sample(i, x);
        if (tp_net_forward(net, x, &y) != TP_OK) { return 0; }
        uint32_t best = 0;
        for (uint32_t j = 1; j < 10; j++) { best = y[j] > y[best] ? j : best; }
        right += best == digit_label(i);
        seen++;
    }
    return (unsigned)(1000u * right / seen);
}

int main(void) {
    tp_plan *plan = (tp_plan *)plan_bytes;
    tp_recipe recipe = tp_recipe_default(); /* TinyPropv2, SGD, batch 1, learning rate 0.01 */
    recipe.lr = 0.03f;
    tp_net net;
    tp_status status = tp_plan_make(&model, &recipe, plan, sizeof plan_bytes, NULL);
    if (status == TP_OK) { status = tp_net_open(&net, plan, arena, sizeof arena, NULL); }
    if (status == TP_OK) { status = tp_net_init(&net); }
    if (status != TP_OK) {
        printf("cannot start: %s\n", tp_status_name(status));
        return 1;
    }
    printf("tinyprop %s, sources %s, kernels %s\n", tp_version(), tp_source_id(), tp_kernels_name(net.kernels));
    printf("arena %u of %u bytes, plan %u bytes\n", (unsigned)plan->arena_bytes, (unsigned)sizeof arena, (unsigned)plan->bytes);
    unsigned now = accuracy(&net);
    printf("before: %u.%u %%\n", now / 10u, now % 10u);
    for (uint32_t epoch = 1; status == TP_OK && epoch <= 5; epoch++) {
        uint32_t steps = 0, trained = 0;
        for (uint32_t i = 0; status == TP_OK && i < n_digits(); i++) {
            static union { tp_stats s; uint8_t bytes[sizeof(tp_stats) + sizeof(tp_layer_stats)]; } stats; /* 2 weight layers */
            float x[64];
            uint32_t label = digit_label(i);
            if (digit_is_test(i)) { continue; }
            read_sample(i, x);
            tp_batch sample = {.x = x, .label = &label, .n = 1};
            status = tp_train_step(&net, &sample, &stats.s);
            trained += stats.s.trained;
            steps++;
        }
        now = accuracy(&net);
        printf("epoch %u: %u.%u %%, trained on %u of %u samples\n", (unsigned)epoch, now / 10u, now % 10u, (unsigned)trained, (unsigned)steps);
    }
    printf("%s\n", tp_status_name(status));
    return status != TP_OK;
}
