/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512: the eight lanes of the contract are half a register (256 bits); work without an order across lanes takes 16. */
#define TP_WIDE 1
#define vf __m256
#define vf_zero() _mm256_setzero_ps()
#define vf_load(p) _mm256_loadu_ps(p)
#define vf_store(p, a) _mm256_storeu_ps((p), (a))
#define vf_set1(a) _mm256_set1_ps(a)
#define vf_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define vf_fma_part(a, b, c, n) _mm256_mask3_fmadd_ps((a), (b), (c), (__mmask8)tp_avx512_mask(n))
#define vf_load_part(p, n) _mm256_maskz_loadu_ps((__mmask8)tp_avx512_mask(n), (p))
#define vf_add(a, b) _mm256_add_ps((a), (b))
#define vf_abs(a) _mm256_and_ps((a), _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)))
#define vf_sum(a) tp_avx512_sum(a)
#define vf_tree(a) tp_avx512_tree(a)

#define TP_LANES 16
#define vw __m512
#define vw_zero() _mm512_setzero_ps()
#define vw_load(p) _mm512_loadu_ps(p)
#define vw_store(p, a) _mm512_storeu_ps((p), (a))
#define vw_set1(a) _mm512_set1_ps(a)
#define vw_fma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define vw_add(a, b) _mm512_add_ps((a), (b))
#define vw_load_part(p, n) _mm512_maskz_loadu_ps((__mmask16)tp_avx512_mask(n), (p))
#define vw_store_part(p, a, n) _mm512_mask_storeu_ps((p), (__mmask16)tp_avx512_mask(n), (a))
#define vw_select(first, a, b) _mm512_mask_blend_ps((__mmask16)((first) ? 0xffffu : 0u), (b), (a))

#define TP_VECTORS 32 /* registers */
#define vw_or(a, b) _mm512_or_ps((a), (b)) /* bits */
#define vw_count(a) ((uint32_t)__builtin_popcount(_mm512_cmp_ps_mask((a), _mm512_setzero_ps(), _CMP_NEQ_UQ))) /* lanes that are not 0 */
#define vw_transpose(r) tp_avx512_transpose(r)
/* lanes of d, of its first n, that are not 0 (`all`: those too) and their index; writes whole vectors */
#define vw_sift(value, at, d, index, n, all) tp_avx512_sift((value), (at), (d), (index), (n), (all))
/* numbers of lanes; at: those of the lanes that are not 0, writes a whole vector */
#define vn __m512i
#define vn_lanes() _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define vn_next(a) _mm512_add_epi32((a), _mm512_set1_epi32(16))
#define vw_find(at, d, lanes) tp_avx512_find((at), (d), (lanes))

/* Tiles of a dense layer's forward pass: TP_DENSE_ROWS rows, and the eight lanes of TP_DENSE_SAMPLES samples a register. */
#define TP_DENSE_ROWS 8
#define TP_DENSE_SAMPLES 2
#define vt __m512
#define vt_zero() _mm512_setzero_ps()
#define vt_load(p, q) _mm512_insertf32x8(_mm512_castps256_ps512(vf_load(p)), vf_load(q), 1)
#define vt_load_part(p, q, n) _mm512_insertf32x8(_mm512_castps256_ps512(vf_load_part((p), (n))), vf_load_part((q), (n)), 1)
#define vt_row(p) _mm512_broadcast_f32x8(vf_load(p))
#define vt_row_part(p, n) _mm512_broadcast_f32x8(vf_load_part((p), (n)))
#define vt_fma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define vt_add(a, b) _mm512_add_ps((a), (b))
#define vt_tree(a) tp_avx512_tree_pair(a)
#define vt_twice(p) vt_row(p)
#define vt_store_halves(p, q, a) (vf_store((p), _mm512_castps512_ps256(a)), vf_store((q), _mm512_extractf32x8_ps((a), 1)))

