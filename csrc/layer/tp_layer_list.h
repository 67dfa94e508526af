/* SPDX-License-Identifier: Apache-2.0 */
/* One row per layer: its source and its wire id (never reused). */
#ifdef TP_SOURCES
#include "tp_layer.h"
#include "tp_layer_dense.c"
#include "tp_layer_conv2d.c"
#include "tp_layer_dwconv2d.c"
#include "tp_layer_pool.c"
#include "tp_layer_act.c"
#include "tp_layer_norm.c"
#include "tp_layer_add.c"
#include "tp_layer_flatten.c"
#include "tp_layer_dropout.c"
#endif
#ifdef TP_LAYER
TP_LAYER(dense, 1)
TP_LAYER(conv2d, 2)
TP_LAYER(conv1d, 3)
TP_LAYER(depthwise_conv2d, 4)
TP_LAYER(max_pool2d, 5)
TP_LAYER(avg_pool2d, 6)
TP_LAYER(global_avg_pool, 7)
TP_LAYER(relu, 8)
TP_LAYER(relu6, 9)
TP_LAYER(leaky_relu, 10)
TP_LAYER(sigmoid, 11)
TP_LAYER(tanh, 12)
TP_LAYER(batch_norm, 13)
TP_LAYER(add, 14)
TP_LAYER(flatten, 15)
TP_LAYER(dropout, 16)
#endif
