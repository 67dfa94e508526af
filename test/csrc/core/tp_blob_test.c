/* SPDX-License-Identifier: Apache-2.0 */
/* The .tpm file: round trips, resuming, partial loads, sections, refusals, and every damaged byte. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

#include "../../fuzz/blob_pipeline.h"

typedef struct tp_bytes {
    uint8_t *at;
    size_t length;
} tp_bytes;

static tp_bytes tp_saved(const tp_live *v, uint32_t flags, const tp_section *extra, uint32_t n_extra) {
    tp_bytes b = {NULL, 0};
    TP_CHECK_STATUS(tp_blob_save(&v->net, flags, extra, n_extra, NULL, 0, &b.length), TP_OK);
    b.at = (uint8_t *)tp_alloc(b.length);
    TP_CHECK_STATUS(tp_blob_save(&v->net, flags, extra, n_extra, b.at, b.length, &b.length), TP_OK);
    return b;
}

static void tp_graph_small(tp_graph *g) { tp_graph_mlp(g, (const uint32_t[]){3, 4, 2, 0}, "softmax_cross_entropy"); }

enum { TP_ALL = TP_BLOB_WEIGHTS | TP_BLOB_STATE };

/* A net made from the file alone. */
static tp_status tp_live_from(tp_live *v, const tp_bytes *b, uint32_t flags) {
    tp_blob blob;
    tp_graph g;
    tp_model m;
    tp_recipe r;
    uint32_t loaded = 0;
    memset(&g, 0, sizeof g);
    tp_status status = tp_blob_open(&blob, b->at, b->length);
    if (status == TP_OK) { status = tp_blob_model(&blob, g.node, TP_GRAPH_NODES, &m); }
    if (status != TP_OK) { return status; }
    bool training = tp_blob_recipe(&blob, &r) == TP_OK;
    g.n = m.n_nodes;
    g.input = m.input;
    g.loss = m.loss;
    status = tp_live_open(v, &g, training ? &r : NULL, NULL);
    return status == TP_OK ? tp_blob_load(&blob, &v->net, flags, &loaded) : status;
}

/* A plan that was made elsewhere: of this model, or refused. */
static void tp_plan_checked(void) {
    tp_graph g;
    tp_live v, w;
    tp_blob blob;
    tp_graph_small(&g);
    TP_CHECK_STATUS(tp_live_open(&v, &g, NULL, NULL), TP_OK);
    tp_bytes b = tp_saved(&v, TP_BLOB_WEIGHTS, NULL, 0);
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_OK);
    TP_CHECK_STATUS(tp_plan_check(v.plan, &blob), TP_OK);
    TP_CHECK_STATUS(tp_plan_check(NULL, &blob), TP_E_ARG);
    TP_CHECK_STATUS(tp_plan_check(v.plan, NULL), TP_E_ARG);
    tp_recipe recipe = tp_recipe_default(); /* another recipe, the same model */
    TP_CHECK_STATUS(tp_live_open(&w, &g, &recipe, NULL), TP_OK);
    TP_CHECK_STATUS(tp_plan_check(w.plan, &blob), TP_OK);
    tp_live_close(&w);
    for (uint32_t i = 0; i < 6; i++) { /* the same tensors */
        tp_graph other = g;
        if (i == 0) { other.node[0].name[0] ^= 1; }
        if (i == 1) { other.node[g.n - 1u].flags ^= TP_FLAG_FROZEN; }
        if (i == 2) { other.node[1].op = tp_list_id(TP_LIST_LAYER, "sigmoid"); }
        if (i == 3) { other.loss = tp_list_id(TP_LIST_LOSS, "mse"); }
        if (i == 4) { other.input.rank = 3; }
        if (i == 5) { other.n--; }
        TP_CHECK_STATUS(tp_live_open(&w, &other, NULL, NULL), TP_OK);
        TP_CHECK_STATUS(tp_plan_check(w.plan, &blob), TP_E_MISMATCH);
        tp_live_close(&w);
    }
    v.plan->source ^= 1u;
    TP_CHECK_STATUS(tp_plan_check(v.plan, &blob), TP_E_VERSION);
    v.plan->source ^= 1u;
    v.plan->bytes -= 8u;
    TP_CHECK_STATUS(tp_plan_check(v.plan, &blob), TP_E_VERSION);
    v.plan->bytes += 8u;
    b.at[0] ^= 1u;
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_E_BLOB);
    TP_CHECK_STATUS(tp_plan_check(v.plan, &blob), TP_E_ARG);
    free(b.at);
    tp_live_close(&v);
}

