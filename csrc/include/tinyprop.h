/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tinyprop: trains small neural networks with sparse back-propagation (TinyProp, TinyPropv2, meProp).
 *
 *   1. describe   tp_model   an array of tp_node in topological order (const, may lie in flash)
 *   2. choose     tp_recipe  policy, optimizer, schedule, batch, seed     (tp_recipe_default)
 *   3. plan       tp_plan    every byte offset, made by pure arithmetic   (tp_plan_make)
 *   4. open       tp_net     binds plan + the caller's arena + kernels    (tp_net_open, tp_net_init)
 *   5. live       tp_train_step, tp_net_forward, tp_eval_step
 *   6. keep       tp_blob_save, tp_blob_open, tp_blob_load
 *
 * Rules of the whole header
 *   - No function allocates, prints, calls libm or keeps a global.
 *   - Threads: a tp_net, its arena and what it was given (batch, stats) may be used by one thread at a time; it may be handed
 *     from one to another between calls, also while a step is in flight (slices), with a barrier as for any memory. Different
 *     nets are independent; they may share a plan, a model and a blob, which are only read. Interrupts may use the
 *     floating-point unit and preempt a call, but may call nothing of this header but tp_status_name, tp_version and
 *     tp_source_id. A call may be preempted for as long as one likes; it never waits, but for `parallel`.
 *   - Every function returning tp_status returns TP_OK (0) or a negative TP_E_*; on an error no weight and no
 *     training state has changed except where the function says so. Activations and scratch inside the arena
 *     are not kept between calls.
 *   - A null pointer or a net that is not open is TP_E_ARG everywhere; functions list their other errors.
 *   - Results are the same bits on every machine and every kernel table: docs/NUMERICS.md. The floating-point control
 *     register (rounding, denormals, flags) is set for the time of a call and afterwards as it was.
 *   - Arrays are dense, row-major; a sample is [h][w][c] (NHWC). Dense weights are [out][in], convolution
 *     weights [out][kh][kw][in/groups].
 */
#ifndef TINYPROP_H
#define TINYPROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TP_VERSION_MAJOR 0
#define TP_VERSION_MINOR 1
#define TP_VERSION_PATCH 0

/* ------------------------------------------------------------------ status */

typedef int32_t tp_status;

#define TP_OK 0
#define TP_E_ARG (-1)       /* null pointer, unknown id, value out of range */
#define TP_E_MODEL (-2)     /* graph: unknown op, input not earlier, no output, duplicate name */
#define TP_E_SHAPE (-3)     /* shapes do not fit; kernel larger than its padded input */
#define TP_E_RECIPE (-4)    /* e.g. theta >= 1: the recipe would never train */
#define TP_E_ARENA (-5)     /* arena too small or not aligned to TP_ALIGN */
#define TP_E_LABEL (-6)     /* class label >= number of outputs; BCE target outside [0, 1] */
#define TP_E_DATA (-7)      /* input or target holds NaN or infinity */
#define TP_E_LOSS (-8)      /* loss or output error not finite: training diverged, no weight changed */
#define TP_E_DELTA (-9)     /* a node's error is not finite: its parameters and those below are unchanged */
#define TP_E_BLOB (-10)     /* blob truncated or malformed */
#define TP_E_CRC (-11)      /* blob checksum differs */
#define TP_E_VERSION (-12)  /* blob of a newer format */
#define TP_E_MISMATCH (-13) /* blob does not fit this plan */
#define TP_E_LIMIT (-14)    /* size overflows 32 bits or exceeds a TP_MAX_* */
#define TP_E_BUFFER (-15)   /* output buffer too small */
#define TP_E_MODE (-16)     /* the plan is for inference only; the blob holds no training state */
#define TP_E_BUSY (-17)     /* a step of this net is in flight: resume it to its end, or cancel it */
#define TP_E_STOPPED (-18)  /* should_stop said so: the step is in flight */
#define TP_E_ABSENT (-19)   /* a layer, loss, policy or optimizer that this build's TP_CONFIG_HEADER leaves out */
#define TP_E_FLASH (-20)    /* tinyprop_store.h: a flash function failed, or the flash did not take what was written */
#define TP_E_EMPTY (-21)    /* tinyprop_store.h: nothing was ever stored */

/* "TP_E_SHAPE" ...; "TP_E_?" for an unknown number, and with TP_NO_STRINGS for every error. */
const char *tp_status_name(tp_status status);

/* ------------------------------------------------------------------ limits */

#define TP_ALIGN 64u       /* alignment of an arena and of every region in it, bytes */
#define TP_NAME_BYTES 32u  /* node name including the final zero */
#define TP_MAX_NODES 512u  /* nodes of a model */
#define TP_MAX_LAYERS 128u /* weight layers (dense, convolutions) of a model */
#define TP_NODE_TENSORS 4u /* parameter tensors of one node */
#define TP_MAX_SAMPLES 64u /* of a batch worked on together */
#define TP_MAX_THREADS 64u
#define TP_MAX_HISTORY 65536u /* losses that a policy remembers */
#define TP_MAX_REVISIT 64u    /* visits that a sample is passed over */

/* ------------------------------------------------------------------- model */

typedef enum tp_dtype { TP_F32 = 1, TP_S8 = 2, TP_S32 = 3, TP_U8 = 4 } tp_dtype;

/* Shape of one sample's tensor, in elements. rank 1: {1, 1, c}; rank 2: {1, time, c}; rank 3: {h, w, c}. */
typedef struct tp_shape {
    uint32_t h, w, c;
    uint32_t rank;
} tp_shape;

#define TP_INPUT (-1) /* tp_node.in: the model's input */
#define TP_NONE (-2)  /* tp_node.in: no such input */

