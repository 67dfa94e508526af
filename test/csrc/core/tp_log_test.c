/* SPDX-License-Identifier: Apache-2.0 */
/* The log: records that say what happened and can be cut anywhere; what a replay from them gives. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

enum { TP_LOG_ROOM = 1 << 18 };

typedef struct tp_log_file {
    uint8_t bytes[TP_LOG_ROOM];
    uint32_t length, room;
} tp_log_file;

static tp_log_file tp_file, tp_again;

static bool tp_log_append(void *user, const void *bytes, uint32_t length) {
    tp_log_file *f = (tp_log_file *)user;
    if (length > f->room - f->length) { return false; }
    memcpy(f->bytes + f->length, bytes, length);
    f->length += length;
    return true;
}

static uint32_t tp_log_u32(const tp_log_file *f, uint32_t at) {
    uint32_t u;
    memcpy(&u, f->bytes + at, 4);
    return u;
}

/* Where the record behind the one at `at` begins; 0: that one is not whole. */
static uint32_t tp_log_next(const tp_log_file *f, uint32_t at) {
    if (f->length - at < 12u || tp_log_u32(f, at + 4) > f->length - at - 12u) { return 0; }
    uint32_t n = 8u + tp_log_u32(f, at + 4);
    return tp_crc32(0, f->bytes + at, n) == tp_log_u32(f, at + n) ? at + n + 4u : 0u;
}

static void tp_log_net_open(tp_live *v, const char *loss, uint32_t batch) {
    tp_graph g;
    tp_recipe r = tp_recipe_of("tinypropv2", "momentum", batch, 0.05f);
    tp_graph_mlp(&g, (const uint32_t[]){7, 9, 4, 0}, loss);
    TP_CHECK_STATUS(tp_live_open(v, &g, &r, NULL), TP_OK);
}

/* Trains and logs; index: the samples' numbers, else themselves. */
static void tp_log_run(tp_live *v, const tp_data *d, bool index, uint32_t every, uint32_t steps, tp_log_file *to) {
    tp_log log = {.write = tp_log_append, .user = to, .flags = index ? TP_LOG_INDEX : TP_LOG_SAMPLES, .every = every};
    uint32_t batch = v->plan->recipe.batch, number[8];
    to->length = 0;
    to->room = TP_LOG_ROOM;
    TP_CHECK_STATUS(tp_log_begin(&log, &v->net), TP_OK);
    TP_CHECK_STATUS(tp_net_epoch_begin(&v->net), TP_OK);
    TP_CHECK_STATUS(tp_log_epoch(&log, false), TP_OK);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t at = i * batch % (d->n - batch + 1u);
        tp_batch b = tp_data_batch(d, at, batch);
        for (uint32_t j = 0; j < batch; j++) { number[j] = at + j; }
        tp_status status = tp_live_step(v, &b);
        TP_CHECK_STATUS(status, TP_OK);
        TP_CHECK_STATUS(tp_log_step(&log, &v->net, &b, index ? number : NULL, v->stats, status), TP_OK);
    }
    TP_CHECK_STATUS(tp_net_epoch_end(&v->net), TP_OK);
    TP_CHECK_STATUS(tp_log_epoch(&log, true), TP_OK);
    TP_CHECK(log.steps == steps);
}

/* Two equal runs give equal logs; records chain to the end; every cut leaves whole records and then nothing. */
static void tp_logs_are_whole(void) {
    for (uint32_t i = 0; i < 4; i++) {
        tp_live v, w;
        uint32_t batch = i % 2u == 0 ? 1u : 3u, records = 0, steps = 0;
        tp_log_net_open(&v, i < 2 ? "softmax_cross_entropy" : "mse", batch);
        tp_log_net_open(&w, i < 2 ? "softmax_cross_entropy" : "mse", batch);
        tp_data d = tp_data_make(v.plan, 20, 5);
        tp_log_run(&v, &d, i % 2u == 0, 2, 12, &tp_file);
        tp_log_run(&w, &d, i % 2u == 0, 2, 12, &tp_again);
        TP_CHECK(tp_file.length == tp_again.length && memcmp(tp_file.bytes, tp_again.bytes, tp_file.length) == 0);
        uint32_t truth = i < 2 ? 1u : 4u, sample = i % 2u == 0 ? 1u : 7u, at = 8, next;
        for (; at < tp_file.length && (next = tp_log_next(&tp_file, at)) != 0; at = next) {
            const uint8_t *data = tp_file.bytes + at + 8;
            records++;
            if (memcmp(tp_file.bytes + at, "STEP", 4) != 0) { continue; }
            steps++;
            tp_log_entry e;
            memcpy(&e, data, sizeof e);
            TP_CHECK(tp_log_u32(&tp_file, at + 4) == 32u + 4u * batch * (truth + sample) && e.n == batch && e.result == TP_OK && e.stats != 0);
            TP_CHECK((e.flags == TP_LOG_HASHED) == (steps % 2u == 0) && (e.net != 0) == (steps % 2u == 0));
        }
        TP_CHECK(at == tp_file.length && records == 15 && steps == 12);
        uint32_t whole = tp_file.length;
        for (uint32_t cut = 9; cut < whole; cut += 7) {
            tp_file.length = cut;
            for (at = 8; at < cut && (next = tp_log_next(&tp_file, at)) != 0; at = next) {}
            TP_CHECKF(at <= cut && cut - at < 400u, "cut at %u: good up to %u", cut, at);
        }
        tp_data_free(&d);
        tp_live_close(&v);
        tp_live_close(&w);
    }
}

