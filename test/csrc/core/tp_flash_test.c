/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters that do not train may stay in the file: the same bits as in the arena, and less of it. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

/* Two nets of one blob: all parameters in the arena, and the frozen ones in the blob. */
typedef struct tp_pair {
    tp_live arena, flash;
    tp_blob blob;
    uint8_t *file;
    size_t length;
} tp_pair;

static void tp_pair_open(tp_pair *p, tp_graph *g, const tp_recipe *r) {
    static const tp_plan_options options = {1, 1, 0, 1};
    tp_model m = tp_graph_model(g);
    memset(p, 0, sizeof *p);
    TP_CHECK_STATUS(tp_live_open(&p->arena, g, r, NULL), TP_OK);
    TP_CHECK_STATUS(tp_blob_save(&p->arena.net, TP_BLOB_WEIGHTS, NULL, 0, NULL, 0, &p->length), TP_OK);
    p->file = (uint8_t *)tp_alloc((uint32_t)p->length);
    TP_CHECK_STATUS(tp_blob_save(&p->arena.net, TP_BLOB_WEIGHTS, NULL, 0, p->file, p->length, &p->length), TP_OK);
    TP_CHECK_STATUS(tp_blob_open(&p->blob, p->file, p->length), TP_OK);
    tp_live *v = &p->flash;
    v->plan = (tp_plan *)tp_alloc(tp_plan_bytes(g->n));
    TP_CHECK_STATUS(tp_plan_make_with(&m, r, &options, v->plan, tp_plan_bytes(g->n), NULL), TP_OK);
    v->arena = (uint8_t *)tp_alloc(v->plan->arena_bytes);
    v->stats = (tp_stats *)tp_alloc(tp_stats_bytes(v->plan));
    TP_CHECK_STATUS(tp_net_open(&v->net, v->plan, v->arena, v->plan->arena_bytes, NULL), TP_OK);
}

static void tp_pair_close(tp_pair *p) {
    tp_live_close(&p->arena);
    tp_live_close(&p->flash);
    free(p->file);
}

static bool tp_same_tensors(const tp_net *a, const tp_net *b) {
    tp_tensor t;
    void *x, *y;
    bool same = true;
    for (uint32_t i = 0; tp_net_tensor(a, i, &t, NULL, &x) == TP_OK; i++) {
        same = same && tp_net_tensor(b, i, &t, NULL, &y) == TP_OK && memcmp(x, y, t.bytes) == 0;
    }
    return same;
}

static void tp_trains_the_same(void) {
    for (uint32_t batch = 1; batch <= 4; batch += 3) {
        tp_graph g;
        tp_pair p;
        tp_recipe r = tp_recipe_of("tinypropv2", "sgd", batch, 0.1f);
        tp_graph_cnn(&g, "softmax_cross_entropy");
        TP_CHECK_STATUS(tp_model_freeze_all_but_last(g.node, g.n, 2), TP_OK);
        tp_graph_bias(&g, 0); /* its bias is in the arena, its weights are not */
        tp_pair_open(&p, &g, &r);
        TP_CHECK(p.flash.plan->node[0].flash == 2 && p.flash.plan->node[0].trainable == TP_TRAINS_BIAS);
        float x[128] = {0};
        const float *y;
        TP_CHECK_STATUS(tp_net_forward(&p.flash.net, x, &y), TP_E_ARG); /* before it is bound */
        TP_CHECK_STATUS(tp_net_flash(&p.flash.net, &p.blob), TP_OK);
        TP_CHECK_STATUS(tp_net_init(&p.flash.net), TP_OK);
        TP_CHECK_STATUS(tp_blob_load(&p.blob, &p.flash.net, TP_BLOB_WEIGHTS, NULL), TP_OK);
        TP_CHECK(tp_same_tensors(&p.arena.net, &p.flash.net) && p.flash.plan->params_bytes < p.arena.plan->params_bytes);
        tp_data d = tp_data_make(p.arena.plan, 16, 3);
        uint64_t before = tp_hash(0, p.file, p.length);
        TP_CHECK_STATUS(tp_live_train(&p.arena, &d, 24, batch), TP_OK);
        TP_CHECK_STATUS(tp_live_train(&p.flash, &d, 24, batch), TP_OK);
        TP_CHECK(tp_same_tensors(&p.arena.net, &p.flash.net) && tp_hash(0, p.file, p.length) == before);
        TP_CHECK(tp_log_net(&p.arena.net) == tp_log_net(&p.flash.net));
        size_t length = 0;
        uint8_t *again = (uint8_t *)tp_alloc((uint32_t)p.length), *other = (uint8_t *)tp_alloc((uint32_t)p.length);
        TP_CHECK_STATUS(tp_blob_save(&p.flash.net, TP_BLOB_WEIGHTS, NULL, 0, again, p.length, &length), TP_OK);
        TP_CHECK_STATUS(tp_blob_save(&p.arena.net, TP_BLOB_WEIGHTS, NULL, 0, other, p.length, &length), TP_OK);
        TP_CHECK(memcmp(again, other, p.length) == 0 && memcmp(again, p.file, p.length) != 0);
        free(again);
        free(other);
        tp_data_free(&d);
        tp_pair_close(&p);
    }
}

