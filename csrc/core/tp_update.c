/* SPDX-License-Identifier: Apache-2.0 */
/* From gradient rows to weights: at once at batch 1, at the end of the batch otherwise. Only touched rows are visited. */
#include "tp_base.h"
#include "tp_state.h"

/* w -= lr g and nothing else: rows may be updated while their gradients are computed. */
static bool tp_update_is_plain(const tp_plan *plan) { return tp_optim_find(plan->recipe.optimizer)->plain && plan->recipe.weight_decay == 0.0f; }

/* Elements of a row in gradients and optimizer state. */
TP_INLINE uint32_t tp_update_row_len(const tp_plan_node *p) { return TP_WITH(PART, bias_only) && p->trainable == TP_TRAINS_BIAS ? 0u : p->row_len; }

/* Row `row` of a node's parameters, or its bias (row == rows). */
static void tp_update_row(const tp_step *s, const tp_plan_node *p, uint32_t row, const float *g) {
    const tp_recipe *r = &s->plan->recipe;
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    if (ops->update != NULL) {
        ops->update(s, p, row, g);
        return;
    }
    bool bias = row == p->rows;
    tp_update u;
    u.k = s->k;
    u.w = bias ? tp_tensor_f32(tp_home_bias(s, p), &p->tensor[1]) : tp_arena_f32(s->arena, p->tensor[0].offset + row * p->row_stride);
    u.g = g;
    u.n = bias ? p->rows : p->row_len;
    u.row = row;
    u.rows = p->rows;
    u.row_len = tp_update_row_len(p);
    u.lr_batch = s->lr_batch;
    u.momentum = r->momentum;
    u.update = s->update;
    u.state = p->optim == TP_NO_OFFSET ? NULL : (uint32_t *)(void *)(s->arena + p->optim);
    if (r->weight_decay > 0.0f && !bias && p->layer != TP_NO_OFFSET) {
        TP_CALL(s->k, axpy_f32)(u.w, -(s->lr * r->weight_decay), u.w, u.n); /* decoupled, before the gradient */
    }
    tp_optim_find(r->optimizer)->row(&u);
}

static float *tp_update_gradient(const tp_step *s, const tp_plan_node *p, uint32_t row) {
    return tp_arena_f32(s->arena, p->grad) + (size_t)row * tp_update_row_len(p);
}

/* Bias gradient of one sample: to the buffer, or at batch 1 to the weights. */
static void tp_update_bias(const tp_step *s, const tp_plan_node *p, const tp_pass *a) {
    if (s->batch_one && p->n_out == p->rows) { /* one position: the gradient is the error (every update adds 0 to it: rule 9) */
        tp_update_row(s, p, p->rows, a->d);
        return;
    }
    float *g = s->batch_one ? (float *)(void *)a->scratch : tp_update_gradient(s, p, p->rows);
    if (s->batch_one) { TP_MEMSET(g, 0, (size_t)p->rows * sizeof(float)); }
    tp_layer_find(p->node.op)->bias(s, p, a, g);
    if (s->batch_one) {
        tp_update_row(s, p, p->rows, g);
    } else {
        s->arena[p->touched + p->rows] = 1;
    }
}

/* Which rows have anything to learn: of a weight layer those with an error that is not 0, of other ops all. */
static uint32_t *tp_update_marks(const tp_step *s, const tp_plan_node *p, tp_pass *a) {
    bool overflow = false;
    uint32_t *any = a->scratch;
    a->scratch += tp_plan_marks(p, &overflow) / 4u;
    if (p->layer != TP_NO_OFFSET) {
        TP_CALL(s->k, channel_any_f32)(any, a->d, a->n * (p->n_out / p->rows), p->rows);
    } else {
        for (uint32_t r = 0; r < p->rows; r++) { any[r] = 1; }
    }
    return any;
}

