/* SPDX-License-Identifier: Apache-2.0 */
/* Trains an MLP of dense and relu under TinyPropv2 and prints a hash over all records and the weights; then what a model, a
 * recipe and a plan get that need a row which is left out. test/csrc/config.test.ts compares builds of different rows. */
#include "../../../csrc/tinyprop.c"

#include <inttypes.h>
#include <stdio.h>

enum { IN = 12, CLASSES = 3, STEPS = 1200 };

static tp_node nodes[] = {
    {.name = "d1", .op = 1, .in = {TP_INPUT, TP_NONE}, .units = 19},
    {.name = "r1", .op = 8, .in = {0, TP_NONE}},
    {.name = "d2", .op = 1, .in = {1, TP_NONE}, .units = CLASSES},
};
static union {
    tp_plan plan;
    uint8_t bytes[sizeof(tp_plan) + 2 * sizeof(tp_plan_node)];
} planned;
static _Alignas(TP_ALIGN) uint8_t arena[8192];
static union {
    tp_stats stats;
    uint8_t bytes[sizeof(tp_stats) + sizeof(tp_layer_stats)];
} record;

static uint64_t mix(uint64_t hash, const void *data, uint32_t bytes) { /* FNV-1a */
    const uint8_t *b = (const uint8_t *)data;
    for (uint32_t i = 0; i < bytes; i++) { hash = (hash ^ b[i]) * 0x100000001b3u; }
    return hash;
}

static tp_status train(const tp_model *model, const tp_recipe *recipe, uint64_t *hash) {
    tp_net net;
    tp_status status = tp_plan_make(model, recipe, &planned.plan, sizeof planned, NULL);
    if (status == TP_OK) { status = tp_net_open(&net, &planned.plan, arena, sizeof arena, NULL); }
    if (status == TP_OK) { status = tp_net_init(&net); }
    for (uint32_t i = 0; status == TP_OK && i < STEPS; i++) {
        float x[IN];
        uint32_t label = i % CLASSES;
        for (uint32_t j = 0; j < IN; j++) { x[j] = tp_rng_unit(tp_rng(7, TP_RNG_SHUFFLE, 0, i, j).word[0]) + (j % CLASSES == label ? 0.5f : 0.0f); }
        tp_batch batch = {.x = x, .label = &label, .n = 1};
        status = tp_train_step(&net, &batch, &record.stats);
        *hash = mix(*hash, &record, tp_stats_bytes(&planned.plan));
    }
    *hash = mix(*hash, arena, planned.plan.state_at + planned.plan.state_bytes);
    return status;
}

int main(void) {
    tp_model model = {nodes, 3, {1, 1, IN, 1}, TP_F32, 1};
    tp_recipe recipe = tp_recipe_default();
    uint64_t hash = 0xcbf29ce484222325u;
    recipe.lr = 0.05f;
    tp_status status = train(&model, &recipe, &hash);
    printf("%s %016" PRIx64 "\n", tp_status_name(status), hash);

    nodes[1].op = 12; /* tanh */
    printf("layer %s\n", tp_status_name(tp_plan_make(&model, &recipe, &planned.plan, sizeof planned, NULL)));
    nodes[1].op = 99;
    printf("no layer %s\n", tp_status_name(tp_plan_make(&model, &recipe, &planned.plan, sizeof planned, NULL)));
    nodes[1].op = 8;
    nodes[0].flags = TP_FLAG_FROZEN | TP_FLAG_BIAS_TRAINS;
    printf("bias %s\n", tp_status_name(tp_plan_make(&model, &recipe, &planned.plan, sizeof planned, NULL)));
    nodes[0].flags = 0;
    model.loss = 3;
    printf("loss %s\n", tp_status_name(tp_plan_make(&model, NULL, &planned.plan, sizeof planned, NULL)));
    model.loss = 1;
    recipe.policy = 2;
    printf("policy %s\n", tp_status_name(tp_plan_make(&model, &recipe, &planned.plan, sizeof planned, NULL)));
    recipe.policy = 5;
    recipe.optimizer = 2;
    printf("optimizer %s\n", tp_status_name(tp_plan_make(&model, &recipe, &planned.plan, sizeof planned, NULL)));
    recipe.optimizer = 1;

    /* a plan that another machine made */
    tp_net net;
    if (tp_plan_make(&model, &recipe, &planned.plan, sizeof planned, NULL) != TP_OK) { return 1; }
    planned.plan.node[1].node.op = 12;
    printf("plan %s\n", tp_status_name(tp_net_open(&net, &planned.plan, arena, sizeof arena, NULL)));
    return 0;
}
