/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in slices: the same bits as in one piece, budgets that are kept, errors, hook, giving up, nets side by side. */
#include "../../csrc/tinyprop.c"

#include "../parity/trace.h"
#include "tp_build.h"

static const tp_plan_options tp_smallest = {1, 1, 0}, tp_host = {3, 1, 1};

/* As tp_live_open, with options. */
static void tp_slice_open(tp_live *v, const tp_model *model, const tp_recipe *recipe, const tp_plan_options *options, const tp_kernels *k) {
    memset(v, 0, sizeof *v);
    v->plan = (tp_plan *)tp_alloc(tp_plan_bytes(model->n_nodes));
    TP_CHECK_STATUS(tp_plan_make_with(model, recipe, options, v->plan, tp_plan_bytes(model->n_nodes), &v->where), TP_OK);
    v->arena = (uint8_t *)tp_alloc(v->plan->arena_bytes);
    memset(v->arena, 0xff, v->plan->arena_bytes);
    v->stats = (tp_stats *)tp_alloc(tp_stats_bytes(v->plan));
    TP_CHECK_STATUS(tp_net_open(&v->net, v->plan, v->arena, v->plan->arena_bytes, k), TP_OK);
    TP_CHECK_STATUS(tp_net_init(&v->net), TP_OK);
}

static tp_status tp_slice_resume(tp_live *v, uint32_t budget, uint32_t *slices) {
    bool done = false;
    tp_status status = TP_OK;
    for (*slices = 0; !done && status == TP_OK; (*slices)++) {
        status = tp_step_resume(&v->net, budget > 0 ? budget : 1u << tp_random_below(18), &done); /* 0: another one each time */
    }
    TP_CHECK(done);
    return status;
}

static bool tp_slice_same(const tp_live *a, const tp_live *b) {
    return memcmp(a->arena, b->arena, tp_live_kept_bytes(a)) == 0 && memcmp(a->stats, b->stats, tp_stats_bytes(a->plan)) == 0 &&
           memcmp(a->arena + a->plan->grad_at, b->arena + b->plan->grad_at, a->plan->grad_bytes) == 0 && a->net.error_node == b->net.error_node;
}

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
static void tp_slices_one_by_one_packed(void) { tp_slices_are_the_step(&(tp_plan_options){1, 1, 1}, NULL, 6); }

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

/* --- budgets --- */

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

static uint32_t tp_live_elements(const float *d, uint32_t n) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < n; i++) { live += d[i] != 0.0f ? 1u : 0u; }
    return live;
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
        const uint32_t budget = i == 0 ? 4000 : 8000; /* the largest unit: 2 x 300; 12 x 8 x 36 */
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

/* --- errors and giving up --- */

/* A step that fails leaves in slices what it leaves in one piece. kind 0: the loss of the last sample overflows; 1: an error does. */
static void tp_slices_that_fail(void) {
    for (uint32_t i = 0, slices; i < 16; i++) {
        tp_graph g;
        tp_live whole, cut;
        uint32_t batch = i % 2u == 0 ? 1u : 3u, kind = i / 2u % 2u;
        tp_recipe r = tp_recipe_of("tinyprop", i / 8u == 0 ? "sgd" : "momentum", batch, 0.1f);
        tp_graph_mlp(&g, (const uint32_t[]){5, 6, 6, 3, 0}, kind == 0 ? "mse" : "softmax_cross_entropy");
        tp_model m = tp_graph_model(&g);
        const tp_plan_options *options = i / 4u % 2u == 0 ? &tp_smallest : &tp_host;
        tp_slice_open(&whole, &m, &r, options, NULL);
        tp_slice_open(&cut, &m, &r, options, NULL);
        tp_data d = tp_data_make(whole.plan, 6, 5);
        tp_batch b = tp_data_batch(&d, 0, batch);
        TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
        TP_CHECK_STATUS(tp_live_step(&cut, &b), TP_OK);
        b = tp_data_batch(&d, 3, batch);
        if (kind == 0) { d.x[5u * (3u + batch) - 1u] = 3e38f; }
        for (uint32_t j = 0; j < 36 && kind == 1; j++) { /* forward it is tame, backward 6 x 3e38 */
            tp_tensor_f32(whole.arena, &whole.plan->node[2].tensor[0])[j] = tp_tensor_f32(cut.arena, &cut.plan->node[2].tensor[0])[j] = 3e38f;
            for (uint32_t t = 0; t < 2; t++) {
                memset(tp_tensor_f32(whole.arena, &whole.plan->node[0].tensor[t]), 0, whole.plan->node[0].tensor[t].bytes);
                memset(tp_tensor_f32(cut.arena, &cut.plan->node[0].tensor[t]), 0, cut.plan->node[0].tensor[t].bytes);
            }
            tp_tensor_f32(whole.arena, &whole.plan->node[0].tensor[1])[j % 6u] = tp_tensor_f32(cut.arena, &cut.plan->node[0].tensor[1])[j % 6u] = 1e-38f;
            for (uint32_t o = 0; o < 18; o++) {
                float top = o < 6 ? -8.0f : 8.0f;
                tp_tensor_f32(whole.arena, &whole.plan->node[4].tensor[0])[o] = tp_tensor_f32(cut.arena, &cut.plan->node[4].tensor[0])[o] = top;
            }
        }
        tp_status status = tp_live_step(&whole, &b);
        TP_CHECK_STATUS(status, kind == 0 ? TP_E_LOSS : TP_E_DELTA);
        TP_CHECK_STATUS(tp_step_begin(&cut.net, &b, cut.stats), TP_OK);
        TP_CHECK_STATUS(tp_slice_resume(&cut, i % 3u == 0 ? 1u : 20u, &slices), status);
        TP_CHECKF(slices > 3 && tp_slice_same(&whole, &cut), "case %u", i);
        bool done;
        TP_CHECK_STATUS(tp_step_resume(&cut.net, 1, &done), TP_E_ARG);
        tp_data_free(&d);
        tp_live_close(&whole);
        tp_live_close(&cut);
    }
}

