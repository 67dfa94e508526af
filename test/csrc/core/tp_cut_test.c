/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs of the frozen part in place of its forward pass: where it ends, the same bits, and what is refused. */
#include "../../../csrc/tinyprop.c"

#include "../../parity/trace.h"
#include "../tp_slice.h"

/* A graph of the parity test with all but its last weight layers frozen. */
static tp_model tp_frozen(tp_node nodes[TP_PARITY_NODES], const char *name, uint32_t last) {
    uint32_t graph = 0;
    while (!tp_text_equal(tp_parity_graph[graph].name, name)) { graph++; }
    uint32_t n = tp_parity_graph[graph].n_nodes;
    memcpy(nodes, tp_parity_graph[graph].nodes, n * sizeof *nodes);
    TP_CHECK_STATUS(tp_model_freeze_all_but_last(nodes, n, last), TP_OK);
    return (tp_model){nodes, n, tp_parity_graph[graph].input, TP_F32, 1};
}

static tp_status tp_cut_of(const tp_model *m, const tp_recipe *r, tp_cut *cut) {
    static const tp_plan_options options = {2, 1, 1, 0};
    tp_plan *plan = &tp_parity_plan.plan;
    TP_CHECK_STATUS(tp_plan_make_with(m, r, &options, plan, sizeof tp_parity_plan, NULL), TP_OK);
    return tp_plan_cut(plan, cut);
}

static void tp_where_it_is(void) {
    static const struct {
        const char *graph;
        uint32_t last;
        const char *node; /* NULL: there is none */
        uint32_t bytes, macs;
    } want[] = {
        {"mobile", 1, "pool", 4 * 33, 8 * 8 * (8 * 27 + 24 * 8 + 24 * 9 + 8 * 24 + 17 * 8) + 4 * 4 * (17 * 9 + 12 * 17 + 33 * 12)},
        {"mobile", 2, "p2", 4 * 12 * 16, 8 * 8 * (8 * 27 + 24 * 8 + 24 * 9 + 8 * 24 + 17 * 8) + 4 * 4 * (17 * 9 + 12 * 17)},
        {"mobile", 3, "r4", 4 * 17 * 16, 8 * 8 * (8 * 27 + 24 * 8 + 24 * 9 + 8 * 24 + 17 * 8) + 4 * 4 * 17 * 9},
        {"mobile", 5, "sum", 4 * 8 * 64, 8 * 8 * (8 * 27 + 24 * 8 + 24 * 9 + 8 * 24)},
        {"mobile", 6, "r0", 4 * 8 * 64, 8 * 8 * 8 * 27}, /* the skip connection crosses what lies higher */
        {"mobile", 7, "r0", 4 * 8 * 64, 8 * 8 * 8 * 27},
        {"mobile", 9, NULL, 0, 0},
        {"int8", 2, "pool", 9 * 16, 8 * 8 * (9 * 18 + 18 * 9 + 9 * 18)},
        {"mlp", 4, NULL, 0, 0},
    };
    tp_recipe r = tp_recipe_default();
    for (uint32_t i = 0; i < sizeof want / sizeof *want; i++) {
        tp_node nodes[TP_PARITY_NODES];
        tp_cut cut, same;
        tp_model m = tp_frozen(nodes, want[i].graph, want[i].last);
        tp_status status = want[i].node == NULL ? TP_E_MODEL : TP_OK;
        TP_CHECK_STATUS(tp_cut_of(&m, &r, &cut), status);
        TP_CHECK_STATUS(tp_cut_of(&m, NULL, &same), status);
        if (status != TP_OK) { continue; }
        TP_CHECKF(strcmp(nodes[cut.node].name, want[i].node) == 0, "%s %u: %s", want[i].graph, want[i].last, nodes[cut.node].name);
        TP_CHECKF(cut.bytes == want[i].bytes && cut.macs == want[i].macs, "%s %u: %u bytes, %u macs", want[i].graph, want[i].last, cut.bytes, (uint32_t)cut.macs);
        TP_CHECK(same.node == cut.node && same.bytes == cut.bytes && same.macs == cut.macs);
    }
    TP_CHECK_STATUS(tp_plan_cut(NULL, NULL), TP_E_ARG);
}

