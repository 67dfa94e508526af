/* SPDX-License-Identifier: Apache-2.0 */
/* One row and one block per instruction set; best last. TP_ISA(name, needs): `needs` is a host CPU test. */
#define TP_STATIC_all 0
#define TP_STATIC_soft 1
#define TP_STATIC_scalar 2
#define TP_STATIC_avx2 3
#define TP_STATIC_avx512 4
#define TP_STATIC_neon 5
#define TP_STATIC_vfp 6
#define TP_STATIC_avx512vnni 7
#define TP_STATIC_neondot 8
/* Cortex-M with an FPU and fma */
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && defined(__ARM_FP) && (__ARM_FP & 4) && defined(__ARM_FEATURE_FMA)
#define TP_ISA_HAS_VFP
#endif
/* -DTP_STATIC_ISA=NAME: that table alone, chosen when compiling: what a firmware wants, and gets without asking, since the
 * flags of a microcontroller say which unit it has. `all`: every table the compiler can make. */
#if !defined(TP_STATIC_ISA) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#ifdef TP_ISA_HAS_VFP
#define TP_STATIC_ISA vfp
#else
#define TP_STATIC_ISA soft
#endif
#endif
#ifdef TP_STATIC_ISA
#define TP_ISA_WANTED(name) (TP_CAT(TP_STATIC_, TP_STATIC_ISA) == TP_STATIC_all || TP_CAT(TP_STATIC_, TP_STATIC_ISA) == TP_STATIC_##name)
#else
#define TP_ISA_WANTED(name) 1
#endif

#if TP_ISA_WANTED(soft)
#define TP_ISA_ROW_SOFT TP_ISA(soft, true)
#else
#define TP_ISA_ROW_SOFT
#endif

#if defined(__x86_64__) && TP_ISA_WANTED(scalar)
#define TP_ISA_ROW_SCALAR TP_ISA(scalar, tp_cpu_has_fma())
#elif (defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)) && TP_ISA_WANTED(scalar)
#define TP_ISA_ROW_SCALAR TP_ISA(scalar, true)
#else
#define TP_ISA_ROW_SCALAR
#endif

#if defined(__x86_64__) && TP_ISA_WANTED(avx2)
#define TP_ISA_ROW_AVX2 TP_ISA(avx2, tp_cpu_has_avx2())
#else
#define TP_ISA_ROW_AVX2
#endif

#if defined(__x86_64__) && TP_ISA_WANTED(avx512)
#define TP_ISA_ROW_AVX512 TP_ISA(avx512, tp_cpu_has_avx512())
#else
#define TP_ISA_ROW_AVX512
#endif

/* avx512 and its dot products of int8: takes the rest of its table from there */
#if defined(__x86_64__) && TP_ISA_WANTED(avx512vnni)
#if !TP_ISA_WANTED(avx512)
#error "tinyprop: avx512vnni needs the table avx512 beside it: -DTP_STATIC_ISA=all"
#endif
#define TP_ISA_ROW_AVX512VNNI TP_ISA(avx512vnni, tp_cpu_has_avx512vnni())
#else
#define TP_ISA_ROW_AVX512VNNI
#endif

#if defined(__aarch64__) && TP_ISA_WANTED(neon)
#define TP_ISA_ROW_NEON TP_ISA(neon, true)
#else
#define TP_ISA_ROW_NEON
#endif

/* neon and its dot products of int8 */
#if defined(__aarch64__) && TP_ISA_WANTED(neondot)
#if !TP_ISA_WANTED(neon)
#error "tinyprop: neondot needs the table neon beside it: -DTP_STATIC_ISA=all"
#endif
#define TP_ISA_ROW_NEONDOT TP_ISA(neondot, tp_cpu_has_dotprod())
#else
#define TP_ISA_ROW_NEONDOT
#endif

