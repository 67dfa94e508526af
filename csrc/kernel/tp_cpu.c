/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction sets this CPU runs. */
#include "tp_kernel.h"
#include "tp_isa_list.h"

#if defined(__x86_64__)
static __attribute__((unused)) bool tp_cpu_has_fma(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("fma") != 0;
}
static __attribute__((unused)) bool tp_cpu_has_avx2(void) { return tp_cpu_has_fma() && __builtin_cpu_supports("avx2") != 0; }
static __attribute__((unused)) bool tp_cpu_has_avx512(void) {
    return tp_cpu_has_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
           __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512bw") != 0;
}
static __attribute__((unused)) bool tp_cpu_has_avx512vnni(void) { return tp_cpu_has_avx512() && __builtin_cpu_supports("avx512vnni") != 0; }
#endif

#if defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
#endif
/* Linux says so; elsewhere the compiler must know. */
static __attribute__((unused)) bool tp_cpu_has_dotprod(void) {
#if defined(__ARM_FEATURE_DOTPROD)
    return true;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1u) != 0; /* HWCAP_ASIMDDP */
#else
    return false;
#endif
}
#endif

/* Row `index` of the ISA list; NULL past the last. *usable: this CPU runs it. */
static const tp_kernels *tp_kernels_row(uint32_t index, bool *usable) {
    uint32_t i = 0;
#define TP_ISA(name, needs)                \
    if (i++ == index) {                    \
        *usable = (needs);                 \
        return &tp_kernels_##name;         \
    }
    TP_ISA_ROWS
#undef TP_ISA
    return NULL;
}

const tp_kernels *tp_kernels_best(void) {
    const tp_kernels *best = NULL, *row;
    bool usable = false;
    for (uint32_t i = 0; (row = tp_kernels_row(i, &usable)) != NULL; i++) {
        if (usable) { best = row; }
    }
    return best;
}

const tp_kernels *tp_kernels_named(const char *name) {
    const tp_kernels *row;
    bool usable = false;
    if (name == NULL) { return NULL; }
    for (uint32_t i = 0; (row = tp_kernels_row(i, &usable)) != NULL; i++) {
        if (tp_text_equal(row->name, name)) { return usable ? row : NULL; }
    }
    return NULL;
}

const char *tp_kernels_name(const tp_kernels *kernels) { return kernels != NULL ? kernels->name : ""; }
