/* SPDX-License-Identifier: Apache-2.0 */
/*
 * int8 kernels by themselves, every instruction set beside what its multiply-add could do at most (bench/README.md).
 *   int8 [--isa avx2] [--rounds 9] [--ms 3]
 * prints one JSON line per kernel, shape and instruction set; figures are medians.
 */
#include "bench.h"

/* --- the most: products in registers alone --- */

enum { PEAK_TURNS = 4096, PEAK_CHAINS = 9 }; /* more would not fit the registers of AVX2 */

#if defined(__x86_64__)
#define PEAK_OPAQUE(a) __asm__ volatile("" : "+x"(a)) /* the compiler knows nothing of it */
#define PEAK(name, v, zero, dot)                                                              \
    static void peak_##name(void *user) {                                                     \
        v acc[PEAK_CHAINS], a = zero, b = zero;                                               \
        PEAK_OPAQUE(b);                                                                       \
        TP_UNROLL for (uint32_t i = 0; i < PEAK_CHAINS; i++) { acc[i] = zero; PEAK_OPAQUE(acc[i]); } \
        for (uint32_t t = 0; t < PEAK_TURNS; t++) {                                           \
            TP_UNROLL for (uint32_t i = 0; i < PEAK_CHAINS; i++) {                            \
                PEAK_OPAQUE(a);                                                               \
                acc[i] = dot;                                                                 \
            }                                                                                 \
        }                                                                                     \
        TP_UNROLL for (uint32_t i = 0; i < PEAK_CHAINS; i++) { PEAK_OPAQUE(acc[i]); }         \
        (void)user;                                                                           \
    }
TP_TARGET_BEGIN("avx2")
PEAK(avx2, __m256i, _mm256_setzero_si256(), _mm256_add_epi32(acc[i], _mm256_madd_epi16(a, b)))
TP_TARGET_END
TP_TARGET_BEGIN("avx512f,avx512bw")
PEAK(avx512, __m512i, _mm512_setzero_si512(), _mm512_add_epi32(acc[i], _mm512_madd_epi16(a, b)))
TP_TARGET_END
TP_TARGET_BEGIN("avx512f,avx512bw,avx512vnni")
PEAK(avx512vnni, __m512i, _mm512_setzero_si512(), _mm512_dpbusd_epi32(acc[i], a, b))
TP_TARGET_END
#endif

typedef struct options {
    uint32_t rounds;
    double ms;
} options;

static double median_us(void (*call)(void *), void *user, const options *o) {
    double us[BENCH_ROUNDS_MAX];
    uint32_t calls = bench_calls(call, user, o->ms, 1);
    for (uint32_t i = 0; i < o->rounds; i++) { us[i] = bench_round_us(call, user, calls); }
    return bench_median(us, o->rounds);
}

/* Multiply-accumulates a second, in units of 10^9; 0: not known. */
static double peak_of(const char *isa, const options *o) {
#if defined(__x86_64__)
    static const struct {
        const char *name;
        double macs; /* of one turn of one chain */
        void (*call)(void *);
    } peaks[] = {{"avx2", 16, peak_avx2}, {"avx512", 32, peak_avx512}, {"avx512vnni", 64, peak_avx512vnni}};
    for (uint32_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++) {
        if (tp_text_equal(isa, peaks[i].name)) { return peaks[i].macs * PEAK_CHAINS * PEAK_TURNS / median_us(peaks[i].call, NULL, o) * 1e-3; }
    }
#else
    (void)isa;
    (void)o;
#endif
    return 0.0;
}

/* --- kernels --- */

typedef struct shape {
    const char *name;
    uint32_t h, w, c_in, kernel, stride, c_out; /* h = 0: dense; c_out = 0: depthwise */
    uint32_t n;
} shape;

static const shape shapes[] = {
    {"dense 128>64", 0, 1, 128, 1, 1, 64, 1},          {"dense 640>128", 0, 1, 640, 1, 1, 128, 1},
    {"dense 640>128 x 32", 0, 1, 640, 1, 1, 128, 32},  {"conv 16x16x8 3x3>16", 16, 16, 8, 3, 1, 16, 1},
    {"conv 32x32x16 3x3>16", 32, 32, 16, 3, 1, 16, 1}, {"conv 8x8x64 3x3>64", 8, 8, 64, 3, 1, 64, 1},
    {"conv 96x96x3 3x3/2>16", 96, 96, 3, 3, 2, 16, 1}, {"pointwise 25x5x64>64", 25, 5, 64, 1, 1, 64, 1},
    {"pointwise 48x48x8>48", 48, 48, 8, 1, 1, 48, 1},  {"pointwise 48x48x48>8", 48, 48, 48, 1, 1, 8, 1},
    {"depthwise 25x5x64 3x3", 25, 5, 64, 3, 1, 0, 1},  {"depthwise 48x48x48 3x3/2", 48, 48, 48, 3, 2, 0, 1},
};

