/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution: output channel o reads input channel o / multiplier, W [out][kh][kw][1]. A convolution of as many
 * groups as it has input channels. */
#include "tp_layer_window.h"

static tp_status tp_dwconv2d_shape(tp_plan_node *p, const tp_shape *in1) {
    (void)in1;
    if (p->in.rank != 3) { return TP_E_SHAPE; }
    if (p->node.units == 0 || p->node.units % p->in.c != 0) { return TP_E_MODEL; }
    p->out.c = p->node.units;
    return tp_window_shape(p);
}

static void tp_dwconv2d_plan(tp_plan_node *p, const tp_plan_options *options, bool *overflow) { tp_conv_plan(p, options, p->in.c, overflow); }

TP_CONVOLUTION(depthwise_conv2d, "depthwise_conv2d", tp_dwconv2d_shape, tp_dwconv2d_plan)
#undef TP_CONVOLUTION
