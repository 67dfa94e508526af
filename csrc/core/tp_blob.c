/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the .tpm file (docs/format.md): little-endian, versioned, one CRC, tagged sections. Everything read is untrusted. */
#include "tp_base.h"
#include "tp_state.h"

enum {
    TP_BLOB_VERSION = 1 << 16 | 2, /* major << 16 | minor: a reader accepts its own major */
    TP_BLOB_HEADER = 24,        /* magic 8, version, length, sections, crc */
    TP_BLOB_CRC_AT = 20,
    TP_BLOB_NODE = 108,         /* bytes of a node record */
    TP_BLOB_NODE_MIN = 100,     /* of version 1.0: without scale and zero */
    TP_BLOB_RECIPE_MIN = 120,   /* before version 1.2: without rate and what follows it */
    TP_BLOB_MODEL_HEAD = 32,
    TP_BLOB_TENSOR = 84,
    TP_BLOB_NAME = TP_NAME_BYTES + 16,
    TP_BLOB_MAX_SECTIONS = 64 /* finding one walks the list: a hostile count must not make that quadratic */
};

static const uint8_t tp_blob_magic[8] = {'T', 'P', 'M', 0x8f, '\r', '\n', 0x1a, '\n'};

_Static_assert(sizeof(tp_recipe) == 152, "the recipe is part of the file format");

/* CRC-32 (IEEE 802.3), four bits at a time: a table of 64 bytes. */
static uint32_t tp_crc32(uint32_t crc, const uint8_t *bytes, size_t n) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc = crc >> 4 ^ table[(crc ^ bytes[i]) & 15u];
        crc = crc >> 4 ^ table[(crc ^ (uint32_t)(bytes[i] >> 4)) & 15u];
    }
    return ~crc;
}

static uint32_t tp_blob_crc(const uint8_t *bytes, uint32_t length) {
    uint32_t crc = tp_crc32(0, bytes, TP_BLOB_CRC_AT);
    return tp_crc32(crc, bytes + TP_BLOB_HEADER, length - TP_BLOB_HEADER);
}

TP_INLINE uint32_t tp_blob_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

TP_COLD tp_status tp_blob_entry(const tp_blob *blob, uint32_t index, char tag[5], const uint8_t **data, uint32_t *length) {
    if (blob == NULL || blob->bytes == NULL || tag == NULL || data == NULL || length == NULL) { return TP_E_ARG; }
    uint32_t sections = tp_blob_u32(blob->bytes + 16), at = TP_BLOB_HEADER;
    for (uint32_t i = 0; i < sections; i++) {
        if (blob->length - at < 8u) { return TP_E_BLOB; }
        uint32_t bytes = tp_blob_u32(blob->bytes + at + 4);
        if (bytes > blob->length - at - 8u) { return TP_E_BLOB; }
        if (i == index) {
            TP_MEMCPY(tag, blob->bytes + at, 4);
            tag[4] = 0;
            *data = blob->bytes + at + 8;
            *length = bytes;
            return TP_OK;
        }
        uint64_t next = (uint64_t)at + 8u + ((uint64_t)bytes + 7u) / 8u * 8u;
        if (next > blob->length) { return TP_E_BLOB; }
        at = (uint32_t)next;
    }
    return TP_E_ARG;
}

TP_COLD tp_status tp_blob_section(const tp_blob *blob, const char tag[4], const uint8_t **data, uint32_t *length) {
    char found[5];
    if (blob == NULL || tag == NULL || data == NULL || length == NULL) { return TP_E_ARG; }
    tp_status status = TP_OK;
    for (uint32_t i = 0; status == TP_OK; i++) {
        status = tp_blob_entry(blob, i, found, data, length);
        if (status == TP_OK && found[0] == tag[0] && found[1] == tag[1] && found[2] == tag[2] && found[3] == tag[3]) { return TP_OK; }
    }
    *data = NULL;
    *length = 0;
    return status == TP_E_ARG ? TP_OK : status;
}

