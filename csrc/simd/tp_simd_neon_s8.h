/* SPDX-License-Identifier: Apache-2.0 */
/* NEON, int8: products of int16, sums in four int32. What every name means: tp_simd_avx512_s8.h. */
#define TP_INTS 4
#define vi int32x4_t
#define vi_zero() vdupq_n_s32(0)
#define vi_set1(a) vdupq_n_s32(a)
#define vi_load(p) vld1q_s32(p)
#define vi_store(p, a) vst1q_s32((p), (a))
#define vi_add(a, b) vaddq_s32((a), (b))
#define vi_sub(a, b) vsubq_s32((a), (b))
#define vi_min(a, b) vminq_s32((a), (b))
#define vi_max(a, b) vmaxq_s32((a), (b))
#define vi_left(a, n) vshlq_s32((a), (n))
#define vi_mul_high(a, b) vqrdmulhq_s32((a), (b))
#define vi_divide_pot(a, n) tp_neon_divide_pot((a), (n))
#define vi_of_s8(p) vi_of_s8_part((p), 4)
#define vi_to_s8(p, a) vi_to_s8_part((p), (a), 4)
#define vi_of_s8_part(p, n) tp_neon_of_s8_part((p), (n))
#define vi_to_s8_part(p, a, n) tp_neon_to_s8_part((p), (a), (n))
#define vi_of_f32(a) vcvtq_s32_f32(a)
#define ve_of_vi(a) vcvtq_f32_s32(a)
#define vi_sum(a) vaddvq_s32(a)
#define vi_tree(a) vpaddq_s32(vpaddq_s32((a)[0], (a)[1]), vpaddq_s32((a)[2], (a)[3]))
#define vi_above(a, b) vcgtq_s32((a), (b))
#define vi_of_u16(p) vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p)))
#define ve_floor(a) vrndmq_f32(a)

#define TP_BLOCKS 2
#define vq uint64x2_t
#define vq_count(a) vcombine_u64(vcreate_u64(a), vcreate_u64((a) + 1u))
#define vq_set1(a) vreinterpretq_u64_u32(vdupq_n_u32(a))
#define vq_mul(a, b) vmull_u32(vmovn_u64(a), vmovn_u64(b))
#define vq_high(a) vshrq_n_u64((a), 32)
#define vq_xor(a, b, c) veorq_u64(veorq_u64((b), (c)), (a))
#define vq_pair(a, b) vsliq_n_u64((a), (b), 32)
#define vq_put(p, a, b) (vst1q_u16((p), vreinterpretq_u16_u64(vzip1q_u64((a), (b)))), vst1q_u16((p) + 8, vreinterpretq_u16_u64(vzip2q_u64((a), (b)))))

#define TP_BYTES 16
#define vb int8x16_t
#define vb_set1(a) vdupq_n_s8((int8_t)(a))
#define vb_load(p) vld1q_s8(p)
#define vb_store(p, a) vst1q_s8((p), (a))
#define vb_min(a, b) vminq_s8((a), (b))
#define vb_max(a, b) vmaxq_s8((a), (b))

#define TP_UNIT int16_t
#define TP_WEIGHT int16_t
#define TP_GROUP 2
#define TP_UNIT_ZERO(x_zero) (x_zero)
#define TP_TILE_VECTORS_S8 4
#define TP_TILE_ROWS_S8(vectors) ((vectors) <= 2 ? 8u : 4u)
#define vp int16x4x2_t
#define vp_load(p) vld2_s16(p)
#define vp_all(p) ((int16x4x2_t){{vld1_dup_s16(p), vld1_dup_s16((p) + 1)}})
#define vp_row(p) vd_w(p)
#define vp_keep(a, n) vandq_s16((a), vld1q_s16(tp_neon_ends + 8u - (n)))
#define vp_words(a) vreinterpretq_f32_s16(a)
#define vp_put(p, a) vst1q_s16((p), vreinterpretq_s16_f32(a))
#define vi_dot(acc, w, x) vmlal_s16(vmlal_s16((acc), (w).val[0], (x).val[0]), (w).val[1], (x).val[1])

#define TP_STEP 8
#define vd int16x8_t
#define vd_x(p, zero) vsubq_s16(vd_w(p), vdupq_n_s16((int16_t)(zero)))
#define vd_last(a, n) vbicq_s16((a), vld1q_s16(tp_neon_ends + (n)))
#define vd_w(p) vmovl_s8(vld1_s8(p))
#define vd_dot(acc, w, x) vmlal_high_s16(vmlal_s16((acc), vget_low_s16(w), vget_low_s16(x)), (w), (x))
#define vd_put(p, a) vst1q_s16((p), (a))

#define TP_DEPTH 8
#define vh int16x8_t
#define vh_load(p) vld1q_s16(p)
#define vh_store(p, a) vst1q_s16((p), (a))
#define vh_of_s8(p, zero) vd_x((p), (zero))
#define vh_weave(w, a, b) ((w)[0] = (a), (w)[1] = (b))
#define vh_dot(acc, a, b, w)                                                                                                     \
    ((acc)[0] = vmlal_s16(vmlal_s16((acc)[0], vget_low_s16(a), vget_low_s16((w)[0])), vget_low_s16(b), vget_low_s16((w)[1])), \
     (acc)[1] = vmlal_high_s16(vmlal_high_s16((acc)[1], (a), (w)[0]), (b), (w)[1]))
#define vh_channel(v, lane) ((v) * 4u + (lane))
#define vh_to_s8(p, a, b, lo, hi) tp_neon_to_s8_pair((p), (a), (b), (lo), (hi))

#ifndef TINYPROP_TP_SIMD_NEON_S8_H
#define TINYPROP_TP_SIMD_NEON_S8_H
static const int16_t tp_neon_ends[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

TP_INLINE int32x4_t tp_neon_divide_pot(int32x4_t a, int32x4_t n) {
    int32x4_t right = vnegq_s32(n), minus = vshrq_n_s32(vandq_s32(a, right), 31); /* halves of negative numbers go down */
    return vrshlq_s32(vqaddq_s32(a, minus), right);
}
TP_INLINE int32x4_t tp_neon_of_s8_part(const int8_t *p, uint32_t n) {
    uint64_t copy = 0;
    TP_MEMCPY(&copy, p, n);
    return vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(copy))));
}
TP_INLINE void tp_neon_to_s8_part(int8_t *p, int32x4_t a, uint32_t n) {
    int16x4_t half = vqmovn_s32(a);
    uint64_t copy = vget_lane_u64(vreinterpret_u64_s8(vqmovn_s16(vcombine_s16(half, half))), 0);
    TP_MEMCPY(p, &copy, n);
}
TP_INLINE void tp_neon_to_s8_pair(int8_t *p, int32x4_t a, int32x4_t b, int32_t lo, int32_t hi) {
    int16x8_t s = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
    s = vminq_s16(vmaxq_s16(s, vdupq_n_s16((int16_t)lo)), vdupq_n_s16((int16_t)hi));
    vst1_s8(p, vqmovn_s16(s));
}
#endif
