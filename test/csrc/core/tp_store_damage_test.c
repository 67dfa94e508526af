/* SPDX-License-Identifier: Apache-2.0 */
/* Flash that holds anything: flipped bits, garbage, forged headers, functions that fail, blocks that are worn. A load gives one
 * commit, whole, or leaves the net alone. */
#include "../../../csrc/tinyprop.c"

#include "../tp_store_rig.h"

static const uint32_t tp_small[] = {3, 4, 2, 0};
static const tp_geometry tp_two = {1, 8, 1024, 2, 2, 64}, tp_three = {1, 8, 1024, 3, 3, 64};

/* --- bits --- */

/* Two commits; then every bit of both headers and every byte of both payloads changes, one at a time. */
static void tp_every_flip(void) {
    tp_rig r;
    tp_store_info info;
    uint64_t hash[3] = {0};
    tp_rig_open(&r, &tp_two, tp_small);
    hash[0] = tp_rig_hash(&r.booted);
    for (uint32_t i = 1; i <= 2; i++) {
        TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
        hash[i] = tp_rig_hash(&r.trained);
    }
    uint32_t bytes = TP_STORE_HEADER + info.weights_bytes + info.state_bytes;
    for (uint32_t both = 0; both < 2; both++) {
        if (both == 1) { memset(r.sim.bytes, 0xff, 1024); } /* slot 1 alone */
        for (uint32_t at = 0; at < bytes * 8u; at += at < TP_STORE_HEADER * 8u ? 1u : 1u + tp_random_below(8)) {
            for (uint32_t slot = both; slot < 2; slot++) {
                r.sim.bytes[slot * 1024u + at / 8u] ^= (uint8_t)(1u << at % 8u);
                tp_status status = tp_rig_boot(&r, &info);
                uint32_t other = 2u - slot;
                if (both == 0) {
                    TP_CHECKF(status == TP_OK && info.sequence == other && tp_rig_hash(&r.booted) == hash[other], "slot %u, bit %u: %s", slot, at, tp_status_name(status));
                } else {
                    bool magic = at < 32; /* not even a header */
                    TP_CHECKF(status == (magic ? TP_E_EMPTY : TP_E_CRC) && tp_rig_hash(&r.booted) == hash[0], "bit %u: %s", at, tp_status_name(status));
                }
                r.sim.bytes[slot * 1024u + at / 8u] ^= (uint8_t)(1u << at % 8u);
            }
        }
    }
    TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && info.sequence == 2 && tp_rig_hash(&r.booted) == hash[2]);
    tp_rig_close(&r);
}

/* The newest slot has rotted: the next commit takes its place, not that of the only good one. */
static void tp_rotten_newest(void) {
    tp_rig r;
    tp_store_info info;
    tp_rig_open(&r, &tp_two, tp_small);
    for (uint32_t i = 0; i < 4; i++) { TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK); }
    TP_CHECK(info.slot == 1 && info.sequence == 4);
    r.sim.bytes[1024 + 100] ^= 1u;
    uint32_t erases = r.sim.erases[0];
    TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
    TP_CHECK(info.slot == 1 && info.sequence == 5 && info.erases == 3 && r.sim.erases[0] == erases);
    memset(r.sim.bytes + 1024, 0x55, 64); /* the header too: its count of erases is lost and taken from the others */
    TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
    TP_CHECK(info.slot == 1 && info.sequence == 4 && info.erases == 3 && r.sim.erases[0] == erases);
    tp_rig_close(&r);
}

static void tp_other_versions(void) {
    tp_rig r;
    tp_store_info info;
    tp_rig_open(&r, &tp_two, tp_small);
    for (uint32_t i = 0; i < 2; i++) { TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK); }
    tp_rig_header(&r, 1)->version = TP_STORE_VERSION + 7; /* a later minor version */
    tp_rig_sign(tp_rig_header(&r, 1));
    TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && info.sequence == 2);
    tp_rig_header(&r, 1)->version = TP_STORE_VERSION * 2;
    tp_rig_sign(tp_rig_header(&r, 1));
    TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && info.sequence == 1);
    TP_CHECK(tp_store_slot(&r.reader, 1, &info) == TP_E_VERSION && info.slot == 1 && info.erases == 0);
    r.sim.bytes[0] ^= 1u;
    TP_CHECK_STATUS(tp_rig_boot(&r, &info), TP_E_VERSION);
    TP_CHECK_STATUS(tp_store_commit(&r.store, 0, 0, &info), TP_OK); /* the newer one goes last, and counts */
    TP_CHECK(info.slot == 0 && info.sequence == 3);
    tp_rig_close(&r);
}

/* --- anything --- */

