/* SPDX-License-Identifier: Apache-2.0 */
/* Slots in flash: what comes back, whose it is, in which order, how often it is written, what is refused. Power cuts:
 * tp_store_power_test.c; damage: tp_store_damage_test.c. */
#include "../../../csrc/tinyprop.c"

#include "../tp_store_rig.h"

static const uint32_t tp_small[] = {3, 4, 2, 0};
static const tp_geometry tp_two = {1, 8, 1024, 2, 2, 64};

/* --- what comes back --- */

/* The payload is the data of WGTS and STAT as tp_blob_save writes them; the header is pinned byte by byte. */
static void tp_payload_is_the_blob(void) {
    tp_rig r;
    tp_blob blob;
    tp_store_info info;
    const uint8_t *data;
    uint32_t length;
    size_t bytes;
    tp_rig_open(&r, &(tp_geometry){1, 16, 512, 20, 2, 64}, (const uint32_t[]){5, 9, 3, 0});
    TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
    TP_CHECK_STATUS(tp_blob_save(&r.trained.net, TP_ALL, NULL, 0, NULL, 0, &bytes), TP_OK);
    uint8_t *file = (uint8_t *)tp_alloc(bytes);
    TP_CHECK_STATUS(tp_blob_save(&r.trained.net, TP_ALL, NULL, 0, file, bytes, &bytes), TP_OK);
    TP_CHECK_STATUS(tp_blob_open(&blob, file, bytes), TP_OK);
    TP_CHECK_STATUS(tp_blob_section(&blob, "WGTS", &data, &length), TP_OK);
    TP_CHECK(length == info.weights_bytes && memcmp(r.sim.bytes + 64, data, length) == 0);
    TP_CHECK_STATUS(tp_blob_section(&blob, "STAT", &data, &length), TP_OK);
    TP_CHECK(length == info.state_bytes && memcmp(r.sim.bytes + 64 + info.weights_bytes, data, length) == 0);
    uint32_t whole = tp_store_bytes(r.trained.plan, TP_ALL, 16);
    TP_CHECKF(whole == 64u + (info.weights_bytes + info.state_bytes + 15u) / 16u * 16u && whole == r.sim.progs * 16u, "%u", whole);
    static const uint8_t head[16] = {'T', 'P', 'S', 0x8f, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0};
    TP_CHECK(memcmp(r.sim.bytes, head, sizeof head) == 0);
    TP_CHECKF(tp_hash(0, r.sim.bytes, whole) == 0xd10365b7679c9f4eu, "%016llx", (unsigned long long)tp_hash(0, r.sim.bytes, whole));
    free(file);
    tp_rig_close(&r);
}

/* Trained, stored, power off, loaded by another net, trained on: the bits of never having stopped. */
static void tp_resume(const char *policy, const char *optimizer, uint32_t batch) {
    tp_graph g;
    tp_live v, w;
    tp_sim sim;
    tp_store store;
    uint64_t buffer[16];
    tp_recipe r = tp_recipe_of(policy, optimizer, batch, 0.05f);
    r.schedule = (tp_schedule){TP_SCHEDULE_COSINE, 3, 40, 1, 1.0f};
    r.policy_params.ymax_mode = TP_MAX_EPOCH;
    r.policy_params.alpha_mode = TP_MAX_DECAY;
    r.weight_decay = 0.01f;
    tp_graph_begin(&g, tp_image(4, 4, 2), "softmax_cross_entropy");
    int32_t a = tp_graph_param(&g, "batch_norm", tp_graph_conv(&g, TP_INPUT, 5, 3, 1, TP_PAD_SAME), 1e-3f);
    tp_graph_dense(&g, tp_graph_param(&g, "dropout", tp_graph_op(&g, "flatten", tp_graph_op(&g, "relu", a)), 0.2f), 4);
    tp_sim_open(&sim, 1, 8, 2048, 8);
    tp_store_config config = {&sim.flash, 2, 7, TP_ALL, buffer, sizeof buffer};
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 8, 3);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &r, NULL), TP_OK);
    for (uint32_t life = 0; life < 4; life++) { /* w dies after every five steps */
        TP_CHECK_STATUS(tp_live_train(&v, &d, 5, batch), TP_OK);
        TP_CHECK_STATUS(tp_live_train(&w, &d, 5, batch), TP_OK);
        TP_CHECK_STATUS(tp_store_open(&store, &config, &w.net), TP_OK);
        TP_CHECK_STATUS(tp_store_commit(&store, 0.0f, TP_STORE_ALWAYS, NULL), TP_OK);
        tp_live_close(&w);
        TP_CHECK_STATUS(tp_live_open(&w, &g, &r, NULL), TP_OK);
        TP_CHECK_STATUS(tp_store_open(&store, &config, &w.net), TP_OK);
        TP_CHECK_STATUS(tp_store_load(&store, TP_ALL, NULL), TP_OK);
        TP_CHECKF(tp_rig_hash(&v) == tp_rig_hash(&w), "%s %s batch %u, life %u", policy, optimizer, batch, life);
    }
    TP_CHECK_STATUS(tp_live_train(&v, &d, 5, batch), TP_OK);
    TP_CHECK_STATUS(tp_live_train(&w, &d, 5, batch), TP_OK);
    TP_CHECKF(tp_rig_hash(&v) == tp_rig_hash(&w), "%s %s batch %u", policy, optimizer, batch);
    TP_CHECK(sim.violations == 0);
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
    tp_sim_close(&sim);
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

