/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of a policy: a summary of the error in, a row budget out. It sees no tensor but the sample it looks at. */
#ifndef TINYPROP_TP_POLICY_H
#define TINYPROP_TP_POLICY_H

#include "../core/tp_base.h"
#include "../core/tp_rng.h"

/* One weight layer's error, as far as a policy may know it. */
typedef struct tp_delta {
    uint32_t rows;      /* N */
    uint32_t layer;     /* from the input, 0 .. layers - 1 */
    uint32_t layers;    /* L */
    float l1;           /* Y = sum|delta| */
    float zpow;         /* zeta^(L - l) */
    float bound;        /* analytic maximum of Y; 0: none */
    float loss;
    uint64_t sample;
} tp_delta;

/* A sample before its forward pass. */
typedef struct tp_glance {
    const tp_kernels *k;
    const void *x;      /* as the net gets it */
    uint64_t sample;
    uint64_t epoch;     /* begun, 1 ..; 0: the caller tells no epochs */
    float loss;         /* its last loss; 0: not known */
} tp_glance;

/* The outcome of a forward pass. */
typedef struct tp_outcome {
    float loss;
    float alpha;        /* sum|delta^L| */
    float theta, bound; /* from the plan */
    const tp_glance *before; /* NULL: the policy has no `look` */
} tp_outcome;

/* What a batch has cost. */
typedef struct tp_spent {
    uint64_t samples, trained; /* of the batch, those passed over too */
    uint64_t macs, dense;      /* backward, by k; of dense training of all of them */
} tp_spent;

/* One output channel, for policies that rank channels their own way. */
typedef struct tp_channel {
    uint32_t layer, channel;
    float l1;           /* sum|delta| over its map */
    float weight_l1;    /* sum|w| of its row */
} tp_channel;

/* State words are f32 or u32; they start at 0 and are part of every checkpoint. Word 0 of a layer is its running
 * maximum where the policy has one (shown by traces). */
typedef struct tp_policy_ops {
    const char *name;
    uint32_t layer_words, net_words; /* 4-byte words of state per weight layer, per net */
    bool zeros;                      /* does the work of zero rows too (the `dense` baseline) */
    bool theta;                      /* decides by plan->theta, which must be below 1 */
    bool channels;                   /* chooses whole channels everywhere, outputs of dense layers too */
    bool masks;                      /* a layer's state is a tp_mask: errors pass all rows, and some train */
    /* More words of the net, by the recipe or the shapes; NULL: none. */
    uint32_t (*more_words)(const tp_plan *plan);
    uint32_t (*more_layer_words)(const tp_plan_node *p); /* of a layer */
    /* Its own multiply-accumulates: plan->macs_look, macs_learn. NULL: none. */
    void (*macs)(tp_plan *plan);
    /* Are its parameters valid? NULL: it has none. */
    bool (*check)(const tp_policy_params *p);
    /* Does it look at samples before their forward passes? Then they are worked on one at a time. NULL: no. */
    bool (*looks)(const tp_policy_params *p);
    /* Is this sample worth a forward pass? Only where `looks`. */
    bool (*look)(const tp_plan *plan, float *net_state, const tp_glance *g);
    /* Train this sample at all? NULL: always. */
    bool (*learn)(const tp_plan *plan, float *net_state, const tp_outcome *o);
    /* A batch has ended. NULL: nothing to do. */
    void (*spent)(const tp_plan *plan, float *net_state, const tp_spent *spent);
    /* Rows to keep, 0 .. rows. 0: no update here and no error below. */
    uint32_t (*budget)(const tp_policy_params *p, float *layer_state, const tp_delta *d);
    /* Rank of a channel in channel mode; 0 is never kept. NULL: its l1. */
    float (*score)(const tp_policy_params *p, const float *layer_state, const tp_channel *c);
    /* Per weight layer, at the borders of an epoch. NULL: nothing to do. */
    void (*epoch_begin)(const tp_policy_params *p, float *layer_state);
    void (*epoch_end)(const tp_policy_params *p, float *layer_state);
} tp_policy_ops;

static const tp_policy_ops *tp_policy_find(uint32_t id);

/* 1: some policy of this build has the hook. A policy with one of them has its row there too (tp_policy_test compares). */
enum {
    TP_ANY_LOOKS = 0
#define TP_POLICY_LOOKS(name) | TP_WITH(POLICY, name)
#include "tp_policy_hook_list.h"
#undef TP_POLICY_LOOKS
    ,
    TP_ANY_MASKS = 0
#define TP_POLICY_MASKS(name) | TP_WITH(POLICY, name)
#include "tp_policy_hook_list.h"
#undef TP_POLICY_MASKS
    ,
    TP_ANY_SCORES = 0
#define TP_POLICY_SCORES(name) | TP_WITH(POLICY, name)
#include "tp_policy_hook_list.h"
#undef TP_POLICY_SCORES
};

static bool tp_policy_looks(const tp_plan *plan) {
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    return TP_ANY_LOOKS != 0 && policy->looks != NULL && policy->looks(&plan->recipe.policy_params);
}

/* Words of the net's state. */
static uint32_t tp_policy_net_words(const tp_plan *plan) {
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    return policy->net_words + (policy->more_words != NULL ? policy->more_words(plan) : 0u);
}

/* Words of a weight layer's state. */
static uint32_t tp_policy_layer_words(const tp_plan *plan, const tp_plan_node *p) {
    const tp_policy_ops *policy = tp_policy_find(plan->recipe.policy);
    return policy->layer_words + (policy->more_layer_words != NULL ? policy->more_layer_words(p) : 0u);
}

/* State of a layer whose rows are chosen from outside (tp_net_mask). All zeros: everything trains. */
typedef struct tp_mask {
    uint32_t flags;     /* tp_bias; TP_MASK_ENDS: nothing below trains */
    uint32_t frozen[1]; /* a bit a row */
} tp_mask;
enum { TP_MASK_BIAS = 3, TP_MASK_ENDS = 4 };

/* Uniform in [0, 1), one number a sample: the policy's own stream. */
TP_INLINE float tp_policy_draw(const tp_plan *plan, uint64_t sample) {
    return tp_rng_unit(tp_rng(plan->recipe.seed, TP_RNG_POLICY, 0, sample, 0).word[0]);
}

/* k = clamp(floor(share * n), 1, n) in f32 (docs/ALGORITHM.md). A share of NaN (state from a damaged file) gives 1. */
TP_INLINE uint32_t tp_policy_rows(float share, uint32_t n) {
    float rows = share * (float)n;
    return rows >= 1.0f ? tp_min_u32((uint32_t)rows, n) : 1u;
}

/* x^e, 0 <= x <= 1, e > 0: whole powers by squaring, then 16 binary places by square roots; one rounding an operation. */
static __attribute__((unused)) float tp_policy_power(float x, float e) {
    float whole = x, part = x, y = 1.0f;
    if (!(e < 65536.0f)) { return x < 1.0f ? 0.0f : 1.0f; }
    uint32_t n = (uint32_t)e;
    float rest = e - (float)n;
    for (; n > 0; n >>= 1) {
        if ((n & 1u) != 0) { y *= whole; }
        whole *= whole;
    }
    for (uint32_t i = 0; i < 16u && rest > 0.0f; i++) {
        part = TP_SQRT(part);
        rest += rest;
        if (rest < 1.0f) { continue; }
        rest -= 1.0f;
        y *= part;
    }
    return y;
}

#endif /* TINYPROP_TP_POLICY_H */
