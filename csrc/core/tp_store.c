/* SPDX-License-Identifier: Apache-2.0 */
/* Slots in raw flash (docs/store.md): payload = the data of the .tpm sections WGTS and STAT, header last. Everything read is
 * untrusted. What the flash holds is always read again, never remembered: a commit after a failed one needs no repair. */
#include "../include/tinyprop_store.h"
#include "tp_base.h"
#include "tp_state.h"

enum { TP_STORE_VERSION = 1 << 16 }; /* major << 16 | minor: a reader accepts its own major */

static const uint8_t tp_store_magic[4] = {'T', 'P', 'S', 0x8f};

/* Magic, version, sequence and checksum stand there in every version. */
typedef struct tp_store_header {
    uint8_t magic[4];
    uint32_t version, sequence, erases;
    uint64_t model;
    uint32_t state, slot_bytes, weights_bytes, state_bytes, weights_crc, state_crc;
    uint64_t samples;
    float metric;
    uint32_t crc; /* of the 60 bytes before */
} tp_store_header;

_Static_assert(sizeof(tp_store_header) == TP_STORE_HEADER, "the header is part of the format");

/* --- fingerprints --- */

static uint64_t tp_store_hash(uint64_t hash, const void *bytes, uint32_t n) { /* FNV-1a */
    for (uint32_t i = 0; i < n; i++) { hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u; }
    return hash;
}

/* All of the graph that decides what weights mean; not how they started (init) or whether they train (frozen). */
static uint64_t tp_store_model(const tp_plan *plan, uint32_t key) {
    const uint32_t head[] = {plan->n_nodes, plan->loss, plan->input_dtype, plan->input.rank, plan->input.h, plan->input.w, plan->input.c, key};
    uint64_t hash = tp_store_hash(0xcbf29ce484222325u, head, sizeof head);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        tp_node node = plan->node[i].node;
        uint32_t length = 0;
        while (length < TP_NAME_BYTES && node.name[length] != 0) { length++; }
        node.flags &= ~(TP_FLAG_FROZEN | TP_FLAG_BIAS_TRAINS);
        node.init = 0;
        hash = tp_store_hash(hash, &length, sizeof length);
        hash = tp_store_hash(hash, node.name, length);
        hash = tp_store_hash(hash, &node.op, sizeof node - TP_NAME_BYTES);
    }
    return hash;
}

/* All that decides what the bytes of the training state mean. */
static uint32_t tp_store_state(const tp_plan *plan) {
    if (plan->training == 0) { return 0; }
    const uint32_t head[] = {plan->recipe.policy, plan->recipe.optimizer, plan->state_bytes};
    uint64_t hash = tp_store_hash(0xcbf29ce484222325u, head, sizeof head);
    for (uint32_t i = 0; i < plan->n_nodes; i++) { hash = tp_store_hash(hash, &plan->node[i].trainable, sizeof plan->node[i].trainable); }
    return (uint32_t)(hash ^ hash >> 32);
}

/* --- sizes --- */

/* Tensors as in WGTS: each followed by zeros. Not above params_bytes, where they stand further apart. */
static uint32_t tp_store_weights_bytes(const tp_plan *plan) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        for (uint32_t t = 0; t < plan->node[i].n_tensors; t++) {
            if (tp_in_flash(&plan->node[i], t)) { continue; }
            bytes += (plan->node[i].tensor[t].bytes + TP_WEIGHTS_ALIGN - 1u) / TP_WEIGHTS_ALIGN * TP_WEIGHTS_ALIGN;
        }
    }
    return bytes;
}

static bool tp_store_flags_known(uint32_t flags) { return (flags & ~TP_BLOB_STATE) == TP_BLOB_WEIGHTS; }

