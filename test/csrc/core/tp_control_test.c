/* SPDX-License-Identifier: Apache-2.0 */
/* The control register: set for the time of a call, afterwards as it was; what the caller has in it changes no bit. And the
 * `flush` contract: one hash for all instruction sets of a family, another one than that of `ieee`. */
#include "../../../csrc/tinyprop.c"

#include "../../parity/trace.h"
#include "../tp_test.h"

/* Registers that a host process might have: as it is, flushing, rounding down, rounding to zero with flags raised. */
static uint64_t tp_odd_register(uint64_t plain, uint32_t i) {
#if defined(__x86_64__)
    static const uint32_t odd[4] = {0x1f80u, 0x9fc0u, 0x3f80u, 0x7f80u | 0x15u};
    (void)plain;
    return odd[i % 4u];
#elif defined(__aarch64__)
    static const uint32_t odd[4] = {0, 0x01000000u, 0x00800000u, 0x00c00000u};
    return plain | odd[i % 4u];
#else
    (void)i;
    return plain;
#endif
}

static uint64_t tp_plain, tp_odd;

/* One call with the odd register, which it must leave as it found it. */
#define TP_RESTORES(want, call)                                                                     \
    do {                                                                                            \
        tp_control_write(tp_odd);                                                                   \
        uint64_t before_ = tp_control_read();                                                       \
        tp_status status_ = (call);                                                                 \
        uint64_t after_ = tp_control_read();                                                        \
        tp_control_write(tp_plain);                                                                 \
        TP_CHECKF(status_ == (want) && after_ == before_, #call ": %d, register %llx", status_, (unsigned long long)after_); \
    } while (0)

/* Every function that computes, errors included; gives the hash of what came out. */
static uint64_t tp_odd_run(void) {
    static const tp_node nodes[] = {
        {.name = "a", .op = 1, .in = {TP_INPUT, TP_NONE}, .units = 9},
        {.name = "t", .op = 12, .in = {0, TP_NONE}},
        {.name = "b", .op = 1, .in = {1, TP_NONE}, .units = 3},
    };
    static union {
        tp_plan plan;
        uint8_t bytes[8192];
    } room;
    static _Alignas(TP_ALIGN) uint8_t arena[8192];
    tp_model m = {nodes, 3, {1, 1, 4, 1}, TP_F32, 1};
    tp_recipe r = tp_recipe_default();
    r.schedule = (tp_schedule){TP_SCHEDULE_COSINE, 3, 20, 1, 1.0f};
    r.policy_params.zeta = 0.7f;
    tp_net net;
    float x[4] = {0.1f, 0.2f, -0.3f, 0.7f}, p[3];
    const float *y;
    uint32_t label = 1;
    tp_batch batch = {x, &label, NULL, 1};
    TP_RESTORES(TP_OK, tp_plan_make(&m, &r, &room.plan, sizeof room, NULL));
    TP_RESTORES(TP_OK, tp_net_open(&net, &room.plan, arena, sizeof arena, NULL));
    TP_RESTORES(TP_OK, tp_net_init(&net));
    for (uint32_t i = 0; i < 10; i++) { TP_RESTORES(TP_OK, tp_train_step(&net, &batch, NULL)); }
    TP_RESTORES(TP_OK, tp_eval_step(&net, &batch, NULL, NULL));
    TP_RESTORES(TP_OK, tp_net_forward(&net, x, &y));
    TP_RESTORES(TP_OK, tp_net_forward_batch(&net, x, 1, p));
    TP_RESTORES(TP_OK, tp_net_probabilities(&net, p, p));
    uint64_t hash = tp_parity_mix(tp_parity_mix(0xcbf29ce484222325u, arena, room.plan.params_bytes), p, sizeof p);
    x[2] = tp_f32_from_bits(0x7f800000u);
    TP_RESTORES(TP_E_DATA, tp_train_step(&net, &batch, NULL));
    return hash;
}

static void tp_register_is_restored(void) {
    tp_plain = tp_odd = tp_control_read();
    uint64_t hash = tp_odd_run();
    for (uint32_t i = 0; i < 4; i++) {
        tp_odd = tp_odd_register(tp_plain, i);
        uint64_t got = tp_odd_run();
        TP_CHECKF(got == hash, "register %u: other bits", i);
    }
}

/* A net whose errors are denormal: x about 1e-20, weights about 1e-19. */
static uint64_t tp_small_run(const tp_kernels *k, uint32_t numerics) {
    static const tp_node nodes[] = {
        {.name = "a", .op = 1, .in = {TP_INPUT, TP_NONE}, .units = 21},
        {.name = "r", .op = 10, .in = {0, TP_NONE}, .param = 0.5f},
        {.name = "b", .op = 1, .in = {1, TP_NONE}, .units = 3},
    };
    static _Alignas(TP_ALIGN) uint8_t arena[32768];
    tp_model m = {nodes, 3, {1, 1, 19, 1}, TP_F32, 3};
    tp_recipe r = tp_recipe_default();
    r.numerics = numerics;
    r.policy = tp_list_id(TP_LIST_POLICY, "full");
    static union {
        tp_plan plan;
        uint8_t bytes[8192];
    } room;
    tp_net net;
    float x[19], target[3];
    tp_tensor t;
    void *data;
    if (tp_plan_make(&m, &r, &room.plan, sizeof room, NULL) != TP_OK || tp_net_open(&net, &room.plan, arena, sizeof arena, k) != TP_OK || tp_net_init(&net) != TP_OK) { return 0; }
    for (uint32_t i = 0; tp_net_tensor(&net, i, &t, NULL, &data) == TP_OK; i++) {
        for (uint32_t j = 0; j < t.bytes / 4u; j++) { ((float *)data)[j] *= 1e-19f; }
    }
    uint64_t hash = 0xcbf29ce484222325u;
    tp_random_state = 5;
    for (uint32_t step = 0; step < 60; step++) {
        for (uint32_t i = 0; i < 19; i++) { x[i] = tp_random_f32() * 1e-19f; }
        for (uint32_t i = 0; i < 3; i++) { target[i] = tp_random_f32() * 1e-19f; }
        tp_batch b = {x, NULL, target, 1};
        if (tp_train_step(&net, &b, NULL) != TP_OK) { return 0; }
        hash = tp_parity_mix(hash, arena, room.plan.params_bytes);
        const float *y;
        if (tp_net_forward(&net, x, &y) != TP_OK) { return 0; }
        hash = tp_parity_mix(hash, y, 12);
    }
    return hash;
}

static void tp_flush_is_pinned(void) {
    const uint64_t pinned = 0x785e54b8b68c5bddu; /* x86-64 and arm64: no result here is one on which they differ */
    const tp_kernels *k;
    bool usable = false;
    uint64_t kept = 0;
    if (TP_CONTROL_FLUSH == 0) { return; }
    for (uint32_t i = 0; (k = tp_kernels_row(i, &usable)) != NULL; i++) {
        if (!usable) { continue; }
        uint64_t ieee = tp_small_run(k, TP_NUMERICS_IEEE), flush = tp_small_run(k, TP_NUMERICS_FLUSH);
        kept = kept == 0 ? ieee : kept;
        TP_CHECKF(ieee == kept && ieee != 0, "%s: ieee %016llx, not %016llx", tp_kernels_name(k), (unsigned long long)ieee, (unsigned long long)kept);
        TP_CHECKF(flush != ieee && flush == pinned, "%s: flush %016llx, pinned %016llx", tp_kernels_name(k), (unsigned long long)flush, (unsigned long long)pinned);
    }
}

int main(void) {
    TP_RUN(tp_register_is_restored);
    TP_RUN(tp_flush_is_pinned);
    return tp_end();
}