static void tp_garbage(void) {
    tp_rig r;
    tp_store_info info;
    for (uint32_t i = 0; i < 300; i++) {
        static const uint8_t fill[3] = {0xff, 0x00, 0xa5};
        tp_rig_open(&r, i % 2u == 0 ? &tp_two : &tp_three, tp_small); /* a new flash is random */
        if (i % 5u != 0) { memset(r.sim.bytes, fill[i % 3u], 2048); }
        uint64_t hash = tp_rig_hash(&r.booted);
        TP_CHECK_STATUS(tp_rig_boot(&r, &info), TP_E_EMPTY);
        TP_CHECK(hash == tp_rig_hash(&r.booted));
        TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
        TP_CHECK(info.sequence == 1 && info.slot == 0 && info.erases == 1);
        TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && tp_rig_hash(&r.booted) == tp_rig_hash(&r.trained));
        tp_rig_close(&r);
    }
}

/* Headers of any content under a right checksum, over payloads of any content: no crash, no loop, no byte of the net changed
 * unless the load succeeded, and then only by weights that pass their checksum. */
static void tp_forged(void) {
    tp_rig r;
    tp_store_info info;
    uint32_t loaded = 0, refused = 0;
    tp_rig_open(&r, &tp_three, tp_small);
    for (uint32_t i = 0; i < 3; i++) { TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK); }
    uint8_t *good = (uint8_t *)tp_alloc(3072);
    memcpy(good, r.sim.bytes, 3072);
    for (uint32_t i = 0; i < 20000; i++) {
        memcpy(r.sim.bytes, good, 3072);
        for (uint32_t slot = 0; slot < 3; slot++) {
            static const uint32_t words[6] = {0, 1, 0x7fffffffu, 0x80000000u, 0xffffffffu, 1024u};
            uint8_t *h = r.sim.bytes + slot * 1024u;
            for (uint32_t n = tp_random_below(4); n > 0; n--) {
                uint32_t word = tp_random_below(8) < 6u ? words[tp_random_below(6)] : tp_random();
                memcpy(h + 4u + 4u * tp_random_below(14), &word, 4);
            }
            if (tp_random_below(8) == 0) { h[tp_random_below(1024)] ^= 0x40u; }
            if (tp_random_below(16) != 0) { tp_rig_sign((tp_store_header *)(void *)h); }
        }
        uint64_t fresh = i == 0 ? 0 : tp_rig_hash(&r.booted);
        tp_sim_boot(&r.sim);
        tp_status status = tp_store_load(&r.reader, tp_random_below(2) == 0 ? TP_ALL : TP_BLOB_WEIGHTS, &info);
        TP_CHECK(status == TP_OK || i == 0 || fresh == tp_rig_hash(&r.booted));
        loaded += status == TP_OK ? 1u : 0u;
        refused += status != TP_OK ? 1u : 0u;
        TP_CHECK(r.sim.violations == 0 && r.sim.reads < 1000);
        if (i % 16u == 0) { TP_CHECK_STATUS(tp_store_commit(&r.reader, 0.0f, TP_STORE_ALWAYS, NULL), TP_OK); }
    }
    printf("# %u forged flashes loaded, %u refused\n", loaded, refused);
    TP_CHECK(loaded > 1000 && refused > 1000);
    free(good);
    tp_rig_close(&r);
}

/* --- functions that fail --- */

/* The n-th call of each function fails, for every n of a commit. */
static void tp_every_failure_of_a_commit(void) {
    for (uint32_t kind = 0; kind < 4; kind++) {
        uint32_t failed = 0;
        for (uint32_t n = 1; n < 200; n++) {
            tp_rig r;
            tp_store_info info;
            tp_rig_open(&r, &tp_two, tp_small);
            for (uint32_t i = 0; i < 3; i++) { TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK); }
            uint64_t old = tp_rig_hash(&r.trained);
            tp_sim_boot(&r.sim);
            *(kind == 0 ? &r.sim.fail_read : kind == 1 ? &r.sim.fail_prog : kind == 2 ? &r.sim.fail_erase : &r.sim.fail_sync) = n;
            tp_status status = tp_rig_commit(&r, &info);
            uint64_t now = tp_rig_hash(&r.trained);
            TP_CHECKF(status == TP_OK || status == TP_E_FLASH, "%s", tp_status_name(status));
            failed += status != TP_OK ? 1u : 0u;
            tp_store_info found;
            TP_CHECK_STATUS(tp_rig_boot(&r, &found), TP_OK);
            uint64_t hash = tp_rig_hash(&r.booted);
            TP_CHECKF(hash == now || (status == TP_E_FLASH && hash == old), "kind %u, call %u", kind, n);
            TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK); /* it was an accident: the next one works */
            TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && tp_rig_hash(&r.booted) == tp_rig_hash(&r.trained));
            tp_rig_close(&r);
        }
        TP_CHECKF(failed > 0, "kind %u", kind);
    }
}

