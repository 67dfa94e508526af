/* SPDX-License-Identifier: Apache-2.0 */
/* What the lists contain, for describe() and for tests. */
#include "tp_base.h"

typedef struct tp_list_row {
    const char *name;
    int32_t id;
} tp_list_row;

/* A configuration may leave no other row. */
#define TP_LAST_ROW {NULL, 0},

static const tp_list_row tp_rows_layer[] = {
#define TP_LAYER(name, id) TP_WHEN(LAYER, name, {#name, id},)
#include "../layer/tp_layer_list.h"
#undef TP_LAYER
    TP_LAST_ROW
};
static const tp_list_row tp_rows_loss[] = {
#define TP_LOSS(name, id) TP_WHEN(LOSS, name, {#name, id},)
#include "../loss/tp_loss_list.h"
#undef TP_LOSS
    TP_LAST_ROW
};
static const tp_list_row tp_rows_policy[] = {
#define TP_POLICY(name, id) TP_WHEN(POLICY, name, {#name, id},)
#include "../policy/tp_policy_list.h"
#undef TP_POLICY
    TP_LAST_ROW
};
static const tp_list_row tp_rows_optimizer[] = {
#define TP_OPTIM(name, id) TP_WHEN(OPTIM, name, {#name, id},)
#include "../optim/tp_optim_list.h"
#undef TP_OPTIM
    TP_LAST_ROW
};
static const tp_list_row tp_rows_preset[] = {
#define TP_PRESET(name, s_min, s_max, zeta, ymax_mode, output_dense, select, tau) {#name, 0},
#include "../policy/tp_policy_list.h"
#undef TP_PRESET
    TP_LAST_ROW
};
static const tp_list_row tp_rows_kernel[] = {
#if !TP_KERNELS_DIRECT /* no linker drops single strings */
#define TP_KERNEL(name, ret, params) {#name, 0},
#include "../kernel/tp_kernel_list.h"
#undef TP_KERNEL
#endif
    TP_LAST_ROW
};
static const tp_list_row tp_rows_isa[] = {
#define TP_ISA(name, needs) {#name, 0},
    TP_ISA_ROWS
#undef TP_ISA
    TP_LAST_ROW
};
static const tp_list_row tp_rows_status[] = {
#define TP_ROW(name) {"TP_" #name, TP_##name},
    TP_STATUS_ROWS
#undef TP_ROW
    TP_LAST_ROW
};

static const struct {
    const tp_list_row *row;
    uint32_t count;
} tp_lists[TP_LIST_COUNT] = {
#define TP_ROWS(rows) {rows, (uint32_t)(sizeof(rows) / sizeof(rows[0])) - 1u}
    TP_ROWS(tp_rows_layer), TP_ROWS(tp_rows_loss), TP_ROWS(tp_rows_policy), TP_ROWS(tp_rows_optimizer),
    TP_ROWS(tp_rows_preset), TP_ROWS(tp_rows_kernel), TP_ROWS(tp_rows_isa), TP_ROWS(tp_rows_status),
#undef TP_ROWS
};

const char *tp_list_name(tp_list list, uint32_t index, int32_t *id) {
    if ((uint32_t)list >= TP_LIST_COUNT || index >= tp_lists[list].count) { return NULL; }
    if (id != NULL) { *id = tp_lists[list].row[index].id; }
    return tp_lists[list].row[index].name;
}

uint32_t tp_list_id(tp_list list, const char *name) {
    if ((uint32_t)list >= TP_LIST_COUNT || name == NULL) { return 0; }
    for (uint32_t i = 0; i < tp_lists[list].count; i++) {
        if (tp_text_equal(tp_lists[list].row[i].name, name)) { return (uint32_t)tp_lists[list].row[i].id; }
    }
    return 0;
}

#define TP_NUMBER2(x) #x
#define TP_NUMBER(x) TP_NUMBER2(x)
const char *tp_version(void) { return TP_NUMBER(TP_VERSION_MAJOR) "." TP_NUMBER(TP_VERSION_MINOR) "." TP_NUMBER(TP_VERSION_PATCH); }

#ifndef TP_SOURCE_ID
#define TP_SOURCE_ID "unknown"
#endif
const char *tp_source_id(void) { return TP_SOURCE_ID; }