uint32_t tp_store_bytes(const tp_plan *plan, uint32_t flags, uint32_t prog_size) {
    if (plan == NULL || !tp_store_flags_known(flags) || prog_size == 0 || prog_size > 512u) { return 0; }
    if ((flags & TP_BLOB_STATE) != 0 && plan->training == 0) { return 0; }
    uint64_t payload = (uint64_t)tp_store_weights_bytes(plan) + ((flags & TP_BLOB_STATE) != 0 ? plan->state_bytes : 0u);
    uint64_t bytes = ((TP_STORE_HEADER + prog_size - 1u) / prog_size + (payload + prog_size - 1u) / prog_size) * prog_size;
    return bytes <= 0xffffffffu ? (uint32_t)bytes : 0u;
}

tp_status tp_store_open(tp_store *store, const tp_store_config *config, tp_net *net) {
    if (store == NULL || config == NULL || !tp_net_ready(net) || config->flash == NULL || config->buffer == NULL) { return TP_E_ARG; }
    const tp_flash *f = config->flash;
    if (f->read == NULL || f->prog == NULL || f->erase == NULL || f->sync == NULL || !tp_store_flags_known(config->flags)) { return TP_E_ARG; }
    if (f->read_size == 0 || f->prog_size == 0 || f->prog_size > 512u || f->prog_size % f->read_size != 0) { return TP_E_ARG; }
    uint32_t head = (TP_STORE_HEADER + f->prog_size - 1u) / f->prog_size * f->prog_size;
    if (f->block_size < head || f->block_size % f->prog_size != 0 || config->slots < 2 || f->block_count < config->slots) { return TP_E_ARG; }
    if (config->buffer_bytes < head || (uintptr_t)config->buffer % 8u != 0) { return TP_E_ARG; }
    if ((config->flags & TP_BLOB_STATE) != 0 && net->plan->training == 0) { return TP_E_MODE; }
    uint32_t blocks = f->block_count / config->slots, bytes = tp_store_bytes(net->plan, config->flags, f->prog_size);
    if ((uint64_t)blocks * f->block_size > 0xffffffffu || bytes == 0 || bytes > blocks * f->block_size) { return TP_E_LIMIT; }
    TP_MEMSET(store, 0, sizeof *store);
    store->config = *config;
    store->net = net;
    store->model = tp_store_model(net->plan, config->key);
    store->state = tp_store_state(net->plan);
    store->slot_blocks = blocks;
    store->slot_bytes = blocks * f->block_size;
    store->head = head;
    store->chunk = config->buffer_bytes / f->prog_size * f->prog_size;
    store->weights_bytes = tp_store_weights_bytes(net->plan);
    return TP_OK;
}

static bool tp_store_ready(const tp_store *store) { return store != NULL && tp_net_ready(store->net); }

/* --- payload --- */

/* A place in the payload, on the side of the net. */
typedef struct tp_store_cursor {
    uint8_t *at;
    uint32_t bytes, pad; /* left of this tensor; zeros that follow it */
    uint32_t next;       /* tensor; past the last: the training state */
} tp_store_cursor;

/* The next n bytes of the payload: from the net to the buffer, or `take`n from the buffer into the net. */
static void tp_store_move(const tp_net *net, tp_store_cursor *c, uint8_t *buffer, uint32_t n, bool take) {
    for (uint32_t step; n > 0; n -= step, buffer += step) {
        if (c->bytes == 0 && c->pad == 0) {
            tp_tensor t = {.bytes = net->plan->state_bytes};
            void *data = net->arena + net->plan->state_at;
            bool tensor = tp_net_tensor(net, c->next, &t, NULL, &data) == TP_OK;
            if (tensor && tp_net_in_flash(net, c->next)) { t.bytes = 0; } /* is there anyway */
            c->next++;
            c->at = (uint8_t *)data;
            c->bytes = t.bytes;
            c->pad = tensor ? (TP_WEIGHTS_ALIGN - t.bytes % TP_WEIGHTS_ALIGN) % TP_WEIGHTS_ALIGN : 0u;
        }
        step = tp_min_u32(n, c->bytes > 0 ? c->bytes : c->pad);
        if (c->bytes == 0) {
            if (!take) { TP_MEMSET(buffer, 0, step); }
            c->pad -= step;
            continue;
        }
        TP_MEMCPY(take ? c->at : buffer, take ? buffer : c->at, step);
        c->at += step;
        c->bytes -= step;
    }
}

