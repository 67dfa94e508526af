/* SPDX-License-Identifier: Apache-2.0 */
/* Forward passes of the samples that come next, made together: the same steps, bit for bit. */
#include "../../../csrc/tinyprop.c"

#include "../../parity/trace.h"
#include "../tp_slice.h"

static tp_model tp_ahead_model(uint32_t graph) {
    return (tp_model){tp_parity_graph[graph].nodes, tp_parity_graph[graph].n_nodes, tp_parity_graph[graph].input, TP_F32, 1};
}

static tp_recipe tp_ahead_recipe(uint32_t graph, const char *policy, const char *optimizer) {
    tp_parity_row row = {tp_parity_graph[graph].name, policy, optimizer, 1, 0};
    tp_recipe r = tp_parity_recipe(&row, 160);
    r.policy_params.tau = 0.8f; /* some learn, most do not */
    return r;
}

/* Steps in turn without and with. Some samples are passed over, some steps come in slices; how far to look changes from step to step. */
static void tp_steps_the_same(uint32_t graph, const char *policy, const char *optimizer, const tp_plan_options *options) {
    tp_model m = tp_ahead_model(graph);
    tp_recipe r = tp_ahead_recipe(graph, policy, optimizer);
    tp_live alone, ahead;
    tp_slice_open(&alone, &m, &r, options, NULL);
    tp_slice_open(&ahead, &m, &r, options, NULL);
    tp_parity_data(alone.plan->n_in);
    float loss[2][TP_PARITY_SAMPLES] = {{0}};
    uint32_t used = 0, learned = 0, most = 0;
    tp_ahead look = {0, 0, 0};
    for (uint32_t i = 0, at = 0; i < 160; i++) {
        if (at == 0) { TP_CHECK(tp_net_epoch_begin(&alone.net) == TP_OK && tp_net_epoch_begin(&ahead.net) == TP_OK); }
        bool passed = i % 11u == 7;
        tp_batch b = {tp_parity_x + (size_t)at * alone.plan->n_in, tp_parity_label + at, NULL, passed ? 0u : 1u};
        tp_recall one = {.loss = loss[0] + at, .passed = passed ? 1u : 0u}, other = {.loss = loss[1] + at, .passed = passed ? 1u : 0u, .ahead = passed ? NULL : &look};
        alone.net.recall = &one;
        ahead.net.recall = &other;
        if (look.ready == 0) { look.n = tp_min_u32(i * 5u % 9u, TP_PARITY_SAMPLES - 1u - at); }
        uint32_t slices;
        used += !passed && look.ready > 0 ? 1u : 0u;
        most = tp_max_u32(most, look.ready);
        TP_CHECK_STATUS(tp_live_step(&alone, &b), TP_OK);
        TP_CHECK_STATUS(tp_step_begin(&ahead.net, &b, ahead.stats), TP_OK);
        TP_CHECK_STATUS(tp_slice_resume(&ahead, i % 3u == 0 ? 500u : TP_BUDGET_ALL, &slices), TP_OK);
        TP_CHECKF(tp_slice_same(&alone, &ahead), "%s, %s, %s: other bits after step %u", tp_parity_graph[graph].name, policy, optimizer, i);
        learned += alone.stats->trained;
        TP_CHECK(passed || alone.stats->trained == 0 || look.ready == 0);
        at = passed ? at : (at + 1u) % TP_PARITY_SAMPLES;
    }
    TP_CHECK(memcmp(loss[0], loss[1], sizeof loss[0]) == 0);
    TP_CHECKF(used > 10 && learned > 10 && most <= options->samples, "%s, %s: %u of 160 steps used it, %u learned, at most %u together", tp_parity_graph[graph].name, policy, used, learned, most);
    tp_live_close(&alone);
    tp_live_close(&ahead);
}

