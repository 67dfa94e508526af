/* SPDX-License-Identifier: Apache-2.0 */
/* The test harness: lines `ok NAME` and `not ok NAME`, at the end `# passed N failed M` (read by tools/test.mjs). Include
 * after csrc/tinyprop.c. */
#ifndef TINYPROP_TP_TEST_H
#define TINYPROP_TP_TEST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    uint32_t passed, failed;
    uint32_t notes; /* of the running test */
} tp_tests;

/* One failed check; the first few of a test are printed. */
__attribute__((format(printf, 3, 4))) static void tp_note(const char *file, int line, const char *format, ...) {
    va_list list;
    if (tp_tests.notes++ >= 5u) { return; }
    va_start(list, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, list);
    printf("\n");
    va_end(list);
}

#define TP_CHECK(condition) ((condition) ? (void)0 : tp_note(__FILE__, __LINE__, "%s", #condition))
/* With a message that names the case. */
#define TP_CHECKF(condition, ...) ((condition) ? (void)0 : tp_note(__FILE__, __LINE__, __VA_ARGS__))
#define TP_CHECK_STATUS(got, wanted) tp_check_status(__FILE__, __LINE__, (got), (wanted))

static void tp_check_status(const char *file, int line, tp_status got, tp_status wanted) {
    if (got != wanted) { tp_note(file, line, "status %s, expected %s", tp_status_name(got), tp_status_name(wanted)); }
}

static void tp_run(const char *name, void (*test)(void)) {
    tp_tests.notes = 0;
    test();
    bool ok = tp_tests.notes == 0;
    printf("%s %s\n", ok ? "ok" : "not ok", name);
    fflush(stdout);
    tp_tests.passed += ok ? 1u : 0u;
    tp_tests.failed += ok ? 0u : 1u;
}
#define TP_RUN(test) tp_run(#test, test)

static int tp_end(void) {
    printf("# passed %u failed %u\n", tp_tests.passed, tp_tests.failed);
    return tp_tests.failed == 0 ? 0 : 1;
}

/* --- numbers --- */

static uint64_t tp_random_state = 1;

static uint32_t tp_random(void) { /* splitmix64 */
    uint64_t z = tp_random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

static uint32_t tp_random_below(uint32_t n) { return (uint32_t)((uint64_t)tp_random() * n >> 32); }

/* Uniform in [-1, 1). */
static float tp_random_f32(void) { return (float)(tp_random() >> 8) * 0x1p-23f - 1.0f; }

enum { TP_KIND_PLAIN, TP_KIND_WILD, TP_KIND_TIES, TP_KINDS };

/* PLAIN: [-1, 1). WILD: exponents from denormal to 2^58, zeros of both signs; sums of products stay finite. TIES: few
 * values, many zeros. */
static float tp_random_kind(uint32_t kind) {
    static const float few[8] = {0.0f, -0.0f, 0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 0x1.fffffep-1f};
    uint32_t bits = tp_random();
    if (kind == TP_KIND_PLAIN) { return tp_random_f32(); }
    if (kind == TP_KIND_TIES) { return few[bits >> 29]; }
    if ((bits & 0x700u) == 0) { return tp_f32_from_bits(bits & 0x80000000u); }
    if ((bits & 0x700u) == 0x100u) { return tp_f32_from_bits(bits & 0x807fffffu); }
    return tp_f32_from_bits((bits & 0x807fffffu) | (1u + tp_random_below(184)) << 23);
}

static uint64_t tp_hash(uint64_t hash, const void *data, size_t bytes) { /* FNV-1a; start with 0 */
    const uint8_t *b = (const uint8_t *)data;
    hash ^= 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) { hash = (hash ^ b[i]) * 0x100000001b3u; }
    return hash;
}

static void *tp_alloc(size_t bytes) { /* of any alignment the core wants */
    void *p = aligned_alloc(TP_ALIGN, (bytes + TP_ALIGN) / TP_ALIGN * TP_ALIGN);
    if (p == NULL) { abort(); }
    return p;
}

#endif /* TINYPROP_TP_TEST_H */
