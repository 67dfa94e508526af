/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes: defaults, presets, validation, and the learning rate as a function of batches seen. */
#include "tp_base.h"

/* Wire ids without the names of the lists, which a firmware may not need. */
enum {
#define TP_POLICY(name, id) TP_POLICY_##name = id,
#include "../policy/tp_policy_list.h"
#undef TP_POLICY
#define TP_OPTIM(name, id) TP_OPTIM_##name = id,
#include "../optim/tp_optim_list.h"
#undef TP_OPTIM
};

tp_recipe tp_recipe_default(void) {
    tp_recipe r;
    TP_MEMSET(&r, 0, sizeof r);
    r.policy = TP_POLICY_tinypropv2;
    r.optimizer = TP_OPTIM_sgd;
    r.batch = 1;
    r.lr = 0.01f;
    r.seed = 1;
    r.schedule.total = 1;
    r.schedule.every = 1;
    r.schedule.gamma = 1.0f;
    (void)tp_recipe_preset(&r, "accurate");
    return r;
}

tp_status tp_recipe_preset(tp_recipe *recipe, const char *preset) {
    if (recipe == NULL || preset == NULL) { return TP_E_ARG; }
    tp_policy_params *p = &recipe->policy_params;
#define TP_PRESET(name, s_min_, s_max_, zeta_, ymax_mode_, output_dense_, select_, tau_)                  \
    if (tp_text_equal(preset, #name)) {                                                                   \
        *p = (tp_policy_params){.s_min = s_min_, .s_max = s_max_, .zeta = zeta_, .ymax_mode = ymax_mode_, \
                                .ymax_decay = 0.9995f, .ymax_fixed = 1.0f, .output_dense = output_dense_, \
                                .select = select_, .d_min = 0.0f, .d_max = 1.0f, .tau = tau_,             \
                                .beta = 1.0f, .alpha_mode = TP_MAX_AUTO, .alpha_decay = 0.9995f,          \
                                .alpha_fixed = 1.0f, .rate = 0.2f, .steer = TP_STEER_SAMPLES,             \
                                .gain = 0.01f, .history = 1024, .stale = 1, .weight_share = 1.0f,         \
                                .delta_share = 1.0f, .revisit = 0};                                       \
        return TP_OK;                                                                                     \
    }
#include "../policy/tp_policy_list.h"
#undef TP_PRESET
    return TP_E_ARG;
}

/* theta of the decision; f32, one rounding an operation */
static float tp_recipe_theta(const tp_policy_params *p) {
    float threshold = p->tau / p->beta;
    float above = threshold - p->d_min;
    return above / (p->d_max - p->d_min);
}

/* Checks everything of a recipe that needs no shapes. */
static tp_status tp_recipe_check(const tp_recipe *r, float bound, uint32_t *warnings) {
    const tp_policy_ops *policy = tp_policy_find(r->policy);
    const tp_schedule *s = &r->schedule;
    if (policy == NULL) { return tp_row_status(TP_LIST_POLICY, r->policy, TP_E_ARG); }
    if (tp_optim_find(r->optimizer) == NULL) { return tp_row_status(TP_LIST_OPTIMIZER, r->optimizer, TP_E_ARG); }
    uint32_t rounding = r->int8 & ~TP_INT8_UNSCALED; /* none, or one */
    bool int8 = rounding == 0 || rounding == TP_INT8_NEAREST || rounding == TP_INT8_RESIDUAL || rounding == TP_INT8_FRACTION;
    bool numbers = r->batch >= 1 && r->numerics <= TP_NUMERICS_FLUSH && int8 && r->lr > 0.0f && tp_finite(r->lr) && r->momentum >= 0.0f &&
                   r->momentum < 1.0f && r->weight_decay >= 0.0f && tp_finite(r->weight_decay);
    bool schedule = s->kind <= TP_SCHEDULE_STEP && (s->kind != TP_SCHEDULE_COSINE || (s->total >= 1 && s->warmup <= s->total)) &&
                    (s->kind != TP_SCHEDULE_STEP || (s->every >= 1 && s->gamma > 0.0f && s->gamma <= 1.0f));
    bool select = r->policy_params.select <= TP_SELECT_AUTO, revisit = r->policy_params.revisit <= TP_MAX_REVISIT;
    if (!numbers || !schedule || !select || !revisit) { return TP_E_RECIPE; }
    if (policy->check != NULL && !policy->check(&r->policy_params)) { return TP_E_RECIPE; }
    if (policy->theta) {
        float theta = tp_recipe_theta(&r->policy_params);
        if (!(theta < 1.0f) || !tp_finite(theta)) { return TP_E_RECIPE; } /* would never train */
        if (theta < 0.0f) { *warnings |= TP_WARN_THETA_NEGATIVE; }
        if (r->policy_params.alpha_mode == TP_MAX_ANALYTIC && !(bound > 0.0f)) { return TP_E_RECIPE; }
    }
    return TP_OK;
}

/* cos(pi u), 0 <= u <= 1, by Taylor series on a quarter of the half-turn: only + and *, the same bits everywhere */
static float tp_cos_pi(float u) {
    bool flip = u > 0.5f;
    if (flip) { u = 1.0f - u; }
    float r;
    if (u <= 0.25f) {
        float t = u * 3.14159265f;
        t = t * t;
        r = 1.0f + t * (-0.5f + t * (0.0416666667f + t * (-0.00138888889f + t * 2.48015873e-5f)));
    } else {
        float t = (0.5f - u) * 3.14159265f, t2 = t * t;
        r = t * (1.0f + t2 * (-0.166666667f + t2 * (0.00833333333f + t2 * (-0.000198412698f + t2 * 2.75573192e-6f))));
    }
    return flip ? -r : r;
}

/* Learning rate of batch number t, from 0. */
static float tp_recipe_lr(const tp_recipe *r, uint64_t t) {
    const tp_schedule *s = &r->schedule;
    if (t < s->warmup) { return r->lr * ((float)(t + 1u) / (float)s->warmup); }
    uint64_t after = t - s->warmup;
    if (s->kind == TP_SCHEDULE_COSINE) {
        uint32_t span = s->total - s->warmup;
        if (after >= span) { return 0.0f; }
        return r->lr * (0.5f * (1.0f + tp_cos_pi((float)after / (float)span)));
    }
    float lr = r->lr;
    if (s->kind == TP_SCHEDULE_STEP) {
        float gamma = s->gamma;
        for (uint64_t n = after / s->every; n > 0; n >>= 1) {
            if ((n & 1u) != 0) { lr *= gamma; }
            gamma *= gamma;
        }
    }
    return lr;
}
