/* SPDX-License-Identifier: Apache-2.0 */
/* NEON (arm64): the eight lanes of the contract are two registers; work without an order across lanes takes one. */
#define TP_WIDE 1
#define vf tp_neon_pair
#define vf_zero() vf_set1(0.0f)
#define vf_load(p) tp_neon_load(p)
#define vf_store(p, a) tp_neon_store((p), (a))
#define vf_set1(a) ((tp_neon_pair){{vdupq_n_f32(a), vdupq_n_f32(a)}})
#define vf_fma(a, b, c) tp_neon_fma((a), (b), (c))
#define vf_fma_part(a, b, c, n) tp_neon_fma_part((a), (b), (c), (n))
#define vf_load_part(p, n) tp_neon_load_part((p), (n))
#define vf_add(a, b) tp_neon_add((a), (b))
#define vf_abs(a) tp_neon_abs(a)
#define vf_sum(a) tp_neon_sum(a)
#define vf_tree(a) tp_neon_tree(a)

#define TP_LANES 4
#define vw float32x4_t
#define vw_zero() vdupq_n_f32(0.0f)
#define vw_load(p) vld1q_f32(p)
#define vw_store(p, a) vst1q_f32((p), (a))
#define vw_set1(a) vdupq_n_f32(a)
#define vw_fma(a, b, c) vfmaq_f32((c), (a), (b))
#define vw_add(a, b) vaddq_f32((a), (b))
#define vw_load_part(p, n) tp_neon_quad_load_part((p), (n))
#define vw_store_part(p, a, n) tp_neon_quad_store_part((p), (a), (n))
#define vw_select(first, a, b) vbslq_f32(vdupq_n_u32((first) ? 0xffffffffu : 0u), (a), (b))

#define TP_VECTORS 32 /* registers */
#define vw_or(a, b) vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b))) /* bits */
#define vw_count(a) (4u - vaddvq_u32(vshrq_n_u32(vceqzq_f32(a), 31))) /* lanes that are not 0 */
#define vw_transpose(r) tp_neon_transpose(r)
#define vw_sift(value, at, d, index, n, all) tp_neon_sift((value), (at), (d), (index), (n), (all))
#define vn uint32x4_t
#define vn_lanes() tp_neon_lanes()
#define vn_next(a) vaddq_u32((a), vdupq_n_u32(4))
#define vw_find(at, d, lanes) tp_neon_find((at), (d), (lanes))

/* Tiles of a dense layer's forward pass: TP_DENSE_ROWS rows, and the eight lanes of TP_DENSE_SAMPLES samples a register (pair). */
#define TP_DENSE_ROWS 4
#define TP_DENSE_SAMPLES 1
#define vt tp_neon_pair
#define vt_zero() vf_zero()
#define vt_load(p, q) ((void)(q), vf_load(p))
#define vt_load_part(p, q, n) ((void)(q), vf_load_part((p), (n)))
#define vt_row(p) vf_load(p)
#define vt_row_part(p, n) vf_load_part((p), (n))
#define vt_fma(a, b, c) vf_fma((a), (b), (c))
#define vt_add(a, b) vf_add((a), (b))
#define vt_tree(a) vf_tree(a)
#define vt_twice(p) ((tp_neon_pair){{vld1q_f32(p), vld1q_f32(p)}})
#define vt_store_halves(p, q, a) (vst1q_f32((p), (a).v[0]), vst1q_f32((q), (a).v[1]))