/* --- what comes back --- */

static void tp_round_trip(void) {
    for (uint32_t i = 0; i < 4; i++) {
        tp_graph g;
        tp_live v, w;
        tp_recipe r = tp_recipe_of("tinypropv2", i % 2u == 0 ? "sgd" : "momentum", 1u + i / 2u, 0.05f);
        r.seed = 0x123456789abcdefu;
        tp_graph_cnn(&g, "softmax_cross_entropy");
        g.node[2].flags |= TP_FLAG_FROZEN;
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 8, 3);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 6, r.batch), TP_OK);
        tp_bytes b = tp_saved(&v, TP_ALL, NULL, 0);
        TP_CHECK_STATUS(tp_live_from(&w, &b, TP_ALL), TP_OK);
        TP_CHECK(tp_live_kept_bytes(&v) == tp_live_kept_bytes(&w) && memcmp(v.arena + v.plan->state_at, w.arena + w.plan->state_at, v.plan->state_bytes) == 0);
        tp_bytes again = tp_saved(&w, TP_ALL, NULL, 0); /* the same bytes: nothing of host, date or path */
        TP_CHECK(again.length == b.length && memcmp(again.at, b.at, b.length) == 0);
        TP_CHECK(memcmp(v.plan->node, w.plan->node, v.plan->n_nodes * sizeof(tp_plan_node)) == 0 && memcmp(&v.plan->recipe, &w.plan->recipe, sizeof r) == 0);
        free(b.at);
        free(again.at);
        tp_data_free(&d);
        tp_live_close(&v);
        tp_live_close(&w);
    }
}

/* Stop and go on, in another net whose memory was full of NaN: the bits of never having stopped. */
static void tp_resume(const char *policy, const char *optimizer, uint32_t batch) {
    tp_graph g;
    tp_live v, w;
    tp_recipe r = tp_recipe_of(policy, optimizer, batch, 0.05f);
    r.schedule = (tp_schedule){TP_SCHEDULE_COSINE, 3, 12, 1, 1.0f};
    r.policy_params.ymax_mode = TP_MAX_EPOCH;
    r.policy_params.alpha_mode = TP_MAX_DECAY;
    r.weight_decay = 0.01f;
    tp_graph_begin(&g, tp_image(4, 4, 2), "softmax_cross_entropy");
    int32_t a = tp_graph_param(&g, "batch_norm", tp_graph_conv(&g, TP_INPUT, 5, 3, 1, TP_PAD_SAME), 1e-3f);
    tp_graph_dense(&g, tp_graph_param(&g, "dropout", tp_graph_op(&g, "flatten", tp_graph_op(&g, "relu", a)), 0.2f), 4);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 8, 3);
    TP_CHECK_STATUS(tp_net_epoch_begin(&v.net), TP_OK);
    TP_CHECK_STATUS(tp_live_train(&v, &d, 5, batch), TP_OK);
    tp_bytes b = tp_saved(&v, TP_ALL, NULL, 0);
    TP_CHECK_STATUS(tp_live_from(&w, &b, TP_ALL), TP_OK);
    for (uint32_t i = 0; i < 2; i++) {
        tp_live *live = i == 0 ? &v : &w;
        TP_CHECK_STATUS(tp_live_train(live, &d, 3, batch), TP_OK);
        TP_CHECK_STATUS(tp_net_epoch_end(&live->net), TP_OK);
        TP_CHECK_STATUS(tp_net_epoch_begin(&live->net), TP_OK);
        TP_CHECK_STATUS(tp_live_train(live, &d, 3, batch), TP_OK);
    }
    bool same = tp_live_same_params(&v, &w) && memcmp(v.arena + v.plan->state_at, w.arena + w.plan->state_at, v.plan->state_bytes) == 0;
    TP_CHECKF(same && memcmp(v.stats, w.stats, tp_stats_bytes(v.plan)) == 0, "%s %s batch %u", policy, optimizer, batch);
    free(b.at);
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
}