#if defined(TP_ISA_HAS_VFP) && TP_ISA_WANTED(vfp)
#define TP_ISA_ROW_VFP TP_ISA(vfp, true)
#else
#define TP_ISA_ROW_VFP
#endif

#define TP_ISA_ROWS TP_ISA_ROW_SOFT TP_ISA_ROW_SCALAR TP_ISA_ROW_AVX2 TP_ISA_ROW_AVX512 TP_ISA_ROW_AVX512VNNI TP_ISA_ROW_NEON TP_ISA_ROW_NEONDOT TP_ISA_ROW_VFP

#if defined(TP_SOURCES) && !defined(TINYPROP_TP_ISA_UNITS)
#define TINYPROP_TP_ISA_UNITS
#include "tp_kernel.h"
/* TP_TABLES_BESIDE: another object has them, for many programs that would each wait for the same kernels to be compiled. */
#ifdef TP_TABLES_BESIDE
#define TP_ISA(name, needs) extern const tp_kernels tp_kernels_##name;
TP_ISA_ROWS
#undef TP_ISA
#else
#ifndef TP_TABLE
#define TP_TABLE static
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define TP_PASTE2(a, b, c) a##b##_##c
#define TP_PASTE(a, b, c) TP_PASTE2(a, b, c)
#define TP_K(name) TP_PASTE(tp_, name, TP_ISA_NAME)
/* of the table that it takes the rest from */
#define TP_B(name) TP_PASTE(tp_, name, TP_ISA_BASE)

/* every machine: own correctly rounded fma */
#if TP_ISA_WANTED(soft)
#define TP_ISA_NAME soft
#if !defined(__ARM_FEATURE_FMA) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define TP_BOARD /* the table of a core without an FPU */
#endif
#define TP_FMA(a, b, c) tp_fma_soft((a), (b), (c))
#include "../simd/tp_simd_scalar.h"
#include "tp_isa_unit.inc"
#endif

/* the reference: one lane at a time, hardware fma */
#if (defined(__x86_64__) || defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)) && TP_ISA_WANTED(scalar)
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

#if defined(__x86_64__) && TP_ISA_WANTED(avx2)
TP_TARGET_BEGIN("avx2,fma")
#define TP_ISA_NAME avx2
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_avx2.h"
#include "tp_isa_unit.inc"
TP_TARGET_END
#endif

#if defined(__x86_64__) && TP_ISA_WANTED(avx512)
TP_TARGET_BEGIN("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#define TP_ISA_NAME avx512
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_avx512.h"
#include "tp_isa_unit.inc"
TP_TARGET_END
#endif

#if defined(__x86_64__) && TP_ISA_WANTED(avx512vnni)
TP_TARGET_BEGIN("avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,avx2,fma")
#define TP_ISA_NAME avx512vnni
#define TP_ISA_BASE avx512
#include "../simd/tp_simd_avx512vnni.h"
#include "tp_isa_unit.inc"
TP_TARGET_END
#endif

#if defined(__aarch64__) && TP_ISA_WANTED(neon)
#define TP_ISA_NAME neon
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_neon.h"
#include "tp_isa_unit.inc"
#endif

#if defined(__aarch64__) && TP_ISA_WANTED(neondot)
#if defined(__clang__)
TP_TARGET_BEGIN("dotprod")
#else
TP_TARGET_BEGIN("arch=armv8.2-a+dotprod")
#endif
#define TP_ISA_NAME neondot
#define TP_ISA_BASE neon
#include "../simd/tp_simd_neondot.h"
#include "tp_isa_unit.inc"
TP_TARGET_END
#endif

#if defined(TP_ISA_HAS_VFP) && TP_ISA_WANTED(vfp)
#define TP_ISA_NAME vfp
#define TP_BOARD
#define TP_FMA(a, b, c) tp_fma_hard((a), (b), (c))
#include "../simd/tp_simd_vfp.h"
#include "tp_isa_unit.inc"
#endif
#endif /* TP_TABLES_BESIDE */
#endif /* TP_SOURCES */
