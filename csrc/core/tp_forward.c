/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass: nodes first to last; activations stay in the arena for the backward pass. */
#include "tp_base.h"
#include "tp_state.h"

/* Elements of one sample of a node's output, or of the input. */
TP_INLINE uint32_t tp_step_elements(const tp_step *s, int32_t index) { return index == TP_INPUT ? s->plan->n_in : s->plan->node[index].n_out; }

/* Bytes of one sample of that. */
TP_INLINE uint32_t tp_step_bytes(const tp_step *s, int32_t index) {
    return tp_step_elements(s, index) * tp_dtype_bytes(index == TP_INPUT ? s->plan->input_dtype : s->plan->node[index].dtype);
}

/* Output of a node (or the input) for the samples of this pass. */
TP_INLINE const void *tp_step_act(const tp_step *s, int32_t index) {
    const uint8_t *from = index == TP_INPUT || s->plan->node[index].act == TP_ACT_INPUT ? s->x : s->arena + s->plan->node[index].act;
    return from + (size_t)s->first * tp_step_bytes(s, index);
}

static uint32_t *tp_step_scratch(const tp_step *s, const tp_plan_node *p, uint32_t thread) {
    return (uint32_t *)(void *)(s->arena + s->plan->scratch_at + (size_t)thread * p->scratch);
}

/* Everything of a node's pass that both directions need. */
static void tp_step_pass(tp_pass *a, const tp_step *s, uint32_t i) {
    const tp_plan_node *p = &s->plan->node[i];
    a->n = s->n; /* field by field: a compiler calls memset for the whole, which costs a small layer's share */
    a->sample = s->sample + s->first;
    for (uint32_t slot = 0; slot < 2; slot++) {
        bool has = p->node.in[slot] != TP_NONE;
        a->x[slot] = has ? tp_step_act(s, p->node.in[slot]) : NULL;
        a->n_x[slot] = has ? tp_step_elements(s, p->node.in[slot]) : 0u;
        a->x_bytes[slot] = has ? tp_step_bytes(s, p->node.in[slot]) : 0u;
        a->dx[slot] = NULL;
        a->n_dx[slot] = 0;
    }
    a->d = a->l1 = NULL;
    a->zeros = false;
    a->piece = a->pieces = 0;
    a->y_bytes = p->n_out * tp_dtype_bytes(p->dtype);
    a->y = p->act == TP_ACT_INPUT ? NULL : s->arena + p->act + (size_t)s->first * a->y_bytes;
    a->scratch = tp_step_scratch(s, p, 0);
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
    if (s->net->parallel.run == NULL) { return 1; } /* no division of 64 bits in firmware */
    uint32_t threads = s->plan->options.threads;
    if (macs / TP_PARALLEL_MACS < threads) { threads = (uint32_t)(macs / TP_PARALLEL_MACS); }
    return tp_max_u32(tp_min_u32(threads, items), 1u);
}

/* Part `index` of `parts` of `items` things begins here. */
TP_INLINE uint32_t tp_part_begin(uint32_t items, uint32_t index, uint32_t parts) { return (uint32_t)((uint64_t)items * index / parts); }

/* One node's pass, to be split by samples, or a gradient by rows: `items` of them, from `first` on. */
typedef struct tp_work {
    const tp_step *s;
    const tp_plan_node *p;
    const tp_pass *a;
    void (*op)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    uint32_t first, items, parts;
} tp_work;

