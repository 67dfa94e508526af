/* SPDX-License-Identifier: Apache-2.0 */
/* A product's work: takes a network that a host trained (a .tpm file in its flash), keeps training it on samples, one by one,
 * with every policy in turn, and says how good it is before and after. On the board and on the host the same lines, but for
 * the counts: those of the board are ticks of its system timer, in an emulator that runs it by instructions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinyprop.h"

#include "counter.h"

/* The file, in flash: written by tasks.mjs. */
typedef struct task_head {
    uint32_t magic, blob_bytes, n_train, n_test, n_in, epochs;
    float lr;
    uint32_t total; /* steps in which a cosine takes the learning rate to 0; 0: it is constant */
} task_head;

__asm__(".section .samples,\"a\"\n.balign 8\ntask_begin:\n.incbin \"" TASK_FILE "\"\n.previous\n");
extern const task_head task_begin;

enum { PLAN_BYTES = 16 * 1024, ARENA_BYTES = 512 * 1024, NODES = 32, FORWARDS = 10 };
static _Alignas(8) uint8_t plan_bytes[PLAN_BYTES];
static _Alignas(8) uint8_t stats_bytes[4096];
static _Alignas(TP_ALIGN) uint8_t arena[ARENA_BYTES];
static tp_plan *const plan = (tp_plan *)plan_bytes;
static tp_stats *const stats = (tp_stats *)stats_bytes;

static const uint8_t *blob_bytes;
static const float *train_x, *test_x;
static const uint32_t *train_label, *test_label;
static tp_blob blob;
static tp_node nodes[NODES];
static tp_model model;

static void need(tp_status status, const char *what) {
    if (status == TP_OK) { return; }
    printf("error %s: %s\n", what, tp_status_name(status));
    exit(1);
}

static const char *hex(uint64_t value) {
    static char text[2][17];
    static uint32_t turn;
    char *to = text[turn++ % 2u];
    for (uint32_t i = 0; i < 16; i++) { to[i] = "0123456789abcdef"[value >> (60u - 4u * i) & 15u]; }
    return to;
}

static uint64_t mix(uint64_t hash, const void *data, uint32_t bytes) { /* FNV-1a */
    const uint8_t *b = (const uint8_t *)data;
    for (uint32_t i = 0; i < bytes; i++) { hash = (hash ^ b[i]) * 0x100000001b3u; }
    return hash;
}

static uint64_t weights_hash(const tp_net *net) {
    uint64_t hash = 0xcbf29ce484222325u;
    tp_tensor tensor;
    void *data;
    for (uint32_t i = 0; tp_net_tensor(net, i, &tensor, NULL, &data) == TP_OK; i++) { hash = mix(hash, data, tensor.bytes); }
    return hash;
}

static uint32_t right(tp_net *net) {
    const uint32_t n_in = task_begin.n_in;
    uint32_t count = 0;
    for (uint32_t i = 0; i < task_begin.n_test; i++) {
        const float *y;
        uint32_t best = 0;
        need(tp_net_forward(net, test_x + (size_t)i * n_in, &y), "forward");
        for (uint32_t j = 1; j < plan->n_out; j++) { best = y[j] > y[best] ? j : best; }
        count += best == test_label[i];
    }
    return count;
}