/* Weights alone: for inference, and where the training state is of another layout. */
static void tp_weights_alone(void) {
    tp_rig r;
    tp_graph g;
    tp_live v;
    tp_store store;
    tp_store_info info;
    tp_recipe other = tp_recipe_of("full", "sgd", 1, 0.1f);
    tp_rig_open(&r, &tp_two, tp_small);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    tp_store_config config = tp_rig_config(&r);
    tp_graph_mlp(&g, tp_small, "softmax_cross_entropy");
    for (uint32_t i = 0; i < 2; i++) { /* an inference net; another optimizer */
        TP_CHECK_STATUS(tp_live_open(&v, &g, i == 0 ? NULL : &other, NULL), TP_OK);
        TP_CHECK_STATUS(tp_store_open(&store, &config, &v.net), i == 0 ? TP_E_MODE : TP_OK);
        config.flags = TP_BLOB_WEIGHTS;
        TP_CHECK_STATUS(tp_store_open(&store, &config, &v.net), TP_OK);
        uint64_t hash = tp_hash(0, v.arena, v.plan->arena_bytes);
        TP_CHECK_STATUS(tp_store_load(&store, TP_ALL, &info), i == 0 ? TP_E_MODE : TP_E_MISMATCH);
        TP_CHECK(hash == tp_hash(0, v.arena, v.plan->arena_bytes));
        TP_CHECK_STATUS(tp_store_load(&store, TP_BLOB_WEIGHTS, &info), TP_OK);
        TP_CHECK(info.sequence == 1 && tp_live_same_params(&v, &r.trained));
        if (i == 1) { /* written without state, it loads without state */
            tp_tensor_f32(v.arena, &v.plan->node[0].tensor[0])[0] += 1.0f;
            TP_CHECK_STATUS(tp_store_commit(&store, 0.0f, 0, &info), TP_OK);
            TP_CHECK(info.written == 1 && info.state_bytes == 0 && info.sequence == 2);
            TP_CHECK_STATUS(tp_rig_boot(&r, &info), TP_E_MODE);
            TP_CHECK_STATUS(tp_store_load(&r.reader, TP_BLOB_WEIGHTS, &info), TP_OK);
            TP_CHECK(tp_live_same_params(&v, &r.booted));
        }
        tp_live_close(&v);
        config.flags = TP_ALL;
    }
    tp_rig_close(&r);
}

/* --- whose it is --- */

static tp_status tp_load_as(tp_rig *r, const tp_graph *g, uint32_t key, uint32_t slots) {
    tp_live v;
    tp_store store;
    tp_recipe recipe = tp_recipe_of("tinypropv2", "momentum", 1, 0.05f);
    tp_store_config config = tp_rig_config(r);
    config.key = key;
    config.slots = slots;
    TP_CHECK_STATUS(tp_live_open(&v, g, &recipe, NULL), TP_OK);
    TP_CHECK_STATUS(tp_store_open(&store, &config, &v.net), TP_OK);
    uint64_t hash = tp_rig_hash(&v);
    tp_status status = tp_store_load(&store, TP_BLOB_WEIGHTS, NULL);
    TP_CHECK(status == TP_OK || hash == tp_rig_hash(&v));
    tp_live_close(&v);
    return status;
}

