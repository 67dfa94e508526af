/* SPDX-License-Identifier: Apache-2.0 */
/* What the int8 layers share: TensorFlow Lite's fixed-point arithmetic, and the parameters of those that have weights:
 * .weight s8, .bias s32 (real: scale_x * scale[o]), .scale f32 of the weights of an output, .requant s32: multipliers, then shifts. */
#ifndef TINYPROP_TP_LAYER_S8_H
#define TINYPROP_TP_LAYER_S8_H

#include "tp_layer_window.h"

/* x >= 0 or not, to the nearest integer, halves away from zero; saturates at 2^30. */
static int32_t tp_round_away(float x) {
    float size = tp_abs(x);
    if (!(size < 0x1p30f)) { return x < 0.0f ? -(1 << 30) : 1 << 30; }
    int32_t i = (int32_t)size;
    i += size - (float)i >= 0.5f ? 1 : 0;
    return x < 0.0f ? -i : i;
}

/* A real number as multiplier * 2^(shift - 31), multiplier in [2^30, 2^31): TFLite's QuantizeMultiplier. */
static void tp_fixed_point(double real, int32_t *multiplier, int32_t *shift) {
    uint64_t bits;
    TP_MEMCPY(&bits, &real, 8);
    uint64_t mantissa = (bits & 0xfffffffffffffu) | 0x10000000000000u; /* 1.m; frexp's fraction is half of it */
    int32_t exponent = (int32_t)(bits >> 52 & 0x7ffu) - 1022;
    uint64_t q = (mantissa + (1u << 21)) >> 22;
    if (q == 0x80000000u) {
        q >>= 1;
        exponent++;
    }
    if (!(real > 0.0) || exponent < -31) {
        q = 0;
        exponent = 0;
    }
    if (exponent > 30) {
        q = 0x7fffffffu;
        exponent = 30;
    }
    *multiplier = (int32_t)q;
    *shift = exponent;
}

/* Declares the parameters; dim: of the weights. */
static void tp_s8_parameters(tp_plan_node *p, uint32_t rank, const uint32_t dim[4], bool *overflow) {
    uint32_t out[4] = {p->out.c, 1, 1, 1}, requant[4] = {2, p->out.c, 1, 1};
    tp_tensor_add(p, TP_S8, rank, dim, overflow);
    tp_tensor_add(p, TP_S32, 1, out, overflow);
    tp_tensor_add(p, TP_F32, 1, out, overflow);
    tp_tensor_add(p, TP_S32, 2, requant, overflow);
    p->rows = p->out.c;
    p->row_len = tp_mul(tp_mul(dim[0], dim[1], overflow), tp_mul(dim[2], dim[3], overflow), overflow) / p->out.c;
    p->macs_forward = tp_mul(tp_mul(tp_mul(p->out.h, p->out.w, overflow), p->out.c, overflow), p->row_len, overflow);
    p->macs_row = p->row_len;
    p->fixed[0] = -128;
    p->fixed[1] = 127;
}

static tp_requant tp_s8_requant(const tp_step *s, const tp_plan_node *p) {
    const int32_t *requant = tp_tensor_s32(tp_home(s, p), &p->tensor[3]);
    return (tp_requant){requant, requant + p->rows, p->xq[0].zero, p->yq.zero, p->fixed[0], p->fixed[1]};
}

/* From where to where weight j of row r is: rows are not contiguous in depthwise layers. */
TP_INLINE uint32_t tp_s8_step(const tp_plan_node *p) { return p->tensor[0].rank == 4 && p->tensor[0].dim[0] == 1 ? p->rows : 1u; }
TP_INLINE int8_t *tp_s8_row(const uint8_t *arena, const tp_plan_node *p, uint32_t row) {
    return tp_tensor_s8(arena, &p->tensor[0]) + (size_t)row * (tp_s8_step(p) == 1u ? p->row_len : 1u);
}

/* Random weights of the bounds that float layers have, quantised to all of [-127, 127]. */
static void tp_s8_init(const tp_net *net, const tp_plan_node *p) {
    float *scale = tp_tensor_f32(net->arena, &p->tensor[2]), fan = (float)p->row_len;
    int32_t *requant = tp_tensor_s32(net->arena, &p->tensor[3]);
    if (p->node.init == TP_INIT_GLOROT_UNIFORM) { fan += (float)p->rows; }
    float limit = TP_SQRT(6.0f / fan);
    uint32_t n = p->rows * p->row_len, node = (uint32_t)(p - net->plan->node);
    int8_t *w = tp_tensor_s8(net->arena, &p->tensor[0]);
    for (uint32_t i = 0; i < n; i += 4) {
        tp_rng_block r = tp_rng(net->plan->recipe.seed, TP_RNG_INIT, node, 0, i / 4u);
        for (uint32_t j = 0; j < 4 && i + j < n; j++) { w[i + j] = (int8_t)tp_round_away((2.0f * tp_rng_unit(r.word[j]) - 1.0f) * 127.0f); }
    }
    TP_MEMSET(net->arena + p->tensor[1].offset, 0, p->tensor[1].bytes);
    for (uint32_t o = 0; o < p->rows; o++) {
        scale[o] = limit / 127.0f;
        tp_fixed_point((double)p->xq[0].scale * (double)scale[o] / (double)p->yq.scale, &requant[o], &requant[p->rows + o]);
    }
}

