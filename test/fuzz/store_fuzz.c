/* SPDX-License-Identifier: Apache-2.0 */
/* Boots from a flash of any content and commits to it (libFuzzer):
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Itest/csrc test/fuzz/store_fuzz.c -o store_fuzz && ./store_fuzz
 * The regression test, test/csrc/core/tp_store_damage_test.c, forges flashes itself. */
#include "../../csrc/tinyprop.c"

#include "../csrc/tp_store_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static tp_rig r;
    static const tp_geometry geometry = {1, 8, 512, 3, 3, 64};
    if (r.sim.bytes == NULL) { tp_rig_open(&r, &geometry, (const uint32_t[]){3, 2, 0}); }
    memset(r.sim.bytes, 0xff, 3 * 512);
    memcpy(r.sim.bytes, data, size < 3 * 512 ? size : 3 * 512);
    for (uint32_t slot = 0; slot < 3; slot++) { /* right checksums, so that what lies behind them is reached */
        tp_store_header *h = tp_rig_header(&r, slot);
        if ((h->magic[0] & 1u) == 0) { continue; }
        memcpy(h->magic, tp_store_magic, sizeof h->magic);
        if ((h->crc & 1u) != 0) { h->model = r.store.model; }
        if ((h->crc & 2u) != 0) { h->weights_crc = tp_crc32(0, (const uint8_t *)(h + 1), r.store.weights_bytes); }
        if ((h->crc & 4u) != 0) { h->state_bytes = 0, h->state_crc = 0; }
        if ((h->crc & 8u) != 0) { h->version = TP_STORE_VERSION, h->slot_bytes = r.store.slot_bytes, h->weights_bytes = r.store.weights_bytes; }
        tp_rig_sign(h);
    }
    uint64_t before = tp_rig_hash(&r.booted);
    tp_status status = tp_store_load(&r.reader, TP_BLOB_WEIGHTS, NULL);
    if (status != TP_OK && before != tp_rig_hash(&r.booted)) { abort(); }
    for (uint32_t slot = 0; slot < 3; slot++) { /* half the numbers apart, newer is not defined; no flash lives that long */
        tp_store_header *h = tp_rig_header(&r, slot);
        bool whole = tp_crc32(0, (const uint8_t *)h, offsetof(tp_store_header, crc)) == h->crc;
        h->sequence &= 0xffffu;
        if (whole) { tp_rig_sign(h); }
    }
    if (tp_store_commit(&r.store, 0.0f, TP_STORE_ALWAYS, NULL) != TP_OK || r.sim.violations != 0) { abort(); }
    tp_store_info info;
    if (tp_store_load(&r.reader, TP_ALL, &info) != TP_OK) { abort(); } /* what was just written is the newest */
    return 0;
}