/* Fine-tunes with one policy and prints its line. */
static void tune(const char *policy) {
    tp_net net;
    tp_recipe recipe = tp_recipe_default();
    recipe.policy = tp_list_id(TP_LIST_POLICY, policy);
    recipe.lr = task_begin.lr;
    if (task_begin.total > 0) { recipe.schedule = (tp_schedule){.kind = TP_SCHEDULE_COSINE, .total = task_begin.total}; }
    if (strcmp(policy, "meprop") == 0) { recipe.policy_params.s_max = 0.1f; } /* the package's default share of rows */
    need(tp_plan_make(&model, &recipe, plan, sizeof plan_bytes, NULL), "plan");
    need(tp_net_open(&net, plan, arena, sizeof arena, NULL), "open");
    need(tp_net_init(&net), "init");
    need(tp_blob_load(&blob, &net, TP_BLOB_WEIGHTS, NULL), "load");
    need(tp_stats_bytes(plan) <= sizeof stats_bytes ? TP_OK : TP_E_BUFFER, "stats");
    const uint32_t before = right(&net);
    uint64_t records = 0xcbf29ce484222325u;
    double trained_ticks = 0, skipped_ticks = 0;
    uint32_t trained = 0, steps = 0;
    for (uint32_t epoch = 0; epoch < task_begin.epochs; epoch++) {
        for (uint32_t i = 0; i < task_begin.n_train; i++, steps++) {
            tp_batch batch = {.x = train_x + (size_t)i * task_begin.n_in, .label = &train_label[i], .n = 1};
            const uint64_t from = counter_now();
            const tp_status status = tp_train_step(&net, &batch, stats);
            const double ticks = (double)(counter_now() - from);
            need(status, "step");
            trained += stats->trained;
            *(stats->trained != 0 ? &trained_ticks : &skipped_ticks) += ticks;
            records = mix(records, stats, stats->bytes);
        }
    }
    const uint32_t after = right(&net);
    printf("task %s weights=%s records=%s steps=%lu trained=%lu before=%lu after=%lu test=%lu arena=%lu trained_ticks=%.0f skipped_ticks=%.0f\n", policy, hex(weights_hash(&net)),
           hex(records), (unsigned long)steps, (unsigned long)trained, (unsigned long)before, (unsigned long)after, (unsigned long)task_begin.n_test,
           (unsigned long)plan->arena_bytes, trained_ticks, skipped_ticks);
    fflush(stdout);
}

static void infer(void) {
    tp_net net;
    double ticks = 0;
    need(tp_plan_make(&model, NULL, plan, sizeof plan_bytes, NULL), "plan");
    need(tp_net_open(&net, plan, arena, sizeof arena, NULL), "open");
    need(tp_blob_load(&blob, &net, TP_BLOB_WEIGHTS, NULL), "load");
    for (uint32_t i = 0; i < FORWARDS; i++) {
        const float *y;
        const uint64_t from = counter_now();
        const tp_status status = tp_net_forward(&net, test_x + (size_t)i * task_begin.n_in, &y);
        ticks += (double)(counter_now() - from);
        need(status, "forward");
    }
    printf("inference arena=%lu params=%lu plan=%lu macs=%lu macs_backward=%lu forwards=%u ticks=%.0f\n", (unsigned long)plan->arena_bytes, (unsigned long)plan->params_bytes,
           (unsigned long)plan->bytes, (unsigned long)plan->macs_forward, (unsigned long)plan->macs_backward, (unsigned)FORWARDS, ticks);
}

/* Arguments: the policies; none: all. */
int main(int argc, char **argv) {
    const task_head *head = &task_begin;
    blob_bytes = (const uint8_t *)(head + 1);
    train_x = (const float *)(const void *)(blob_bytes + (head->blob_bytes + 3u) / 4u * 4u);
    test_x = train_x + (size_t)head->n_train * head->n_in;
    train_label = (const uint32_t *)(const void *)(test_x + (size_t)head->n_test * head->n_in);
    test_label = train_label + head->n_train;
    stack_paint();
    printf("source %s\nticks_of_a_million %.0f\n", tp_source_id(), counter_start());
    need(tp_blob_open(&blob, blob_bytes, head->blob_bytes), "blob");
    need(tp_blob_model(&blob, nodes, NODES, &model), "model");
    infer();
    const char *policy;
    for (uint32_t i = 0; (policy = tp_list_name(TP_LIST_POLICY, i, NULL)) != NULL; i++) {
        int wanted = argc < 2;
        for (int a = 1; a < argc; a++) { wanted |= strcmp(argv[a], policy) == 0; }
        if (wanted) { tune(policy); }
    }
    printf("stack %lu\nend\n", (unsigned long)stack_used());
    return 0;
}
