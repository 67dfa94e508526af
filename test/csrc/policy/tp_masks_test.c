/* SPDX-License-Identifier: Apache-2.0 */
/* Policy `masked`: what trains, to the bit, what stays, and what is counted. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

enum { TP_MASK_ROWS_MOST = 64 };
typedef struct tp_mask_case {
    uint8_t rows[3][TP_MASK_ROWS_MOST];
    uint32_t bias[3];
} tp_mask_case;

/* One batch by full training and by masks from the same weights under plain SGD: a row that trains moves as under full training, by the
 * same bits; another stays; work is counted for what is done. An independent rule: the gradient of a row does not depend on other rows. */
static void tp_mask_step(const tp_graph *g, const tp_mask_case *c, uint32_t batch, const tp_plan_options *options, const char *optimizer) {
    tp_recipe full = tp_recipe_of("full", optimizer, batch, 0.1f), masked = tp_recipe_of("masked", optimizer, batch, 0.1f);
    tp_model model = tp_graph_model(g);
    tp_live a, b, start;
    tp_live *const each[3] = {&a, &b, &start};
    for (uint32_t i = 0; i < 3; i++) {
        tp_live *v = each[i];
        TP_CHECK_STATUS(tp_live_open(v, g, i == 1 ? &masked : &full, NULL), TP_OK);
        TP_CHECK_STATUS(tp_plan_make_with(&model, i == 1 ? &masked : &full, options, v->plan, tp_plan_bytes(g->n), NULL), TP_OK);
        free(v->arena);
        v->arena = (uint8_t *)tp_alloc(v->plan->arena_bytes);
        TP_CHECK_STATUS(tp_net_open(&v->net, v->plan, v->arena, v->plan->arena_bytes, NULL), TP_OK);
        TP_CHECK_STATUS(tp_net_init(&v->net), TP_OK);
        tp_live_scramble(v, 4);
    }
    bool live[3];
    for (uint32_t l = 0; l < b.plan->n_layers; l++) { TP_CHECK_STATUS(tp_net_mask(&b.net, l, c->rows[l], c->bias[l]), TP_OK); }
    tp_data d = tp_data_make(a.plan, batch, 11);
    tp_batch all = tp_data_batch(&d, 0, batch);
    TP_CHECK_STATUS(tp_live_step(&a, &all), TP_OK);
    TP_CHECK_STATUS(tp_live_step(&b, &all), TP_OK);
    uint64_t dw = 0, dx = 0, below = 0;
    for (uint32_t i = 0, l = 0; i < a.plan->n_nodes; i++) {
        const tp_plan_node *p = &a.plan->node[i], *q = &b.plan->node[i];
        if (p->layer == TP_NO_OFFSET) { continue; }
        uint32_t trains = 0;
        for (uint32_t r = 0; r <= p->rows; r++) {
            bool bias = r == p->rows;
            for (uint32_t e = 0; e < (bias ? p->rows : p->row_len); e++) {
                uint32_t at = bias ? p->tensor[1].offset + 4u * e : p->tensor[0].offset + 4u * (r * p->row_len + e);
                uint32_t other = bias ? q->tensor[1].offset + 4u * e : q->tensor[0].offset + 4u * (r * p->row_len + e);
                bool wants = bias ? c->bias[l] == TP_BIAS_ALL || (c->bias[l] == TP_BIAS_ROWS && c->rows[l][e] != 0) : c->rows[l][r] != 0;
                uint32_t want = tp_f32_bits(*tp_arena_f32(wants ? a.arena : start.arena, at)), found = tp_f32_bits(*tp_arena_f32(b.arena, other));
                TP_CHECKF(want == found, "layer %u row %u element %u (%s): %08x, wanted %08x", l, r, e, wants ? "trains" : "frozen", found, want);
            }
            trains += !bias && c->rows[l][r] != 0 ? 1u : 0u;
        }
        live[l] = trains > 0 || c->bias[l] == TP_BIAS_ALL;
        dw += (uint64_t)batch * trains * (p->n_out / p->rows) * p->macs_row;
        dx += below > 0 ? (uint64_t)batch * p->n_out * p->macs_row : 0u;
        below += live[l] ? 1u : 0u;
        TP_CHECK(b.stats->layer[l].k == (below > 0 ? batch * trains : 0u));
        l++;
    }
    TP_CHECKF(b.stats->macs_dw == dw && b.stats->macs_dx == dx, "dW %u of %u, dX %u of %u", (unsigned)b.stats->macs_dw, (unsigned)dw, (unsigned)b.stats->macs_dx, (unsigned)dx);
    TP_CHECK(b.stats->macs_worked <= dw + dx);
    tp_data_free(&d);
    for (uint32_t i = 0; i < 3; i++) { tp_live_close(each[i]); }
}

