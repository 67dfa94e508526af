/* SPDX-License-Identifier: Apache-2.0 */
/* A flash that keeps the rules of real ones and counts who breaks them: programming only clears bits, each unit once after an
 * erase, everything aligned. Its power can be cut at any unit programmed and any block erased, its bits flip, its functions fail. */
#ifndef TINYPROP_TP_FLASH_SIM_H
#define TINYPROP_TP_FLASH_SIM_H

#include "tp_test.h"

typedef enum tp_sim_tear {
    TP_TEAR_BEFORE, /* the operation at which the power goes does nothing */
    TP_TEAR_WITHIN, /* it is done in part: bits at random */
    TP_TEAR_AFTER,  /* it is done; nothing after it */
    TP_TEARS
} tp_sim_tear;

typedef struct tp_sim {
    tp_flash flash;
    uint8_t *bytes;     /* as programming sees them: erased is 0xff */
    uint8_t *unit;      /* of prog_size: 0 unknown, 1 erased, 2 programmed, 3 torn */
    uint32_t *erases;   /* of each block */
    uint8_t invert;     /* 0xff: a part whose erased bytes read 0 */
    bool ecc;           /* reading a torn unit fails */
    uint32_t reads, progs, operations, syncs; /* calls; units programmed and blocks erased, and the same in one number */
    uint32_t cut_at;    /* number of the operation at which the power goes; 0: never */
    tp_sim_tear tear;
    bool off;
    uint32_t fail_read, fail_prog, fail_erase, fail_sync; /* number of the call that fails; 0: none */
    uint32_t prog_calls, erase_calls;
    uint32_t flip_read; /* from this read on a bit is wrong; 0: never */
    uint32_t weak_from, weak_to; /* bytes of the area that do not take what is programmed */
    uint32_t violations;
} tp_sim;

static uint32_t tp_sim_units(const tp_sim *s) { return s->flash.block_size / s->flash.prog_size; }

/* True while there is power; counts an operation and cuts. `*whole`: it is done in full. */
static bool tp_sim_power(tp_sim *s, bool *whole, bool *part) {
    if (s->off) { return false; }
    s->operations++;
    s->off = s->cut_at != 0 && s->operations == s->cut_at;
    *whole = !s->off || s->tear == TP_TEAR_AFTER;
    *part = s->off && s->tear == TP_TEAR_WITHIN;
    return true;
}

static bool tp_sim_range(tp_sim *s, uint32_t block, uint32_t offset, uint32_t bytes, uint32_t unit) {
    bool good = block < s->flash.block_count && bytes > 0 && offset % unit == 0 && bytes % unit == 0 && offset <= s->flash.block_size &&
                bytes <= s->flash.block_size - offset;
    if (!good) { s->violations++; }
    return good;
}

static int tp_sim_read(const tp_flash *flash, uint32_t block, uint32_t offset, void *to, uint32_t bytes) {
    tp_sim *s = (tp_sim *)flash->context;
    if (!tp_sim_range(s, block, offset, bytes, flash->read_size) || s->off) { return -1; }
    s->reads++;
    if (s->reads == s->fail_read) { return -1; }
    const uint8_t *from = s->bytes + (size_t)block * flash->block_size + offset;
    for (uint32_t i = 0; i < bytes; i++) {
        size_t unit = ((size_t)block * flash->block_size + offset + i) / flash->prog_size;
        if (s->ecc && s->unit[unit] == 3) { return -1; }
        ((uint8_t *)to)[i] = (uint8_t)(from[i] ^ s->invert);
    }
    if (s->flip_read != 0 && s->reads >= s->flip_read) { ((uint8_t *)to)[bytes / 2u] ^= 4u; }
    return 0;
}

