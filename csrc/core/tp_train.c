/* SPDX-License-Identifier: Apache-2.0 */
/* One training step: forward, loss, decision, backward, update. */
#include "tp_base.h"
#include "tp_state.h"

/* Sample i of a batch; NULL: what stands for the samples is their cut. */
static const uint8_t *tp_batch_x(const tp_plan *plan, const tp_batch *b, uint32_t i) {
    if (TP_WITH(PART, cut) && b->x == NULL) { return NULL; }
    return (const uint8_t *)b->x + (size_t)i * tp_input_bytes(plan);
}

/* The outputs of the cut that the caller gives: may it, and are they numbers? *alone: they stand for the samples. */
static TP_COLD tp_status tp_batch_check_cut(const tp_net *net, const tp_batch *b, bool *alone) {
    const tp_plan *plan = net->plan;
    tp_cut cut;
    if (net->recall == NULL || net->recall->cut == NULL) { return TP_OK; }
    tp_status status = tp_plan_cut(plan, &cut);
    *alone = status == TP_OK && b->x == NULL && !(plan->training != 0 && tp_policy_looks(plan));
    const tp_plan_node *p = &plan->node[status == TP_OK ? cut.node : 0];
    for (uint32_t i = 0; *alone && p->dtype == TP_F32 && i < b->n; i++) {
        if (!TP_CALL(net->kernels, finite_f32)((const float *)net->recall->cut + (size_t)i * p->n_out, p->n_out)) { return TP_E_DATA; }
    }
    return status;
}

/* Checks a whole batch before anything is written. */
static TP_COLD tp_status tp_batch_check(const tp_net *net, const tp_batch *b) {
    const tp_plan *plan = net->plan;
    const tp_loss_ops *loss = tp_loss_find(plan->loss);
    bool alone = false;
    if (b == NULL || b->n == 0 || (loss->labels ? b->label == NULL : b->target == NULL)) { return TP_E_ARG; }
    tp_status status = TP_WITH(PART, cut) ? tp_batch_check_cut(net, b, &alone) : TP_OK;
    if (status != TP_OK) { return status; }
    if (b->x == NULL && !alone) { return TP_E_ARG; }
    const bool floats = !alone && plan->input_dtype == TP_F32;
    for (uint32_t i = 0; i < b->n; i++) {
        if (floats && !TP_CALL(net->kernels, finite_f32)((const float *)b->x + (size_t)i * plan->n_in, plan->n_in)) { return TP_E_DATA; }
        if (loss->labels) {
            if (b->label[i] >= plan->n_out) { return TP_E_LABEL; }
            continue;
        }
        const float *target = b->target + (size_t)i * plan->n_out;
        if (!TP_CALL(net->kernels, finite_f32)(target, plan->n_out)) { return TP_E_DATA; }
        for (uint32_t j = 0; j < plan->n_out && loss->target_ok != NULL; j++) {
            if (!loss->target_ok(target[j])) { return TP_E_LABEL; }
        }
    }
    return TP_OK;
}

/* A sample before its forward pass. */
static tp_glance tp_train_glance(const tp_step *s, uint32_t i) {
    const tp_recall *recall = s->net->recall;
    const tp_progress *progress = &tp_net_state(s->net)->progress;
    return (tp_glance){s->k, tp_batch_x(s->plan, &s->batch, i), progress->samples + i, progress->epochs, recall != NULL && recall->loss != NULL ? recall->loss[i] : 0.0f};
}

/* The step turns to the samples at .. at + n of its batch that are worked on together. */
TP_INLINE void tp_train_group(tp_step *s, uint32_t at) {
    s->at = at;
    s->group = tp_min_u32(s->plan->options.samples, s->batch.n - at);
    s->x = tp_batch_x(s->plan, &s->batch, at);
    s->first = 0;
    s->n = s->group;
}

static tp_ahead *tp_step_ahead(const tp_step *s) {
    const tp_recall *recall = s->net->recall;
    return TP_WITH(PART, ahead) && s->batch_one && s->batch.n > 0 && s->batch.x != NULL && recall != NULL ? recall->ahead : NULL;
}

/* The step's sample is one of several whose forward passes are made together: now, or with a sample before it. Samples are counted from
 * the first of those, so that this one is where its activations are; `at` is below zero by as many. */
static TP_COLD void tp_train_ahead(tp_step *s, tp_ahead *ahead) {
    if (ahead->ready == 0) {
        ahead->slot = 0;
        ahead->ready = s->n = tp_min_u32(s->plan->options.samples, ahead->n < s->plan->options.samples ? ahead->n + 1u : ahead->n);
        return;
    }
    s->at -= ahead->slot;
    s->x -= (size_t)ahead->slot * tp_input_bytes(s->plan);
    s->sample -= ahead->slot;
    s->first = ahead->slot;
    s->group = ahead->slot + 1u;
    s->phase = TP_STEP_DECIDE;
}

