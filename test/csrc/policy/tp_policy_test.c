/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of the policy list: invariants, the printed examples of docs/ALGORITHM.md, maxima, decisions, refusals. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

static const tp_policy_ops *tp_policy_named(const char *name) { return tp_policy_find(tp_list_id(TP_LIST_POLICY, name)); }

static tp_policy_params tp_params_of(const char *preset) {
    tp_recipe r = tp_recipe_default();
    TP_CHECK_STATUS(tp_recipe_preset(&r, preset), TP_OK);
    return r.policy_params;
}

static tp_delta tp_delta_of(uint32_t rows, float l1) {
    return (tp_delta){.rows = rows, .layer = 0, .layers = 2, .l1 = l1, .zpow = 1.0f, .bound = 2.0f, .loss = 1.0f};
}

/* --- every row --- */

static const char *tp_policy_under_test;

static void tp_budget_within(void) {
    const tp_policy_ops *ops = tp_policy_named(tp_policy_under_test);
    TP_CHECK(ops != NULL && ops->budget != NULL && tp_text_equal(ops->name, tp_policy_under_test));
    tp_random_state = 3;
    for (uint32_t i = 0; i < 20000; i++) {
        tp_policy_params p = tp_params_of(i % 2u == 0 ? "paper" : "accurate");
        p.s_min = 0.5f + 0.5f * tp_random_f32();
        p.s_max = p.s_min + (1.0f - p.s_min) * (0.5f + 0.5f * tp_random_f32());
        p.ymax_mode = tp_random_below(TP_MAX_ANALYTIC + 1u);
        p.ymax_fixed = tp_random_below(2) != 0 ? 1.0f : 1e-30f;
        float state[2][8] = {{0}}, guard = 123.0f;
        for (uint32_t j = 0; j < 2; j++) {
            state[j][ops->layer_words] = guard;
            if (ops->layer_words > 0) { state[j][0] = i % 3u == 0 ? 0.0f : 1.5f; }
        }
        tp_delta d = tp_delta_of(1u + tp_random_below(i % 5u == 0 ? 100000u : 20u), tp_abs(tp_random_kind(i % TP_KINDS)));
        d.layer = tp_random_below(2);
        d.zpow = i % 4u == 0 ? 0.1f : 1.0f;
        uint32_t k = ops->budget(&p, state[0], &d), again = ops->budget(&p, state[1], &d);
        TP_CHECKF(k <= d.rows, "k %u of %u", k, d.rows);
        TP_CHECK(k == again && memcmp(state[0], state[1], sizeof state[0]) == 0);
        TP_CHECKF(state[0][ops->layer_words] == guard, "wrote past its %u words of state", ops->layer_words);
        TP_CHECKF(k > 0 || d.l1 == 0.0f, "nothing kept of sum|delta| %a", (double)d.l1);
    }
}

/* --- TinyProp --- */

static uint32_t tp_rows_of(tp_policy_params p, uint32_t rows, float y, float ymax) {
    float state[1] = {ymax};
    tp_delta d = tp_delta_of(rows, y);
    return tp_policy_named("tinyprop")->budget(&p, state, &d);
}

