/* SPDX-License-Identifier: Apache-2.0 */
/* The table of arithmetic of one instruction set, made from the list; knows nothing of layers. */
#ifndef TINYPROP_TP_KERNEL_H
#define TINYPROP_TP_KERNEL_H

#include "../core/tp_base.h"

/* Geometry of a convolution, NHWC; c_in and c_out are those of the whole layer. */
typedef struct tp_conv {
    uint32_t h, w, c_in;
    uint32_t oh, ow, c_out;
    uint32_t kh, kw, sh, sw;
    uint32_t pad_top, pad_left;
    uint32_t groups;
} tp_conv;

struct tp_kernels {
    const char *name;
#define TP_KERNEL(name, ret, params) ret(*name) params;
#include "tp_kernel_list.h"
#undef TP_KERNEL
};

/* Lanes of a packed patch tile: pixels side by side, [k][TP_CONV_TILE]. */
#define TP_CONV_TILE 16u

/* Code between BEGIN and END is compiled for that target, without flags on the command line. */
#define TP_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TP_TARGET_BEGIN(t) TP_PRAGMA(clang attribute push(__attribute__((target(t))), apply_to = function))
#define TP_TARGET_END TP_PRAGMA(clang attribute pop)
#else
#define TP_TARGET_BEGIN(t) TP_PRAGMA(GCC push_options) TP_PRAGMA(GCC target(t))
#define TP_TARGET_END TP_PRAGMA(GCC pop_options)
#endif

/* A correctly rounded fma for machines without one (and the proof that hardware agrees). The product of two floats is
 * exact in double; the sum is rounded to odd (Boldo, Melquiond 2008), so the final rounding to float is the only one. */
static inline __attribute__((unused)) float tp_fma_soft(float a, float b, float c) {
    double p = (double)a * (double)b;
    double z = (double)c;
    double s = p + z;
    double bb = s - p;
    double err = (p - (s - bb)) + (z - bb);
    uint64_t u;
    TP_MEMCPY(&u, &s, 8);
    if (err != 0.0 && (u & 1u) == 0u && (u & 0x7ff0000000000000u) != 0x7ff0000000000000u) {
        /* step towards the error, so that the last bit is odd */
        u = ((err > 0.0) == (s > 0.0)) ? u + 1u : u - 1u;
        TP_MEMCPY(&s, &u, 8);
    }
    return (float)s;
}

#endif /* TINYPROP_TP_KERNEL_H */