/* A step has ended: the forward passes behind its own are those of the weights as they are, unless it has changed them. */
static TP_COLD void tp_train_ahead_end(const tp_step *s, tp_ahead *ahead) {
    ahead->slot++;
    ahead->ready = s->trained > 0 || s->status != TP_OK ? 0u : ahead->ready - 1u;
}

/* The same from the first sample on that the policy wants to see. false: there is none. */
static TP_NOINLINE bool tp_train_next(tp_step *s, uint32_t at) {
    const tp_plan *plan = s->plan;
    const tp_recall *recall = s->net->recall;
    const bool looks = TP_ANY_LOOKS != 0 && tp_policy_looks(plan);
    const tp_policy_ops *policy = looks ? tp_policy_find(plan->recipe.policy) : NULL;
    for (; looks && at < s->batch.n; at++) {
        tp_glance g = tp_train_glance(s, at);
        if (policy->look(plan, tp_arena_f32(s->arena, plan->policy_at), &g)) { break; }
        if (s->stats != NULL) { s->stats->passed += 1u; }
        if (recall != NULL && recall->trained != NULL) { recall->trained[at] = 0; }
    }
    if (at >= s->batch.n) { return false; }
    s->sample = tp_net_state(s->net)->progress.samples + at;
    s->learns = s->node = 0;
    s->phase = TP_STEP_FORWARD;
    tp_train_group(s, at);
    tp_ahead *ahead = tp_step_ahead(s);
    if (ahead != NULL) { tp_train_ahead(s, ahead); }
    return true;
}

/* Loss of sample s->first of those worked on together, its error d and the sum *alpha of |d|; NULL: no error wanted. */
static float tp_sample_loss(const tp_step *s, float *d, float *alpha) {
    const tp_plan *plan = s->plan;
    const tp_batch *b = &s->batch;
    uint32_t i = s->at + s->first;
    tp_truth truth = {b->label != NULL ? b->label[i] : 0u, b->target != NULL ? b->target + (size_t)i * plan->n_out : NULL};
    bool correct = false;
    const tp_plan_node *last = &plan->node[plan->n_nodes - 1u]; /* its outputs are floats: tp_plan_make */
    const float *z = (const float *)(const void *)(last->act == TP_ACT_INPUT ? s->x : s->arena + last->act) + (size_t)s->first * plan->n_out;
    float loss = tp_loss_find(plan->loss)->eval(s->k, z, d, alpha, plan->n_out, &truth, &correct);
    if (s->stats != NULL) {
        s->stats->samples += 1u;
        s->stats->correct += correct ? 1u : 0u;
        s->stats->loss += loss;
        s->stats->macs_forward += plan->macs_forward;
    }
    return loss;
}

/* Loss, error and decision of sample s->first of those worked on together. *learn: train on it. */
static tp_status tp_train_decide(tp_step *s, bool *learn) {
    const tp_plan *plan = s->plan;
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    *learn = false;
    if (plan->first_trainable == plan->n_nodes) { /* all is frozen: nothing to learn */
        (void)tp_sample_loss(s, NULL, NULL);
        return TP_OK;
    }
    float *d = tp_arena_f32(s->arena, plan->node[plan->n_nodes - 1u].err) + (size_t)s->first * plan->n_out;
    float alpha, loss = tp_sample_loss(s, d, &alpha);
    *tp_step_loss(s) = loss;
    if (!tp_finite(loss) || !tp_finite(alpha)) { return TP_E_LOSS; }
    if (s->stats != NULL) { s->stats->alpha = alpha; }
    uint32_t i = s->at + s->first;
    const tp_recall *recall = s->net->recall;
    tp_glance before;
    tp_outcome o = {loss, alpha, plan->theta, plan->alpha_bound, NULL};
    if (policy->look != NULL) {
        before = tp_train_glance(s, i);
        o.before = &before;
    }
    *learn = policy->learn == NULL || policy->learn(plan, tp_arena_f32(s->arena, plan->policy_at), &o);
    if (*learn && s->trained++ == 0) { /* a step that trains on nothing needs no learning rate */
        s->lr = tp_recipe_lr(&plan->recipe, tp_net_state(s->net)->progress.batches);
        s->lr_batch = s->lr / (float)plan->recipe.batch;
    }
    if (*learn && s->stats != NULL) { s->stats->trained += 1u; }
    if (recall != NULL && recall->loss != NULL) { recall->loss[i] = loss; }
    if (recall != NULL && recall->trained != NULL) { recall->trained[i] = *learn ? 1u : 0u; }
    return TP_OK;
}

