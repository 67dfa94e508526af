/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration with the rows of an MLP under TinyPropv2 alone: dense, relu, softmax cross-entropy, SGD. */
#define TP_WITH_LAYER_conv2d 0
#define TP_WITH_LAYER_conv1d 0
#define TP_WITH_LAYER_depthwise_conv2d 0
#define TP_WITH_LAYER_max_pool2d 0
#define TP_WITH_LAYER_avg_pool2d 0
#define TP_WITH_LAYER_global_avg_pool 0
#define TP_WITH_LAYER_relu6 0
#define TP_WITH_LAYER_leaky_relu 0
#define TP_WITH_LAYER_sigmoid 0
#define TP_WITH_LAYER_tanh 0
#define TP_WITH_LAYER_batch_norm 0
#define TP_WITH_LAYER_add 0
#define TP_WITH_LAYER_flatten 0
#define TP_WITH_LAYER_dropout 0
#define TP_WITH_LOSS_bce 0
#define TP_WITH_LOSS_mse 0
#define TP_WITH_POLICY_dense 0
#define TP_WITH_POLICY_full 0
#define TP_WITH_POLICY_meprop 0
#define TP_WITH_POLICY_tinyprop 0
#define TP_WITH_OPTIM_momentum 0
