/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a training (docs/format.md): records with a checksum each, so that one cut off is good up to its last whole one. */
#include "tp_base.h"
#include "tp_control.h"
#include "tp_state.h"

#include "../include/tinyprop_log.h"

enum { TP_LOG_VERSION = 0x00010001, TP_LOG_SOURCE = 32, TP_LOG_HASHED = 1 };

typedef struct tp_log_head {
    uint32_t version, flags;
    char source[TP_LOG_SOURCE];
    uint64_t model, start; /* hashes of the graph; of weights and training state */
    tp_progress progress;
    uint32_t n_in, n_out, labels, stats_bytes;
    tp_recipe recipe;
} tp_log_head;
_Static_assert(sizeof(tp_log_head) == 256, "the log is a file format");

typedef struct tp_log_entry {
    int32_t result;
    uint32_t n, flags, passed;
    uint64_t stats, net; /* hashes; net: 0 without TP_LOG_HASHED */
} tp_log_entry;
_Static_assert(sizeof(tp_log_entry) == 32, "the log is a file format");

static const uint64_t tp_log_seed = 0xcbf29ce484222325u;

/* FNV-1a over 32-bit words, the last one filled up with zeros. */
static TP_NOINLINE uint64_t tp_log_hash(uint64_t hash, const void *from, uint32_t bytes) {
    const uint8_t *b = (const uint8_t *)from;
    for (uint32_t i = 0; i < bytes; i += 4) {
        uint32_t word = 0;
        TP_MEMCPY(&word, b + i, tp_min_u32(bytes - i, 4u));
        hash = (hash ^ word) * 0x100000001b3u;
    }
    return hash;
}

static uint64_t tp_log_model(const tp_plan *plan) {
    uint64_t hash = tp_log_hash(tp_log_seed, &plan->input, sizeof plan->input);
    hash = tp_log_hash(hash, &plan->loss, 4);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_node node = plan->node[i].node;
        bool ended = false; /* what is behind the end of a name means nothing */
        for (uint32_t j = 0; j < TP_NAME_BYTES; j++) {
            ended = ended || node.name[j] == 0;
            if (ended) { node.name[j] = 0; }
        }
        hash = tp_log_hash(hash, &node, sizeof node);
    }
    return hash;
}

/* Weights and training state, without the gaps between tensors. */
static uint64_t tp_log_net(const tp_net *net) {
    const tp_plan *plan = net->plan;
    uint64_t hash = tp_log_seed;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const tp_plan_node *p = &plan->node[i];
        for (uint32_t t = 0; t < p->n_tensors; t++) {
            hash = tp_log_hash(hash, (tp_in_flash(p, t) ? net->flash : net->arena) + p->tensor[t].offset, p->tensor[t].bytes);
        }
    }
    return tp_log_hash(hash, net->arena + plan->state_at, plan->state_bytes);
}

static TP_NOINLINE void tp_log_write(tp_log *log, const void *bytes, uint32_t length) {
    log->crc = tp_crc32(log->crc, (const uint8_t *)bytes, length);
    if (length > 0 && !log->failed) { log->failed = !log->write(log->user, bytes, length); }
}

static TP_NOINLINE void tp_log_open(tp_log *log, const char tag[4], uint32_t length) {
    log->crc = 0;
    tp_log_write(log, tag, 4);
    tp_log_write(log, &length, 4);
}

static TP_NOINLINE tp_status tp_log_close(tp_log *log) {
    uint32_t crc = log->crc;
    tp_log_write(log, &crc, 4);
    return log->failed ? TP_E_BUFFER : TP_OK;
}

static bool tp_log_ready(const tp_log *log) { return log != NULL && log->write != NULL && (log->flags == TP_LOG_INDEX || log->flags == TP_LOG_SAMPLES); }

tp_status tp_log_begin(tp_log *log, const tp_net *net) {
    static const uint8_t magic[8] = {0x54, 0x50, 0x4c, 0x8f, 0x0d, 0x0a, 0x1a, 0x0a};
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    if (!tp_log_ready(log)) { return TP_E_ARG; }
    const tp_plan *plan = net->plan;
    if (plan->training == 0) { return TP_E_MODE; }
    tp_log_head head;
    TP_MEMSET(&head, 0, sizeof head);
    head.version = TP_LOG_VERSION;
    head.flags = log->flags;
    const char *source = tp_source_id();
    for (uint32_t i = 0; i < TP_LOG_SOURCE - 1u && source[i] != 0; i++) { head.source[i] = source[i]; }
    head.model = tp_log_model(plan);
    head.start = tp_log_net(net);
    head.progress = tp_net_state(net)->progress;
    head.n_in = plan->n_in;
    head.n_out = plan->n_out;
    head.labels = tp_loss_find(plan->loss)->labels ? 1u : 0u;
    head.stats_bytes = tp_stats_bytes(plan);
    head.recipe = plan->recipe;
    log->steps = 0;
    log->failed = false;
    tp_log_write(log, magic, sizeof magic);
    tp_log_open(log, "HEAD", sizeof head);
    tp_log_write(log, &head, sizeof head);
    return tp_log_close(log);
}

tp_status tp_log_step(tp_log *log, const tp_net *net, const tp_batch *batch, const uint32_t *index, const tp_stats *stats, tp_status result) {
    tp_status status = tp_net_idle(net);
    if (status != TP_OK) { return status; }
    if (!tp_log_ready(log) || batch == NULL || (log->flags == TP_LOG_INDEX ? index == NULL : batch->x == NULL && batch->n > 0)) { return TP_E_ARG; }
    if (result != TP_OK && result != TP_E_LOSS && result != TP_E_DELTA) { return TP_OK; }
    const tp_plan *plan = net->plan;
    bool labels = tp_loss_find(plan->loss)->labels, inside = log->flags == TP_LOG_SAMPLES;
    tp_log_entry entry = {result, batch->n, 0, net->recall != NULL ? net->recall->passed : 0u, 0, 0};
    log->steps++;
    if (stats != NULL && result == TP_OK) { entry.stats = tp_log_hash(tp_log_seed, stats, stats->bytes); } /* a NaN has no bits of its own */
    if (log->every > 0 && log->steps % log->every == 0) {
        entry.flags = TP_LOG_HASHED;
        entry.net = tp_log_net(net);
    }
    uint32_t truth = labels ? 4u : 4u * plan->n_out, sample = inside ? 4u * plan->n_in : 4u;
    tp_log_open(log, "STEP", (uint32_t)sizeof entry + batch->n * (truth + sample));
    tp_log_write(log, &entry, sizeof entry);
    tp_log_write(log, labels ? (const void *)batch->label : (const void *)batch->target, batch->n * truth);
    tp_log_write(log, inside ? batch->x : (const void *)index, batch->n * sample);
    return tp_log_close(log);
}

tp_status tp_log_epoch(tp_log *log, bool end) {
    if (!tp_log_ready(log)) { return TP_E_ARG; }
    tp_log_open(log, end ? "EPOE" : "EPOB", 0);
    return tp_log_close(log);
}
