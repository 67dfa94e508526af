/* SPDX-License-Identifier: Apache-2.0 */
/* What a firmware calls that reads a model, trains on samples, predicts and saves: the linker drops the rest. */
#include "tinyprop.h"

tp_status firmware(const uint8_t *file, uint32_t length, tp_node *nodes, tp_plan *plan, uint8_t *arena, float *x, uint32_t *label, tp_stats *stats);

tp_status firmware(const uint8_t *file, uint32_t length, tp_node *nodes, tp_plan *plan, uint8_t *arena, float *x, uint32_t *label, tp_stats *stats) {
    tp_blob blob;
    tp_model model;
    tp_net net;
    const float *y;
    size_t saved;
    tp_recipe recipe = tp_recipe_default();
    tp_batch batch = {.x = x, .label = label, .n = 1};
    tp_status status = tp_blob_open(&blob, file, length);
    if (status == TP_OK) { status = tp_blob_model(&blob, nodes, 16, &model); }
    if (status == TP_OK) { status = tp_plan_make(&model, &recipe, plan, 8192, NULL); }
    if (status == TP_OK) { status = tp_net_open(&net, plan, arena, 65536, NULL); }
    if (status == TP_OK) { status = tp_net_init(&net); }
    if (status == TP_OK) { status = tp_blob_load(&blob, &net, TP_BLOB_WEIGHTS, NULL); }
    if (status == TP_OK) { status = tp_train_step(&net, &batch, stats); }
    if (status == TP_OK) { status = tp_net_forward(&net, x, &y); }
    if (status == TP_OK) { status = tp_blob_save(&net, TP_BLOB_WEIGHTS | TP_BLOB_STATE, NULL, 0, arena, 65536, &saved); }
    return status;
}