static void tp_printed_examples(void) {
    tp_policy_params p = tp_params_of("paper");
    p.s_min = p.s_max = 0.3f;
    TP_CHECK(tp_rows_of(p, 10, 1.0f, 2.0f) == 3u); /* S = .3, N = 10 */
    p = tp_params_of("paper");
    for (uint32_t n = 1; n <= 3000; n++) { /* Y = Ymax keeps everything, whatever the numbers: other orders lose rows here */
        for (uint32_t j = 0; j < 50; j++) {
            float y = tp_f32_from_bits(0x3f800000u + (n * 50u + j) * 104729u % 0x2000000u);
            p.s_min = (float)(2u * j + 1u) * 0.009f;
            TP_CHECKF(tp_rows_of(p, n, y, y) == n, "Y = Ymax, N = %u: k = %u", n, tp_rows_of(p, n, y, y));
        }
    }
    /* section 3: p = (.7, .2, .1), y = 0 */
    p.s_min = 0.1f;
    p.s_max = 0.9f;
    TP_CHECK(tp_rows_of(p, 3, 0.6f, 1.2f) == 1u);
    /* the clamp at both ends, and a layer without error */
    p.s_min = p.s_max = 0.01f;
    TP_CHECK(tp_rows_of(p, 10, 1.0f, 1.0f) == 1u);
    TP_CHECK(tp_rows_of(p, 10, 0.0f, 1.0f) == 0u);
    /* damping: S * zeta^(L-l) */
    tp_delta d = tp_delta_of(100, 1.0f);
    float state[1] = {1.0f};
    p = tp_params_of("paper");
    d.zpow = 0.25f;
    TP_CHECK(tp_policy_named("tinyprop")->budget(&p, state, &d) == 25u);
}

/* The product of the decision is f32: p = (.7, .2, .1), y = 0, alpha_max 2: skipped at tau .5, trained at .25. */
static void tp_worked_example(void) {
    static const float logit[3] = {0.0f, -1.252762968f, -1.945910149f}; /* log of p, up to a constant */
    tp_graph g;
    tp_graph_begin(&g, tp_vector(1), "softmax_cross_entropy");
    tp_graph_dense(&g, TP_INPUT, 3);
    for (uint32_t i = 0; i < 2; i++) {
        tp_recipe r = tp_recipe_of("tinypropv2", "sgd", 1, 0.1f);
        tp_live v;
        r.policy_params.tau = i == 0 ? 0.5f : 0.25f;
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        memset(v.arena + v.plan->params_at, 0, v.plan->params_bytes);
        memcpy(tp_tensor_f32(v.arena, &v.plan->node[0].tensor[1]), logit, sizeof logit);
        float x = 1.0f;
        uint32_t label = 0;
        tp_batch b = {&x, &label, NULL, 1};
        TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
        TP_CHECKF(v.stats->alpha > 0.599999f && v.stats->alpha < 0.600001f, "alpha %.9f", (double)v.stats->alpha);
        TP_CHECKF(v.stats->trained == i, "tau %.2f: trained %u", (double)r.policy_params.tau, v.stats->trained);
        TP_CHECK(v.plan->theta == r.policy_params.tau);
        tp_live_close(&v);
    }
}

static float tp_ymax_after(uint32_t mode, float old, float y, uint32_t layer) {
    tp_policy_params p = tp_params_of("paper");
    float state[1] = {old};
    tp_delta d = tp_delta_of(10, y);
    d.layer = layer;
    p.ymax_mode = mode;
    p.ymax_decay = 0.5f;
    p.ymax_fixed = 7.0f;
    (void)tp_policy_named("tinyprop")->budget(&p, state, &d);
    return state[0];
}

static void tp_ymax_modes(void) {
    TP_CHECK(tp_ymax_after(TP_MAX_RUNNING, 1.0f, 3.0f, 0) == 3.0f && tp_ymax_after(TP_MAX_RUNNING, 4.0f, 3.0f, 0) == 4.0f);
    TP_CHECK(tp_ymax_after(TP_MAX_DECAY, 4.0f, 1.0f, 0) == 2.0f && tp_ymax_after(TP_MAX_DECAY, 4.0f, 3.0f, 0) == 3.0f);
    TP_CHECK(tp_ymax_after(TP_MAX_EPOCH, 4.0f, 3.0f, 0) == 4.0f);
    TP_CHECK(tp_ymax_after(TP_MAX_FIXED, 4.0f, 30.0f, 0) == 7.0f);
    TP_CHECK(tp_ymax_after(TP_MAX_ANALYTIC, 1.0f, 0.5f, 1) == 2.0f); /* output layer: the bound */
    TP_CHECK(tp_ymax_after(TP_MAX_ANALYTIC, 1.0f, 3.0f, 0) == 3.0f); /* elsewhere as running */
    TP_CHECK(tp_ymax_after(TP_MAX_RUNNING, 1.0f, 0.0f, 0) == 1.0f);
    TP_CHECK(tp_ymax_after(TP_MAX_DECAY, 4.0f, 0.0f, 0) == 2.0f); /* a sample without error has reached the layer too */
}

