/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts: at every unit programmed and every block erased of more than 50 commits, before, within and after it. Loading
 * gives the weights of the commit that was cut or of the one before, whole, and the next commit works. */
#include "../../../csrc/tinyprop.c"

#include "../tp_store_rig.h"

#ifndef TP_COMMITS
#define TP_COMMITS 52u /* of each flash; fewer where an emulator runs this */
#endif

static struct {
    uint32_t cuts, kept, written, survived;
} tp_cuts;

/* One commit cut at `operation` of the flash as `before` has it; `now` is what a commit would write. */
static void tp_cut_power(tp_rig *r, const tp_sim *before, const tp_store_info *last, uint32_t operation, tp_sim_tear tear, uint64_t old, uint64_t now) {
    tp_store_info info = {0};
    tp_sim_copy(&r->sim, before);
    tp_sim_boot(&r->sim);
    r->sim.cut_at = operation;
    r->sim.tear = tear;
    tp_store_config config = tp_rig_config(r);
    TP_CHECK_STATUS(tp_store_open(&r->store, &config, &r->trained.net), TP_OK);
    tp_status status = tp_store_commit(&r->store, 0.0f, 0, &info);
    TP_CHECKF(status == TP_E_FLASH && r->sim.off, "operation %u: %s", operation, tp_status_name(status));
    status = tp_rig_boot(r, &info);
    uint64_t found = tp_rig_hash(&r->booted);
    bool new_one = status == TP_OK && info.sequence == last->sequence + 1u && found == now;
    bool old_one = status == TP_OK && info.sequence == last->sequence && found == old && last->sequence > 0;
    bool none = last->sequence == 0 && (status == TP_E_EMPTY || status == TP_E_CRC || (r->sim.ecc && status == TP_E_FLASH)) && found == old;
    tp_cuts.cuts++;
    tp_cuts.written += new_one ? 1u : 0u;
    tp_cuts.kept += old_one || none ? 1u : 0u;
    /* and life goes on: the same commit again, by a store that knows nothing of the first attempt */
    TP_CHECK_STATUS(tp_store_open(&r->store, &config, &r->trained.net), TP_OK);
    status = tp_store_commit(&r->store, 0.0f, 0, &info);
    bool again = status == TP_OK && info.sequence == last->sequence + 1u && info.written == (new_one ? 0u : 1u);
    again = again && tp_rig_boot(r, &info) == TP_OK && info.sequence == last->sequence + 1u && tp_rig_hash(&r->booted) == now;
    tp_cuts.survived += (new_one || old_one || none) && again ? 1u : 0u;
    TP_CHECKF((new_one || old_one || none) && again, "commit %u, operation %u, tear %u: loaded %u", last->sequence + 1u, operation, (uint32_t)tear, info.sequence);
}

static void tp_cut_everywhere(const tp_geometry *geometry, const uint32_t *sizes, bool ecc, uint8_t invert) {
    tp_rig r;
    tp_sim before;
    tp_store_info last = {0};
    tp_rig_open(&r, geometry, sizes);
    tp_sim_open(&before, geometry->read_size, geometry->prog_size, geometry->block_size, geometry->blocks);
    r.sim.ecc = ecc;
    r.sim.invert = invert;
    uint32_t operations = 0;
    uint64_t old = tp_rig_hash(&r.booted); /* before the first commit a boot keeps what it has */
    for (uint32_t commit = 0; commit < TP_COMMITS; commit++) {
        tp_sim_copy(&before, &r.sim);
        TP_CHECK_STATUS(tp_live_train(&r.trained, &r.data, 1, 1), TP_OK);
        tp_sim_boot(&r.sim);
        tp_store_config config = tp_rig_config(&r);
        TP_CHECK_STATUS(tp_store_open(&r.store, &config, &r.trained.net), TP_OK);
        tp_store_info done;
        TP_CHECK_STATUS(tp_store_commit(&r.store, 0.0f, 0, &done), TP_OK);
        TP_CHECK(done.written == 1 && done.sequence == last.sequence + 1u);
        uint32_t n = r.sim.operations;
        uint64_t now = tp_rig_hash(&r.trained);
        for (uint32_t operation = 1; operation <= n; operation++) {
            for (uint32_t tear = 0; tear < TP_TEARS; tear++) { tp_cut_power(&r, &before, &last, operation, (tp_sim_tear)tear, old, now); }
        }
        operations += n;
        last = done;
        old = now;
        TP_CHECK(tp_rig_boot(&r, &done) == TP_OK && tp_rig_hash(&r.booted) == now);
    }
    printf("# prog %u, block %u x %u, %u slots%s%s: %u commits, %u operations\n", geometry->prog_size, geometry->block_size, geometry->blocks,
           geometry->slots, ecc ? ", ecc" : "", invert != 0 ? ", erased is 0" : "", TP_COMMITS, operations);
    tp_sim_close(&before);
    tp_rig_close(&r);
}

