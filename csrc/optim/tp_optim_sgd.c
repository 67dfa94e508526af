/* SPDX-License-Identifier: Apache-2.0 */
/* w -= (lr / batch) g: the paper's protocol. */
#include "tp_optim.h"

static void tp_sgd_row(const tp_update *u) { TP_CALL(u->k, sgd_f32)(u->w, -u->lr_batch, u->g, u->n); }

TP_OPTIONAL tp_optim_ops tp_optim_sgd = {.name = "sgd", .plain = true, .row = tp_sgd_row};
