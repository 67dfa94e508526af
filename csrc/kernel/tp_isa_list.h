/* SPDX-License-Identifier: Apache-2.0 */
/* One row and one block per instruction set; best last. TP_ISA(name, needs): `needs` is a host CPU test. */
#if defined(__x86_64__)
#define TP_ISA_ROWS                    \
    TP_ISA(soft, true)                 \
    TP_ISA(scalar, tp_cpu_has_fma())   \
    TP_ISA(avx2, tp_cpu_has_avx2())    \
    TP_ISA(avx512, tp_cpu_has_avx512())
#elif defined(__aarch64__)
#define TP_ISA_ROWS      \
    TP_ISA(soft, true)   \
    TP_ISA(scalar, true) \
    TP_ISA(neon, true)
#elif defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA)
#define TP_ISA_ROWS    \
    TP_ISA(soft, true) \
    TP_ISA(scalar, true)
#else
#define TP_ISA_ROWS TP_ISA(soft, true)
#endif

#if defined(TP_SOURCES) && !defined(TINYPROP_TP_ISA_UNITS)
#define TINYPROP_TP_ISA_UNITS
#include "tp_kernel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define TP_PASTE2(a, b, c) a##b##_##c
#define TP_PASTE(a, b, c) TP_PASTE2(a, b, c)
#define TP_K(name) TP_PASTE(tp_, name, TP_ISA_NAME)

/* every machine: own correctly rounded fma */
#define TP_ISA_NAME soft
#define TP_FMA(a, b, c) tp_fma_soft((a), (b), (c))
#include "../simd/tp_simd_scalar.h"
#include "tp_isa_unit.inc"

/* the reference: one lane at a time, hardware fma */
#if defined(__x86_64__) || defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
#if defined(__x86_64__)
TP_TARGET_BEGIN("fma")
#endif
#define TP_ISA_NAME scalar
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_scalar.h"
#include "tp_isa_unit.inc"
#if defined(__x86_64__)
TP_TARGET_END
#endif
#endif

#if defined(__x86_64__)
TP_TARGET_BEGIN("avx2,fma")
#define TP_ISA_NAME avx2
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_avx2.h"
#include "tp_isa_unit.inc"
TP_TARGET_END

TP_TARGET_BEGIN("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#define TP_ISA_NAME avx512
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_avx512.h"
#include "tp_isa_unit.inc"
TP_TARGET_END
#endif

#if defined(__aarch64__)
#define TP_ISA_NAME neon
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_neon.h"
#include "tp_isa_unit.inc"
#endif
#endif /* TP_SOURCES */
