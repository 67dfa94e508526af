/* SPDX-License-Identifier: Apache-2.0 */
/* Sliding windows: what convolutions and poolings share. */
#ifndef TINYPROP_TP_LAYER_WINDOW_H
#define TINYPROP_TP_LAYER_WINDOW_H

#include "tp_layer.h"

/* One axis: output length and leading pad. `same` pads as TensorFlow does: the odd one at the end. */
static TP_COLD tp_status tp_window_axis(uint32_t in, uint32_t kernel, uint32_t stride, uint32_t padding, const uint32_t pad[2],
                                uint32_t *out, uint32_t *lead) {
    if (kernel == 0 || stride == 0 || in > 0x3fffffffu || kernel > 0x3fffffffu || pad[0] > 0x3fffffffu || pad[1] > 0x3fffffffu) { return TP_E_MODEL; }
    if (padding == TP_PAD_SAME) {
        *out = (in + stride - 1u) / stride;
        uint32_t covered = (*out - 1u) * stride + kernel;
        *lead = covered > in ? (covered - in) / 2u : 0u;
        return *out > 0 ? TP_OK : TP_E_SHAPE;
    }
    bool given = padding == TP_PAD_EXPLICIT;
    if (padding > TP_PAD_EXPLICIT) { return TP_E_MODEL; }
    uint32_t padded = in + (given ? pad[0] + pad[1] : 0u);
    if (given && (pad[0] >= kernel || pad[1] >= kernel)) { return TP_E_SHAPE; } /* a window of padding alone */
    if (kernel > padded) { return TP_E_SHAPE; }
    *out = (padded - kernel) / stride + 1u;
    *lead = given ? pad[0] : 0u;
    return TP_OK;
}

/* Output height and width of a windowed node; channels are the layer's business. */
static tp_status tp_window_shape(tp_plan_node *p) {
    const tp_node *n = &p->node;
    tp_status status = tp_window_axis(p->in.h, n->kernel[0], n->stride[0], n->padding, &n->pad[0], &p->out.h, &p->pad_top);
    if (status != TP_OK) { return status; }
    p->out.rank = p->in.rank;
    return tp_window_axis(p->in.w, n->kernel[1], n->stride[1], n->padding, &n->pad[2], &p->out.w, &p->pad_left);
}

TP_INLINE tp_conv tp_window_geometry(const tp_plan_node *p, uint32_t groups) {
    tp_conv g = {p->in.h, p->in.w, p->in.c, p->out.h, p->out.w, p->out.c, p->node.kernel[0], p->node.kernel[1],
                 p->node.stride[0], p->node.stride[1], p->pad_top, p->pad_left, groups};
    return g;
}

#endif /* TINYPROP_TP_LAYER_WINDOW_H */
