/* SPDX-License-Identifier: Apache-2.0 */
/* One row per loss: its source and its wire id (never reused). */
#ifdef TP_SOURCES
#include "tp_loss.h"
#include "tp_loss_xent.c"
#include "tp_loss_bce.c"
#include "tp_loss_mse.c"
#endif
#ifdef TP_LOSS
TP_LOSS(softmax_cross_entropy, 1)
TP_LOSS(bce, 2)
TP_LOSS(mse, 3)
#endif