/* Dropout is not the same at every visit; a model without anything to train ends at its output; a view of the input saves nothing. */
static void tp_where_it_is_not(void) {
    tp_recipe r = tp_recipe_default();
    for (uint32_t way = 0; way < 4; way++) {
        tp_graph g;
        tp_cut cut;
        tp_graph_begin(&g, tp_image(2, 3, 1), "softmax_cross_entropy");
        int32_t flat = tp_graph_op(&g, "flatten", TP_INPUT);
        int32_t at = way == 1 ? tp_graph_param(&g, "dropout", flat, 0.5f) : flat;
        at = tp_graph_op(&g, "relu", tp_graph_dense(&g, at, 5));
        if (way == 0) { at = tp_graph_param(&g, "dropout", at, 0.5f); }
        tp_graph_dense(&g, at, 3);
        tp_model m = tp_graph_model(&g);
        for (uint32_t i = 0; i + (way < 3 ? 1u : 0u) < g.n; i++) { g.node[i].flags |= way == 2 && i == 1 ? 0u : TP_FLAG_FROZEN; }
        tp_status status = tp_cut_of(&m, &r, &cut);
        if (way == 0) { TP_CHECK(status == TP_OK && cut.node == 2 && cut.bytes == 20 && cut.macs == 30); }
        if (way == 1 || way == 2) { TP_CHECK_STATUS(status, TP_E_MODEL); }
        if (way == 3) { TP_CHECK(status == TP_OK && cut.node == 3 && cut.bytes == 12 && cut.macs == 45); }
    }
}

/* Overwrites the parameters up to the cut, or brings them back: who asks them notices. */
static void tp_spoil(tp_live *v, const tp_cut *cut, uint8_t *kept, bool back) {
    for (uint32_t i = 0; i <= cut->node; i++) {
        const tp_plan_node *p = &v->plan->node[i];
        for (uint32_t t = 0; t < p->n_tensors; t++) {
            uint8_t *at = v->arena + p->tensor[t].offset;
            if (back) {
                memcpy(at, kept + p->tensor[t].offset, p->tensor[t].bytes);
            } else {
                memcpy(kept + p->tensor[t].offset, at, p->tensor[t].bytes);
                memset(at, 0xff, p->tensor[t].bytes);
            }
        }
    }
}

static void tp_trains_the_same(const char *graph, uint32_t last, const char *policy, uint32_t batch, const tp_plan_options *options) {
    tp_node nodes[TP_PARITY_NODES];
    tp_model m = tp_frozen(nodes, graph, last);
    tp_parity_row row = {graph, policy, "sgd", batch, 0};
    tp_recipe r = tp_parity_recipe(&row, 40);
    tp_live whole, behind;
    tp_cut cut;
    tp_slice_open(&whole, &m, &r, options, NULL);
    tp_slice_open(&behind, &m, &r, options, NULL);
    tp_parity_mask(&whole.net);
    tp_parity_mask(&behind.net);
    tp_parity_data(whole.plan->n_in);
    TP_CHECK_STATUS(tp_plan_cut(behind.plan, &cut), TP_OK);
    uint8_t *known = (uint8_t *)tp_alloc(TP_PARITY_SAMPLES * cut.bytes), *kept = (uint8_t *)tp_alloc(behind.plan->arena_bytes);
    TP_CHECK_STATUS(tp_net_forward_cut(&behind.net, tp_parity_x, TP_PARITY_SAMPLES, known), TP_OK);
    tp_spoil(&behind, &cut, kept, false);
    tp_recall recall = {.cut = known};
    behind.net.recall = &recall;
    bool looks = tp_policy_looks(whole.plan);
    for (uint32_t i = 0, at = 0; i < 40; i++) {
        uint32_t n = i % 7u == 3 ? 1u : batch, slices;
        at = at + n > TP_PARITY_SAMPLES ? 0 : at;
        if (at == 0) { TP_CHECK(tp_net_epoch_begin(&whole.net) == TP_OK && tp_net_epoch_begin(&behind.net) == TP_OK); }
        tp_batch b = {tp_parity_x + (size_t)at * whole.plan->n_in, tp_parity_label + at, NULL, n};
        TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
        if (i % 2u == 1 && !looks) { b.x = NULL; } /* the device may have no samples any more */
        recall.cut = known + (size_t)at * cut.bytes;
        tp_live_poison(&behind, 0x7fc00000u);
        TP_CHECK_STATUS(tp_step_begin(&behind.net, &b, behind.stats), TP_OK);
        TP_CHECK_STATUS(tp_slice_resume(&behind, i % 3u == 0 ? 500u : TP_BUDGET_ALL, &slices), TP_OK);
        at += n;
    }
    float out[2][TP_PARITY_SAMPLES * TP_PARITY_CLASSES];
    tp_batch all = {tp_parity_x, tp_parity_label, NULL, TP_PARITY_SAMPLES};
    uint32_t stats_bytes = tp_stats_bytes(whole.plan);
    recall.cut = known;
    tp_stats *stats = (tp_stats *)tp_alloc(stats_bytes);
    TP_CHECK_STATUS(tp_eval_step(&behind.net, &all, out[1], stats), TP_OK);
    tp_spoil(&behind, &cut, kept, true);
    TP_CHECKF(tp_slice_same(&whole, &behind), "%s, %s, batch %u: other bits", graph, policy, batch);
    TP_CHECK_STATUS(tp_eval_step(&whole.net, &all, out[0], whole.stats), TP_OK);
    TP_CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0 && memcmp(whole.stats, stats, stats_bytes) == 0);
    const float *y;
    TP_CHECK(tp_net_forward(&behind.net, tp_parity_x, &y) == TP_OK && memcmp(y, out[0], TP_PARITY_CLASSES * sizeof *y) == 0); /* is about x */
    free(stats);
    free(known);
    free(kept);
    tp_live_close(&whole);
    tp_live_close(&behind);
}

