/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2, int8: products of int16 pairs (vpmaddwd), sums in eight int32. What every name means: tp_simd_avx512_s8.h. */
#define TP_INTS 8
#define vi __m256i
#define vi_zero() _mm256_setzero_si256()
#define vi_set1(a) _mm256_set1_epi32(a)
#define vi_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define vi_store(p, a) _mm256_storeu_si256((__m256i *)(void *)(p), (a))
#define vi_add(a, b) _mm256_add_epi32((a), (b))
#define vi_sub(a, b) _mm256_sub_epi32((a), (b))
#define vi_min(a, b) _mm256_min_epi32((a), (b))
#define vi_max(a, b) _mm256_max_epi32((a), (b))
#define vi_left(a, n) _mm256_sllv_epi32((a), (n))
#define vi_mul_high(a, b) tp_avx2_mul_high((a), (b))
#define vi_divide_pot(a, n) tp_avx2_divide_pot((a), (n))
#define vi_of_s8(p) _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define vi_to_s8(p, a) _mm_storel_epi64((__m128i *)(void *)(p), tp_avx2_narrow(a))
#define vi_of_s8_part(p, n) tp_avx2_of_s8_part((p), (n))
#define vi_to_s8_part(p, a, n) tp_avx2_to_s8_part((p), (a), (n))
#define vi_of_f32(a) _mm256_cvttps_epi32(a)
#define ve_of_vi(a) _mm256_cvtepi32_ps(a)
#define vi_sum(a) ((int32_t)tp_avx2_sum_of(a))
#define vi_tree(a) tp_avx2_int_tree(a)
#define vi_above(a, b) _mm256_cmpgt_epi32((a), (b))
#define vi_of_u16(p) _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define ve_floor(a) _mm256_floor_ps(a)

#define TP_BLOCKS 4
#define vq __m256i
#define vq_count(a) _mm256_add_epi32(_mm256_set1_epi32((int)(a)), _mm256_set_epi64x(3, 2, 1, 0))
#define vq_set1(a) _mm256_set1_epi32((int)(a))
#define vq_mul(a, b) _mm256_mul_epu32((a), (b))
#define vq_high(a) _mm256_srli_epi64((a), 32)
#define vq_xor(a, b, c) _mm256_xor_si256(_mm256_xor_si256((b), (c)), (a))
#define vq_pair(a, b) _mm256_blend_epi32((a), _mm256_slli_epi64((b), 32), 0xaa)
#define vq_put(p, a, b) tp_avx2_put_pairs((p), (a), (b))

#define TP_BYTES 32
#define vb __m256i
#define vb_set1(a) _mm256_set1_epi8((char)(a))
#define vb_load(p) vi_load(p)
#define vb_store(p, a) _mm256_storeu_si256((__m256i *)(void *)(p), (a))
#define vb_min(a, b) _mm256_min_epi8((a), (b))
#define vb_max(a, b) _mm256_max_epi8((a), (b))

#define TP_UNIT int16_t
#define TP_WEIGHT int16_t
#define TP_GROUP 2
#define TP_UNIT_ZERO(x_zero) (x_zero)
#define TP_TILE_VECTORS_S8 2
#define TP_TILE_ROWS_S8(vectors) ((vectors) == 1 ? 8u : 4u)
#define vp __m256i
#define vp_load(p) vi_load(p)
#define vp_all(p) _mm256_set1_epi32(tp_word(p))
#define vp_row(p) tp_avx2_wide(p)
#define vp_keep(a, n) _mm256_and_si256((a), _mm256_loadu_si256((const __m256i *)(const void *)(tp_avx2_ends + 16u - (n))))
#define vp_words(a) _mm256_castsi256_ps(a)
#define vp_put(p, a) _mm256_storeu_ps((float *)(void *)(p), (a))
#define vi_dot(acc, w, x) _mm256_add_epi32((acc), _mm256_madd_epi16((w), (x)))

