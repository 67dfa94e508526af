/* SPDX-License-Identifier: Apache-2.0 */
/* Status names and the rows of all lists by id. */
#include "tp_base.h"

#ifdef TP_NO_STRINGS /* the names of errors stay out of the image */
#define TP_STATUS_ROWS TP_ROW(OK)
#else
#define TP_STATUS_ROWS                                                                                       \
    TP_ROW(OK) TP_ROW(E_ARG) TP_ROW(E_MODEL) TP_ROW(E_SHAPE) TP_ROW(E_RECIPE) TP_ROW(E_ARENA) TP_ROW(E_LABEL) \
    TP_ROW(E_DATA) TP_ROW(E_LOSS) TP_ROW(E_DELTA) TP_ROW(E_BLOB) TP_ROW(E_CRC) TP_ROW(E_VERSION)              \
    TP_ROW(E_MISMATCH) TP_ROW(E_LIMIT) TP_ROW(E_BUFFER) TP_ROW(E_MODE) TP_ROW(E_BUSY) TP_ROW(E_STOPPED)      \
    TP_ROW(E_ABSENT) TP_ROW(E_FLASH) TP_ROW(E_EMPTY)
#endif

const char *tp_status_name(tp_status status) {
#define TP_ROW(name) \
    if (status == TP_##name) { return "TP_" #name; }
    TP_STATUS_ROWS
#undef TP_ROW
    return "TP_E_?";
}

static const tp_layer_ops *tp_layer_find(uint32_t id) {
    switch (id) {
#define TP_LAYER(name, wire) TP_WHEN(LAYER, name, case wire: return &tp_layer_##name;)
#include "../layer/tp_layer_list.h"
#undef TP_LAYER
    default: return NULL;
    }
}

static const tp_loss_ops *tp_loss_find(uint32_t id) {
    switch (id) {
#define TP_LOSS(name, wire) TP_WHEN(LOSS, name, case wire: return &tp_loss_##name;)
#include "../loss/tp_loss_list.h"
#undef TP_LOSS
    default: return NULL;
    }
}

static const tp_policy_ops *tp_policy_find(uint32_t id) {
    switch (id) {
#define TP_POLICY(name, wire) TP_WHEN(POLICY, name, case wire: return &tp_policy_##name;)
#include "../policy/tp_policy_list.h"
#undef TP_POLICY
    default: return NULL;
    }
}

static const tp_optim_ops *tp_optim_find(uint32_t id) {
    switch (id) {
#define TP_OPTIM(name, wire) TP_WHEN(OPTIM, name, case wire: return &tp_optim_##name;)
#include "../optim/tp_optim_list.h"
#undef TP_OPTIM
    default: return NULL;
    }
}

/* Why a find function knows no row of that id: this build leaves it out, or it is `unknown`. */
static tp_status tp_row_status(tp_list list, uint32_t id, tp_status unknown) {
    bool known = false;
#define TP_LAYER(name, wire) known = known || (list == TP_LIST_LAYER && id == wire);
#include "../layer/tp_layer_list.h"
#undef TP_LAYER
#define TP_LOSS(name, wire) known = known || (list == TP_LIST_LOSS && id == wire);
#include "../loss/tp_loss_list.h"
#undef TP_LOSS
#define TP_POLICY(name, wire) known = known || (list == TP_LIST_POLICY && id == wire);
#include "../policy/tp_policy_list.h"
#undef TP_POLICY
#define TP_OPTIM(name, wire) known = known || (list == TP_LIST_OPTIMIZER && id == wire);
#include "../optim/tp_optim_list.h"
#undef TP_OPTIM
    return known ? TP_E_ABSENT : unknown;
}
