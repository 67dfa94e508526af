/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the .tpm file that tp_blob.c reads. */
#include "tp_base.h"
#include "tp_state.h"

/* Counts always, writes while there is room. */
typedef struct tp_blob_writer {
    uint8_t *to;
    size_t at, capacity;
    size_t section; /* start of the open section's data */
    uint32_t sections;
} tp_blob_writer;

static void tp_blob_put(tp_blob_writer *w, const void *bytes, size_t n) {
    if (w->to != NULL && w->at + n <= w->capacity && n > 0) { TP_MEMCPY(w->to + w->at, bytes, n); }
    w->at += n;
}

static void tp_blob_put_u32(tp_blob_writer *w, uint32_t u) {
    uint8_t b[4] = {(uint8_t)u, (uint8_t)(u >> 8), (uint8_t)(u >> 16), (uint8_t)(u >> 24)};
    tp_blob_put(w, b, 4);
}

static void tp_blob_pad(tp_blob_writer *w, size_t origin, size_t to) {
    static const uint8_t zero[1] = {0};
    while ((w->at - origin) % to != 0) { tp_blob_put(w, zero, 1); }
}

static void tp_blob_begin(tp_blob_writer *w, const char tag[4]) {
    tp_blob_put(w, tag, 4);
    tp_blob_put_u32(w, 0); /* length: known at the end */
    w->section = w->at;
    w->sections++;
}

static void tp_blob_end(tp_blob_writer *w) {
    size_t end = w->at, length = end - w->section;
    w->at = w->section - 4u;
    tp_blob_put_u32(w, (uint32_t)length);
    w->at = end;
    tp_blob_pad(w, 0, 8);
}

static void tp_blob_put_name(tp_blob_writer *w, const char *name, uint32_t bytes) {
    char text[TP_BLOB_NAME] = {0};
    for (uint32_t i = 0; i + 1u < bytes && name[i] != 0; i++) { text[i] = name[i]; }
    tp_blob_put(w, text, bytes);
}

static void tp_blob_put_model(tp_blob_writer *w, const tp_plan *plan) {
    tp_blob_begin(w, "MODL");
    uint32_t head[8] = {plan->n_nodes, TP_BLOB_NODE, plan->loss, plan->input_dtype, plan->input.rank, plan->input.h, plan->input.w, plan->input.c};
    for (uint32_t i = 0; i < 8; i++) { tp_blob_put_u32(w, head[i]); }
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        uint32_t word[19];
        tp_blob_put_name(w, plan->node[i].node.name, TP_NAME_BYTES);
        tp_blob_node_words(&plan->node[i].node, word);
        for (uint32_t j = 0; j < 19; j++) { tp_blob_put_u32(w, word[j]); }
    }
    tp_blob_end(w);
}

static void tp_blob_put_tensors(tp_blob_writer *w, const tp_net *net) {
    char name[TP_NAME_BYTES + 16];
    tp_tensor t;
    void *data;
    uint32_t offset = 0;
    tp_blob_begin(w, "TENS");
    for (uint32_t i = 0; tp_net_tensor(net, i, &t, name, &data) == TP_OK; i++) {
        uint32_t word[9] = {t.dtype, t.rank, t.dim[0], t.dim[1], t.dim[2], t.dim[3], 0, offset, t.bytes};
        tp_blob_put_name(w, name, TP_BLOB_NAME);
        for (uint32_t j = 0; j < 9; j++) { tp_blob_put_u32(w, word[j]); }
        offset += (t.bytes + TP_WEIGHTS_ALIGN - 1u) / TP_WEIGHTS_ALIGN * TP_WEIGHTS_ALIGN;
    }
    tp_blob_end(w);
    tp_blob_begin(w, "WGTS");
    for (uint32_t i = 0; tp_net_tensor(net, i, &t, name, &data) == TP_OK; i++) {
        tp_blob_put(w, data, t.bytes);
        tp_blob_pad(w, w->section, TP_WEIGHTS_ALIGN);
    }
    tp_blob_end(w);
}

/* Tags that the core itself writes or keeps for later. */
static bool tp_blob_tag_taken(const char tag[4]) {
    static const char taken[6][5] = {"MODL", "TENS", "WGTS", "RECP", "STAT", "QUNT"};
    for (uint32_t i = 0; i < 6; i++) {
        if (tag[0] == taken[i][0] && tag[1] == taken[i][1] && tag[2] == taken[i][2] && tag[3] == taken[i][3]) { return true; }
    }
    return false;
}

static void tp_blob_put_header(tp_blob_writer *w, size_t length, uint32_t crc) {
    tp_blob_put(w, tp_blob_magic, sizeof tp_blob_magic);
    tp_blob_put_u32(w, TP_BLOB_VERSION);
    tp_blob_put_u32(w, (uint32_t)length);
    tp_blob_put_u32(w, w->sections);
    tp_blob_put_u32(w, crc);
}

TP_COLD tp_status tp_blob_save(const tp_net *net, uint32_t flags, const tp_section *extra, uint32_t n_extra, void *buffer,
                       size_t capacity, size_t *length) {
    tp_status idle = tp_net_idle(net);
    if (idle != TP_OK) { return idle; }
    if (length == NULL || (n_extra > 0 && extra == NULL) || (flags & TP_BLOB_WEIGHTS) == 0) { return TP_E_ARG; }
    if ((flags & TP_BLOB_STATE) != 0 && net->plan->training == 0) { return TP_E_MODE; }
    for (uint32_t i = 0; i < n_extra; i++) {
        if (tp_blob_tag_taken(extra[i].tag) || (extra[i].length > 0 && extra[i].data == NULL)) { return TP_E_ARG; }
    }
    tp_blob_writer w = {(uint8_t *)buffer, TP_BLOB_HEADER, capacity, 0, 0};
    tp_blob_put_model(&w, net->plan);
    tp_blob_put_tensors(&w, net);
    if ((flags & TP_BLOB_STATE) != 0) {
        tp_blob_begin(&w, "RECP");
        tp_blob_put(&w, &net->plan->recipe, sizeof net->plan->recipe);
        tp_blob_end(&w);
        tp_blob_begin(&w, "STAT");
        tp_blob_put(&w, net->arena + net->plan->state_at, net->plan->state_bytes);
        tp_blob_end(&w);
    }
    for (uint32_t i = 0; i < n_extra; i++) {
        tp_blob_begin(&w, extra[i].tag);
        tp_blob_put(&w, extra[i].data, extra[i].length);
        tp_blob_end(&w);
    }
    *length = w.at;
    if (w.at > 0x7fffffffu || w.sections > TP_BLOB_MAX_SECTIONS) { return TP_E_LIMIT; }
    if (buffer == NULL) { return TP_OK; }
    if (w.at > capacity) { return TP_E_BUFFER; }
    w.at = 0;
    tp_blob_put_header(&w, *length, 0);
    uint32_t crc = tp_blob_crc((const uint8_t *)buffer, (uint32_t)*length);
    w.at = 0;
    tp_blob_put_header(&w, *length, crc);
    return TP_OK;
}
