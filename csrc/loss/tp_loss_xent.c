/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax + cross-entropy: delta = p - onehot(y), sum|delta| = 2 (1 - p_y) <= 2. */
#include "tp_loss.h"

static float tp_xent_bound(uint32_t n) {
    (void)n;
    return 2.0f;
}

/* The first of the largest. A NaN that is not the first number is passed over, but makes its own term of the softmax, and with it the loss, NaN. */
static const float *tp_xent_top(const float *z, uint32_t n) {
    const float *best = z, *at = z, *end = z + n;
    for (;;) {
        const float top = *best;
        do {
            if (++at == end) { return best; }
        } while (!(*at > top));
        best = at;
    }
}

static float tp_xent_eval(const tp_kernels *k, const float *z, float *d, float *l1, uint32_t n, const tp_truth *truth, bool *correct) {
    const float *top = tp_xent_top(z, n), *right = z + truth->label;
    *correct = top == right;
    float behind = *top - *right; /* exact to the last bit where it matters: near 0 */
    float loss = TP_CALL(k, softmax_f32)(d, z, *top, n) + behind;
    if (d != NULL) {
        d[truth->label] -= 1.0f;
        *l1 = TP_CALL(k, asum_f32)(d, n);
    }
    return loss;
}

static void tp_xent_probabilities(const tp_kernels *k, float *p, const float *z, uint32_t n) {
    (void)TP_CALL(k, softmax_f32)(p, z, *tp_xent_top(z, n), n);
}

TP_OPTIONAL tp_loss_ops tp_loss_softmax_cross_entropy = {
    .name = "softmax_cross_entropy", .labels = true, .bound = tp_xent_bound, .eval = tp_xent_eval,
    .probabilities = tp_xent_probabilities,
};