#define TP_FLAG_NO_BIAS 1u /* dense, conv: no bias tensor */
#define TP_FLAG_FROZEN 2u  /* parameters of this node are not trained */
#define TP_FLAG_BIAS_TRAINS 4u /* with TP_FLAG_FROZEN, of a dense layer or convolution: but for its bias */

typedef enum tp_padding { TP_PAD_VALID = 0, TP_PAD_SAME = 1, TP_PAD_EXPLICIT = 2 } tp_padding;
typedef enum tp_init { TP_INIT_HE_UNIFORM = 0, TP_INIT_GLOROT_UNIFORM = 1 } tp_init;

/* One operation of the graph. Unused fields are 0, except in[1], which is TP_NONE for every op but add. */
typedef struct tp_node {
    char name[TP_NAME_BYTES]; /* unique, not empty, zero-terminated */
    uint32_t op;              /* wire id of the layer list, e.g. tp_list_id(TP_LIST_LAYER, "dense") */
    int32_t in[2];            /* index of an earlier node or TP_INPUT; the second of one-input ops: TP_NONE */
    uint32_t flags;           /* TP_FLAG_* */
    uint32_t units;           /* dense: outputs; conv: output channels (depthwise: c_in * multiplier) */
    uint32_t kernel[2];       /* height, width (conv1d: 1, k) */
    uint32_t stride[2];       /* height, width, >= 1 (conv1d: 1, s) */
    uint32_t padding;         /* tp_padding */
    uint32_t pad[4];          /* TP_PAD_EXPLICIT: top, bottom, left, right, each below the kernel */
    uint32_t groups;          /* conv2d, conv1d: divides c_in and units; 0 means 1 */
    uint32_t init;            /* tp_init, weight layers */
    float param;              /* leaky_relu: slope, dropout: rate, both in [0, 1); batch_norm: epsilon > 0; clamp_s8: upper bound */
    float scale;              /* ops that give int8: a real value is scale * (q - zero), scale > 0. 0: as the input's */
    int32_t zero;             /* -128 .. 127 */
} tp_node;

/* Losses (wire ids): 1 softmax cross-entropy (labels), 2 binary cross-entropy on logits (targets in
 * [0, 1], summed over the outputs), 3 mean squared error (targets, mean over the outputs). */
typedef struct tp_model {
    const tp_node *nodes;
    uint32_t n_nodes; /* the last node is the output */
    tp_shape input;
    uint32_t input_dtype; /* TP_F32; TP_S8: only quantize nodes read the input, whose scale and zero it then has */
    uint32_t loss;        /* wire id of the loss list */
} tp_model;

/* Sets TP_FLAG_FROZEN on the node of that name; of "NODE.weight" the weights alone: its bias trains (TP_FLAG_BIAS_TRAINS). The nodes
 * array is the caller's. TP_E_ARG: no such name; TP_E_MODEL: it has no parameters, or no bias to train. */
tp_status tp_model_freeze(tp_node *nodes, uint32_t n_nodes, const char *name);
/* Sets TP_FLAG_FROZEN on every node with parameters before the n-th last weight layer; the others keep their flags.
 * TP_E_ARG: n is 0 or more than there are. */
tp_status tp_model_freeze_all_but_last(tp_node *nodes, uint32_t n_nodes, uint32_t n);
/* Gives the last weight layer (a dense layer or a convolution) another number of outputs and unfreezes it. Its old tensors
 * no longer fit: load a blob with TP_BLOB_PARTIAL after tp_net_init. TP_E_ARG: classes is 0; TP_E_MODEL: no such layer. */
tp_status tp_model_replace_head(tp_node *nodes, uint32_t n_nodes, uint32_t classes);

/* ------------------------------------------------------------------ recipe */

typedef enum tp_select { TP_SELECT_ELEMENT = 0, TP_SELECT_CHANNEL = 1, TP_SELECT_AUTO = 2 } tp_select;

/* How a maximum (Ymax of a layer, alpha_max of the decision) follows its samples; docs/ALGORITHM.md section 2. */
typedef enum tp_max_mode {
    TP_MAX_RUNNING = 0,  /* max over everything seen */
    TP_MAX_DECAY = 1,    /* max(g * old, new) */
    TP_MAX_EPOCH = 2,    /* running, restarted at every epoch (Ymax only) */
    TP_MAX_FIXED = 3,    /* the given constant */
    TP_MAX_ANALYTIC = 4, /* softmax-CE: 2, BCE over n outputs: n. Ymax: of the last weight layer, the others RUNNING;
                          * alpha: TP_E_RECIPE where the loss has no bound */
    TP_MAX_AUTO = 5      /* alpha only: ANALYTIC where it exists, else DECAY */
} tp_max_mode;

typedef enum tp_steer { TP_STEER_SAMPLES = 0, TP_STEER_EFFORT = 1 } tp_steer;

typedef enum tp_schedule_kind { TP_SCHEDULE_CONSTANT = 0, TP_SCHEDULE_COSINE = 1, TP_SCHEDULE_STEP = 2 } tp_schedule_kind;

/* Learning rate as a function of batches seen, skipped ones included: warm-up lr*(t+1)/warmup for t < warmup,
 * then constant, lr (1 + cos(pi (t - warmup) / (total - warmup))) / 2 and 0 from `total` on, or
 * lr * gamma^floor((t - warmup) / every). */
typedef struct tp_schedule {
    uint32_t kind;   /* tp_schedule_kind */
    uint32_t warmup; /* batches */
    uint32_t total;  /* batches, warm-up included, cosine; >= 1, >= warmup */
    uint32_t every;  /* batches, step; >= 1 */
    float gamma;     /* step, 0 < gamma <= 1 */
} tp_schedule;

