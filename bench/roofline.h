/* SPDX-License-Identifier: Apache-2.0 */
/* What this core could do at most: multiply-adds a second, and bytes a second at the size of a net's weights, measured with the
 * vectors of one instruction set. The model: README.md. */
#ifndef TINYPROP_BENCH_ROOFLINE_H
#define TINYPROP_BENCH_ROOFLINE_H

#include "bench.h"

typedef struct roofline_loops {
    double flops; /* of one turn of fma */
    float (*fma)(uint32_t turns);
    float (*read)(const float *x, size_t n);
    void (*update)(float *w, float *dx, const float *x, uint32_t rows, uint32_t n);
} roofline_loops;

#if defined(__x86_64__)
#define ROOF_REGISTER(a) "+x"(a)
TP_TARGET_BEGIN("avx512f")
#define ROOF_NAME avx512
#define ROOF_V __m512
#define ROOF_LANES 16
#define ROOF_LOAD(p) _mm512_loadu_ps(p)
#define ROOF_STORE(p, a) _mm512_storeu_ps((p), (a))
#define ROOF_SET1(a) _mm512_set1_ps(a)
#define ROOF_FMA(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define ROOF_ADD(a, b) _mm512_add_ps((a), (b))
#include "roofline_loops.inc"
TP_TARGET_END

/* the eight lanes of the scalar table too: its target has 256-bit vectors, and compilers use them */
TP_TARGET_BEGIN("avx2,fma")
#define ROOF_NAME avx2
#define ROOF_V __m256
#define ROOF_LANES 8
#define ROOF_LOAD(p) _mm256_loadu_ps(p)
#define ROOF_STORE(p, a) _mm256_storeu_ps((p), (a))
#define ROOF_SET1(a) _mm256_set1_ps(a)
#define ROOF_FMA(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define ROOF_ADD(a, b) _mm256_add_ps((a), (b))
#include "roofline_loops.inc"
TP_TARGET_END

/* no fma instruction: a product and a sum */
#define ROOF_NAME soft
#define ROOF_V __m128
#define ROOF_LANES 4
#define ROOF_LOAD(p) _mm_loadu_ps(p)
#define ROOF_STORE(p, a) _mm_storeu_ps((p), (a))
#define ROOF_SET1(a) _mm_set1_ps(a)
#define ROOF_FMA(a, b, c) _mm_add_ps(_mm_mul_ps((a), (b)), (c))
#define ROOF_ADD(a, b) _mm_add_ps((a), (b))
#include "roofline_loops.inc"

static const roofline_loops *roofline_of(const char *isa) {
    if (tp_text_equal(isa, "avx512") || tp_text_equal(isa, "avx512vnni")) { return &roofline_loops_avx512; }
    return tp_text_equal(isa, "soft") ? &roofline_loops_soft : &roofline_loops_avx2;
}
#elif defined(__aarch64__)
#define ROOF_REGISTER(a) "+w"(a)
#define ROOF_NAME neon
#define ROOF_V float32x4_t
#define ROOF_LANES 4
#define ROOF_LOAD(p) vld1q_f32(p)
#define ROOF_STORE(p, a) vst1q_f32((p), (a))
#define ROOF_SET1(a) vdupq_n_f32(a)
#define ROOF_FMA(a, b, c) vfmaq_f32((c), (a), (b))
#define ROOF_ADD(a, b) vaddq_f32((a), (b))
#include "roofline_loops.inc"

static const roofline_loops *roofline_of(const char *isa) { return (void)isa, &roofline_loops_neon; }
#else
#error "bench: no roofline for this processor"
#endif

/* One measurement of the three numbers. */
typedef struct roofline {
    double flops, read, update; /* a microsecond: flops, bytes */
} roofline;

enum { ROOFLINE_ROW = 512 };

/* The arrays of the loops, `bytes` large; measured like everything else, round by round. */
typedef struct roofline_bench {
    const roofline_loops *loops;
    float *w, *x, *dx;
    uint32_t rows;
    float sink;
    uint32_t calls[3];
    double us[3][BENCH_ROUNDS_MAX];
} roofline_bench;

enum { ROOFLINE_TURNS = 20000 };

static void roofline_call_fma(void *user) {
    roofline_bench *b = user;
    b->sink += b->loops->fma(ROOFLINE_TURNS);
}
static void roofline_call_read(void *user) {
    roofline_bench *b = user;
    b->sink += b->loops->read(b->w, (size_t)b->rows * ROOFLINE_ROW);
}
static void roofline_call_update(void *user) {
    roofline_bench *b = user;
    b->loops->update(b->w, b->dx, b->x, b->rows, ROOFLINE_ROW);
}
static void (*const roofline_calls[3])(void *) = {roofline_call_fma, roofline_call_read, roofline_call_update};

static roofline_bench *roofline_open(const char *isa, uint32_t bytes) {
    roofline_bench *b = bench_take(sizeof *b);
    uint32_t group = 4u * ROOFLINE_ROW; /* floats of four rows */
    b->loops = roofline_of(isa);
    b->rows = 4u * tp_max_u32(1u, (bytes / 4u + group / 2u) / group);
    b->w = bench_take(sizeof(float) * b->rows * ROOFLINE_ROW);
    b->x = bench_take(sizeof(float) * ROOFLINE_ROW);
    b->dx = bench_take(sizeof(float) * ROOFLINE_ROW);
    for (uint32_t i = 0; i < b->rows * ROOFLINE_ROW; i++) { b->w[i] = 1.0f; }
    for (uint32_t i = 0; i < 3; i++) { b->calls[i] = bench_calls(roofline_calls[i], b, 1.0, 1); }
    return b;
}

static void roofline_round(roofline_bench *b, uint32_t round) {
    for (uint32_t i = 0; i < 3; i++) { b->us[i][round] = bench_round_us(roofline_calls[i], b, b->calls[i]); }
}

static roofline roofline_result(roofline_bench *b, uint32_t rounds) {
    double bytes = 4.0 * b->rows * ROOFLINE_ROW;
    roofline r = {b->loops->flops * ROOFLINE_TURNS / bench_median(b->us[0], rounds), bytes / bench_median(b->us[1], rounds),
                  2.0 * bytes / bench_median(b->us[2], rounds)};
    return r;
}

static void roofline_close(roofline_bench *b) {
    free(b->w);
    free(b->x);
    free(b->dx);
    free(b);
}

static double roofline_larger(double a, double b) { return a > b ? a : b; }

/* Least time of a step on `batch` samples, us: per weight layer and phase the larger of flops over peak and bytes over
 * bandwidth. used[layer]: share of the backward work that is done. */
static double roofline_us(const roofline *r, const tp_plan *plan, uint32_t batch, const double *used) {
    double us = 0.0;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const tp_plan_node *p = &plan->node[i];
        if (p->layer == TP_NO_OFFSET) { continue; }
        double bytes = 4.0 * p->rows * p->row_len, share = used == NULL ? 0.0 : used[p->layer];
        double forward = 2.0 * p->macs_forward * batch, backward = 2.0 * ((double)p->macs_dw + p->macs_dx) * batch * share;
        us += roofline_larger(forward / r->flops, bytes / r->read);
        if (p->backward == 0) { continue; }
        us += roofline_larger(backward / r->flops, 2.0 * bytes * share / r->update);
    }
    return us;
}

#endif /* TINYPROP_BENCH_ROOFLINE_H */
