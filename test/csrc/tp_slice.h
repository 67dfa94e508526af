/* SPDX-License-Identifier: Apache-2.0 */
/* Nets whose steps are taken in slices. */
#ifndef TINYPROP_TP_SLICE_H
#define TINYPROP_TP_SLICE_H

#include "tp_build.h"

static const tp_plan_options tp_smallest = {1, 1, 0, 0}, tp_host = {3, 1, 1, 0};

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

/* Another one each time, now and then without an end. */
static uint32_t tp_slice_any(void) {
    uint32_t draw = tp_random_below(36);
    return draw == 0 ? TP_BUDGET_ALL : 1u << draw / 2u;
}

static tp_status tp_slice_resume(tp_live *v, uint32_t budget, uint32_t *slices) {
    bool done = false;
    tp_status status = TP_OK;
    for (*slices = 0; !done && status == TP_OK; (*slices)++) {
        status = tp_step_resume(&v->net, budget > 0 ? budget : tp_slice_any(), &done);
    }
    TP_CHECK(done);
    return status;
}

static bool tp_slice_same(const tp_live *a, const tp_live *b) {
    return memcmp(a->arena, b->arena, tp_live_kept_bytes(a)) == 0 && memcmp(a->stats, b->stats, tp_stats_bytes(a->plan)) == 0 &&
           memcmp(a->arena + a->plan->grad_at, b->arena + b->plan->grad_at, a->plan->grad_bytes) == 0 && a->net.error_node == b->net.error_node;
}

static uint32_t tp_live_elements(const float *d, uint32_t n) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < n; i++) { live += d[i] != 0.0f ? 1u : 0u; }
    return live;
}

#endif /* TINYPROP_TP_SLICE_H */