static int tp_sim_prog(const tp_flash *flash, uint32_t block, uint32_t offset, const void *from, uint32_t bytes) {
    tp_sim *s = (tp_sim *)flash->context;
    if (!tp_sim_range(s, block, offset, bytes, flash->prog_size) || s->off) { return -1; }
    if (++s->prog_calls == s->fail_prog) { return -1; }
    for (uint32_t at = 0; at < bytes; at += flash->prog_size) {
        bool whole, part;
        size_t to = (size_t)block * flash->block_size + offset + at;
        uint8_t *unit = &s->unit[to / flash->prog_size];
        if (!tp_sim_power(s, &whole, &part)) { return -1; }
        if (*unit != 1) { s->violations++; }
        for (uint32_t i = 0; i < flash->prog_size; i++) {
            uint8_t data = (uint8_t)(((const uint8_t *)from)[at + i] ^ s->invert);
            if (part) { data |= (uint8_t)tp_random(); }
            if (whole || part) { s->bytes[to + i] &= data; }
            if (to + i >= s->weak_from && to + i < s->weak_to) { s->bytes[to + i] ^= 0x10u; }
        }
        if (whole || part) { *unit = part ? 3 : 2; }
        s->progs++;
        if (s->off) { return -1; }
    }
    return 0;
}

static int tp_sim_erase(const tp_flash *flash, uint32_t block) {
    tp_sim *s = (tp_sim *)flash->context;
    bool whole, part;
    if (!tp_sim_range(s, block, 0, flash->block_size, flash->block_size) || s->off) { return -1; }
    if (++s->erase_calls == s->fail_erase) { return -1; }
    if (!tp_sim_power(s, &whole, &part)) { return -1; }
    s->erases[block]++;
    uint32_t kept = part ? tp_random_below(3) : 0; /* torn: each byte erased, random or as it was */
    uint8_t *at = s->bytes + (size_t)block * flash->block_size;
    for (uint32_t i = 0; i < flash->block_size && (whole || part); i++) {
        if (whole || (tp_random() & kept) == 0) {
            at[i] = whole ? 0xffu : (uint8_t)(at[i] | tp_random());
        } else if (kept == 2) {
            at[i] = (uint8_t)tp_random();
        }
    }
    if (whole || part) { memset(s->unit + (size_t)block * tp_sim_units(s), whole ? 1 : 3, tp_sim_units(s)); }
    return s->off ? -1 : 0;
}

static int tp_sim_sync(const tp_flash *flash) {
    tp_sim *s = (tp_sim *)flash->context;
    return s->off || ++s->syncs == s->fail_sync ? -1 : 0;
}

/* A new flash holds anything. */
static void tp_sim_open(tp_sim *s, uint32_t read_size, uint32_t prog_size, uint32_t block_size, uint32_t block_count) {
    memset(s, 0, sizeof *s);
    s->flash = (tp_flash){s, tp_sim_read, tp_sim_prog, tp_sim_erase, tp_sim_sync, read_size, prog_size, block_size, block_count};
    size_t bytes = (size_t)block_size * block_count;
    s->bytes = (uint8_t *)tp_alloc(bytes);
    s->unit = (uint8_t *)tp_alloc(bytes / prog_size);
    s->erases = (uint32_t *)tp_alloc(block_count * sizeof *s->erases);
    for (size_t i = 0; i < bytes; i++) { s->bytes[i] = (uint8_t)tp_random(); }
    memset(s->unit, 0, bytes / prog_size);
    memset(s->erases, 0, block_count * sizeof *s->erases);
}

static void tp_sim_close(tp_sim *s) {
    free(s->bytes);
    free(s->unit);
    free(s->erases);
}

/* Power comes back: counters and failures start anew, what was in the flash is there. */
static void tp_sim_boot(tp_sim *s) {
    s->reads = s->progs = s->operations = s->syncs = s->prog_calls = s->erase_calls = 0;
    s->cut_at = s->fail_read = s->fail_prog = s->fail_erase = s->fail_sync = s->flip_read = 0;
    s->off = false;
}

/* Copies contents, not counters. Both have the same sizes. */
static void tp_sim_copy(tp_sim *to, const tp_sim *from) {
    size_t bytes = (size_t)from->flash.block_size * from->flash.block_count;
    memcpy(to->bytes, from->bytes, bytes);
    memcpy(to->unit, from->unit, bytes / from->flash.prog_size);
}

#endif /* TINYPROP_TP_FLASH_SIM_H */
