/* SPDX-License-Identifier: Apache-2.0 */
/* int8 kernels on shapes that others have been measured with: bytes of the outputs, and what they take.
 *   int8 SHAPE HASH ticks=N        ticks of the system timer, in an emulator that runs by instructions; on the host 0
 * Compiled with TP_CMSIS_NN, the same kernels through CMSIS-NN, and CMSIS-NN called as its own users do:
 *   direct SHAPE HASH ticks=N */
#include "../../csrc/tinyprop.c"

#include <stdio.h>

#include "counter.h"

enum { C = 64, SIDE = 16, ROOM = SIDE * SIDE * C };
static int8_t x[ROOM], y[ROOM], w[C * 9 * C];
static int32_t b[C], multiplier[C], shift[C];
static uint32_t scratch[16384];
static const tp_requant q = {multiplier, shift, -5, 3, -128, 127};
static const tp_add_s8 sum = {-5, 3, 1, 0x40000000, 0x50000000, 0x60000000, 0, -1, -18};
static const tp_kernels *k;
static uint64_t none; /* what two looks at the counter take */
static const tp_conv halves = {16, 16, 16, 8, 8, 16, 2, 2, 2, 2, 0, 0, 16}, whole = {8, 8, 64, 1, 1, 64, 8, 8, 1, 1, 0, 0, 64};
static const tp_softmax_s8 of_ten = {0x53a1b2c3, 22, -496};

static void say(const char *what, const char *shape, uint64_t from) {
    const uint64_t ticks = counter_now() - from;
    uint32_t hash = 0x811c9dc5u; /* FNV-1a */
    for (uint32_t i = 0; i < ROOM; i++) { hash = (hash ^ (uint8_t)y[i]) * 0x01000193u; }
    printf("%s %s %08lx ticks=%lu\n", what, shape, (unsigned long)hash, (unsigned long)(ticks > none ? ticks - none : 0u));
    memset(y, 0, sizeof y);
}

static const struct {
    const char *name;
    tp_conv g;
    int kind; /* 0: dense, 1: convolution, 2: depthwise */
} shapes[] = {
    {"dense", {1, 1, 128, 1, 1, 64, 1, 1, 1, 1, 0, 0, 1}, 0},
    {"conv", {16, 16, 8, 16, 16, 16, 3, 3, 1, 1, 1, 1, 1}, 1},
    {"pointwise", {8, 8, 64, 8, 8, 64, 1, 1, 1, 1, 0, 0, 1}, 1},
    {"depthwise", {8, 8, 64, 8, 8, 64, 3, 3, 1, 1, 1, 1, 64}, 2},
};

static void ours(void) {
    for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const tp_conv *g = &shapes[i].g;
        const uint64_t from = counter_now();
        if (shapes[i].kind == 0) {
            TP_CALL(k, dense_s8)(y, w, x, b, &q, g->c_out, g->c_in, 1);
        } else if (shapes[i].kind == 1) {
            TP_CALL(k, conv_s8)(g, 1, y, x, w, b, &q, scratch);
        } else {
            TP_CALL(k, depthwise_s8)(g, 1, y, x, w, b, &q, scratch);
        }
        say("int8", shapes[i].name, from);
    }
    uint64_t from = counter_now();
    TP_CALL(k, add_s8)(y, x, x + 4096, &sum, 4096);
    say("int8", "add", from);
    from = counter_now();
    TP_CALL(k, max_pool_s8)(&halves, y, x);
    say("int8", "max_pool", from);
    from = counter_now();
    TP_CALL(k, avg_pool_s8)(&whole, y, x, scratch);
    say("int8", "avg_pool", from);
    from = counter_now();
    TP_CALL(k, softmax_s8)(y, x, &of_ten, 10);
    say("int8", "softmax", from);
}

