/* SPDX-License-Identifier: Apache-2.0 */
/* Straightforward references, written without looking at the kernels: elementary functions in long double, the forward
 * pass of every operation in double, convolutions in float by the order of docs/NUMERICS.md. No libm. */
#ifndef TINYPROP_TP_REFERENCE_H
#define TINYPROP_TP_REFERENCE_H

#include "tp_test.h"

/* --- elementary functions --- */

static long double tp_ref_exp(long double x) {
    const long double ln2 = 0.693147180559945309417232121458176568L;
    if (x > 11000.0L) { x = 11000.0L; }
    if (x < -11000.0L) { return 0.0L; }
    long double scaled = x / ln2;
    long n = (long)(scaled < 0.0L ? scaled - 0.5L : scaled + 0.5L);
    long double r = x - (long double)n * ln2, term = 1.0L, sum = 1.0L;
    for (int i = 1; i < 30; i++) {
        term *= r / (long double)i;
        sum += term;
    }
    for (; n > 0; n--) { sum *= 2.0L; }
    for (; n < 0; n++) { sum *= 0.5L; }
    return sum;
}

static long double tp_ref_log(long double x) {
    const long double ln2 = 0.693147180559945309417232121458176568L;
    long double e = 0.0L;
    for (; x > 1.5L; x *= 0.5L) { e += 1.0L; }
    for (; x < 0.75L; x *= 2.0L) { e -= 1.0L; }
    long double s = (x - 1.0L) / (x + 1.0L), power = s, sum = 0.0L;
    for (int i = 1; i < 60; i += 2) {
        sum += power / (long double)i;
        power *= s * s;
    }
    return 2.0L * sum + e * ln2;
}

static long double tp_ref_sigmoid(long double x) { return 1.0L / (1.0L + tp_ref_exp(-x)); }

static long double tp_ref_tanh(long double x) {
    long double a = x < 0.0L ? -x : x, y;
    if (a < 0.05L) { /* the series: 1 - e cancels */
        long double t = x * x;
        return x * (1.0L + t * (-1.0L / 3.0L + t * (2.0L / 15.0L + t * (-17.0L / 315.0L + t * (62.0L / 2835.0L + t * (-1382.0L / 155925.0L))))));
    }
    y = (1.0L - tp_ref_exp(-2.0L * a)) / (1.0L + tp_ref_exp(-2.0L * a));
    return x < 0.0L ? -y : y;
}

/* --- the forward pass in double --- */

typedef struct tp_ref_net {
    const tp_plan *plan;
    const double *params; /* element i is the one at byte params_at + 4 i */
    uint64_t sample;      /* its number: the dropout stream */
    bool training;
} tp_ref_net;

static const double *tp_ref_tensor(const tp_ref_net *r, const tp_plan_node *p, uint32_t t) {
    return t < p->n_tensors ? r->params + (p->tensor[t].offset - r->plan->params_at) / 4u : NULL;
}

/* Windows are met in any order; out-of-range taps are left out. */
static void tp_ref_conv(const tp_ref_net *r, const tp_plan_node *p, const double *x, double *y) {
    bool depthwise = p->node.op == tp_list_id(TP_LIST_LAYER, "depthwise_conv2d");
    uint32_t groups = depthwise ? p->in.c : p->node.groups > 0 ? p->node.groups : 1u;
    uint32_t cg = p->in.c / groups, og = p->out.c / groups, kh = p->node.kernel[0], kw = p->node.kernel[1];
    const double *w = tp_ref_tensor(r, p, 0), *b = tp_ref_tensor(r, p, 1);
    for (uint32_t i = 0; i < p->n_out; i++) {
        uint32_t o = i % p->out.c, ox = i / p->out.c % p->out.w, oy = i / p->out.c / p->out.w;
        y[i] = b != NULL ? b[o] : 0.0;
        for (uint32_t t = 0; t < kh * kw * cg; t++) {
            uint32_t c = t % cg, kx = t / cg % kw, ky = t / cg / kw;
            int64_t iy = (int64_t)oy * p->node.stride[0] + ky - p->pad_top, ix = (int64_t)ox * p->node.stride[1] + kx - p->pad_left;
            if (iy < 0 || ix < 0 || iy >= p->in.h || ix >= p->in.w) { continue; }
            y[i] += w[(size_t)o * kh * kw * cg + t] * x[((size_t)iy * p->in.w + (size_t)ix) * p->in.c + o / og * cg + c];
        }
    }
}

