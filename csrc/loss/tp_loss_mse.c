/* SPDX-License-Identifier: Apache-2.0 */
/* Mean squared error over the n outputs: loss = sum (y - t)^2 / n, delta = 2 (y - t) / n. */
#include "tp_loss.h"

static float tp_mse_eval(const tp_kernels *k, const float *z, float *d, float *l1, uint32_t n, const tp_truth *truth, bool *correct) {
    *correct = false;
    return TP_CALL(k, mse_f32)(d, l1, z, truth->target, 2.0f / (float)n, n) / (float)n;
}

static void tp_mse_probabilities(const tp_kernels *k, float *p, const float *z, uint32_t n) {
    (void)k;
    TP_MEMMOVE(p, z, (size_t)n * sizeof(float));
}

TP_OPTIONAL tp_loss_ops tp_loss_mse = {.name = "mse", .eval = tp_mse_eval, .probabilities = tp_mse_probabilities};