/* Parameters of the policies; each policy reads its own. Equations: docs/ALGORITHM.md. */
typedef struct tp_policy_params {
    float s_min, s_max, zeta; /* eq. 10, 11: 0 <= s_min <= s_max <= 1, s_max > 0, 0 < zeta <= 1 (meProp: s_max) */
    uint32_t ymax_mode;       /* tp_max_mode */
    float ymax_decay;         /* g in (0, 1], TP_MAX_DECAY */
    float ymax_fixed;         /* TP_MAX_FIXED, > 0 */
    uint32_t output_dense;    /* 1: the last weight layer keeps every row */
    uint32_t select;          /* tp_select, for convolutions */
    float d_min, d_max;       /* eq. 14: D = (d_min + alpha (d_max - d_min) / alpha_max) * beta, d_min < d_max */
    float tau, beta;          /* train iff D > tau; beta > 0 */
    uint32_t alpha_mode;      /* tp_max_mode */
    float alpha_decay;        /* g of alpha_max in (0, 1], TP_MAX_DECAY */
    float alpha_fixed;        /* TP_MAX_FIXED, > 0 */
    float rate;               /* random: share of the samples that train; steered, eif: the wanted share; 0 < rate <= 1 */
    uint32_t steer;           /* tp_steer: what the wanted share of `steered` is of */
    float gain;               /* steered, eif: how fast the threshold follows, 0 < gain <= 1 */
    uint32_t history;         /* selective: losses that a loss is ranked among, 1 .. TP_MAX_HISTORY; beta is its exponent */
    uint32_t stale;           /* selective: epochs that a loss is used for, >= 1; above 1 it needs tp_recall.loss */
    float weight_share, delta_share; /* emp: g1, g2 >= 0, not both 0; s_max is its share of channels */
    uint32_t revisit;         /* for whoever feeds the samples (tp_revisit_due): 0 off, else 1 .. TP_MAX_REVISIT. No policy reads it */
} tp_policy_params;

/* Int8 weights move by whole steps. Default: rounded at random, so that on average nothing is lost, by a gradient scaled to the
 * quantised weights (Lin et al. 2022). docs/INT8.md */
#define TP_INT8_NEAREST 1u  /* rounded to the nearest: small updates are lost */
#define TP_INT8_RESIDUAL 2u /* what rounding leaves goes to the next weight of the row; one float a row is kept */
#define TP_INT8_UNSCALED 4u /* the gradient of the quantised weights as it is */
#define TP_INT8_FRACTION 8u /* at random, but to 1/256 of a step: a byte a weight is kept */

#define TP_NUMERICS_IEEE 0u  /* denormals kept: the same bits on every machine */
#define TP_NUMERICS_FLUSH 1u /* denormals are zero: the same bits within a family (x86; Arm). Governs the nets of this recipe; inference
                              * nets keep denormals */

typedef struct tp_recipe {
    uint32_t policy;    /* wire id of the policy list */
    uint32_t optimizer; /* wire id of the optimizer list */
    uint32_t batch;     /* nominal batch size, >= 1 */
    uint32_t numerics;  /* TP_NUMERICS_* */
    float lr;           /* > 0 */
    float momentum;     /* 0 <= mu < 1, momentum optimizer */
    float weight_decay; /* >= 0, decoupled: w -= lr * weight_decay * w, rows only when updated, biases and norms never */
    uint32_t int8;      /* TP_INT8_*: how int8 weights are updated */
    uint64_t seed; /* init, dropout, shuffle, rounding of int8 weights */
    tp_schedule schedule;
    tp_policy_params policy_params;
} tp_recipe;

/* policy `tinypropv2`, preset `accurate`, SGD, batch 1, lr 0.01, constant, seed 1. */
tp_recipe tp_recipe_default(void);
/* Overwrites policy_params (nothing else) from a preset of TP_LIST_PRESET ("paper", "accurate"). TP_E_ARG: no such name. */
tp_status tp_recipe_preset(tp_recipe *recipe, const char *preset);

#define TP_WARN_THETA_NEGATIVE 1u /* tau/beta < d_min: every sample is trained */

/* -------------------------------------------------------------------- plan */

/* A tensor inside the arena. dtype is part of it: bytes = product of dims * size of dtype. */
typedef struct tp_tensor {
    uint32_t dtype;  /* tp_dtype; 0: no such tensor */
    uint32_t dim[4]; /* [out][kh][kw][in/groups] or [out][in][1][1] or [n][1][1][1] */
    uint32_t rank;
    uint32_t offset; /* bytes from the arena's start (tp_plan_node.flash: elsewhere) */
    uint32_t bytes;
} tp_tensor;

#define TP_NO_OFFSET 0xffffffffu
#define TP_ACT_INPUT 0xfffffffeu

/* How a plan trades memory for speed. Results are the same bits for every choice. */
typedef struct tp_plan_options {
    uint32_t samples; /* of a batch worked on together, 1 .. TP_MAX_SAMPLES; 1: least memory */
    uint32_t threads; /* that may work at once (tp_net_parallel), each with scratch of its own, 1 .. TP_MAX_THREADS */
    uint32_t packing; /* 1: scratch in which SIMD kernels lay out inputs and weights their way */
    uint32_t flash;   /* 1: parameters that do not train stay in the blob, which lies in flash (tp_net_flash), not in the arena */
} tp_plan_options;

/* Real value of an int8 q: scale * (q - zero). */
typedef struct tp_quant {
    float scale;
    int32_t zero;
} tp_quant;

typedef enum tp_trains { TP_TRAINS_ALL = 1, TP_TRAINS_BIAS = 2 } tp_trains;

