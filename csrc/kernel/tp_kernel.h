/* SPDX-License-Identifier: Apache-2.0 */
/* The table of arithmetic of one instruction set, made from the list; knows nothing of layers. */
#ifndef TINYPROP_TP_KERNEL_H
#define TINYPROP_TP_KERNEL_H

#include "tp_rounding.h"
#include "tp_softmax_s8.h"

/* Geometry of a convolution, NHWC; c_in and c_out are those of the whole layer. */
typedef struct tp_conv {
    uint32_t h, w, c_in;
    uint32_t oh, ow, c_out;
    uint32_t kh, kw, sh, sw;
    uint32_t pad_top, pad_left;
    uint32_t groups;
} tp_conv;

/* From int32 sums to int8 outputs (docs/NUMERICS.md, int8): per output channel a multiplier, 0 .. INT32_MAX, and a shift, -31 .. 30;
 * the zero points; lo <= hi, both in -128 .. 127. */
typedef struct tp_requant {
    const int32_t *multiplier, *shift;
    int32_t x_zero, y_zero, lo, hi;
} tp_requant;

/* y = the sum of two tensors of other scales: their terms carry 20 more bits. Multipliers and shifts as in tp_requant. */
typedef struct tp_add_s8 {
    int32_t a_zero, b_zero, y_zero;
    int32_t a_multiplier, b_multiplier, y_multiplier;
    int32_t a_shift, b_shift, y_shift;
} tp_add_s8;

/* With one instruction set a call is direct, the table but a name, and kernels that nothing calls are dropped. */
#if defined(TP_STATIC_ISA) && TP_CAT(TP_STATIC_, TP_STATIC_ISA) != TP_STATIC_all
#define TP_KERNELS_DIRECT 1
#else
#define TP_KERNELS_DIRECT 0
#endif
struct tp_kernels {
    const char *name;
#if TP_KERNELS_DIRECT
#define TP_CALL(k, kernel) ((void)(k), TP_CAT(tp_##kernel##_, TP_STATIC_ISA))
#else
#define TP_CALL(k, kernel) ((k)->kernel)
#define TP_KERNEL(name, ret, params) ret(*name) params;
#include "tp_kernel_list.h"
#undef TP_KERNEL
#endif
};

/* Words of memory that the fast forms of a convolution want; saturates. A sample with zeros around (or its input errors), and
 * beside it which channels have errors, and a panel of weights, or lists of the errors that are not 0 and gradients of a block of
 * channels, or a copy of the weights. */
TP_INLINE uint32_t tp_conv_scratch(const tp_conv *g) {
    uint64_t k = (uint64_t)g->kh * g->kw * (g->c_in / g->groups), positions = (uint64_t)g->oh * g->ow, block = tp_min_u32(g->c_out, 32u);
    uint64_t padded = ((uint64_t)(g->oh - 1u) * g->sh + g->kh) * ((uint64_t)(g->ow - 1u) * g->sw + g->kw) * g->c_in;
    uint64_t copy = g->c_in % 16u == 0 ? 0u : ((uint64_t)g->c_in + 15u) / 16u * 16u * g->kh * g->kw * g->c_out;
    uint64_t panel = (k + 1u) * 48u, input_lists = 4u * ((uint64_t)g->c_out + 32u) + copy;
    uint64_t lists = (2u * block + 1u) * (positions + 32u) + (block + 1u) * k;
    uint64_t beside = g->c_out + (panel > lists ? panel : lists);
    if (g->groups > 1u) { /* errors with zeros between and around; weights or gradients as [tap][channel], and a row more */
        uint64_t spread = ((uint64_t)g->h + g->kh - 1u) * ((uint64_t)g->w + g->kw - 1u) * g->c_in;
        padded = padded > spread ? padded : spread;
        beside = (k + 1u) * ((uint64_t)g->c_in + 16u);
    }
    uint64_t words = padded + (beside > input_lists ? beside : input_lists) + 64u;
    return words > 0x3fffffffu ? 0x3fffffffu : (uint32_t)words;
}

