/* SPDX-License-Identifier: Apache-2.0 */
/* The policies of other papers, and what is beyond policies: each against an independent transcription of its rule. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

static const tp_policy_ops *tp_policy_named(const char *name) { return tp_policy_find(tp_list_id(TP_LIST_POLICY, name)); }

/* A net of 5-9-3 and 64 samples; the caller closes both. */
static tp_data tp_rival_open(tp_live *v, const tp_recipe *r) {
    static tp_graph g;
    tp_graph_mlp(&g, (const uint32_t[]){5, 9, 3, 0}, "softmax_cross_entropy");
    TP_CHECK_STATUS(tp_live_open(v, &g, r, NULL), TP_OK);
    return tp_data_make(v->plan, 64, 3);
}

static double tp_times(double x, uint32_t n) {
    double y = 1.0;
    while (n-- > 0) { y *= x; }
    return y;
}

/* x^(a/b) is the number whose b-th power is x^a. */
static void tp_power(void) {
    static const uint32_t exponent[][2] = {{1, 1}, {2, 1}, {7, 1}, {1, 2}, {3, 2}, {1, 3}, {5, 3}, {3, 8}, {19, 7}};
    for (uint32_t i = 0; i < sizeof exponent / sizeof exponent[0]; i++) {
        uint32_t a = exponent[i][0], b = exponent[i][1];
        for (uint32_t j = 1; j <= 64; j++) {
            float x = (float)j / 64.0f, y = tp_policy_power(x, (float)a / (float)b);
            double left = tp_times((double)y, b), right = tp_times((double)x, a), off = left > right ? left - right : right - left;
            TP_CHECKF(off <= 2e-3 * right, "%.3f^(%u/%u) = %.9f", (double)x, a, b, (double)y);
        }
    }
    TP_CHECK(tp_policy_power(0.0f, 0.5f) == 0.0f && tp_policy_power(1.0f, 3.7f) == 1.0f);
    TP_CHECK(tp_policy_power(0.5f, 1e9f) == 0.0f && tp_policy_power(1.0f, 1e9f) == 1.0f);
}

static uint32_t tp_random_trained(float rate, uint64_t seed, uint32_t steps, uint64_t *bits) {
    tp_recipe r = tp_recipe_of("random", "sgd", 1, 0.01f);
    tp_live v;
    uint32_t trained = 0;
    r.policy_params.rate = rate;
    r.seed = seed;
    tp_data d = tp_rival_open(&v, &r);
    *bits = 0;
    for (uint32_t i = 0; i < steps; i++) {
        tp_batch b = tp_data_batch(&d, i % 64u, 1);
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
        TP_CHECK(v.stats->trained + v.stats->passed == 1 && v.stats->samples == v.stats->trained);
        TP_CHECK(v.stats->trained == 1 || v.stats->macs_forward + v.stats->macs_dw + v.stats->macs_dx == 0);
        trained += v.stats->trained;
        *bits = *bits * 3u + v.stats->trained;
    }
    tp_progress progress;
    TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.samples == steps && progress.updates == trained && progress.batches == steps);
    tp_data_free(&d);
    tp_live_close(&v);
    return trained;
}

static void tp_random_rate(void) {
    uint64_t one, again, other;
    uint32_t n = tp_random_trained(0.2f, 1, 4000, &one);
    TP_CHECKF(n > 700 && n < 900, "%u of 4000 at rate .2", n); /* 800 +- 25 */
    TP_CHECK(tp_random_trained(0.2f, 1, 4000, &again) == n && one == again);
    (void)tp_random_trained(0.2f, 2, 4000, &other);
    TP_CHECK(one != other);
    TP_CHECK(tp_random_trained(1.0f, 1, 100, &one) == 100);
}

/* The rule of the paper in double, with a history that is simply shifted. */
static void tp_selective_rule(void) {
    tp_recipe r = tp_recipe_of("selective", "sgd", 1, 0.05f);
    tp_live v;
    double past[40];
    uint32_t known = 0, trained = 0, tight = 0;
    r.policy_params.history = 40;
    r.policy_params.beta = 3.0f;
    tp_data d = tp_rival_open(&v, &r);
    for (uint32_t i = 0; i < 3000; i++) {
        tp_batch b = tp_data_batch(&d, i % 64u, 1);
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
        double loss = (double)v.stats->loss, rank = 1.0;
        for (uint32_t j = 0; j < known; j++) { rank += past[j] <= loss ? 1.0 : 0.0; }
        double share = rank / (known + 1.0), chance = share * share * share;
        double u = (double)(tp_rng(r.seed, TP_RNG_POLICY, 0, i, 0).word[0] >> 8) / 16777216.0;
        if (u - chance < 1e-5 && chance - u < 1e-5) {
            tight++;
        } else {
            TP_CHECKF(v.stats->trained == (u < chance ? 1u : 0u), "sample %u: chance %.6f, drawn %.6f, trained %u", i, chance, u, v.stats->trained);
        }
        if (known == 40) { memmove(past, past + 1, 39 * sizeof past[0]); }
        known = known < 40 ? known + 1u : 40u;
        past[known - 1u] = loss;
        trained += v.stats->trained;
    }
    TP_CHECKF(tight < 5 && trained > 500 && trained < 1100, "trained %u of 3000", trained); /* a quarter, were ranks uniform */
    tp_data_free(&d);
    tp_live_close(&v);
}