static void tp_resume_is_no_interruption(void) {
    const char *policy, *optimizer;
    for (uint32_t i = 0; (policy = tp_list_name(TP_LIST_POLICY, i, NULL)) != NULL; i++) {
        for (uint32_t j = 0; (optimizer = tp_list_name(TP_LIST_OPTIMIZER, j, NULL)) != NULL; j++) {
            tp_resume(policy, optimizer, 1);
            tp_resume(policy, optimizer, 3);
        }
    }
}

/* The bytes themselves: a change here is a change of the format. */
static void tp_bytes_are_pinned(void) {
    static const char *const isa[2] = {"soft", NULL};
    for (uint32_t i = 0; i < 2; i++) {
        tp_graph g;
        tp_live v;
        tp_recipe r = tp_recipe_of("tinypropv2", "momentum", 1, 0.05f);
        tp_graph_small(&g);
        TP_CHECK_STATUS(tp_live_open(&v, &g, &r, isa[i] != NULL ? tp_kernels_named(isa[i]) : NULL), TP_OK);
        tp_data d = tp_data_make(v.plan, 8, 3);
        TP_CHECK_STATUS(tp_live_train(&v, &d, 5, 1), TP_OK);
        tp_bytes b = tp_saved(&v, TP_ALL, NULL, 0);
        uint64_t hash = tp_hash(0, b.at, b.length);
        TP_CHECKF(b.length == 1208 && hash == 0x8a5ed91033436572u, "%zu bytes, hash %016llx", b.length, (unsigned long long)hash);
        free(b.at);
        tp_data_free(&d);
        tp_live_close(&v);
    }
}

/* --- parts --- */

static void tp_replaced_head(void) {
    tp_graph g;
    tp_live v, w;
    tp_blob blob;
    uint32_t loaded = 0;
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.05f);
    tp_graph_cnn(&g, "softmax_cross_entropy");
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    tp_bytes b = tp_saved(&v, TP_BLOB_WEIGHTS, NULL, 0);
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_OK);
    TP_CHECK(blob.has_state == 0 && blob.n_nodes == g.n);
    TP_CHECK_STATUS(tp_model_replace_head(g.node, g.n, 9), TP_OK);
    r.seed = 5;
    TP_CHECK_STATUS(tp_live_open(&w, &g, &r, NULL), TP_OK);
    uint64_t hash = tp_hash(0, w.arena, tp_live_kept_bytes(&w));
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_BLOB_WEIGHTS, &loaded), TP_E_MISMATCH);
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_ALL, &loaded), TP_E_MODE);
    TP_CHECK(hash == tp_hash(0, w.arena, tp_live_kept_bytes(&w))); /* checked before the first byte is written */
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_BLOB_WEIGHTS | TP_BLOB_PARTIAL, &loaded), TP_OK);
    TP_CHECKF(loaded == 8, "%u tensors", loaded); /* four convolutions, each with a bias; not the head */
    for (uint32_t i = 0; i < g.n; i++) {
        const tp_tensor *t = &v.plan->node[i].tensor[0];
        if (t->dtype == 0) { continue; }
        bool same = memcmp(v.arena + t->offset, w.arena + w.plan->node[i].tensor[0].offset, t->bytes) == 0;
        TP_CHECKF(same == (i + 1u < g.n), "node %u", i);
    }
    free(b.at);
    tp_live_close(&v);
    tp_live_close(&w);
}

