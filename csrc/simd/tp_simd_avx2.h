/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 + FMA: the eight lanes of the contract are one register. */
#define TP_WIDE 1 /* eight lanes cost one operation */
#define vf __m256
#define vf_zero() _mm256_setzero_ps()
#define vf_load(p) _mm256_loadu_ps(p)
#define vf_store(p, a) _mm256_storeu_ps((p), (a))
#define vf_set1(a) _mm256_set1_ps(a)
#define vf_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define vf_fma_part(a, b, c, n) \
    _mm256_blendv_ps((c), _mm256_fmadd_ps((a), (b), (c)), _mm256_castsi256_ps(tp_avx2_mask(n)))
#define vf_load_part(p, n) _mm256_maskload_ps((p), tp_avx2_mask(n))
#define vf_add(a, b) _mm256_add_ps((a), (b))
#define vf_abs(a) _mm256_and_ps((a), _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)))
#define vf_sum(a) tp_avx2_sum(a)
#define vf_tree(a) tp_avx2_tree(a)

#define TP_LANES 8
#define vw __m256
#define vw_zero() _mm256_setzero_ps()
#define vw_load(p) _mm256_loadu_ps(p)
#define vw_store(p, a) _mm256_storeu_ps((p), (a))
#define vw_set1(a) _mm256_set1_ps(a)
#define vw_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define vw_add(a, b) _mm256_add_ps((a), (b))
#define vw_load_part(p, n) _mm256_maskload_ps((p), tp_avx2_mask(n))
#define vw_store_part(p, a, n) _mm256_maskstore_ps((p), tp_avx2_mask(n), (a))
#define vw_select(first, a, b) \
    _mm256_blendv_ps((b), (a), _mm256_castsi256_ps(_mm256_set1_epi32((first) ? -1 : 0)))

#define TP_VECTORS 16 /* registers */
#define vw_or(a, b) _mm256_or_ps((a), (b)) /* bits */
/* lanes that are not 0 */
#define vw_count(a) \
    ((uint32_t)__builtin_popcount((uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((a), _mm256_setzero_ps(), _CMP_NEQ_UQ))))
#define vw_transpose(r) tp_avx2_transpose(r)
#define vw_sift(value, at, d, index, n, all) tp_avx2_sift((value), (at), (d), (index), (n), (all))
#define vn __m256i
#define vn_lanes() _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
#define vn_next(a) _mm256_add_epi32((a), _mm256_set1_epi32(8))
#define vw_find(at, d, lanes) tp_avx2_find((at), (d), (lanes))

/* Tiles of a dense layer's forward pass: TP_DENSE_ROWS rows, and the eight lanes of TP_DENSE_SAMPLES samples a register. */
#define TP_DENSE_ROWS 4
#define TP_DENSE_SAMPLES 1
#define vt __m256
#define vt_zero() vf_zero()
#define vt_load(p, q) ((void)(q), vf_load(p))
#define vt_load_part(p, q, n) ((void)(q), vf_load_part((p), (n)))
#define vt_row(p) tp_avx2_keep(vf_load(p))
#define vt_row_part(p, n) vf_load_part((p), (n))
#define vt_fma(a, b, c) vf_fma((a), (b), (c))
#define vt_add(a, b) vf_add((a), (b))
#define vt_tree(a) vf_tree(a)
#define vt_twice(p) _mm256_broadcast_ps((const __m128 *)(const void *)(p))
#define vt_store_halves(p, q, a) _mm256_storeu2_m128((q), (p), (a))

/* In a register: gcc would load it anew for every use. */
TP_INLINE __m256 tp_avx2_keep(__m256 a) {
    __asm__("" : "+x"(a));
    return a;
}

#define TP_SPAN 8
#define ve vw
#define ve_load(p) vw_load(p)
#define ve_load_part(p, n) vw_load_part((p), (n))
#define ve_store(p, a) vw_store((p), (a))
#define ve_store_part(p, a, n) vw_store_part((p), (a), (n))
#define ve_set1(a) vw_set1(a)
#define ve_add(a, b) vw_add((a), (b))
#define ve_sub(a, b) _mm256_sub_ps((a), (b))
#define ve_mul(a, b) _mm256_mul_ps((a), (b))
#define ve_div(a, b) _mm256_div_ps((a), (b))
#define ve_fma(a, b, c) vw_fma((a), (b), (c))
#define ve_neg(a) _mm256_xor_ps((a), _mm256_set1_ps(-0.0f))
#define ve_abs(a) vf_abs(a)
#define ve_if(m, a, b) _mm256_blendv_ps((b), (a), _mm256_castsi256_ps(m))
/* a < b ? a : b, a > b ? a : b: with a NaN, b */
#define ve_min(a, b) _mm256_min_ps((a), (b))
#define ve_max(a, b) _mm256_max_ps((a), (b))
#define ve_only(m, a) _mm256_and_ps(_mm256_castsi256_ps(m), (a))
#define ve_first(a) _mm256_cvtss_f32(a)
#define ve_of(u) _mm256_castsi256_ps(u)
#define ve_of_int(u) _mm256_cvtepi32_ps(u)
#define vu __m256i
#define vu_set1(a) _mm256_set1_epi32((int)(a))
#define vu_bits(a) _mm256_castps_si256(a)
#define vu_abs(a) _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffffff))
#define vu_and(a, b) _mm256_and_si256((a), (b))
#define vu_or(a, b) _mm256_or_si256((a), (b))
#define vu_shl(a, n) _mm256_slli_epi32((a), (n))
#define vu_shr(a, n) _mm256_srli_epi32((a), (n))
#define vu_add(a, b) _mm256_add_epi32((a), (b))
#define vu_sub(a, b) _mm256_sub_epi32((a), (b))
#define vu_min(a, b) _mm256_min_epu32((a), (b))
#define vu_max(a, b) _mm256_max_epu32((a), (b))
#define vu_count(a, m) _mm256_sub_epi32((a), (m))
#define vu_min_of(a) tp_avx2_min_of(a)
#define vu_max_of(a) tp_avx2_max_of(a)
#define vm __m256i
/* a > b, both below 2^31 */
#define vm_above(a, b) _mm256_cmpgt_epi32((a), (b))
#define vm_lt(a, b) _mm256_castps_si256(_mm256_cmp_ps((a), (b), _CMP_LT_OQ))
#define vm_le(a, b) _mm256_castps_si256(_mm256_cmp_ps((a), (b), _CMP_LE_OQ))
#define vm_not_le(a, b) _mm256_castps_si256(_mm256_cmp_ps((a), (b), _CMP_NLE_UQ))
#define vm_nan(a) _mm256_castps_si256(_mm256_cmp_ps((a), (a), _CMP_UNORD_Q))
#define vm_first(n) tp_avx2_mask(n)
#define vm_except(a, b) _mm256_andnot_si256((b), (a))
#define vc __m256i
#define vc_zero() _mm256_setzero_si256()
#define vc_add(c, m) _mm256_sub_epi32((c), (m))
#define vc_sum(c) tp_avx2_sum_of(c)
/* elements j, j + 1 .. join their partial sums */
#define vf_add_span(acc, j, a) ((acc) = vf_add((acc), (a)))
#define vf_square_span(acc, j, a) ((acc) = vf_fma((a), (a), (acc)))