typedef enum tp_store_walk_kind {
    TP_STORE_SUM,   /* net -> checksums */
    TP_STORE_WRITE, /* net -> flash */
    TP_STORE_CHECK, /* flash -> checksums */
    TP_STORE_TAKE   /* flash -> net */
} tp_store_walk_kind;

/* Passes once over weights and state_bytes of training state; crc[0] and crc[1] are the checksums of what passed. */
static tp_status tp_store_walk(const tp_store *s, uint32_t slot, uint32_t state_bytes, tp_store_walk_kind kind, uint32_t crc[2]) {
    const tp_flash *f = s->config.flash;
    uint8_t *buffer = (uint8_t *)s->config.buffer;
    bool from_net = kind == TP_STORE_SUM || kind == TP_STORE_WRITE;
    tp_store_cursor cursor = {NULL, 0, 0, 0};
    uint32_t length = s->weights_bytes + state_bytes, n;
    crc[0] = crc[1] = 0;
    for (uint32_t at = 0; at < length; at += n) {
        uint32_t block = slot * s->slot_blocks + (s->head + at) / f->block_size, offset = (s->head + at) % f->block_size;
        n = tp_min_u32(length - at, tp_min_u32(s->chunk, f->block_size - offset));
        uint32_t units = (n + f->prog_size - 1u) / f->prog_size * f->prog_size;
        if (!from_net && f->read(f, block, offset, buffer, units) != 0) { return TP_E_FLASH; }
        if (kind != TP_STORE_CHECK) { tp_store_move(s->net, &cursor, buffer, n, kind == TP_STORE_TAKE); }
        if (kind == TP_STORE_WRITE) {
            TP_MEMSET(buffer + n, 0xff, units - n);
            if (f->prog(f, block, offset, buffer, units) != 0) { return TP_E_FLASH; }
        }
        uint32_t weights = at < s->weights_bytes ? tp_min_u32(n, s->weights_bytes - at) : 0u;
        crc[0] = tp_crc32(crc[0], buffer, weights);
        crc[1] = tp_crc32(crc[1], buffer + weights, n - weights);
    }
    return TP_OK;
}

/* --- headers --- */

static void tp_store_tell(const tp_store_header *h, uint32_t slot, tp_store_info *info) {
    *info = (tp_store_info){slot, h->sequence, h->erases, 0, h->weights_bytes, h->state_bytes, h->metric, h->samples};
}

/* Reads and judges a header; its content may be used on TP_OK and TP_E_MISMATCH, its sequence also on TP_E_VERSION. */
static tp_status tp_store_header_read(const tp_store *s, uint32_t slot, tp_store_header *h) {
    const tp_flash *f = s->config.flash;
    if (f->read(f, slot * s->slot_blocks, 0, s->config.buffer, s->head) != 0) { return TP_E_FLASH; }
    TP_MEMCPY(h, s->config.buffer, sizeof *h);
    for (uint32_t i = 0; i < sizeof tp_store_magic; i++) {
        if (h->magic[i] != tp_store_magic[i]) { return TP_E_EMPTY; }
    }
    if (tp_crc32(0, (const uint8_t *)h, offsetof(tp_store_header, crc)) != h->crc) { return TP_E_CRC; }
    if (h->version >> 16 != TP_STORE_VERSION >> 16) { return TP_E_VERSION; }
    bool ours = h->model == s->model && h->slot_bytes == s->slot_bytes && h->weights_bytes == s->weights_bytes;
    if (!ours || h->state_bytes > s->slot_bytes - s->head - s->weights_bytes) { return TP_E_MISMATCH; }
    return TP_OK;
}

