/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tp_store: weights and training state that survive a power cut, in two or more slots of raw flash.
 *
 *   1. port     tp_flash          four functions and four sizes of yours; no file system
 *   2. bind     tp_store_open     a net, a flash area, a small buffer
 *   3. start    tp_store_load     the newest intact slot, or a status that says why there is none
 *   4. train    tp_store_due      is it time, is it better, does the flash still bear it?
 *   5. keep     tp_store_commit   erases the oldest slot, programs it, and its header last
 *
 * Promises, whenever the power is cut and whichever bits flip (tested: test/csrc/core/tp_store_test.c)
 *   - A load gives the weights of one commit, whole: those of the last one or, if that was cut or has been damaged, of the
 *     one before. Never a mixture: the net is written only after header and payload have passed their checksums.
 *   - The newest intact slot is never erased, and it is found by reading the flash, not by remembering.
 *   - Every unit of prog_size bytes is programmed once between two erases; nothing is assumed about erased flash.
 *
 * The rules of tinyprop.h hold: no allocation, no global, one thread, not from an interrupt, TP_E_ARG for null pointers and
 * nets that are not open. Format on the flash, ports and lifetime: docs/store.md. Firmware that calls none of these functions
 * pays nothing once the linker drops unused sections (-ffunction-sections -fdata-sections -Wl,--gc-sections).
 */
#ifndef TINYPROP_STORE_H
#define TINYPROP_STORE_H

#include "tinyprop.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------- flash */

/* A flash area, littlefs-shaped: numbered erase blocks and bytes in them. The functions are yours; they return 0 or, if they
 * failed, anything else, and are never asked for a range over the end of a block. */
typedef struct tp_flash {
    void *context; /* yours */
    /* offset and bytes are multiples of read_size. Where the part finds bits it cannot correct (ECC: a cut while programming
     * leaves such words) give any bytes and succeed, the checksums see it; fail where the flash does not answer. Never fault. */
    int (*read)(const struct tp_flash *flash, uint32_t block, uint32_t offset, void *to, uint32_t bytes);
    /* offset and bytes are multiples of prog_size; the range has been erased and not been programmed since. */
    int (*prog)(const struct tp_flash *flash, uint32_t block, uint32_t offset, const void *from, uint32_t bytes);
    int (*erase)(const struct tp_flash *flash, uint32_t block); /* to any constant value */
    int (*sync)(const struct tp_flash *flash); /* returns when all before is in the flash: nothing to do if prog waits */
    uint32_t read_size;   /* >= 1, divides prog_size */
    uint32_t prog_size;   /* smallest unit that is programmed, at once and once: 1 .. 512 bytes */
    uint32_t block_size;  /* smallest unit that is erased, a multiple of prog_size */
    uint32_t block_count; /* blocks of the area; all are the store's */
} tp_flash;

/* ------------------------------------------------------------------- store */

#define TP_STORE_HEADER 64u /* bytes of a header; in the flash rounded up to prog_size */

typedef struct tp_store_config {
    const tp_flash *flash; /* must outlive the store */
    uint32_t slots;        /* >= 2; each has block_count / slots blocks. More slots: longer life (each is erased less often) */
    uint32_t key;          /* part of the model's fingerprint, any number: slots written with another one do not fit. Change it to
                            * make old slots invalid, e.g. with new factory weights of the same model */
    uint32_t flags;        /* what a commit writes: TP_BLOB_WEIGHTS, or it with TP_BLOB_STATE (to resume to the same bits) */
    void *buffer;          /* working memory between flash and net, 8-byte aligned, the store's alone */
    uint32_t buffer_bytes; /* at least TP_STORE_HEADER rounded up to prog_size; more makes fewer calls of the flash functions */
} tp_store_config;

/* What is known of a slot. */
typedef struct tp_store_info {
    uint32_t slot;          /* 0 .. slots - 1 */
    uint32_t sequence;      /* number of the commit; the next one has the next number, modulo 2^32 */
    uint32_t erases;        /* of each block of this slot up to this commit. A commit that was cut may be missing */
    uint32_t written;       /* tp_store_commit: 1 if this call wrote the slot, 0 if it held these weights already */
    uint32_t weights_bytes; /* of the payload */
    uint32_t state_bytes;   /* of the payload; 0: weights alone */
    float metric;           /* given to tp_store_commit */
    uint64_t samples;       /* tp_progress.samples at the commit; 0 for an inference net */
} tp_store_info;

/* A store bound to a net: pointers and numbers, no memory of its own. All fields are private. */
typedef struct tp_store {
    tp_store_config config;
    tp_net *net;
    uint64_t model;         /* fingerprint of what the net computes, and of the key */
    uint32_t state;         /* fingerprint of the layout of its training state; 0: inference */
    uint32_t slot_blocks, slot_bytes;
    uint32_t head, chunk;   /* bytes of a header in the flash; bytes of the buffer in use */
    uint32_t weights_bytes; /* of the payload */
    uint32_t failures;      /* commits that failed in a row: the next one steps over that slot if there is another */
    uint32_t known;         /* 1: `newest` is the newest intact slot */
    tp_store_info newest;
    uint64_t mark;          /* samples at the last load or commit, from which tp_store_due counts */
} tp_store;

