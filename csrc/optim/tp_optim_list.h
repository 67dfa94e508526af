/* SPDX-License-Identifier: Apache-2.0 */
/* One row per optimizer: its source and its wire id (never reused). */
#ifdef TP_SOURCES
#include "tp_optim.h"
#include "tp_optim_sgd.c"
#include "tp_optim_momentum.c"
#endif
#ifdef TP_OPTIM
TP_OPTIM(sgd, 1)
TP_OPTIM(momentum, 2)
#endif
