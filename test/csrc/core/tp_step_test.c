/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in flight: that fail, are given up, are stopped by the hook, stand in the way, take turns with those of other nets. */
#include "../../../csrc/tinyprop.c"

#include "../tp_slice.h"

/* A step that fails leaves in slices what it leaves in one piece. kind 0: the loss of the last sample overflows; 1: an error does. */
static void tp_slices_that_fail(void) {
    for (uint32_t i = 0, slices; i < 16; i++) {
        tp_graph g;
        tp_live whole, cut;
        uint32_t batch = i % 2u == 0 ? 1u : 3u, kind = i / 2u % 2u;
        tp_recipe r = tp_recipe_of("tinyprop", i / 8u == 0 ? "sgd" : "momentum", batch, 0.1f);
        tp_graph_mlp(&g, (const uint32_t[]){5, 6, 6, 3, 0}, kind == 0 ? "mse" : "softmax_cross_entropy");
        tp_model m = tp_graph_model(&g);
        const tp_plan_options *options = i / 4u % 2u == 0 ? &tp_smallest : &tp_host;
        tp_slice_open(&whole, &m, &r, options, NULL);
        tp_slice_open(&cut, &m, &r, options, NULL);
        tp_data d = tp_data_make(whole.plan, 6, 5);
        tp_batch b = tp_data_batch(&d, 0, batch);
        TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
        TP_CHECK_STATUS(tp_live_step(&cut, &b), TP_OK);
        b = tp_data_batch(&d, 3, batch);
        if (kind == 0) { d.x[5u * (3u + batch) - 1u] = 3e38f; }
        for (uint32_t j = 0; j < 36 && kind == 1; j++) { /* forward it is tame, backward 6 x 3e38 */
            tp_tensor_f32(whole.arena, &whole.plan->node[2].tensor[0])[j] = tp_tensor_f32(cut.arena, &cut.plan->node[2].tensor[0])[j] = 3e38f;
            for (uint32_t t = 0; t < 2; t++) {
                memset(tp_tensor_f32(whole.arena, &whole.plan->node[0].tensor[t]), 0, whole.plan->node[0].tensor[t].bytes);
                memset(tp_tensor_f32(cut.arena, &cut.plan->node[0].tensor[t]), 0, cut.plan->node[0].tensor[t].bytes);
            }
            tp_tensor_f32(whole.arena, &whole.plan->node[0].tensor[1])[j % 6u] = tp_tensor_f32(cut.arena, &cut.plan->node[0].tensor[1])[j % 6u] = 1e-38f;
            for (uint32_t o = 0; o < 18; o++) {
                float top = o < 6 ? -8.0f : 8.0f;
                tp_tensor_f32(whole.arena, &whole.plan->node[4].tensor[0])[o] = tp_tensor_f32(cut.arena, &cut.plan->node[4].tensor[0])[o] = top;
            }
        }
        tp_status status = tp_live_step(&whole, &b);
        TP_CHECK_STATUS(status, kind == 0 ? TP_E_LOSS : TP_E_DELTA);
        TP_CHECK_STATUS(tp_step_begin(&cut.net, &b, cut.stats), TP_OK);
        TP_CHECK_STATUS(tp_slice_resume(&cut, i % 3u == 0 ? 1u : 20u, &slices), status);
        TP_CHECKF(slices > 3 && tp_slice_same(&whole, &cut), "case %u", i);
        bool done;
        TP_CHECK_STATUS(tp_step_resume(&cut.net, 1, &done), TP_E_ARG);
        tp_data_free(&d);
        tp_live_close(&whole);
        tp_live_close(&cut);
    }
}

