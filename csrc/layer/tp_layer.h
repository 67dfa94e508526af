/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of a layer: one tp_layer_ops per row of tp_layer_list.h. Shared code asks the ops, never the type. */
#ifndef TINYPROP_TP_LAYER_H
#define TINYPROP_TP_LAYER_H

#include "../kernel/tp_kernel.h"

/* Pointers of one node for one pass over n samples, each sample's elements behind those of the one before. x and y may be
 * the same memory for ops that say TP_LAYER_IN_PLACE, so may d, dx. */
typedef struct tp_pass {
    uint32_t n;
    uint64_t sample; /* number of the first since the start of training */
    const void *x[2]; /* floats, or int8 for ops that say TP_LAYER_X_S8 */
    void *y;          /* floats, or int8: TP_LAYER_Y_S8 */
    float *d;        /* error of the output; for weight layers masked by the selection */
    float *dx[2];    /* where the input's error goes, not yet initialised; NULL: not needed */
    float *l1;       /* sum|dx[0]| of every sample, from ops that say TP_LAYER_SUMS; NULL: not wanted */
    uint32_t n_x[2], n_dx[2]; /* elements of a sample */
    uint32_t x_bytes[2], y_bytes; /* of a sample */
    uint32_t *scratch;
    bool zeros;      /* the `dense` baseline: do the work of zero rows too */
    uint32_t piece, pieces; /* of one sample, these pieces alone (tp_layer_ops.pieces); pieces 0: all */
} tp_pass;

enum {
    TP_LAYER_WEIGHTS = 1,  /* a weight layer: the policy chooses its rows */
    TP_LAYER_VIEW = 2,     /* output and input are the same bytes */
    TP_LAYER_IN_PLACE = 4, /* may overwrite its input, and its error */
    TP_LAYER_NEEDS_X = 8,  /* backward reads the input */
    TP_LAYER_NEEDS_Y = 16, /* backward reads the output */
    TP_LAYER_X_IF_TRAINED = 32, /* backward reads the input only when its own parameters train */
    TP_LAYER_BATCH = 64,   /* takes any number of samples; the others get one at a time */
    TP_LAYER_SUMS = 128,   /* its errors come with their sums */
    TP_LAYER_X_S8 = 256,   /* reads int8 */
    TP_LAYER_Y_S8 = 512,   /* gives int8 of the node's scale and zero */
    TP_LAYER_ANY = 1024,   /* moves values: takes both types and gives what it gets, scale and zero too */
    TP_LAYER_SAME = 2048,  /* int8 in and out, of the same scale and zero */
    TP_LAYER_INPUT_S8 = 4096, /* an int8 input of the model passes as it is */
    TP_LAYER_CLAMPS = 8192,   /* keeps int8 between fixed[0] and fixed[1], and does nothing else */
    TP_LAYER_CLAMPED = 16384, /* ends with such a clamp of its own, which can do the work of one behind it */
    TP_LAYER_RANDOM = 32768   /* in training, not the same at every visit of a sample */
};

typedef struct tp_layer_ops {
    const char *name;
    uint32_t inputs; /* 1 or 2 */
    uint32_t flags;  /* TP_LAYER_* */
    /* Shape inference and validation of attributes; fills p->out (and p->pad_*). p->in is set. */
    tp_status (*shape)(tp_plan_node *p, const tp_shape *in1);
    /* Parameters (dtype, dims), rows, MACs, scratch; offsets are the planner's. NULL: none. */
    void (*plan)(tp_plan_node *p, const tp_plan_options *options, bool *overflow);
    /* Initial parameters. NULL: tp_init_uniform for tensor 0, zeros for the others. */
    void (*init)(const tp_net *net, const tp_plan_node *p);
    /* Are these bytes (unaligned) sane values of tensor `t`? NULL: whatever is finite. */
    bool (*sane)(const tp_plan_node *p, uint32_t t, const uint8_t *bytes);
    void (*forward)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    /* Gradient of the bias from the whole error of one sample, before rows are chosen, added to g. NULL: none. */
    void (*bias)(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g);
    /* Input errors from the (masked) error. NULL: for inference only. */
    void (*errors)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    /* Gradient of the rows first .. first + rows, added to g (row `first` first); g NULL (weight layers only): w = fma(c, that, w)
     * at once. NULL: no parameters. */
    void (*gradient)(const tp_step *s, const tp_plan_node *p, const tp_pass *a, float *g, float c, uint32_t first, uint32_t rows);
    /* One sample, plain SGD, batch 1: both in one pass over the weights. NULL: errors, then gradient. */
    void (*fused)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    /* One sample, plain SGD, batch 1, no slices: errors, then the gradient of all rows, to the same bits, where together they are less
     * work. NULL: one after the other. */
    void (*both)(const tp_step *s, const tp_plan_node *p, const tp_pass *a);
    /* Updates row `row` of the parameters, or the bias (row == rows), from its gradient g: what has no float weights. NULL: the
     * optimizer does. state: words of its own in the training state, `state_words` of them. */
    void (*update)(const tp_step *s, const tp_plan_node *p, uint32_t row, const float *g);
    uint32_t (*state_words)(const tp_plan *plan, const tp_plan_node *p);
    /* sum|w| of a row. NULL: of floats. */
    float (*row_l1)(const tp_step *s, const tp_plan_node *p, uint32_t row);
    /* In how many pieces a slice may take one sample forward (back: its errors, or fused), first to last. NULL: in one. */
    uint32_t (*pieces)(const tp_plan_node *p, bool back);
    /* Multiply-accumulates of a piece of the errors, of one sample. NULL: none, and one piece. */
    uint32_t (*piece_macs)(const tp_step *s, const tp_plan_node *p, const tp_pass *a, uint32_t piece);
} tp_layer_ops;