/* Batch 1 without a buffer for the whole gradient: a block of rows, then the update of those that have one. */
static void tp_update_blocks(const tp_step *s, const tp_plan_node *p, const tp_pass *pass, uint32_t begin, uint32_t rows) {
    tp_pass a = *pass;
    const uint32_t *any = tp_update_marks(s, p, &a);
    uint32_t block = tp_plan_gradient_block(s->plan, p);
    float *g = (float *)(void *)a.scratch;
    a.scratch += (size_t)block * p->row_len;
    for (uint32_t first = begin, end = begin + rows; first < end; first += block) {
        uint32_t n = tp_min_u32(block, end - first), some = 0;
        for (uint32_t r = 0; r < n; r++) { some |= any[first + r]; }
        if (some == 0 && !a.zeros) { continue; }
        TP_MEMSET(g, 0, (size_t)n * p->row_len * sizeof(float));
        tp_layer_find(p->node.op)->gradient(s, p, &a, g, 0.0f, first, n);
        for (uint32_t r = 0; r < n; r++) {
            if (any[first + r] != 0) { tp_update_row(s, p, first + r, g + (size_t)r * p->row_len); }
        }
    }
}

/* Gradients of the rows first .. first + rows from the samples of this pass, and at once the update where nothing else is
 * to come. */
static void tp_update_weights(const tp_step *s, const tp_plan_node *p, const tp_pass *pass, uint32_t first, uint32_t rows) {
    const tp_layer_ops *ops = tp_layer_find(p->node.op);
    if (s->direct && p->layer != TP_NO_OFFSET && ops->update == NULL) {
        ops->gradient(s, p, pass, NULL, -s->lr_batch, first, rows);
        return;
    }
    if (s->batch_one) {
        tp_update_blocks(s, p, pass, first, rows);
        return;
    }
    tp_pass a = *pass;
    const uint32_t *any = tp_update_marks(s, p, &a);
    bool together = (ops->flags & TP_LAYER_BATCH) != 0;
    for (uint32_t i = 0; i < (together ? 1u : a.n); i++) {
        tp_pass one = together ? a : tp_pass_part(p, &a, i, 1);
        ops->gradient(s, p, &one, tp_update_gradient(s, p, first), 0.0f, first, rows);
    }
    for (uint32_t r = first; r < first + rows; r++) {
        if (any[r] != 0) { s->arena[p->touched + r] = 1; }
    }
}

/* The work of a row's gradient: its errors that are not 0, each with the row; where there is a gradient, its update too. */
static uint64_t tp_update_macs(const tp_step *s, const tp_plan_node *p, const tp_pass *a, uint32_t row) {
    if (p->layer == TP_NO_OFFSET) { return (uint64_t)a->n * p->n_out; }
    uint64_t live = 0;
    for (uint32_t i = row; i < a->n * p->n_out; i += p->rows) { live += a->d[i] != 0.0f ? 1u : 0u; }
    return live == 0 ? 0u : (live + (s->direct ? 0u : 1u)) * p->row_len;
}

/* End of a batch: applies (or, after an error, throws away) what the samples have gathered. false: the slice has ended before. */
static bool tp_update_batch(tp_step *s, bool apply) {
    for (; s->node < s->plan->n_nodes; s->node++, s->item = 0) {
        const tp_plan_node *p = &s->plan->node[s->node];
        if (p->trainable == 0) { continue; }
        if (s->item == 0 && tp_step_stops(s)) { return false; }
        for (; s->item <= p->rows; s->item++) {
            uint32_t n = s->item == p->rows ? p->rows : p->row_len;
            uint8_t *touched = &s->arena[p->touched + s->item];
            if (*touched == 0) { continue; }
            if (!tp_step_take(s, n)) { return false; }
            float *g = tp_update_gradient(s, p, s->item);
            if (apply) { tp_update_row(s, p, s->item, g); }
            TP_MEMSET(g, 0, (size_t)n * sizeof(float));
            *touched = 0;
        }
    }
    s->node = 0;
    return true;
}