TP_INLINE __m256i tp_avx2_mask(uint32_t n) {
    static const int32_t table[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(const void *)(table + (8u - n)));
}

/* The halving tree: lane i + lane i+4, then +2, then +1. */
TP_INLINE float tp_avx2_sum(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

/* Eight of them: lane r is the sum of a[r]. */
TP_INLINE __m256 tp_avx2_tree(const __m256 *a) {
    __m256 h[4], q[2];
    TP_UNROLL for (uint32_t r = 0; r < 4; r++) { /* a[r] in the low half, a[r + 4] in the high one */
        h[r] = _mm256_add_ps(_mm256_blend_ps(a[r], a[r + 4], 0xf0), _mm256_permute2f128_ps(a[r], a[r + 4], 0x21));
    }
    TP_UNROLL for (uint32_t r = 0; r < 2; r++) {
        q[r] = _mm256_add_ps(_mm256_shuffle_ps(h[2 * r], h[2 * r + 1], 0x44), _mm256_shuffle_ps(h[2 * r], h[2 * r + 1], 0xee));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(q[0], q[1], 0x88), _mm256_shuffle_ps(q[0], q[1], 0xdd));
}

TP_INLINE void tp_avx2_transpose(__m256 *r) {
    __m256 s[8];
    TP_UNROLL for (uint32_t i = 0; i < 8; i += 4) {
        __m256 a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        __m256 c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        s[i] = _mm256_shuffle_ps(a, c, 0x44);
        s[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        s[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        s[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    TP_UNROLL for (uint32_t i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x31);
    }
}

TP_INLINE uint32_t tp_avx2_sift_half(float *value, uint32_t *at, __m128 d, const uint32_t *index, uint32_t keep) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)tp_sift_bytes(keep));
    _mm_storeu_ps(value, _mm_castsi128_ps(_mm_shuffle_epi8(_mm_castps_si128(d), bytes)));
    _mm_storeu_si128((__m128i *)(void *)at, _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)index), bytes));
    return (uint32_t)__builtin_popcount(keep);
}
TP_INLINE uint32_t tp_avx2_sift(float *value, uint32_t *at, __m256 d, const uint32_t *index, uint32_t n, bool all) {
    uint32_t keep = all ? 0xffu : (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(d, _mm256_setzero_ps(), _CMP_NEQ_UQ));
    keep &= (1u << n) - 1u;
    uint32_t low = tp_avx2_sift_half(value, at, _mm256_castps256_ps128(d), index, keep & 15u);
    return low + tp_avx2_sift_half(value + low, at + low, _mm256_extractf128_ps(d, 1), index + 4, keep >> 4);
}
TP_INLINE uint32_t tp_avx2_find_half(uint32_t *at, __m128i lanes, uint32_t keep) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)tp_sift_bytes(keep));
    _mm_storeu_si128((__m128i *)(void *)at, _mm_shuffle_epi8(lanes, bytes));
    return (uint32_t)__builtin_popcount(keep);
}
TP_INLINE uint32_t tp_avx2_find(uint32_t *at, __m256 d, __m256i lanes) {
    uint32_t keep = (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(d, _mm256_setzero_ps(), _CMP_NEQ_UQ));
    uint32_t low = tp_avx2_find_half(at, _mm256_castsi256_si128(lanes), keep & 15u);
    return low + tp_avx2_find_half(at + low, _mm256_extracti128_si256(lanes, 1), keep >> 4);
}

#define TP_AVX2_ACROSS(name, op)                                                             \
    TP_INLINE uint32_t name(__m256i a) {                                                     \
        __m128i s = op(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));           \
        s = op(s, _mm_shuffle_epi32(s, 0x4e));                                               \
        return (uint32_t)_mm_cvtsi128_si32(op(s, _mm_shuffle_epi32(s, 0xb1)));               \
    }
TP_AVX2_ACROSS(tp_avx2_sum_of, _mm_add_epi32)
TP_AVX2_ACROSS(tp_avx2_min_of, _mm_min_epu32)
TP_AVX2_ACROSS(tp_avx2_max_of, _mm_max_epu32)
#undef TP_AVX2_ACROSS

#include "tp_simd_avx2_s8.h"