static const uint32_t tp_small[] = {3, 4, 2, 0}, tp_wide[] = {12, 20, 5, 0};

static void tp_cuts_nor_flash(void) { tp_cut_everywhere(&(tp_geometry){1, 8, 2048, 2, 2, 64}, tp_small, false, 0); }
static void tp_cuts_ecc_flash(void) { tp_cut_everywhere(&(tp_geometry){8, 16, 1024, 2, 2, 160}, tp_small, true, 0); }
static void tp_cuts_erased_zero(void) { tp_cut_everywhere(&(tp_geometry){1, 4, 512, 4, 2, 128}, tp_small, false, 0xff); }
static void tp_cuts_pages(void) { tp_cut_everywhere(&(tp_geometry){1, 256, 4096, 4, 3, 256}, tp_wide, false, 0); }
static void tp_cuts_large_pages(void) { tp_cut_everywhere(&(tp_geometry){512, 512, 512, 36, 3, 512}, tp_wide, true, 0); }
static void tp_cuts_many_blocks(void) { tp_cut_everywhere(&(tp_geometry){2, 64, 512, 36, 4, 192}, tp_wide, false, 0); }
static void tp_cuts_odd_units(void) { tp_cut_everywhere(&(tp_geometry){3, 12, 516, 4, 2, 84}, tp_small, false, 0); }
static void tp_cuts_large_blocks(void) { tp_cut_everywhere(&(tp_geometry){1, 32, 131072, 2, 2, 1024}, tp_small, false, 0); }

static void tp_all_survived(void) {
    printf("# %u power cuts: %u loaded the old weights, %u the new ones; %u survived\n", tp_cuts.cuts, tp_cuts.kept, tp_cuts.written, tp_cuts.survived);
    TP_CHECK(tp_cuts.cuts > 800u * TP_COMMITS && tp_cuts.survived == tp_cuts.cuts && tp_cuts.kept + tp_cuts.written == tp_cuts.cuts);
    TP_CHECK(tp_cuts.written > 0); /* a cut after the last unit of the header */
}

/* Cuts one after the other without repair between: the flash is never put back. */
static void tp_cuts_in_a_row(void) {
    static const tp_geometry geometry[2] = {{1, 8, 1024, 2, 2, 64}, {1, 16, 512, 20, 5, 64}};
    for (uint32_t i = 0; i < 2; i++) {
        tp_rig r;
        tp_store_info info;
        uint32_t committed = 0;
        tp_rig_open(&r, &geometry[i], tp_small);
        r.sim.ecc = i == 1;
        uint64_t old = 0;
        for (uint32_t life = 0; life < 3000; life++) {
            TP_CHECK_STATUS(tp_live_train(&r.trained, &r.data, 1, 1), TP_OK);
            uint64_t now = tp_rig_hash(&r.trained);
            tp_sim_boot(&r.sim);
            r.sim.cut_at = life % 5u == 4u ? 0u : 1u + tp_random_below(80);
            r.sim.tear = (tp_sim_tear)tp_random_below(TP_TEARS);
            (void)tp_store_commit(&r.store, 0.0f, 0, NULL);
            tp_status status = tp_rig_boot(&r, &info);
            uint64_t found = tp_rig_hash(&r.booted);
            if (status == TP_OK && found == now) {
                committed++;
                TP_CHECKF(info.sequence == committed, "sequence %u, %u commits", info.sequence, committed);
                old = now;
            } else {
                TP_CHECKF(committed == 0 ? status != TP_OK : status == TP_OK && found == old && info.sequence == committed, "life %u: %s", life, tp_status_name(status));
            }
        }
        TP_CHECKF(committed > 600 && committed < 3000, "%u commits", committed);
        tp_rig_close(&r);
    }
}

int main(void) {
    TP_RUN(tp_cuts_nor_flash);
    TP_RUN(tp_cuts_ecc_flash);
    TP_RUN(tp_cuts_erased_zero);
    TP_RUN(tp_cuts_pages);
    TP_RUN(tp_cuts_large_pages);
    TP_RUN(tp_cuts_many_blocks);
    TP_RUN(tp_cuts_odd_units);
    TP_RUN(tp_cuts_large_blocks);
    TP_RUN(tp_all_survived);
    TP_RUN(tp_cuts_in_a_row);
    return tp_end();
}
