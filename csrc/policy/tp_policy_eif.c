/* SPDX-License-Identifier: Apache-2.0 */
/* Early instance filtering (Wu et al., arXiv 2007.03213): a side net of one hidden layer guesses before the forward pass whether the loss
 * will be high. Samples above a threshold of the guess go on and train; the threshold follows the wanted share. The side net learns from
 * every loss that becomes known; what it would pass over goes on by chance, so that it hears of those too, and trains if its loss is high. */
#include "tp_policy.h"

enum { TP_EIF_FEATURES = 64, TP_EIF_HIDDEN = 8, TP_EIF_FIRST = 32 }; /* the first samples all go on */

typedef struct tp_eif {
    uint32_t known;         /* losses seen; 0: weights are not there yet */
    float guess, loss;      /* thresholds: of the guess, of a high loss */
    float w2[TP_EIF_HIDDEN], b2;
    float b1[TP_EIF_HIDDEN];
    float w1[1];            /* TP_EIF_HIDDEN rows of as many as there are features */
} tp_eif;

/* What the side net computes of a sample. */
typedef struct tp_eif_pass {
    float x[TP_EIF_FEATURES], h[TP_EIF_HIDDEN];
    float p;                /* probability of a high loss */
} tp_eif_pass;

static uint32_t tp_eif_features(const tp_plan *plan) { return tp_min_u32(plan->n_in, TP_EIF_FEATURES); }

static uint32_t tp_eif_words(const tp_plan *plan) { return (uint32_t)(sizeof(tp_eif) / 4u) - 1u + TP_EIF_HIDDEN * tp_eif_features(plan); }

static void tp_eif_macs(tp_plan *plan) {
    if (!(plan->recipe.policy_params.rate < 1.0f)) { return; }
    uint64_t forward = plan->n_in + TP_EIF_HIDDEN * (tp_eif_features(plan) + 1u);
    plan->macs_look = forward;
    plan->macs_learn = forward + TP_EIF_HIDDEN * (tp_eif_features(plan) + 2u); /* once more, and the gradient */
}

static bool tp_eif_check(const tp_policy_params *p) { return tp_random_check(p) && p->gain > 0.0f && p->gain <= 1.0f; }

/* Features: means of equal parts of the sample, one after the other. */
static void tp_eif_forward(const tp_plan *plan, const tp_eif *e, const tp_glance *g, tp_eif_pass *out) {
    const float *x = (const float *)g->x;
    const int8_t *bytes = (const int8_t *)g->x;
    uint32_t n = tp_eif_features(plan);
    for (uint32_t f = 0; f < n; f++) {
        uint32_t from = (uint32_t)((uint64_t)plan->n_in * f / n), to = (uint32_t)((uint64_t)plan->n_in * (f + 1u) / n);
        float sum = 0.0f;
        for (uint32_t i = from; i < to; i++) { sum += plan->input_dtype == TP_F32 ? x[i] : (float)bytes[i] * 0x1p-7f; }
        out->x[f] = sum / (float)(to - from);
    }
    float z = e->b2;
    for (uint32_t j = 0; j < TP_EIF_HIDDEN; j++) {
        float h = e->b1[j];
        for (uint32_t f = 0; f < n; f++) { h += e->w1[j * n + f] * out->x[f]; }
        out->h[j] = h > 0.0f ? h : 0.0f;
        z += e->w2[j] * out->h[j];
    }
    TP_CALL(g->k, sigmoid_f32)(&out->p, &z, 1);
}

/* Weights of the first layer +- sqrt(6 / features), of the second +- sqrt(6 / hidden); biases 0. */
static void tp_eif_init(const tp_plan *plan, tp_eif *e) {
    uint32_t n = tp_eif_features(plan), words = TP_EIF_HIDDEN * n;
    float limit[2] = {TP_SQRT(6.0f / (float)n), TP_SQRT(6.0f / (float)TP_EIF_HIDDEN)};
    for (uint32_t i = 0; i < words + TP_EIF_HIDDEN; i++) {
        float u = tp_rng_unit(tp_rng(plan->recipe.seed, TP_RNG_POLICY, 1, i, 0).word[0]);
        float w = (2.0f * u - 1.0f) * limit[i < words ? 0 : 1];
        if (i < words) { e->w1[i] = w; } else { e->w2[i - words] = w; }
    }
    e->guess = 0.5f;
}

static bool tp_eif_high(const tp_eif *e, const tp_eif_pass *pass) { return e->known < TP_EIF_FIRST || pass->p >= e->guess; }

static bool tp_eif_look(const tp_plan *plan, float *state, const tp_glance *g) {
    const tp_eif *e = (const tp_eif *)(const void *)state;
    tp_eif_pass pass;
    tp_eif_forward(plan, e, g, &pass);
    return tp_eif_high(e, &pass) || tp_policy_draw(plan, g->sample) < 0.25f * plan->recipe.policy_params.rate;
}

/* One step of logistic regression on the hidden layer, and of the layer, by the gradient (p - high) at learning rate 1/16. */
static void tp_eif_step(const tp_plan *plan, tp_eif *e, const tp_eif_pass *pass, bool high) {
    uint32_t n = tp_eif_features(plan);
    float d = 0.0625f * (pass->p - (high ? 1.0f : 0.0f));
    for (uint32_t j = 0; j < TP_EIF_HIDDEN; j++) {
        float below = d * e->w2[j];
        e->w2[j] -= d * pass->h[j];
        if (!(pass->h[j] > 0.0f)) { continue; }
        e->b1[j] -= below;
        for (uint32_t f = 0; f < n; f++) { e->w1[j * n + f] -= below * pass->x[f]; }
    }
    e->b2 -= d;
}

/* A loss is high above a threshold that half of those seen exceed. */
static bool tp_eif_learn(const tp_plan *plan, float *state, const tp_outcome *o) {
    const tp_policy_params *p = &plan->recipe.policy_params;
    tp_eif *e = (tp_eif *)(void *)state;
    tp_eif_pass pass;
    if (!tp_random_looks(p)) { return true; }
    if (e->known == 0) {
        tp_eif_init(plan, e);
        e->loss = o->loss;
    }
    tp_eif_forward(plan, e, o->before, &pass);
    bool high = o->loss > e->loss, trains = tp_eif_high(e, &pass) || high;
    tp_eif_step(plan, e, &pass, high);
    float move = p->gain * (high ? 0.5f : -0.5f);
    e->loss = e->loss * (1.0f + move);
    e->loss = e->loss < 1e-6f ? 1e-6f : e->loss;
    e->known += e->known < TP_EIF_FIRST ? 1u : 0u;
    return trains;
}

static void tp_eif_spent(const tp_plan *plan, float *state, const tp_spent *spent) {
    tp_eif *e = (tp_eif *)(void *)state;
    if (e->known < TP_EIF_FIRST) { return; }
    e->guess = tp_steered_follow(&plan->recipe.policy_params, e->guess, (float)spent->trained, (float)spent->samples, spent->samples);
}

TP_OPTIONAL tp_policy_ops tp_policy_eif = {
    .name = "eif", .more_words = tp_eif_words, .macs = tp_eif_macs, .check = tp_eif_check, .looks = tp_random_looks, .look = tp_eif_look,
    .learn = tp_eif_learn, .spent = tp_eif_spent, .budget = tp_full_budget,
};