/* Every section inside the file, every record inside its section. */
static tp_status tp_blob_check(tp_blob *blob) {
    char tag[5];
    const uint8_t *data, *weights;
    uint32_t length, weights_length, sections = tp_blob_u32(blob->bytes + 16), end = TP_BLOB_HEADER;
    for (uint32_t i = 0; i < sections; i++) {
        if (tp_blob_entry(blob, i, tag, &data, &length) != TP_OK) { return TP_E_BLOB; }
        end = (uint32_t)(data - blob->bytes) + (length + 7u) / 8u * 8u;
    }
    if (end != blob->length) { return TP_E_BLOB; }
    if (tp_blob_section(blob, "MODL", &data, &length) != TP_OK || data == NULL || length < TP_BLOB_MODEL_HEAD) { return TP_E_BLOB; }
    blob->n_nodes = tp_blob_u32(data);
    if (blob->n_nodes == 0 || blob->n_nodes > TP_MAX_NODES || tp_blob_u32(data + 4) < TP_BLOB_NODE_MIN || tp_blob_u32(data + 4) > 4096 ||
        length != TP_BLOB_MODEL_HEAD + blob->n_nodes * tp_blob_u32(data + 4)) {
        return TP_E_BLOB;
    }
    if (tp_blob_section(blob, "WGTS", &weights, &weights_length) != TP_OK || weights == NULL) { return TP_E_BLOB; }
    if (tp_blob_section(blob, "TENS", &data, &length) != TP_OK || data == NULL || length % TP_BLOB_TENSOR != 0) { return TP_E_BLOB; }
    for (uint32_t at = 0; at < length; at += TP_BLOB_TENSOR) {
        const uint8_t *record = data + at + TP_BLOB_NAME;
        uint32_t offset = tp_blob_u32(record + 28), bytes = tp_blob_u32(record + 32);
        if (data[at + TP_BLOB_NAME - 1] != 0 || offset > weights_length || bytes > weights_length - offset) { return TP_E_BLOB; }
    }
    uint32_t recipe_length;
    if (tp_blob_section(blob, "RECP", &data, &recipe_length) != TP_OK || (data != NULL && recipe_length < TP_BLOB_RECIPE_MIN)) { return TP_E_BLOB; }
    if (tp_blob_section(blob, "STAT", &weights, &weights_length) != TP_OK) { return TP_E_BLOB; }
    blob->has_state = data != NULL && weights != NULL ? 1u : 0u;
    return TP_OK;
}

TP_COLD tp_status tp_blob_open(tp_blob *blob, const void *bytes, size_t length) {
    if (blob == NULL || bytes == NULL) { return TP_E_ARG; }
    TP_MEMSET(blob, 0, sizeof *blob);
    const uint8_t *b = (const uint8_t *)bytes;
    if (length < TP_BLOB_HEADER || length > 0x7fffffffu) { return TP_E_BLOB; }
    for (uint32_t i = 0; i < sizeof tp_blob_magic; i++) {
        if (b[i] != tp_blob_magic[i]) { return TP_E_BLOB; }
    }
    if (tp_blob_u32(b + 8) >> 16 != TP_BLOB_VERSION >> 16) { return TP_E_VERSION; }
    if (tp_blob_u32(b + 12) != length) { return TP_E_BLOB; }
    if (tp_blob_u32(b + 16) > TP_BLOB_MAX_SECTIONS) { return TP_E_BLOB; }
    if (tp_blob_crc(b, (uint32_t)length) != tp_blob_u32(b + TP_BLOB_CRC_AT)) { return TP_E_CRC; }
    blob->bytes = b;
    blob->length = (uint32_t)length;
    tp_status status = tp_blob_check(blob);
    if (status != TP_OK) { blob->bytes = NULL; }
    return status;
}

/* The words of a node record after its name, in file order. */
static void tp_blob_node_words(const tp_node *node, uint32_t word[19]) {
    TP_MEMCPY(word, &node->op, 19 * sizeof(uint32_t));
}

_Static_assert(sizeof(tp_node) == TP_BLOB_NODE, "node records are stored field by field in declaration order");