static void tp_sections_pass_through(void) {
    static const uint8_t meta[5] = {'{', '"', 'a', '"', '}'};
    const tp_section extra[3] = {{{'M', 'E', 'T', 'A'}, meta, 5}, {{'S', 'R', 'C', 'F'}, meta, 3}, {{'a', 'b', 'c', 'd'}, NULL, 0}};
    tp_graph g;
    tp_live v;
    tp_blob blob;
    char tag[5];
    const uint8_t *data;
    uint32_t length, count = 0;
    tp_graph_small(&g);
    TP_CHECK_STATUS(tp_live_open(&v, &g, NULL, NULL), TP_OK);
    tp_bytes b = tp_saved(&v, TP_BLOB_WEIGHTS, extra, 3);
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_OK);
    TP_CHECK(tp_blob_section(&blob, "META", &data, &length) == TP_OK && length == 5 && memcmp(data, meta, 5) == 0);
    TP_CHECK(tp_blob_section(&blob, "NONE", &data, &length) == TP_OK && length == 0 && data == NULL);
    tp_section kept[8];
    while (tp_blob_entry(&blob, count, tag, &data, &length) == TP_OK) { /* a program passes on what it does not know */
        if (count >= 3) {
            memcpy(kept[count - 3u].tag, tag, 4);
            kept[count - 3u].data = data;
            kept[count - 3u].length = length;
        }
        count++;
    }
    TP_CHECK(count == 6);
    tp_bytes again = tp_saved(&v, TP_BLOB_WEIGHTS, kept, 3);
    TP_CHECK(again.length == b.length && memcmp(again.at, b.at, b.length) == 0);
    size_t n;
    static const char *const own[6] = {"MODL", "TENS", "WGTS", "RECP", "STAT", "QUNT"};
    for (uint32_t i = 0; i < 6; i++) {
        tp_section bad = {{own[i][0], own[i][1], own[i][2], own[i][3]}, meta, 5};
        TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS, &bad, 1, NULL, 0, &n), TP_E_ARG);
    }
    tp_section many[62];
    for (uint32_t i = 0; i < 62; i++) { many[i] = extra[0]; }
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS, many, 61, NULL, 0, &n), TP_OK);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS, many, 62, NULL, 0, &n), TP_E_LIMIT);
    free(b.at);
    free(again.at);
    tp_live_close(&v);
}

/* --- refusals --- */

/* A fresh net's file. */
static tp_bytes tp_saved_with(const tp_graph *g, const tp_recipe *r) {
    tp_live v;
    TP_CHECK_STATUS(tp_live_open(&v, g, r, NULL), TP_OK);
    tp_bytes b = tp_saved(&v, TP_ALL, NULL, 0);
    tp_live_close(&v);
    return b;
}

static void tp_calls_refused(void) {
    tp_graph g;
    tp_live v, w;
    tp_blob blob;
    tp_model m;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", 1, 0.1f), other = tp_recipe_of("tinyprop", "momentum", 1, 0.1f);
    size_t n;
    tp_node node[3];
    tp_graph_small(&g);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    tp_bytes b = tp_saved(&v, TP_ALL, NULL, 0);
    uint8_t *small = (uint8_t *)tp_alloc(b.length);
    memset(small, 0xcc, b.length);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_ALL, NULL, 0, small, b.length - 1u, &n), TP_E_BUFFER);
    TP_CHECK(n == b.length && small[b.length - 1u] == 0xcc);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_ALL, NULL, 0, small, 0, &n), TP_E_BUFFER);
    TP_CHECK_STATUS(tp_blob_save(&v.net, 0, NULL, 0, small, b.length, &n), TP_E_ARG);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_ALL, NULL, 1, small, b.length, &n), TP_E_ARG);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_ALL, NULL, 0, small, b.length, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_OK);
    TP_CHECK_STATUS(tp_blob_open(NULL, b.at, b.length), TP_E_ARG);
    TP_CHECK_STATUS(tp_blob_open(&blob, NULL, b.length), TP_E_ARG);
    b.at[0] ^= 1u; /* a refused open leaves nothing to use */
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_E_BLOB);
    TP_CHECK_STATUS(tp_blob_model(&blob, node, 3, &m), TP_E_ARG);
    b.at[0] ^= 1u;
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_OK);
    TP_CHECK_STATUS(tp_blob_model(&blob, node, 2, &m), TP_E_BUFFER);
    TP_CHECK_STATUS(tp_blob_model(&blob, node, 3, &m), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &other, NULL), TP_OK);
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_ALL, NULL), TP_E_MISMATCH); /* another optimizer */
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_BLOB_WEIGHTS, NULL), TP_OK);
    tp_live_close(&w);
    g.node[0].flags = TP_FLAG_FROZEN; /* the same optimizer, with less state */
    tp_bytes frozen = tp_saved_with(&g, &other);
    TP_CHECK_STATUS(tp_blob_open(&blob, frozen.at, frozen.length), TP_OK);
    g.node[0].flags = 0;
    TP_CHECK_STATUS(tp_live_open(&w, &g, &other, NULL), TP_OK);
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_ALL, NULL), TP_E_MISMATCH);
    tp_live_close(&w);
    TP_CHECK_STATUS(tp_live_open(&w, &g, NULL, NULL), TP_OK);
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_ALL, NULL), TP_E_MODE);
    TP_CHECK_STATUS(tp_blob_save(&w.net, TP_ALL, NULL, 0, NULL, 0, &n), TP_E_MODE);
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_BLOB_WEIGHTS, NULL), TP_OK);
    free(frozen.at);
    b.at[8 + 2] = 2; /* the next major version */
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_E_VERSION);
    free(small);
    free(b.at);
    tp_live_close(&v);
    tp_live_close(&w);
}

