/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512, int8: products of int16 pairs (vpmaddwd), sums in sixteen int32. */
/* TP_INTS int32; sums wrap */
#define TP_INTS 16
#define vi __m512i
#define vi_zero() _mm512_setzero_si512()
#define vi_set1(a) _mm512_set1_epi32(a)
#define vi_load(p) _mm512_loadu_si512(p)
#define vi_store(p, a) _mm512_storeu_si512((p), (a))
#define vi_add(a, b) _mm512_add_epi32((a), (b))
#define vi_sub(a, b) _mm512_sub_epi32((a), (b))
#define vi_min(a, b) _mm512_min_epi32((a), (b))
#define vi_max(a, b) _mm512_max_epi32((a), (b))
#define vi_left(a, n) _mm512_sllv_epi32((a), (n)) /* each by its own count */
#define vi_mul_high(a, b) tp_avx512_mul_high((a), (b)) /* as tp_mul_high */
#define vi_divide_pot(a, n) tp_avx512_divide_pot((a), (n)) /* as tp_divide_pot */
#define vi_of_s8(p) _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vi_to_s8(p, a) _mm_storeu_si128((__m128i *)(void *)(p), _mm512_cvtsepi32_epi8(a)) /* saturates */
#define vi_of_s8_part(p, n) _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(vm_first(n), (p)))
#define vi_to_s8_part(p, a, n) _mm_mask_storeu_epi8((p), vm_first(n), _mm512_cvtsepi32_epi8(a))
#define vi_of_f32(a) _mm512_cvttps_epi32(a)
#define ve_of_vi(a) _mm512_cvtepi32_ps(a)
#define vi_sum(a) _mm512_reduce_add_epi32(a)
#define vi_tree(a) tp_avx512_int_tree(a) /* of TP_INTS vectors: lane r is the sum of a[r] */
#define vi_above(a, b) _mm512_cmpgt_epi32_mask((a), (b))
#define vi_of_u16(p) _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define ve_floor(a) _mm512_roundscale_ps((a), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)

/* TP_BLOCKS 64-bit lanes, of whose factors only the low words count */
#define TP_BLOCKS 8
#define vq __m512i
#define vq_count(a) _mm512_add_epi32(_mm512_set1_epi32((int)(a)), _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0)) /* a, a + 1 .. */
#define vq_set1(a) _mm512_set1_epi32((int)(a))
#define vq_mul(a, b) _mm512_mul_epu32((a), (b))
#define vq_high(a) _mm512_srli_epi64((a), 32)
#define vq_xor(a, b, c) _mm512_ternarylogic_epi64((a), (b), (c), 0x96)
#define vq_pair(a, b) _mm512_mask_blend_epi32(0xaaaa, (a), _mm512_slli_epi64((b), 32)) /* low words of a, then of b */
#define vq_put(p, a, b) tp_avx512_put_pairs((p), (a), (b)) /* a lane of a, then one of b */

/* TP_BYTES int8 */
#define TP_BYTES 64
#define vb __m512i
#define vb_set1(a) _mm512_set1_epi8((char)(a))
#define vb_load(p) _mm512_loadu_si512(p)
#define vb_store(p, a) _mm512_storeu_si512((p), (a))
#define vb_min(a, b) _mm512_min_epi8((a), (b))
#define vb_max(a, b) _mm512_max_epi8((a), (b))

/* Inputs are kept as TP_UNIT, x minus TP_UNIT_ZERO; weights in a panel as TP_WEIGHT. A lane of vi_dot adds TP_GROUP products. */
#define TP_UNIT int16_t
#define TP_WEIGHT int16_t
#define TP_GROUP 2
#define TP_UNIT_ZERO(x_zero) (x_zero)
#define TP_TILE_VECTORS_S8 3
#define TP_TILE_ROWS_S8(vectors) ((vectors) == 1 ? 8u : 4u)
#define vp __m512i
#define vp_load(p) _mm512_loadu_si512(p)
#define vp_all(p) _mm512_set1_epi32(tp_word(p)) /* one group in every lane */
#define vp_row(p) tp_avx512_wide(p) /* TP_INTS groups of int8 weights, a 32-bit word each */
#define vp_keep(a, n) _mm512_maskz_mov_epi16((__mmask32)tp_avx512_mask(n), (a)) /* the first n < TP_INTS TP_GROUP weights, else 0 */
#define vp_words(a) _mm512_castsi512_ps(a)
#define vp_put(p, a) _mm512_storeu_ps((p), (a))
#define vi_dot(acc, w, x) _mm512_add_epi32((acc), _mm512_madd_epi16((w), (x)))

/* TP_STEP inputs, and weights that lie as they came: for sums along a row */
#define TP_STEP 32
#define vd __m512i
#define vd_x(p, zero) _mm512_sub_epi16(tp_avx512_wide(p), _mm512_set1_epi16((short)(zero)))
#define vd_last(a, n) _mm512_maskz_mov_epi16((__mmask32)~tp_avx512_mask(TP_STEP - (n)), (a)) /* the last n >= 1, else 0 */
#define vd_w(p) tp_avx512_wide(p)
#define vd_dot(acc, w, x) vi_dot((acc), (w), (x))
#define vd_put(p, a) _mm512_storeu_si512((p), (a)) /* as TP_STEP TP_UNITs */
/* n < TP_STEP inputs as units, where masks are cheap */
#define vd_put_part(p, x, zero, n)                                    \
    _mm512_mask_storeu_epi16((p), (__mmask32)tp_avx512_mask(n),       \
                             _mm512_sub_epi16(_mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8((__mmask32)tp_avx512_mask(n), (x))), _mm512_set1_epi16((short)(zero))))