/* Bytes that a commit programs: header and payload, each rounded up to prog_size. A slot needs them rounded up to blocks. Pure
 * arithmetic, O(tensors). 0: a null pointer, flags or prog_size out of range, STATE of an inference plan, or 2^32 and more. */
uint32_t tp_store_bytes(const tp_plan *plan, uint32_t flags, uint32_t prog_size);

/* Binds store, flash area and net; the flash is not touched, the net not changed. The config is copied; net, flash and buffer
 * must outlive the store. Any number of stores may share a net and a flash area, but not at the same time. Time: O(nodes).
 * TP_E_ARG: sizes that break the rules above, less than 2 slots, a buffer too small or not aligned, unknown flags;
 * TP_E_MODE: TP_BLOB_STATE with an inference plan; TP_E_LIMIT: the payload does not fit a slot (see tp_store_bytes), or a slot
 * has 4 GiB or more. */
tp_status tp_store_open(tp_store *store, const tp_store_config *config, tp_net *net);

/* Copies the newest intact slot of this model into the net. flags: TP_BLOB_WEIGHTS (training state stays as it is), or it with
 * TP_BLOB_STATE: training goes on as if it had never stopped. *info (may be NULL) says which commit it was. Call it once after
 * tp_store_open, also where the weights are not wanted: it also tells tp_store_due what is stored.
 *   TP_E_EMPTY     no slot has a header: nothing was ever committed
 *   TP_E_CRC       there are slots, all damaged
 *   TP_E_VERSION   intact, but written by a newer version
 *   TP_E_MISMATCH  intact, but of another model, key or division into slots; or, with TP_BLOB_STATE, the training state has
 *                  another layout (policy, optimizer, frozen nodes): load TP_BLOB_WEIGHTS alone
 *   TP_E_MODE      TP_BLOB_STATE, but the newest slot or the net has no training state
 *   TP_E_BUSY      a step of the net is in flight
 *   TP_E_FLASH     the flash could not be read, and no other slot was intact
 * On all of these the net is as it was. One exception: if flash that has just passed its checksum reads differently while it is
 * copied, and no other slot can be copied whole, the result is TP_E_FLASH and the net is closed (TP_E_ARG on every call), because
 * it would hold a mixture: open it again. Time: reads every header twice, the payload twice. */
tp_status tp_store_load(tp_store *store, uint32_t flags, tp_store_info *info);

/* commit: write also if the newest slot holds the same weights (its training state or metric may differ) */
#define TP_STORE_ALWAYS 1u

/* Writes the net to the slot after the newest intact one: erases its blocks, programs the payload, reads it back, programs the
 * header, reads it back. Nothing is written, and info->written is 0, if the newest slot holds these weights already. metric: how
 * good they are, more is better (accuracy, or minus the loss); any finite number, 0 if there is none.
 * *info (may be NULL): the newest slot afterwards.
 *   TP_E_BUSY   a step of the net is in flight: between slices it is neither the old nor the new net
 *   TP_E_DATA   a weight or the metric is not finite: training has diverged; nothing was written
 *   TP_E_FLASH  a flash function failed, or the flash did not take the bytes; the newest slot is as it was. The next commit tries
 *               another slot if there are more than two
 * Time: header and payload of the newest slot read once, the blocks of one slot erased, the payload written and read. */
tp_status tp_store_commit(tp_store *store, float metric, uint32_t flags, tp_store_info *info);

/* State of one slot as tp_store_load would judge it, payload read and checked: TP_OK, TP_E_EMPTY, TP_E_CRC, TP_E_VERSION,
 * TP_E_MISMATCH, TP_E_FLASH; TP_E_ARG: no such slot. *info is zero but for `slot` unless the header is intact and of this
 * version. For counters of erases and diagnosis. */
tp_status tp_store_slot(tp_store *store, uint32_t slot, tp_store_info *info);

/* ------------------------------------------------------------------ policy */

/* When to commit. All 0: always. `tinyprop plan --store` computes min_samples for a lifetime in years. */
typedef struct tp_store_policy {
    uint32_t min_samples; /* training samples since the last load or commit */
    uint32_t max_samples; /* after so many the gain does not matter: the metric may have drifted; 0: it always does */
    float min_gain;       /* the metric must be at least that of the newest slot plus this */
    uint32_t endurance;   /* erases that a block bears, e.g. 10000: no commit after that; 0: no limit */
} tp_store_policy;

#define TP_STORE_SOON 1u    /* fewer than min_samples */
#define TP_STORE_NO_GAIN 2u /* the metric is not better by min_gain */
#define TP_STORE_WORN 4u    /* the newest slot has been erased `endurance` times */

/* Reasons against a commit, TP_STORE_*; 0: commit now. Reads RAM alone, writes nothing: cheap enough for every step. What is
 * stored is known from the last tp_store_load or tp_store_commit; before, any metric is a gain. Samples that the net has seen
 * count whether they were trained or skipped; an inference net has seen none. TP_STORE_SOON for null pointers. */
uint32_t tp_store_due(const tp_store *store, const tp_store_policy *policy, float metric);

#ifdef __cplusplus
}
#endif
#endif /* TINYPROP_STORE_H */
