/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum, lazy: a row that was not selected does not move; when it is, its velocity decays for the steps it missed:
 * v = mu^(t - t_r) v + g; w -= (lr / batch) v. With every row selected this is the textbook rule. */
#include "tp_optim.h"

/* Layer state: rows + 1 step numbers (0: never), rows velocities of row_len, then the bias's velocity. */
static uint32_t tp_momentum_words(uint32_t rows, uint32_t row_len, uint32_t bias, bool *overflow) {
    uint32_t words = tp_sum(rows, 1, overflow);
    words = tp_sum(words, tp_mul(rows, row_len, overflow), overflow);
    return tp_sum(words, bias, overflow);
}

/* mu^n by repeated squaring */
static float tp_momentum_power(float mu, uint32_t n) {
    float result = 1.0f;
    for (; n > 0; n >>= 1) {
        if ((n & 1u) != 0) { result *= mu; }
        mu *= mu;
    }
    return result;
}

static void tp_momentum_row(const tp_update *u) {
    uint32_t *last = u->state + u->row;
    float *v = (float *)(void *)(u->state + u->rows + 1u) + (size_t)u->row * u->row_len;
    float decay = tp_momentum_power(u->momentum, u->update - *last);
    *last = u->update;
    TP_CALL(u->k, momentum_f32)(u->w, v, decay, -u->lr_batch, u->g, u->n);
}

TP_OPTIONAL tp_optim_ops tp_optim_momentum = {.name = "momentum", .words = tp_momentum_words, .row = tp_momentum_row};