/* The n-th read of a load fails: the other slot, or nothing. If flash turns bad between check and copy, the net is closed. */
static void tp_every_failure_of_a_load(void) {
    uint32_t outcome[4] = {0};
    for (uint32_t both = 0; both < 2; both++) {
        for (uint32_t flip = 0; flip < 2; flip++) {
            for (uint32_t n = 1; n < 60; n++) {
                tp_rig r;
                tp_store_info info;
                uint64_t hash[2];
                tp_rig_open(&r, &tp_two, tp_small);
                for (uint32_t i = 0; i <= both; i++) {
                    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
                    hash[i] = tp_rig_hash(&r.trained);
                }
                uint64_t fresh = tp_rig_hash(&r.booted);
                tp_sim_boot(&r.sim);
                *(flip == 0 ? &r.sim.fail_read : &r.sim.flip_read) = n;
                tp_status status = tp_store_load(&r.reader, TP_ALL, &info);
                uint64_t found = tp_rig_hash(&r.booted);
                bool closed = r.booted.net.ready == 0;
                TP_CHECKF(status != TP_OK || (!closed && found == hash[info.sequence - 1u]), "read %u", n);
                TP_CHECKF(status == TP_OK || closed || found == fresh, "read %u: %s", n, tp_status_name(status));
                TP_CHECKF(!closed || (status == TP_E_FLASH && flip == 1), "read %u", n);
                TP_CHECK(!closed || tp_net_init(&r.booted.net) == TP_E_ARG);
                outcome[closed ? 0 : status != TP_OK ? 1 : info.sequence == both + 1u ? 2 : 3]++;
                tp_rig_close(&r);
            }
        }
    }
    printf("# loads with a failing read: %u closed the net, %u refused, %u newest, %u older\n", outcome[0], outcome[1], outcome[2], outcome[3]);
    TP_CHECK(outcome[0] > 0 && outcome[1] > 0 && outcome[2] > 0 && outcome[3] > 0);
}

/* A slot that cannot be read is not erased while another will do: it may hold the only good weights. */
static void tp_unreadable_is_spared(void) {
    tp_rig r;
    tp_store_info info;
    tp_rig_open(&r, &tp_two, tp_small);
    TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
    r.sim.ecc = true;
    r.sim.unit[2] = 3; /* in the header of slot 0 */
    TP_CHECK_STATUS(tp_rig_boot(&r, &info), TP_E_FLASH);
    TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_OK);
    TP_CHECK(info.slot == 1 && r.sim.erases[0] == 1);
    r.sim.unit[128 + 2] = 3; /* both: nothing is erased */
    TP_CHECK_STATUS(tp_rig_commit(&r, &info), TP_E_FLASH);
    TP_CHECK(r.sim.erases[0] == 1 && r.sim.erases[1] == 1);
    tp_rig_close(&r);
}

/* Flash that does not take what is programmed, in the payload or in the header: the commit says so, the next one steps over
 * that slot. */
static void tp_worn_block(void) {
    for (uint32_t slots = 2; slots < 5; slots++) {
        for (uint32_t part = 0; part < 2; part++) {
            tp_rig r;
            tp_store_info info;
            tp_rig_open(&r, &(tp_geometry){1, 8, 1024, slots, slots, 64}, tp_small);
            TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_OK);
            uint64_t old = tp_rig_hash(&r.trained);
            r.sim.weak_from = 1024u + (part == 0 ? 70u : 20u); /* slot 1 */
            r.sim.weak_to = r.sim.weak_from + 1u;
            TP_CHECK_STATUS(tp_rig_commit(&r, NULL), TP_E_FLASH);
            TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && info.sequence == 1 && tp_rig_hash(&r.booted) == old);
            tp_status status = tp_rig_commit(&r, &info);
            TP_CHECK_STATUS(status, slots == 2 ? TP_E_FLASH : TP_OK);
            TP_CHECK(slots == 2 || (info.slot == 2 && info.sequence == 2));
            TP_CHECK(tp_rig_boot(&r, &info) == TP_OK && tp_rig_hash(&r.booted) == (slots == 2 ? old : tp_rig_hash(&r.trained)));
            tp_rig_close(&r);
        }
    }
}

int main(void) {
    TP_RUN(tp_every_flip);
    TP_RUN(tp_rotten_newest);
    TP_RUN(tp_other_versions);
    TP_RUN(tp_garbage);
    TP_RUN(tp_forged);
    TP_RUN(tp_every_failure_of_a_commit);
    TP_RUN(tp_every_failure_of_a_load);
    TP_RUN(tp_unreadable_is_spared);
    TP_RUN(tp_worn_block);
    return tp_end();
}
