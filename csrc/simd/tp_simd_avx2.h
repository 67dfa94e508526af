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
#define vt_fma_part(a, b, c, n) vf_fma_part((a), (b), (c), (n))
#define vt_add(a, b) vf_add((a), (b))
#define vt_tree(a) vf_tree(a)
#define vt_twice(p) _mm256_broadcast_ps((const __m128 *)(const void *)(p))
#define vt_store_halves(p, q, a) _mm256_storeu2_m128((q), (p), (a))

/* In a register: gcc would load it anew for every use. */
TP_INLINE __m256 tp_avx2_keep(__m256 a) {
    __asm__("" : "+x"(a));
    return a;
}

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
    for (uint32_t r = 0; r < 4; r++) { /* a[r] in the low half, a[r + 4] in the high one */
        h[r] = _mm256_add_ps(_mm256_blend_ps(a[r], a[r + 4], 0xf0), _mm256_permute2f128_ps(a[r], a[r + 4], 0x21));
    }
    for (uint32_t r = 0; r < 2; r++) {
        q[r] = _mm256_add_ps(_mm256_shuffle_ps(h[2 * r], h[2 * r + 1], 0x44), _mm256_shuffle_ps(h[2 * r], h[2 * r + 1], 0xee));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(q[0], q[1], 0x88), _mm256_shuffle_ps(q[0], q[1], 0xdd));
}
