/* SPDX-License-Identifier: Apache-2.0 */
/* NEON with dot products: four products of signed bytes a lane (sdot), so inputs and weights are kept as they are. */
#include "tp_simd_neon.h"

#undef TP_UNIT
#define TP_UNIT int8_t
#undef TP_WEIGHT
#define TP_WEIGHT int8_t
#undef TP_GROUP
#define TP_GROUP 4
#undef TP_UNIT_ZERO
#define TP_UNIT_ZERO(x_zero) 0
#undef vp
#define vp int8x16_t
#undef vp_load
#define vp_load(p) vld1q_s8(p)
#undef vp_all
#define vp_all(p) vreinterpretq_s8_s32(vdupq_n_s32(tp_word(p)))
#undef vp_row
#define vp_row(p) vld1q_s8(p)
#undef vp_keep
#define vp_keep(a, n) vandq_s8((a), vld1q_s8(tp_neondot_ends + 16u - (n)))
#undef vp_words
#define vp_words(a) vreinterpretq_f32_s8(a)
#undef vp_put
#define vp_put(p, a) vst1q_s8((p), vreinterpretq_s8_f32(a))
#undef vi_dot
#define vi_dot(acc, w, x) tp_neondot_dot((acc), (w), (x))

#undef TP_STEP
#define TP_STEP 16
#undef vd
#define vd int8x16_t
#undef vd_x
#define vd_x(p, zero) vsubq_s8(vld1q_s8(p), vdupq_n_s8((int8_t)(zero)))
#undef vd_last
#define vd_last(a, n) vbicq_s8((a), vld1q_s8(tp_neondot_ends + (n)))
#undef vd_w
#define vd_w(p) vld1q_s8(p)
#undef vd_dot
#define vd_dot(acc, w, x) vi_dot((acc), (w), (x))
#undef vd_put
#define vd_put(p, a) vst1q_s8((p), (a))

static const int8_t tp_neondot_ends[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

/* By name: before clang 16, arm_neon.h has the intrinsic only where the command line asks for it. */
TP_INLINE int32x4_t tp_neondot_dot(int32x4_t acc, int8x16_t w, int8x16_t x) {
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(acc) : "w"(w), "w"(x));
    return acc;
}