static void tp_epoch_hook(void) {
    tp_graph g;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", 1, 0.1f);
    tp_graph_mlp(&g, (const uint32_t[]){5, 9, 4, 0}, "softmax_cross_entropy");
    for (uint32_t mode = TP_MAX_RUNNING; mode <= TP_MAX_EPOCH; mode++) {
        tp_live v;
        tp_progress progress = {0, 0, 0, 0};
        r.policy_params.ymax_mode = mode;
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 4, 3);
        const float *state = tp_arena_f32(v.arena, v.plan->node[0].policy);
        TP_CHECK_STATUS(tp_net_epoch_begin(&v.net), TP_OK);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 4, 1), TP_OK);
        TP_CHECK(*state > 0.0f);
        TP_CHECK_STATUS(tp_net_epoch_end(&v.net), TP_OK);
        TP_CHECK_STATUS(tp_net_epoch_begin(&v.net), TP_OK);
        TP_CHECK((*state == 0.0f) == (mode == TP_MAX_EPOCH));
        TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.epochs == 2 && progress.samples == 4);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

static void tp_output_layer(void) {
    tp_policy_params p = tp_params_of("accurate");
    float state[1] = {100.0f};
    tp_delta d = tp_delta_of(10, 1.0f);
    d.layer = 1; /* of 2 */
    TP_CHECK(tp_policy_named("tinyprop")->budget(&p, state, &d) == 10u);
    p.output_dense = 0;
    TP_CHECK(tp_policy_named("tinyprop")->budget(&p, state, &d) < 10u);
    p.s_max = 0.25f;
    TP_CHECK(tp_policy_named("meprop")->budget(&p, NULL, &d) == 10u);
    d.layer = 0;
    TP_CHECK(tp_policy_named("meprop")->budget(&p, NULL, &d) == 2u);
    d.l1 = 0.0f;
    TP_CHECK(tp_policy_named("meprop")->budget(&p, NULL, &d) == 0u && tp_policy_named("full")->budget(&p, NULL, &d) == 10u);
}

/* --- the decision --- */

static bool tp_learns(uint32_t mode, float *state, float alpha, float bound) {
    tp_policy_params p = tp_params_of("accurate");
    tp_outcome o = {.loss = 1.0f, .alpha = alpha, .theta = 0.5f, .bound = bound};
    p.alpha_mode = mode;
    p.alpha_decay = 0.5f;
    p.alpha_fixed = 3.0f;
    tp_plan plan = {.recipe.policy_params = p};
    return tp_policy_named("tinypropv2")->learn(&plan, state, &o);
}

static void tp_alpha_modes(void) {
    float state = 0.0f;
    TP_CHECK(!tp_learns(TP_MAX_ANALYTIC, &state, 1.0f, 2.0f) && tp_learns(TP_MAX_ANALYTIC, &state, 1.0001f, 2.0f));
    TP_CHECK(!tp_learns(TP_MAX_AUTO, &state, 1.0f, 2.0f) && state == 2.0f);
    TP_CHECK(!tp_learns(TP_MAX_FIXED, &state, 1.5f, 0.0f) && tp_learns(TP_MAX_FIXED, &state, 1.51f, 0.0f));
    state = 0.0f; /* running: updated before the comparison, with skipped samples too */
    TP_CHECK(tp_learns(TP_MAX_RUNNING, &state, 4.0f, 0.0f) && state == 4.0f);
    TP_CHECK(!tp_learns(TP_MAX_RUNNING, &state, 2.0f, 0.0f) && state == 4.0f);
    state = 0.0f;
    TP_CHECK(tp_learns(TP_MAX_AUTO, &state, 4.0f, 0.0f)); /* no bound: decays */
    TP_CHECK(!tp_learns(TP_MAX_AUTO, &state, 1.0f, 0.0f) && state == 2.0f);
    TP_CHECK(tp_learns(TP_MAX_DECAY, &state, 0.9f, 0.0f) && state == 1.0f);
}

