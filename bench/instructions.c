/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hottest work with fixed inputs, to be counted in instructions by bench/instructions.mjs.
 *   instructions --list                            the compiler and the cases, lines of JSON
 *   instructions --isa avx2 --case N --repeat 4    does case N so many times
 */
#include "layer.h"

typedef struct hot_case {
    const char *name;
    layer_shape shape;
    uint32_t batch;
    double share; /* of the elements (channels: of a convolution's channels) that have an error */
    bool channels;
    void (*call)(void *layer);
    bool guarded; /* one of the ten that must not get slower */
} hot_case;

#define DENSE {"", 0, 784, 256, 0, 0}
#define DENSE_SMALL {"", 0, 256, 64, 0, 0}
#define CONV {"", 14, 16, 32, 3, 2}
#define POINTWISE {"", 8, 48, 8, 1, 1}
#define DEPTHWISE {"", 8, 48, 0, 3, 1}

static const hot_case cases[] = {
    {"dense 784>256 forward", DENSE, 1, 1.0, false, layer_forward, true},
    {"dense 784>256 backward, all rows", DENSE, 1, 1.0, false, layer_backward, true},
    {"dense 784>256 backward, 10 % of the rows", DENSE, 1, 0.1, false, layer_backward, true},
    {"dense 256>64 b32 forward", DENSE_SMALL, 32, 1.0, false, layer_forward, true},
    {"dense 256>64 b32 errors", DENSE_SMALL, 32, 1.0, false, layer_input_errors, true},
    {"dense 256>64 b32 gradients", DENSE_SMALL, 32, 1.0, false, layer_gradients, true},
    {"dense 256>64 b32 errors, 10 % of the rows", DENSE_SMALL, 32, 0.1, false, layer_input_errors, false},
    {"dense 256>64 b32 gradients, 10 % of the rows", DENSE_SMALL, 32, 0.1, false, layer_gradients, false},
    {"conv 14x14 16>32 k3 s2 forward", CONV, 1, 1.0, false, layer_forward, true},
    {"conv 14x14 16>32 k3 s2 errors", CONV, 1, 1.0, false, layer_input_errors, true},
    {"conv 14x14 16>32 k3 s2 gradients", CONV, 1, 1.0, false, layer_gradients, true},
    {"conv 14x14 16>32 k3 s2 backward, 25 % of the channels", CONV, 1, 0.25, true, layer_backward, false},
    {"pointwise 8x8 48>8 forward", POINTWISE, 1, 1.0, false, layer_forward, false},
    {"pointwise 8x8 48>8 errors", POINTWISE, 1, 1.0, false, layer_input_errors, false},
    {"pointwise 8x8 48>8 gradients", POINTWISE, 1, 1.0, false, layer_gradients, false},
    {"depthwise 8x8x48 k3 forward", DEPTHWISE, 1, 1.0, false, layer_forward, false},
    {"depthwise 8x8x48 k3 errors", DEPTHWISE, 1, 1.0, false, layer_input_errors, false},
    {"depthwise 8x8x48 k3 gradients", DEPTHWISE, 1, 1.0, false, layer_gradients, false},
    {"selection of 157 in 1568", CONV, 1, 1.0, false, layer_choose_tenth, true},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void list(void) {
#if defined(__clang__)
    printf("{\"compiler\":\"clang-%d.%d.%d\"}\n", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    printf("{\"compiler\":\"gcc-%d.%d.%d\"}\n", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    for (uint32_t i = 0; i < CASES; i++) { printf("{\"case\":\"%s\",\"guarded\":%s}\n", cases[i].name, cases[i].guarded ? "true" : "false"); }
}

int main(int argc, char **argv) {
    const char *isa = NULL, *text;
    uint32_t which = 0, repeat = 0;
    for (int i = 1; i < argc; i++) {
        if ((text = bench_option(argc, argv, &i, "--isa")) != NULL) {
            isa = text;
        } else if ((text = bench_option(argc, argv, &i, "--case")) != NULL) {
            which = bench_integer("--case", text, 0, CASES - 1);
        } else if ((text = bench_option(argc, argv, &i, "--repeat")) != NULL) {
            repeat = bench_integer("--repeat", text, 0, LAYER_SETS);
        } else if (strcmp(argv[i], "--list") == 0) {
            list();
            return 0;
        } else {
            bench_fail("unknown option %s", argv[i]);
        }
    }
    const hot_case *c = &cases[which];
    layer_bench *l = layer_open(&c->shape, c->batch, c->share, c->channels, false, bench_kernels(isa));
    for (uint32_t i = 0; i < repeat; i++) { c->call(l); }
    layer_close(l);
    return 0;
}