/* What the plan knows of one node. Offsets are bytes from the arena's start. */
typedef struct tp_plan_node {
    tp_node node;
    tp_shape in, out;              /* shapes of the first input and of the output */
    uint32_t dtype;                /* of the output: TP_F32 or TP_S8 */
    tp_quant xq[2], yq;            /* of inputs and output that are int8 */
    int32_t fixed[6];              /* constants of the int8 op, from those */
    uint16_t flash;                /* 1: its parameters are in the blob, tp_tensor.offset bytes from its WGTS data on; 2: all but the bias */
    uint16_t folded;               /* 1: forward, the node before does its work */
    uint32_t room;                 /* forward scratch of an int8 convolution, where nothing else lies then; 0: none */
    uint32_t pad_top, pad_left;    /* resolved padding */
    uint32_t n_out;                /* elements of the output */
    uint32_t act;                  /* output of this node; TP_ACT_INPUT: a view of the sample */
    uint32_t err;                  /* error of the output; TP_NO_OFFSET: never needed */
    uint32_t act_owner, err_owner; /* node whose buffer that is (in-place operations share one) */
    uint32_t act_from, act_to, err_from, err_to; /* lifetimes: forward of node i is time i, the loss n_nodes, its
                                      backward 2 n_nodes - i */
    uint32_t scratch;              /* bytes of scratch of one thread; errors that are to be added lie behind those of all */
    uint32_t n_tensors;            /* parameters: weight, bias; batch norm: gamma, beta, mean, variance */
    tp_tensor tensor[TP_NODE_TENSORS];
    uint32_t rows, row_len;        /* trainable rows (outputs, channels) and elements of a row; 0: none */
    uint32_t row_stride;           /* bytes from row to row, from tensor[0] on */
    uint32_t layer;                /* weight layer number 0 .. L-1 from the input; TP_NO_OFFSET: not one */
    uint32_t select;               /* TP_SELECT_ELEMENT or TP_SELECT_CHANNEL */
    uint32_t n_select;             /* N: rows the policy chooses from */
    uint32_t trainable;            /* 0: nothing of it; TP_TRAINS_ALL: its parameters; TP_TRAINS_BIAS: the bias alone */
    uint32_t backward;             /* 1: takes part in the backward pass */
    uint32_t needs_dx[2];          /* 1: computes the error of that input */
    uint32_t adds_dx[2];           /* 1: another consumer has already stored there, so add */
    uint32_t macs_row;             /* multiply-accumulates of dW (and of dX) of one selected element of delta */
    uint32_t grad, touched;        /* gradient rows and their marks; TP_NO_OFFSET: none (batch 1) */
    uint32_t optim;                /* optimizer state; TP_NO_OFFSET: none */
    uint32_t policy;               /* policy state of this layer */
    uint32_t macs_forward;         /* multiply-accumulates of one sample */
    uint32_t macs_dw, macs_dx;     /* of dense training; 0 where not computed */
    float zpow;                    /* zeta^(L-l), by repeated multiplication from the last weight layer */
} tp_plan_node;

/* Everything a net needs to know, free of pointers and of gaps: made on a PC it is, byte for byte, the microcontroller's own, and may
 * lie in its flash (tp_plan_check; `firmware export` does so). */
typedef struct tp_plan {
    uint32_t bytes;          /* of this plan, nodes included */
    uint32_t source;         /* hash of version and source id of the library that made it; tp_net_open refuses another */
    uint32_t training;       /* 0: inference only */
    uint32_t warnings;       /* TP_WARN_* */
    uint32_t arena_bytes;    /* size of the arena */
    uint32_t params_at, params_bytes; /* weights of all nodes, contiguous */
    uint32_t state_at, state_bytes;   /* training state: counters, policy, optimizer */
    uint32_t grad_at, grad_bytes;     /* gradient rows and their marks; 0 at batch 1 */
    uint32_t acts_at, acts_bytes;     /* activations and errors, overlapping where lifetimes allow */
    uint32_t scratch_at, scratch_bytes;
    uint32_t policy_at;               /* policy state of the whole net */
    uint32_t outcome_at;              /* losses, then sums|delta|, of the samples worked on together */
    uint32_t undo_at;                 /* batch > 1: policy state before the batch, for when it fails */
    uint32_t n_nodes, n_layers, n_params; /* nodes, weight layers, parameter elements */
    uint32_t n_in, n_out;             /* elements of input and output */
    uint32_t first_trainable;         /* node index; n_nodes: nothing to train */
    uint64_t macs_forward, macs_backward; /* of one sample, dense training */
    uint64_t macs_look, macs_learn;   /* the policy's own: of every sample seen; more of one that went forward */
    tp_shape input;
    uint32_t input_dtype, loss;
    float theta, alpha_bound; /* decision; analytic maximum of alpha, 0: none */
    tp_recipe recipe;
    tp_plan_options options;
    tp_plan_node node[1]; /* n_nodes of them */
} tp_plan;

/* Bytes of a plan of that many nodes. */
uint32_t tp_plan_bytes(uint32_t n_nodes);
/* Plans model + recipe into `plan` (`bytes` large, 8-byte aligned). recipe NULL: inference only, and activations share
 * memory as soon as they are dead. TP_E_MODEL, TP_E_SHAPE, TP_E_RECIPE, TP_E_LIMIT, TP_E_BUFFER, TP_E_ABSENT; TP_E_ARG also for an
 * unknown policy or optimizer. On an error *where (may be NULL) is the index of the offending node, or n_nodes, and the content of
 * `plan` is of no use. Time: O(n_nodes^3), no loop over elements. The arena is as small as it can be: for microcontrollers. */
tp_status tp_plan_make(const tp_model *model, const tp_recipe *recipe, tp_plan *plan, uint32_t bytes, uint32_t *where);
/* The same with options, for machines that have the memory; TP_E_ARG also where one is out of range. */
tp_status tp_plan_make_with(const tp_model *model, const tp_recipe *recipe, const tp_plan_options *options, tp_plan *plan,
                            uint32_t bytes, uint32_t *where);

/* Where the part of a model ends that gives the same for a sample at every visit: frozen, and without dropout. All that the rest reads
 * of it is the output of one node, so those numbers can take the place of its forward pass (tp_recall.cut). */