static void tp_same_bits(void) {
    static const struct {
        const char *graph;
        uint32_t last;
    } model[] = {{"mlp", 2}, {"cnn", 2}, {"mobile", 3}, {"mobile", 6}, {"wave", 1}, {"int8", 2}};
    for (uint32_t i = 0; i < sizeof model / sizeof *model; i++) {
        for (uint32_t p = 0; tp_list_name(TP_LIST_POLICY, p, NULL) != NULL; p++) {
            for (uint32_t batch = 1; batch <= 4; batch += 3) {
                tp_trains_the_same(model[i].graph, model[i].last, tp_list_name(TP_LIST_POLICY, p, NULL), batch, p % 2u == 0 ? &tp_smallest : &tp_host);
            }
        }
    }
    tp_trains_the_same("mobile", 4, "tinypropv2", 4, &tp_smallest);
    tp_trains_the_same("mobile", 4, "tinypropv2", 4, &tp_host);
}

/* Nothing changes where a step is refused. */
static void tp_refused(void) {
    tp_node nodes[TP_PARITY_NODES];
    tp_recipe r = tp_recipe_of("tinypropv2", "sgd", 4, 0.1f);
    tp_live v;
    tp_cut cut;
    float known[2 * 17 * 16];
    tp_model m = tp_frozen(nodes, "mobile", 3);
    tp_slice_open(&v, &m, &r, &tp_smallest, NULL);
    tp_parity_data(v.plan->n_in);
    TP_CHECK(tp_plan_cut(v.plan, &cut) == TP_OK && 2u * cut.bytes == sizeof known);
    TP_CHECK_STATUS(tp_net_forward_cut(&v.net, tp_parity_x, 2, known), TP_OK);
    TP_CHECK_STATUS(tp_net_forward_cut(&v.net, NULL, 2, known), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_forward_cut(&v.net, tp_parity_x, 2, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_forward_cut(NULL, tp_parity_x, 2, known), TP_E_ARG);
    uint8_t *before = (uint8_t *)tp_alloc(tp_live_kept_bytes(&v));
    memcpy(before, v.arena, tp_live_kept_bytes(&v));
    tp_recall recall = {.cut = known};
    tp_batch b = {NULL, tp_parity_label, NULL, 2};
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_E_ARG); /* neither of the two */
    v.net.recall = &recall;
    known[5] = tp_f32_from_bits(0x7f800000u);
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_E_DATA);
    TP_CHECK_STATUS(tp_eval_step(&v.net, &b, NULL, v.stats), TP_E_DATA);
    float bad = tp_parity_x[0];
    tp_parity_x[0] = tp_f32_from_bits(0x7fc00000u);
    b.x = tp_parity_x;
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_E_DATA); /* the sample is looked at all the same */
    memset(known, 0, sizeof known);
    TP_CHECK_STATUS(tp_net_forward_cut(&v.net, tp_parity_x, 2, known), TP_E_DATA);
    TP_CHECK(known[0] == 0.0f);
    tp_parity_x[0] = bad;
    TP_CHECK_STATUS(tp_step_begin(&v.net, &b, v.stats), TP_OK);
    TP_CHECK_STATUS(tp_net_forward_cut(&v.net, tp_parity_x, 2, known), TP_E_BUSY);
    TP_CHECK_STATUS(tp_step_cancel(&v.net), TP_OK);
    TP_CHECK(memcmp(before, v.arena, tp_live_kept_bytes(&v)) == 0);
    free(before);
    tp_live_close(&v);

    m = tp_frozen(nodes, "mobile", 9); /* nothing is frozen */
    tp_slice_open(&v, &m, &r, &tp_smallest, NULL);
    v.net.recall = &recall;
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_E_MODEL);
    TP_CHECK_STATUS(tp_net_forward_cut(&v.net, tp_parity_x, 2, known), TP_E_MODEL);
    tp_live_close(&v);

    r = tp_recipe_of("eif", "sgd", 4, 0.1f); /* looks at samples */
    m = tp_frozen(nodes, "mobile", 3);
    tp_slice_open(&v, &m, &r, &tp_smallest, NULL);
    v.net.recall = &recall;
    b.x = NULL;
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, v.stats), TP_E_ARG);
    TP_CHECK_STATUS(tp_eval_step(&v.net, &b, NULL, v.stats), TP_E_ARG);
    tp_live_close(&v);
}

int main(void) {
    TP_RUN(tp_where_it_is);
    TP_RUN(tp_where_it_is_not);
    TP_RUN(tp_same_bits);
    TP_RUN(tp_refused);
    return tp_end();
}
