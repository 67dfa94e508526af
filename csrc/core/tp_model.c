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

tp_status tp_model_freeze(tp_node *nodes, uint32_t n_nodes, const char *name) {
    if (nodes == NULL || name == NULL) { return TP_E_ARG; }
    for (uint32_t i = 0; i < n_nodes; i++) {
        if (tp_text_equal(nodes[i].name, name)) {
            if (!tp_node_has_parameters(&nodes[i])) { return TP_E_MODEL; }
            nodes[i].flags |= TP_FLAG_FROZEN;
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
        if (n == 0 && tp_node_has_parameters(&nodes[i])) { nodes[i].flags |= TP_FLAG_FROZEN; }
        if (n > 0 && tp_node_is_weight_layer(&nodes[i])) { n--; }
    }
    return TP_OK;
}

tp_status tp_model_replace_head(tp_node *nodes, uint32_t n_nodes, uint32_t classes) {
    if (nodes == NULL || classes == 0) { return TP_E_ARG; }
    for (uint32_t i = n_nodes; i-- > 0;) {
        if (tp_node_is_weight_layer(&nodes[i])) {
            nodes[i].units = classes;
            nodes[i].flags &= ~TP_FLAG_FROZEN;
            return TP_OK;
        }
    }
    return TP_E_MODEL;
}
