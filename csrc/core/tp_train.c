/* SPDX-License-Identifier: Apache-2.0 */
/* One training step: forward, loss, decision, backward, update. */
#include "tp_base.h"
#include "tp_state.h"

/* Checks a whole batch before anything is written. */
static tp_status tp_batch_check(const tp_net *net, const tp_batch *b) {
    const tp_plan *plan = net->plan;
    const tp_loss_ops *loss = tp_loss_find(plan->loss);
    if (b == NULL || b->n == 0 || b->x == NULL || (loss->labels ? b->label == NULL : b->target == NULL)) { return TP_E_ARG; }
    const float *x = (const float *)b->x;
    for (uint32_t i = 0; i < b->n; i++) {
        if (!TP_CALL(net->kernels, finite_f32)(x + (size_t)i * plan->n_in, plan->n_in)) { return TP_E_DATA; }
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

/* Forward pass of samples at .. at + n of a batch, which the step then is about. */
static void tp_train_forward(tp_step *s, const tp_batch *b, uint32_t at, uint32_t n) {
    s->x = (const float *)b->x + (size_t)at * s->plan->n_in;
    s->first = 0;
    s->n = n;
    tp_forward(s);
}

/* Loss of sample i of the batch, which is number s->first of those worked on together; d = NULL: no error wanted. */
static float tp_sample_loss(const tp_step *s, const tp_batch *b, uint32_t i, float *d) {
    const tp_plan *plan = s->plan;
    tp_truth truth = {b->label != NULL ? b->label[i] : 0u, b->target != NULL ? b->target + (size_t)i * plan->n_out : NULL};
    bool correct = false;
    const float *z = tp_step_act(s, (int32_t)plan->n_nodes - 1);
    float loss = tp_loss_find(plan->loss)->eval(s->k, z, d, plan->n_out, &truth, &correct);
    if (s->stats != NULL) {
        s->stats->samples += 1u;
        s->stats->correct += correct ? 1u : 0u;
        s->stats->loss += loss;
        s->stats->macs_forward += plan->macs_forward;
    }
    return loss;
}

/* Loss, error and decision of sample i of the batch. *learn: train on it. */
static tp_status tp_train_decide(tp_step *s, const tp_batch *b, uint32_t i, bool *learn) {
    const tp_plan *plan = s->plan;
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    *learn = false;
    if (plan->first_trainable == plan->n_nodes) { /* all is frozen: nothing to learn */
        (void)tp_sample_loss(s, b, i, NULL);
        return TP_OK;
    }
    float *d = tp_arena_f32(s->arena, plan->node[plan->n_nodes - 1u].err) + (size_t)s->first * plan->n_out;
    float loss = tp_sample_loss(s, b, i, d);
    *tp_step_loss(s) = loss;
    float alpha = TP_CALL(s->k, asum_f32)(d, plan->n_out);
    if (!tp_finite(loss) || !tp_finite(alpha)) { return TP_E_LOSS; }
    if (s->stats != NULL) { s->stats->alpha = alpha; }
    tp_outcome o = {loss, alpha, plan->theta, plan->alpha_bound, s->sample + s->first};
    *learn = policy->learn == NULL || policy->learn(&plan->recipe.policy_params, tp_arena_f32(s->arena, plan->policy_at), &o);
    if (*learn && s->stats != NULL) { s->stats->trained += 1u; }
    return TP_OK;
}

/* Forward, decisions and backward of samples at .. at + n of the batch. Those that follow each other and learn go backward
 * together. *trained: some did. */
static tp_status tp_train_samples(tp_net *net, tp_step *s, const tp_batch *b, uint32_t at, uint32_t n, bool *trained) {
    uint64_t learns = 0;
    tp_train_forward(s, b, at, n);
    for (uint32_t i = 0; i < n; i++) {
        bool learn;
        s->first = i;
        s->n = 1;
        tp_status status = tp_train_decide(s, b, at + i, &learn);
        if (status != TP_OK) { return status; }
        learns |= (uint64_t)(learn ? 1u : 0u) << i;
    }
    *trained = *trained || learns != 0;
    for (uint32_t i = 0; i < n;) {
        uint32_t run = 0;
        while (i + run < n && (learns >> (i + run) & 1u) != 0) { run++; }
        if (run == 0) {
            i++;
            continue;
        }
        s->first = i;
        s->n = run;
        s->direct = net->plan->options.packing != 0 && tp_update_is_plain(net->plan) &&
                    (s->batch_one || (net->plan->options.samples > 1 && run == b->n));
        tp_status status = tp_backward(s, &net->error_node);
        if (status != TP_OK) { return status; }
        i += run;
    }
    return TP_OK;
}

/* Copies the policy's state to where a batch that fails can take it back from, or back. */
static void tp_train_undo(const tp_net *net, bool back) {
    const tp_plan *plan = net->plan;
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    uint8_t *kept = net->arena + plan->undo_at;
    for (uint32_t i = 0; i <= plan->n_nodes; i++) {
        bool whole = i == plan->n_nodes;
        if (!whole && plan->node[i].layer == TP_NO_OFFSET) { continue; }
        uint8_t *state = net->arena + (whole ? plan->policy_at : plan->node[i].policy);
        uint32_t bytes = (whole ? policy->net_words : policy->layer_words) * 4u;
        TP_MEMCPY(back ? state : kept, back ? kept : state, bytes);
        kept += bytes;
    }
}

static TP_NOINLINE tp_status tp_train_batch(tp_net *net, const tp_batch *batch, tp_stats *stats) {
    tp_status status = tp_batch_check(net, batch);
    if (status != TP_OK) { return status; }
    const tp_recipe *r = &net->plan->recipe;
    if (batch->n > r->batch) { return TP_E_ARG; }
    tp_progress *progress = &tp_net_state(net)->progress;
    tp_step s = tp_step_begin(net);
    s.stats = stats;
    s.training = true;
    s.batch_one = r->batch == 1;
    s.lr = tp_recipe_lr(r, progress->batches);
    s.lr_batch = s.lr / (float)r->batch;
    s.update = (uint32_t)progress->updates + 1u;
    net->error_node = net->plan->n_nodes;
    tp_stats_clear(stats, net->plan);
    if (!s.batch_one) { tp_train_undo(net, false); }
    bool trained = false;
    for (uint32_t at = 0; at < batch->n && status == TP_OK; at += net->plan->options.samples) {
        s.sample = progress->samples + at;
        status = tp_train_samples(net, &s, batch, at, tp_min_u32(net->plan->options.samples, batch->n - at), &trained);
    }
    bool keep = status == TP_OK || (s.batch_one && status == TP_E_DELTA); /* the layers above have moved */
    if (!s.batch_one) {
        tp_update_batch(&s, status == TP_OK);
        if (status != TP_OK) { tp_train_undo(net, true); }
    }
    if (keep) {
        progress->samples += batch->n;
        progress->batches += 1u;
        progress->updates += trained ? 1u : 0u;
    }
    if (stats != NULL && stats->samples > 0) { stats->loss /= (float)stats->samples; }
    return status;
}

tp_status tp_train_step(tp_net *net, const tp_batch *batch, tp_stats *stats) {
    if (!tp_net_ready(net)) { return TP_E_ARG; }
    if (net->plan->training == 0) { return TP_E_MODE; }
    tp_control control = tp_net_enter(net);
    tp_status status = tp_train_batch(net, batch, stats);
    tp_control_leave(control);
    return status;
}

static TP_NOINLINE tp_status tp_eval_batch(tp_net *net, const tp_batch *batch, float *out, tp_stats *stats) {
    tp_status status = tp_batch_check(net, batch);
    if (status != TP_OK) { return status; }
    tp_step s = tp_step_begin(net);
    s.stats = stats;
    tp_stats_clear(stats, net->plan);
    uint32_t n_out = net->plan->n_out, n;
    for (uint32_t at = 0; at < batch->n; at += n) {
        n = tp_min_u32(net->plan->options.samples, batch->n - at);
        tp_train_forward(&s, batch, at, n);
        if (out != NULL) { TP_MEMCPY(out + (size_t)at * n_out, tp_step_act(&s, (int32_t)net->plan->n_nodes - 1), (size_t)n * n_out * sizeof(float)); }
        for (s.first = 0; s.first < n; s.first++) { (void)tp_sample_loss(&s, batch, at + s.first, NULL); }
    }
    if (stats != NULL) { stats->loss /= (float)stats->samples; }
    return TP_OK;
}

tp_status tp_eval_step(tp_net *net, const tp_batch *batch, float *out, tp_stats *stats) {
    if (!tp_net_ready(net)) { return TP_E_ARG; }
    tp_control control = tp_net_enter(net);
    tp_status status = tp_eval_batch(net, batch, out, stats);
    tp_control_leave(control);
    return status;
}