/* --- recipes --- */

static tp_status tp_plan_status(const tp_recipe *r, const char *loss, uint32_t *warnings) {
    tp_graph g;
    tp_live v;
    tp_graph_mlp(&g, (const uint32_t[]){5, 4, 3, 0}, loss);
    tp_status status = tp_live_open(&v, &g, r, NULL);
    if (warnings != NULL) { *warnings = v.plan->warnings; }
    TP_CHECK(status == TP_OK || v.where == g.n);
    tp_live_close(&v);
    return status;
}

static void tp_theta(void) {
    uint32_t warnings = 0;
    tp_recipe r = tp_recipe_default();
    TP_CHECK_STATUS(tp_plan_status(&r, "softmax_cross_entropy", &warnings), TP_OK);
    TP_CHECK(warnings == 0);
    r.policy_params.tau = 1.0f; /* theta 1: would never train */
    TP_CHECK_STATUS(tp_plan_status(&r, "softmax_cross_entropy", NULL), TP_E_RECIPE);
    r.policy_params.tau = 0.99f;
    TP_CHECK_STATUS(tp_plan_status(&r, "softmax_cross_entropy", NULL), TP_OK);
    r.policy_params.d_min = -1.0f;
    r.policy_params.d_max = 0.5f; /* theta = 1.99 / 1.5 */
    TP_CHECK_STATUS(tp_plan_status(&r, "softmax_cross_entropy", NULL), TP_E_RECIPE);
    r = tp_recipe_default();
    r.policy_params.d_min = 0.2f; /* D > tau always: theta < 0 */
    TP_CHECK_STATUS(tp_plan_status(&r, "softmax_cross_entropy", &warnings), TP_OK);
    TP_CHECK(warnings == TP_WARN_THETA_NEGATIVE);
    r.policy_params.tau = -3e38f; /* theta is no number to compare with */
    r.policy_params.beta = 1e-30f;
    TP_CHECK_STATUS(tp_plan_status(&r, "softmax_cross_entropy", NULL), TP_E_RECIPE);
    r = tp_recipe_default();
    r.policy_params.alpha_mode = TP_MAX_ANALYTIC;
    TP_CHECK_STATUS(tp_plan_status(&r, "softmax_cross_entropy", NULL), TP_OK);
    TP_CHECK_STATUS(tp_plan_status(&r, "bce", NULL), TP_OK);
    TP_CHECK_STATUS(tp_plan_status(&r, "mse", NULL), TP_E_RECIPE); /* no bound there */
    r.policy_params.alpha_mode = TP_MAX_AUTO;
    TP_CHECK_STATUS(tp_plan_status(&r, "mse", NULL), TP_OK);
}