/* Given up after every possible slice: all as before, or refused, and then the step still ends as it should. */
static void tp_steps_given_up(void) {
    for (uint32_t i = 0; i < 8; i++) {
        tp_graph g;
        tp_live whole, cut, start;
        uint32_t batch = i % 2u == 0 ? 1u : 4u, given_up = 0, refused = 0;
        tp_recipe r = tp_recipe_of(i / 2u % 2u == 0 ? "tinypropv2" : "tinyprop", i / 4u == 0 ? "sgd" : "momentum", batch, 0.1f);
        tp_graph_mlp(&g, (const uint32_t[]){5, 6, 3, 0}, "softmax_cross_entropy");
        tp_model m = tp_graph_model(&g);
        tp_slice_open(&whole, &m, &r, &tp_smallest, NULL);
        tp_slice_open(&cut, &m, &r, &tp_smallest, NULL);
        tp_slice_open(&start, &m, &r, &tp_smallest, NULL);
        tp_data d = tp_data_make(whole.plan, 8, 5);
        tp_batch first = tp_data_batch(&d, 0, batch), b = tp_data_batch(&d, 4, batch);
        TP_CHECK_STATUS(tp_live_step(&whole, &first), TP_OK);
        TP_CHECK_STATUS(tp_live_step(&start, &first), TP_OK);
        TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
        for (uint32_t after = 0;; after++) {
            bool done = false;
            memcpy(cut.arena, start.arena, start.plan->arena_bytes);
            memcpy(cut.stats, start.stats, tp_stats_bytes(start.plan));
            TP_CHECK_STATUS(tp_step_begin(&cut.net, &b, cut.stats), TP_OK);
            for (uint32_t j = 0; j < after && !done; j++) { TP_CHECK_STATUS(tp_step_resume(&cut.net, 1, &done), TP_OK); }
            if (done) { break; }
            tp_status status = tp_step_cancel(&cut.net);
            if (status == TP_OK) {
                given_up++;
                TP_CHECKF(refused == 0 && memcmp(cut.arena, start.arena, tp_live_kept_bytes(&cut)) == 0 && tp_live_elements((const float *)(const void *)(cut.arena + cut.plan->grad_at), cut.plan->grad_bytes / 4u) == 0,
                          "case %u after %u slices: something moved", i, after);
                TP_CHECK_STATUS(tp_step_cancel(&cut.net), TP_E_ARG);
                TP_CHECK_STATUS(tp_live_step(&cut, &b), TP_OK); /* nothing stands in the way of the next */
            } else {
                refused++;
                TP_CHECK_STATUS(status, TP_E_BUSY);
                uint32_t rest;
                TP_CHECK_STATUS(tp_slice_resume(&cut, 1, &rest), TP_OK);
            }
            TP_CHECKF(tp_slice_same(&whole, &cut), "case %u after %u slices", i, after);
        }
        TP_CHECKF(given_up > 9 && refused > 3, "case %u: %u given up, %u refused", i, given_up, refused);
        tp_data_free(&d);
        tp_live_close(&whole);
        tp_live_close(&cut);
        tp_live_close(&start);
    }
}

/* --- hook, busy nets, nets side by side --- */

typedef struct tp_hook {
    uint32_t asked, answer; /* yes to every so many-th question; 0: never */
} tp_hook;

static bool tp_hook_stop(void *user) {
    tp_hook *h = (tp_hook *)user;
    return ++h->asked, h->answer > 0 && h->asked % h->answer == 0;
}

