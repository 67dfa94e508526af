/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic under the kernels: own fma and square root against the hardware's, elementary functions against long
 * double, the generator's known answers, reductions against the rules of docs/NUMERICS.md. */
#include "../../../csrc/tinyprop.c"

/* The portable square root, under another name. */
#undef TINYPROP_PORT_H
#undef TP_SQRT
#define TP_PORT_SOFT_SQRT
#define tp_port_sqrt tp_soft_sqrt
#include "../../../csrc/include/tinyprop_port.h"
#undef tp_port_sqrt

#include "../tp_reference.h"

/* --- fma --- */

#if defined(__x86_64__)
TP_TARGET_BEGIN("fma")
static __attribute__((noinline)) float tp_hard_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TP_TARGET_END
static bool tp_has_hard_fma(void) { return tp_cpu_has_fma(); }
#elif defined(__aarch64__)
static float tp_hard_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static bool tp_has_hard_fma(void) { return true; }
#else
static float tp_hard_fma(float a, float b, float c) { return tp_fma_soft(a, b, c); }
static bool tp_has_hard_fma(void) { return false; }
#endif

/* Rounding twice gives ...000 or ...002. */
static void tp_fma_tie(void) {
    TP_CHECK(tp_f32_bits(tp_fma_soft(0x1.000002p0f, 0x1.8p0f, -0x1p-60f)) == 0x3fc00001u);
    TP_CHECK(tp_f32_bits(tp_fma_soft(0x1.000002p0f, 0x1.8p0f, 0x1p-60f)) == 0x3fc00002u);
    TP_CHECK(!tp_has_hard_fma() || tp_f32_bits(tp_hard_fma(0x1.000002p0f, 0x1.8p0f, -0x1p-60f)) == 0x3fc00001u);
    /* rounds up to the smallest normal number; a unit that flushes before rounding gives 0 */
    TP_CHECK(tp_f32_bits(tp_fma_soft(0x1.0008p-63f, 0x1.fff0p-64f, 0.0f)) == 0x00800000u);
}

static bool tp_same_f32(float a, float b) { return (a != a && b != b) || tp_f32_bits(a) == tp_f32_bits(b); }

/* Numbers whose product meets c: cancellation, ties, sticky bits far below, denormal results. */
static void tp_fma_triple(uint32_t i, float v[3]) {
    uint32_t r[3] = {tp_random(), tp_random(), tp_random()};
    if (i % 4u != 0) { /* choose the exponent of c near that of a b, or of the smallest numbers */
        uint32_t ea = 1u + tp_random_below(253), eb = 1u + tp_random_below(253);
        if (i % 4u == 3u) { /* products around the denormals */
            ea = 1u + tp_random_below(126);
            eb = 127u - ea + tp_random_below(8) > 250u ? 1u : 104u + tp_random_below(48) > ea ? 104u + tp_random_below(48) - ea : 1u;
        }
        int32_t product = (int32_t)(ea + eb) - 127, ec = product + (int32_t)tp_random_below(i % 4u == 1u ? 60u : 5u) - (i % 4u == 1u ? 30 : 2);
        ec = ec < 0 ? 0 : ec > 254 ? 254 : ec;
        r[0] = (r[0] & 0x807fffffu) | ea << 23;
        r[1] = (r[1] & 0x807fffffu) | (eb > 254u ? 254u : eb) << 23;
        r[2] = (r[2] & 0x807fffffu) | (uint32_t)ec << 23;
        if ((r[0] & 0xf0u) == 0) { r[0] &= 0xfff80000u; } /* short significands: exact products and ties */
        if ((r[1] & 0xf0u) == 0) { r[1] &= 0xfff80000u; }
    }
    for (uint32_t j = 0; j < 3; j++) { v[j] = tp_f32_from_bits(r[j]); }
}

