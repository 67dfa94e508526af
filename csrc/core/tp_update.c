/* SPDX-License-Identifier: Apache-2.0 */
/* From gradient rows to weights: at once at batch 1, at the end of the batch otherwise. Only touched rows are visited. */
#include "tp_base.h"
#include "tp_state.h"

static bool tp_update_is_fused(const tp_step *s) {
    return s->batch_one && tp_optim_find(s->plan->recipe.optimizer)->plain && s->plan->recipe.weight_decay == 0.0f;
}

/* Row `row` of a node's parameters, or its bias (row == rows). */
static void tp_update_row(const tp_step *s, const tp_plan_node *p, uint32_t row, const float *g) {
    const tp_recipe *r = &s->plan->recipe;
    bool bias = row == p->rows;
    tp_update u;
    u.k = s->k;
    u.w = bias ? tp_tensor_f32(s->arena, &p->tensor[1]) : tp_arena_f32(s->arena, p->tensor[0].offset + row * p->row_stride);
    u.g = g;
    u.n = bias ? p->rows : p->row_len;
    u.row = row;
    u.rows = p->rows;
    u.row_len = p->row_len;
    u.lr_batch = s->lr_batch;
    u.momentum = r->momentum;
    u.update = s->update;
    u.state = p->optim == TP_NO_OFFSET ? NULL : (uint32_t *)(void *)(s->arena + p->optim);
    if (r->weight_decay > 0.0f && !bias && p->layer != TP_NO_OFFSET) {
        s->k->axpy_f32(u.w, -(s->lr * r->weight_decay), u.w, u.n); /* decoupled, before the gradient */
    }
    tp_optim_find(r->optimizer)->row(&u);
}

static float *tp_grad_rows(const tp_step *s, const tp_plan_node *p, uint32_t r, uint32_t n, float *rows) {
    if (!s->batch_one) { return tp_arena_f32(s->arena, p->grad) + (size_t)r * p->row_len; }
    TP_MEMSET(rows, 0, (size_t)n * p->row_len * sizeof(float));
    return rows;
}

static void tp_grad_done(const tp_step *s, const tp_plan_node *p, uint32_t r, float *g) {
    if (s->batch_one) {
        tp_update_row(s, p, r, g);
    } else {
        s->arena[p->touched + r] = 1;
    }
}

static float *tp_grad_bias(const tp_step *s, const tp_plan_node *p, float *row) {
    if (!s->batch_one) { return tp_arena_f32(s->arena, p->grad) + (size_t)p->rows * p->row_len; }
    TP_MEMSET(row, 0, (size_t)p->rows * sizeof(float));
    return row;
}

static void tp_grad_bias_done(const tp_step *s, const tp_plan_node *p, float *g) { tp_grad_done(s, p, p->rows, g); }

/* End of a batch: applies (or, after an error, throws away) what the samples have gathered. */
static void tp_update_batch(const tp_step *s, bool apply) {
    for (uint32_t i = s->plan->first_trainable; i < s->plan->n_nodes; i++) {
        const tp_plan_node *p = &s->plan->node[i];
        if (p->trainable == 0) { continue; }
        for (uint32_t r = 0; r <= p->rows; r++) {
            uint8_t *touched = &s->arena[p->touched + r];
            if (*touched == 0) { continue; }
            float *g = tp_arena_f32(s->arena, p->grad) + (size_t)r * p->row_len;
            if (apply) { tp_update_row(s, p, r, g); }
            TP_MEMSET(g, 0, (size_t)(r == p->rows ? p->rows : p->row_len) * sizeof(float));
            *touched = 0;
        }
    }
}