/* In stale epochs the last losses decide, and who loses costs nothing. */
static void tp_selective_stale_epochs(void) {
    tp_recipe r = tp_recipe_of("selective", "sgd", 1, 0.05f);
    tp_live v;
    float losses[64] = {0};
    uint8_t trained[64];
    r.policy_params.stale = 3;
    r.policy_params.beta = 2.0f;
    tp_data d = tp_rival_open(&v, &r);
    for (uint32_t epoch = 1; epoch <= 7; epoch++) {
        uint32_t passed = 0;
        TP_CHECK_STATUS(tp_net_epoch_begin(&v.net), TP_OK);
        for (uint32_t i = 0; i < 64; i++) {
            tp_recall recall = {&losses[i], &trained[i], 0};
            float before = losses[i];
            tp_batch b = tp_data_batch(&d, i, 1);
            v.net.recall = &recall;
            TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
            TP_CHECK(trained[i] == v.stats->trained && v.stats->passed + v.stats->samples == 1);
            TP_CHECK(v.stats->passed == 0 ? losses[i] == v.stats->loss : losses[i] == before && before > 0.0f);
            TP_CHECK((epoch - 1u) % 3u == 0 ? v.stats->samples == 1 : v.stats->samples == v.stats->trained);
            passed += v.stats->passed;
        }
        TP_CHECKF((passed > 0) == ((epoch - 1u) % 3u != 0), "epoch %u: passed %u", epoch, passed);
    }
    v.net.recall = NULL; /* without past losses every sample is looked at */
    for (uint32_t i = 0; i < 64; i++) {
        tp_batch b = tp_data_batch(&d, i, 1);
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
        TP_CHECK(v.stats->samples == 1);
    }
    tp_data_free(&d);
    tp_live_close(&v);
}

static void tp_steered_to(uint32_t steer, float rate, uint32_t batch) {
    tp_recipe r = tp_recipe_of("steered", "sgd", batch, 0.02f);
    tp_live v;
    uint64_t done = 0, all = 0;
    r.policy_params.rate = rate;
    r.policy_params.steer = steer;
    tp_data d = tp_rival_open(&v, &r);
    for (uint32_t i = 0; i < 12000; i += batch) {
        tp_batch b = tp_data_batch(&d, i % 64u, batch);
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
        if (i < 2000) { continue; }
        done += steer == TP_STEER_EFFORT ? v.stats->macs_dw + v.stats->macs_dx : v.stats->trained;
        all += steer == TP_STEER_EFFORT ? v.plan->macs_backward * batch : batch;
    }
    double found = (double)done / (double)all;
    TP_CHECKF(found > (double)rate - 0.02 && found < (double)rate + 0.02, "wanted %.2f, found %.4f", (double)rate, found);
    tp_data_free(&d);
    tp_live_close(&v);
}

static void tp_steered_rates(void) {
    tp_steered_to(TP_STEER_SAMPLES, 0.3f, 1);
    tp_steered_to(TP_STEER_SAMPLES, 0.15f, 4);
    tp_steered_to(TP_STEER_EFFORT, 0.1f, 1);
    tp_steered_to(TP_STEER_EFFORT, 0.25f, 8);
}

/* Byte against two plain counters. */
static void tp_revisit_rule(void) {
    for (uint32_t cap = 1; cap <= TP_MAX_REVISIT; cap++) {
        uint8_t byte = 0;
        uint32_t wait = 0, next = 1, most = 1;
        while (2u * most <= cap) { most *= 2u; }
        tp_random_state = cap;
        for (uint32_t i = 0; i < 2000; i++) {
            bool due = tp_revisit_due(&byte);
            TP_CHECKF(due == (wait == 0), "cap %u, visit %u: due %d, %u to wait", cap, i, due, wait);
            if (!due) {
                wait--;
                continue;
            }
            bool trained = tp_random_below(12) == 0;
            tp_revisit_mark(&byte, trained, cap);
            wait = trained ? 0u : next;
            next = trained ? 1u : 2u * next <= most ? 2u * next : most;
        }
    }
    for (uint32_t b = 0; b < 256; b++) { /* whatever a damaged file says, there is an end */
        uint8_t byte = (uint8_t)b;
        uint32_t visits = 0;
        while (!tp_revisit_due(&byte)) { visits++; }
        TP_CHECK(visits <= 127u);
        tp_revisit_mark(&byte, false, TP_MAX_REVISIT);
        TP_CHECK(byte > 0 && byte < 128u);
    }
}