typedef struct job {
    const tp_kernels *k;
    tp_conv g;
    uint32_t n, n_x, n_y, n_w;
    bool dense, depthwise;
    int8_t *x, *y, *w;
    int32_t *b, *multiplier, *shift;
    float *d, *dx, *grad, *scale, *x_f32, *w_f32, *b_f32, *y_f32;
    uint32_t *scratch, *scratch_f32;
    tp_requant q;
} job;

static void fill(int8_t *to, float *f32, uint32_t n, uint32_t stream) {
    for (uint32_t i = 0; i < n; i++) {
        to[i] = (int8_t)((int32_t)bench_uniform(stream, i, 255) - 127);
        f32[i] = (float)to[i] * 0.01f;
    }
}

static job job_of(const shape *s) {
    uint32_t same = s->kernel / 2u, oh = s->h == 0 ? 1u : (s->h - 1u) / s->stride + 1u, ow = (s->w - 1u) / s->stride + 1u;
    job j = {.n = s->n, .dense = s->h == 0, .depthwise = s->c_out == 0};
    uint32_t c_out = j.depthwise ? s->c_in : s->c_out;
    j.g = (tp_conv){j.dense ? 1u : s->h, s->w, s->c_in, oh, ow, c_out, s->kernel, s->kernel, s->stride, s->stride, same, same, j.depthwise ? s->c_in : 1u};
    j.n_x = j.g.h * j.g.w * j.g.c_in, j.n_y = oh * ow * c_out, j.n_w = s->kernel * s->kernel * c_out * (j.depthwise ? 1u : s->c_in);
    j.x = bench_take(j.n * j.n_x), j.y = bench_take(j.n * j.n_y), j.w = bench_take(j.n_w);
    j.x_f32 = bench_take(4u * j.n * j.n_x), j.y_f32 = bench_take(4u * j.n * j.n_y), j.w_f32 = bench_take(4u * j.n_w), j.b_f32 = bench_take(4u * c_out);
    j.b = bench_take(4u * c_out), j.multiplier = bench_take(4u * c_out), j.shift = bench_take(4u * c_out), j.scale = bench_take(4u * c_out);
    j.d = bench_take(4u * j.n * j.n_y), j.dx = bench_take(4u * j.n * j.n_x), j.grad = bench_take(4u * j.n_w);
    j.scratch = bench_take(4u * tp_max_u32(tp_conv_s8_scratch(&j.g), tp_conv_back_s8_scratch(&j.g))), j.scratch_f32 = bench_take(4u * tp_conv_scratch(&j.g));
    fill(j.x, j.x_f32, j.n * j.n_x, 1);
    fill(j.w, j.w_f32, j.n_w, 2);
    for (uint32_t o = 0; o < c_out; o++) {
        j.b[o] = (int32_t)bench_uniform(3, o, 2000) - 1000;
        j.multiplier[o] = (int32_t)(0x40000000u + bench_uniform(4, o, 0x3fffffffu));
        j.shift[o] = -8;
        j.scale[o] = 0.01f;
    }
    j.q = (tp_requant){j.multiplier, j.shift, -128, -128, -128, 127};
    return j;
}

static void forward(void *user) {
    job *j = user;
    if (j->dense) {
        j->k->dense_s8(j->y, j->w, j->x, j->b, &j->q, j->g.c_out, j->g.c_in, j->n);
    } else {
        (j->depthwise ? j->k->depthwise_s8 : j->k->conv_s8)(&j->g, j->n, j->y, j->x, j->w, j->b, &j->q, j->scratch);
    }
}

static void forward_f32(void *user) {
    job *j = user;
    if (j->dense) {
        j->k->dense_f32(j->y_f32, j->w_f32, j->x_f32, j->b_f32, j->g.c_out, j->g.c_in, j->n);
    } else {
        j->k->conv_f32(&j->g, j->n, j->y_f32, j->x_f32, j->w_f32, j->b_f32, j->scratch_f32);
    }
}

static void errors(void *user) {
    job *j = user;
    if (j->dense) {
        j->k->dense_dx_s8(j->dx, j->d, j->w, j->scale, j->g.c_out, j->g.c_in, j->n, j->scratch);
    } else {
        (j->depthwise ? j->k->depthwise_dx_s8 : j->k->conv_dx_s8)(&j->g, j->n, j->dx, j->d, j->w, j->scale, j->scratch);
    }
}