/* The losses and decisions of the samples worked on together. */
static bool tp_train_outcome(tp_step *s, tp_status *status) {
    *status = TP_OK;
    s->n = 1;
    for (; s->first < s->group; s->first++) {
        bool learn;
        if (tp_step_stops(s) || !tp_step_take(s, 2u * s->plan->n_out)) { return false; }
        *status = tp_train_decide(s, &learn);
        if (*status != TP_OK) { return true; }
        if (learn) { s->learns |= (uint64_t)1 << s->first; }
    }
    s->first = s->n = 0;
    return true;
}

TP_INLINE bool tp_step_learns(const tp_step *s, uint32_t sample) { return (s->learns >> sample & 1u) != 0; }

/* The next samples that learn, behind those of this pass: they go backward together, and between them, with errors of zero, at
 * most as many that do not: those cost less than products over fewer samples. false: there are none. */
static bool tp_train_run(tp_step *s) {
    if (s->learns == 0) { return false; }
    const tp_plan_node *out = &s->plan->node[s->plan->n_nodes - 1u];
    uint32_t first = s->first + s->n, end, learners = 0, before = 0;
    for (uint32_t i = 0; i < first; i++) { before += tp_step_learns(s, i) ? 1u : 0u; }
    while (first < s->group && !tp_step_learns(s, first)) { first++; }
    end = first;
    for (uint32_t i = first; i < s->group && i - first < 2u * (learners + 1u); i++) {
        if (!tp_step_learns(s, i)) { continue; }
        learners++;
        end = i + 1u;
    }
    for (uint32_t i = first; i < end; i++) {
        if (!tp_step_learns(s, i)) { TP_MEMSET(tp_arena_f32(s->arena, out->err) + (size_t)i * out->n_out, 0, out->n_out * sizeof(float)); }
    }
    bool all = before == 0 && s->group == s->batch.n;
    for (uint32_t i = end; i < s->group; i++) { all = all && !tp_step_learns(s, i); }
    s->first = first;
    s->n = end - first;
    s->direct = s->plan->options.packing != 0 && tp_update_is_plain(s->plan) && (s->batch_one || (s->plan->options.samples > 1 && all));
    s->summed = TP_NONE;
    s->node = s->plan->n_nodes;
    return learners > 0;
}

/* Copies the policy's state to where a batch that fails can take it back from, or back. */
static TP_COLD TP_NOINLINE void tp_train_undo(const tp_net *net, bool back) {
    const tp_plan *plan = net->plan;
    uint8_t *kept = net->arena + plan->undo_at;
    for (uint32_t i = 0; i <= plan->n_nodes; i++) {
        bool whole = i == plan->n_nodes;
        if (!whole && plan->node[i].layer == TP_NO_OFFSET) { continue; }
        uint8_t *state = net->arena + (whole ? plan->policy_at : plan->node[i].policy);
        uint32_t bytes = (whole ? tp_policy_net_words(plan) : tp_policy_layer_words(plan, &plan->node[i])) * 4u;
        TP_MEMCPY(back ? state : kept, back ? kept : state, bytes);
        kept += bytes;
    }
}

static TP_NOINLINE tp_status tp_train_begin(tp_net *net, const tp_batch *batch, tp_stats *stats) {
    const tp_recipe *r = &net->plan->recipe;
    uint32_t passed = net->recall != NULL ? net->recall->passed : 0u;
    tp_status status = batch != NULL && batch->n == 0 && passed > 0 ? TP_OK : tp_batch_check(net, batch);
    if (status != TP_OK) { return status; }
    if (batch->n > r->batch || passed > r->batch - batch->n) { return TP_E_ARG; }
    const tp_progress *progress = &tp_net_state(net)->progress;
    tp_step *s = &net->step;
    tp_step_open(s, net);
    s->batch = *batch;
    s->stats = stats;
    s->training = true;
    s->batch_one = r->batch == 1;
    s->update = (uint32_t)progress->updates + 1u;
    net->error_node = net->plan->n_nodes;
    tp_stats_clear(stats, net->plan);
    if (stats != NULL) { stats->passed = passed; }
    if (!s->batch_one) { tp_train_undo(net, false); }
    if (!tp_train_next(s, 0)) { s->phase = TP_STEP_UPDATE; }
    return TP_OK;
}

