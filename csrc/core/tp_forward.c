/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass: nodes first to last; activations stay in the arena for the backward pass. */
#include "tp_base.h"
#include "tp_state.h"

/* Elements of one sample of a node's output, or of the input. */
TP_INLINE uint32_t tp_step_elements(const tp_step *s, int32_t index) { return index == TP_INPUT ? s->plan->n_in : s->plan->node[index].n_out; }

/* Output of a node (or the input) for the samples of this pass. */
TP_INLINE const float *tp_step_act(const tp_step *s, int32_t index) {
    if (index == TP_INPUT || s->plan->node[index].act == TP_ACT_INPUT) { return s->x + (size_t)s->first * s->plan->n_in; }
    return tp_arena_f32(s->arena, s->plan->node[index].act) + (size_t)s->first * s->plan->node[index].n_out;
}

static uint32_t *tp_step_scratch(const tp_step *s, const tp_plan_node *p, uint32_t thread) {
    return (uint32_t *)(void *)(s->arena + s->plan->scratch_at + (size_t)thread * p->scratch);
}

/* Everything of a node's pass that both directions need. */
static tp_pass tp_step_pass(const tp_step *s, uint32_t i) {
    const tp_plan_node *p = &s->plan->node[i];
    tp_pass a;
    TP_MEMSET(&a, 0, sizeof a);
    a.n = s->n;
    a.sample = s->sample + s->first;
    for (uint32_t slot = 0; slot < 2 && p->node.in[slot] != TP_NONE; slot++) {
        a.x[slot] = tp_step_act(s, p->node.in[slot]);
        a.n_x[slot] = tp_step_elements(s, p->node.in[slot]);
    }
    a.y = p->act == TP_ACT_INPUT ? NULL : tp_arena_f32(s->arena, p->act) + (size_t)s->first * p->n_out;
    a.scratch = tp_step_scratch(s, p, 0);
    return a;
}

/* Ops that take one sample at a time get them so. */
static void tp_step_each(const tp_step *s, const tp_plan_node *p, const tp_pass *a, void (*op)(const tp_step *s, const tp_plan_node *p, const tp_pass *a)) {
    if ((tp_layer_find(p->node.op)->flags & TP_LAYER_BATCH) != 0 || a->n == 1) {
        op(s, p, a);
        return;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        tp_pass one = tp_pass_part(p, a, i, 1);
        op(s, p, &one);
    }
}

/* Work below this many multiply-accumulates is not worth waking a thread for (a few microseconds). */
#ifndef TP_PARALLEL_MACS
#define TP_PARALLEL_MACS 200000u
#endif

/* In how many parts to do `items` things of so much work in all. */
static uint32_t tp_step_parts(const tp_step *s, uint32_t items, uint64_t macs) {
    uint32_t threads = s->net->parallel.run != NULL ? s->plan->options.threads : 1u;
    if (macs / TP_PARALLEL_MACS < threads) { threads = (uint32_t)(macs / TP_PARALLEL_MACS); }
    return tp_max_u32(tp_min_u32(threads, items), 1u);
}

static void tp_step_run(const tp_step *s, void (*task)(void *argument, uint32_t index), void *argument, uint32_t parts) {
    if (parts == 1) {
        task(argument, 0);
    } else {
        s->net->parallel.run(s->net->parallel.user, task, argument, parts);
    }
}

/* Part `index` of `parts` of `items` things begins here. */
TP_INLINE uint32_t tp_part_begin(uint32_t items, uint32_t index, uint32_t parts) { return (uint32_t)((uint64_t)items * index / parts); }

/* One node's pass, to be split by samples (gradients: by rows). */
typedef struct tp_work {
    const tp_step *s;
    const tp_plan_node *p;
    const tp_pass *a;
    void (*op)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    uint32_t parts;
} tp_work;

static TP_NOINLINE void tp_work_samples_part(const tp_work *w, uint32_t index) {
    uint32_t first = tp_part_begin(w->a->n, index, w->parts);
    tp_pass part = tp_pass_part(w->p, w->a, first, tp_part_begin(w->a->n, index + 1u, w->parts) - first);
    part.scratch = tp_step_scratch(w->s, w->p, index);
    tp_step_each(w->s, w->p, &part, w->op);
}

/* Another thread has a control register of its own. */
static void tp_work_samples(void *argument, uint32_t index) {
    const tp_work *w = (const tp_work *)argument;
    tp_control control = tp_net_enter(w->s->net);
    tp_work_samples_part(w, index);
    tp_control_leave(control);
}

/* Node after node, not sample after sample: activations that are dead share their memory with others. */
static void tp_forward(const tp_step *s) {
    for (uint32_t i = 0; i < s->plan->n_nodes; i++) {
        const tp_plan_node *p = &s->plan->node[i];
        if (p->act == TP_ACT_INPUT) { continue; } /* a view of the sample */
        tp_pass a = tp_step_pass(s, i);
        tp_work work = {s, p, &a, tp_layer_find(p->node.op)->forward, tp_step_parts(s, a.n, (uint64_t)p->macs_forward * a.n)};
        tp_step_run(s, tp_work_samples, &work, work.parts);
    }
}

static tp_step tp_step_begin(const tp_net *net) {
    tp_step s;
    TP_MEMSET(&s, 0, sizeof s);
    s.net = net;
    s.plan = net->plan;
    s.k = net->kernels;
    s.arena = net->arena;
    s.n = 1;
    return s;
}

static TP_NOINLINE tp_status tp_forward_samples(tp_net *net, const float *x, uint32_t n, float *out) {
    const tp_plan *plan = net->plan;
    tp_step s = tp_step_begin(net);
    for (uint32_t i = 0; i < n; i++) {
        if (!TP_CALL(s.k, finite_f32)(x + (size_t)i * plan->n_in, plan->n_in)) { return TP_E_DATA; }
    }
    for (uint32_t at = 0; at < n; at += s.n) {
        s.x = x + (size_t)at * plan->n_in;
        s.n = tp_min_u32(plan->options.samples, n - at);
        tp_forward(&s);
        const float *y = tp_step_act(&s, (int32_t)plan->n_nodes - 1);
        if (out != NULL) { TP_MEMCPY(out + (size_t)at * plan->n_out, y, (size_t)s.n * plan->n_out * sizeof(float)); }
    }
    return TP_OK;
}

tp_status tp_net_forward(tp_net *net, const void *x, const float **y) {
    if (!tp_net_ready(net) || x == NULL || y == NULL) { return TP_E_ARG; }
    tp_step s = tp_step_begin(net);
    s.x = (const float *)x;
    tp_control control = tp_net_enter(net);
    tp_status status = tp_forward_samples(net, s.x, 1, NULL);
    tp_control_leave(control);
    if (status == TP_OK) { *y = tp_step_act(&s, (int32_t)s.plan->n_nodes - 1); }
    return status;
}

tp_status tp_net_forward_batch(tp_net *net, const void *x, uint32_t n, float *out) {
    if (!tp_net_ready(net) || x == NULL || out == NULL) { return TP_E_ARG; }
    tp_control control = tp_net_enter(net);
    tp_status status = tp_forward_samples(net, (const float *)x, n, out);
    tp_control_leave(control);
    return status;
}

tp_status tp_net_probabilities(const tp_net *net, const float *y, float *out) {
    if (!tp_net_ready(net) || y == NULL || out == NULL) { return TP_E_ARG; }
    tp_control control = tp_net_enter(net);
    tp_loss_find(net->plan->loss)->probabilities(net->kernels, out, y, net->plan->n_out);
    tp_control_leave(control);
    return TP_OK;
}
