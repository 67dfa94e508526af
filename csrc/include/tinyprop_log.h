/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a training, to be replayed on a PC: `tinyprop replay LOG --model m.tpm` takes the same steps and names the first that
 * differs. Optional: nothing in the core calls it. Format: docs/format.md.
 *
 *     tp_log log = {.write = to_uart, .flags = TP_LOG_SAMPLES, .every = 100};
 *     status = tp_log_begin(&log, &net);                             once, before the first step
 *     status = tp_train_step(&net, &batch, stats);
 *     (void)tp_log_step(&log, &net, &batch, NULL, stats, status);    after every step
 *
 * Rules of tinyprop.h hold here too; a tp_log belongs to the thread of its net. No memory is kept but the tp_log itself.
 */
#ifndef TINYPROP_LOG_H
#define TINYPROP_LOG_H

#include "tinyprop.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TP_LOG_INDEX 1u   /* samples are numbers of a data set that the PC has too */
#define TP_LOG_SAMPLES 2u /* samples are in the log: n_in floats each */

typedef struct tp_log {
    /* Takes bytes to where the log goes, in order; false: it cannot, and the log ends there. A record comes in a few calls of
     * any length, n_in floats among them. */
    bool (*write)(void *user, const void *bytes, uint32_t length);
    void *user;
    uint32_t flags; /* TP_LOG_INDEX or TP_LOG_SAMPLES */
    uint32_t every; /* weights and training state are hashed with every so many-th step: one multiplication a weight; 0: never */
    uint32_t steps; /* logged */
    uint32_t crc;   /* private */
    bool failed;    /* private */
} tp_log;

/* Writes the head: source id, model, recipe, counters, hash of weights and training state. TP_E_ARG: no write function, or
 * flags not one of the two; TP_E_MODE, TP_E_BUSY; TP_E_BUFFER: the write function failed. */
tp_status tp_log_begin(tp_log *log, const tp_net *net);
/* Writes a step that has ended: its batch, the hash of stats (NULL: none), and what tp_train_step returned. index: numbers of the
 * samples, TP_LOG_INDEX only. Steps that were refused (neither TP_OK nor TP_E_LOSS nor TP_E_DELTA) changed nothing and are left out.
 * TP_E_ARG, TP_E_BUSY; TP_E_BUFFER: the write function failed now or before. */
tp_status tp_log_step(tp_log *log, const tp_net *net, const tp_batch *batch, const uint32_t *index, const tp_stats *stats, tp_status result);
/* Writes that tp_net_epoch_begin (or _end) was called here. TP_E_ARG, TP_E_BUFFER. */
tp_status tp_log_epoch(tp_log *log, bool end);

#ifdef __cplusplus
}
#endif
#endif /* TINYPROP_LOG_H */
