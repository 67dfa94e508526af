/* SPDX-License-Identifier: Apache-2.0 */
/* Top-k against a straightforward oracle: largest |x| by their bits, ties to the lower index, zeros never; whole channels
 * by their score. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

/* kept[i]: is x[i] among the `keep` largest? */
static void tp_oracle(const float *x, uint32_t n, uint32_t keep, bool *kept) {
    memset(kept, 0, n);
    for (uint32_t round = 0; round < keep; round++) {
        uint32_t best = n, largest = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t bits = tp_f32_bits(x[i]) & 0x7fffffffu;
            if (!kept[i] && bits > largest) { /* later equals lose */
                best = i;
                largest = bits;
            }
        }
        if (best == n) { return; }
        kept[best] = true;
    }
}

static bool tp_matches(const float *got, const float *x, const bool *kept, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (kept[i] ? tp_f32_bits(got[i]) != tp_f32_bits(x[i]) : got[i] != 0.0f) { return false; }
    }
    return true;
}

static void tp_top_is_the_oracles(void) {
    float x[130], y[130];
    bool kept[130];
    const tp_kernels *k = tp_kernels_best();
    for (uint32_t i = 0; i < 6000; i++) {
        uint32_t n = 1u + i % (i % 10u == 0 ? 130u : 40u), keep = 1u + tp_random_below(n);
        for (uint32_t j = 0; j < n; j++) { x[j] = tp_random_kind(i % TP_KINDS); }
        if (i % 7u == 0) { /* one large group of equals */
            for (uint32_t j = 0; j < n; j++) { x[j] = tp_random_below(3) == 0 ? x[j] : (j % 2u == 0 ? 0.75f : -0.75f); }
        }
        memcpy(y, x, sizeof x);
        tp_oracle(x, n, keep, kept);
        tp_select_top(k, y, n, keep);
        TP_CHECKF(tp_matches(y, x, kept, n), "case %u: n %u keep %u kind %u", i, n, keep, i % TP_KINDS);
    }
}

static void tp_top_edges(void) {
    const tp_kernels *k = tp_kernels_best();
    float zeros[3] = {0.0f, -0.0f, 0.0f}, tiny[4] = {0x1p-149f, -0x1p-149f, 0x1p-149f, 0.0f}, equal[5] = {2, -2, 2, -2, 2};
    tp_select_top(k, zeros, 3, 1);
    TP_CHECK(zeros[0] == 0.0f && zeros[1] == 0.0f && zeros[2] == 0.0f);
    tp_select_top(k, tiny, 4, 2);
    TP_CHECK(tiny[0] == 0x1p-149f && tiny[1] == -0x1p-149f && tiny[2] == 0.0f);
    tp_select_top(k, equal, 5, 3);
    TP_CHECK(equal[0] == 2 && equal[1] == -2 && equal[2] == 2 && equal[3] == 0 && equal[4] == 0);
    float range[4] = {0x1.fffffep127f, 0x1p-149f, -0x1.fffffcp127f, 1.0f};
    tp_select_top(k, range, 4, 1);
    TP_CHECK(range[0] == 0x1.fffffep127f && range[1] == 0.0f && range[2] == 0.0f && range[3] == 0.0f);
}

/* One selection through tp_select_rows on a convolution's map. */
static void tp_channels_are_the_oracles(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", 1, 0.1f);
    float d[5 * 4 * 7], before[5 * 4 * 7], scratch[16], score[7];
    bool kept[7];
    r.policy_params.select = TP_SELECT_CHANNEL;
    tp_graph_begin(&g, tp_image(5, 4, 2), "softmax_cross_entropy");
    tp_graph_dense(&g, tp_graph_op(&g, "flatten", tp_graph_conv(&g, TP_INPUT, 7, 3, 1, TP_PAD_SAME)), 3);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    const tp_plan_node *p = &v.plan->node[0];
    tp_step s = tp_step_begin(&v.net);
    TP_CHECK(p->select == TP_SELECT_CHANNEL && p->n_select == 7);
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t keep = tp_random_below(8);
        for (uint32_t j = 0; j < 5 * 4 * 7; j++) { before[j] = d[j] = (i + j % 7u) % 5u == 0 && i % 2u == 0 ? 0.0f : tp_random_kind(i % TP_KINDS); }
        for (uint32_t c = 0; c < 7; c++) {
            score[c] = 0.0f;
            for (uint32_t j = 0; j < 20; j++) { score[c] += tp_abs(before[j * 7u + c]); }
        }
        tp_oracle(score, 7, keep, kept);
        tp_select_rows(&s, p, d, keep, scratch);
        for (uint32_t j = 0; j < 5 * 4 * 7; j++) {
            bool right = kept[j % 7u] || keep == 7 ? tp_f32_bits(d[j]) == tp_f32_bits(before[j]) : d[j] == 0.0f;
            TP_CHECKF(right, "case %u keep %u: element %u of channel %u", i, keep, j / 7u, j % 7u);
        }
    }
    tp_live_close(&v);
}

int main(void) {
    TP_RUN(tp_top_is_the_oracles);
    TP_RUN(tp_top_edges);
    TP_RUN(tp_channels_are_the_oracles);
    return tp_end();
}