static tp_status tp_store_payload_check(const tp_store *s, uint32_t slot, const tp_store_header *h) {
    uint32_t crc[2];
    tp_status status = tp_store_walk(s, slot, h->state_bytes, TP_STORE_CHECK, crc);
    return status == TP_OK && (crc[0] != h->weights_crc || crc[1] != h->state_crc) ? TP_E_CRC : status;
}

/* What a look at all slots found. */
typedef struct tp_store_scan {
    tp_store_header header; /* of the newest intact slot, if there is one */
    uint32_t slot;
    uint32_t sequence, last; /* newest of all intact headers, other models' too, and its slot */
    uint32_t erases;         /* most of any slot with a readable count */
    bool any;                /* there is an intact header */
    tp_status reason;        /* why there is no intact slot */
} tp_store_scan;

static void tp_store_scan_note(tp_store_scan *scan, uint32_t slot, tp_status status, const tp_store_header *h) {
    if (status != TP_OK && status != TP_E_EMPTY && (scan->reason == TP_E_EMPTY || status < scan->reason)) { scan->reason = status; }
    if (status == TP_OK || status == TP_E_MISMATCH) { scan->erases = tp_max_u32(scan->erases, h->erases); }
    if (status != TP_OK && status != TP_E_MISMATCH && status != TP_E_VERSION) { return; }
    if (scan->any && (int32_t)(h->sequence - scan->sequence) <= 0) { return; }
    scan->any = true;
    scan->sequence = h->sequence;
    scan->last = slot;
}

/* The newest slot whose header and payload are intact: headers first, then payloads from the newest back. Sequence numbers
 * wrap; forged ones can confuse the order but not make it endless. */
static tp_status tp_store_scan_slots(const tp_store *s, tp_store_scan *scan) {
    TP_MEMSET(scan, 0, sizeof *scan);
    scan->reason = TP_E_EMPTY;
    for (uint32_t round = 0, below = 0; round < s->config.slots; round++) {
        bool found = false;
        for (uint32_t slot = 0; slot < s->config.slots; slot++) {
            tp_store_header h;
            tp_status status = tp_store_header_read(s, slot, &h);
            if (round == 0) { tp_store_scan_note(scan, slot, status, &h); }
            if (status != TP_OK || (round > 0 && (int32_t)(h.sequence - below) >= 0)) { continue; }
            if (found && (int32_t)(h.sequence - scan->header.sequence) <= 0) { continue; }
            found = true;
            scan->header = h;
            scan->slot = slot;
        }
        if (!found) { break; }
        tp_status status = tp_store_payload_check(s, scan->slot, &scan->header);
        if (status == TP_OK) { return TP_OK; }
        tp_store_scan_note(scan, scan->slot, status, &scan->header);
        below = scan->header.sequence;
    }
    return scan->reason;
}

tp_status tp_store_slot(tp_store *store, uint32_t slot, tp_store_info *info) {
    if (!tp_store_ready(store) || info == NULL || slot >= store->config.slots) { return TP_E_ARG; }
    tp_store_header h;
    *info = (tp_store_info){.slot = slot};
    tp_status status = tp_store_header_read(store, slot, &h);
    if (status == TP_OK || status == TP_E_MISMATCH) { tp_store_tell(&h, slot, info); }
    return status == TP_OK ? tp_store_payload_check(store, slot, &h) : status;
}

/* --- load --- */

static uint64_t tp_store_samples(const tp_store *s) { return s->net->plan->training != 0 ? tp_net_state(s->net)->progress.samples : 0u; }

static void tp_store_remember(tp_store *store, const tp_store_header *h, uint32_t slot) {
    store->known = 1;
    tp_store_tell(h, slot, &store->newest);
    store->mark = tp_store_samples(store);
}