static void tp_fma_soft_is_hard(void) {
    if (!tp_has_hard_fma()) {
        printf("# skipped: this CPU has no fma to compare with\n");
        return;
    }
    uint32_t denormal = 0;
    tp_random_state = 5;
    for (uint32_t i = 0; i < 4000000u; i++) {
        float v[3];
        tp_fma_triple(i, v);
        float soft = tp_fma_soft(v[0], v[1], v[2]), hard = tp_hard_fma(v[0], v[1], v[2]);
        denormal += (tp_f32_bits(hard) & 0x7f800000u) == 0 && hard != 0.0f ? 1u : 0u;
        TP_CHECKF(tp_same_f32(soft, hard), "fma(%a, %a, %a) = %a, hardware %a", (double)v[0], (double)v[1], (double)v[2], (double)soft, (double)hard);
    }
    printf("# fma: 4000000 triples, %u denormal results\n", denormal);
    TP_CHECK(denormal > 10000u);
}

/* --- square root --- */

static void tp_sqrt_soft_is_hard(void) {
    static const float special[7] = {0.0f, 0x1p-149f, 0x1.fffffcp-127f, 0x1p-126f, 1.0f, 4.0f, 0x1.fffffep127f};
    for (uint32_t i = 0; i < 7; i++) { TP_CHECKF(tp_same_f32(tp_soft_sqrt(special[i]), tp_port_sqrt(special[i])), "sqrt(%a)", (double)special[i]); }
    TP_CHECK(tp_soft_sqrt(9.0f) == 3.0f && tp_soft_sqrt(0x1p-148f) == 0x1p-74f);
    for (uint32_t u = 0; u < 0x7f800000u; u += 509u) {
        float x = tp_f32_from_bits(u);
        TP_CHECKF(tp_same_f32(tp_soft_sqrt(x), tp_port_sqrt(x)), "sqrt(%a) = %a, hardware %a", (double)x, (double)tp_soft_sqrt(x), (double)tp_port_sqrt(x));
    }
}

/* --- elementary functions --- */

/* Distance from the exact value in units of the last place of a float of that size. */
static double tp_ulps(float got, long double exact) {
    long double ulp = 0x1p-149L, size = exact < 0.0L ? -exact : exact;
    while (ulp * 0x1p24L <= size) { ulp *= 2.0L; }
    long double error = ((long double)got - exact) / ulp;
    return (double)(error < 0.0L ? -error : error);
}

/* Largest error of f over [from, to], denormal results apart (there the unit is coarse and counts as any other). */
static double tp_worst(float (*f)(float), long double (*exact)(long double), float from, float to, uint32_t samples) {
    double worst = 0.0;
    tp_random_state = 9;
    for (uint32_t i = 0; i <= samples; i++) {
        float x = from + (to - from) * (float)i / (float)samples;
        if (i % 8u == 7u) { x *= tp_f32_from_bits((127u - tp_random_below(30)) << 23); } /* small ones too */
        if (x < from || x > to) { continue; }
        double error = tp_ulps(f(x), exact((long double)x));
        worst = error > worst ? error : worst;
    }
    return worst;
}

static float tp_log1p_of(float x) { return tp_log1p_soft(x); }
static long double tp_ref_log1p(long double x) { return tp_ref_log(1.0L + x); }
static float tp_exp_of(float x) { return tp_exp_soft(x); }
static float tp_log_of(float x) { return tp_log_soft(x); }
static float tp_sigmoid_of(float x) { return tp_sigmoid_soft(x); }
static float tp_tanh_of(float x) { return tp_tanh_soft(x); }