static void tp_ref_pool(const tp_plan_node *p, const double *x, double *y, bool max) {
    for (uint32_t i = 0; i < p->n_out; i++) {
        uint32_t c = i % p->out.c, ox = i / p->out.c % p->out.w, oy = i / p->out.c / p->out.w, count = 0;
        double best = -1e300, sum = 0.0;
        for (uint32_t t = 0; t < p->node.kernel[0] * p->node.kernel[1]; t++) {
            int64_t iy = (int64_t)oy * p->node.stride[0] + t / p->node.kernel[1] - p->pad_top;
            int64_t ix = (int64_t)ox * p->node.stride[1] + t % p->node.kernel[1] - p->pad_left;
            if (iy < 0 || ix < 0 || iy >= p->in.h || ix >= p->in.w) { continue; }
            double v = x[((size_t)iy * p->in.w + (size_t)ix) * p->in.c + c];
            best = v > best ? v : best;
            sum += v;
            count++;
        }
        y[i] = max ? best : sum / (double)count;
    }
}

static double tp_ref_activation(const char *op, double x, float param) {
    if (strcmp(op, "relu") == 0) { return x > 0.0 ? x : 0.0; }
    if (strcmp(op, "relu6") == 0) { return x > 6.0 ? 6.0 : x > 0.0 ? x : 0.0; }
    if (strcmp(op, "leaky_relu") == 0) { return x > 0.0 ? x : (double)param * x; }
    if (strcmp(op, "sigmoid") == 0) { return (double)tp_ref_sigmoid((long double)x); }
    if (strcmp(op, "tanh") == 0) { return (double)tp_ref_tanh((long double)x); }
    return x; /* flatten, dropout outside training */
}

static double tp_ref_dropout(const tp_ref_net *r, const tp_plan_node *p, uint32_t i, double x) {
    uint32_t node = (uint32_t)(p - r->plan->node);
    tp_rng_block block = tp_rng(r->plan->recipe.seed, TP_RNG_DROPOUT, node, r->sample, i / 4u);
    bool kept = (double)(block.word[i % 4u] >> 8) / 16777216.0 >= (double)p->node.param;
    return kept ? x / (1.0 - (double)p->node.param) : 0.0;
}

static void tp_ref_batch_norm(const tp_ref_net *r, const tp_plan_node *p, const double *x, double *y) {
    for (uint32_t i = 0; i < p->n_out; i++) {
        uint32_t c = i % p->in.c;
        double deviation = (double)__builtin_sqrt(tp_ref_tensor(r, p, 3)[c] + (double)p->node.param);
        y[i] = tp_ref_tensor(r, p, 0)[c] * (x[i] - tp_ref_tensor(r, p, 2)[c]) / deviation + tp_ref_tensor(r, p, 1)[c];
    }
}

static void tp_ref_node(const tp_ref_net *r, const tp_plan_node *p, const double *x, const double *x1, double *y) {
    const char *op = tp_layer_find(p->node.op)->name;
    if (strcmp(op, "dense") == 0) {
        const double *w = tp_ref_tensor(r, p, 0), *b = tp_ref_tensor(r, p, 1);
        for (uint32_t i = 0; i < p->n_out; i++) {
            y[i] = b != NULL ? b[i] : 0.0;
            for (uint32_t j = 0; j < p->in.c; j++) { y[i] += w[(size_t)i * p->in.c + j] * x[j]; }
        }
    } else if (strstr(op, "conv") != NULL) {
        tp_ref_conv(r, p, x, y);
    } else if (strstr(op, "pool2d") != NULL) {
        tp_ref_pool(p, x, y, strcmp(op, "max_pool2d") == 0);
    } else if (strcmp(op, "batch_norm") == 0) {
        tp_ref_batch_norm(r, p, x, y);
    } else if (strcmp(op, "global_avg_pool") == 0) {
        uint32_t n = p->in.h * p->in.w;
        for (uint32_t c = 0; c < p->n_out; c++) {
            y[c] = 0.0;
            for (uint32_t i = 0; i < n; i++) { y[c] += x[(size_t)i * p->n_out + c] / (double)n; }
        }
    } else {
        for (uint32_t i = 0; i < p->n_out; i++) {
            if (strcmp(op, "add") == 0) {
                y[i] = x[i] + x1[i];
            } else if (strcmp(op, "dropout") == 0 && r->training) {
                y[i] = tp_ref_dropout(r, p, i, x[i]);
            } else {
                y[i] = tp_ref_activation(op, x[i], p->node.param);
            }
        }
    }
}

static double tp_ref_loss_of(const tp_plan *plan, const double *z, uint32_t label, const float *target) {
    const char *name = tp_loss_find(plan->loss)->name;
    long double sum = 0.0L;
    for (uint32_t i = 0; i < plan->n_out; i++) {
        double t = target != NULL ? (double)target[i] : 0.0;
        if (strcmp(name, "mse") == 0) {
            sum += (long double)((z[i] - t) * (z[i] - t) / (double)plan->n_out);
        } else if (strcmp(name, "bce") == 0) {
            long double p = tp_ref_sigmoid((long double)z[i]);
            sum -= (long double)t * tp_ref_log(p) + (1.0L - (long double)t) * tp_ref_log(1.0L - p);
        } else {
            sum += tp_ref_exp((long double)z[i] - (long double)z[label]);
        }
    }
    return (double)(strcmp(name, "softmax_cross_entropy") == 0 ? tp_ref_log(sum) : sum);
}