/* The same for int8: some columns of the input around one row of outputs as int16, padded, with room to read on; or, on Cortex-M, the
 * inputs of two outputs as bytes and as int16, or of three as bytes; or what CMSIS-NN wants, which is no more. */
#define TP_S8_COLUMNS 8u   /* outputs worked on together */
#define TP_S8_CHANNELS 32u /* of a depthwise convolution, as many together */
TP_INLINE uint32_t tp_conv_s8_scratch(const tp_conv *g) {
    uint64_t taps = (uint64_t)g->kh * g->kw, columns = tp_min_u32(g->ow, TP_S8_COLUMNS), channels = g->c_in;
    uint64_t board = 6u * ((taps * channels + 15u) / 16u * 16u) + (channels == 1u ? taps * g->c_out : 0u); /* CMSIS-NN turns those weights round */
    if (g->kh == 1u && g->kw == 1u) { columns = TP_S8_COLUMNS; } /* a map may be one long row */
    if (g->groups > 1u) {
        board = taps * (2u * channels > 496u ? 2u * channels : 496u);
        channels = TP_S8_CHANNELS;
    }
    uint64_t strip = 2u * g->kh * ((columns - 1u) * g->sw + g->kw) * channels;
    uint64_t words = ((strip > board ? strip : board) + 3u) / 4u + 64u;
    return words > 0x3fffffffu ? 0x3fffffffu : (uint32_t)words;
}

/* The same for errors and gradients: inputs or errors of some samples as floats, the weights, and what float layers want. */
#define TP_S8_FLOATS 32768u /* together, or one sample's */
TP_INLINE uint32_t tp_conv_back_s8_scratch(const tp_conv *g) {
    uint64_t n_in = (uint64_t)g->h * g->w * g->c_in, n_out = (uint64_t)g->oh * g->ow * g->c_out, most = n_in > n_out ? n_in : n_out;
    uint64_t weights = (uint64_t)g->kh * g->kw * (g->c_in / g->groups) * g->c_out;
    uint64_t words = (most > TP_S8_FLOATS ? most : TP_S8_FLOATS) + weights + tp_conv_scratch(g) + 64u;
    return words > 0x3fffffffu ? 0x3fffffffu : (uint32_t)words;
}

TP_INLINE int32_t tp_word(const void *p) {
    int32_t a;
    TP_MEMCPY(&a, p, 4);
    return a;
}

/* ARMv6-M multiplies to 32 bits alone. */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
#define TP_SHORT_PRODUCTS 1
#else
#define TP_SHORT_PRODUCTS 0
#endif

/* a b / 2^31, to nearest, half up; b >= 0. */
TP_INLINE int32_t tp_mul_high(int32_t a, int32_t b) {
#if TP_SHORT_PRODUCTS
    const uint32_t low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
    const int32_t high = a >> 16, b_high = b >> 16;
    const uint32_t middle = low * (uint32_t)b_high + (low * b_low >> 16);
    const int32_t rest = high * (int32_t)b_low + (int32_t)(middle & 0xffffu);
    return 2 * (high * b_high + (int32_t)(middle >> 16) + (rest >> 16)) + (int32_t)((((uint32_t)rest & 0xffffu) + 0x4000u) >> 15);
#else
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
#endif
}

/* a times multiplier / 2^31 times 2^shift, rounded twice; multiplier >= 0, so the first result is above INT32_MIN. The last bit of a
 * right shift is left to the end: half away from zero. */
TP_INLINE int32_t tp_requantize(int32_t a, int32_t multiplier, int32_t shift) {
    if (shift >= 0) { return tp_mul_high((int32_t)((uint32_t)a << shift), multiplier); }
    a = tp_mul_high(a, multiplier);
    return (((a + (a >> 31)) >> ~shift) + 1) >> 1;
}

/* One policy does the work of zero errors. Without it `zeros` is never true, and what only it needs is left out. */
#define TP_ZEROS(zeros) (TP_WITH(POLICY, dense) && (zeros))