/* One bit of a weight, of the policy's state or of a sample is seen in the next hashes, and only in those. */
static void tp_logs_see_a_bit(void) {
    for (uint32_t i = 0; i < 3; i++) {
        tp_live v, w;
        tp_log_net_open(&v, "softmax_cross_entropy", 1);
        tp_log_net_open(&w, "softmax_cross_entropy", 1);
        tp_data d = tp_data_make(v.plan, 20, 5);
        if (i == 0) { tp_tensor_f32(w.arena, &w.plan->node[0].tensor[0])[62] *= 1.0000002f; }
        if (i == 1) { *tp_arena_f32(w.arena, w.plan->node[0].policy) = 1e3f; }
        tp_log_run(&v, &d, true, 1, 5, &tp_file);
        if (i == 2) { d.x[2 * 7 + 3] = -d.x[2 * 7 + 3]; }
        tp_log_run(&w, &d, true, 1, 5, &tp_again);
        uint32_t step = 8u + 12u + 256u + 12u, size = 12u + 32u + 8u, first = 5;
        bool head = memcmp(tp_file.bytes, tp_again.bytes, step) == 0;
        for (uint32_t s = 5; s-- > 0;) {
            if (memcmp(tp_file.bytes + step + s * size, tp_again.bytes + step + s * size, size) != 0) { first = s; }
        }
        TP_CHECKF(head == (i == 2) && first == (i == 2 ? 2u : 0u), "case %u: head %d, step %u", i, head, first);
        tp_data_free(&d);
        tp_live_close(&v);
        tp_live_close(&w);
    }
}

/* A writer that has no more room ends the log with whole records before it; refused steps leave no record; bad arguments. */
static void tp_logs_that_end(void) {
    tp_live v;
    tp_log_net_open(&v, "softmax_cross_entropy", 1);
    tp_data d = tp_data_make(v.plan, 4, 5);
    tp_batch b = tp_data_batch(&d, 0, 1);
    uint32_t index = 0;
    tp_log log = {.write = tp_log_append, .user = &tp_file, .flags = TP_LOG_INDEX};
    tp_file.length = 0;
    tp_file.room = 8 + 268 + 52 + 30;
    TP_CHECK_STATUS(tp_log_begin(&log, &v.net), TP_OK);
    TP_CHECK_STATUS(tp_log_step(&log, &v.net, &b, &index, v.stats, TP_E_DATA), TP_OK);
    TP_CHECK_STATUS(tp_log_step(&log, &v.net, &b, NULL, v.stats, TP_OK), TP_E_ARG);
    TP_CHECK(tp_file.length == 276 && log.steps == 0);
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
    TP_CHECK_STATUS(tp_log_step(&log, &v.net, &b, &index, v.stats, TP_OK), TP_OK);
    TP_CHECK_STATUS(tp_log_step(&log, &v.net, &b, &index, v.stats, TP_OK), TP_E_BUFFER);
    tp_file.room = TP_LOG_ROOM; /* a record behind a torn one would be lost anyway */
    uint32_t length = tp_file.length;
    TP_CHECK_STATUS(tp_log_step(&log, &v.net, &b, &index, v.stats, TP_OK), TP_E_BUFFER);
    TP_CHECK(tp_file.length == length && tp_log_next(&tp_file, 276) == 328 && tp_log_next(&tp_file, 328) == 0);
    TP_CHECK_STATUS(tp_log_begin(&log, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_log_begin(NULL, &v.net), TP_E_ARG);
    log.flags = 3;
    TP_CHECK_STATUS(tp_log_begin(&log, &v.net), TP_E_ARG);
    log.flags = TP_LOG_INDEX;
    TP_CHECK_STATUS(tp_step_begin(&v.net, &b, NULL), TP_OK);
    TP_CHECK_STATUS(tp_log_begin(&log, &v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_log_step(&log, &v.net, &b, &index, NULL, TP_OK), TP_E_BUSY);
    tp_data_free(&d);
    tp_live_close(&v);
}

int main(void) {
    TP_RUN(tp_logs_are_whole);
    TP_RUN(tp_logs_see_a_bit);
    TP_RUN(tp_logs_that_end);
    return tp_end();
}