static bool tp_s8_sane(const tp_plan_node *p, uint32_t t, const uint8_t *bytes) {
    for (uint32_t o = 0; o < p->rows && t == 2u; o++) {
        float scale;
        TP_MEMCPY(&scale, bytes + (size_t)o * 4u, 4);
        if (!(scale > 0.0f)) { return false; }
    }
    for (uint32_t o = 0; o < 2u * p->rows && t == 3u; o++) {
        int32_t value;
        TP_MEMCPY(&value, bytes + (size_t)o * 4u, 4);
        if (o < p->rows ? value < 0 : value < -31 || value > 30) { return false; }
    }
    return true;
}

/* Weight and fraction are one number, in 256ths of a step; the weight is the whole step next to it. */
static void tp_s8_update_fine(int8_t *w, uint32_t step, int8_t *fraction, float c, float decay, const float *g, const tp_rounding *q, uint32_t n) {
    tp_rng_block random = {{0}};
    for (uint32_t j = 0; j < n; j++, w += step) {
        float now = (float)(*w * 256 + fraction[j]), v = now - decay * now + 256.0f * c * g[j];
        int32_t fine = (int32_t)tp_limit(tp_rounding_next(q, &random, j, tp_limit(v, 0x1p16f)), 127.0f * 256.0f);
        int32_t whole = (fine + 128) >> 8;
        *w = (int8_t)whole;
        fraction[j] = (int8_t)(fine - whole * 256);
    }
}

/* norm1 of the weights of a row, in real units. */
static float tp_s8_row_l1(const tp_step *s, const tp_plan_node *p, uint32_t row) {
    const int8_t *w = tp_s8_row(tp_home(s, p), p, row);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < p->row_len; i++) {
        int32_t q = w[(size_t)i * tp_s8_step(p)];
        sum += (uint32_t)(q < 0 ? -q : q);
    }
    return (float)sum * tp_tensor_f32(tp_home(s, p), &p->tensor[2])[row];
}

/* w += c g in units of the weight's scale: c = -(lr scale_x) / scale[row], g the sum over x - zero_x; the bias in units of
 * scale_x * scale[o]. */
static void tp_s8_update(const tp_step *s, const tp_plan_node *p, uint32_t row, const float *g) {
    const tp_recipe *r = &s->plan->recipe;
    const float *scale = tp_tensor_f32(tp_home(s, p), &p->tensor[2]);
    bool unscaled = (r->int8 & TP_INT8_UNSCALED) != 0;
    tp_rounding q = {r->seed, s->update, (uint32_t)(p - s->plan->node), row * ((p->row_len + 7u) / 8u), NULL, (r->int8 & TP_INT8_NEAREST) != 0};
    if (row == p->rows) {
        int32_t *b = tp_tensor_s32(tp_home_bias(s, p), &p->tensor[1]);
        tp_rng_block random = {{0}};
        for (uint32_t o = 0; o < p->rows; o++) {
            float unit = p->xq[0].scale * scale[o];
            float c = unscaled ? -(s->lr_batch * unit) : -(s->lr_batch / unit);
            float moved = tp_rounding_next(&q, &random, o, tp_limit(c * g[o], 0x1p29f));
            int64_t sum = (int64_t)b[o] + (int32_t)moved;
            b[o] = (int32_t)(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
        }
        return;
    }
    if ((r->int8 & TP_INT8_RESIDUAL) != 0) { q.carry = (float *)(void *)(s->arena + p->optim) + row; }
    float c = -(s->lr_batch * p->xq[0].scale), decay = s->lr * r->weight_decay;
    c = unscaled ? c * scale[row] : c / scale[row];
    int8_t *w = tp_s8_row(tp_home(s, p), p, row);
    if ((r->int8 & TP_INT8_FRACTION) != 0) {
        int8_t *fraction = (int8_t *)s->arena + p->optim + (size_t)row * p->row_len;
        tp_s8_update_fine(w, tp_s8_step(p), fraction, c, decay, g, &q, p->row_len);
        return;
    }
    TP_CALL(s->k, sgd_s8)(w, tp_s8_step(p), c, decay, g, &q, p->row_len);
}

static uint32_t tp_s8_state_words(const tp_plan *plan, const tp_plan_node *p) {
    if ((plan->recipe.int8 & TP_INT8_FRACTION) != 0) { return (p->rows * p->row_len + 3u) / 4u; }
    return (plan->recipe.int8 & TP_INT8_RESIDUAL) != 0 ? p->rows : 0u;
}

#endif /* TINYPROP_TP_LAYER_S8_H */