/* Code between BEGIN and END is compiled for that target, without flags on the command line. */
#define TP_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TP_TARGET_BEGIN(t) TP_PRAGMA(clang attribute push(__attribute__((target(t))), apply_to = function))
#define TP_TARGET_END TP_PRAGMA(clang attribute pop)
#else
#define TP_TARGET_BEGIN(t) TP_PRAGMA(GCC push_options) TP_PRAGMA(GCC target(t))
#define TP_TARGET_END TP_PRAGMA(GCC pop_options)
#endif

/* The next loop, of a constant count, becomes straight code: its arrays are registers. */
#if defined(__clang__)
#define TP_UNROLL TP_PRAGMA(unroll)
#else
#define TP_UNROLL TP_PRAGMA(GCC unroll 32)
#endif

/* Bytes that a shuffle takes to bring the floats of a mask to the front, four at a time. */
TP_INLINE const uint8_t *tp_sift_bytes(uint32_t keep) {
#define TP_FLOAT(i) 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3
#define TP_FLOATS(a, b, c, d) {TP_FLOAT(a), TP_FLOAT(b), TP_FLOAT(c), TP_FLOAT(d)}
    static const uint8_t bytes[16][16] = {
        TP_FLOATS(0, 0, 0, 0), TP_FLOATS(0, 0, 0, 0), TP_FLOATS(1, 0, 0, 0), TP_FLOATS(0, 1, 0, 0), TP_FLOATS(2, 0, 0, 0), TP_FLOATS(0, 2, 0, 0),
        TP_FLOATS(1, 2, 0, 0), TP_FLOATS(0, 1, 2, 0), TP_FLOATS(3, 0, 0, 0), TP_FLOATS(0, 3, 0, 0), TP_FLOATS(1, 3, 0, 0), TP_FLOATS(0, 1, 3, 0),
        TP_FLOATS(2, 3, 0, 0), TP_FLOATS(0, 2, 3, 0), TP_FLOATS(1, 2, 3, 0), TP_FLOATS(0, 1, 2, 3),
    };
#undef TP_FLOATS
#undef TP_FLOAT
    return bytes[keep];
}

/* A correctly rounded fma for machines without one (and the proof that hardware agrees). The product of two floats is
 * exact in double; the sum is rounded to odd (Boldo, Melquiond 2008), so the final rounding to float is the only one. */
static inline __attribute__((unused)) float tp_fma_soft(float a, float b, float c) {
    double p = (double)a * (double)b;
    double z = (double)c;
    double s = p + z;
    double bb = s - p;
    double err = (p - (s - bb)) + (z - bb);
    uint64_t u;
    TP_MEMCPY(&u, &s, 8);
    if (err != 0.0 && (u & 1u) == 0u && (u & 0x7ff0000000000000u) != 0x7ff0000000000000u) {
        /* step towards the error, so that the last bit is odd */
        u = ((err > 0.0) == (s > 0.0)) ? u + 1u : u - 1u;
        TP_MEMCPY(&s, &u, 8);
    }
    return (float)s;
}

/* The fma instruction. clang for bare metal turns the builtin into a call of libm's fmaf (which may set errno, and rounds
 * twice in some C libraries), so there the instruction is named. */
#if defined(__clang__) && defined(__ARM_FEATURE_FMA) && !defined(__linux__) && !defined(__APPLE__)
TP_INLINE float tp_fma_hard(float a, float b, float c) {
#if defined(__aarch64__)
    __asm__("fmadd %s0, %s1, %s2, %s0" : "+w"(c) : "w"(a), "w"(b));
#else
    __asm__("vfma.f32 %0, %1, %2" : "+t"(c) : "t"(a), "t"(b));
#endif
    return c;
}
#else
#define tp_fma_hard(a, b, c) __builtin_fmaf((a), (b), (c))
#endif

#endif /* TINYPROP_TP_KERNEL_H */