/* The section of the graph: its head, all but the nodes, and its records, of `stride` bytes each. */
static const uint8_t *tp_blob_graph(const tp_blob *blob, uint32_t *stride, tp_model *model) {
    const uint8_t *data = NULL;
    uint32_t length;
    (void)tp_blob_section(blob, "MODL", &data, &length); /* tp_blob_open has seen it */
    model->nodes = NULL;
    model->n_nodes = blob->n_nodes;
    model->loss = tp_blob_u32(data + 8);
    model->input_dtype = tp_blob_u32(data + 12);
    model->input = (tp_shape){tp_blob_u32(data + 20), tp_blob_u32(data + 24), tp_blob_u32(data + 28), tp_blob_u32(data + 16)};
    *stride = tp_blob_u32(data + 4);
    return data + TP_BLOB_MODEL_HEAD;
}

static void tp_blob_node(const uint8_t *record, uint32_t stride, tp_node *node) {
    TP_MEMSET(node, 0, sizeof *node);
    TP_MEMCPY(node, record, tp_min_u32(stride, TP_BLOB_NODE));
    node->name[TP_NAME_BYTES - 1] = 0;
}

TP_COLD tp_status tp_blob_model(const tp_blob *blob, tp_node *nodes, uint32_t capacity, tp_model *model) {
    uint32_t stride;
    if (blob == NULL || blob->bytes == NULL || nodes == NULL || model == NULL) { return TP_E_ARG; }
    if (capacity < blob->n_nodes) { return TP_E_BUFFER; }
    const uint8_t *records = tp_blob_graph(blob, &stride, model);
    model->nodes = nodes;
    for (uint32_t i = 0; i < blob->n_nodes; i++) { tp_blob_node(records + (size_t)i * stride, stride, &nodes[i]); }
    return TP_OK;
}

static bool tp_bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t n) {
    bool equal = true;
    for (uint32_t i = 0; i < n && equal; i++) { equal = a[i] == b[i]; }
    return equal;
}

TP_COLD tp_status tp_plan_check(const tp_plan *plan, const tp_blob *blob) {
    tp_node node;
    tp_model model;
    uint32_t stride;
    if (plan == NULL || blob == NULL || blob->bytes == NULL) { return TP_E_ARG; }
    if (!tp_plan_known(plan)) { return TP_E_VERSION; }
    const uint8_t *records = tp_blob_graph(blob, &stride, &model);
    const tp_shape *a = &plan->input, *b = &model.input;
    bool same = plan->n_nodes == model.n_nodes && plan->loss == model.loss && plan->input_dtype == model.input_dtype && a->h == b->h && a->w == b->w &&
                a->c == b->c && a->rank == b->rank;
    for (uint32_t i = 0; same && i < model.n_nodes; i++) {
        tp_blob_node(records + (size_t)i * stride, stride, &node);
        same = tp_bytes_equal((const uint8_t *)&node, (const uint8_t *)&plan->node[i].node, sizeof node);
    }
    return same ? TP_OK : TP_E_MISMATCH;
}

tp_status tp_blob_recipe(const tp_blob *blob, tp_recipe *recipe) {
    const uint8_t *data;
    uint32_t length;
    if (blob == NULL || blob->bytes == NULL || recipe == NULL) { return TP_E_ARG; }
    tp_status status = tp_blob_section(blob, "RECP", &data, &length);
    if (status != TP_OK) { return status; }
    if (data == NULL) { return TP_E_MODE; }
    TP_MEMSET(recipe, 0, sizeof *recipe);
    TP_MEMCPY(recipe, data, tp_min_u32(length, sizeof *recipe));
    return TP_OK;
}

/* Data of the blob's tensor that fits name, type and shape; NULL: none. */
static TP_COLD const uint8_t *tp_blob_tensor(const tp_blob *blob, const char *name, const tp_tensor *t) {
    const uint8_t *data = NULL, *weights = NULL;
    uint32_t length = 0, weights_length = 0;
    (void)tp_blob_section(blob, "WGTS", &weights, &weights_length);
    (void)tp_blob_section(blob, "TENS", &data, &length);
    for (uint32_t at = 0; at < length; at += TP_BLOB_TENSOR) {
        const uint8_t *record = data + at + TP_BLOB_NAME;
        if (!tp_text_equal((const char *)data + at, name)) { continue; }
        bool fits = tp_blob_u32(record) == t->dtype && tp_blob_u32(record + 32) == t->bytes;
        for (uint32_t i = 0; i < 4; i++) { fits = fits && tp_blob_u32(record + 8 + 4u * i) == t->dim[i]; }
        return fits ? weights + tp_blob_u32(record + 28) : NULL;
    }
    return NULL;
}