#define TP_SPAN 16
#define ve vw
#define ve_load(p) vw_load(p)
#define ve_load_part(p, n) vw_load_part((p), (n))
#define ve_store(p, a) vw_store((p), (a))
#define ve_store_part(p, a, n) vw_store_part((p), (a), (n))
#define ve_set1(a) vw_set1(a)
#define ve_add(a, b) vw_add((a), (b))
#define ve_sub(a, b) _mm512_sub_ps((a), (b))
#define ve_mul(a, b) _mm512_mul_ps((a), (b))
#define ve_div(a, b) _mm512_div_ps((a), (b))
#define ve_fma(a, b, c) vw_fma((a), (b), (c))
#define ve_neg(a) _mm512_xor_ps((a), _mm512_set1_ps(-0.0f))
#define ve_abs(a) _mm512_abs_ps(a)
#define ve_if(m, a, b) _mm512_mask_blend_ps((m), (b), (a))
/* a < b ? a : b, a > b ? a : b: with a NaN, b */
#define ve_min(a, b) _mm512_min_ps((a), (b))
#define ve_max(a, b) _mm512_max_ps((a), (b))
#define ve_only(m, a) _mm512_maskz_mov_ps((m), (a))
#define ve_first(a) _mm512_cvtss_f32(a)
#define ve_of(u) _mm512_castsi512_ps(u)
#define ve_of_int(u) _mm512_cvtepi32_ps(u)
#define vu __m512i
#define vu_set1(a) _mm512_set1_epi32((int)(a))
#define vu_bits(a) _mm512_castps_si512(a)
#define vu_abs(a) _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff))
#define vu_and(a, b) _mm512_and_si512((a), (b))
#define vu_or(a, b) _mm512_or_si512((a), (b))
#define vu_shl(a, n) _mm512_slli_epi32((a), (n))
#define vu_shr(a, n) _mm512_srli_epi32((a), (n))
#define vu_add(a, b) _mm512_add_epi32((a), (b))
#define vu_sub(a, b) _mm512_sub_epi32((a), (b))
#define vu_min(a, b) _mm512_min_epu32((a), (b))
#define vu_max(a, b) _mm512_max_epu32((a), (b))
#define vu_count(a, m) _mm512_mask_sub_epi32((a), (m), (a), _mm512_set1_epi32(-1))
#define vu_min_of(a) _mm512_reduce_min_epu32(a)
#define vu_max_of(a) _mm512_reduce_max_epu32(a)
#define vm __mmask16
/* a > b, both below 2^31 */
#define vm_above(a, b) _mm512_cmpgt_epu32_mask((a), (b))
#define vm_lt(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_LT_OQ)
#define vm_le(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_LE_OQ)
#define vm_not_le(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_NLE_UQ)
#define vm_nan(a) _mm512_cmp_ps_mask((a), (a), _CMP_UNORD_Q)
#define vm_first(n) ((__mmask16)tp_avx512_mask(n))
#define vm_except(a, b) ((__mmask16)((a) & ~(b)))
#define vc uint32_t /* counting bits of a mask is cheaper than summing lanes */
#define vc_zero() 0u
#define vc_add(c, m) ((c) + (uint32_t)__builtin_popcount(m))
#define vc_sum(c) (c)
/* elements j, j + 1 .. join their partial sums */
#define vf_add_span(acc, j, a) ((acc) = vf_add(vf_add((acc), _mm512_castps512_ps256(a)), _mm512_extractf32x8_ps((a), 1)))
#define vf_square_span(acc, j, a) ((acc) = tp_avx512_squares((acc), _mm512_castps512_ps256(a), _mm512_extractf32x8_ps((a), 1)))

#ifndef TINYPROP_TP_SIMD_AVX512_H
#define TINYPROP_TP_SIMD_AVX512_H
/* the first n lanes */
TP_INLINE uint32_t tp_avx512_mask(uint32_t n) { return (1u << n) - 1u; }