/* Given up after every possible slice: all as before, or refused, and then the step still ends as it should. */
static void tp_steps_given_up(void) {
    for (uint32_t i = 0; i < 8; i++) {
        tp_graph g;
        tp_live whole, cut, start;
        uint32_t batch = i % 2u == 0 ? 1u : 4u, given_up = 0, refused = 0;
        tp_recipe r = tp_recipe_of(i / 2u % 2u == 0 ? "tinypropv2" : "tinyprop", i / 4u == 0 ? "sgd" : "momentum", batch, 0.1f);
        tp_graph_mlp(&g, (const uint32_t[]){5, 6, 3, 0}, "softmax_cross_entropy");
        tp_model m = tp_graph_model(&g);
        tp_slice_open(&whole, &m, &r, &tp_smallest, NULL);
        tp_slice_open(&cut, &m, &r, &tp_smallest, NULL);
        tp_slice_open(&start, &m, &r, &tp_smallest, NULL);
        tp_data d = tp_data_make(whole.plan, 8, 5);
        tp_batch first = tp_data_batch(&d, 0, batch), b = tp_data_batch(&d, 4, batch);
        TP_CHECK_STATUS(tp_live_step(&whole, &first), TP_OK);
        TP_CHECK_STATUS(tp_live_step(&start, &first), TP_OK);
        TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
        for (uint32_t after = 0;; after++) {
            bool done = false;
            memcpy(cut.arena, start.arena, start.plan->arena_bytes);
            memcpy(cut.stats, start.stats, tp_stats_bytes(start.plan));
            TP_CHECK_STATUS(tp_step_begin(&cut.net, &b, cut.stats), TP_OK);
            for (uint32_t j = 0; j < after && !done; j++) { TP_CHECK_STATUS(tp_step_resume(&cut.net, 1, &done), TP_OK); }
            if (done) { break; }
            tp_status status = tp_step_cancel(&cut.net);
            if (status == TP_OK) {
                given_up++;
                TP_CHECKF(refused == 0 && memcmp(cut.arena, start.arena, tp_live_kept_bytes(&cut)) == 0 && tp_live_elements((const float *)(const void *)(cut.arena + cut.plan->grad_at), cut.plan->grad_bytes / 4u) == 0,
                          "case %u after %u slices: something moved", i, after);
                TP_CHECK_STATUS(tp_step_cancel(&cut.net), TP_E_ARG);
                TP_CHECK_STATUS(tp_live_step(&cut, &b), TP_OK); /* nothing stands in the way of the next */
            } else {
                refused++;
                TP_CHECK_STATUS(status, TP_E_BUSY);
                uint32_t rest;
                TP_CHECK_STATUS(tp_slice_resume(&cut, 1, &rest), TP_OK);
            }
            TP_CHECKF(tp_slice_same(&whole, &cut), "case %u after %u slices", i, after);
        }
        TP_CHECKF(given_up > 9 && refused > 3, "case %u: %u given up, %u refused", i, given_up, refused);
        tp_data_free(&d);
        tp_live_close(&whole);
        tp_live_close(&cut);
        tp_live_close(&start);
    }
}

/* --- hook, busy nets, nets side by side --- */

typedef struct tp_hook {
    uint32_t asked, answer; /* yes to every so many-th question; 0: never */
} tp_hook;

static bool tp_hook_stop(void *user) {
    tp_hook *h = (tp_hook *)user;
    return ++h->asked, h->answer > 0 && h->asked % h->answer == 0;
}