#define TP_SPAN 4
#define ve vw
#define ve_load(p) vw_load(p)
#define ve_load_part(p, n) vw_load_part((p), (n))
#define ve_store(p, a) vw_store((p), (a))
#define ve_store_part(p, a, n) vw_store_part((p), (a), (n))
#define ve_set1(a) vw_set1(a)
#define ve_add(a, b) vw_add((a), (b))
#define ve_sub(a, b) vsubq_f32((a), (b))
#define ve_mul(a, b) vmulq_f32((a), (b))
#define ve_div(a, b) vdivq_f32((a), (b))
#define ve_fma(a, b, c) vw_fma((a), (b), (c))
#define ve_neg(a) vnegq_f32(a)
#define ve_abs(a) vabsq_f32(a)
#define ve_if(m, a, b) vbslq_f32((m), (a), (b))
/* a < b ? a : b, a > b ? a : b: with a NaN, b */
#define ve_min(a, b) vbslq_f32(vcltq_f32((a), (b)), (a), (b))
#define ve_max(a, b) vbslq_f32(vcgtq_f32((a), (b)), (a), (b))
#define ve_only(m, a) vreinterpretq_f32_u32(vandq_u32((m), vreinterpretq_u32_f32(a)))
#define ve_first(a) vgetq_lane_f32((a), 0)
#define ve_of(u) vreinterpretq_f32_u32(u)
#define ve_of_int(u) vcvtq_f32_s32(vreinterpretq_s32_u32(u))
#define vu uint32x4_t
#define vu_set1(a) vdupq_n_u32(a)
#define vu_bits(a) vreinterpretq_u32_f32(a)
#define vu_abs(a) vreinterpretq_u32_f32(vabsq_f32(a))
#define vu_and(a, b) vandq_u32((a), (b))
#define vu_or(a, b) vorrq_u32((a), (b))
#define vu_shl(a, n) vshlq_n_u32((a), (n))
#define vu_shr(a, n) vshrq_n_u32((a), (n))
#define vu_add(a, b) vaddq_u32((a), (b))
#define vu_sub(a, b) vsubq_u32((a), (b))
#define vu_min(a, b) vminq_u32((a), (b))
#define vu_max(a, b) vmaxq_u32((a), (b))
#define vu_count(a, m) vsubq_u32((a), (m))
#define vu_min_of(a) vminvq_u32(a)
#define vu_max_of(a) vmaxvq_u32(a)
#define vm uint32x4_t
/* a > b, both below 2^31 */
#define vm_above(a, b) vcgtq_u32((a), (b))
#define vm_lt(a, b) vcltq_f32((a), (b))
#define vm_le(a, b) vcleq_f32((a), (b))
#define vm_not_le(a, b) vmvnq_u32(vcleq_f32((a), (b)))
#define vm_nan(a) vmvnq_u32(vceqq_f32((a), (a)))
#define vm_first(n) tp_neon_quad_mask(n)
#define vm_except(a, b) vbicq_u32((a), (b))
#define vc uint32x4_t
#define vc_zero() vdupq_n_u32(0)
#define vc_add(c, m) vsubq_u32((c), (m))
#define vc_sum(c) vaddvq_u32(c)
/* elements j, j + 1 .. join their partial sums */
#define vf_add_span(acc, j, a) ((acc) = tp_neon_add_quad((acc), (j), (a)))
#define vf_square_span(acc, j, a) ((acc) = tp_neon_add_square((acc), (j), (a)))

#ifndef TINYPROP_TP_SIMD_NEON_H
#define TINYPROP_TP_SIMD_NEON_H
typedef struct tp_neon_pair {
    float32x4_t v[2];
} tp_neon_pair;