/* TP_DEPTH channels as int16: vh_dot adds the products of two taps a, b to two vectors of sums; vh_channel: whose they are */
#define TP_DEPTH 32
#define vh __m512i
#define vh_load(p) _mm512_loadu_si512(p)
#define vh_store(p, a) _mm512_storeu_si512((p), (a))
#define vh_of_s8(p, zero) vd_x((p), (zero))
#define vh_weave(w, a, b) ((w)[0] = _mm512_unpacklo_epi16((a), (b)), (w)[1] = _mm512_unpackhi_epi16((a), (b)))
#define vh_dot(acc, a, b, w)                                              \
    ((acc)[0] = vi_dot((acc)[0], _mm512_unpacklo_epi16((a), (b)), (w)[0]), \
     (acc)[1] = vi_dot((acc)[1], _mm512_unpackhi_epi16((a), (b)), (w)[1]))
#define vh_channel(v, lane) ((lane) / 4u * 8u + (v) * 4u + (lane) % 4u)
#define vh_to_s8(p, a, b, lo, hi) tp_avx512_to_s8_pair((p), (a), (b), (lo), (hi)) /* clamped, in the order of the channels */

#ifndef TINYPROP_TP_SIMD_AVX512_S8_H
#define TINYPROP_TP_SIMD_AVX512_S8_H
TP_INLINE __m512i tp_avx512_wide(const void *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }

/* In a register: gcc would make a constant anew for every use. */
TP_INLINE __m512i tp_avx512_keep(__m512i a) {
    __asm__("" : "+v"(a));
    return a;
}

TP_INLINE __m512i tp_avx512_mul_high(__m512i a, __m512i b) {
    const __m512i half = tp_avx512_keep(_mm512_set1_epi64(1 << 30)), high = tp_avx512_keep(_mm512_set1_epi64((int64_t)0xffffffff00000000u));
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(a, b), half);
    __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32)), half);
    return _mm512_ternarylogic_epi64(high, _mm512_slli_epi64(odd, 1), _mm512_srli_epi64(even, 31), 0xca); /* high ? odd : even */
}

TP_INLINE __m512i tp_avx512_divide_pot(__m512i a, __m512i n) {
    const __m512i one = tp_avx512_keep(_mm512_set1_epi32(1));
    __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, n), one), quotient = _mm512_srav_epi32(a, n);
    __m512i above = _mm512_sub_epi32(_mm512_srli_epi32(mask, 1), _mm512_srai_epi32(a, 31));
    return _mm512_mask_add_epi32(quotient, _mm512_cmpgt_epi32_mask(_mm512_and_si512(a, mask), above), quotient, one);
}

TP_INLINE void tp_avx512_to_s8_pair(int8_t *p, __m512i a, __m512i b, int32_t lo, int32_t hi) {
    __m512i s = _mm512_packs_epi32(a, b);
    s = _mm512_min_epi16(_mm512_max_epi16(s, _mm512_set1_epi16((short)lo)), _mm512_set1_epi16((short)hi));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi16_epi8(s));
}

TP_INLINE void tp_avx512_put_pairs(void *p, __m512i a, __m512i b) {
    _mm512_storeu_si512(p, _mm512_permutex2var_epi64(a, _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), b));
    _mm512_storeu_si512((uint8_t *)p + 64, _mm512_permutex2var_epi64(a, _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4), b));
}

TP_INLINE __m512i tp_avx512_int_tree(const __m512i *a) {
    __m512i b[8], c[4], d[2];
    TP_UNROLL for (uint32_t r = 0; r < 8; r++) { /* quarters of a[r] and a[r + 8], two and two */
        b[r] = _mm512_add_epi32(_mm512_shuffle_i32x4(a[r], a[r + 8], 0x44), _mm512_shuffle_i32x4(a[r], a[r + 8], 0xee));
    }
    TP_UNROLL for (uint32_t r = 0; r < 4; r++) { /* a quarter each of r, r + 4, r + 8, r + 12 */
        c[r] = _mm512_add_epi32(_mm512_shuffle_i32x4(b[r], b[r + 4], 0x88), _mm512_shuffle_i32x4(b[r], b[r + 4], 0xdd));
    }
    TP_UNROLL for (uint32_t r = 0; r < 2; r++) {
        d[r] = _mm512_add_epi32(_mm512_unpacklo_epi32(c[r], c[r + 2]), _mm512_unpackhi_epi32(c[r], c[r + 2]));
    }
    __m512i sum = _mm512_add_epi32(_mm512_unpacklo_epi32(d[0], d[1]), _mm512_unpackhi_epi32(d[0], d[1]));
    return _mm512_shuffle_i32x4(sum, sum, 0xd8); /* of 0, 8, 4, 12 */
}
#endif