static void tp_other_models_refused(void) {
    tp_rig r;
    tp_graph g, h;
    tp_rig_open(&r, &(tp_geometry){1, 8, 1024, 4, 2, 64}, tp_small);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    tp_graph_mlp(&g, tp_small, "softmax_cross_entropy");
    TP_CHECK_STATUS(tp_load_as(&r, &g, 0, 2), TP_OK);
    TP_CHECK_STATUS(tp_load_as(&r, &g, 1, 2), TP_E_MISMATCH);
    TP_CHECK_STATUS(tp_load_as(&r, &g, 0, 4), TP_E_MISMATCH); /* slot 1 is not where it was */
    h = g;
    h.node[0].flags = TP_FLAG_FROZEN; /* how it trains is not what it is */
    h.node[2].init = TP_INIT_GLOROT_UNIFORM;
    TP_CHECK_STATUS(tp_load_as(&r, &h, 0, 2), TP_OK);
    h = g;
    h.node[1].name[0] = 'R';
    TP_CHECK_STATUS(tp_load_as(&r, &h, 0, 2), TP_E_MISMATCH);
    h = g;
    h.node[1].op = tp_list_id(TP_LIST_LAYER, "relu6"); /* tensors of the same shapes */
    TP_CHECK_STATUS(tp_load_as(&r, &h, 0, 2), TP_E_MISMATCH);
    h = g;
    h.node[0].units = 5;
    TP_CHECK_STATUS(tp_load_as(&r, &h, 0, 2), TP_E_MISMATCH);
    tp_graph_mlp(&h, tp_small, "bce");
    TP_CHECK_STATUS(tp_load_as(&r, &h, 0, 2), TP_E_MISMATCH);
    h = g;
    memset(h.node[0].name + strlen(h.node[0].name) + 1, 'x', 3); /* behind the end of the name */
    TP_CHECK_STATUS(tp_load_as(&r, &h, 0, 2), TP_OK);
    tp_rig_close(&r);
}

/* A new model takes the area over: the sequence goes on, the newest slot of the old model goes last. */
static void tp_takeover(void) {
    tp_rig r;
    tp_store_info info;
    tp_rig_open(&r, &tp_two, tp_small);
    for (uint32_t i = 0; i < 3; i++) { TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK); }
    TP_CHECK(info.slot == 0 && info.sequence == 3);
    tp_store_config config = tp_rig_config(&r);
    tp_store other;
    config.key = 9;
    TP_CHECK_STATUS(tp_store_open(&other, &config, &r.trained.net), TP_OK);
    TP_CHECK_STATUS(tp_store_load(&other, TP_ALL, &info), TP_E_MISMATCH);
    TP_CHECK_STATUS(tp_store_commit(&other, 0.0f, 0, &info), TP_OK);
    TP_CHECK(info.slot == 1 && info.sequence == 4 && info.erases == 2);
    TP_CHECK_STATUS(tp_store_load(&r.store, TP_ALL, &info), TP_OK);
    TP_CHECK(info.sequence == 3);
    TP_CHECK_STATUS(tp_store_commit(&other, 0.0f, TP_STORE_ALWAYS, &info), TP_OK);
    TP_CHECK(info.slot == 0 && info.sequence == 5);
    TP_CHECK_STATUS(tp_store_load(&r.store, TP_ALL, &info), TP_E_MISMATCH);
    tp_rig_close(&r);
}

/* --- in which order --- */

static void tp_sequence_wraps(void) {
    tp_rig r;
    tp_store_info info;
    tp_rig_open(&r, &(tp_geometry){1, 8, 1024, 3, 3, 64}, tp_small);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    tp_rig_header(&r, 0)->sequence = 0xfffffffdu;
    tp_rig_sign(tp_rig_header(&r, 0));
    for (uint32_t i = 0; i < 6; i++) {
        TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
        TP_CHECKF(info.sequence == 0xfffffffeu + i && info.slot == (i + 1u) % 3u, "sequence %u in slot %u", info.sequence, info.slot);
        TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && info.sequence == 0xfffffffeu + i && tp_rig_hash(&r.booted) == tp_rig_hash(&r.trained));
    }
    tp_rig_close(&r);
}