/* For inference alone every parameter stays where it is. */
static void tp_inference_needs_no_weights(void) {
    tp_graph g;
    tp_pair p;
    tp_graph_cnn(&g, "softmax_cross_entropy");
    tp_pair_open(&p, &g, NULL);
    TP_CHECK_STATUS(tp_net_flash(&p.flash.net, &p.blob), TP_OK);
    TP_CHECK(p.flash.plan->params_bytes == 0 && p.flash.plan->arena_bytes + p.arena.plan->params_bytes == p.arena.plan->arena_bytes);
    float x[128];
    const float *y, *z;
    for (uint32_t i = 0; i < 128; i++) { x[i] = tp_random_f32(); }
    TP_CHECK_STATUS(tp_net_forward(&p.arena.net, x, &y), TP_OK);
    TP_CHECK_STATUS(tp_net_forward(&p.flash.net, x, &z), TP_OK);
    TP_CHECK(memcmp(y, z, p.arena.plan->n_out * sizeof(float)) == 0);
    tp_pair_close(&p);
}

static void tp_flash_refusals(void) {
    tp_graph g, other;
    tp_pair p, q;
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.1f);
    tp_graph_cnn(&g, "softmax_cross_entropy");
    TP_CHECK_STATUS(tp_model_freeze_all_but_last(g.node, g.n, 1), TP_OK);
    other = g;
    other.node[0].units = other.node[2].units = other.node[4].units = 5;
    tp_pair_open(&p, &g, &r);
    tp_pair_open(&q, &other, &r);
    TP_CHECK_STATUS(tp_net_flash(&p.arena.net, &p.blob), TP_E_MODE);
    TP_CHECK_STATUS(tp_net_flash(NULL, &p.blob), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_flash(&p.flash.net, NULL), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_flash(&p.flash.net, &q.blob), TP_E_MISMATCH);
    uint8_t *moved = (uint8_t *)tp_alloc((uint32_t)p.length + 8u);
    memcpy(moved + 4, p.file, p.length);
    tp_blob blob;
    TP_CHECK_STATUS(tp_blob_open(&blob, moved + 4, p.length), TP_OK);
    TP_CHECK_STATUS(tp_net_flash(&p.flash.net, &blob), TP_E_ARENA);
    TP_CHECK_STATUS(tp_net_init(&p.flash.net), TP_E_ARG); /* still not open */
    TP_CHECK_STATUS(tp_net_flash(&p.flash.net, &p.blob), TP_OK);
    TP_CHECK_STATUS(tp_net_init(&p.flash.net), TP_OK);
    void *data;
    TP_CHECK_STATUS(tp_net_tensor(&p.flash.net, 0, NULL, NULL, &data), TP_OK);
    TP_CHECK_STATUS(tp_net_write(&p.flash.net, 0, data), TP_E_MODE);
    /* another training's frozen parameters are not these */
    TP_CHECK_STATUS(tp_net_tensor(&p.arena.net, 0, NULL, NULL, &data), TP_OK);
    ((float *)data)[0] += 1.0f;
    size_t length;
    TP_CHECK_STATUS(tp_blob_save(&p.arena.net, TP_BLOB_WEIGHTS, NULL, 0, moved, p.length, &length), TP_OK);
    TP_CHECK_STATUS(tp_blob_open(&blob, moved, length), TP_OK);
    TP_CHECK_STATUS(tp_blob_load(&blob, &p.flash.net, TP_BLOB_WEIGHTS, NULL), TP_E_MISMATCH);
    free(moved);
    tp_pair_close(&p);
    tp_pair_close(&q);
}

int main(void) {
    TP_RUN(tp_trains_the_same);
    TP_RUN(tp_inference_needs_no_weights);
    TP_RUN(tp_flash_refusals);
    return tp_end();
}