static void tp_hook_ends_a_slice(void) {
    for (uint32_t batch = 1; batch <= 2; batch++) {
        tp_graph g;
        tp_live whole, cut;
        tp_recipe r = tp_recipe_of("tinyprop", "sgd", batch, 0.1f);
        tp_hook hook = {0, 0};
        const float *y, *z;
        bool done;
        tp_graph_cnn(&g, "softmax_cross_entropy");
        tp_model m = tp_graph_model(&g);
        tp_slice_open(&whole, &m, &r, &tp_smallest, NULL);
        tp_slice_open(&cut, &m, &r, &tp_smallest, NULL);
        cut.net.should_stop = tp_hook_stop;
        cut.net.stop_user = &hook;
        tp_data d = tp_data_make(whole.plan, 6, 5);
        for (uint32_t step = 0; step < 3; step++) {
            tp_batch b = tp_data_batch(&d, 2 * step, batch);
            hook = (tp_hook){0, step};
            TP_CHECK_STATUS(tp_live_step(&whole, &b), TP_OK);
            tp_status status = tp_live_step(&cut, &b);
            TP_CHECK_STATUS(status, step == 0 ? TP_OK : TP_E_STOPPED);
            uint32_t asked = hook.asked, times = 0;
            TP_CHECK(step == 0 ? asked > 15 : asked == step);
            for (done = status == TP_OK; !done; times++) { TP_CHECK_STATUS(tp_step_resume(&cut.net, TP_BUDGET_ALL, &done), TP_OK); }
            TP_CHECKF(tp_slice_same(&whole, &cut) && (step == 0 || times > 8u), "step %u: stopped %u times", step, times);
        }
        hook = (tp_hook){0, 1};
        TP_CHECK_STATUS(tp_net_forward(&whole.net, d.x, &y), TP_OK);
        TP_CHECK_STATUS(tp_net_forward(&cut.net, d.x, &z), TP_E_STOPPED);
        TP_CHECK_STATUS(tp_step_cancel(&cut.net), TP_OK);
        TP_CHECK_STATUS(tp_net_forward(&cut.net, d.x, &z), TP_E_STOPPED);
        for (done = false; !done;) { TP_CHECK_STATUS(tp_step_resume(&cut.net, TP_BUDGET_ALL, &done), TP_OK); }
        TP_CHECK(memcmp(y, z, sizeof(float) * whole.plan->n_out) == 0);
        float out[2 * 5], want[2 * 5];
        tp_batch b = tp_data_batch(&d, 0, 2); /* what is no step does not ask */
        hook.asked = 0;
        TP_CHECK_STATUS(tp_net_forward_batch(&cut.net, d.x, 2, out), TP_OK);
        TP_CHECK_STATUS(tp_eval_step(&cut.net, &b, want, NULL), TP_OK);
        TP_CHECK(hook.asked == 0 && memcmp(out, want, sizeof out) == 0 && memcmp(out, y, sizeof(float) * 5u) == 0);
        TP_CHECK_STATUS(tp_step_begin(&cut.net, &b, NULL), batch == 1 ? TP_E_ARG : TP_OK); /* giving up does not ask either */
        if (batch == 2) {
            for (uint32_t i = 0; i < 40 && cut.net.step.phase < TP_STEP_UPDATE; i++) { TP_CHECK_STATUS(tp_step_resume(&cut.net, 500, &done), TP_OK); }
            hook = (tp_hook){0, 1};
            TP_CHECK(tp_step_cancel(&cut.net) == (cut.net.step.phase == TP_STEP_NONE ? TP_OK : TP_E_BUSY) && hook.asked == 0);
        }
        tp_data_free(&d);
        tp_live_close(&whole);
        tp_live_close(&cut);
    }
}