static void tp_functions_ulps(void) {
    static const struct {
        const char *name;
        float (*f)(float);
        long double (*exact)(long double);
        float from, to;
        double bound;
    } row[] = {
        {"exp, normal results", tp_exp_of, tp_ref_exp, -87.3f, 88.7f, 1.5},
        {"exp, denormal results", tp_exp_of, tp_ref_exp, -103.9f, -87.3f, 1.0},
        {"log, 0.5 .. 2", tp_log_of, tp_ref_log, 0.5f, 2.0f, 2.0},
        {"log, 1 .. 1e30", tp_log_of, tp_ref_log, 1.0f, 1e30f, 1.5},
        {"log1p", tp_log1p_of, tp_ref_log1p, 0.0f, 1.0f, 2.0},
        {"sigmoid", tp_sigmoid_of, tp_ref_sigmoid, -87.0f, 30.0f, 3.0},
        {"tanh", tp_tanh_of, tp_ref_tanh, -15.0f, 15.0f, 3.0},
    };
    for (uint32_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        if (row[i].f == tp_log1p_of && __LDBL_MANT_DIG__ < 64) { /* 1 + x is not exact enough to judge by */
            printf("# %s: skipped, long double is no wider than double\n", row[i].name);
            continue;
        }
        double worst = tp_worst(row[i].f, row[i].exact, row[i].from, row[i].to, 100000);
        printf("# %s: at most %.3f ulp (bound %.1f)\n", row[i].name, worst, row[i].bound);
        TP_CHECKF(worst <= row[i].bound, "%s: %.3f ulp", row[i].name, worst);
    }
}

static void tp_functions_special(void) {
    float nan = tp_f32_from_bits(0xffc12345u), inf = tp_f32_from_bits(0x7f800000u);
    TP_CHECK(tp_exp_soft(0.0f) == 1.0f && tp_exp_soft(-inf) == 0.0f && tp_exp_soft(inf) == inf);
    TP_CHECK(tp_f32_bits(tp_exp_soft(nan)) == 0x7fc00000u && tp_f32_bits(tp_tanh_soft(nan)) == 0x7fc00000u);
    TP_CHECK(tp_log_soft(1.0f) == 0.0f && tp_log_soft(inf) == inf);
    TP_CHECK(tp_sigmoid_soft(0.0f) == 0.5f && tp_sigmoid_soft(1000.0f) == 1.0f && tp_sigmoid_soft(-1000.0f) == 0.0f);
    TP_CHECK(tp_tanh_soft(100.0f) == 1.0f && tp_tanh_soft(-100.0f) == -1.0f && tp_f32_bits(tp_tanh_soft(-0.0f)) << 1 == 0);
    TP_CHECK(tp_cos_pi(0.0f) == 1.0f && tp_cos_pi(1.0f) == -1.0f && tp_cos_pi(0.5f) == 0.0f);
    for (uint32_t i = 1; i < 1000; i++) { TP_CHECKF(tp_exp_soft((float)i * 0.08f) > tp_exp_soft((float)(i - 1u) * 0.08f), "exp not rising at %u", i); }
    float big[3] = {1.0f, nan, 2.0f}, out[3];
    const tp_kernels *k = tp_kernels_best();
    TP_CHECK(!tp_finite(k->softmax_f32(out, big, 2.0f, 3)) && !tp_finite(k->bce_f32(NULL, big, out, 3)));
    k->clamp_f32(out, big, 6.0f, 3);
    TP_CHECK(out[1] != out[1] && out[0] == 1.0f);
}

static void tp_cos_pi_error(void) {
    double worst = 0.0;
    for (uint32_t i = 0; i <= 4096; i++) {
        float u = (float)i / 4096.0f;
        long double x = 3.14159265358979323846L * (long double)u, term = 1.0L, sum = 1.0L;
        for (int n = 2; n < 40; n += 2) {
            term *= -x * x / (long double)(n * (n - 1));
            sum += term;
        }
        long double error = (long double)tp_cos_pi(u) - sum;
        worst = (double)(error < 0.0L ? -error : error) > worst ? (double)(error < 0.0L ? -error : error) : worst;
    }
    printf("# cos(pi u): at most %.2e absolute\n", worst);
    TP_CHECK(worst < 1.5e-7);
}

/* --- the generator --- */