static TP_NOINLINE void tp_work_samples_part(const tp_work *w, uint32_t index) {
    uint32_t first = tp_part_begin(w->items, index, w->parts);
    tp_pass part = tp_pass_part(w->p, w->a, first, tp_part_begin(w->items, index + 1u, w->parts) - first);
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

/* --- slices: budget and hook are asked between units, never before the first of a slice --- */

/* Takes a unit of so much work out of the budget. false: not in this slice. */
static TP_NOINLINE bool tp_step_take(tp_step *s, uint64_t macs) {
    bool fits = s->fresh || macs <= s->left || s->left == TP_BUDGET_ALL;
    if (fits && s->left != TP_BUDGET_ALL) { s->left -= (uint32_t)(macs < s->left ? macs : s->left); }
    s->fresh = s->fresh && !fits;
    return fits;
}

/* Does the caller want the slice to end here? (What is not in flight has no slices.) */
static TP_NOINLINE bool tp_step_stops(const tp_step *s) {
    return s->net->should_stop != NULL && s->phase != TP_STEP_NONE && !s->fresh && s->net->should_stop(s->net->stop_user);
}

/* A node's pass over its samples: all, or as many pieces of one after the other as the slice may take. times: passes over the
 * weights that `op` makes (errors; 0: forward). false: the slice has ended before the pass. */
static TP_NOINLINE bool tp_step_samples(tp_step *s, tp_work *work, uint32_t times) {
    const tp_plan_node *p = work->p;
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    if (s->left == TP_BUDGET_ALL && s->item == 0) {
        if (tp_step_stops(s) || !tp_step_take(s, 0)) { return false; }
        if (work->parts == 1) {
            tp_step_each(s, p, work->a, work->op);
        } else {
            s->net->parallel.run(s->net->parallel.user, tp_work_samples, work, work->parts);
        }
        return true;
    }
    uint32_t pieces = ops->pieces != NULL ? ops->pieces(p, times > 0) : 1u;
    uint32_t forward = p->macs_forward > 0 ? p->macs_forward / pieces : tp_max_u32(work->a->n_x[0], p->n_out);
    for (uint32_t n; s->item < work->a->n * pieces; s->item += n) {
        tp_pass one = tp_pass_part(p, work->a, s->item / pieces, 1);
        one.piece = s->item % pieces;
        if (tp_step_stops(s)) { return false; }
        for (n = 0; one.piece + n < pieces; n++) {
            uint64_t macs = times == 0 || ops->piece_macs == NULL ? forward : (uint64_t)times * ops->piece_macs(s, p, &one, one.piece + n);
            if (!tp_step_take(s, macs)) { break; }
        }
        if (n == 0) { return false; }
        one.pieces = n < pieces ? n : 0u;
        work->op(s, p, &one);
    }
    s->item = 0;
    return true;
}

/* What the caller knows of the samples of a step: outputs of the cut; or NULL. */
static const uint8_t *tp_step_cut(const tp_step *s) {
    return TP_WITH(PART, cut) && s->batch.n > 0 && s->net->recall != NULL ? (const uint8_t *)s->net->recall->cut : NULL;
}

/* Puts them where the forward pass would have left them: it goes on behind. */
static void tp_forward_from(tp_step *s, const uint8_t *from) {
    tp_cut cut;
    (void)tp_plan_cut(s->plan, &cut);
    TP_MEMCPY(s->arena + s->plan->node[cut.node].act, from + (size_t)s->at * cut.bytes, (size_t)s->n * cut.bytes);
    s->node = cut.node + 1u;
}

/* Node after node, up to `end`, not sample after sample: activations that are dead share their memory with others. false: the slice has
 * ended before the pass. */
static bool tp_forward_to(tp_step *s, uint32_t end) {
    for (; s->node < end; s->node++) {
        const tp_plan_node *p = &s->plan->node[s->node];
        if (p->act == TP_ACT_INPUT || p->folded != 0) { continue; } /* a view of the sample; done by the node before */
        tp_pass a;
        tp_step_pass(&a, s, s->node);
        tp_work work = {s, p, &a, tp_layer_find(p->node.op)->forward, 0, a.n, tp_step_parts(s, a.n, (uint64_t)p->macs_forward * a.n)};
        if (!tp_step_samples(s, &work, 0)) { return false; }
    }
    s->node = 0;
    return true;
}

static bool tp_forward(tp_step *s) {
    const uint8_t *from = tp_step_cut(s);
    if (from != NULL && s->node == 0) { tp_forward_from(s, from); }
    return tp_forward_to(s, s->plan->n_nodes);
}

static void tp_step_open(tp_step *s, const tp_net *net) {
    TP_MEMSET(s, 0, sizeof *s);
    s->net = net;
    s->plan = net->plan;
    s->k = net->kernels;
    s->arena = net->arena;
    s->flash = net->flash;
    s->n = 1;
    s->fresh = true;
    s->left = TP_BUDGET_ALL;
}

/* Bytes of one sample of the input. */
TP_INLINE uint32_t tp_input_bytes(const tp_plan *plan) { return plan->n_in * tp_dtype_bytes(plan->input_dtype); }

/* Any byte is a number; floats may not be. */
static bool tp_input_ok(const tp_net *net, const void *x) {
    return net->plan->input_dtype != TP_F32 || TP_CALL(net->kernels, finite_f32)((const float *)x, net->plan->n_in);
}

static TP_NOINLINE tp_status tp_forward_check(const tp_net *net, const uint8_t *x, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!tp_input_ok(net, x + (size_t)i * tp_input_bytes(net->plan))) { return TP_E_DATA; }
    }
    return TP_OK;
}

