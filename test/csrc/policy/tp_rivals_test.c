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
            tp_recall recall = {.loss = &losses[i], .trained = &trained[i]};
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
    tp_recall recall = {.passed = 3};
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

/* EMP's channels against the rule in double: those kept are not below those dropped. */
static void tp_emp_channels(void) {
    for (uint32_t i = 0; i < 12; i++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_recipe_of("emp", "sgd", 1, 1e-6f);
        r.policy_params.s_max = 0.3f;
        r.policy_params.weight_share = (float)(i % 3u);
        r.policy_params.delta_share = (float)((i + 1u) % 3u * 4u);
        tp_graph_begin(&g, tp_image(6, 6, 2), "softmax_cross_entropy");
        int32_t a = tp_graph_op(&g, "sigmoid", tp_graph_conv(&g, TP_INPUT, 11, 3, 1, TP_PAD_SAME));
        tp_graph_dense(&g, tp_graph_op(&g, "sigmoid", tp_graph_dense(&g, tp_graph_op(&g, "flatten", a), 20)), 5);
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_live_spread(&v);
        TP_CHECK_STATUS(tp_net_open(&v.net, v.plan, v.arena, v.plan->arena_bytes, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 1, i + 1u);
        tp_batch b = tp_data_batch(&d, 0, 1);
        const tp_plan_node *p = &v.plan->node[3]; /* the hidden dense layer: errors by hand from the layer above */
        double weights[20], errors[20], score[20];
        const float *w = tp_tensor_f32(v.arena, &p->tensor[0]), *up = tp_tensor_f32(v.arena, &v.plan->node[5].tensor[0]);
        for (uint32_t o = 0; o < 20; o++) {
            weights[o] = 0.0;
            for (uint32_t e = 0; e < p->row_len; e++) { weights[o] += (double)tp_abs(w[o * p->row_len + e]); }
        }
        float before[5 * 20];
        memcpy(before, up, sizeof before);
        TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_OK);
        const float *y = tp_arena_f32(v.arena, v.plan->node[4].act), *top = tp_arena_f32(v.arena, v.plan->node[5].err), *d1 = tp_arena_f32(v.arena, p->err);
        uint32_t kept = 0;
        double least = 1e30, most = -1.0;
        for (uint32_t o = 0; o < 20; o++) {
            double sum = 0.0;
            for (uint32_t c = 0; c < 5; c++) { sum += (double)before[c * 20 + o] * (double)top[c]; }
            sum *= (double)y[o] * (1.0 - (double)y[o]);
            errors[o] = sum < 0 ? -sum : sum;
            score[o] = (double)r.policy_params.weight_share * weights[o] + (double)r.policy_params.delta_share * errors[o];
            kept += d1[o] != 0.0f ? 1u : 0u;
            if (d1[o] != 0.0f && score[o] < least) { least = score[o]; }
            if (d1[o] == 0.0f && score[o] > most) { most = score[o]; }
        }
        TP_CHECKF(kept == 6 && least > most * (1.0 - 1e-5), "kept %u, least %.6f, largest dropped %.6f", kept, least, most);
        TP_CHECK(v.stats->layer[0].k == 3 && v.stats->layer[1].k == 6 && v.stats->layer[2].k == 5);
        TP_CHECK(v.plan->macs_learn == 11u * 18u + 20u * p->row_len && v.plan->macs_look == 0);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

/* Samples of one class are noise (their loss stays high), the others are learnt at once: the filter finds the first, at its rate. */
static void tp_eif_finds(void) {
    tp_recipe r = tp_recipe_of("eif", "sgd", 1, 0.05f);
    tp_live v;
    uint32_t looked[2] = {0, 0}, seen[2] = {0, 0}, trained = 0;
    r.policy_params.rate = 0.3f;
    tp_data d = tp_rival_open(&v, &r);
    tp_random_state = 77;
    for (uint32_t i = 0; i < 12000; i++) {
        float x[5];
        bool hard = tp_random_below(3) == 0;
        for (uint32_t j = 0; j < 5; j++) { x[j] = 0.3f * tp_random_f32(); }
        x[4] = hard ? 1.0f : -1.0f; /* what the side net can see */
        uint32_t label = hard ? tp_random_below(3) : x[0] > 0.0f ? 1u : 0u;
        tp_batch b = {x, &label, NULL, 1};
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
        TP_CHECK(i >= TP_EIF_FIRST || v.stats->trained == 1);
        if (i < 4000) { continue; }
        seen[hard ? 1 : 0]++;
        looked[hard ? 1 : 0] += v.stats->samples;
        trained += v.stats->trained;
    }
    double easy = (double)looked[0] / seen[0], hard = (double)looked[1] / seen[1];
    TP_CHECKF(hard > 2.0 * easy, "looked at %.3f of the hard and %.3f of the easy samples", hard, easy);
    TP_CHECKF(trained > 2200 && trained < 2600, "trained %u of 8000 at rate .3", trained);
    TP_CHECK(v.plan->macs_look == 5 + 8 * 6 && v.plan->macs_learn == 5 + 8 * 6 + 8 * 7);
    tp_totals totals;
    memset(&totals, 0, sizeof totals);
    tp_totals_add(&totals, v.plan, v.stats);
    TP_CHECK(totals.macs_policy == v.plan->macs_look + v.stats->samples * v.plan->macs_learn);
    tp_data_free(&d);
    tp_live_close(&v);
}

/* The side net's gradient against differences of its loss, by the state it leaves. */
static double tp_eif_loss(const tp_plan *plan, const float *state, const tp_glance *g, bool high) {
    tp_eif_pass pass;
    tp_eif_forward(plan, (const tp_eif *)(const void *)state, g, &pass);
    double p = high ? (double)pass.p : 1.0 - (double)pass.p; /* -log p by its series around 1/2 would need libm: p itself, d(-log p) = -dp / p */
    return p;
}

static void tp_eif_gradient(void) {
    tp_recipe r = tp_recipe_of("eif", "sgd", 1, 0.05f);
    tp_live v;
    tp_data d = tp_rival_open(&v, &r);
    uint32_t words = tp_eif_words(v.plan);
    float state[sizeof(tp_eif) / 4u + TP_EIF_HIDDEN * 5u], moved[sizeof state / 4u];
    memset(state, 0, sizeof state);
    tp_eif *e = (tp_eif *)(void *)state;
    tp_eif_init(v.plan, e);
    for (uint32_t i = 0; i < 20; i++) {
        tp_glance g = {v.net.kernels, d.x + 5u * i, i, 0, 0.0f};
        tp_eif_pass pass;
        bool high = i % 2u == 0;
        for (uint32_t j = 0; j < TP_EIF_HIDDEN; j++) { e->b1[j] = 0.1f * tp_random_f32(); }
        memcpy(moved, state, sizeof moved);
        tp_eif_forward(v.plan, e, &g, &pass);
        tp_eif_step(v.plan, (tp_eif *)(void *)moved, &pass, high);
        for (uint32_t w = 3; w < words; w++) {
            float keep = state[w];
            double before = tp_eif_loss(v.plan, state, &g, high);
            state[w] = keep + 1e-3f;
            double up = tp_eif_loss(v.plan, state, &g, high);
            state[w] = keep - 1e-3f;
            double down = tp_eif_loss(v.plan, state, &g, high);
            state[w] = keep;
            double slope = -(up - down) / 2e-3 / before, found = (double)(keep - moved[w]) / 0.0625;
            TP_CHECKF(found - slope < 2e-3 && slope - found < 2e-3, "word %u: %.6f, differences say %.6f", w, found, slope);
        }
    }
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
    TP_REFUSED("emp", p->s_max = 0.0f);
    TP_REFUSED("emp", p->weight_share = -1.0f);
    TP_REFUSED("emp", p->weight_share = p->delta_share = 0.0f);
    TP_REFUSED("emp", p->delta_share = nan);
    TP_REFUSED("eif", p->rate = 0.0f);
    TP_REFUSED("eif", p->gain = 2.0f);
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
    TP_RUN(tp_emp_channels);
    TP_RUN(tp_eif_finds);
    TP_RUN(tp_eif_gradient);
    TP_RUN(tp_rivals_refused);
    return tp_end();
}