#ifdef TP_CMSIS_NN
static void direct(void) {
    const cmsis_nn_per_channel_quant_params channels = {multiplier, shift};
    const cmsis_nn_tile one = {1, 1};
    const cmsis_nn_activation all = {q.lo, q.hi};
    for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const tp_conv *g = &shapes[i].g;
        const int32_t c_in = (int32_t)g->c_in, c_out = (int32_t)g->c_out, kh = (int32_t)g->kh, kw = (int32_t)g->kw;
        const cmsis_nn_tile padding = {(int32_t)g->pad_left, (int32_t)g->pad_top};
        const cmsis_nn_context context = {scratch, sizeof scratch};
        const cmsis_nn_dims in = {1, (int32_t)g->h, (int32_t)g->w, c_in}, out = {1, (int32_t)g->oh, (int32_t)g->ow, c_out}, bias = {1, 1, 1, c_out};
        int status;
        uint64_t from;
        if (shapes[i].kind == 0) { /* the sums of the weights, which it wants on Helium, beforehand */
            const cmsis_nn_fc_params params = {-q.x_zero, 0, q.y_zero, all};
            const cmsis_nn_per_tensor_quant_params tensor = {multiplier[0], shift[0]};
            const cmsis_nn_dims filter = {c_in, 1, 1, c_out};
            arm_vector_sum_s8((int32_t *)scratch, c_in, c_out, w, -q.x_zero, 0, b);
            from = counter_now();
            status = arm_fully_connected_s8(&context, &params, &tensor, &in, x, &filter, w, &bias, b, &out, y);
        } else if (shapes[i].kind == 1) {
            const cmsis_nn_conv_params params = {-q.x_zero, q.y_zero, one, padding, one, all};
            const cmsis_nn_dims filter = {c_out, kh, kw, c_in};
            from = counter_now();
            status = arm_convolve_wrapper_s8(&context, &params, &channels, &in, x, &filter, w, &bias, b, &out, y);
        } else {
            const cmsis_nn_dw_conv_params params = {-q.x_zero, q.y_zero, 1, one, padding, one, all};
            const cmsis_nn_dims filter = {1, kh, kw, c_out};
            from = counter_now();
            status = arm_depthwise_conv_wrapper_s8(&context, &params, &channels, &in, x, &filter, w, &bias, b, &out, y);
        }
        say(status == ARM_CMSIS_NN_SUCCESS ? "direct" : "refused", shapes[i].name, from);
    }
    uint64_t from = counter_now();
    arm_elementwise_add_s8(x, x + 4096, -sum.a_zero, sum.a_multiplier, sum.a_shift, -sum.b_zero, sum.b_multiplier, sum.b_shift, 20, y, sum.y_zero,
                           sum.y_multiplier, sum.y_shift, -128, 127, 4096);
    say("direct", "add", from);
    const cmsis_nn_pool_params by_two = {{2, 2}, {0, 0}, {-128, 127}}, by_one = {one, {0, 0}, {-128, 127}};
    const cmsis_nn_context context = {scratch, sizeof scratch};
    const cmsis_nn_dims in[2] = {{1, 16, 16, 16}, {1, 8, 8, 64}}, window[2] = {{1, 2, 2, 1}, {1, 8, 8, 1}}, out[2] = {{1, 8, 8, 16}, {1, 1, 1, 64}};
    from = counter_now();
    arm_max_pool_s8(&context, &by_two, &in[0], x, &window[0], &out[0], y);
    say("direct", "max_pool", from);
    from = counter_now();
    arm_avgpool_s8(&context, &by_one, &in[1], x, &window[1], &out[1], y);
    say("direct", "avg_pool", from);
    from = counter_now();
    arm_softmax_s8(x, 1, 10, of_ten.multiplier, of_ten.shift, of_ten.least, y);
    say("direct", "softmax", from);
}
#else
static void direct(void) {}
#endif

static uint32_t random_state = 1;
static int32_t random_below(uint32_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (int32_t)((random_state >> 8) % n);
}

int main(void) {
    for (uint32_t i = 0; i < sizeof x; i++) { x[i] = (int8_t)(random_below(256) - 128); }
    for (uint32_t i = 0; i < sizeof w; i++) { w[i] = (int8_t)(random_below(255) - 127); }
    for (uint32_t i = 0; i < C; i++) { /* one number for all, as dense layers have it: what CMSIS-NN does best */
        b[i] = random_below(4000) - 2000;
        multiplier[i] = 0x53a1b2c3;
        shift[i] = -9;
    }
    k = tp_kernels_best();
    const double unit = counter_start();
    const uint64_t from = counter_now();
    none = counter_now() - from;
    printf("source %s\nisa %s\nticks_of_a_million %.0f\n", tp_source_id(), tp_kernels_name(k), unit);
    ours();
    direct();
    printf("end\n");
    return 0;
}