static void tp_hook_ends_a_slice(void) {
    for (uint32_t batch = 1; batch <= 2; batch++) {
        tp_graph g;
        tp_live whole, cut;
        tp_recipe r = tp_recipe_of("tinyprop", "sgd", batch, 0.1f);
        tp_hook hook = {0, 0};
        const float *y, *z;
        bool done;
        tp_graph_cnn(&g, "softmax_cross_entropy");
        tp_model m = tp_graph_model(&g);
        tp_slice_open(&whole, &m, &r, &tp_smallest, NULL);
        tp_slice_open(&cut, &m, &r, &tp_smallest, NULL);
        cut.net.should_stop = tp_hook_stop;
        cut.net.stop_user = &hook;
        tp_data d = tp_data_make(whole.plan, 6, 5);
        for (uint32_t step = 0; step < 3; step++) {
            tp_batch b = tp_data_batch(&d, 2 * step, batch);
            hook = (tp_hook){0, step};
            TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
            tp_status status = tp_live_step(&cut, &b);
            TP_CHECK_STATUS(status, step == 0 ? TP_OK : TP_E_STOPPED);
            uint32_t asked = hook.asked, times = 0;
            TP_CHECK(step == 0 ? asked > 15 : asked == step);
            for (done = status == TP_OK; !done; times++) { TP_CHECK_STATUS(tp_step_resume(&cut.net, TP_BUDGET_ALL, &done), TP_OK); }
            TP_CHECKF(tp_slice_same(&whole, &cut) && (step == 0 || times > 8u), "step %u: stopped %u times", step, times);
        }
        hook = (tp_hook){0, 1};
        TP_CHECK_STATUS(tp_net_forward(&whole.net, d.x, &y), TP_OK);
        TP_CHECK_STATUS(tp_net_forward(&cut.net, d.x, &z), TP_E_STOPPED);
        TP_CHECK_STATUS(tp_step_cancel(&cut.net), TP_OK);
        TP_CHECK_STATUS(tp_net_forward(&cut.net, d.x, &z), TP_E_STOPPED);
        for (done = false; !done;) { TP_CHECK_STATUS(tp_step_resume(&cut.net, TP_BUDGET_ALL, &done), TP_OK); }
        TP_CHECK(memcmp(y, z, sizeof(float) * whole.plan->n_out) == 0);
        float out[2 * 5], want[2 * 5];
        tp_batch b = tp_data_batch(&d, 0, 2); /* what is no step does not ask */
        hook.asked = 0;
        TP_CHECK_STATUS(tp_net_forward_batch(&cut.net, d.x, 2, out), TP_OK);
        TP_CHECK_STATUS(tp_eval_step(&cut.net, &b, want, NULL), TP_OK);
        TP_CHECK(hook.asked == 0 && memcmp(out, want, sizeof out) == 0 && memcmp(out, y, sizeof(float) * 5u) == 0);
        TP_CHECK_STATUS(tp_step_begin(&cut.net, &b, NULL), batch == 1 ? TP_E_ARG : TP_OK); /* giving up does not ask either */
        if (batch == 2) {
            for (uint32_t i = 0; i < 40 && cut.net.step.phase < TP_STEP_UPDATE; i++) { TP_CHECK_STATUS(tp_step_resume(&cut.net, 500, &done), TP_OK); }
            hook = (tp_hook){0, 1};
            TP_CHECK(tp_step_cancel(&cut.net) == (cut.net.step.phase == TP_STEP_NONE ? TP_OK : TP_E_BUSY) && hook.asked == 0);
        }
        tp_data_free(&d);
        tp_live_close(&whole);
        tp_live_close(&cut);
    }
}