#define TP_STEP 16
#define vd __m256i
#define vd_x(p, zero) _mm256_sub_epi16(tp_avx2_wide(p), _mm256_set1_epi16((short)(zero)))
#define vd_last(a, n) _mm256_andnot_si256(_mm256_loadu_si256((const __m256i *)(const void *)(tp_avx2_ends + (n))), (a))
#define vd_w(p) tp_avx2_wide(p)
#define vd_dot(acc, w, x) vi_dot((acc), (w), (x))
#define vd_put(p, a) _mm256_storeu_si256((__m256i *)(void *)(p), (a))

#define TP_DEPTH 16
#define vh __m256i
#define vh_load(p) vi_load(p)
#define vh_store(p, a) vd_put((p), (a))
#define vh_of_s8(p, zero) vd_x((p), (zero))
#define vh_weave(w, a, b) ((w)[0] = _mm256_unpacklo_epi16((a), (b)), (w)[1] = _mm256_unpackhi_epi16((a), (b)))
#define vh_dot(acc, a, b, w)                                              \
    ((acc)[0] = vi_dot((acc)[0], _mm256_unpacklo_epi16((a), (b)), (w)[0]), \
     (acc)[1] = vi_dot((acc)[1], _mm256_unpackhi_epi16((a), (b)), (w)[1]))
#define vh_channel(v, lane) ((lane) / 4u * 8u + (v) * 4u + (lane) % 4u)
#define vh_to_s8(p, a, b, lo, hi) tp_avx2_to_s8_pair((p), (a), (b), (lo), (hi))

TP_INLINE __m256i tp_avx2_wide(const void *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }

static const int16_t tp_avx2_ends[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

TP_INLINE __m256i tp_avx2_mul_high(__m256i a, __m256i b) {
    const __m256i half = _mm256_set1_epi64x(1 << 30);
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, b), half);
    __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)), half);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
}

TP_INLINE __m256i tp_avx2_divide_pot(__m256i a, __m256i n) {
    const __m256i one = _mm256_set1_epi32(1);
    __m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, n), one);
    __m256i above = _mm256_sub_epi32(_mm256_srli_epi32(mask, 1), _mm256_srai_epi32(a, 31));
    return _mm256_sub_epi32(_mm256_srav_epi32(a, n), _mm256_cmpgt_epi32(_mm256_and_si256(a, mask), above));
}

/* Saturated to bytes: the low eight. */
TP_INLINE __m128i tp_avx2_narrow(__m256i a) {
    __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    return _mm_packs_epi16(half, half);
}
TP_INLINE __m256i tp_avx2_of_s8_part(const int8_t *p, uint32_t n) {
    int8_t copy[8] = {0};
    TP_MEMCPY(copy, p, n);
    return vi_of_s8(copy);
}
TP_INLINE void tp_avx2_to_s8_part(int8_t *p, __m256i a, uint32_t n) {
    int8_t copy[8];
    vi_to_s8(copy, a);
    TP_MEMCPY(p, copy, n);
}
TP_INLINE void tp_avx2_to_s8_pair(int8_t *p, __m256i a, __m256i b, int32_t lo, int32_t hi) {
    __m256i s = _mm256_packs_epi32(a, b);
    s = _mm256_min_epi16(_mm256_max_epi16(s, _mm256_set1_epi16((short)lo)), _mm256_set1_epi16((short)hi));
    _mm_storeu_si128((__m128i *)(void *)p, _mm_packs_epi16(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
}

TP_INLINE void tp_avx2_put_pairs(uint16_t *p, __m256i a, __m256i b) {
    __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
    vi_store(p, _mm256_permute2x128_si256(even, odd, 0x20));
    vi_store(p + 16, _mm256_permute2x128_si256(even, odd, 0x31));
}

TP_INLINE __m256i tp_avx2_int_tree(const __m256i *a) {
    __m256i h[4], q[2];
    TP_UNROLL for (uint32_t r = 0; r < 4; r++) { h[r] = _mm256_hadd_epi32(a[2 * r], a[2 * r + 1]); }
    TP_UNROLL for (uint32_t r = 0; r < 2; r++) { q[r] = _mm256_hadd_epi32(h[2 * r], h[2 * r + 1]); }
    return _mm256_add_epi32(_mm256_permute2x128_si256(q[0], q[1], 0x20), _mm256_permute2x128_si256(q[0], q[1], 0x31));
}
