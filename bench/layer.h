/* SPDX-License-Identifier: Apache-2.0 */
/* One weight layer by itself: the one place of the benchmarks that calls the inside of the core. */
#ifndef TINYPROP_BENCH_LAYER_H
#define TINYPROP_BENCH_LAYER_H

#include "workloads.h"

enum { LAYER_SETS = 16 }; /* random sets of rows, in turn: branch predictors must not learn one */

/* What a layer looks like; kernel 0: dense, c_in to units; units 0: depthwise. */
typedef struct layer_shape {
    const char *name;
    uint32_t size, c_in, units, kernel, stride;
} layer_shape;

/* The layer behind a batch norm, which wants its input error, and errors of `batch` samples. */
typedef struct layer_bench {
    workload w;
    bench_net b;
    tp_step step;
    bool zeros; /* as the policy `dense`: zero errors are worked on too */
    uint32_t batch, next;
    float *x, *out, *d[LAYER_SETS], *chosen;
    uint32_t keep; /* of the elements of a set */
} layer_bench;

static const tp_plan_node *layer_node(const layer_bench *l) { return &l->b.plan->node[l->b.plan->n_nodes - 1u]; }

/* Marks k of n things, chosen at random. */
static void layer_choose(uint8_t *chosen, uint32_t n, uint32_t k, uint32_t stream) {
    memset(chosen, 0, n);
    for (uint32_t i = 0, draw = 0; i < k; draw++) {
        uint32_t at = bench_uniform(stream, draw, n);
        i += chosen[at] == 0 ? 1u : 0u;
        chosen[at] = 1;
    }
}

static uint32_t layer_keep(uint32_t n, double share) {
    uint32_t k = (uint32_t)(share * n + 0.5);
    return k > 0 ? k : 1u;
}

/* Errors of which a share is not zero: elements, or whole channels, each sample its own. */
static void layer_errors(layer_bench *l, double share, bool channels) {
    const tp_plan_node *p = layer_node(l);
    uint32_t things = channels ? p->rows : p->n_out, keep = layer_keep(things, share);
    uint8_t *chosen = bench_take(things);
    for (uint32_t set = 0; set < LAYER_SETS; set++) {
        for (uint32_t j = 0; j < l->batch; j++) {
            uint32_t stream = 100u + set * l->batch + j;
            float *d = l->d[set] + (size_t)j * p->n_out;
            layer_choose(chosen, things, keep, stream);
            for (uint32_t i = 0; i < p->n_out; i++) { d[i] = chosen[i % things] != 0 ? 1e-3f * bench_normal(stream, i) : 0.0f; }
        }
    }
    free(chosen);
}

/* What tp_train_step makes of the state before it goes backward. */
static tp_step layer_step(const layer_bench *l) {
    tp_step s;
    tp_step_open(&s, &l->b.net);
    s.x = (const uint8_t *)l->x;
    s.training = true;
    s.batch_one = l->batch == 1;
    s.lr = 1e-30f; /* weights stay as they are */
    s.lr_batch = s.lr / (float)l->batch;
    s.update = 1;
    s.n = l->batch;
    s.learns = UINT64_MAX;
    s.direct = tp_update_is_plain(l->b.plan);
    return s;
}

static layer_bench *layer_open(const layer_shape *shape, uint32_t batch, double share, bool channels, bool zeros, const tp_kernels *kernels) {
    layer_bench *l = bench_take(sizeof *l);
    tp_recipe recipe = tp_recipe_default();
    l->w.model = (tp_model){.nodes = l->w.nodes, .input_dtype = TP_F32, .loss = tp_list_id(TP_LIST_LOSS, "mse")};
    l->w.model.input = shape->kernel > 0 ? (tp_shape){shape->size, shape->size, shape->c_in, 3} : (tp_shape){1, 1, shape->c_in, 1};
    workload_add(&l->w, "batch_norm")->param = 1e-5f;
    if (shape->kernel > 0 && shape->units > 0) {
        workload_conv2d(&l->w, shape->units, shape->kernel, shape->stride);
    } else if (shape->kernel > 0) {
        workload_window(workload_add(&l->w, "depthwise_conv2d"), shape->c_in, shape->kernel, shape->stride, false);
    } else {
        workload_dense(&l->w, shape->units);
    }
    recipe.policy = tp_list_id(TP_LIST_POLICY, zeros ? "dense" : "full");
    recipe.batch = l->batch = batch;
    l->zeros = zeros;
    l->b = bench_open(&l->w.model, &recipe, &(bench_host){batch, 1}, kernels);
    const tp_plan *plan = l->b.plan;
    l->x = bench_take(sizeof(float) * batch * plan->n_in);
    l->out = bench_take(sizeof(float) * batch * plan->n_out);
    for (uint32_t i = 0; i < batch * plan->n_in; i++) { l->x[i] = bench_normal(1, i); }
    for (uint32_t i = 0; i < LAYER_SETS; i++) { l->d[i] = bench_take(sizeof(float) * batch * plan->n_out); }
    l->chosen = bench_take(sizeof(float) * batch * plan->n_out);
    l->keep = layer_keep(plan->n_out, share);
    layer_errors(l, share, channels);
    tp_batch all = {l->x, NULL, l->out, batch};
    bench_check(tp_eval_step(&l->b.net, &all, NULL, NULL), "layer"); /* activations */
    l->step = layer_step(l);
    return l;
}