/* Slots take turns: every block is erased equally often, and the counters say so. */
static void tp_wear_is_level(void) {
    for (uint32_t slots = 2; slots < 8; slots++) {
        tp_rig r;
        tp_store_info info;
        tp_rig_open(&r, &(tp_geometry){1, 8, 512, slots, slots, 64}, tp_small);
        for (uint32_t i = 0; i < 41; i++) {
            TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
            TP_CHECK(info.slot == i % slots);
        }
        for (uint32_t slot = 0; slot < slots; slot++) {
            TP_CHECK_STATUS(tp_store_slot(&r.store, slot, &info), TP_OK);
            TP_CHECKF(info.erases == r.sim.erases[slot] && info.erases == (41u + slots - 1u - slot) / slots, "slot %u of %u: %u, %u", slot, slots, info.erases, r.sim.erases[slot]);
        }
        TP_CHECK_STATUS(tp_store_slot(&r.store, slots, &info), TP_E_ARG);
        tp_rig_close(&r);
    }
}

/* Blocks that the payload does not reach are not erased. */
static void tp_erases_what_it_needs(void) {
    tp_rig r;
    tp_rig_open(&r, &(tp_geometry){1, 8, 512, 16, 2, 64}, (const uint32_t[]){3, 20, 2, 0});
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    uint32_t need = (tp_store_bytes(r.trained.plan, TP_ALL, 8) + 511u) / 512u;
    TP_CHECK(need > 1 && need < 8);
    for (uint32_t block = 0; block < 16; block++) { TP_CHECKF(r.sim.erases[block] == (block < need ? 1u : 0u), "block %u", block); }
    tp_rig_close(&r);
}

/* --- how often --- */

static void tp_unchanged_is_not_written(void) {
    tp_rig r;
    tp_store_info info;
    tp_rig_open(&r, &tp_two, tp_small);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    uint32_t operations = r.sim.operations;
    tp_net_state(&r.trained.net)->progress.samples += 5; /* samples that were skipped */
    TP_CHECK_STATUS(tp_store_commit(&r.store, 1.0f, 0, &info), TP_OK);
    TP_CHECK(info.written == 0 && info.sequence == 1 && info.samples == 1 && r.sim.operations == operations);
    TP_CHECK_STATUS(tp_store_commit(&r.store, 1.0f, TP_STORE_ALWAYS, &info), TP_OK);
    TP_CHECK(info.written == 1 && info.sequence == 2 && info.samples == 6 && info.metric == 1.0f);
    TP_CHECK(r.sim.operations > operations);
    uint8_t *weight = r.trained.arena + r.trained.plan->node[2].tensor[1].offset;
    operations = r.sim.operations;
    weight[0] ^= 1u; /* one bit of one weight */
    TP_CHECK_STATUS(tp_store_commit(&r.store, 1.0f, 0, &info), TP_OK);
    TP_CHECK(info.written == 1 && r.sim.operations > operations);
    tp_rig_close(&r);
}

