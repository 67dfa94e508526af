/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in slices: the same bits as in one piece, and budgets that are kept. (What else may happen to them: core/tp_step_test.c.) */
#include "../../csrc/tinyprop.c"

#include "../parity/trace.h"
#include "tp_slice.h"

static const uint32_t tp_budgets[] = {1, 97, 2000, 60000, 0};
enum { TP_BUDGETS = sizeof tp_budgets / sizeof tp_budgets[0] };

/* --- the same bits --- */

/* Every graph, policy, optimizer and batch of the parity trace, step by step beside the step in one piece. */
static void tp_slices_are_the_step(const tp_plan_options *options, const tp_kernels *k, uint32_t steps) {
    tp_parity_row row;
    for (uint32_t i = 0, slices; tp_parity_row_at(i, &row); i++) {
        uint32_t graph = 0;
        while (!tp_text_equal(tp_parity_graph[graph].name, row.graph)) { graph++; }
        tp_model m = {tp_parity_graph[graph].nodes, tp_parity_graph[graph].n_nodes, tp_parity_graph[graph].input, TP_F32, 1};
        tp_recipe r = tp_parity_recipe(&row, steps);
        tp_live whole, cut[TP_BUDGETS];
        tp_slice_open(&whole, &m, &r, options, k);
        tp_parity_data(whole.plan->n_in);
        for (uint32_t b = 0; b < TP_BUDGETS; b++) { tp_slice_open(&cut[b], &m, &r, options, k); }
        uint32_t at = 0, most = 0;
        for (uint32_t step = 0; step < steps; step++) {
            uint32_t n = step % 7u == 3 ? 1u : row.batch;
            at = at + n > TP_PARITY_SAMPLES ? 0 : at;
            tp_batch batch = {tp_parity_x + (size_t)at * whole.plan->n_in, tp_parity_label + at, NULL, n};
            TP_CHECK_STATUS(tp_live_step(&whole, &batch), TP_OK);
            for (uint32_t b = 0; b < TP_BUDGETS; b++) {
                tp_live_poison(&cut[b], 0x7fc00000u);
                TP_CHECK_STATUS(tp_step_begin(&cut[b].net, &batch, cut[b].stats), TP_OK);
                TP_CHECK_STATUS(tp_slice_resume(&cut[b], tp_budgets[b], &slices), TP_OK);
                most = tp_max_u32(most, slices);
                TP_CHECKF(tp_slice_same(&whole, &cut[b]), "%s %s %s %u, budget %u: step %u differs", row.graph, row.policy, row.optimizer, row.batch, tp_budgets[b], step);
            }
            at += n;
        }
        TP_CHECKF(most > 60, "%s %s: never more than %u slices", row.graph, row.policy, most);
        for (uint32_t b = 0; b < TP_BUDGETS; b++) {
            const float *y, *z;
            TP_CHECK_STATUS(tp_net_forward(&whole.net, tp_parity_x, &y), TP_OK);
            TP_CHECK_STATUS(tp_net_forward_begin(&cut[b].net, tp_parity_x, &z), TP_OK);
            TP_CHECK_STATUS(tp_slice_resume(&cut[b], tp_budgets[b], &slices), TP_OK);
            TP_CHECK(memcmp(y, z, sizeof(float) * whole.plan->n_out) == 0 && (tp_budgets[b] != 1 || slices > 8));
            tp_live_close(&cut[b]);
        }
        tp_live_close(&whole);
    }
}

static void tp_slices_in_firmware(void) { tp_slices_are_the_step(&tp_smallest, tp_kernels_named("scalar"), 12); }
static void tp_slices_on_a_host(void) { tp_slices_are_the_step(&tp_host, NULL, 6); }
static void tp_slices_one_by_one_packed(void) { tp_slices_are_the_step(&(tp_plan_options){1, 1, 1, 0}, NULL, 6); }