/* Everything that must not happen in the middle of a step says so and changes nothing. */
static void tp_busy_nets_say_so(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", 2, 0.1f);
    tp_graph_mlp(&g, (const uint32_t[]){5, 6, 3, 0}, "softmax_cross_entropy");
    tp_model m = tp_graph_model(&g);
    tp_slice_open(&v, &m, &r, &tp_smallest, NULL);
    tp_data d = tp_data_make(v.plan, 4, 5);
    static uint8_t file[8192], other[8192];
    tp_batch b = tp_data_batch(&d, 0, 2);
    tp_blob blob;
    tp_progress progress;
    const float *y;
    float out[2 * 3];
    size_t length;
    bool done;
    TP_CHECK_STATUS(tp_step_resume(&v.net, 1, &done), TP_E_ARG);
    TP_CHECK_STATUS(tp_step_cancel(&v.net), TP_E_ARG);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS, NULL, 0, file, sizeof file, &length), TP_OK);
    TP_CHECK_STATUS(tp_blob_open(&blob, file, length), TP_OK);
    TP_CHECK_STATUS(tp_step_begin(&v.net, &b, v.stats), TP_OK);
    TP_CHECK_STATUS(tp_step_resume(&v.net, 30, &done), TP_OK);
    uint64_t before = tp_hash(0, v.arena, v.plan->arena_bytes), step = tp_hash(0, &v.net, sizeof v.net);
    TP_CHECK_STATUS(tp_net_forward(&v.net, d.x, &y), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_forward_begin(&v.net, d.x, &y), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_forward_batch(&v.net, d.x, 2, out), TP_E_BUSY);
    TP_CHECK_STATUS(tp_eval_step(&v.net, &b, NULL, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_step_begin(&v.net, &b, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_init(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_reset_state(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_epoch_begin(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_epoch_end(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_blob_load(&blob, &v.net, TP_BLOB_WEIGHTS, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS, NULL, 0, other, sizeof other, &length), TP_E_BUSY);
    TP_CHECK_STATUS(tp_step_resume(&v.net, 1, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_step_resume(NULL, 1, &done), TP_E_ARG);
    TP_CHECK(before == tp_hash(0, v.arena, v.plan->arena_bytes) && step == tp_hash(0, &v.net, sizeof v.net));
    TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.batches == 0 && tp_net_lr(&v.net) == 0.1f);
    tp_net_open(&v.net, v.plan, v.arena, v.plan->arena_bytes, NULL); /* the way out */
    TP_CHECK_STATUS(tp_blob_load(&blob, &v.net, TP_BLOB_WEIGHTS, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
    tp_data_free(&d);
    tp_live_close(&v);
}

/* Nets of one plan and of another take turns, one of them moves to other memory in between: each as if it were alone. */
static void tp_nets_side_by_side(void) {
    tp_graph g[2];
    tp_live alone[3], mixed[3];
    tp_data d[3];
    bool done[3] = {true, true, true};
    uint32_t step[3] = {0, 0, 0}, turns = 0, overlaps = 0;
    tp_graph_mlp(&g[0], (const uint32_t[]){5, 16, 3, 0}, "softmax_cross_entropy");
    tp_graph_cnn(&g[1], "softmax_cross_entropy");
    for (uint32_t i = 0; i < 3; i++) {
        tp_recipe r = tp_recipe_of(i == 1 ? "full" : "tinypropv2", "momentum", 1 + i, 0.1f);
        tp_model m = tp_graph_model(&g[i / 2u]);
        tp_slice_open(&alone[i], &m, &r, &tp_smallest, NULL);
        tp_slice_open(&mixed[i], &m, &r, &tp_smallest, NULL);
        d[i] = tp_data_make(alone[i].plan, 12, 5 + i);
        TP_CHECK_STATUS(tp_live_train(&alone[i], &d[i], 4, 1 + i), TP_OK);
    }
    for (uint32_t i = 0; step[0] < 4 || step[1] < 4 || step[2] < 4 || !done[0] || !done[1] || !done[2]; i = (i + 1u) % 3u, turns++) {
        if (done[i] && step[i] == 4) { continue; }
        if (done[i]) {
            tp_batch b = tp_data_batch(&d[i], step[i] * (1 + i) % (12 - i), 1 + i);
            TP_CHECK_STATUS(tp_step_begin(&mixed[i].net, &b, mixed[i].stats), TP_OK);
            step[i]++;
        }
        if (i == 1) {
            tp_net moved = mixed[i].net;
            memset(&mixed[i].net, 0xee, sizeof moved);
            TP_CHECK_STATUS(tp_step_resume(&moved, 100, &done[i]), TP_OK);
            mixed[i].net = moved;
        } else {
            TP_CHECK_STATUS(tp_step_resume(&mixed[i].net, 40 + 500 * i, &done[i]), TP_OK);
        }
        overlaps += !done[0] && !done[1] && !done[2] ? 1u : 0u;
    }
    TP_CHECKF(overlaps > 20, "only %u of %u turns overlap", overlaps, turns);
    for (uint32_t i = 0; i < 3; i++) {
        TP_CHECKF(tp_slice_same(&alone[i], &mixed[i]), "net %u", i);
        tp_data_free(&d[i]);
        tp_live_close(&alone[i]);
        tp_live_close(&mixed[i]);
    }
}

int main(void) {
    TP_RUN(tp_slices_in_firmware);
    TP_RUN(tp_slices_on_a_host);
    TP_RUN(tp_slices_one_by_one_packed);
    TP_RUN(tp_slices_of_any_window);
    TP_RUN(tp_budgets_are_kept);
    TP_RUN(tp_slices_that_fail);
    TP_RUN(tp_steps_given_up);
    TP_RUN(tp_hook_ends_a_slice);
    TP_RUN(tp_busy_nets_say_so);
    TP_RUN(tp_nets_side_by_side);
    return tp_end();
}
