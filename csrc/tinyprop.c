/* SPDX-License-Identifier: Apache-2.0 */
/* The whole library. Compile this file alone: no flags, no include paths. */
#include "core/tp_base.h" /* first thing inside: pin FP contraction off */
TP_SCALAR_BEGIN

#define TP_SOURCES /* lists: one row each, plus the #include of its source */
/* Arithmetic */
#include "kernel/tp_isa_list.h"
#include "kernel/tp_cpu.c"
/* Things that can be composed */
#include "layer/tp_layer_list.h"
#include "loss/tp_loss_list.h"
#include "policy/tp_policy_list.h"
#include "optim/tp_optim_list.h"
#undef TP_SOURCES

/* From a description to a plan to a live net */
#include "core/tp_status.c"
#include "core/tp_model.c"
#include "core/tp_recipe.c"
#include "core/tp_plan_memory.c"
#include "core/tp_plan.c"
#include "core/tp_net.c"

/* A training step, in the order it happens */
#include "core/tp_forward.c"
#include "core/tp_select.c"
#include "core/tp_update.c"
#include "core/tp_mask.c"
#include "core/tp_stats.c"
#include "core/tp_backward.c"
#include "core/tp_train.c"
#include "core/tp_step.c"

/* Keep and tell */
#include "core/tp_blob.c"
#include "core/tp_blob_write.c"
#include "core/tp_store.c"
#include "core/tp_log.c"
#include "core/tp_describe.c"
TP_SCALAR_END