/* The step has ended: what it leaves. */
static void tp_train_end(tp_net *net) {
    tp_step *s = &net->step;
    tp_progress *progress = &tp_net_state(net)->progress;
    const tp_policy_ops *policy = tp_policy_find(s->plan->recipe.policy);
    bool keep = s->status == TP_OK || (s->batch_one && s->status == TP_E_DELTA); /* the layers above have moved */
    uint32_t seen = s->batch.n + (net->recall != NULL ? net->recall->passed : 0u);
    if (!s->batch_one && s->status != TP_OK) { tp_train_undo(net, true); }
    if (keep) {
        progress->samples += seen;
        progress->batches += 1u;
        progress->updates += s->trained > 0 ? 1u : 0u;
    }
    if (s->status == TP_OK && policy->spent != NULL) {
        tp_spent spent = {seen, s->trained, s->macs, s->plan->macs_backward * seen};
        policy->spent(s->plan, tp_arena_f32(s->arena, s->plan->policy_at), &spent);
    }
    if (s->stats != NULL && s->stats->samples > 0) { s->stats->loss /= (float)s->stats->samples; }
    tp_ahead *ahead = tp_step_ahead(s);
    if (ahead != NULL) { tp_train_ahead_end(s, ahead); }
    s->phase = TP_STEP_NONE;
}

/* A phase after the other, until the step has ended or its slice. */
static TP_NOINLINE tp_status tp_train_slice(tp_net *net) {
    tp_step *s = &net->step;
    for (;;) {
        tp_status status = TP_OK;
        switch (s->phase) {
        case TP_STEP_FORWARD:
            if (!tp_forward(s)) { return TP_OK; }
            s->phase = s->training ? TP_STEP_DECIDE : TP_STEP_NONE;
            break;
        case TP_STEP_DECIDE:
            if (!tp_train_outcome(s, &status)) { return TP_OK; }
            s->phase = TP_STEP_RUN;
            break;
        case TP_STEP_RUN:
            if (tp_train_run(s)) {
                s->phase = TP_STEP_BACKWARD;
            } else if (s->at + s->group >= s->batch.n || !tp_train_next(s, s->at + s->group)) {
                s->node = 0;
                s->phase = TP_STEP_UPDATE;
            }
            break;
        case TP_STEP_BACKWARD:
            if (!tp_backward(s, &status)) { return TP_OK; }
            if (status != TP_OK) { net->error_node = s->node - 1u; }
            s->node = net->plan->n_nodes;
            s->phase = tp_plan_late(net->plan) ? TP_STEP_GRADIENT : TP_STEP_RUN;
            break;
        case TP_STEP_GRADIENT:
            if (!tp_backward_late(s)) { return TP_OK; }
            s->phase = TP_STEP_RUN;
            break;
        case TP_STEP_UPDATE:
            if (!s->batch_one && !tp_update_batch(s, s->status == TP_OK)) { return TP_OK; }
            tp_train_end(net);
            break;
        default: return s->status;
        }
        if (status != TP_OK) { /* takes back what the samples have gathered */
            s->status = status;
            s->node = s->item = 0;
            s->phase = TP_STEP_UPDATE;
        }
    }
}

/* A byte says: 2^e .. 2^(e+1) - 1, e < 7: pass it over, and as often again as it exceeds 2^e; 128 + e: due, skipped e times; 0 as 128. */
bool tp_revisit_due(uint8_t *visits) {
    uint32_t v = *visits, e = 0;
    if (v == 0 || v >= 128u) { return true; }
    while (v >> (e + 1u) != 0) { e++; }
    *visits = (uint8_t)(v == 1u << e ? 129u + e : v - 1u);
    return false;
}

void tp_revisit_mark(uint8_t *visits, bool trained, uint32_t cap) {
    uint32_t e = *visits >= 128u ? tp_min_u32(*visits - 128u, 7u) : 0u; /* a damaged file may say more */
    while (e > 0 && 1u << e > tp_min_u32(cap, TP_MAX_REVISIT)) { e--; }
    *visits = (uint8_t)(trained || cap == 0 ? 0u : (2u << e) - 1u);
}

static TP_NOINLINE tp_status tp_eval_batch(tp_net *net, const tp_batch *batch, float *out, tp_stats *stats) {
    tp_status status = tp_batch_check(net, batch);
    if (status != TP_OK) { return status; }
    tp_step *s = &net->step;
    tp_step_open(s, net);
    s->batch = *batch;
    s->stats = stats;
    tp_stats_clear(stats, net->plan);
    uint32_t n_out = net->plan->n_out;
    for (uint32_t at = 0; at < batch->n; at += s->group) {
        tp_train_group(s, at);
        (void)tp_forward(s);
        if (out != NULL) { TP_MEMCPY(out + (size_t)at * n_out, tp_step_act(s, (int32_t)net->plan->n_nodes - 1), (size_t)s->group * n_out * sizeof(float)); }
        for (s->first = 0; s->first < s->group; s->first++) { (void)tp_sample_loss(s, NULL, NULL); }
    }
    if (stats != NULL) { stats->loss /= (float)stats->samples; }
    return TP_OK;
}

tp_status tp_eval_step(tp_net *net, const tp_batch *batch, float *out, tp_stats *stats) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    tp_control control = tp_net_enter(net);
    status = tp_eval_batch(net, batch, out, stats);
    tp_control_leave(control);
    return status;
}
