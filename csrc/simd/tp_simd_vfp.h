/* SPDX-License-Identifier: Apache-2.0 */
/* Cortex-M with an FPU (Thumb-2, VFPv4 or v5: M4F, M7, M33, M55 without Helium): the lanes of the reference for what goes
 * element by element; products by hand (TP_HAND), whose 32 registers compilers do not fill. */
#include "tp_simd_scalar.h"
#define TP_HAND 1