static tp_status tp_store_state_fits(const tp_store *s, const tp_store_header *h) {
    if (s->net->plan->training == 0 || h->state_bytes == 0) { return TP_E_MODE; }
    return h->state == s->state && h->state_bytes == s->net->plan->state_bytes ? TP_OK : TP_E_MISMATCH;
}

tp_status tp_store_load(tp_store *store, uint32_t flags, tp_store_info *info) {
    if (store == NULL || !tp_store_flags_known(flags)) { return TP_E_ARG; }
    bool state = (flags & TP_BLOB_STATE) != 0, mixed = false;
    tp_store_scan scan;
    tp_status status = tp_net_idle(store->net);
    if (status != TP_OK) { return status; }
    store->known = 0;
    for (uint32_t tries = 0; tries < 3 && status == TP_OK; tries++) {
        uint32_t crc[2];
        status = tp_store_scan_slots(store, &scan);
        if (status == TP_OK && state) { status = tp_store_state_fits(store, &scan.header); }
        if (status != TP_OK) { break; }
        status = tp_store_walk(store, scan.slot, state ? scan.header.state_bytes : 0u, TP_STORE_TAKE, crc);
        if (status == TP_OK && crc[0] == scan.header.weights_crc && (!state || crc[1] == scan.header.state_crc)) {
            tp_store_remember(store, &scan.header, scan.slot);
            if (info != NULL) { *info = store->newest; }
            return TP_OK;
        }
        mixed = true; /* not the bytes that passed a moment ago */
        status = TP_OK;
    }
    if (!mixed) { return status; }
    store->net->ready = 0;
    return TP_E_FLASH;
}

/* --- commit --- */

static bool tp_store_finite(const tp_net *net) {
    tp_tensor t;
    void *data;
    for (uint32_t i = 0; tp_net_tensor(net, i, &t, NULL, &data) == TP_OK; i++) {
        if (!tp_net_sane(net, i, (const uint8_t *)data)) { return false; }
    }
    return true;
}

/* The slot to write: after the newest intact one, and never that one. Without one, any that can be read: what cannot be read
 * now may be good later. */
static tp_status tp_store_target(const tp_store *s, const tp_store_scan *scan, bool intact, uint32_t *slot) {
    uint32_t slots = s->config.slots;
    if (intact) {
        *slot = (scan->slot + 1u + s->failures % (slots - 1u)) % slots;
        return TP_OK;
    }
    uint32_t first = (scan->any ? scan->last + 1u : 0u) + s->failures % slots;
    for (uint32_t i = 0; i < slots; i++) {
        tp_store_header h;
        *slot = (first % slots + i) % slots;
        if (tp_store_header_read(s, *slot, &h) != TP_E_FLASH) { return TP_OK; }
    }
    return TP_E_FLASH;
}

/* Erases of that slot so far. A header that is lost: never used in the first round, else about as often as the others. */
static uint32_t tp_store_erases(const tp_store *s, const tp_store_scan *scan, uint32_t slot) {
    tp_store_header h;
    tp_status status = tp_store_header_read(s, slot, &h);
    if (status == TP_OK || status == TP_E_MISMATCH) { return h.erases; }
    return scan->sequence >= s->config.slots ? scan->erases : 0u;
}