/* Two convolutions of any geometry: their pieces are the whole. */
static void tp_slices_of_any_window(void) {
    static const char *const op[3] = {"conv2d", "depthwise_conv2d", "conv1d"};
    uint32_t nets = 0;
    for (uint32_t i = 0, slices; i < 300; i++) {
        tp_graph g;
        tp_live whole, cut;
        tp_random_state = 1000u + i;
        bool flat = i % 3u == 2;
        tp_graph_begin(&g, flat ? tp_series(5 + tp_random_below(20), 2) : tp_image(4 + tp_random_below(7), 4 + tp_random_below(7), 2), "softmax_cross_entropy");
        int32_t at = TP_INPUT;
        for (uint32_t layer = 0; layer < 2; layer++) {
            uint32_t kh = 1 + tp_random_below(3), kw = 1 + tp_random_below(3), pad = tp_random_below(3);
            const char *name = op[layer == 0 && !flat ? 0u : i % 3u];
            at = tp_graph_window(&g, name, at, i % 3u == 1 && layer == 1 ? g.node[0].units * (1u + i % 2u) : 2u * (1u + tp_random_below(3)), flat ? 1 : kh, kw, 1 + tp_random_below(layer == 0 ? 2 : 3), (tp_padding)pad);
            tp_node *node = tp_graph_last(&g);
            if (i % 4u == 3 && !flat) { node->stride[0] = 1 + tp_random_below(3); }
            for (uint32_t side = 0; side < 4 && pad == TP_PAD_EXPLICIT; side++) { node->pad[side] = tp_random_below(node->kernel[side / 2u]); }
            node->groups = layer == 1 && i % 3u == 0 ? 2u : 1u;
        }
        tp_graph_dense(&g, tp_graph_op(&g, "flatten", at), 3);
        tp_model m = tp_graph_model(&g);
        tp_recipe r = tp_recipe_of(i % 2u == 0 ? "full" : "tinyprop", i % 5u == 0 ? "momentum" : "sgd", 1, 0.05f);
        r.policy_params.select = i / 2u % 2u == 0 ? TP_SELECT_ELEMENT : TP_SELECT_CHANNEL;
        memset(&whole, 0, sizeof whole);
        whole.plan = (tp_plan *)tp_alloc(tp_plan_bytes(g.n));
        tp_status fits = tp_plan_make(&m, &r, whole.plan, tp_plan_bytes(g.n), NULL);
        tp_live_close(&whole);
        if (fits == TP_E_SHAPE) { continue; } /* a kernel larger than its input */
        nets++;
        tp_slice_open(&whole, &m, &r, i % 2u == 0 ? &tp_smallest : &tp_host, NULL);
        tp_slice_open(&cut, &m, &r, i % 2u == 0 ? &tp_smallest : &tp_host, NULL);
        tp_data d = tp_data_make(whole.plan, 3, i);
        for (uint32_t step = 0; step < 3; step++) {
            tp_batch b = tp_data_batch(&d, step, 1);
            TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
            tp_live_poison(&cut, 0x7fc00000u);
            TP_CHECK_STATUS(tp_step_begin(&cut.net, &b, cut.stats), TP_OK);
            TP_CHECK_STATUS(tp_slice_resume(&cut, step == 0 ? 1 : 0, &slices), TP_OK);
            TP_CHECKF(tp_slice_same(&whole, &cut), "net %u, step %u", i, step);
        }
        tp_data_free(&d);
        tp_live_close(&whole);
        tp_live_close(&cut);
    }
    TP_CHECK(nets > 200);
}

/* --- budgets: with kernels that count, where there is a table to put them in --- */

#if !TP_KERNELS_DIRECT

static struct {
    const tp_kernels *k;
    uint64_t macs;
    uint32_t calls, largest; /* of dense kernels on some rows; the most multiply-accumulates of one call */
} tp_counted;

static void tp_count(uint64_t macs) {
    tp_counted.macs += macs;
    tp_counted.calls++;
    tp_counted.largest = tp_max_u32(tp_counted.largest, (uint32_t)macs);
}

static void tp_count_dense(float *y, const float *w, const float *x, const float *b, uint32_t n_out, uint32_t n_in, uint32_t n) {
    tp_count((uint64_t)n_out * n_in * n);
    tp_counted.k->dense_f32(y, w, x, b, n_out, n_in, n);
}

static void tp_count_sgd(float *dx, float *w, const float *x, const float *d, float lr, uint32_t n_out, uint32_t n_in, bool zeros) {
    tp_count((uint64_t)tp_live_elements(d, n_out) * n_in * (dx != NULL ? 2u : 1u));
    tp_counted.k->dense_sgd_f32(dx, w, x, d, lr, n_out, n_in, zeros);
}