/* A chain of three layers, fully connected or convolutions. */
static void tp_mask_graph(tp_graph *g, bool conv) {
    if (!conv) {
        tp_graph_mlp(g, (const uint32_t[]){7, 40, 33, 5, 0}, "softmax_cross_entropy");
        return;
    }
    tp_graph_begin(g, tp_image(6, 6, 2), "softmax_cross_entropy");
    int32_t a = tp_graph_op(g, "relu", tp_graph_conv(g, TP_INPUT, 9, 3, 1, TP_PAD_SAME));
    int32_t b = tp_graph_op(g, "relu", tp_graph_window(g, "depthwise_conv2d", a, 9, 3, 3, 1, TP_PAD_SAME));
    tp_graph_dense(g, tp_graph_op(g, "flatten", b), 5);
}

static void tp_masks(void) {
    static const tp_plan_options plans[3] = {{1, 1, 0, 0}, {1, 1, 1, 0}, {4, 1, 1, 0}};
    tp_random_state = 9;
    for (uint32_t i = 0; i < 72; i++) {
        tp_graph g;
        tp_mask_case c;
        memset(&c, 0, sizeof c);
        tp_mask_graph(&g, i % 2u == 1);
        for (uint32_t l = 0; l < 3; l++) {
            uint32_t kind = tp_random_below(4); /* none, all, some, some */
            c.bias[l] = tp_random_below(3);
            for (uint32_t r = 0; r < TP_MASK_ROWS_MOST; r++) { c.rows[l][r] = kind == 1 || (kind > 1 && tp_random_below(3) == 0) ? 1 : 0; }
        }
        uint64_t keep = tp_random_state;
        tp_mask_step(&g, &c, i / 2u % 2u == 0 ? 1u : 4u, &plans[i / 4u % 3u], i / 12u % 2u == 0 ? "sgd" : "momentum");
        tp_random_state = keep;
    }
}

static void tp_masks_are_state(void) {
    tp_graph g;
    tp_live v, w;
    uint8_t rows[64] = {1};
    size_t length = 0;
    tp_blob blob;
    tp_recipe r = tp_recipe_of("masked", "sgd", 1, 0.1f), full = tp_recipe_of("full", "sgd", 1, 0.1f);
    tp_mask_graph(&g, false);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &r, NULL), TP_OK);
    TP_CHECK_STATUS(tp_net_mask(&v.net, 3, rows, TP_BIAS_ROWS), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_mask(&v.net, 0, rows, 3), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_mask(NULL, 0, rows, 0), TP_E_ARG);
    TP_CHECK_STATUS(tp_net_mask(&v.net, 1, rows, TP_BIAS_NONE), TP_OK);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS | TP_BLOB_STATE, NULL, 0, NULL, 0, &length), TP_OK);
    uint8_t *bytes = (uint8_t *)tp_alloc(length);
    TP_CHECK_STATUS(tp_blob_save(&v.net, TP_BLOB_WEIGHTS | TP_BLOB_STATE, NULL, 0, bytes, length, &length), TP_OK);
    TP_CHECK_STATUS(tp_blob_open(&blob, bytes, length), TP_OK);
    TP_CHECK_STATUS(tp_blob_load(&blob, &w.net, TP_BLOB_WEIGHTS | TP_BLOB_STATE, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 8, 3);
    TP_CHECK_STATUS(tp_live_train(&v, &d, 8, 1), TP_OK);
    TP_CHECK_STATUS(tp_live_train(&w, &d, 8, 1), TP_OK);
    TP_CHECK(tp_live_same_params(&v, &w) && w.stats->layer[1].k == 1 && w.stats->macs_dx == 33u * 5u + 40u * 33u);
    TP_CHECK_STATUS(tp_net_mask(&v.net, 1, NULL, TP_BIAS_ROWS), TP_OK); /* everything trains again */
    TP_CHECK_STATUS(tp_live_train(&v, &d, 1, 1), TP_OK);
    TP_CHECK(v.stats->macs_dw + v.stats->macs_dx == v.plan->macs_backward);
    tp_live_close(&w);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &full, NULL), TP_OK);
    TP_CHECK_STATUS(tp_net_mask(&w.net, 0, rows, TP_BIAS_ROWS), TP_E_MODE);
    free(bytes);
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
}

int main(void) {
    TP_RUN(tp_masks);
    TP_RUN(tp_masks_are_state);
    return tp_end();
}