static TP_NOINLINE tp_status tp_forward_samples(tp_net *net, const uint8_t *x, uint32_t n, float *out) {
    const tp_plan *plan = net->plan;
    tp_step *s = &net->step;
    tp_step_open(s, net);
    tp_status status = tp_forward_check(net, x, n);
    for (uint32_t at = 0; at < n && status == TP_OK; at += s->n) {
        s->x = x + (size_t)at * tp_input_bytes(plan);
        s->n = tp_min_u32(plan->options.samples, n - at);
        (void)tp_forward(s);
        const void *y = tp_step_act(s, (int32_t)plan->n_nodes - 1);
        TP_MEMCPY(out + (size_t)at * plan->n_out, y, (size_t)s->n * plan->n_out * sizeof(float));
    }
    return status;
}

tp_status tp_net_forward_batch(tp_net *net, const void *x, uint32_t n, float *out) {
    tp_status idle = tp_net_idle(net);
    if (idle != TP_OK) { return idle; }
    if (x == NULL || out == NULL) { return TP_E_ARG; }
    tp_control control = tp_net_enter(net);
    tp_status status = tp_forward_samples(net, (const uint8_t *)x, n, out);
    tp_control_leave(control);
    return status;
}

static TP_NOINLINE tp_status tp_forward_samples_cut(tp_net *net, const uint8_t *x, uint32_t n, uint8_t *out) {
    tp_cut cut;
    tp_step *s = &net->step;
    tp_status status = tp_plan_cut(net->plan, &cut);
    if (status == TP_OK) { status = tp_forward_check(net, x, n); }
    tp_step_open(s, net);
    for (uint32_t at = 0; at < n && status == TP_OK; at += s->n) {
        s->x = x + (size_t)at * tp_input_bytes(net->plan);
        s->n = tp_min_u32(net->plan->options.samples, n - at);
        (void)tp_forward_to(s, cut.node + 1u);
        TP_MEMCPY(out + (size_t)at * cut.bytes, tp_step_act(s, (int32_t)cut.node), (size_t)s->n * cut.bytes);
    }
    return status;
}

tp_status tp_net_forward_cut(tp_net *net, const void *x, uint32_t n, void *out) {
    tp_status idle = tp_net_idle(net);
    if (idle != TP_OK) { return idle; }
    if (x == NULL || out == NULL) { return TP_E_ARG; }
    if (!TP_WITH(PART, cut)) { return TP_E_ABSENT; }
    tp_control control = tp_net_enter(net);
    tp_status status = tp_forward_samples_cut(net, (const uint8_t *)x, n, (uint8_t *)out);
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