static void tp_recipes_refused(void) {
    const float nan = tp_f32_from_bits(0x7fc00000u), inf = tp_f32_from_bits(0x7f800000u);
    tp_recipe r;
#define TP_REFUSED(change, status)                                                          \
    r = tp_recipe_default();                                                                \
    change;                                                                                 \
    TP_CHECKF(tp_plan_status(&r, "softmax_cross_entropy", NULL) == (status), "%s", #change)
    TP_REFUSED(r.policy = 99, TP_E_ARG);
    TP_REFUSED(r.optimizer = 0, TP_E_ARG);
    TP_REFUSED(r.batch = 0, TP_E_RECIPE);
    TP_REFUSED(r.numerics = 2, TP_E_RECIPE);
    TP_REFUSED(r.lr = 0.0f, TP_E_RECIPE);
    TP_REFUSED(r.lr = nan, TP_E_RECIPE);
    TP_REFUSED(r.lr = inf, TP_E_RECIPE);
    TP_REFUSED(r.momentum = 1.0f, TP_E_RECIPE);
    TP_REFUSED(r.weight_decay = -1.0f, TP_E_RECIPE);
    TP_REFUSED(r.weight_decay = nan, TP_E_RECIPE);
    TP_REFUSED(r.schedule.kind = 3, TP_E_RECIPE);
    TP_REFUSED((r.schedule.kind = TP_SCHEDULE_COSINE, r.schedule.total = 0), TP_E_RECIPE);
    TP_REFUSED((r.schedule.kind = TP_SCHEDULE_COSINE, r.schedule.total = 5, r.schedule.warmup = 6), TP_E_RECIPE);
    TP_REFUSED((r.schedule.kind = TP_SCHEDULE_STEP, r.schedule.every = 0), TP_E_RECIPE);
    TP_REFUSED((r.schedule.kind = TP_SCHEDULE_STEP, r.schedule.gamma = nan), TP_E_RECIPE);
    TP_REFUSED(r.policy_params.s_min = -0.1f, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.s_min = nan, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.s_max = 0.05f, TP_E_RECIPE); /* below s_min */
    TP_REFUSED(r.policy_params.s_max = 1.1f, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.zeta = 0.0f, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.zeta = 1.5f, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.ymax_mode = TP_MAX_AUTO, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.ymax_decay = 0.0f, TP_E_RECIPE);
    TP_REFUSED((r.policy_params.ymax_mode = TP_MAX_FIXED, r.policy_params.ymax_fixed = 0.0f), TP_E_RECIPE);
    TP_REFUSED(r.policy_params.select = 3, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.beta = 0.0f, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.d_max = 0.0f, TP_E_RECIPE); /* = d_min */
    TP_REFUSED(r.policy_params.tau = nan, TP_E_RECIPE);
    TP_REFUSED(r.policy_params.alpha_mode = TP_MAX_EPOCH, TP_E_RECIPE);
    TP_REFUSED((r.policy_params.alpha_mode = TP_MAX_FIXED, r.policy_params.alpha_fixed = -1.0f), TP_E_RECIPE);
#undef TP_REFUSED
    TP_CHECK_STATUS(tp_recipe_preset(&r, "nonsense"), TP_E_ARG);
    TP_CHECK_STATUS(tp_recipe_preset(NULL, "paper"), TP_E_ARG);
}

static void tp_presets(void) {
    tp_policy_params paper = tp_params_of("paper"), accurate = tp_params_of("accurate");
    TP_CHECK(paper.s_min == 0.0f && paper.s_max == 1.0f && paper.zeta == 1.0f && paper.ymax_mode == TP_MAX_RUNNING && paper.output_dense == 0);
    TP_CHECK(paper.tau == 0.5f && accurate.tau == 0.1f && paper.alpha_mode == TP_MAX_AUTO && accurate.alpha_mode == TP_MAX_AUTO);
    TP_CHECK(accurate.s_min == 0.1f && accurate.s_max == 1.0f && accurate.zeta == 1.0f && accurate.output_dense == 1);
    TP_CHECK(accurate.ymax_mode == TP_MAX_DECAY && accurate.ymax_decay == 0.9995f && accurate.select == TP_SELECT_AUTO && paper.select == TP_SELECT_ELEMENT);
}

/* --- an autoencoder: no analytic bound, and yet some samples of the last epoch are trained --- */

static void tp_autoencoder(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("tinypropv2", "sgd", 1, 0.1f);
    uint32_t epochs = 30, trained_last = 0, trained = 0;
    float first = 0.0f, last = 0.0f;
    r.policy_params.tau = 0.5f;
    r.schedule = (tp_schedule){TP_SCHEDULE_COSINE, 0, epochs * 100u, 1, 1.0f};
    tp_graph_mlp(&g, (const uint32_t[]){12, 16, 4, 16, 12, 0}, "mse");
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 100, 8);
    for (uint32_t i = 0; i < d.n * d.n_in; i++) { /* four numbers behind twelve */
        uint32_t sample = i / 12u * 12u;
        d.x[i] = i - sample < 4 ? d.x[i] : 0.5f * (d.x[sample + i % 4u] - d.x[sample + (i + 1u) % 4u]);
    }
    memcpy(d.target, d.x, (size_t)d.n * d.n_in * 4u);
    for (uint32_t e = 0; e < epochs; e++) {
        trained_last = 0;
        last = 0.0f;
        for (uint32_t i = 0; i < d.n; i++) {
            tp_batch b = tp_data_batch(&d, i, 1);
            TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
            trained_last += v.stats->trained;
            last += v.stats->loss;
        }
        trained += trained_last;
        first = e == 0 ? last : first;
    }
    printf("# autoencoder: trained %u of 3000, %u in the last epoch, loss %.4f -> %.4f\n", trained, trained_last, (double)first / 100, (double)last / 100);
    TP_CHECK(trained_last > 0 && trained < 2700u && last < 0.5f * first);
    tp_data_free(&d);
    tp_live_close(&v);
}