/* Everything that must not happen in the middle of a step says so and changes nothing. */
static void tp_busy_nets_say_so(void) {
    tp_graph g;
    tp_live v;
    tp_recipe r = tp_recipe_of("tinyprop", "sgd", 2, 0.1f);
    tp_graph_mlp(&g, (const uint32_t[]){5, 6, 3, 0}, "softmax_cross_entropy");
    tp_model m = tp_graph_model(&g);
    tp_slice_open(&v, &m, &r, &tp_smallest, NULL);
    tp_data d = tp_data_make(v.plan, 4, 5);
    static uint8_t file[8192], other[8192];
    tp_batch b = tp_data_batch(&d, 0, 2);
    tp_blob blob;
    tp_progress progress;
    const float *y;
    float out[2 * 3];
    size_t length;
    bool done;
    TP_CHECK_STATUS(tp_step_resume(&v.net, 1, &done), TP_E_ARG);
    TP_CHECK_STATUS(tp_step_cancel(&v.net), TP_E_ARG);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS, NULL, 0, file, sizeof file, &length), TP_OK);
    TP_CHECK_STATUS(tp_blob_open(&blob, file, length), TP_OK);
    TP_CHECK_STATUS(tp_step_begin(&v.net, &b, v.stats), TP_OK);
    TP_CHECK_STATUS(tp_step_resume(&v.net, 30, &done), TP_OK);
    uint64_t before = tp_hash(0, v.arena, v.plan->arena_bytes), step = tp_hash(0, &v.net, sizeof v.net);
    TP_CHECK_STATUS(tp_net_forward(&v.net, d.x, &y), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_forward_begin(&v.net, d.x, &y), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_forward_batch(&v.net, d.x, 2, out), TP_E_BUSY);
    TP_CHECK_STATUS(tp_eval_step(&v.net, &b, NULL, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_train_step(&v.net, &b, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_step_begin(&v.net, &b, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_init(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_reset_state(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_epoch_begin(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_net_epoch_end(&v.net), TP_E_BUSY);
    TP_CHECK_STATUS(tp_blob_load(&blob, &v.net, TP_BLOB_WEIGHTS, NULL), TP_E_BUSY);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS, NULL, 0, other, sizeof other, &length), TP_E_BUSY);
    TP_CHECK_STATUS(tp_step_resume(&v.net, 1, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_step_resume(NULL, 1, &done), TP_E_ARG);
    TP_CHECK(before == tp_hash(0, v.arena, v.plan->arena_bytes) && step == tp_hash(0, &v.net, sizeof v.net));
    TP_CHECK(tp_net_progress(&v.net, &progress) == TP_OK && progress.batches == 0 && tp_net_lr(&v.net) == 0.1f);
    tp_net_open(&v.net, v.plan, v.arena, v.plan->arena_bytes, NULL); /* the way out */
    TP_CHECK_STATUS(tp_blob_load(&blob, &v.net, TP_BLOB_WEIGHTS, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
    tp_data_free(&d);
    tp_live_close(&v);
}

/* Nets of one plan and of another take turns, one of them moves to other memory in between: each as if it were alone. */
static void tp_nets_side_by_side(void) {
    tp_graph g[2];
    tp_live alone[3], mixed[3];
    tp_data d[3];
    bool done[3] = {true, true, true};
    uint32_t step[3] = {0, 0, 0}, turns = 0, overlaps = 0;
    tp_graph_mlp(&g[0], (const uint32_t[]){5, 16, 3, 0}, "softmax_cross_entropy");
    tp_graph_cnn(&g[1], "softmax_cross_entropy");
    for (uint32_t i = 0; i < 3; i++) {
        tp_recipe r = tp_recipe_of(i == 1 ? "full" : "tinypropv2", "momentum", 1 + i, 0.1f);
        tp_model m = tp_graph_model(&g[i / 2u]);
        tp_slice_open(&alone[i], &m, &r, &tp_smallest, NULL);
        tp_slice_open(&mixed[i], &m, &r, &tp_smallest, NULL);
        d[i] = tp_data_make(alone[i].plan, 12, 5 + i);
        TP_CHECK_STATUS(tp_live_train(&alone[i], &d[i], 4, 1 + i), TP_OK);
    }
    for (uint32_t i = 0; step[0] < 4 || step[1] < 4 || step[2] < 4 || !done[0] || !done[1] || !done[2]; i = (i + 1u) % 3u, turns++) {
        if (done[i] && step[i] == 4) { continue; }
        if (done[i]) {
            tp_batch b = tp_data_batch(&d[i], step[i] * (1 + i) % (12 - i), 1 + i);
            TP_CHECK_STATUS(tp_step_begin(&mixed[i].net, &b, mixed[i].stats), TP_OK);
            step[i]++;
        }
        if (i == 1) {
            tp_net moved = mixed[i].net;
            memset(&mixed[i].net, 0xee, sizeof moved);
            TP_CHECK_STATUS(tp_step_resume(&moved, 100, &done[i]), TP_OK);
            mixed[i].net = moved;
        } else {
            TP_CHECK_STATUS(tp_step_resume(&mixed[i].net, 40 + 500 * i, &done[i]), TP_OK);
        }
        overlaps += !done[0] && !done[1] && !done[2] ? 1u : 0u;
    }
    TP_CHECKF(overlaps > 20, "only %u of %u turns overlap", overlaps, turns);
    for (uint32_t i = 0; i < 3; i++) {
        TP_CHECKF(tp_slice_same(&alone[i], &mixed[i]), "net %u", i);
        tp_data_free(&d[i]);
        tp_live_close(&alone[i]);
        tp_live_close(&mixed[i]);
    }
}

int main(void) {
    TP_RUN(tp_slices_that_fail);
    TP_RUN(tp_steps_given_up);
    TP_RUN(tp_hook_ends_a_slice);
    TP_RUN(tp_busy_nets_say_so);
    TP_RUN(tp_nets_side_by_side);
    return tp_end();
}