/* Header last: until its last bit is programmed the slot does not count. */
static tp_status tp_store_write(const tp_store *s, uint32_t slot, tp_store_header *h) {
    const tp_flash *f = s->config.flash;
    uint8_t *buffer = (uint8_t *)s->config.buffer;
    uint32_t crc[2], first = slot * s->slot_blocks;
    uint32_t bytes = s->head + h->weights_bytes + h->state_bytes;
    for (uint32_t at = 0; at < bytes; at += f->block_size) {
        if (f->erase(f, first + at / f->block_size) != 0) { return TP_E_FLASH; }
        if (bytes - at <= f->block_size) { break; } /* at must not wrap */
    }
    tp_status status = tp_store_walk(s, slot, h->state_bytes, TP_STORE_WRITE, crc);
    if (status != TP_OK || f->sync(f) != 0 || tp_store_payload_check(s, slot, h) != TP_OK) { return TP_E_FLASH; }
    h->crc = tp_crc32(0, (const uint8_t *)h, offsetof(tp_store_header, crc));
    TP_MEMCPY(buffer, h, sizeof *h);
    TP_MEMSET(buffer + sizeof *h, 0xff, s->head - sizeof *h);
    if (f->prog(f, first, 0, buffer, s->head) != 0 || f->sync(f) != 0) { return TP_E_FLASH; }
    tp_store_header back;
    return tp_store_header_read(s, slot, &back) == TP_OK && back.crc == h->crc ? TP_OK : TP_E_FLASH;
}

tp_status tp_store_commit(tp_store *store, float metric, uint32_t flags, tp_store_info *info) {
    if (store == NULL || (flags & ~TP_STORE_ALWAYS) != 0) { return TP_E_ARG; }
    tp_status status = tp_net_idle(store->net);
    if (status != TP_OK) { return status; }
    if (!tp_finite(metric) || !tp_store_finite(store->net)) { return TP_E_DATA; }
    bool state = (store->config.flags & TP_BLOB_STATE) != 0;
    tp_store_header h = {.version = TP_STORE_VERSION, .model = store->model, .state = state ? store->state : 0u, .slot_bytes = store->slot_bytes,
                         .weights_bytes = store->weights_bytes, .state_bytes = state ? store->net->plan->state_bytes : 0u,
                         .samples = tp_store_samples(store), .metric = metric};
    TP_MEMCPY(h.magic, tp_store_magic, sizeof h.magic);
    uint32_t crc[2], slot;
    (void)tp_store_walk(store, 0, h.state_bytes, TP_STORE_SUM, crc);
    h.weights_crc = crc[0];
    h.state_crc = crc[1];
    tp_store_scan scan;
    bool intact = tp_store_scan_slots(store, &scan) == TP_OK;
    bool same = intact && scan.header.weights_crc == h.weights_crc && scan.header.state == h.state && scan.header.state_bytes == h.state_bytes;
    if (same && (flags & TP_STORE_ALWAYS) == 0) {
        tp_store_remember(store, &scan.header, scan.slot);
        if (info != NULL) { *info = store->newest; }
        return TP_OK;
    }
    status = tp_store_target(store, &scan, intact, &slot);
    if (status != TP_OK) { return status; }
    h.sequence = scan.any ? scan.sequence + 1u : 1u;
    h.erases = tp_store_erases(store, &scan, slot) + 1u;
    status = tp_store_write(store, slot, &h);
    store->failures = status == TP_OK ? 0u : store->failures + 1u;
    if (status != TP_OK) { return status; }
    tp_store_remember(store, &h, slot);
    if (info != NULL) {
        *info = store->newest;
        info->written = 1;
    }
    return TP_OK;
}

/* --- policy --- */

uint32_t tp_store_due(const tp_store *store, const tp_store_policy *policy, float metric) {
    if (!tp_store_ready(store) || policy == NULL) { return TP_STORE_SOON; }
    uint64_t samples = tp_store_samples(store), since = samples >= store->mark ? samples - store->mark : samples; /* after a reset */
    uint32_t against = since < policy->min_samples ? TP_STORE_SOON : 0u;
    bool overdue = policy->max_samples > 0 && since >= policy->max_samples;
    if (store->known != 0 && !overdue && !(metric >= store->newest.metric + policy->min_gain)) { against |= TP_STORE_NO_GAIN; }
    if (store->known != 0 && policy->endurance > 0 && store->newest.erases >= policy->endurance) { against |= TP_STORE_WORN; }
    return against;
}