static void tp_policy_decides(void) {
    tp_rig r;
    tp_store_info info;
    tp_store_policy policy = {.min_samples = 3, .max_samples = 10, .min_gain = 0.125f, .endurance = 2};
    tp_rig_open(&r, &tp_two, tp_small);
    TP_CHECK(tp_store_due(NULL, &policy, 0) == TP_STORE_SOON && tp_store_due(&r.store, NULL, 0) == TP_STORE_SOON);
    TP_CHECK(tp_store_due(&r.store, &(tp_store_policy){0, 0, 0, 0}, 0) == 0);
    TP_CHECK_STATUS(tp_live_train(&r.trained, &r.data, 2, 1), TP_OK);
    TP_CHECK(tp_store_due(&r.store, &policy, -1.0f) == TP_STORE_SOON);
    TP_CHECK_STATUS(tp_live_train(&r.trained, &r.data, 1, 1), TP_OK);
    TP_CHECK(tp_store_due(&r.store, &policy, -1.0f) == 0); /* nothing is stored: any metric is a gain */
    TP_CHECK_STATUS(tp_store_commit(&r.store, 0.5f, 0, NULL), TP_OK);
    TP_CHECK(tp_store_due(&r.store, &policy, 0.5f) == (TP_STORE_SOON | TP_STORE_NO_GAIN));
    TP_CHECK_STATUS(tp_live_train(&r.trained, &r.data, 9, 1), TP_OK);
    TP_CHECK(tp_store_due(&r.store, &policy, 0.5f) == TP_STORE_NO_GAIN && tp_store_due(&r.store, &policy, 0.625f) == 0);
    TP_CHECK(tp_store_due(&r.store, &policy, tp_f32_from_bits(0x7fc00000u)) == TP_STORE_NO_GAIN);
    TP_CHECK_STATUS(tp_live_train(&r.trained, &r.data, 1, 1), TP_OK);
    TP_CHECK(tp_store_due(&r.store, &policy, 0.0f) == 0); /* ten samples: drift */
    for (uint32_t i = 0; i < 3; i++) { TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK); }
    TP_CHECK(info.erases == 2 && (tp_store_due(&r.store, &policy, 9.0f) & TP_STORE_WORN) != 0);
    policy.endurance = 3;
    TP_CHECK((tp_store_due(&r.store, &policy, 9.0f) & TP_STORE_WORN) == 0);
    TP_CHECK_STATUS(tp_rig_boot(&r, &info), TP_OK); /* a boot knows what is stored */
    TP_CHECK(tp_store_due(&r.reader, &policy, 0.0f) == (TP_STORE_SOON | TP_STORE_NO_GAIN));
    TP_CHECK_STATUS(tp_net_reset_state(&r.booted.net), TP_OK);
    TP_CHECK(tp_store_due(&r.reader, &policy, 9.0f) == TP_STORE_SOON); /* counters that went back are counters from 0 */
    tp_rig_close(&r);
}

/* --- what is refused --- */