/* Weights that are no numbers: nothing is loaded, not even the tensors before. */
static void tp_weights_refused(void) {
    tp_graph g;
    tp_live v, w;
    tp_blob blob;
    tp_graph_small(&g);
    TP_CHECK_STATUS(tp_live_open(&v, &g, NULL, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&w, &g, NULL, NULL), TP_OK);
    memset(w.arena + w.plan->params_at, 0, w.plan->params_bytes);
    tp_tensor_f32(v.arena, &v.plan->node[2].tensor[1])[1] = tp_f32_from_bits(0x7f800000u);
    tp_bytes b = tp_saved(&v, TP_BLOB_WEIGHTS, NULL, 0);
    TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_OK);
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_BLOB_WEIGHTS, NULL), TP_E_DATA);
    for (uint32_t i = 0; i < w.plan->params_bytes; i++) { TP_CHECK(w.arena[w.plan->params_at + i] == 0); }
    free(b.at);
    tp_live_close(&v);
    tp_live_close(&w);
}

/* --- damage --- */

static tp_bytes tp_small_file(void) {
    static const uint8_t meta[3] = {1, 2, 3};
    const tp_section extra = {{'M', 'E', 'T', 'A'}, meta, 3};
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("tinypropv2", "momentum", 2, 0.1f);
    tp_graph_small(&g);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 8, 3);
    TP_CHECK_STATUS(tp_live_train(&v, &d, 3, 2), TP_OK);
    tp_bytes b = tp_saved(&v, TP_ALL, &extra, 1);
    tp_data_free(&d);
    tp_live_close(&v);
    return b;
}

/* Memory of exactly that size, so that the sanitizer sees one byte too far. */
static tp_status tp_pipeline_exact(const uint8_t *bytes, size_t length, bool sign) {
    uint8_t *copy = (uint8_t *)malloc(length > 0 ? length : 1u);
    if (copy == NULL) { abort(); }
    memcpy(copy, bytes, length);
    if (sign) { tp_pipeline_sign(copy, length); }
    tp_status status = tp_pipeline(copy, length);
    free(copy);
    return status;
}

static void tp_every_truncation(void) {
    tp_bytes b = tp_small_file();
    for (size_t n = 0; n < b.length; n++) {
        TP_CHECKF(tp_pipeline_exact(b.at, n, false) == TP_E_BLOB, "%zu bytes", n);
        TP_CHECKF(tp_pipeline_exact(b.at, n, true) != TP_OK, "%zu bytes, signed", n);
    }
    TP_CHECK_STATUS(tp_pipeline_exact(b.at, b.length, false), TP_OK);
    TP_CHECK_STATUS(tp_pipeline_exact(b.at, b.length, true), TP_OK);
    free(b.at);
}