typedef struct tp_cut {
    uint32_t node;  /* the highest such node */
    uint32_t bytes; /* of its output, for one sample: node[node].n_out elements of node[node].dtype */
    uint64_t macs;  /* multiply-accumulates of the forward pass up to it, for one sample */
} tp_cut;
/* The same for training and inference. TP_E_MODEL: there is none, e.g. because a skip connection crosses every place, or no weights
 * lie below; TP_E_ABSENT: left out of this build (TP_WITH_PART_cut). */
tp_status tp_plan_cut(const tp_plan *plan, tp_cut *cut);

/* Is tp_ahead for this plan? The batch size is 1, the method may leave a sample untrained after its forward pass but not before, and
 * there is no dropout. false, too: left out of this build (TP_WITH_PART_ahead). Worth it where options.samples > 1. */
bool tp_plan_can_look_ahead(const tp_plan *plan);

/* ----------------------------------------------------------------- kernels */

typedef struct tp_kernels tp_kernels; /* table of arithmetic for one instruction set */

/* The best table this CPU runs; NULL: none of those compiled in. All tables give the same bits; "soft" runs everywhere. Compiled
 * with -DTP_STATIC_ISA=NAME (soft, scalar, avx2, avx512, neon, vfp) the library has that one alone and calls it directly; Cortex-M
 * gets vfp (FPU with fma) or soft so unless NAME is `all`. */
const tp_kernels *tp_kernels_best(void);
/* By name (a row of TP_LIST_ISA); NULL: not compiled in, or this CPU cannot run it. */
const tp_kernels *tp_kernels_named(const char *name);
const char *tp_kernels_name(const tp_kernels *kernels);

/* --------------------------------------------------------------------- net */

struct tp_trace;
struct tp_blob;

/* Runs task(argument, 0) .. task(argument, n - 1) on several threads and returns when all have ended; n <= the plan's threads. */
typedef struct tp_parallel {
    void (*run)(void *user, void (*task)(void *argument, uint32_t index), void *argument, uint32_t n); /* NULL: one thread */
    void *user;
} tp_parallel;

/* Samples of a training step. */
typedef struct tp_batch {
    const void *x;          /* n samples of n_in elements of input_dtype, aligned as that type */
    const uint32_t *label;  /* n labels (softmax cross-entropy), else NULL */
    const float *target;    /* n * n_out targets (BCE, MSE), else NULL */
    uint32_t n;             /* 1 .. recipe.batch (tp_eval_step: any) */
} tp_batch;

/* Batches of one sample, most of which will not be trained: as long as none is, the weights stay as they are, and the forward passes of
 * several samples together cost less than one after the other. A step that has none left makes those of the next samples too; the steps
 * are what they would be without. From the first step that has it to the last, nothing else may be done with the net, but steps
 * without samples (n = 0), and what is behind the sample must stay as it is. Only if tp_plan_can_look_ahead. */
typedef struct tp_ahead {
    uint32_t n;     /* samples that lie behind this one in memory (as do their outputs in tp_recall.cut) and come next */
    uint32_t ready; /* begin with 0, after an error again. Forward passes that are done, this sample's first: fewer than n + 1 if the plan takes fewer together */
    uint32_t slot;  /* private */
} tp_ahead;

/* What a caller knows of the samples of a batch, and wants to know. */
typedef struct tp_recall {
    float *loss;      /* n, or NULL: the last loss of each, 0: none known yet; a step writes those it computes */
    uint8_t *trained; /* n, or NULL: a step writes 1: trained, 0: not */
    uint32_t passed;  /* samples of the batch that are not in tp_batch: seen, neither looked at nor trained. n + passed <= recipe.batch;
                       * n may then be 0 */
    const void *cut;  /* n outputs of node tp_cut.node, one after the other, or NULL: the step, and tp_eval_step, copy them and begin
                       * behind it; all else, stats included, is as if they began with x. tp_batch.x is still checked, and seen by
                       * policies that look at samples; for the others it may be NULL: then these numbers are checked (TP_E_DATA;
                       * floats are aligned as such). TP_E_MODEL: the plan has no cut */
    tp_ahead *ahead;  /* or NULL; tp_batch.x is not NULL then */
} tp_recall;

/* A step or a forward pass on its way: what it is about, where it stands, what its slice may still do. Private. */
typedef struct tp_step {
    const struct tp_net *net;
    const tp_plan *plan;
    const tp_kernels *k;
    uint8_t *arena;
    const uint8_t *flash; /* parameters that are not in the arena */
    const uint8_t *x;    /* the samples worked on together */
    uint32_t first, n;   /* which of them this pass is about */
    struct tp_stats *stats; /* may be NULL */
    uint64_t sample;     /* number of x[0] since the start of training: counter of the dropout stream */
    bool training;       /* dropout is active */
    bool batch_one;      /* no gradient buffer: rows are updated as soon as they are known */
    bool direct;         /* the gradient of this pass is that of the whole batch, and the update is plain SGD */
    bool fresh;          /* nothing has been done in this slice */
    uint32_t trained;    /* samples of the batch that were */
    uint64_t macs;       /* dW and dX of them so far, by k */
    uint8_t phase;       /* TP_STEP_* */
    uint8_t stage;       /* of a node going backward: TP_STAGE_* */
    float lr, lr_batch;  /* of this batch; lr / batch, rounded once */
    uint32_t update;     /* number of this optimizer step, from 1 (lazy momentum) */
    uint32_t left;       /* of the slice's budget */
    uint32_t node, item; /* whose turn it is; samples, pieces of a sample or rows of it that are done */
    uint32_t at, group;  /* samples at .. at + group of the batch are worked on together */
    uint64_t learns;     /* which of them learn */
    int32_t summed;      /* weight layer whose sums|delta| came with the errors of the op behind it */
    tp_status status;    /* why the step is being taken back */
    tp_batch batch;
} tp_step;

