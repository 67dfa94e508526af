/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules: warm-up, end points of the cosine, steps; a function of batches seen, skipped ones included. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

static tp_recipe tp_scheduled(tp_schedule_kind kind, uint32_t warmup, uint32_t total, uint32_t every, float gamma) {
    tp_recipe r = tp_recipe_default();
    r.lr = 0.5f;
    r.schedule = (tp_schedule){(uint32_t)kind, warmup, total, every, gamma};
    return r;
}

static void tp_constant(void) {
    tp_recipe r = tp_scheduled(TP_SCHEDULE_CONSTANT, 0, 1, 1, 1.0f);
    TP_CHECK(tp_recipe_lr(&r, 0) == 0.5f && tp_recipe_lr(&r, 1ull << 40) == 0.5f);
    r.schedule.warmup = 4; /* lr (t + 1) / T_w */
    TP_CHECK(tp_recipe_lr(&r, 0) == 0.125f && tp_recipe_lr(&r, 1) == 0.25f && tp_recipe_lr(&r, 3) == 0.5f && tp_recipe_lr(&r, 4) == 0.5f);
}

static void tp_cosine(void) {
    tp_recipe r = tp_scheduled(TP_SCHEDULE_COSINE, 0, 1000, 1, 1.0f);
    TP_CHECK(tp_recipe_lr(&r, 0) == 0.5f && tp_recipe_lr(&r, 500) == 0.25f && tp_recipe_lr(&r, 1000) == 0.0f && tp_recipe_lr(&r, 5000) == 0.0f);
    for (uint32_t t = 1; t <= 1000; t++) { TP_CHECKF(tp_recipe_lr(&r, t) <= tp_recipe_lr(&r, t - 1u), "rises at %u", t); }
    TP_CHECK(tp_recipe_lr(&r, 999) > 0.0f);
    float third = tp_recipe_lr(&r, 333) - 0.5f * 0.7504535f; /* (1 + cos(.333 pi)) / 2 */
    TP_CHECKF(tp_abs(third) < 1e-5f, "%f", (double)third);
    r.schedule.warmup = 100; /* then the cosine over the rest */
    TP_CHECK(tp_recipe_lr(&r, 99) == 0.5f && tp_recipe_lr(&r, 100) == 0.5f && tp_recipe_lr(&r, 550) == 0.25f && tp_recipe_lr(&r, 1000) == 0.0f);
    r.schedule.warmup = 1000;
    TP_CHECK(tp_recipe_lr(&r, 999) == 0.5f && tp_recipe_lr(&r, 1000) == 0.0f);
}

static void tp_steps(void) {
    tp_recipe r = tp_scheduled(TP_SCHEDULE_STEP, 0, 1, 10, 0.5f);
    TP_CHECK(tp_recipe_lr(&r, 9) == 0.5f && tp_recipe_lr(&r, 10) == 0.25f && tp_recipe_lr(&r, 20) == 0.125f && tp_recipe_lr(&r, 59) == 0.015625f);
    r.schedule.warmup = 5;
    TP_CHECK(tp_recipe_lr(&r, 14) == 0.5f && tp_recipe_lr(&r, 15) == 0.25f);
    TP_CHECK(tp_recipe_lr(&r, 1ull << 60) == 0.0f);
}

/* The net's own count: batches, whether their samples train or not. */
static void tp_follows_batches_seen(void) {
    for (uint32_t skip = 0; skip < 2; skip++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_scheduled(TP_SCHEDULE_STEP, 2, 1, 3, 0.5f);
        r.batch = 2;
        r.policy_params.alpha_mode = TP_MAX_FIXED;
        r.policy_params.alpha_fixed = skip != 0 ? 1e20f : 1e-20f;
        tp_graph_mlp(&g, (const uint32_t[]){5, 4, 3, 0}, "softmax_cross_entropy");
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 4, 3);
        for (uint32_t t = 0; t < 12; t++) {
            TP_CHECKF(tp_net_lr(&v.net) == tp_recipe_lr(&r, t), "batch %u", t);
            TP_CHECK_STATUS(tp_live_train(&v, &d, 1, 2 - t % 2u), TP_OK);
            TP_CHECK((v.stats->trained == 0) == (skip != 0));
        }
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

/* The schedule's rate is what a step uses. */
static void tp_rate_is_used(void) {
    float moved[2];
    for (uint32_t i = 0; i < 2; i++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_scheduled(TP_SCHEDULE_CONSTANT, i == 0 ? 0 : 4, 1, 1, 1.0f);
        r.policy = tp_list_id(TP_LIST_POLICY, "full");
        tp_graph_begin(&g, tp_vector(3), "mse");
        tp_graph_dense(&g, TP_INPUT, 1);
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 1, 3);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 1, 1), TP_OK);
        moved[i] = *tp_tensor_f32(v.arena, &v.plan->node[0].tensor[1]); /* was 0 */
        tp_data_free(&d);
        tp_live_close(&v);
    }
    TP_CHECK(moved[0] != 0.0f && moved[1] == 0.25f * moved[0]);
}

int main(void) {
    TP_RUN(tp_constant);
    TP_RUN(tp_cosine);
    TP_RUN(tp_steps);
    TP_RUN(tp_follows_batches_seen);
    TP_RUN(tp_rate_is_used);
    return tp_end();
}