/* Random123 kat_vectors, philox4x32 10 */
static void tp_philox_known_answers(void) {
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } row[3] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
        {{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu}, {0xffffffffu, 0xffffffffu}, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
        {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}, {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
    };
    for (uint32_t i = 0; i < 3; i++) {
        tp_rng_block counter;
        memcpy(counter.word, row[i].counter, 16);
        tp_rng_block r = tp_philox(counter, row[i].key[0], row[i].key[1]);
        TP_CHECKF(memcmp(r.word, row[i].answer, 16) == 0, "vector %u: %08x %08x %08x %08x", i, r.word[0], r.word[1], r.word[2], r.word[3]);
    }
    TP_CHECK(tp_rng_unit(0xffffffffu) < 1.0f && tp_rng_unit(0) == 0.0f && tp_rng_unit(0x80000000u) == 0.5f);
    tp_rng_block a = tp_rng(1, TP_RNG_INIT, 0, 0, 0), b = tp_rng(1, TP_RNG_DROPOUT, 0, 0, 0), c = tp_rng(1, TP_RNG_DROPOUT, 0, 1ull << 32, 0);
    TP_CHECK(memcmp(&a, &b, sizeof a) != 0 && memcmp(&b, &c, sizeof b) != 0);
}

static void tp_shuffle_permutes(void) {
    uint32_t index[100], again[100], seen[100] = {0};
    tp_shuffle(7, 3, index, 100);
    tp_shuffle(7, 3, again, 100);
    for (uint32_t i = 0; i < 100; i++) { seen[index[i]]++; }
    for (uint32_t i = 0; i < 100; i++) { TP_CHECK(seen[i] == 1u); }
    TP_CHECK(memcmp(index, again, sizeof index) == 0);
    tp_shuffle(7, 4, again, 100);
    TP_CHECK(memcmp(index, again, sizeof index) != 0);
    tp_shuffle(7, 4, again, 0);
}

/* --- reductions, by the rules --- */

/* Rule 1 with P = 8: element r to partial r mod 8, then the halving tree. */
static float tp_rule1(const float *a, const float *b, uint32_t n) {
    float s[8] = {0};
    for (uint32_t r = 0; r < n; r++) { s[r % 8u] = tp_fma_soft(a[r], b[r], s[r % 8u]); }
    for (uint32_t h = 4; h >= 1; h /= 2) {
        for (uint32_t i = 0; i < h; i++) { s[i] = s[i] + s[i + h]; }
    }
    return s[0];
}

static void tp_rule1_held(void) {
    const tp_kernels *k = tp_kernels_best();
    float w[11 * 70], x[70], y[11], b[11], ones[70], size[70];
    for (uint32_t n = 1; n <= 70; n++) {
        for (uint32_t kind = 0; kind < TP_KINDS; kind++) {
            for (uint32_t i = 0; i < 11 * 70; i++) { w[i] = tp_random_kind(kind); }
            for (uint32_t i = 0; i < 70; i++) { x[i] = tp_random_kind(kind); }
            for (uint32_t i = 0; i < 70; i++) {
                ones[i] = 1.0f;
                size[i] = tp_abs(x[i]);
            }
            for (uint32_t i = 0; i < 11; i++) { b[i] = tp_random_kind(kind); }
            k->dense_f32(y, w, x, b, 11, n, 1);
            for (uint32_t i = 0; i < 11; i++) {
                float want = (tp_rule1(w + (size_t)i * n, x, n) + b[i]) + 0.0f;
                TP_CHECKF(tp_f32_bits(want) == tp_f32_bits(y[i]), "gemv n %u kind %u row %u: %a, rule %a", n, kind, i, (double)y[i], (double)want);
            }
            float sum = k->asum_f32(x, n), want = tp_rule1(ones, size, n);
            TP_CHECKF(tp_f32_bits(sum) == tp_f32_bits(want), "asum n %u kind %u", n, kind);
        }
    }
}

int main(void) {
    TP_RUN(tp_fma_tie);
    TP_RUN(tp_fma_soft_is_hard);
    TP_RUN(tp_sqrt_soft_is_hard);
    TP_RUN(tp_functions_ulps);
    TP_RUN(tp_functions_special);
    TP_RUN(tp_cos_pi_error);
    TP_RUN(tp_philox_known_answers);
    TP_RUN(tp_shuffle_permutes);
    TP_RUN(tp_rule1_held);
    return tp_end();
}
