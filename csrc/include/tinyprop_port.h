/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything the core needs from its surroundings. Replace it whole with -DTP_PORT_HEADER='"mine.h"', or define
 * single macros before it is included.
 */
#ifndef TINYPROP_PORT_H
#define TINYPROP_PORT_H

#include <stdint.h>
#include <string.h>

/* Programming errors inside the core; off by default, tests define it. */
#ifndef TP_ASSERT
#define TP_ASSERT(condition) ((void)0)
#endif

#ifndef TP_MEMCPY
#define TP_MEMCPY(to, from, bytes) memcpy((to), (from), (bytes))
#endif
#ifndef TP_MEMSET
#define TP_MEMSET(to, value, bytes) memset((to), (value), (bytes))
#endif
#ifndef TP_MEMMOVE
#define TP_MEMMOVE(to, from, bytes) memmove((to), (from), (bytes))
#endif

/* Correctly rounded square root of a finite number >= 0. The builtin would call libm to set errno, so the instruction is
 * named where there is one. TP_PORT_SOFT_SQRT asks for the portable form. */
#ifndef TP_SQRT
#define TP_SQRT(x) tp_port_sqrt(x)
#if defined(__SSE__) && !defined(TP_PORT_SOFT_SQRT)
#include <xmmintrin.h>
static inline float tp_port_sqrt(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }
#elif defined(__aarch64__) && !defined(TP_PORT_SOFT_SQRT)
static inline float tp_port_sqrt(float x) {
    __asm__("fsqrt %s0, %s0" : "+w"(x));
    return x;
}
#elif defined(__ARM_FP) && (__ARM_FP & 4) && !defined(TP_PORT_SOFT_SQRT)
static inline float tp_port_sqrt(float x) {
    __asm__("vsqrt.f32 %0, %0" : "+t"(x));
    return x;
}
#else
/* Bit by bit on the significand: 25 result bits and a sticky remainder, then one rounding to nearest even. */
static inline float tp_port_sqrt(float x) {
    uint32_t u, root = 0, e;
    memcpy(&u, &x, 4);
    if (u << 1 == 0 || u >= 0x7f800000u) { return x; }
    e = u >> 23;
    uint64_t m = u & 0x007fffffu;
    if (e == 0) {
        for (e = 1; (m & 0x00800000u) == 0; e--) { m <<= 1; }
    } else {
        m |= 0x00800000u;
    }
    int32_t exponent = (int32_t)e - 127;
    m <<= (exponent & 1) != 0 ? 26 : 25; /* even exponent, 50 bits: root has 25 */
    exponent = (exponent - (exponent & 1)) / 2;
    for (uint32_t bit = 1u << 25; bit != 0; bit >>= 1) {
        uint64_t trial = (uint64_t)(root | bit) * (root | bit);
        if (trial <= m) { root |= bit; }
    }
    uint32_t sticky = (uint64_t)root * root != m ? 1u : 0u;
    uint32_t rounded = root >> 1;
    if ((root & 1u) != 0 && (sticky != 0 || (rounded & 1u) != 0)) { rounded++; }
    u = ((uint32_t)(exponent + 127) << 23) + (rounded - 0x00800000u);
    memcpy(&x, &u, 4);
    return x;
}
#endif
#endif

#endif /* TINYPROP_PORT_H */
