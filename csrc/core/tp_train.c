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
        if (!net->kernels->finite_f32(x + (size_t)i * plan->n_in, plan->n_in)) { return TP_E_DATA; }
        if (loss->labels) {
            if (b->label[i] >= plan->n_out) { return TP_E_LABEL; }
            continue;
        }
        const float *target = b->target + (size_t)i * plan->n_out;
        if (!net->kernels->finite_f32(target, plan->n_out)) { return TP_E_DATA; }
        for (uint32_t j = 0; j < plan->n_out && loss->target_ok != NULL; j++) {
            if (!loss->target_ok(target[j])) { return TP_E_LABEL; }
        }
    }
    return TP_OK;
}

/* Forward pass and loss of sample i; d = NULL: no error wanted. */
static float tp_sample_loss(tp_step *s, const tp_batch *b, uint32_t i, float *d) {
    const tp_plan *plan = s->plan;
    s->x = (const float *)b->x + (size_t)i * plan->n_in;
    tp_forward(s);
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

/* Forward, decision and backward of sample i. *trained: the backward pass ran. */
static tp_status tp_train_sample(tp_net *net, tp_step *s, const tp_batch *b, uint32_t i, bool *trained) {
    const tp_plan *plan = net->plan;
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    if (plan->first_trainable == plan->n_nodes) { /* all is frozen: nothing to learn */
        (void)tp_sample_loss(s, b, i, NULL);
        return TP_OK;
    }
    float *d = tp_arena_f32(s->arena, plan->node[plan->n_nodes - 1u].err);
    float loss = tp_sample_loss(s, b, i, d);
    float alpha = s->k->asum_f32(d, plan->n_out);
    if (!tp_finite(loss) || !tp_finite(alpha)) { return TP_E_LOSS; }
    if (s->stats != NULL) { s->stats->alpha = alpha; }
    if (policy->learn != NULL) {
        tp_outcome o = {loss, alpha, plan->theta, plan->alpha_bound, s->sample};
        if (!policy->learn(&plan->recipe.policy_params, tp_arena_f32(s->arena, plan->policy_at), &o)) { return TP_OK; }
    }
    *trained = true;
    if (s->stats != NULL) { s->stats->trained += 1u; }
    return tp_backward(s, loss, &net->error_node);
}

tp_status tp_train_step(tp_net *net, const tp_batch *batch, tp_stats *stats) {
    if (!tp_net_ready(net)) { return TP_E_ARG; }
    if (net->plan->training == 0) { return TP_E_MODE; }
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
    bool trained = false;
    for (uint32_t i = 0; i < batch->n && status == TP_OK; i++) {
        s.sample = progress->samples + i;
        status = tp_train_sample(net, &s, batch, i, &trained);
    }
    bool keep = status == TP_OK || (s.batch_one && status == TP_E_DELTA); /* the layers above have moved */
    if (!s.batch_one) { tp_update_batch(&s, status == TP_OK); }
    if (keep) {
        progress->samples += batch->n;
        progress->batches += 1u;
        progress->updates += trained ? 1u : 0u;
    }
    if (stats != NULL && stats->samples > 0) { stats->loss /= (float)stats->samples; }
    return status;
}

tp_status tp_eval_step(tp_net *net, const tp_batch *batch, float *out, tp_stats *stats) {
    if (!tp_net_ready(net)) { return TP_E_ARG; }
    tp_status status = tp_batch_check(net, batch);
    if (status != TP_OK) { return status; }
    tp_step s = tp_step_begin(net);
    s.stats = stats;
    tp_stats_clear(stats, net->plan);
    for (uint32_t i = 0; i < batch->n; i++) {
        (void)tp_sample_loss(&s, batch, i, NULL);
        uint32_t n = net->plan->n_out;
        if (out != NULL) { TP_MEMCPY(out + (size_t)i * n, tp_step_act(&s, (int32_t)net->plan->n_nodes - 1), (size_t)n * sizeof(float)); }
    }
    if (stats != NULL) { stats->loss /= (float)stats->samples; }
    return TP_OK;
}