TP_INLINE tp_neon_pair tp_neon_load(const float *p) { return (tp_neon_pair){{vld1q_f32(p), vld1q_f32(p + 4)}}; }
TP_INLINE void tp_neon_store(float *p, tp_neon_pair a) {
    vst1q_f32(p, a.v[0]);
    vst1q_f32(p + 4, a.v[1]);
}
TP_INLINE tp_neon_pair tp_neon_fma(tp_neon_pair a, tp_neon_pair b, tp_neon_pair c) {
    return (tp_neon_pair){{vfmaq_f32(c.v[0], a.v[0], b.v[0]), vfmaq_f32(c.v[1], a.v[1], b.v[1])}};
}
TP_INLINE tp_neon_pair tp_neon_add(tp_neon_pair a, tp_neon_pair b) {
    return (tp_neon_pair){{vaddq_f32(a.v[0], b.v[0]), vaddq_f32(a.v[1], b.v[1])}};
}
TP_INLINE tp_neon_pair tp_neon_abs(tp_neon_pair a) { return (tp_neon_pair){{vabsq_f32(a.v[0]), vabsq_f32(a.v[1])}}; }
TP_INLINE tp_neon_pair tp_neon_load_part(const float *p, uint32_t n) {
    float copy[8] = {0};
    TP_MEMCPY(copy, p, n * sizeof(float));
    return tp_neon_load(copy);
}
/* Lanes from n on keep c: they take no part, not even as + 0 * 0. */
TP_INLINE tp_neon_pair tp_neon_fma_part(tp_neon_pair a, tp_neon_pair b, tp_neon_pair c, uint32_t n) {
    static const uint32_t table[16] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0, 0, 0, 0, 0};
    tp_neon_pair all = tp_neon_fma(a, b, c);
    return (tp_neon_pair){{vbslq_f32(vld1q_u32(table + 8 - n), all.v[0], c.v[0]), vbslq_f32(vld1q_u32(table + 12 - n), all.v[1], c.v[1])}};
}
/* The halving tree: lane i + lane i+4, then +2, then +1. */
TP_INLINE float tp_neon_sum(tp_neon_pair a) {
    float32x4_t s = vaddq_f32(a.v[0], a.v[1]);
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}
TP_INLINE float32x4_t tp_neon_quad_load_part(const float *p, uint32_t n) {
    float copy[4] = {0};
    TP_MEMCPY(copy, p, n * sizeof(float));
    return vld1q_f32(copy);
}
TP_INLINE void tp_neon_quad_store_part(float *p, float32x4_t a, uint32_t n) {
    float copy[4];
    vst1q_f32(copy, a);
    TP_MEMCPY(p, copy, n * sizeof(float));
}
/* Eight of them: lane r is the sum of a[r]. Pairwise additions keep the tree: (0 + 4) + (2 + 6), (1 + 5) + (3 + 7), their sum. */
TP_INLINE tp_neon_pair tp_neon_tree(const tp_neon_pair *a) {
    tp_neon_pair sum;
    TP_UNROLL for (uint32_t half = 0; half < 2; half++) {
        float32x4_t h[4], q[2];
        TP_UNROLL for (uint32_t r = 0; r < 4; r++) { h[r] = vaddq_f32(a[4 * half + r].v[0], a[4 * half + r].v[1]); }
        TP_UNROLL for (uint32_t r = 0; r < 2; r++) {
            q[r] = vaddq_f32(vcombine_f32(vget_low_f32(h[2 * r]), vget_low_f32(h[2 * r + 1])),
                             vcombine_f32(vget_high_f32(h[2 * r]), vget_high_f32(h[2 * r + 1])));
        }
        sum.v[half] = vpaddq_f32(q[0], q[1]);
    }
    return sum;
}

TP_INLINE void tp_neon_transpose(float32x4_t *r) {
    float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

/* one bit for every lane that is not 0 */
TP_INLINE uint32_t tp_neon_bits(float32x4_t d) {
    static const uint32_t bit[4] = {1, 2, 4, 8};
    return vaddvq_u32(vbicq_u32(vld1q_u32(bit), vceqzq_f32(d)));
}

TP_INLINE uint32x4_t tp_neon_lanes(void) {
    static const uint32_t lane[4] = {0, 1, 2, 3};
    return vld1q_u32(lane);
}
TP_INLINE uint32_t tp_neon_find(uint32_t *at, float32x4_t d, uint32x4_t lanes) {
    uint32_t keep = tp_neon_bits(d);
    vst1q_u32(at, vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(lanes), vld1q_u8(tp_sift_bytes(keep)))));
    return (uint32_t)__builtin_popcount(keep);
}

TP_INLINE uint32_t tp_neon_sift(float *value, uint32_t *at, float32x4_t d, const uint32_t *index, uint32_t n, bool all) {
    uint32_t keep = all ? 15u : tp_neon_bits(d);
    keep &= (1u << n) - 1u;
    uint8x16_t bytes = vld1q_u8(tp_sift_bytes(keep));
    vst1q_f32(value, vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(d), bytes)));
    vst1q_u32(at, vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(vld1q_u32(index)), bytes)));
    return (uint32_t)__builtin_popcount(keep);
}

/* the first n lanes */
TP_INLINE uint32x4_t tp_neon_quad_mask(uint32_t n) {
    static const uint32_t table[8] = {~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0};
    return vld1q_u32(table + 4 - n);
}
TP_INLINE tp_neon_pair tp_neon_add_quad(tp_neon_pair acc, uint32_t j, float32x4_t a) {
    if ((j & 4u) == 0) {
        acc.v[0] = vaddq_f32(acc.v[0], a);
    } else {
        acc.v[1] = vaddq_f32(acc.v[1], a);
    }
    return acc;
}
TP_INLINE tp_neon_pair tp_neon_add_square(tp_neon_pair acc, uint32_t j, float32x4_t a) {
    if ((j & 4u) == 0) {
        acc.v[0] = vfmaq_f32(acc.v[0], a, a);
    } else {
        acc.v[1] = vfmaq_f32(acc.v[1], a, a);
    }
    return acc;
}
#endif

#include "tp_simd_neon_s8.h"