TP_COLD tp_status tp_net_flash(tp_net *net, const tp_blob *blob) {
    if (net == NULL || net->plan == NULL || blob == NULL || blob->bytes == NULL) { return TP_E_ARG; }
    if (net->plan->options.flash == 0) { return TP_E_MODE; }
    const uint8_t *weights = NULL;
    uint32_t length = 0, index = 0;
    (void)tp_blob_section(blob, "WGTS", &weights, &length);
    if ((uintptr_t)weights % 8u != 0) { return TP_E_ARENA; }
    for (uint32_t i = 0; i < net->plan->n_nodes; i++) {
        const tp_plan_node *p = &net->plan->node[i];
        for (uint32_t t = 0; t < p->n_tensors; t++, index++) {
            char name[TP_NAME_BYTES + 16];
            tp_tensor_name(p, t, name);
            if (p->flash == 0) { continue; }
            if (tp_blob_tensor(blob, name, &p->tensor[t]) != weights + p->tensor[t].offset) { return TP_E_MISMATCH; }
            if (!tp_net_sane(net, index, weights + p->tensor[t].offset)) { return TP_E_DATA; }
        }
    }
    net->flash = weights;
    net->ready = 1;
    return TP_OK;
}

/* Visits every tensor of the net; `copy` false only checks. */
static TP_COLD tp_status tp_blob_tensors(const tp_blob *blob, tp_net *net, uint32_t flags, bool copy, uint32_t *loaded) {
    char name[TP_NAME_BYTES + 16];
    tp_tensor t;
    void *to;
    *loaded = 0;
    for (uint32_t i = 0; tp_net_tensor(net, i, &t, name, &to) == TP_OK; i++) {
        const uint8_t *from = tp_blob_tensor(blob, name, &t);
        if (from == NULL) {
            if ((flags & TP_BLOB_PARTIAL) == 0) { return TP_E_MISMATCH; }
            continue;
        }
        if (!tp_net_sane(net, i, from)) { return TP_E_DATA; }
        bool bound = tp_net_in_flash(net, i);
        if (bound && !tp_bytes_equal(from, (const uint8_t *)to, t.bytes)) { return TP_E_MISMATCH; }
        if (copy && !bound) { TP_MEMCPY(to, from, t.bytes); }
        *loaded += 1u;
    }
    return TP_OK;
}

TP_COLD tp_status tp_blob_load(const tp_blob *blob, tp_net *net, uint32_t flags, uint32_t *loaded) {
    uint32_t count = 0, length = 0;
    const uint8_t *state = NULL;
    if (blob == NULL || blob->bytes == NULL) { return TP_E_ARG; }
    tp_status idle = tp_net_idle(net);
    if (idle != TP_OK) { return idle; }
    if ((flags & TP_BLOB_STATE) != 0) {
        tp_recipe recipe;
        if (net->plan->training == 0 || blob->has_state == 0) { return TP_E_MODE; }
        tp_status status = tp_blob_recipe(blob, &recipe);
        if (status != TP_OK) { return status; }
        (void)tp_blob_section(blob, "STAT", &state, &length);
        if (recipe.policy != net->plan->recipe.policy || recipe.optimizer != net->plan->recipe.optimizer || length != net->plan->state_bytes) {
            return TP_E_MISMATCH;
        }
    }
    if ((flags & TP_BLOB_WEIGHTS) != 0) {
        tp_status status = tp_blob_tensors(blob, net, flags, false, &count);
        if (status != TP_OK) { return status; }
        (void)tp_blob_tensors(blob, net, flags, true, &count);
    }
    if (state != NULL) { TP_MEMCPY(net->arena + net->plan->state_at, state, length); }
    if (loaded != NULL) { *loaded = count; }
    return TP_OK;
}
