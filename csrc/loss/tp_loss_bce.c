/* SPDX-License-Identifier: Apache-2.0 */
/* Binary cross-entropy on logits, summed over the outputs: delta = sigmoid(z) - t, sum|delta| <= n. */
#include "tp_loss.h"

static float tp_bce_bound(uint32_t n) { return (float)n; }

static float tp_bce_eval(const tp_kernels *k, const float *z, float *d, float *l1, uint32_t n, const tp_truth *truth, bool *correct) {
    *correct = true;
    for (uint32_t i = 0; i < n; i++) { *correct = *correct && (z[i] > 0.0f) == (truth->target[i] > 0.5f); }
    float loss = TP_CALL(k, bce_f32)(d, z, truth->target, n);
    if (d != NULL) { *l1 = TP_CALL(k, asum_f32)(d, n); }
    return loss;
}

static void tp_bce_probabilities(const tp_kernels *k, float *p, const float *z, uint32_t n) { TP_CALL(k, sigmoid_f32)(p, z, n); }

static bool tp_bce_target_ok(float target) { return target >= 0.0f && target <= 1.0f; }

TP_OPTIONAL tp_loss_ops tp_loss_bce = {
    .name = "bce", .bound = tp_bce_bound, .eval = tp_bce_eval, .probabilities = tp_bce_probabilities,
    .target_ok = tp_bce_target_ok,
};