static void tp_count_axpy(float *y, float a, const float *x, uint32_t n) {
    tp_count(n);
    tp_counted.k->axpy_f32(y, a, x, n);
}

static void tp_count_conv(const tp_conv *g, uint32_t n, float *y, const float *x, const float *w, const float *b, uint32_t *scratch) {
    tp_count((uint64_t)n * g->oh * g->ow * g->c_out * g->kh * g->kw * (g->c_in / g->groups));
    tp_counted.k->conv_f32(g, n, y, x, w, b, scratch);
}

static void tp_count_dx(const tp_conv *g, uint32_t n, float *dx, const float *d, const float *w, bool zeros, uint32_t *scratch) {
    uint64_t macs = 0;
    for (uint32_t p = 0; p < g->oh * g->ow; p++) {
        uint32_t top = p / g->ow * g->sh, from = tp_max_u32(top, g->pad_top), to = tp_min_u32(top + g->kh, g->h + g->pad_top);
        macs += to > from ? (uint64_t)tp_live_elements(d + (size_t)p * g->c_out, g->c_out) * (to - from) * g->kw * (g->c_in / g->groups) : 0u;
    }
    tp_count(macs);
    tp_counted.k->conv_dx_f32(g, n, dx, d, w, zeros, scratch);
}

/* Kernels that count: no slice does more than its budget, none much less, and what the slices do is what the step does. */
static void tp_budgets_are_kept(void) {
    tp_counted.k = tp_kernels_named("scalar");
    tp_kernels counting = *tp_counted.k;
    counting.dense_f32 = tp_count_dense;
    counting.dense_sgd_f32 = tp_count_sgd;
    counting.axpy_f32 = tp_count_axpy;
    counting.conv_f32 = tp_count_conv;
    counting.conv_dx_f32 = tp_count_dx;
    for (uint32_t i = 0; i < 2; i++) {
        tp_graph g;
        tp_live v;
        if (i == 0) {
            tp_graph_mlp(&g, (const uint32_t[]){300, 200, 100, 5, 0}, "softmax_cross_entropy");
        } else {
            tp_graph_begin(&g, tp_image(12, 12, 4), "softmax_cross_entropy");
            int32_t a = tp_graph_op(&g, "relu", tp_graph_conv(&g, TP_INPUT, 8, 3, 1, TP_PAD_SAME));
            tp_graph_dense(&g, tp_graph_op(&g, "flatten", tp_graph_conv(&g, a, 8, 3, 2, TP_PAD_SAME)), 5);
        }
        tp_model m = tp_graph_model(&g);
        tp_recipe r = tp_recipe_of("tinyprop", "sgd", 1, 0.01f);
        tp_slice_open(&v, &m, &r, &tp_smallest, &counting);
        tp_data d = tp_data_make(v.plan, 1, 3);
        tp_batch b = tp_data_batch(&d, 0, 1);
        const uint32_t budget = i == 0 ? 3799 : 8000; /* 12 rows of 300 and most of one more; units of 12 x 8 x 36 */
        uint64_t sum = 0, most = 0;
        uint32_t slices = 0;
        bool done = false;
        TP_CHECK_STATUS(tp_step_begin(&v.net, &b, v.stats), TP_OK);
        for (; !done; slices++) {
            tp_counted.macs = 0;
            TP_CHECK_STATUS(tp_step_resume(&v.net, budget, &done), TP_OK);
            TP_CHECKF(tp_counted.macs <= budget, "slice %u: %u of %u", slices, (uint32_t)tp_counted.macs, budget);
            most = tp_counted.macs > most ? tp_counted.macs : most;
            sum += tp_counted.macs;
        }
        TP_CHECKF(most * 10u > budget * 8u && slices < sum * 3u / budget + 12u, "%u slices for %u, the largest %u", slices, (uint32_t)sum, (uint32_t)most);
        TP_CHECK(slices > 10 && sum >= v.plan->macs_forward);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}
#endif

int main(void) {
    TP_RUN(tp_slices_in_firmware);
    TP_RUN(tp_slices_on_a_host);
    TP_RUN(tp_slices_one_by_one_packed);
    TP_RUN(tp_slices_of_any_window);
#if !TP_KERNELS_DIRECT
    TP_RUN(tp_budgets_are_kept);
#endif
    return tp_end();
}
