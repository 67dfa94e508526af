/* SPDX-License-Identifier: Apache-2.0 */
/* Steps and forward passes from outside: in slices, or whole, which is one slice without an end. */
#include "tp_base.h"
#include "tp_state.h"

tp_status tp_net_forward_begin(tp_net *net, const void *x, const float **y) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    if (x == NULL || y == NULL) { return TP_E_ARG; }
    tp_control control = tp_net_enter(net);
    status = tp_forward_check(net, (const uint8_t *)x, 1);
    tp_control_leave(control);
    if (status != TP_OK) { return status; }
    tp_step *s = &net->step;
    tp_step_open(s, net);
    s->x = (const uint8_t *)x;
    s->phase = TP_STEP_FORWARD;
    *y = tp_step_act(s, (int32_t)net->plan->n_nodes - 1);
    return TP_OK;
}

tp_status tp_step_begin(tp_net *net, const tp_batch *batch, tp_stats *stats) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    if (net->plan->training == 0) { return TP_E_MODE; }
    tp_control control = tp_net_enter(net);
    status = tp_train_begin(net, batch, stats);
    tp_control_leave(control);
    return status;
}

tp_status tp_step_resume(tp_net *net, uint32_t budget, bool *done) {
    if (!tp_net_ready(net) || done == NULL || net->step.phase == TP_STEP_NONE) { return TP_E_ARG; }
    net->step.net = net; /* it may have been moved */
    net->step.left = budget;
    net->step.fresh = true;
    tp_control control = tp_net_enter(net);
    tp_status status = tp_train_slice(net);
    tp_control_leave(control);
    *done = net->step.phase == TP_STEP_NONE;
    return status;
}

tp_status tp_step_cancel(tp_net *net) {
    if (!tp_net_ready(net) || net->step.phase == TP_STEP_NONE) { return TP_E_ARG; }
    tp_step *s = &net->step;
    tp_ahead *ahead = s->training ? tp_step_ahead(s) : NULL;
    if (s->training) {
        if (s->phase >= (s->batch_one ? TP_STEP_RUN : TP_STEP_UPDATE)) { return TP_E_BUSY; }
        s->phase = TP_STEP_NONE; /* nothing below can be stopped */
        s->node = s->item = 0;
        s->left = TP_BUDGET_ALL;
        if (!s->batch_one) {
            (void)tp_update_batch(s, false);
            tp_train_undo(net, true);
        }
    }
    if (ahead != NULL) { ahead->ready = 0; }
    s->phase = TP_STEP_NONE;
    return TP_OK;
}

/* What has begun, to its end. */
static tp_status tp_step_whole(tp_net *net) {
    bool done;
    tp_status status = tp_step_resume(net, TP_BUDGET_ALL, &done);
    return status == TP_OK && !done ? TP_E_STOPPED : status;
}

tp_status tp_net_forward(tp_net *net, const void *x, const float **y) {
    tp_status status = tp_net_forward_begin(net, x, y);
    return status == TP_OK ? tp_step_whole(net) : status;
}

tp_status tp_train_step(tp_net *net, const tp_batch *batch, tp_stats *stats) {
    tp_status status = tp_step_begin(net, batch, stats);
    return status == TP_OK ? tp_step_whole(net) : status;
}
