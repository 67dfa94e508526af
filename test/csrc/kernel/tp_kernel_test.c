/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel x every instruction set x odd sizes x misalignment: the same bytes as the reference, nothing written
 * outside, inputs untouched. A new row of the kernel list without a case here does not compile. */
#include "../../../csrc/tinyprop.c"

#include "../tp_test.h"

enum { TP_GUARD = 64, TP_MEMORY = 1 << 20, TP_REGIONS = 12 };

/* One call of one kernel: its operands, between guards, in a block of memory. */
typedef struct tp_case {
    uint32_t n, kind, shift; /* size, TP_KIND_*, misalignment in floats */
    uint8_t *memory;
    size_t used;
    uint32_t regions;
    struct {
        size_t at, bytes;
        bool input;
        uint64_t hash;
    } region[TP_REGIONS];
} tp_case;

/* With the address sanitizer, guards may not even be read while a kernel runs. */
#if defined(__clang__)
#if __has_feature(address_sanitizer)
#define TP_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define TP_ASAN
#endif

#ifdef TP_ASAN
void __asan_poison_memory_region(const volatile void *at, size_t bytes);
void __asan_unpoison_memory_region(const volatile void *at, size_t bytes);
#else
#define __asan_poison_memory_region(at, bytes) ((void)(at), (void)(bytes))
#define __asan_unpoison_memory_region(at, bytes) ((void)(at), (void)(bytes))
#endif

static void tp_guards_open(tp_case *c) { __asan_unpoison_memory_region(c->memory, TP_MEMORY); }

static void tp_guards_close(tp_case *c) {
    __asan_poison_memory_region(c->memory, c->used + TP_GUARD);
    for (uint32_t i = 0; i < c->regions; i++) { __asan_unpoison_memory_region(c->memory + c->region[i].at, c->region[i].bytes); }
}

static void *tp_region_off(tp_case *c, size_t bytes, bool input, uint32_t off) {
    tp_guards_open(c);
    size_t at = (c->used + TP_GUARD + 63u) / 64u * 64u + off;
    if (at + bytes + TP_GUARD > TP_MEMORY || c->regions == TP_REGIONS) { abort(); }
    memset(c->memory + c->used, 0xa5, at + bytes + TP_GUARD - c->used);
    c->used = at + bytes;
    c->region[c->regions].at = at;
    c->region[c->regions].bytes = bytes;
    c->region[c->regions++].input = input;
    return c->memory + at;
}
static void *tp_region(tp_case *c, size_t bytes, bool input) { return tp_region_off(c, bytes, input, 4u * c->shift); }

static float *tp_floats(tp_case *c, uint32_t n, bool input) {
    float *x = (float *)tp_region(c, (size_t)n * 4u, input);
    for (uint32_t i = 0; i < n; i++) { x[i] = tp_random_kind(c->kind); }
    return x;
}
static float *tp_in(tp_case *c, uint32_t n) { return tp_floats(c, n, true); }
static float *tp_io(tp_case *c, uint32_t n) { return tp_floats(c, n, false); }

static void tp_result(tp_case *c, const void *value, size_t bytes) { memcpy(tp_region(c, bytes, false), value, bytes); }
static void tp_result_f32(tp_case *c, float value) { tp_result(c, &value, 4); }
static void tp_result_u32(tp_case *c, uint32_t value) { tp_result(c, &value, 4); }

/* Inputs are complete: remember them. */
static void tp_ready(tp_case *c) {
    for (uint32_t i = 0; i < c->regions; i++) { c->region[i].hash = tp_hash(0, c->memory + c->region[i].at, c->region[i].bytes); }
    tp_guards_close(c);
}

static bool tp_case_clean(const tp_case *c) {
    size_t at = 0;
    for (uint32_t i = 0; i <= c->regions; i++) {
        size_t to = i < c->regions ? c->region[i].at : c->used + TP_GUARD;
        for (; at < to; at++) {
            if (c->memory[at] != 0xa5) { return false; }
        }
        if (i == c->regions) { break; }
        if (c->region[i].input && c->region[i].hash != tp_hash(0, c->memory + at, c->region[i].bytes)) { return false; }
        at += c->region[i].bytes;
    }
    return true;
}