/* Row of the list with that wire id; NULL: unknown. */
static const tp_layer_ops *tp_layer_find(uint32_t id);

/* Do its weights train, not only its bias? */
TP_INLINE bool tp_trains_weights(const tp_plan_node *p) { return TP_WITH(PART, bias_only) ? p->trainable == TP_TRAINS_ALL : p->trainable != 0; }

/* Does parameter tensor t lie in the file in flash, not in the arena? */
TP_INLINE bool tp_in_flash(const tp_plan_node *p, uint32_t t) { return p->flash != 0 && (!TP_WITH(PART, bias_only) || p->flash == 1 || t != 1); }

/* Where the parameters of a node lie, and where its bias. */
TP_INLINE const uint8_t *tp_home(const tp_step *s, const tp_plan_node *p) { return p->flash != 0 ? s->flash : s->arena; }
TP_INLINE const uint8_t *tp_home_bias(const tp_step *s, const tp_plan_node *p) { return tp_in_flash(p, 1) ? s->flash : s->arena; }

TP_INLINE float *tp_tensor_f32(const uint8_t *arena, const tp_tensor *t) {
    return t->dtype == 0 ? NULL : (float *)(void *)(uintptr_t)(arena + t->offset);
}

TP_INLINE int8_t *tp_tensor_s8(const uint8_t *arena, const tp_tensor *t) { return (int8_t *)(uintptr_t)(arena + t->offset); }
TP_INLINE int32_t *tp_tensor_s32(const uint8_t *arena, const tp_tensor *t) { return (int32_t *)(void *)(uintptr_t)(arena + t->offset); }

/* Declares parameter tensor number p->n_tensors. */
static TP_COLD TP_NOINLINE __attribute__((unused)) void tp_tensor_add(tp_plan_node *p, uint32_t dtype, uint32_t rank, const uint32_t dim[4], bool *overflow) {
    tp_tensor *t = &p->tensor[p->n_tensors++];
    t->dtype = dtype;
    t->rank = rank;
    t->bytes = tp_dtype_bytes(dtype);
    for (uint32_t i = 0; i < 4; i++) {
        t->dim[i] = i < rank ? dim[i] : 1u;
        t->bytes = tp_mul(t->bytes, t->dim[i], overflow);
    }
}

/* The pass over some samples of a pass alone. */
TP_INLINE tp_pass tp_pass_part(const tp_plan_node *p, const tp_pass *a, uint32_t first, uint32_t n) {
    tp_pass part = *a;
    part.n = n;
    part.sample += first;
    for (uint32_t slot = 0; slot < 2; slot++) {
        if (part.x[slot] != NULL) { part.x[slot] = (const uint8_t *)part.x[slot] + (size_t)first * a->x_bytes[slot]; }
        if (part.dx[slot] != NULL) { part.dx[slot] += (size_t)first * a->n_dx[slot]; }
    }
    if (part.y != NULL) { part.y = (uint8_t *)part.y + (size_t)first * a->y_bytes; }
    if (part.d != NULL) { part.d += (size_t)first * p->n_out; }
    if (part.l1 != NULL) { part.l1 += first; }
    return part;
}

#endif /* TINYPROP_TP_LAYER_H */
