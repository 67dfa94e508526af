/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 with VNNI: four products of an unsigned byte and a signed one a lane (vpdpbusd), so inputs are kept as x + 128. */
#include "tp_simd_avx512.h"

#undef TP_UNIT
#define TP_UNIT uint8_t
#undef TP_WEIGHT
#define TP_WEIGHT int8_t
#undef TP_GROUP
#define TP_GROUP 4
#undef TP_UNIT_ZERO
#define TP_UNIT_ZERO(x_zero) (-128)
#undef vp_row
#define vp_row(p) _mm512_loadu_si512(p)
#undef vp_keep
#define vp_keep(a, n) _mm512_maskz_mov_epi8(((__mmask64)1 << (n)) - 1u, (a))
#undef vi_dot
#define vi_dot(acc, w, x) _mm512_dpbusd_epi32((acc), (x), (w))

#undef TP_STEP
#define TP_STEP 64
#undef vd_x
#define vd_x(p, zero) _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8((char)(zero)))
#undef vd_last
#define vd_last(a, n) _mm512_maskz_mov_epi8(~(__mmask64)0 << (TP_STEP - (n)), (a))
#undef vd_w
#define vd_w(p) _mm512_loadu_si512(p)
