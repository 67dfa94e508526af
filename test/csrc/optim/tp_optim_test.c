/* SPDX-License-Identifier: Apache-2.0 */
/* Optimizers against the textbook in double: momentum, lazily decayed momentum, decoupled weight decay. */
#include "../../../csrc/tinyprop.c"

#include "../tp_build.h"

enum { TP_IN = 7, TP_OUT = 5 };

/* A linear layer under MSE, in double: w and b follow the rule of docs/ALGORITHM.md. */
typedef struct tp_textbook {
    double w[TP_OUT][TP_IN], b[TP_OUT], v[TP_OUT][TP_IN], vb[TP_OUT];
    uint32_t last[TP_OUT];
} tp_textbook;

static double tp_power(double base, uint32_t n) {
    double r = 1.0;
    for (; n > 0; n--) { r *= base; }
    return r;
}

/* One optimizer step on the summed gradient of `n` samples, kept rows only; t counts steps from 1. */
static void tp_textbook_step(tp_textbook *m, const tp_batch *b, const tp_recipe *r, uint32_t t, uint8_t kept[4][TP_OUT]) {
    double g[TP_OUT][TP_IN] = {{0}}, gb[TP_OUT] = {0}, lr = (double)r->lr, mu = tp_text_equal(tp_optim_find(r->optimizer)->name, "sgd") ? 0.0 : 1.0;
    mu *= (double)r->momentum; /* not in the branch: GNU as 2.40 refuses the conditional conversion (vcvtne) for an M55 */
    bool touched[TP_OUT] = {false};
    for (uint32_t s = 0; s < b->n; s++) {
        const float *x = (const float *)b->x + (size_t)s * TP_IN;
        for (uint32_t o = 0; o < TP_OUT; o++) {
            double y = m->b[o];
            for (uint32_t i = 0; i < TP_IN; i++) { y += m->w[o][i] * (double)x[i]; }
            double d = 2.0 * (y - (double)b->target[s * TP_OUT + o]) / (double)TP_OUT;
            gb[o] += d / (double)r->batch;
            for (uint32_t i = 0; i < TP_IN && kept[s][o] != 0; i++) { g[o][i] += d * (double)x[i] / (double)r->batch; }
            touched[o] = touched[o] || kept[s][o] != 0;
        }
    }
    for (uint32_t o = 0; o < TP_OUT; o++) {
        m->vb[o] = mu * m->vb[o] + gb[o];
        m->b[o] -= lr * m->vb[o];
        if (!touched[o]) { continue; }
        double decay = tp_power(mu, t - m->last[o]);
        m->last[o] = t;
        for (uint32_t i = 0; i < TP_IN; i++) {
            m->v[o][i] = decay * m->v[o][i] + g[o][i];
            m->w[o][i] -= lr * (double)r->weight_decay * m->w[o][i];
            m->w[o][i] -= lr * m->v[o][i];
        }
    }
}

/* Trace of one sample at a time: which rows were kept. */
static uint8_t tp_kept[4][TP_OUT];
static uint32_t tp_kept_sample;

static void tp_see_rows(void *user, const tp_trace *event) {
    (void)user;
    if (event->kept == NULL) { return; }
    for (uint32_t i = 0; i < TP_OUT; i++) { tp_kept[tp_kept_sample % 4u][i] = event->kept[i] != 0.0f ? 1u : 0u; }
    tp_kept_sample++;
}

