/* SPDX-License-Identifier: Apache-2.0 */
/* Fine-tuning edits of a description: freeze, replace the head. */
#include "tp_base.h"

static bool tp_node_is_weight_layer(const tp_node *node) {
    const tp_layer_ops *ops = tp_layer_find(node->op);
    return ops != NULL && (ops->flags & TP_LAYER_WEIGHTS) != 0;
}

/* A node with parameters: weight layers and batch norm alike. */
static bool tp_node_has_parameters(const tp_node *node) {
    const tp_layer_ops *ops = tp_layer_find(node->op);
    return ops != NULL && ops->plan != NULL;
}

static void tp_node_freeze(tp_node *node, bool but_bias) {
    node->flags = (node->flags & ~TP_FLAG_BIAS_TRAINS) | TP_FLAG_FROZEN | (but_bias ? TP_FLAG_BIAS_TRAINS : 0u);
}

/* `name` is that of the weights of this node. */
static bool tp_node_is_weight(const tp_node *node, const char *name) {
    uint32_t n = 0;
    while (n < TP_NAME_BYTES && node->name[n] != 0 && node->name[n] == name[n]) { n++; }
    return n < TP_NAME_BYTES && node->name[n] == 0 && tp_text_equal(name + n, ".weight");
}

tp_status tp_model_freeze(tp_node *nodes, uint32_t n_nodes, const char *name) {
    if (nodes == NULL || name == NULL) { return TP_E_ARG; }
    for (uint32_t weights = 0; weights < 2; weights++) { /* a node may be called like the weights of another */
        for (uint32_t i = 0; i < n_nodes; i++) {
            if (weights == 0 ? !tp_text_equal(nodes[i].name, name) : !tp_node_is_weight(&nodes[i], name)) { continue; }
            bool bias = tp_node_is_weight_layer(&nodes[i]) && (nodes[i].flags & TP_FLAG_NO_BIAS) == 0;
            if (weights == 0 ? !tp_node_has_parameters(&nodes[i]) : !bias) { return TP_E_MODEL; }
            tp_node_freeze(&nodes[i], weights != 0);
            return TP_OK;
        }
    }
    return TP_E_ARG;
}

tp_status tp_model_freeze_all_but_last(tp_node *nodes, uint32_t n_nodes, uint32_t n) {
    uint32_t layers = 0;
    if (nodes == NULL) { return TP_E_ARG; }
    for (uint32_t i = 0; i < n_nodes; i++) { layers += tp_node_is_weight_layer(&nodes[i]) ? 1u : 0u; }
    if (n == 0 || n > layers) { return TP_E_ARG; }
    for (uint32_t i = n_nodes; i-- > 0;) {
        if (n == 0 && tp_node_has_parameters(&nodes[i])) { tp_node_freeze(&nodes[i], false); }
        if (n > 0 && tp_node_is_weight_layer(&nodes[i])) { n--; }
    }
    return TP_OK;
}

tp_status tp_model_replace_head(tp_node *nodes, uint32_t n_nodes, uint32_t classes) {
    if (nodes == NULL || classes == 0) { return TP_E_ARG; }
    for (uint32_t i = n_nodes; i-- > 0;) {
        if (tp_node_is_weight_layer(&nodes[i])) {
            nodes[i].units = classes;
            nodes[i].flags &= ~(TP_FLAG_FROZEN | TP_FLAG_BIAS_TRAINS);
            return TP_OK;
        }
    }
    return TP_E_MODEL;
}
