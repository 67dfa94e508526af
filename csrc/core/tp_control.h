/* SPDX-License-Identifier: Apache-2.0 */
/* The control register of the floating-point unit: rounding and denormals as the recipe wants them while the core works, and
 * exactly as they were when it returns. Code between enter and leave must be a function that is not inlined: compilers move
 * arithmetic across a change of the register. */
#ifndef TINYPROP_TP_CONTROL_H
#define TINYPROP_TP_CONTROL_H

#include "tp_base.h"

typedef struct tp_control {
    uint64_t before, during;
} tp_control;

#if defined(__x86_64__) || defined(__SSE2__)
#define TP_CONTROL_FLUSH 1
TP_INLINE uint64_t tp_control_read(void) { return __builtin_ia32_stmxcsr(); }
TP_INLINE void tp_control_write(uint64_t value) { __builtin_ia32_ldmxcsr((uint32_t)value); }
/* all exceptions masked, round to nearest; FTZ and DAZ */
TP_INLINE uint64_t tp_control_wanted(uint64_t before, bool flush) {
    (void)before;
    return 0x1f80u | (flush ? 0x8040u : 0u);
}
#elif defined(__aarch64__)
#define TP_CONTROL_FLUSH 1
TP_INLINE uint64_t tp_control_read(void) {
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
TP_INLINE void tp_control_write(uint64_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
/* no traps, round to nearest, no default NaN; FZ. What FEAT_AFP adds stays as it is. */
TP_INLINE uint64_t tp_control_wanted(uint64_t before, bool flush) { return (before & ~(uint64_t)0x07c09f00u) | (flush ? 0x01000000u : 0u); }
#elif defined(__ARM_FP)
#define TP_CONTROL_FLUSH 1
TP_INLINE uint64_t tp_control_read(void) {
    uint32_t value;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(value));
    return value;
}
TP_INLINE void tp_control_write(uint64_t value) { __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)value)); }
TP_INLINE uint64_t tp_control_wanted(uint64_t before, bool flush) { return (before & ~(uint64_t)0x07c00000u) | (flush ? 0x01000000u : 0u); }
#else
#define TP_CONTROL_FLUSH 0 /* no such unit: denormals are what they are */
TP_INLINE uint64_t tp_control_read(void) { return 0; }
TP_INLINE void tp_control_write(uint64_t value) { (void)value; }
TP_INLINE uint64_t tp_control_wanted(uint64_t before, bool flush) {
    (void)flush;
    return before;
}
#endif

TP_INLINE tp_control tp_control_enter(uint32_t numerics) {
    tp_control c;
    c.before = tp_control_read();
    c.during = tp_control_wanted(c.before, numerics == TP_NUMERICS_FLUSH);
    if (c.during != c.before) { tp_control_write(c.during); }
    return c;
}

/* The exception flags of the caller, too, are as they were. */
TP_INLINE void tp_control_leave(tp_control c) {
    if (tp_control_read() != c.before) { tp_control_write(c.before); }
}

#endif /* TINYPROP_TP_CONTROL_H */