/* The halving tree: lane i + lane i+4, then +2, then +1. */
TP_INLINE float tp_avx512_sum(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

/* Eight of them: lane r is the sum of a[r]. */
TP_INLINE __m256 tp_avx512_tree(const __m256 *a) {
    __m256 h[4], q[2];
    TP_UNROLL for (uint32_t r = 0; r < 4; r++) { /* a[r] in the low half, a[r + 4] in the high one */
        h[r] = _mm256_add_ps(_mm256_blend_ps(a[r], a[r + 4], 0xf0), _mm256_permute2f128_ps(a[r], a[r + 4], 0x21));
    }
    TP_UNROLL for (uint32_t r = 0; r < 2; r++) {
        q[r] = _mm256_add_ps(_mm256_shuffle_ps(h[2 * r], h[2 * r + 1], 0x44), _mm256_shuffle_ps(h[2 * r], h[2 * r + 1], 0xee));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(q[0], q[1], 0x88), _mm256_shuffle_ps(q[0], q[1], 0xdd));
}

/* The same in both halves of a register. */
TP_INLINE __m512 tp_avx512_tree_pair(const __m512 *a) {
    __m512 h[4], q[2];
    TP_UNROLL for (uint32_t r = 0; r < 4; r++) {
        __m512 swap = _mm512_mask_blend_ps(0xf0f0, a[r + 4], a[r]);
        h[r] = _mm512_add_ps(_mm512_mask_blend_ps(0xf0f0, a[r], a[r + 4]), _mm512_shuffle_f32x4(swap, swap, 0xb1));
    }
    TP_UNROLL for (uint32_t r = 0; r < 2; r++) {
        q[r] = _mm512_add_ps(_mm512_shuffle_ps(h[2 * r], h[2 * r + 1], 0x44), _mm512_shuffle_ps(h[2 * r], h[2 * r + 1], 0xee));
    }
    return _mm512_add_ps(_mm512_shuffle_ps(q[0], q[1], 0x88), _mm512_shuffle_ps(q[0], q[1], 0xdd));
}

/* Squares of 4 x 4 in place, then the 4 x 4 squares among themselves. */
TP_INLINE void tp_avx512_transpose(__m512 *r) {
    __m512 s[16];
    TP_UNROLL for (uint32_t i = 0; i < 16; i += 4) {
        __m512 a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        __m512 c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        s[i] = _mm512_shuffle_ps(a, c, 0x44);
        s[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        s[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        s[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    TP_UNROLL for (uint32_t i = 0; i < 4; i++) {
        __m512 a = _mm512_shuffle_f32x4(s[i], s[i + 4], 0x88), b = _mm512_shuffle_f32x4(s[i], s[i + 4], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(s[i + 8], s[i + 12], 0x88), d = _mm512_shuffle_f32x4(s[i + 8], s[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

TP_INLINE uint32_t tp_avx512_sift(float *value, uint32_t *at, __m512 d, const uint32_t *index, uint32_t n, bool all) {
    __mmask16 keep = (__mmask16)tp_avx512_mask(n);
    if (!all) { keep = _mm512_mask_cmp_ps_mask(keep, d, _mm512_setzero_ps(), _CMP_NEQ_UQ); }
    _mm512_storeu_ps(value, _mm512_maskz_compress_ps(keep, d));
    _mm512_storeu_si512(at, _mm512_maskz_compress_epi32(keep, _mm512_loadu_si512(index)));
    return (uint32_t)__builtin_popcount(keep);
}

TP_INLINE uint32_t tp_avx512_find(uint32_t *at, __m512 d, __m512i lanes) {
    __mmask16 keep = _mm512_cmp_ps_mask(d, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    _mm512_storeu_si512(at, _mm512_maskz_compress_epi32(keep, lanes));
    return (uint32_t)__builtin_popcount(keep);
}

TP_INLINE __m256 tp_avx512_squares(__m256 acc, __m256 low, __m256 high) {
    return _mm256_fmadd_ps(high, high, _mm256_fmadd_ps(low, low, acc));
}
#endif

#include "tp_simd_avx512_s8.h"