/* Loss of one sample. */
static double tp_ref_loss(const tp_ref_net *r, const float *sample, uint32_t label, const float *target) {
    const tp_plan *plan = r->plan;
    size_t total = plan->n_in;
    for (uint32_t i = 0; i < plan->n_nodes; i++) { total += plan->node[i].n_out; }
    double *memory = (double *)tp_alloc(total * sizeof(double)), **y = (double **)tp_alloc(plan->n_nodes * sizeof(double *));
    double *at = memory + plan->n_in;
    for (uint32_t i = 0; i < plan->n_in; i++) { memory[i] = (double)sample[i]; }
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const tp_plan_node *p = &plan->node[i];
        y[i] = at;
        at += p->n_out;
        const double *x = p->node.in[0] >= 0 ? y[p->node.in[0]] : memory;
        const double *x1 = p->node.in[1] >= 0 ? y[p->node.in[1]] : memory;
        tp_ref_node(r, p, x, x1, y[i]);
    }
    double loss = tp_ref_loss_of(plan, y[plan->n_nodes - 1u], label, target);
    free(memory);
    free(y);
    return loss;
}

/* --- convolutions in float, by the order of the contract --- */

/* Index of the input element under tap (ky, kx, c) of output position (oy, ox), channel o; -1: padding. */
static int64_t tp_ref_tap(const tp_conv *g, uint32_t oy, uint32_t ox, uint32_t o, uint32_t ky, uint32_t kx, uint32_t c) {
    int64_t iy = (int64_t)oy * g->sh + ky - g->pad_top, ix = (int64_t)ox * g->sw + kx - g->pad_left;
    uint32_t cg = g->c_in / g->groups, og = g->c_out / g->groups;
    if (iy < 0 || ix < 0 || iy >= g->h || ix >= g->w) { return -1; }
    return (iy * g->w + ix) * g->c_in + o / og * cg + c;
}

/* Padding takes part as zeros. */
static void tp_ref_conv_f32(const tp_conv *g, float *y, const float *x, const float *w, const float *b) {
    uint32_t cg = g->c_in / g->groups, k = g->kh * g->kw * cg;
    for (uint32_t i = 0; i < g->oh * g->ow * g->c_out; i++) {
        uint32_t o = i % g->c_out, p = i / g->c_out;
        float s = b != NULL ? b[o] : 0.0f;
        for (uint32_t t = 0; t < k; t++) {
            int64_t at = tp_ref_tap(g, p / g->ow, p % g->ow, o, t / cg / g->kw, t / cg % g->kw, t % cg);
            s = tp_fma_soft(w[(size_t)o * k + t], at < 0 ? 0.0f : x[at], s);
        }
        y[i] = s + 0.0f;
    }
}

/* Contributions in ascending (oy, ox, o). */
static void tp_ref_conv_dx_f32(const tp_conv *g, float *dx, const float *d, const float *w) {
    uint32_t cg = g->c_in / g->groups, k = g->kh * g->kw * cg, n = g->h * g->w * g->c_in;
    for (uint32_t i = 0; i < n; i++) { dx[i] = 0.0f; }
    for (uint32_t i = 0; i < g->oh * g->ow * g->c_out; i++) {
        uint32_t o = i % g->c_out, p = i / g->c_out;
        for (uint32_t t = 0; t < k; t++) {
            int64_t at = tp_ref_tap(g, p / g->ow, p % g->ow, o, t / cg / g->kw, t / cg % g->kw, t % cg);
            if (at >= 0) { dx[at] = tp_fma_soft(d[i], w[(size_t)o * k + t], dx[at]); }
        }
    }
    for (uint32_t i = 0; i < n; i++) { dx[i] += 0.0f; }
}

/* Gradient of output channel o, added to g_row; positions ascending. */
static void tp_ref_conv_dw_f32(const tp_conv *g, float *g_row, const float *x, const float *d, uint32_t o) {
    uint32_t cg = g->c_in / g->groups, k = g->kh * g->kw * cg;
    for (uint32_t t = 0; t < k; t++) {
        for (uint32_t p = 0; p < g->oh * g->ow; p++) {
            int64_t at = tp_ref_tap(g, p / g->ow, p % g->ow, o, t / cg / g->kw, t / cg % g->kw, t % cg);
            if (at >= 0) { g_row[t] = tp_fma_soft(d[(size_t)p * g->c_out + o], x[at], g_row[t]); }
        }
    }
}

#endif /* TINYPROP_TP_REFERENCE_H */