static void errors_f32(void *user) {
    job *j = user;
    if (j->dense) {
        j->k->dense_dx_f32(j->dx, j->d, j->w_f32, j->g.c_out, j->g.c_in, j->n, false);
    } else {
        j->k->conv_dx_f32(&j->g, j->n, j->dx, j->d, j->w_f32, false, j->scratch_f32);
    }
}

static void gradient(void *user) {
    job *j = user;
    j->k->conv_dw_s8(&j->g, j->n, j->grad, j->x, -128, j->d, 0, j->g.c_out, j->scratch);
}

static void gradient_f32(void *user) {
    job *j = user;
    if (j->dense) {
        j->k->dense_dw_f32(j->grad, NULL, 0.0f, j->x_f32, j->d, j->g.c_out, j->g.c_in, j->n, 0, j->g.c_out, false);
    } else {
        j->k->conv_dw_f32(&j->g, j->n, j->grad, NULL, 0.0f, j->x_f32, j->d, 0, j->g.c_out, false, j->scratch_f32);
    }
}

/* All rows; depthwise weights lie a channel apart. */
static void update(void *user) {
    job *j = user;
    uint32_t row = j->n_w / j->g.c_out, step = j->depthwise ? j->g.c_out : 1u;
    tp_rounding q = {1, 2, 3, 0, NULL, false};
    for (uint32_t o = 0; o < j->g.c_out; o++, q.block += (row + 7u) / 8u) {
        j->k->sgd_s8(j->w + (step == 1u ? o * row : o), step, 0.01f, 0.0f, j->grad + o * row, &q, row);
    }
}

static void sparsify(job *j, uint32_t percent) {
    for (uint32_t i = 0; i < j->n * j->n_y; i++) { j->d[i] = bench_uniform(7, i, 100) < percent ? bench_normal(8, i) * 1e-6f : 0.0f; }
}

int main(int argc, char **argv) {
    const char *isa = NULL;
    options o = {9, 3.0};
    for (int i = 1; i < argc; i++) {
        const char *value;
        if ((value = bench_option(argc, argv, &i, "--isa")) != NULL) {
            isa = value;
        } else if ((value = bench_option(argc, argv, &i, "--rounds")) != NULL) {
            o.rounds = bench_integer("--rounds", value, 1, BENCH_ROUNDS_MAX);
        } else if ((value = bench_option(argc, argv, &i, "--ms")) != NULL) {
            o.ms = bench_number("--ms", value, 0.01, 1000);
        } else {
            bench_fail("%s: --isa, --rounds and --ms are the options", argv[i]);
        }
    }
    bench_share share = bench_share_begin();
    bool usable = false;
    const tp_kernels *k;
    for (uint32_t row = 0; (k = tp_kernels_row(row, &usable)) != NULL; row++) {
        if (!usable || (isa != NULL && !tp_text_equal(isa, k->name)) || (isa == NULL && tp_text_equal(k->name, "soft"))) { continue; }
        double peak = peak_of(k->name, &o);
        for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            job j = job_of(&shapes[i]);
            j.k = k;
            double macs = (double)j.n * j.n_y * ((double)j.n_w / j.g.c_out), us = median_us(forward, &j, &o), f32 = median_us(forward_f32, &j, &o);
            double dx[2], dw[2], dx_f32[2], dw_f32[2];
            for (uint32_t s = 0; s < 2; s++) {
                sparsify(&j, s == 0 ? 100 : 10);
                dx[s] = median_us(errors, &j, &o);
                dx_f32[s] = median_us(errors_f32, &j, &o);
                dw[s] = median_us(gradient, &j, &o);
                dw_f32[s] = median_us(gradient_f32, &j, &o);
            }
            printf("{\"kind\":\"int8\",\"isa\":\"%s\",\"shape\":\"%s\",\"us\":%.3f,\"gmacs\":%.2f,\"peak\":%.1f,\"f32Us\":%.3f,\"dxUs\":%.3f,\"dx10Us\":%.3f,"
                   "\"dwUs\":%.3f,\"dw10Us\":%.3f,\"dxF32Us\":%.3f,\"dx10F32Us\":%.3f,\"dwF32Us\":%.3f,\"dw10F32Us\":%.3f,\"updateUs\":%.3f}\n",
                   k->name, shapes[i].name, us, macs / us * 1e-3, peak, f32, dx[0], dx[1], dw[0], dw[1], dx_f32[0], dx_f32[1], dw_f32[0], dw_f32[1], median_us(update, &j, &o));
            fflush(stdout);
        }
    }
    bench_share_report(&share);
    return 0;
}