static void tp_against_textbook(const char *policy, const char *optimizer, uint32_t batch, float decay) {
    tp_graph g;
    tp_live v;
    tp_textbook m;
    tp_recipe r = tp_recipe_of(policy, optimizer, batch, 0.05f);
    r.weight_decay = decay;
    r.policy_params.s_min = r.policy_params.s_max = 0.4f; /* two of five rows */
    r.policy_params.output_dense = 0;
    memset(&m, 0, sizeof m);
    tp_graph_begin(&g, tp_vector(TP_IN), "mse");
    tp_graph_dense(&g, TP_INPUT, TP_OUT);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &r, NULL), TP_OK);
    tp_data d = tp_data_make(v.plan, 40, 5);
    const float *w = tp_tensor_f32(v.arena, &v.plan->node[0].tensor[0]), *b = tp_tensor_f32(v.arena, &v.plan->node[0].tensor[1]);
    for (uint32_t i = 0; i < TP_OUT * TP_IN; i++) { m.w[i / TP_IN][i % TP_IN] = (double)w[i]; }
    v.net.trace = tp_see_rows;
    double worst = 0.0;
    for (uint32_t t = 1; t <= 60; t++) {
        tp_batch one = tp_data_batch(&d, t * batch % 36u, t % 5u == 0 && batch > 1 ? batch - 1u : batch);
        tp_kept_sample = 0;
        TP_CHECK_STATUS(tp_live_step(&v, &one), TP_OK);
        tp_textbook_step(&m, &one, &r, t, tp_kept);
        for (uint32_t i = 0; i < TP_OUT * TP_IN; i++) {
            double error = m.w[i / TP_IN][i % TP_IN] - (double)w[i], bias = m.b[i % TP_OUT] - (double)b[i % TP_OUT];
            error = error < 0.0 ? -error : error;
            bias = bias < 0.0 ? -bias : bias;
            worst = error > worst ? error : worst;
            worst = bias > worst ? bias : worst;
        }
    }
    TP_CHECKF(worst < 2e-6, "%s %s batch %u decay %g: off by %g", policy, optimizer, batch, (double)decay, worst);
    tp_data_free(&d);
    tp_live_close(&v);
}

static void tp_all_against_textbook(const char *policy) {
    for (uint32_t i = 0; i < 8; i++) {
        tp_against_textbook(policy, i % 2u == 0 ? "sgd" : "momentum", i / 2u % 2u == 0 ? 1u : 4u, i < 4 ? 0.0f : 0.1f);
    }
}
static void tp_every_row(void) { tp_all_against_textbook("full"); }
static void tp_some_rows(void) { tp_all_against_textbook("tinyprop"); }

/* v = mu^missed v, bit for bit as the contract multiplies. */
static void tp_powers(void) {
    float exact = 1.0f;
    for (uint32_t n = 0; n < 64; n++) {
        float power = tp_momentum_power(0.5f, n);
        TP_CHECKF(power == exact, "0.5^%u", n);
        exact *= 0.5f;
    }
    TP_CHECK(tp_momentum_power(0.0f, 0) == 1.0f && tp_momentum_power(0.0f, 1) == 0.0f && tp_momentum_power(0.9f, 1) == 0.9f);
    TP_CHECK(tp_momentum_power(0.9f, 0xffffffffu) == 0.0f && tp_momentum_power(0.9f, 3) == 0.9f * (0.9f * 0.9f));
}

/* Biases and normalisations have no weight decay; a layer of zero gradient keeps its weights. */
static void tp_decay_spares(void) {
    tp_graph g;
    tp_live v, w;
    tp_recipe with = tp_recipe_of("full", "sgd", 1, 0.1f), without = with;
    with.weight_decay = 0.5f;
    tp_graph_begin(&g, tp_vector(4), "mse");
    tp_graph_dense(&g, tp_graph_param(&g, "batch_norm", TP_INPUT, 1e-3f), 3);
    TP_CHECK_STATUS(tp_live_open(&v, &g, &with, NULL), TP_OK);
    TP_CHECK_STATUS(tp_live_open(&w, &g, &without, NULL), TP_OK);
    tp_live_scramble(&v, 3);
    tp_live_scramble(&w, 3);
    tp_data d = tp_data_make(v.plan, 1, 5);
    tp_batch b = tp_data_batch(&d, 0, 1);
    TP_CHECK_STATUS(tp_live_step(&v, &b), TP_OK);
    TP_CHECK_STATUS(tp_live_step(&w, &b), TP_OK);
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t t = 0; t < v.plan->node[i].n_tensors; t++) {
            const tp_tensor *tensor = &v.plan->node[i].tensor[t];
            bool same = memcmp(v.arena + tensor->offset, w.arena + tensor->offset, tensor->bytes) == 0;
            TP_CHECKF(same == !(i == 1 && t == 0), "node %u tensor %u", i, t);
        }
    }
    tp_data_free(&d);
    tp_live_close(&v);
    tp_live_close(&w);
}

int main(void) {
    TP_RUN(tp_every_row);
    TP_RUN(tp_some_rows);
    TP_RUN(tp_powers);
    TP_RUN(tp_decay_spares);
    return tp_end();
}