/* A live network: a few pointers, no memory of its own. Fields are private except `trace`, `trace_user`, `parallel`,
 * `recall`, `should_stop`, `stop_user`. */
typedef struct tp_net {
    const tp_plan *plan;
    uint8_t *arena;
    const uint8_t *flash; /* parameters that are not in the arena */
    const tp_kernels *kernels;
    uint32_t error_node; /* after TP_E_DELTA: index of the node that failed */
    uint32_t ready;
    /* Called twice for every weight layer that the backward pass of a sample reaches: before and after its rows are
     * chosen; NULL: off. */
    void (*trace)(void *user, const struct tp_trace *event);
    void *trace_user;
    tp_parallel parallel;
    tp_recall *recall; /* of the batches to come; NULL: none */
    /* Asked between the units of work of a step (or of tp_net_forward's pass), never before the first of a call; true ends
     * the slice there, and nothing is lost. NULL: never. */
    bool (*should_stop)(void *user);
    void *stop_user;
    tp_step step;
} tp_net;

/* What the trace sees of one layer of one sample. Pointers are valid during the call only. */
typedef struct tp_trace {
    uint64_t sample;      /* number since the start of training */
    uint32_t node, layer; /* indices */
    uint32_t n, k;        /* rows to choose from; k after the clamp */
    uint32_t n_delta;     /* elements of delta (= n except in channel mode) */
    float l1, ymax;       /* sum|delta|; the policy's maximum after its update (0: it has none) */
    const float *delta;   /* n_delta: delta_z before the selection; NULL at the second call */
    const float *kept;    /* n_delta: the same with everything that is not propagated set to 0; NULL at the first call */
} tp_trace;

/* Binds plan and arena (aligned to TP_ALIGN, plan->arena_bytes large); both must outlive the net. kernels NULL: the best.
 * Weights and training state in the arena are kept (gradient sums are cleared): call tp_net_init or tp_blob_load next. The
 * plan is trusted: it must come from tp_plan_make of these sources (TP_E_VERSION). TP_E_ARENA, TP_E_ABSENT; TP_E_RECIPE:
 * TP_NUMERICS_FLUSH on a machine that cannot. */
tp_status tp_net_open(tp_net *net, const tp_plan *plan, void *arena, uint32_t bytes, const tp_kernels *kernels);
/* Plans of the option `flash`: binds the parameters that do not train to those of `blob`, whose bytes, aligned to 8, must outlive the
 * net. Comes after tp_net_open and before anything else; tp_blob_load of the same blob then brings the others. All of them must be
 * there, where a blob of this model has them: TP_E_MISMATCH. TP_E_ARENA: not aligned; TP_E_DATA: not finite; TP_E_MODE: another plan. */
tp_status tp_net_flash(tp_net *net, const struct tp_blob *blob);
/* Random weights from the recipe's seed (inference: seed 1), biases 0, batch norm gamma and variance 1, beta and mean 0;
 * fresh training state. Formula and stream: docs/NUMERICS.md. */
tp_status tp_net_init(tp_net *net);
/* Fresh training state (policy, momentum, counters: all 0); weights stay. TP_E_MODE. */
tp_status tp_net_reset_state(tp_net *net);
/* Forward pass of one sample in inference mode (no dropout). x: n_in floats, aligned as floats. *y: n_out raw outputs
 * (logits) inside the arena, valid until the next call; they are not finite where the weights have diverged. TP_E_DATA,
 * TP_E_STOPPED. */
tp_status tp_net_forward(tp_net *net, const void *x, const float **y);
/* The same for n samples, one after the other in x; their outputs go to out[n * n_out]. Fast where the plan works on several
 * samples together. Nothing is written if any sample is not finite: TP_E_DATA. */
tp_status tp_net_forward_batch(tp_net *net, const void *x, uint32_t n, float *out);
/* The frozen part alone: the n outputs of node tp_cut.node, one after the other, go to out[n * tp_cut.bytes], for tp_recall.cut. They are
 * good until a frozen parameter changes. TP_E_MODEL: the plan has no cut; TP_E_DATA, nothing is written; TP_E_ABSENT. */
tp_status tp_net_forward_cut(tp_net *net, const void *x, uint32_t n, void *out);
/* Output -> probabilities (softmax, sigmoid; MSE: copy). y and out: n_out floats, may be the same. */
tp_status tp_net_probabilities(const tp_net *net, const float *y, float *out);
/* Parameter tensor `index` (0 .., in node order): its description, its name (node name + .weight, .bias; int8: .scale, .requant; .gamma, .beta, .mean
 * or .variance) and its memory, which may be written between steps; each output may be NULL. TP_E_ARG past the last. */
tp_status tp_net_tensor(const tp_net *net, uint32_t index, tp_tensor *tensor, char name[TP_NAME_BYTES + 16], void **data);
/* Replaces parameter tensor `index` by what lies in `from` (tensor.bytes, in its type). TP_E_ARG past the last; TP_E_DATA: not finite, a
 * scale that is not above 0, a .requant that no scales give; TP_E_MODE: it lies in flash. */
tp_status tp_net_write(tp_net *net, uint32_t index, const void *from);
/* Which biases of a masked layer train. */
typedef enum tp_bias { TP_BIAS_ROWS = 0, TP_BIAS_ALL = 1, TP_BIAS_NONE = 2 } tp_bias; /* ROWS: those of the rows that train */

/* Policy `masked`: of weight layer `layer`, row r of the weights (output, channel) trains iff rows[r] != 0 (NULL: all do); other rows pass
 * errors on. Below the last layer that trains, no error is computed. In training state, so that reset and load change it; at first all
 * train. TP_E_ARG: no such layer or bias; TP_E_MODE: another policy, or inference only. */