/* Samples that are passed over count as zeros of their batch: the same as samples whose error is zero. */
static void tp_passed_over(void) {
    tp_recipe r = tp_recipe_of("full", "sgd", 4, 0.1f);
    tp_live v;
    tp_progress progress;
    tp_data d = tp_rival_open(&v, &r);
    tp_recall recall = {NULL, NULL, 3};
    float before = v.arena[0];
    tp_batch b = tp_data_batch(&d, 0, 2);
    v.net.recall = &recall;
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_E_ARG); /* 2 + 3 of 4 */
    b.n = 0;
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
    TP_CHECK(v.stats->samples == 0 && v.stats->passed == 3 && v.stats->loss == 0.0f && v.arena[0] == before);
    TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.samples == 3 && progress.batches == 1 && progress.updates == 0);
    recall.passed = 0;
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_E_ARG); /* nothing at all */
    b.n = 1;
    recall.passed = 3;
    float w = tp_tensor_f32(v.arena, &v.plan->node[2].tensor[1])[0];
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
    float moved = tp_tensor_f32(v.arena, &v.plan->node[2].tensor[1])[0] - w;
    TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.samples == 7 && progress.updates == 1);
    tp_totals totals;
    memset(&totals, 0, sizeof totals);
    tp_totals_add(&totals, v.plan, v.stats);
    TP_CHECK(totals.samples == 1 && totals.passed == 3 && totals.macs_dense_backward == 4 * v.plan->macs_backward && totals.macs_dense_forward == 4 * v.plan->macs_forward);
    tp_data_free(&d);
    tp_live_close(&v);
    r.batch = 1; /* alone, the same sample moves the bias four times as far */
    d = tp_rival_open(&v, &r);
    w = tp_tensor_f32(v.arena, &v.plan->node[2].tensor[1])[0];
    b = tp_data_batch(&d, 0, 1);
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
    float alone = tp_tensor_f32(v.arena, &v.plan->node[2].tensor[1])[0] - w;
    TP_CHECKF(alone - 4.0f * moved < 1e-7f && 4.0f * moved - alone < 1e-7f, "%g and %g", (double)alone, (double)moved);
    tp_data_free(&d);
    tp_live_close(&v);
}

static void tp_rivals_refused(void) {
#define TP_REFUSED(name, change)                               \
    do {                                                       \
        tp_recipe r = tp_recipe_default();                     \
        tp_policy_params *p = &r.policy_params;                \
        TP_CHECKF(tp_policy_named(name)->check(p), "%s", name); \
        change;                                                \
        TP_CHECKF(!tp_policy_named(name)->check(p), "%s: %s", name, #change); \
    } while (0)
    const float nan = tp_f32_from_bits(0x7fc00000u);
    TP_REFUSED("random", p->rate = 0.0f);
    TP_REFUSED("random", p->rate = 1.01f);
    TP_REFUSED("random", p->rate = nan);
    TP_REFUSED("selective", p->beta = 0.0f);
    TP_REFUSED("selective", p->beta = tp_f32_from_bits(0x7f800000u));
    TP_REFUSED("selective", p->history = 0);
    TP_REFUSED("selective", p->history = TP_MAX_HISTORY + 1u);
    TP_REFUSED("selective", p->stale = 0);
    TP_REFUSED("steered", p->rate = 0.0f);
    TP_REFUSED("steered", p->steer = 2);
    TP_REFUSED("steered", p->gain = 0.0f);
    TP_REFUSED("steered", p->gain = nan);
    TP_REFUSED("steered", p->zeta = 2.0f);
#undef TP_REFUSED
}

int main(void) {
    TP_RUN(tp_power);
    TP_RUN(tp_random_rate);
    TP_RUN(tp_selective_rule);
    TP_RUN(tp_selective_stale_epochs);
    TP_RUN(tp_steered_rates);
    TP_RUN(tp_revisit_rule);
    TP_RUN(tp_passed_over);
    TP_RUN(tp_rivals_refused);
    return tp_end();
}