/* --- one function a kernel; TP_FLAT: of cost n and for any n, 0 too --- */

typedef void tp_case_run(const tp_kernels *k, tp_case *c);
#define TP_CASE(name)            \
    enum { tp_flat_##name = 0 }; \
    static void tp_case_##name(const tp_kernels *k, tp_case *c)
#define TP_FLAT(name)            \
    enum { tp_flat_##name = 1 }; \
    static void tp_case_##name(const tp_kernels *k, tp_case *c)

/* One of the elements, or 0. */
static float tp_some(const tp_case *c, const float *x) { return c->n > 0 ? x[tp_random_below(c->n)] : 0.0f; }

/* Rows and samples of a dense layer of n inputs: small ones, and some beyond what a block of a kernel holds. */
static void tp_dense_sizes(const tp_case *c, uint32_t *rows, uint32_t *samples) {
    static const uint32_t r[6] = {1, 7, 8, 9, 16, 23}, large[6] = {2, 101, 64, 131, 40, 270}, m[8] = {1, 2, 3, 5, 8, 13, 33, 90};
    *rows = c->n > 70 ? large[(c->n + c->shift) % 6u] : r[c->n % 6u];
    *samples = m[(c->n + c->shift) % 8u];
}

/* Errors of which none, some or most are zero, and often some rows of which all are. */
static float *tp_errors(tp_case *c, uint32_t samples, uint32_t rows) {
    static const uint32_t keep_of[6] = {1, 2, 6, 9, 13, 16}; /* of sixteen: how many stay */
    float *d = tp_io(c, samples * rows);
    uint32_t keep = keep_of[tp_random_below(6)], dead = tp_random_below(8);
    for (uint32_t i = 0; i < samples * rows; i++) {
        if (tp_random_below(16) >= keep || i % rows % 5u == dead) { d[i] = 0.0f; }
    }
    return d;
}

TP_CASE(dense_f32) {
    uint32_t m, samples;
    tp_dense_sizes(c, &m, &samples);
    float *y = tp_io(c, samples * m);
    float *w = tp_io(c, m * c->n), *x = tp_io(c, samples * c->n), *b = tp_io(c, m);
    if (c->n % 16u == 8u) { /* all lanes full of products that vanish: sums of -0, which no output may be */
        for (uint32_t i = 0; i < m * c->n; i++) { w[i] = -1e-30f; }
        for (uint32_t i = 0; i < samples * c->n; i++) { x[i] = 1e-30f; }
        for (uint32_t i = 0; i < m; i++) { b[i] = -0.0f; }
    }
    tp_ready(c);
    k->dense_f32(y, w, x, c->n % 5u == 0 ? NULL : b, m, c->n, samples);
}

TP_CASE(dense_dx_f32) {
    uint32_t m, samples;
    tp_dense_sizes(c, &m, &samples);
    float *dx = tp_io(c, samples * c->n), *d = tp_errors(c, samples, m), *w = tp_io(c, m * c->n);
    if (c->n % 4u == 0) { w[tp_random_below(m * c->n)] = tp_f32_from_bits(0x7f800000u); }
    tp_ready(c);
    k->dense_dx_f32(dx, d, w, m, c->n, samples, c->n % 3u == 0);
}

TP_CASE(dense_dw_f32) {
    uint32_t m, samples;
    tp_dense_sizes(c, &m, &samples);
    uint32_t first = c->n % 2u == 0 ? tp_random_below(m) : 0u, rows = c->n % 2u == 0 ? 1u + tp_random_below(m - first) : m;
    float *rows_of = tp_io(c, rows * c->n), *d = tp_errors(c, samples, m), *x = tp_io(c, samples * c->n), step = tp_random_f32();
    if (c->n % 4u == 1u) { x[tp_random_below(samples * c->n)] = tp_f32_from_bits(0xff800000u); }
    tp_ready(c);
    bool at_once = c->n % 3u != 0;
    k->dense_dw_f32(at_once ? NULL : rows_of, at_once ? rows_of : NULL, step, x, d, m, c->n, samples, first, rows, c->n % 5u == 0);
}

TP_CASE(dense_sgd_f32) {
    uint32_t m, samples;
    tp_dense_sizes(c, &m, &samples);
    float *dx = tp_io(c, c->n), *w = tp_io(c, m * c->n), *x = tp_io(c, c->n), *d = tp_errors(c, 1, m);
    if (c->n % 4u == 0) { w[tp_random_below(m) * c->n] = tp_f32_from_bits(0x7f800000u); }
    if (c->n % 4u == 1u) { d[m - 1u] = 0.0f; }
    if (c->n % 16u == 8u) { /* products that vanish: sums of -0 */
        for (uint32_t i = 0; i < m * c->n; i++) { w[i] = -1e-30f; }
        for (uint32_t i = 0; i < m; i++) { d[i] = 1e-30f; }
    }
    tp_ready(c);
    k->dense_sgd_f32(c->n % 3u == 0 ? NULL : dx, w, x, d, 0.125f, m, c->n, c->shift % 2u != 0);
}

TP_FLAT(asum_f32) {
    const float *x = tp_in(c, c->n);
    tp_ready(c);
    tp_result_f32(c, k->asum_f32(x, c->n));
}

TP_FLAT(finite_f32) {
    float *x = tp_io(c, c->n);
    if (c->n > 0 && c->n % 2u == 0) { x[tp_random_below(c->n)] = tp_f32_from_bits(tp_random() | 0x7f800000u); }
    tp_ready(c);
    tp_result_u32(c, k->finite_f32(x, c->n) ? 1u : 0u);
}

TP_FLAT(axpy_f32) {
    float *y = tp_io(c, c->n);
    const float *x = tp_in(c, c->n);
    tp_ready(c);
    k->axpy_f32(y, tp_random_kind(c->kind), x, c->n);
}

TP_FLAT(add_f32) {
    float *y = tp_io(c, c->n);
    const float *x = tp_in(c, c->n);
    tp_ready(c);
    k->add_f32(y, x, c->n);
}

TP_FLAT(finish_f32) {
    float *y = tp_io(c, c->n);
    tp_ready(c);
    k->finish_f32(y, c->n);
}

TP_FLAT(sgd_f32) {
    float *w = tp_io(c, c->n);
    const float *g = tp_in(c, c->n);
    tp_ready(c);
    k->sgd_f32(w, tp_random_kind(c->kind), g, c->n);
}

TP_FLAT(momentum_f32) {
    float *w = tp_io(c, c->n), *v = tp_io(c, c->n);
    const float *g = tp_in(c, c->n);
    tp_ready(c);
    k->momentum_f32(w, v, 0.9f, tp_random_f32(), g, c->n);
}

TP_FLAT(count_above_f32) {
    const float *x = tp_in(c, c->n);
    uint32_t bits = tp_f32_bits(tp_some(c, x)) & 0x7fffffffu;
    tp_ready(c);
    tp_result_u32(c, k->count_above_f32(x, bits, c->n));
    tp_result_u32(c, k->count_above_f32(x, 0, c->n));
}

TP_FLAT(top_f32) {
    float *x = tp_io(c, c->n);
    for (uint32_t i = 0; i < c->n && c->shift == 7u; i++) { x[i] = tp_random_below(2) == 0 ? x[i] : 0.0f; }
    tp_ready(c);
    k->top_f32(x, c->n, tp_random_below(c->n / (c->shift + 1u) + 2u));
}

TP_FLAT(channel_asum_f32) {
    uint32_t positions = 1u + c->n % 9u;
    float *score = tp_io(c, c->n);
    const float *x = tp_in(c, positions * c->n);
    tp_ready(c);
    k->channel_asum_f32(score, x, positions, c->n);
}

TP_FLAT(channel_sum_f32) {
    uint32_t positions = 1u + c->n % 9u;
    float *sum = tp_io(c, c->n);
    const float *x = tp_in(c, positions * c->n);
    tp_ready(c);
    k->channel_sum_f32(sum, x, positions, c->n);
}

TP_FLAT(mask_channels_f32) {
    uint32_t positions = 1u + c->n % 9u;
    float *x = tp_io(c, positions * c->n), *score = tp_io(c, c->n);
    for (uint32_t i = 0; i < c->n; i++) { score[i] = tp_random_below(2) == 0 ? score[i] : tp_random_below(2) == 0 ? 0.0f : -0.0f; }
    tp_ready(c);
    k->mask_channels_f32(x, score, positions, c->n);
}

/* Element-wise forms also run in place. */
static float *tp_target(tp_case *c, float *x) { return c->n % 2u == 0 ? x : tp_io(c, c->n); }

/* Arguments of exp and its kin: mostly of a size that matters. */
static void tp_widen(tp_case *c, float *x) {
    for (uint32_t i = 0; i < c->n && c->kind == TP_KIND_PLAIN; i++) { x[i] *= (i & 1u) != 0 ? 8.0f : 120.0f; }
}

/* Now and then a number that is none, or an infinity. */
static void tp_spoil(tp_case *c, float *x) {
    static const uint32_t bits[3] = {0x7fc00000u, 0x7f800000u, 0xff800000u};
    for (uint32_t i = 0; i < c->n && c->shift == 3u; i++) {
        if (tp_random_below(16) == 0) { x[i] = tp_f32_from_bits(bits[tp_random_below(3)]); }
    }
}

TP_FLAT(clamp_f32) {
    float *x = tp_io(c, c->n), *y = tp_target(c, x);
    tp_spoil(c, x);
    tp_ready(c);
    k->clamp_f32(y, x, c->n % 3u == 0 ? 0.25f : tp_f32_from_bits(0x7f800000u), c->n);
}

TP_FLAT(leaky_f32) {
    float *x = tp_io(c, c->n), *y = tp_target(c, x);
    tp_spoil(c, x);
    tp_ready(c);
    k->leaky_f32(y, x, 0.1f, c->n);
}

TP_FLAT(sigmoid_f32) {
    float *x = tp_io(c, c->n), *y = tp_target(c, x);
    tp_widen(c, x);
    tp_spoil(c, x);
    tp_ready(c);
    k->sigmoid_f32(y, x, c->n);
}

TP_FLAT(tanh_f32) {
    float *x = tp_io(c, c->n), *y = tp_target(c, x);
    tp_widen(c, x);
    tp_spoil(c, x);
    tp_ready(c);
    k->tanh_f32(y, x, c->n);
}

/* Error, output, and both after it: what came back must be the sum of what was left. */
static void tp_back_sum(const tp_kernels *k, tp_case *c, const float *d, float sum) {
    float again = k->asum_f32(d, c->n);
    tp_result_f32(c, sum);
    TP_CHECKF(memcmp(&sum, &again, sizeof sum) == 0, "n %u kind %u: sum %a, of the result %a", c->n, c->kind, (double)sum, (double)again);
}

TP_FLAT(clamp_back_f32) {
    float *d = tp_io(c, c->n), *y = tp_in(c, c->n);
    tp_spoil(c, y);
    tp_ready(c);
    tp_back_sum(k, c, d, k->clamp_back_f32(d, y, c->n % 3u == 0 ? 0.5f : tp_f32_from_bits(0x7f800000u), c->n));
}

TP_FLAT(leaky_back_f32) {
    float *d = tp_io(c, c->n), *y = tp_in(c, c->n);
    tp_spoil(c, y);
    tp_ready(c);
    tp_back_sum(k, c, d, k->leaky_back_f32(d, y, 0.1f, c->n));
}

TP_FLAT(sigmoid_back_f32) {
    float *d = tp_io(c, c->n);
    const float *y = tp_in(c, c->n);
    tp_ready(c);
    tp_back_sum(k, c, d, k->sigmoid_back_f32(d, y, c->n));
}

TP_FLAT(tanh_back_f32) {
    float *d = tp_io(c, c->n);
    const float *y = tp_in(c, c->n);
    tp_ready(c);
    tp_back_sum(k, c, d, k->tanh_back_f32(d, y, c->n));
}

TP_FLAT(softmax_f32) {
    float *x = tp_io(c, c->n), *p = tp_target(c, x);
    tp_widen(c, x);
    tp_spoil(c, x);
    tp_ready(c);
    float top = c->n > 0 ? x[0] : 0.0f;
    for (uint32_t i = 1; i < c->n; i++) { top = x[i] > top ? x[i] : top; }
    tp_result_f32(c, k->softmax_f32(c->n % 5u == 0 ? NULL : p, x, top, c->n));
}

TP_FLAT(bce_f32) {
    float *z = tp_io(c, c->n), *d = tp_io(c, c->n);
    const float *t = tp_in(c, c->n);
    tp_widen(c, z);
    tp_ready(c);
    tp_result_f32(c, k->bce_f32(c->n % 3u == 0 ? NULL : d, z, t, c->n));
}

TP_FLAT(mse_f32) {
    float *d = tp_io(c, c->n), *l1 = tp_io(c, 1);
    const float *z = tp_in(c, c->n), *t = tp_in(c, c->n);
    bool wanted = c->n % 3u != 0;
    tp_ready(c);
    tp_result_f32(c, k->mse_f32(wanted ? d : NULL, wanted ? l1 : NULL, z, t, 2.0f / (float)c->n, c->n));
}

/* Sizes that nets have: every width of a tile and what is left over. */
static tp_conv tp_common_geometry(void) {
    static const uint32_t side[8] = {1, 2, 3, 4, 5, 7, 9, 14}, in[8] = {3, 8, 9, 16, 24, 48, 96, 130}, out[8] = {6, 8, 16, 24, 32, 40, 49, 64};
    static const uint32_t kernel[5][2] = {{1, 1}, {1, 1}, {3, 3}, {1, 5}, {5, 5}};
    tp_conv g;
    do {
        uint32_t k = tp_random_below(5), same = tp_random_below(3) != 0 ? 1u : 0u, stride = tp_random_below(3) == 0 ? 2u : 1u;
        g = (tp_conv){0, 0, in[tp_random_below(8)], 0, 0, out[tp_random_below(8)], kernel[k][0], kernel[k][1], stride, stride, 0, 0, 1};
        g.pad_top = same * (g.kh / 2u), g.pad_left = same * (g.kw / 2u);
        g.h = tp_max_u32(side[tp_random_below(8)], g.kh - g.pad_top);
        g.w = tp_max_u32(side[tp_random_below(8)], g.kw - g.pad_left);
        g.oh = (g.h + 2u * g.pad_top - g.kh) / g.sh + 1u, g.ow = (g.w + 2u * g.pad_left - g.kw) / g.sw + 1u;
    } while (g.h + 2u * g.pad_top < g.kh || g.w + 2u * g.pad_left < g.kw || g.oh * g.ow * g.kh * g.kw * g.c_in * g.c_out > 150000u);
    return g;
}

/* A convolution for case number n: kernel, stride, padding, groups. */
static tp_conv tp_geometry(uint32_t n, bool depthwise) {
    tp_conv g;
    if (n % 3u == 2u) { return tp_common_geometry(); }
    uint32_t groups = depthwise ? n : 1u + (n % 4u == 0 ? tp_random_below(3) : 0u);
    g.groups = groups;
    g.c_in = groups * (depthwise ? 1u : 1u + tp_random_below(n % 3u == 0 ? 19u : 4u));
    g.c_out = groups * (depthwise ? 1u : 1u + tp_random_below(n % 5u == 0 ? 21u : 6u));
    g.kh = 1u + tp_random_below(3);
    g.kw = 1u + tp_random_below(4);
    g.sh = 1u + tp_random_below(2);
    g.sw = 1u + tp_random_below(3);
    g.pad_top = tp_random_below(g.kh);
    g.pad_left = tp_random_below(g.kw);
    g.h = g.kh + tp_random_below(5);
    g.w = g.kw + tp_random_below(n % 7u == 0 ? 30u : 6u);
    g.oh = (g.h + g.pad_top + tp_random_below(g.kh) - g.kh) / g.sh + 1u;
    g.ow = (g.w + g.pad_left + tp_random_below(g.kw) - g.kw) / g.sw + 1u;
    return g;
}

static uint32_t tp_conv_in(const tp_conv *g) { return g->h * g->w * g->c_in; }
static uint32_t tp_conv_out(const tp_conv *g) { return g->oh * g->ow * g->c_out; }
static uint32_t tp_conv_row(const tp_conv *g) { return g->kh * g->kw * g->c_in / g->groups; }

/* Room that a kernel may use as it likes, of exactly the size the plan promises (the sanitizer sees one word more), or none;
 * inside the block it would make instruction sets look different. */
static uint32_t *tp_scratch_of(uint32_t words, uint32_t n) {
    static uint32_t *room = NULL;
    free(room);
    room = NULL;
    if (n % 6u == 5u) { return NULL; }
    room = (uint32_t *)malloc(words * sizeof(uint32_t));
    if (room == NULL) { return NULL; } /* a board has less memory */
    memset(room, 0xff, words * sizeof(uint32_t));
    return room;
}
static uint32_t *tp_scratch(const tp_conv *g, uint32_t n) { return tp_scratch_of(tp_conv_scratch(g), n); }

/* Every third case is depthwise. */
static tp_conv tp_geometry_of(const tp_case *c) { return tp_geometry(c->n, c->n % 3u == 1u); }
static uint32_t tp_conv_samples(const tp_case *c) { return 1u + (c->n + c->shift) % 3u; }

TP_CASE(conv_f32) {
    tp_conv g = tp_geometry_of(c);
    uint32_t n = tp_conv_samples(c);
    float *y = tp_io(c, n * tp_conv_out(&g));
    const float *x = tp_in(c, n * tp_conv_in(&g)), *w = tp_in(c, g.c_out * tp_conv_row(&g)), *b = tp_in(c, g.c_out);
    tp_ready(c);
    k->conv_f32(&g, n, y, x, w, c->n % 5u == 0 ? NULL : b, tp_scratch(&g, c->n));
}

TP_CASE(conv_dx_f32) {
    tp_conv g = tp_geometry_of(c);
    uint32_t n = tp_conv_samples(c);
    float *dx = tp_io(c, n * tp_conv_in(&g)), *d = tp_errors(c, n * g.oh * g.ow, g.c_out), *w = tp_io(c, g.c_out * tp_conv_row(&g));
    if (c->n % 4u == 0) { w[tp_random_below(g.c_out * tp_conv_row(&g))] = tp_f32_from_bits(0x7f800000u); }
    tp_ready(c);
    k->conv_dx_f32(&g, n, dx, d, w, c->n % 2u == 0, tp_scratch(&g, c->n));
}

TP_CASE(conv_dw_f32) {
    tp_conv g = tp_geometry_of(c);
    uint32_t n = tp_conv_samples(c);
    uint32_t first = c->n % 2u == 0 ? tp_random_below(g.c_out) : 0u, rows = c->n % 2u == 0 ? 1u + tp_random_below(g.c_out - first) : g.c_out;
    float *rows_of = tp_io(c, rows * tp_conv_row(&g)), *d = tp_errors(c, n * g.oh * g.ow, g.c_out), *x = tp_io(c, n * tp_conv_in(&g));
    float step = tp_random_f32();
    if (c->n % 4u == 1u) { x[tp_random_below(n * tp_conv_in(&g))] = tp_f32_from_bits(0x7f800000u); }
    tp_ready(c);
    bool at_once = (c->n + c->shift) % 2u == 0;
    k->conv_dw_f32(&g, n, at_once ? NULL : rows_of, at_once ? rows_of : NULL, step, x, d, first, rows, c->n % 5u == 0, tp_scratch(&g, c->n));
}

TP_CASE(conv_sgd_f32) {
    tp_conv g = tp_geometry_of(c);
    if (c->n % 5u == 3u) { /* a dense layer */
        g = (tp_conv){1, 1, 1u + c->n, 1, 1, 1u + tp_random_below(40), 1, 1, 1, 1, 0, 0, 1};
    }
    float *dx = tp_io(c, tp_conv_in(&g)), *d = tp_errors(c, g.oh * g.ow, g.c_out), *w = tp_io(c, g.c_out * tp_conv_row(&g)), *x = tp_io(c, tp_conv_in(&g));
    float step = tp_random_f32();
    if (c->n % 4u == 0) { w[tp_random_below(g.c_out * tp_conv_row(&g))] = tp_f32_from_bits(0x7f800000u); }
    if (c->n % 4u == 1u) { x[tp_random_below(tp_conv_in(&g))] = tp_f32_from_bits(0x7f800000u); }
    tp_ready(c);
    k->conv_sgd_f32(&g, dx, w, step, x, d, (c->n + c->shift) % 2u == 0, tp_scratch(&g, c->n));
}

TP_CASE(channel_any_f32) {
    uint32_t positions = 1u + c->n % 9u;
    const float *x = tp_errors(c, positions, c->n);
    uint32_t *any = (uint32_t *)(void *)tp_io(c, c->n);
    tp_ready(c);
    k->channel_any_f32(any, x, positions, c->n);
    for (uint32_t i = 0; i < c->n; i++) { any[i] = any[i] != 0 ? 1u : 0u; }
}

#include "tp_kernel_cases_s8.h"

static const struct {
    const char *name;
    tp_case_run *run;
    bool flat;
} tp_cases[] = {
#define TP_KERNEL(name, ret, params) {#name, tp_case_##name, tp_flat_##name != 0},
#include "../../../csrc/kernel/tp_kernel_list.h"
#undef TP_KERNEL
};

/* --- all of them --- */

static const tp_kernels *tp_under_test, *tp_reference;

static void tp_case_do(tp_case *c, const tp_kernels *k, uint32_t kernel, uint32_t n, uint32_t kind, uint32_t shift) {
    c->n = n;
    c->kind = kind;
    c->shift = shift;
    c->used = 0;
    c->regions = 0;
    tp_random_state = ((uint64_t)kernel << 40) + ((uint64_t)n << 16) + (kind << 8) + shift;
    tp_cases[kernel].run(k, c);
    tp_guards_open(c);
}

static uint32_t tp_kernel_number;

static void tp_kernel_exact(void) {
    static _Alignas(TP_ALIGN) uint8_t memory[2][TP_MEMORY];
    static const uint32_t shifts[4] = {0, 1, 3, 7}, large[6] = {97, 127, 128, 129, 255, 300}, larger[4] = {255, 300, 1023, 4099};
    const bool flat = tp_cases[tp_kernel_number].flat;
    tp_case want = {0}, got = {0};
    want.memory = memory[0];
    got.memory = memory[1];
    for (uint32_t i = flat ? 0 : 1; i <= (flat ? 134u : 76u); i++) {
        uint32_t n = flat ? (i <= 130u ? i : larger[i - 131u]) : i <= 70 ? i : large[i - 71u];
        for (uint32_t s = 0; s < 4; s++) {
            for (uint32_t kind = 0; kind < TP_KINDS; kind++) {
                tp_case_do(&want, tp_reference, tp_kernel_number, n, kind, shifts[s]);
                tp_case_do(&got, tp_under_test, tp_kernel_number, n, kind, shifts[s]);
                bool same = got.used == want.used && memcmp(got.memory, want.memory, want.used) == 0;
                TP_CHECKF(same, "n %u kind %u shift %u: other bytes", n, kind, shifts[s]);
                TP_CHECKF(tp_case_clean(&want) && tp_case_clean(&got), "n %u kind %u shift %u: wrote outside", n, kind, shifts[s]);
            }
        }
    }
}

/* An argument: that instruction set alone. */
int main(int argc, char **argv) {
    bool usable = false;
    tp_reference = tp_kernels_named("scalar") != NULL ? tp_kernels_named("scalar") : tp_kernels_named("soft");
    printf("# reference: %s\n", tp_kernels_name(tp_reference));
    for (uint32_t i = 0; (tp_under_test = tp_kernels_row(i, &usable)) != NULL; i++) {
        if (argc > 1 && strcmp(argv[1], tp_kernels_name(tp_under_test)) != 0) { continue; }
        if (!usable) {
            printf("# skipped: %s: this CPU does not run it\n", tp_kernels_name(tp_under_test));
            continue;
        }
        for (tp_kernel_number = 0; tp_kernel_number < sizeof tp_cases / sizeof tp_cases[0]; tp_kernel_number++) {
            char name[64];
            snprintf(name, sizeof name, "%s_%s", tp_cases[tp_kernel_number].name, tp_kernels_name(tp_under_test));
            tp_run(name, tp_kernel_exact);
        }
    }
    return tp_end();
}