tp_status tp_net_mask(tp_net *net, uint32_t layer, const uint8_t *rows, uint32_t bias);
/* Learning rate that the next batch will use; 0 for an inference net. */
float tp_net_lr(const tp_net *net);
/* Marks the begin/end of an epoch: counts it, runs the policy's hooks (TP_MAX_EPOCH restarts Ymax). Training works without
 * them. TP_E_MODE. */
tp_status tp_net_epoch_begin(tp_net *net);
tp_status tp_net_epoch_end(tp_net *net);

/* Counters of the training state. */
typedef struct tp_progress {
    uint64_t samples, batches, updates, epochs; /* seen; batches seen; optimizer steps made; epochs begun */
} tp_progress;
/* TP_E_MODE. */
tp_status tp_net_progress(const tp_net *net, tp_progress *progress);

/* ---------------------------------------------------------------- training */

/* Per weight layer; sums over the samples of the step that reached it. */
typedef struct tp_layer_stats {
    uint32_t n;             /* rows to choose from, times samples trained */
    uint32_t k;             /* rows chosen (after the clamp, zeros included) */
    uint32_t worked;        /* elements of delta that were not zero and propagated */
    float l1;               /* sum|delta| */
    uint32_t macs_dw, macs_dx; /* counted by k; modulo 2^32 (tp_stats has the 64-bit sums) */
} tp_layer_stats;

/* One step, fixed size for a given model: tp_stats_bytes(plan). No time in it: it is hashed by the parity test. */
typedef struct tp_stats {
    uint32_t bytes;         /* of this record; set by the step */
    uint32_t samples;       /* that went forward */
    uint32_t trained;       /* decided to train */
    uint32_t correct;       /* right before the update: softmax-CE, first largest output = label; BCE, every output on its
                             * target's side of 1/2; MSE, 0 */
    float loss;             /* mean over the samples */
    float alpha;            /* sum|delta^L| of the last sample */
    uint64_t macs_forward, macs_dw, macs_dx; /* done, dX and dW counted by k */
    uint64_t macs_worked;   /* backward MACs of the kept elements that are not exactly 0 */
    uint64_t selected;      /* elements of the errors that a selection had to search (0 < k < n) */
    uint32_t n_layers;
    uint32_t passed;        /* seen without a forward pass */
    tp_layer_stats layer[1]; /* n_layers of them */
} tp_stats;

/* Bytes of a record for that plan. */
uint32_t tp_stats_bytes(const tp_plan *plan);

/* One step on batch->n samples: docs/ALGORITHM.md section 4. stats may be NULL, else tp_stats_bytes large, 8-byte aligned.
 * n > recipe.batch is TP_E_ARG. The whole batch is checked first: TP_E_MODE, TP_E_ARG, TP_E_LABEL, TP_E_DATA leave everything,
 * stats included, as it was. TP_E_LOSS: no weight and no training state has changed. TP_E_DELTA: batch 1: layers above
 * error_node are updated and the sample is counted; batch > 1: as TP_E_LOSS. TP_E_STOPPED: the step is in flight, see slices
 * below. Time: forward + the kept rows. */
tp_status tp_train_step(tp_net *net, const tp_batch *batch, tp_stats *stats);

/* ------------------------------------------------------------------ slices
 *
 * A step (or a forward pass) in slices, so that a watchdog is fed or a deadline is met between them:
 *
 *     status = tp_step_begin(&net, &batch, stats);
 *     for (bool done = false; status == TP_OK && !done;) { feed_watchdog(); status = tp_step_resume(&net, 20000, &done); }
 *
 * tp_train_step is tp_step_begin and one slice without an end: for every budget the same bits in weights, state and stats.
 * Between slices the net is busy: every function that computes, trains, loads or saves returns TP_E_BUSY; other nets, and
 * tp_net_lr, tp_net_progress, tp_net_tensor (to read) and tp_net_probabilities of this one, may be used. The batch, its
 * memory, tp_recall.cut and stats must stay as they are until the step has ended.
 *
 * A slice is measured in multiply-accumulates, those of the forward pass, dX and dW of the errors that are not 0; other work
 * counts one for every element. It does one unit at least, and no other that would exceed the budget. Units: dense layer, one
 * row (row_len; going back under plain SGD twice that); convolution forward, a row of positions; its errors, as many rows of
 * the input as the stride; a gradient, the row of one output; any other node, the elements of one sample; the selection of a
 * layer's rows, its elements. Checking the batch, in tp_step_begin, is not counted. */

#define TP_BUDGET_ALL 0xffffffffu /* without an end */

/* Begins a step; arguments and errors of tp_train_step, and nothing else has been done. */
tp_status tp_step_begin(tp_net *net, const tp_batch *batch, tp_stats *stats);
/* Begins a forward pass; arguments and errors of tp_net_forward. *y holds the outputs once the pass has ended. */
tp_status tp_net_forward_begin(tp_net *net, const void *x, const float **y);
/* Goes on with what has begun. *done: it has ended, well or with the error returned (TP_E_LOSS, TP_E_DELTA of tp_train_step,
 * with what is said there about weights). TP_E_ARG also where nothing is in flight. */
tp_status tp_step_resume(tp_net *net, uint32_t budget, bool *done);
/* Gives up what has begun: weights and training state are as before it, stats are of no use. TP_E_BUSY: they have begun to
 * move, so the step must be resumed to its end; batch > 1: from the first update on, when all samples have gone backward;
 * batch 1: from the decision on, when the forward pass has ended. A forward pass can always be given up. TP_E_ARG: nothing is in
 * flight. To go on without ever ending a step, load weights and state again after tp_net_open. */
tp_status tp_step_cancel(tp_net *net);

/* Forward (no dropout) and loss of batch->n samples, nothing is learnt; works on inference nets. out (may be NULL): n * n_out
 * raw outputs. The loss may be not finite where the weights have diverged. TP_E_ARG, TP_E_LABEL, TP_E_DATA. */
tp_status tp_eval_step(tp_net *net, const tp_batch *batch, float *out, tp_stats *stats);