static void layer_close(layer_bench *l) {
    bench_close(&l->b);
    for (uint32_t i = 0; i < LAYER_SETS; i++) { free(l->d[i]); }
    free(l->x);
    free(l->out);
    free(l->chosen);
    free(l);
}

/* The pass backward over the layer alone, with the next set of errors. */
static void layer_pass(tp_pass *a, layer_bench *l) {
    tp_backward_pass(a, &l->step, l->b.plan->n_nodes - 1u);
    a->d = l->d[l->next++ % LAYER_SETS];
    a->zeros = l->zeros;
}

/* Input errors, gradients and update, as a step does them. */
static void layer_backward(void *user) {
    layer_bench *l = user;
    tp_pass a;
    layer_pass(&a, l);
    tp_backward_node(&l->step, layer_node(l), &a, true);
    if (l->batch > 1) { tp_update_batch(&l->step, true); }
}

/* The kernel of a dense layer by itself. */
static void layer_rows(void *user) {
    layer_bench *l = user;
    const tp_plan_node *p = layer_node(l);
    float *w = tp_tensor_f32(tp_home(&l->step, p), &p->tensor[0]);
    TP_CALL(l->step.k, dense_sgd_f32)(l->out, w, l->x, l->d[l->next++ % LAYER_SETS], l->step.lr, p->rows, p->row_len, l->zeros);
}

static void layer_input_errors(void *user) {
    layer_bench *l = user;
    tp_pass a;
    layer_pass(&a, l);
    tp_backward_targets(&l->step, layer_node(l), &a);
    (void)tp_backward_errors(&l->step, layer_node(l), &a);
}

static void layer_gradients(void *user) {
    layer_bench *l = user;
    tp_pass a;
    layer_pass(&a, l);
    tp_backward_gradients(&l->step, layer_node(l), &a);
}

static void layer_forward(void *user) {
    layer_bench *l = user;
    tp_pass a;
    tp_step_pass(&a, &l->step, l->b.plan->n_nodes - 1u);
    tp_step_each(&l->step, layer_node(l), &a, tp_layer_find(layer_node(l)->node.op)->forward);
}

/* The k largest of n, as the core chooses the rows of a layer with n outputs; the others become 0. */
static void layer_select(const layer_bench *l, float *d, uint32_t keep) { tp_select_rows(&l->step, layer_node(l), d, keep, NULL); }

/* Errors none of which is zero, copied, and of them the rows that are kept, chosen: one sample. */
static void layer_copy(void *user) {
    layer_bench *l = user;
    memcpy(l->chosen, l->d[l->next++ % LAYER_SETS], sizeof(float) * layer_node(l)->n_out);
}

static void layer_choose_backward(void *user) {
    layer_bench *l = user;
    tp_pass a;
    layer_pass(&a, l);
    memcpy(l->chosen, a.d, sizeof(float) * layer_node(l)->n_out);
    a.d = l->chosen;
    layer_select(l, a.d, l->keep);
    tp_backward_node(&l->step, layer_node(l), &a, true);
}

/* A tenth of a set of errors; in the set itself, which has then fewer. */
static void layer_choose_tenth(void *user) {
    layer_bench *l = user;
    layer_select(l, l->d[l->next++ % LAYER_SETS], layer_keep(layer_node(l)->n_out, 0.1));
}

#endif /* TINYPROP_BENCH_LAYER_H */