/* Shared code leaves a hook out of builds where no row names it: every policy that has one must have its row. */
static void tp_hooks_have_rows(void) {
    static const char *const looks[] = {
#define TP_POLICY_LOOKS(name) #name,
#include "../../../csrc/policy/tp_policy_hook_list.h"
#undef TP_POLICY_LOOKS
        ""}, *const masks[] = {
#define TP_POLICY_MASKS(name) #name,
#include "../../../csrc/policy/tp_policy_hook_list.h"
#undef TP_POLICY_MASKS
        ""}, *const scores[] = {
#define TP_POLICY_SCORES(name) #name,
#include "../../../csrc/policy/tp_policy_hook_list.h"
#undef TP_POLICY_SCORES
        ""};
    const char *name;
    int32_t id;
    for (uint32_t i = 0; (name = tp_list_name(TP_LIST_POLICY, i, &id)) != NULL; i++) {
        const tp_policy_ops *ops = tp_policy_find((uint32_t)id);
        bool found[3] = {false, false, false};
        for (uint32_t j = 0; looks[j][0] != 0; j++) { found[0] |= strcmp(name, looks[j]) == 0; }
        for (uint32_t j = 0; masks[j][0] != 0; j++) { found[1] |= strcmp(name, masks[j]) == 0; }
        for (uint32_t j = 0; scores[j][0] != 0; j++) { found[2] |= strcmp(name, scores[j]) == 0; }
        TP_CHECKF(found[0] == (ops->looks != NULL) && found[1] == ops->masks && found[2] == (ops->score != NULL), "%s", name);
    }
}

int main(void) {
    for (uint32_t i = 0; (tp_policy_under_test = tp_list_name(TP_LIST_POLICY, i, NULL)) != NULL; i++) {
        char name[64];
        snprintf(name, sizeof name, "tp_budget_within_%s", tp_policy_under_test);
        tp_run(name, tp_budget_within);
    }
    TP_RUN(tp_printed_examples);
    TP_RUN(tp_worked_example);
    TP_RUN(tp_ymax_modes);
    TP_RUN(tp_epoch_hook);
    TP_RUN(tp_output_layer);
    TP_RUN(tp_alpha_modes);
    TP_RUN(tp_theta);
    TP_RUN(tp_recipes_refused);
    TP_RUN(tp_presets);
    TP_RUN(tp_hooks_have_rows);
    TP_RUN(tp_autoencoder);
    return tp_end();
}
