/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler door and small pure helpers; included first by every part. */
#ifndef TINYPROP_TP_BASE_H
#define TINYPROP_TP_BASE_H

/* a*b+c must stay two roundings unless the code says fma: users' build systems will not pass our flags, so it is
 * pinned here (docs/NUMERICS.md). GCC ignores the STDC pragma, clang ignores GCC's. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#else
#error "tinyprop: GCC or clang is needed (MSVC is not supported yet)"
#endif

/* Helium: its integers are exact, and used by name. */
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>
#define TP_HELIUM 1
#else
#define TP_HELIUM 0
#endif

/* Its floats are not: it flushes denormals and makes default NaNs whatever FPSCR says, and compilers vectorise plain loops for it (gcc 12
 * from -O2 on): between BEGIN and END, which is the whole library, floats stay in the scalar unit. */
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2) && defined(__clang__)
#define TP_SCALAR_BEGIN _Pragma("clang attribute push(__attribute__((target(\"no-mve.fp\"))), apply_to = function)")
#define TP_SCALAR_END _Pragma("clang attribute pop")
#elif defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2)
#define TP_SCALAR_BEGIN _Pragma("GCC push_options") _Pragma("GCC optimize(\"no-tree-vectorize,no-tree-slp-vectorize\")")
#define TP_SCALAR_END _Pragma("GCC pop_options")
#else
#define TP_SCALAR_BEGIN
#define TP_SCALAR_END
#endif

#if defined(__FAST_MATH__)
#error "tinyprop: -ffast-math and -Ofast break the arithmetic contract; compile without them"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 2
#error "tinyprop: x87 rounds twice; on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif

/* What a build leaves out and how it is compiled, in a file of its own: -DTP_CONFIG_HEADER='"mine.h"'. */
#ifdef TP_CONFIG_HEADER
#include TP_CONFIG_HEADER
#endif

#include "../include/tinyprop.h"
#ifdef TP_PORT_HEADER
#include TP_PORT_HEADER
#else
#include "../include/tinyprop_port.h"
#endif

#define TP_INLINE static inline __attribute__((always_inline, unused))
#define TP_NOINLINE __attribute__((noinline))

/* Called once in a while: made small, not fast. */
#define TP_COLD __attribute__((cold))

#define TP_CAT2(a, b) a##b
#define TP_CAT(a, b) TP_CAT2(a, b)

/* TP_WHEN(LAYER, conv2d, tokens): the tokens, unless the configuration says `#define TP_WITH_LAYER_conv2d 0`; so for LOSS, POLICY,
 * OPTIM. A row that no list mentions is TP_OPTIONAL: the compiler drops it with all that only it uses. */
#define TP_OFF_0 ~, 0
#define TP_SECOND2(a, b, ...) b
#define TP_SECOND(...) TP_SECOND2(__VA_ARGS__)
#define TP_WITH(list, name) TP_SECOND(TP_CAT(TP_OFF_, TP_WITH_##list##_##name), 1, ~)
#define TP_WHEN_0(...)
#define TP_WHEN_1(...) __VA_ARGS__
#define TP_WHEN(list, name, ...) TP_CAT(TP_WHEN_, TP_WITH(list, name))(__VA_ARGS__)
#define TP_OPTIONAL static const __attribute__((unused))

_Static_assert(sizeof(float) == 4, "tinyprop needs IEEE binary32 floats");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tinyprop supports little-endian machines");

TP_INLINE uint32_t tp_min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
TP_INLINE uint32_t tp_max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

TP_INLINE uint32_t tp_f32_bits(float x) {
    uint32_t u;
    TP_MEMCPY(&u, &x, 4);
    return u;
}

TP_INLINE float tp_f32_from_bits(uint32_t u) {
    float x;
    TP_MEMCPY(&x, &u, 4);
    return x;
}

TP_INLINE bool tp_finite(float x) { return (tp_f32_bits(x) & 0x7f800000u) != 0x7f800000u; }

TP_INLINE float tp_abs(float x) { return tp_f32_from_bits(tp_f32_bits(x) & 0x7fffffffu); }

TP_INLINE bool tp_text_equal(const char *a, const char *b) {
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Overflow-checked arithmetic: a sticky flag keeps the planner readable. */
TP_INLINE uint32_t tp_mul(uint32_t a, uint32_t b, bool *overflow) {
    uint64_t r = (uint64_t)a * b;
    if (r > 0xffffffffu) { *overflow = true; }
    return (uint32_t)r;
}

TP_INLINE uint32_t tp_sum(uint32_t a, uint32_t b, bool *overflow) {
    uint64_t r = (uint64_t)a + b;
    if (r > 0xffffffffu) { *overflow = true; }
    return (uint32_t)r;
}

TP_INLINE uint32_t tp_align_up(uint32_t a, uint32_t to, bool *overflow) {
    return tp_sum(a, to - 1u, overflow) & ~(to - 1u);
}

/* Parameter tensors in a blob, bytes. */
#define TP_WEIGHTS_ALIGN 16u

/* Bytes of one element; the only place that knows. 0: no such type. */
TP_INLINE uint32_t tp_dtype_bytes(uint32_t dtype) {
    static const uint8_t bytes[] = {0, 4, 1, 4, 1};
    return dtype < sizeof bytes ? bytes[dtype] : 0u;
}

#endif /* TINYPROP_TP_BASE_H */
