/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of which the bias alone trains: its bits are those that it gets when everything trains, the weights stay, memory is less. Weights
 * in flash: tp_flash_test.c. */
#include "../../../csrc/tinyprop.c"

#include "../tp_slice.h"

/* Every layer of the others, in int8. */
static void tp_graph_cnn_s8(tp_graph *g) {
    static const float scale[5] = {0.02f, 0.03f, 0.04f, 0.05f, 0.08f};
    tp_graph_begin(g, tp_image(6, 6, 2), "softmax_cross_entropy");
    int32_t at = tp_graph_op(g, "quantize", TP_INPUT);
    tp_graph_last(g)->scale = scale[0];
    at = tp_graph_window(g, "conv2d_s8", at, 6, 3, 3, 1, TP_PAD_SAME);
    tp_graph_last(g)->scale = scale[1];
    at = tp_graph_window(g, "depthwise_conv2d_s8", tp_graph_op(g, "clamp_s8", at), 6, 3, 3, 1, TP_PAD_SAME);
    tp_graph_last(g)->scale = scale[2];
    at = tp_graph_window(g, "conv2d_s8", at, 4, 1, 1, 1, TP_PAD_VALID);
    tp_graph_last(g)->scale = scale[3];
    at = tp_graph_op(g, "dense_s8", tp_graph_op(g, "flatten", at));
    tp_graph_last(g)->scale = scale[4];
    tp_graph_last(g)->units = 4;
    tp_graph_op(g, "dequantize", at);
}

static bool tp_is_layer(const tp_plan *plan, uint32_t i) { return plan->node[i].layer != TP_NO_OFFSET; }

static void *tp_data_of(const tp_live *v, uint32_t node, uint32_t t) { return v->arena + v->plan->node[node].tensor[t].offset; }

/* One step after the other of both nets, from the same weights each time. */
static void tp_compare(const tp_graph *g, const tp_recipe *r, const tp_plan_options *options) {
    tp_graph few = *g;
    tp_live all, bias;
    tp_model m = tp_graph_model(g), n;
    tp_slice_open(&all, &m, r, options, NULL);
    for (uint32_t i = 0; i < g->n; i++) {
        if (tp_is_layer(all.plan, i)) { tp_graph_bias(&few, i); }
    }
    n = tp_graph_model(&few);
    tp_slice_open(&bias, &n, r, options, NULL);
    TP_CHECK_STATUS(tp_net_reset_state(&all.net), TP_OK);
    TP_CHECK_STATUS(tp_net_reset_state(&bias.net), TP_OK);
    uint8_t *before = (uint8_t *)tp_alloc(all.plan->params_bytes);
    memcpy(before, all.arena + all.plan->params_at, all.plan->params_bytes);
    const bool ahead = options->samples > 1 && r->batch == 1; /* the smaller of these nets are largest in their forward pass then */
    TP_CHECK(tp_live_same_params(&all, &bias) && bias.plan->arena_bytes < all.plan->arena_bytes + (ahead ? 1u : 0u));
    TP_CHECK(bias.plan->state_bytes <= all.plan->state_bytes && bias.plan->grad_bytes <= all.plan->grad_bytes && bias.plan->acts_bytes <= all.plan->acts_bytes);
    tp_data d = tp_data_make(all.plan, 16, 5);
    uint32_t moved = 0;
    for (uint32_t step = 0; step < 8; step++) {
        tp_batch batch = tp_data_batch(&d, step, r->batch);
        memcpy(all.arena + all.plan->params_at, bias.arena + bias.plan->params_at, all.plan->params_bytes);
        TP_CHECK_STATUS(tp_live_step(&all, &batch), TP_OK);
        TP_CHECK_STATUS(tp_live_step(&bias, &batch), TP_OK);
        TP_CHECK(bias.stats->macs_dw == 0 && bias.stats->macs_dx == all.stats->macs_dx);
        for (uint32_t i = 0; i < g->n; i++) {
            const tp_plan_node *p = &all.plan->node[i];
            if (!tp_is_layer(all.plan, i)) { continue; }
            TP_CHECKF(memcmp(tp_data_of(&all, i, 1), tp_data_of(&bias, i, 1), p->tensor[1].bytes) == 0, "bias of node %u, step %u", i, step);
            TP_CHECKF(memcmp(tp_data_of(&bias, i, 0), before + p->tensor[0].offset - all.plan->params_at, p->tensor[0].bytes) == 0, "weights of node %u", i);
            moved += memcmp(tp_data_of(&bias, i, 1), before + p->tensor[1].offset - all.plan->params_at, p->tensor[1].bytes) != 0 ? 1u : 0u;
        }
    }
    TP_CHECKF(moved > 16, "%u biases have moved", moved);
    free(before);
    tp_data_free(&d);
    tp_live_close(&all);
    tp_live_close(&bias);
}

static void tp_bits_of_the_bias(void) {
    static const struct {
        const char *policy, *optimizer;
        bool int8;
    } rows[5] = {{"full", "sgd", false}, {"tinypropv2", "sgd", false}, {"tinypropv2", "momentum", false}, {"full", "sgd", true}, {"tinypropv2", "sgd", true}};
    for (uint32_t i = 0; i < 4u * 5u; i++) {
        tp_graph g;
        tp_recipe r = tp_recipe_of(rows[i / 4u].policy, rows[i / 4u].optimizer, i % 2u == 0 ? 1u : 4u, 0.1f);
        if (rows[i / 4u].int8) {
            tp_graph_cnn_s8(&g);
        } else {
            tp_graph_cnn(&g, "softmax_cross_entropy");
        }
        tp_compare(&g, &r, i % 4u < 2u ? &tp_smallest : &tp_host);
    }
}

/* What is frozen later is frozen with its bias; what has no bias, or no weights, has none that trains. */
static void tp_freezing(void) {
    tp_graph g;
    tp_recipe r = tp_recipe_of("full", "sgd", 1, 0.1f);
    tp_graph_cnn_s8(&g);
    tp_graph_bias(&g, 1);
    TP_CHECK(g.node[1].flags == (TP_FLAG_FROZEN | TP_FLAG_BIAS_TRAINS));
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, g.node[1].name), TP_OK);
    TP_CHECK(g.node[1].flags == TP_FLAG_FROZEN);
    tp_graph_bias(&g, 1);
    TP_CHECK_STATUS(tp_model_freeze_all_but_last(g.node, g.n, 1), TP_OK);
    TP_CHECK(g.node[1].flags == TP_FLAG_FROZEN);
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "clamp_s8_2.weight"), TP_E_MODEL);
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "conv2d_s8_1.weights"), TP_E_ARG);
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "conv2d_s8_1.bias"), TP_E_ARG);
    tp_live v;
    g.node[2].flags = TP_FLAG_FROZEN | TP_FLAG_BIAS_TRAINS;
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_E_MODEL);
    tp_live_close(&v);
    tp_graph_cnn(&g, "softmax_cross_entropy");
    g.node[0].flags = TP_FLAG_NO_BIAS;
    TP_CHECK_STATUS(tp_model_freeze(g.node, g.n, "conv2d_0.weight"), TP_E_MODEL);
}

int main(void) {
    TP_RUN(tp_bits_of_the_bias);
    TP_RUN(tp_freezing);
    return tp_end();
}
