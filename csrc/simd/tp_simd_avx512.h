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

/* the first n lanes */
TP_INLINE uint32_t tp_avx512_mask(uint32_t n) { return (1u << n) - 1u; }

/* The halving tree: lane i + lane i+4, then +2, then +1. */
TP_INLINE float tp_avx512_sum(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
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