/* Sums of many steps. */
typedef struct tp_totals {
    uint64_t samples, trained, correct, steps;
    uint64_t macs_forward, macs_dw, macs_dx, macs_worked, selected;
    uint64_t macs_dense_backward; /* what dense training of all samples would have done: E_bwd = (dw + dx) / this */
    uint64_t passed;              /* samples without a forward pass */
    uint64_t macs_dense_forward;  /* forward passes of all samples */
    uint64_t macs_policy;         /* the policy's own, in neither of the others */
    double loss;                  /* sum over samples */
} tp_totals;
/* Adds one record; `totals` starts zeroed. */
void tp_totals_add(tp_totals *totals, const tp_plan *plan, const tp_stats *stats);

/* Samples that are not worth a look (docs/ALGORITHM.md section 10): a byte each, 0 at the beginning, of whoever feeds them. At every
 * visit: false, pass it over (tp_recall.passed); true, train a step on it, and mark what came of it. cap: policy_params.revisit, > 0. */
bool tp_revisit_due(uint8_t *visits);
void tp_revisit_mark(uint8_t *visits, bool trained, uint32_t cap);

/* Writes the Fisher-Yates permutation of 0 .. n-1 by (seed, epoch) to index[n]. docs/NUMERICS.md. */
void tp_shuffle(uint64_t seed, uint32_t epoch, uint32_t *index, uint32_t n);

/* -------------------------------------------------------------------- blob */

#define TP_BLOB_WEIGHTS 1u /* save/load: parameters */
#define TP_BLOB_STATE 2u   /* save/load: recipe and training state */
#define TP_BLOB_PARTIAL 4u /* load: take the tensors whose name and shape agree, leave the others */

/* A verified view of blob bytes, which must stay alive and unchanged. */
typedef struct tp_blob {
    const uint8_t *bytes;
    uint32_t length;
    uint32_t n_nodes;
    uint32_t has_state; /* 1: recipe and training state are there */
} tp_blob;

/* Checks structure, version and checksum; afterwards no read through `blob` leaves the bytes. They need no alignment.
 * Format: docs/format.md. TP_E_BLOB, TP_E_CRC, TP_E_VERSION. */
tp_status tp_blob_open(tp_blob *blob, const void *bytes, size_t length);
/* Decodes the graph into nodes[capacity]; model->nodes = nodes. What it describes is checked by tp_plan_make.
 * TP_E_BUFFER: capacity < blob->n_nodes. */
tp_status tp_blob_model(const tp_blob *blob, tp_node *nodes, uint32_t capacity, tp_model *model);
/* Is `plan`, made elsewhere, of these sources (TP_E_VERSION) and of the blob's model, node by node (TP_E_MISMATCH)? */
tp_status tp_plan_check(const tp_plan *plan, const tp_blob *blob);
/* The stored recipe, checked by tp_plan_make. TP_E_MODE: the blob has none. */
tp_status tp_blob_recipe(const tp_blob *blob, tp_recipe *recipe);
/* First section with that four-letter tag, e.g. "META", inside the blob's bytes. *data NULL, *length 0: not there. */
tp_status tp_blob_section(const tp_blob *blob, const char tag[4], const uint8_t **data, uint32_t *length);
/* Section `index` (0 ..) in file order; TP_E_ARG past the last. */
tp_status tp_blob_entry(const tp_blob *blob, uint32_t index, char tag[5], const uint8_t **data, uint32_t *length);
/* Copies what `flags` name into the net; everything is checked before the first byte is written. WEIGHTS: every tensor of
 * the net must be there with its type and shape (PARTIAL: any of them), all values finite. STATE: policy, optimizer and size of
 * the state must be those of the net's plan; the net keeps its own recipe. *loaded (may be NULL): tensors taken.
 * TP_E_MISMATCH, TP_E_DATA, TP_E_MODE. */
tp_status tp_blob_load(const tp_blob *blob, tp_net *net, uint32_t flags, uint32_t *loaded);

/* A section to append verbatim (MODL, TENS, WGTS, RECP, STAT, QUNT are the core's: TP_E_ARG). */
typedef struct tp_section {
    char tag[4];
    const void *data;
    uint32_t length;
} tp_section;

/* Writes the net as a blob; flags: TP_BLOB_WEIGHTS, or it with TP_BLOB_STATE; extra sections follow in the order given.
 * buffer NULL: only *length. TP_E_BUFFER (*length says how much it takes; the buffer's content is of no use), TP_E_LIMIT (over
 * 2 GiB or 64 sections), TP_E_MODE. */
tp_status tp_blob_save(const tp_net *net, uint32_t flags, const tp_section *extra, uint32_t n_extra, void *buffer,
                       size_t capacity, size_t *length);

/* ---------------------------------------------------------------- describe */

typedef enum tp_list {
    TP_LIST_LAYER = 0,
    TP_LIST_LOSS,
    TP_LIST_POLICY,
    TP_LIST_OPTIMIZER,
    TP_LIST_PRESET,
    TP_LIST_KERNEL,
    TP_LIST_ISA,
    TP_LIST_STATUS,
    TP_LIST_COUNT
} tp_list;

/* Name of row `index` of a list, its wire id in *id (may be NULL); NULL past the last row. Rows that TP_CONFIG_HEADER leaves out
 * are not there, nor kernels where one instruction set alone is compiled. */
const char *tp_list_name(tp_list list, uint32_t index, int32_t *id);
/* Wire id of a name; 0: no such row, or a list without ids (presets, kernels, instruction sets). */
uint32_t tp_list_id(tp_list list, const char *name);

/* "0.1.0" */
const char *tp_version(void);
/* Hash of the sources this library was built from, "unknown" if the build did not say. */
const char *tp_source_id(void);

#ifdef __cplusplus
}
#endif
#endif /* TINYPROP_H */
