/* SPDX-License-Identifier: Apache-2.0 */
/* A net that is trained and stored, a second one of the same model that boots and loads, and the flash between them. */
#ifndef TINYPROP_TP_STORE_RIG_H
#define TINYPROP_TP_STORE_RIG_H

#include "tp_build.h"
#include "tp_flash_sim.h"

enum { TP_ALL = TP_BLOB_WEIGHTS | TP_BLOB_STATE, TP_RIG_BUFFER = 1024 };

typedef struct tp_geometry {
    uint32_t read_size, prog_size, block_size, blocks, slots, buffer;
} tp_geometry;

typedef struct tp_rig {
    tp_sim sim;
    tp_geometry geometry;
    tp_live trained, booted;
    tp_data data;
    tp_store store, reader;
    uint64_t buffer[TP_RIG_BUFFER / 8];
} tp_rig;

static tp_store_config tp_rig_config(tp_rig *r) {
    return (tp_store_config){&r->sim.flash, r->geometry.slots, 0, TP_ALL, r->buffer, r->geometry.buffer};
}

/* Sizes end with 0. */
static void tp_rig_open(tp_rig *r, const tp_geometry *geometry, const uint32_t *sizes) {
    tp_graph g;
    tp_recipe recipe = tp_recipe_of("tinypropv2", "momentum", 1, 0.05f);
    recipe.policy_params.tau = -1.0f; /* every sample is trained: every step changes weights */
    recipe.policy_params.d_min = 0.0f;
    r->geometry = *geometry;
    tp_graph_mlp(&g, sizes, "softmax_cross_entropy");
    TP_CHECK_STATUS(tp_live_open(&r->trained, &g, &recipe, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&r->booted, &g, &recipe, NULL), TP_OK);
    r->data = tp_data_make(r->trained.plan, 8, 3);
    tp_sim_open(&r->sim, geometry->read_size, geometry->prog_size, geometry->block_size, geometry->blocks);
    tp_store_config config = tp_rig_config(r);
    TP_CHECK_STATUS(tp_store_open(&r->store, &config, &r->trained.net), TP_OK);
    TP_CHECK_STATUS(tp_store_open(&r->reader, &config, &r->booted.net), TP_OK);
}

static void tp_rig_close(tp_rig *r) {
    TP_CHECKF(r->sim.violations == 0, "%u violations", r->sim.violations);
    tp_data_free(&r->data);
    tp_live_close(&r->trained);
    tp_live_close(&r->booted);
    tp_sim_close(&r->sim);
}

/* What a store keeps of a net. */
static uint64_t tp_rig_hash(const tp_live *v) { return tp_hash(0, v->arena, tp_live_kept_bytes(v)); }

/* One training step, one commit. */
static tp_status tp_rig_commit(tp_rig *r, tp_store_info *info) {
    TP_CHECK_STATUS(tp_live_train(&r->trained, &r->data, 1, 1), TP_OK);
    return tp_store_commit(&r->store, 0.0f, 0, info);
}

/* A boot: weights of its own, then whatever the flash has. */
static tp_status tp_rig_boot(tp_rig *r, tp_store_info *info) {
    tp_sim_boot(&r->sim);
    tp_store_config config = tp_rig_config(r);
    r->booted.net.ready = 1;
    TP_CHECK_STATUS(tp_net_init(&r->booted.net), TP_OK);
    TP_CHECK_STATUS(tp_store_open(&r->reader, &config, &r->booted.net), TP_OK);
    return tp_store_load(&r->reader, TP_ALL, info);
}

/* Changes a header in the flash and makes its checksum right. */
static tp_store_header *tp_rig_header(tp_rig *r, uint32_t slot) {
    return (tp_store_header *)(void *)(r->sim.bytes + (size_t)slot * r->store.slot_bytes);
}

static void tp_rig_sign(tp_store_header *h) { h->crc = tp_crc32(0, (const uint8_t *)h, offsetof(tp_store_header, crc)); }

#endif /* TINYPROP_TP_STORE_RIG_H */
