/* SPDX-License-Identifier: Apache-2.0 */
/* Top-k against a straightforward oracle: largest |x| by their bits, ties to the lower index, zeros never; whole channels
 * by their score. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

enum { TP_MANY = 5000, TP_LONG = 40000 }; /* vectors from 16384 elements on are searched in another way */

typedef struct tp_rank {
    uint32_t bits, index;
} tp_rank;

static int tp_rank_order(const void *a, const void *b) {
    const tp_rank *x = (const tp_rank *)a, *y = (const tp_rank *)b;
    if (x->bits != y->bits) { return x->bits > y->bits ? -1 : 1; }
    return x->index < y->index ? -1 : 1;
}

/* kept[i]: is x[i] among the `keep` largest? */
static void tp_oracle(const float *x, uint32_t n, uint32_t keep, bool *kept) {
    static tp_rank rank[TP_LONG];
    for (uint32_t i = 0; i < n; i++) {
        rank[i] = (tp_rank){tp_f32_bits(x[i]) & 0x7fffffffu, i};
        kept[i] = false;
    }
    qsort(rank, n, sizeof rank[0], tp_rank_order);
    for (uint32_t i = 0; i < n && i < keep; i++) { kept[rank[i].index] = rank[i].bits != 0; }
}

static bool tp_matches(const float *got, const float *x, const bool *kept, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (tp_f32_bits(got[i]) != (kept[i] ? tp_f32_bits(x[i]) : 0u)) { return false; }
    }
    return true;
}

/* Errors as nets have them and as they should not: plain, wild, ties; a large group of equals; half zeros; infinities; any
 * bits; neighbours, denormals among them. */
static float tp_error(uint32_t shape, uint32_t j) {
    float x = tp_random_kind(shape % TP_KINDS);
    uint32_t bits = tp_random();
    switch (shape / TP_KINDS) {
    case 1: return tp_random_below(3) == 0 ? x : j % 2u == 0 ? 0.75f : -0.75f;
    case 2: return tp_random_below(2) == 0 ? x : j % 2u == 0 ? 0.0f : -0.0f;
    case 3: return tp_random_below(4) != 0 ? x : tp_f32_from_bits(0x7f800000u | (bits & 0x80000000u));
    case 4: return (bits & 0x7f800000u) != 0x7f800000u ? tp_f32_from_bits(bits) : x;
    case 5: return tp_f32_from_bits((bits & 0x80000000u) + (shape % TP_KINDS * 0x3f800000u) + (bits & 0xffu));
    default: return x;
    }
}

static void tp_top_is_the_oracles_on(const tp_kernels *k) {
    static float x[TP_LONG], y[TP_LONG];
    static bool kept[TP_LONG];
    tp_random_state = 1;
    for (uint32_t i = 0; i < 12000; i++) {
        uint32_t n = tp_random_below(i % 100u == 0 ? TP_MANY + 1u : i % 10u == 0 ? 600u : 70u);
        if (i % 200u == 1u) { n = 16000u + tp_random_below(TP_LONG - 16000u + 1u); }
        uint32_t keep = tp_random_below(i % 3u == 0 ? n / 8u + 2u : n + 2u), shape = tp_random_below(6 * TP_KINDS);
        for (uint32_t j = 0; j < n; j++) { x[j] = y[j] = tp_error(shape, j); }
        tp_oracle(x, n, keep, kept);
        TP_CALL(k, top_f32)(y, n, keep);
        TP_CHECKF(tp_matches(y, x, kept, n), "%s case %u: n %u keep %u shape %u", k->name, i, n, keep, shape);
    }
}

static void tp_top_edges_on(const tp_kernels *k) {
    float zeros[3] = {0.0f, -0.0f, 0.0f}, tiny[4] = {0x1p-149f, -0x1p-149f, 0x1p-149f, 0.0f}, equal[5] = {2, -2, 2, -2, 2};
    TP_CALL(k, top_f32)(zeros, 3, 1);
    TP_CHECK(tp_f32_bits(zeros[0]) == 0 && tp_f32_bits(zeros[1]) == 0 && tp_f32_bits(zeros[2]) == 0);
    TP_CALL(k, top_f32)(tiny, 4, 2);
    TP_CHECK(tiny[0] == 0x1p-149f && tiny[1] == -0x1p-149f && tiny[2] == 0.0f);
    TP_CALL(k, top_f32)(equal, 5, 3);
    TP_CHECK(equal[0] == 2 && equal[1] == -2 && equal[2] == 2 && equal[3] == 0 && equal[4] == 0);
    float range[4] = {0x1.fffffep127f, 0x1p-149f, -0x1.fffffcp127f, 1.0f};
    TP_CALL(k, top_f32)(range, 4, 1);
    TP_CHECK(range[0] == 0x1.fffffep127f && range[1] == 0.0f && range[2] == 0.0f && range[3] == 0.0f);
}

/* On every table that this CPU runs. */
static void tp_on_every_table(void (*test)(const tp_kernels *k)) {
    const tp_kernels *k;
    bool usable = false;
    for (uint32_t i = 0; (k = tp_kernels_row(i, &usable)) != NULL; i++) {
        if (usable) { test(k); }
    }
}

static void tp_top_is_the_oracles(void) { tp_on_every_table(tp_top_is_the_oracles_on); }
static void tp_top_edges(void) { tp_on_every_table(tp_top_edges_on); }

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
    tp_step s;
    tp_step_open(&s, &v.net);
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