static void tp_same_bits(void) {
    static const tp_plan_options host = {8, 1, 1, 0}, few = {2, 1, 0, 0};
    uint32_t ran = 0;
    for (uint32_t graph = 0; graph < TP_PARITY_GRAPHS; graph++) {
        for (uint32_t p = 0; tp_list_name(TP_LIST_POLICY, p, NULL) != NULL; p++) {
            const char *policy = tp_list_name(TP_LIST_POLICY, p, NULL);
            tp_model m = tp_ahead_model(graph);
            tp_recipe r = tp_ahead_recipe(graph, policy, "sgd");
            TP_CHECK_STATUS(tp_plan_make_with(&m, &r, &host, &tp_parity_plan.plan, sizeof tp_parity_plan, NULL), TP_OK);
            if (!tp_plan_can_look_ahead(&tp_parity_plan.plan)) { continue; }
            ran++;
            tp_steps_the_same(graph, policy, "sgd", &host);
            tp_steps_the_same(graph, policy, strcmp(tp_parity_graph[graph].name, "int8") == 0 ? "residual" : "momentum", &few);
        }
    }
    TP_CHECKF(ran >= 9, "%u of them look ahead", ran); /* three policies, all graphs but those with dropout */
}

/* Who may: not a method that trains everything, or decides before the forward pass; not batches; not dropout. */
static void tp_who_may(void) {
    static const struct {
        const char *policy;
        uint32_t batch;
        bool dropout, may;
    } want[] = {{"tinypropv2", 1, false, true}, {"steered", 1, false, true}, {"selective", 1, false, true}, {"full", 1, false, false}, {"tinyprop", 1, false, false},
                {"random", 1, false, false},    {"eif", 1, false, false},    {"tinypropv2", 2, false, false}, {"tinypropv2", 1, true, false}};
    for (uint32_t i = 0; i < sizeof want / sizeof *want; i++) {
        tp_graph g;
        tp_graph_begin(&g, tp_image(2, 3, 1), "softmax_cross_entropy");
        int32_t at = tp_graph_op(&g, "relu", tp_graph_dense(&g, tp_graph_op(&g, "flatten", TP_INPUT), 5));
        tp_graph_dense(&g, want[i].dropout ? tp_graph_param(&g, "dropout", at, 0.5f) : at, 3);
        tp_model m = tp_graph_model(&g);
        tp_recipe r = tp_recipe_of(want[i].policy, "sgd", want[i].batch, 0.1f);
        TP_CHECK_STATUS(tp_plan_make_with(&m, &r, &tp_host, &tp_parity_plan.plan, sizeof tp_parity_plan, NULL), TP_OK);
        TP_CHECKF(tp_plan_can_look_ahead(&tp_parity_plan.plan) == want[i].may, "%s, batch %u", want[i].policy, want[i].batch);
        TP_CHECK_STATUS(tp_plan_make_with(&m, NULL, &tp_host, &tp_parity_plan.plan, sizeof tp_parity_plan, NULL), TP_OK);
        TP_CHECK(!tp_plan_can_look_ahead(&tp_parity_plan.plan));
    }
    TP_CHECK(!tp_plan_can_look_ahead(NULL));
}

/* A sample that is no number ends only its own step; what a step that was called off has prepared is gone. */
static void tp_failures(void) {
    static const tp_plan_options host = {4, 1, 1, 0};
    tp_model m = tp_ahead_model(1);
    tp_recipe r = tp_ahead_recipe(1, "tinypropv2", "sgd");
    r.policy_params.tau = 0.99f;
    tp_live v;
    tp_slice_open(&v, &m, &r, &host, NULL);
    tp_parity_data(v.plan->n_in);
    float *bad = tp_parity_x + v.plan->n_in, good = *bad;
    *bad = tp_f32_from_bits(0x7fc00000u);
    tp_ahead look = {3, 0, 0};
    tp_recall recall = {.ahead = &look};
    v.net.recall = &recall;
    tp_batch first = {tp_parity_x, tp_parity_label, NULL, 1}, second = {bad, tp_parity_label + 1, NULL, 1};
    TP_CHECK(tp_train_step(&v.net, &first, v.stats) == TP_OK && look.ready == 3);
    TP_CHECK_STATUS(tp_train_step(&v.net, &second, v.stats), TP_E_DATA);
    *bad = good;
    look.ready = 0;
    look.n = 3;
    bool done;
    TP_CHECK(tp_step_begin(&v.net, &second, v.stats) == TP_OK && tp_step_resume(&v.net, 1, &done) == TP_OK && !done);
    TP_CHECK(tp_step_cancel(&v.net) == TP_OK && look.ready == 0);
    tp_live_close(&v);
}

int main(void) {
    TP_RUN(tp_who_may);
    TP_RUN(tp_same_bits);
    TP_RUN(tp_failures);
    return tp_end();
}