static void tp_bad_calls_refused(void) {
    tp_rig r;
    tp_store store;
    tp_store_info info;
    tp_net closed = {0};
    tp_rig_open(&r, &tp_two, tp_small);
    const tp_store_config good = tp_rig_config(&r);
    const tp_flash flash = r.sim.flash;
    tp_store_config c = good;
    TP_CHECK_STATUS(tp_store_open(NULL, &c, &r.trained.net), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_open(&store, NULL, &r.trained.net), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_open(&store, &c, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_open(&store, &c, &closed), TP_E_ARG);
#define TP_REFUSED(change, status) \
    c = good; r.sim.flash = flash; change; TP_CHECK_STATUS(tp_store_open(&store, &c, &r.trained.net), status)
    TP_REFUSED(c.flash = NULL, TP_E_ARG);
    TP_REFUSED(c.buffer = NULL, TP_E_ARG);
    TP_REFUSED(c.buffer = (uint8_t *)r.buffer + 4, TP_E_ARG);
    TP_REFUSED(c.buffer_bytes = 63, TP_E_ARG);
    TP_REFUSED(c.slots = 1, TP_E_ARG);
    TP_REFUSED(c.slots = 3, TP_E_ARG);
    TP_REFUSED(c.flags = TP_BLOB_STATE, TP_E_ARG);
    TP_REFUSED(c.flags = TP_ALL | TP_BLOB_PARTIAL, TP_E_ARG);
    TP_REFUSED(r.sim.flash.read = NULL, TP_E_ARG);
    TP_REFUSED(r.sim.flash.prog = NULL, TP_E_ARG);
    TP_REFUSED(r.sim.flash.erase = NULL, TP_E_ARG);
    TP_REFUSED(r.sim.flash.sync = NULL, TP_E_ARG);
    TP_REFUSED(r.sim.flash.read_size = 0, TP_E_ARG);
    TP_REFUSED(r.sim.flash.read_size = 3, TP_E_ARG);
    TP_REFUSED(r.sim.flash.prog_size = 0, TP_E_ARG);
    TP_REFUSED(r.sim.flash.prog_size = 1024, TP_E_ARG);
    TP_REFUSED(r.sim.flash.prog_size = 128, TP_E_ARG); /* a larger header, the same buffer */
    TP_REFUSED(r.sim.flash.block_size = 1023, TP_E_ARG);
    TP_REFUSED(r.sim.flash.block_size = 32, TP_E_ARG);
    TP_REFUSED(r.sim.flash.block_count = 1, TP_E_ARG); /* slots would overlap */
    TP_REFUSED(r.sim.flash.block_size = 64, TP_E_LIMIT); /* too small for the payload */
    TP_REFUSED(r.sim.flash.block_count = 1u << 31; r.sim.flash.block_size = 1024, TP_E_LIMIT);
    TP_REFUSED(r.sim.flash.block_size = tp_store_bytes(r.trained.plan, TP_ALL, 8) - 8u, TP_E_LIMIT);
    TP_REFUSED(r.sim.flash.block_size = tp_store_bytes(r.trained.plan, TP_ALL, 8), TP_OK);
#undef TP_REFUSED
    r.sim.flash = flash;
    TP_CHECK(tp_store_bytes(NULL, TP_ALL, 8) == 0 && tp_store_bytes(r.trained.plan, 0, 8) == 0 && tp_store_bytes(r.trained.plan, TP_ALL, 0) == 0);
    TP_CHECK(tp_store_bytes(r.trained.plan, TP_ALL, 513) == 0 && tp_store_bytes(r.trained.plan, TP_ALL, 512) % 512u == 0);
    TP_CHECK_STATUS(tp_store_load(NULL, TP_ALL, &info), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_load(&r.store, TP_BLOB_STATE, &info), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_load(&r.store, TP_ALL | TP_BLOB_PARTIAL, &info), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_commit(NULL, 0, 0, &info), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_commit(&r.store, 0, 2, &info), TP_E_ARG);
    TP_CHECK_STATUS(tp_store_slot(&r.store, 0, NULL), TP_E_ARG);
    tp_rig_close(&r);
}

/* Training that diverged does not overwrite weights that worked. */
static void tp_diverged_is_not_written(void) {
    tp_rig r;
    tp_rig_open(&r, &tp_two, tp_small);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    uint32_t operations = r.sim.operations;
    tp_tensor_f32(r.trained.arena, &r.trained.plan->node[2].tensor[1])[1] = tp_f32_from_bits(0x7f800000u);
    TP_CHECK_STATUS(tp_store_commit(&r.store, 0.0f, TP_STORE_ALWAYS, NULL), TP_E_DATA);
    tp_tensor_f32(r.trained.arena, &r.trained.plan->node[2].tensor[1])[1] = 0.0f;
    TP_CHECK_STATUS(tp_store_commit(&r.store, tp_f32_from_bits(0x7fc00000u), TP_STORE_ALWAYS, NULL), TP_E_DATA);
    TP_CHECK(r.sim.operations == operations);
    tp_rig_close(&r);
}

/* Between the slices of a step nothing is written and nothing is loaded. */
static void tp_step_in_flight_refused(void) {
    tp_rig r;
    bool done;
    tp_rig_open(&r, &tp_two, tp_small);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    tp_batch batch = tp_data_batch(&r.data, 0, 1);
    uint32_t reads = r.sim.reads, operations = r.sim.operations;
    TP_CHECK_STATUS(tp_step_begin(&r.trained.net, &batch, NULL), TP_OK);
    for (uint32_t slices = 0; slices < 2; slices++) {
        TP_CHECK_STATUS(tp_store_commit(&r.store, 0.0f, TP_STORE_ALWAYS, NULL), TP_E_BUSY);
        TP_CHECK_STATUS(tp_store_load(&r.store, TP_ALL, NULL), TP_E_BUSY);
        TP_CHECK_STATUS(tp_step_resume(&r.trained.net, slices == 0 ? 20u : TP_BUDGET_ALL, &done), TP_OK);
        TP_CHECK(done == (slices == 1));
    }
    TP_CHECK(r.sim.reads == reads && r.sim.operations == operations);
    TP_CHECK_STATUS(tp_store_commit(&r.store, 0.0f, TP_STORE_ALWAYS, NULL), TP_OK);
    tp_rig_close(&r);
}

int main(void) {
    TP_RUN(tp_payload_is_the_blob);
    TP_RUN(tp_resume_is_no_interruption);
    TP_RUN(tp_weights_alone);
    TP_RUN(tp_other_models_refused);
    TP_RUN(tp_takeover);
    TP_RUN(tp_sequence_wraps);
    TP_RUN(tp_wear_is_level);
    TP_RUN(tp_erases_what_it_needs);
    TP_RUN(tp_unchanged_is_not_written);
    TP_RUN(tp_policy_decides);
    TP_RUN(tp_bad_calls_refused);
    TP_RUN(tp_diverged_is_not_written);
    TP_RUN(tp_step_in_flight_refused);
    return tp_end();
}
