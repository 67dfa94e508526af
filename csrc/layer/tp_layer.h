/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of a layer: one tp_layer_ops per row of tp_layer_list.h. Shared code asks the ops, never the type. */
#ifndef TINYPROP_TP_LAYER_H
#define TINYPROP_TP_LAYER_H

#include "../kernel/tp_kernel.h"

/* What one step carries through forward and backward; lives on the stack. */
typedef struct tp_step {
    const tp_net *net;
    const tp_plan *plan;
    const tp_kernels *k;
    uint8_t *arena;
    const float *x;      /* the sample */
    tp_stats *stats;     /* may be NULL */
    uint64_t sample;     /* its number since the start of training: counter of the dropout stream */
    bool training;       /* dropout is active */
    bool batch_one;      /* the update is fused into the backward pass: no gradient buffer */
    float lr, lr_batch;  /* of this batch; lr / batch, rounded once */
    uint32_t update;     /* number of this optimizer step, from 1 (lazy momentum) */
} tp_step;

/* Pointers of one node for one pass. x and y may be the same memory for ops that say TP_LAYER_IN_PLACE, so may d, dx. */
typedef struct tp_pass {
    const float *x[2];
    float *y;
    float *d;        /* error of the output; for weight layers masked by the selection */
    float *dx[2];    /* where the input's error goes, not yet initialised; NULL: not needed */
    uint32_t n_dx[2];
    uint32_t *scratch;
    bool zeros;      /* the `dense` baseline: do the work of zero rows too */
} tp_pass;

enum {
    TP_LAYER_WEIGHTS = 1,  /* a weight layer: the policy chooses its rows */
    TP_LAYER_VIEW = 2,     /* output and input are the same bytes */
    TP_LAYER_IN_PLACE = 4, /* may overwrite its input, and its error */
    TP_LAYER_NEEDS_X = 8,  /* backward reads the input */
    TP_LAYER_NEEDS_Y = 16, /* backward reads the output */
    TP_LAYER_X_IF_TRAINED = 32 /* backward reads the input only when its own parameters train */
};

typedef struct tp_layer_ops {
    const char *name;
    uint32_t inputs; /* 1 or 2 */
    uint32_t flags;  /* TP_LAYER_* */
    /* Shape inference and validation of attributes; fills p->out (and p->pad_*). p->in is set. */
    tp_status (*shape)(tp_plan_node *p, const tp_shape *in1);
    /* Parameters (dtype, dims), rows, MACs, scratch; offsets are the planner's. NULL: none. */
    void (*plan)(tp_plan_node *p, bool *overflow);
    /* Initial parameters. NULL: tp_init_uniform for tensor 0, zeros for the others. */
    void (*init)(const tp_net *net, const tp_plan_node *p);
    void (*forward)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    /* Bias update from the whole error, before rows are chosen. NULL: none. */
    void (*bias)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    /* Input error, then parameters, from the (masked) error. */
    void (*backward)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
} tp_layer_ops;

/* Row of the list with that wire id; NULL: unknown. */
static const tp_layer_ops *tp_layer_find(uint32_t id);

TP_INLINE float *tp_tensor_f32(const uint8_t *arena, const tp_tensor *t) {
    return t->dtype == 0 ? NULL : (float *)(void *)(uintptr_t)(arena + t->offset);
}

/* Declares parameter tensor number p->n_tensors. */
TP_INLINE void tp_tensor_add(tp_plan_node *p, uint32_t dtype, uint32_t rank, const uint32_t dim[4], bool *overflow) {
    tp_tensor *t = &p->tensor[p->n_tensors++];
    t->dtype = dtype;
    t->rank = rank;
    t->bytes = tp_dtype_bytes(dtype);
    for (uint32_t i = 0; i < 4; i++) {
        t->dim[i] = i < rank ? dim[i] : 1u;
        t->bytes = tp_mul(t->bytes, t->dim[i], overflow);
    }
}

/* --- what layers ask of the optimizer (core/tp_update.h) --- */

/* Accumulators of gradient rows r .. r + n: those of the gradient buffer, or at batch 1 `rows`, zeroed. */
static float *tp_grad_rows(const tp_step *s, const tp_plan_node *p, uint32_t r, uint32_t n, float *rows);
/* Row r is complete for this sample: at batch 1 updates the weights, else marks the row as touched. */
static void tp_grad_done(const tp_step *s, const tp_plan_node *p, uint32_t r, float *g);
/* The same for the bias vector. */
static float *tp_grad_bias(const tp_step *s, const tp_plan_node *p, float *row);
static void tp_grad_bias_done(const tp_step *s, const tp_plan_node *p, float *g);
/* Batch 1, plain SGD without weight decay: w = fma(-(lr d), x, w) may be fused with the input error. */
static bool tp_update_is_fused(const tp_step *s);

#endif /* TINYPROP_TP_LAYER_H */