/* Fields that must agree with each other, right checksum and all. `tag` and `at` say where, in four-byte words. */
static void tp_fields_refused(void) {
    static const struct {
        const char *tag;
        uint32_t at, value;
    } row[] = {
        {"MODL", 0, 0}, {"MODL", 0, 4}, {"MODL", 0, TP_MAX_NODES + 1u}, {"MODL", 1, 96}, {"MODL", 1, 104}, {"MODL", 1, 0xffffffffu}, /* nodes, stride */
        {"TENS", 11, 0x20202020u}, /* a name without end */
        {"TENS", 19, 0x10000u}, {"TENS", 19, 0xfffffff0u}, {"TENS", 20, 0x10000u}, {"TENS", 20, 0xffffffffu}, /* offset, bytes */
        {"MODL", 0xfffffffeu, 0x4c444f4eu}, {"TENS", 0xfffffffeu, 0x58585858u}, {"WGTS", 0xfffffffeu, 0x58585858u}, /* no such section */
        {"RECP", 0xffffffffu, 116}, {"WGTS", 0xffffffffu, 0}, {"STAT", 0xffffffffu, 0xfffffff0u}, {"META", 0xffffffffu, 9}, /* lengths */
    };
    for (uint32_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        tp_bytes b = tp_small_file();
        tp_blob blob;
        const uint8_t *data = b.at;
        uint32_t length = 0;
        TP_CHECK_STATUS(tp_blob_open(&blob, b.at, b.length), TP_OK);
        TP_CHECK_STATUS(tp_blob_section(&blob, row[i].tag, &data, &length), TP_OK);
        memcpy(b.at + (data - b.at) + 4 * (int32_t)row[i].at, &row[i].value, 4); /* word -2 is the tag, -1 the length */
        tp_pipeline_sign(b.at, b.length);
        TP_CHECKF(tp_blob_open(&blob, b.at, b.length) == TP_E_BLOB, "%s word %d = %u", row[i].tag, (int32_t)row[i].at, row[i].value);
        free(b.at);
    }
}

/* Every byte damaged in five ways: refused by the checksum; signed again, refused or survived. */
static void tp_every_byte(void) {
    static const uint8_t masks[5] = {0x01, 0x80, 0xff, 0x7f, 0x10};
    tp_bytes b = tp_small_file();
    uint32_t survived = 0;
    for (size_t i = 0; i < b.length; i++) {
        for (uint32_t j = 0; j < 5; j++) {
            b.at[i] ^= masks[j];
            TP_CHECKF(tp_pipeline_exact(b.at, b.length, false) != TP_OK, "byte %zu ^ %02x is accepted", i, masks[j]);
            survived += tp_pipeline_exact(b.at, b.length, true) == TP_OK ? 1u : 0u;
            b.at[i] ^= masks[j];
        }
    }
    printf("# %zu bytes damaged in 5 ways: none accepted; signed again, %u load\n", b.length, survived);
    free(b.at);
}

/* Whole words of any value, signed again. */
static void tp_every_word(void) {
    static const uint32_t words[6] = {0, 1, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0x7fc00000u};
    tp_bytes b = tp_small_file();
    for (size_t i = 8; i + 4 <= b.length; i += 4) {
        uint8_t before[4];
        memcpy(before, b.at + i, 4);
        for (uint32_t j = 0; j < 6; j++) {
            memcpy(b.at + i, &words[j], 4);
            (void)tp_pipeline_exact(b.at, b.length, true);
        }
        memcpy(b.at + i, before, 4);
    }
    TP_CHECK_STATUS(tp_pipeline_exact(b.at, b.length, false), TP_OK);
    free(b.at);
}

int main(void) {
    TP_RUN(tp_round_trip);
    TP_RUN(tp_resume_is_no_interruption);
    TP_RUN(tp_bytes_are_pinned);
    TP_RUN(tp_replaced_head);
    TP_RUN(tp_plan_checked);
    TP_RUN(tp_sections_pass_through);
    TP_RUN(tp_calls_refused);
    TP_RUN(tp_weights_refused);
    TP_RUN(tp_every_truncation);
    TP_RUN(tp_fields_refused);
    TP_RUN(tp_every_byte);
    TP_RUN(tp_every_word);
    return tp_end();
}
