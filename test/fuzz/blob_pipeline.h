/* SPDX-License-Identifier: Apache-2.0 */
/* What a program does with a file it was given: open, plan, load, run, train, save. Nothing in it is trusted, so nothing
 * may crash. Include after csrc/tinyprop.c. */
#ifndef TINYPROP_BLOB_PIPELINE_H
#define TINYPROP_BLOB_PIPELINE_H

#include <stdlib.h>

enum { TP_PIPELINE_ARENA = 1 << 20, TP_PIPELINE_MACS = 1 << 22 };

/* Makes length and checksum right, so that what lies behind them is reached. */
static void tp_pipeline_sign(uint8_t *bytes, size_t length) {
    if (length < TP_BLOB_HEADER) { return; }
    uint32_t crc, n = (uint32_t)length;
    memcpy(bytes, tp_blob_magic, sizeof tp_blob_magic);
    memcpy(bytes + 12, &n, 4);
    crc = tp_blob_crc(bytes, n);
    memcpy(bytes + TP_BLOB_CRC_AT, &crc, 4);
}

static void tp_pipeline_sections(const tp_blob *blob) {
    char tag[5];
    const uint8_t *data;
    uint32_t length, sum = 0;
    for (uint32_t i = 0; tp_blob_entry(blob, i, tag, &data, &length) == TP_OK; i++) {
        for (uint32_t j = 0; j < length; j++) { sum += data[j]; }
    }
    volatile uint32_t sink = sum;
    (void)sink;
}

/* Steps on made-up data, and a save of what came out. */
static void tp_pipeline_train(tp_net *net, const tp_plan *plan) {
    uint32_t n = plan->recipe.batch < 3u ? plan->recipe.batch : 3u;
    float *x = (float *)calloc((size_t)n * plan->n_in, sizeof(float)), *target = (float *)calloc((size_t)n * plan->n_out, sizeof(float));
    uint32_t *label = (uint32_t *)calloc(n, sizeof(uint32_t));
    tp_stats *stats = (tp_stats *)calloc(1, tp_stats_bytes(plan));
    size_t length = 0;
    if (x == NULL || target == NULL || label == NULL || stats == NULL) { abort(); }
    for (uint32_t i = 0; i < n * plan->n_in; i++) { x[i] = (float)(i % 7u) * 0.25f - 0.75f; }
    tp_batch batch = {x, label, target, n};
    for (uint32_t i = 0; i < 2; i++) { (void)tp_train_step(net, &batch, stats); }
    (void)tp_net_epoch_begin(net);
    (void)tp_net_lr(net);
    if (tp_blob_save(net, TP_BLOB_WEIGHTS | TP_BLOB_STATE, NULL, 0, NULL, 0, &length) != TP_OK) { abort(); }
    uint8_t *bytes = (uint8_t *)malloc(length);
    tp_blob again;
    if (bytes == NULL || tp_blob_save(net, TP_BLOB_WEIGHTS | TP_BLOB_STATE, NULL, 0, bytes, length, &length) != TP_OK) { abort(); }
    if (tp_blob_open(&again, bytes, length) != TP_OK) { abort(); } /* what we write we can read */
    free(bytes);
    free(stats);
    free(label);
    free(target);
    free(x);
}

/* A net of the plan: loads, runs, trains. */
static tp_status tp_pipeline_net(const tp_blob *blob, const tp_plan *plan, bool training) {
    uint8_t *arena = (uint8_t *)aligned_alloc(TP_ALIGN, (plan->arena_bytes + TP_ALIGN) / TP_ALIGN * TP_ALIGN);
    float *x = (float *)calloc(plan->n_in, sizeof(float));
    tp_net net;
    uint32_t loaded;
    const float *y;
    if (arena == NULL || x == NULL) { abort(); }
    tp_status status = tp_net_open(&net, plan, arena, plan->arena_bytes, NULL);
    if (status == TP_OK) {
        if (tp_net_init(&net) != TP_OK) { abort(); }
        status = tp_blob_load(blob, &net, TP_BLOB_WEIGHTS | (training ? TP_BLOB_STATE : 0u), &loaded);
        if (status != TP_OK) { (void)tp_blob_load(blob, &net, TP_BLOB_WEIGHTS | TP_BLOB_PARTIAL, &loaded); }
        if (tp_net_forward(&net, x, &y) != TP_OK) { abort(); }
        if (training) { tp_pipeline_train(&net, plan); }
    } else if (status != TP_E_RECIPE || TP_CONTROL_FLUSH != 0) { /* `flush` on a machine that cannot is no plan's fault */
        abort();
    }
    free(x);
    free(arena);
    return status;
}

/* Everything after tp_blob_open. The status of the first refusal. */
static tp_status tp_pipeline_live(const tp_blob *blob) {
    tp_node *node = (tp_node *)malloc(TP_MAX_NODES * sizeof(tp_node));
    tp_plan *plan = (tp_plan *)malloc(tp_plan_bytes(TP_MAX_NODES));
    tp_model model;
    tp_recipe recipe;
    uint32_t where;
    if (node == NULL || plan == NULL) { abort(); }
    tp_status status = tp_blob_model(blob, node, TP_MAX_NODES, &model);
    bool training = status == TP_OK && tp_blob_recipe(blob, &recipe) == TP_OK;
    if (status == TP_OK) { status = tp_plan_make(&model, training ? &recipe : NULL, plan, tp_plan_bytes(TP_MAX_NODES), &where); }
    if (status == TP_OK && plan->arena_bytes <= TP_PIPELINE_ARENA && plan->n_in <= TP_PIPELINE_ARENA && plan->macs_forward <= TP_PIPELINE_MACS) {
        status = tp_pipeline_net(blob, plan, training);
    }
    free(plan);
    free(node);
    return status;
}

/* The bytes as they are. */
static tp_status tp_pipeline(const uint8_t *bytes, size_t length) {
    tp_blob blob;
    tp_status status = tp_blob_open(&blob, bytes, length);
    if (status != TP_OK) { return status; }
    tp_pipeline_sections(&blob);
    return tp_pipeline_live(&blob);
}

#endif /* TINYPROP_BLOB_PIPELINE_H */
