// SPDX-License-Identifier: Apache-2.0
// Every tensor of an imported model, as the core computes it.
import { constant } from '../../../lib/addon';
import type { ImportedModel } from '../../../lib/import';
import { Model } from '../../../lib/model';
import { identityOrder } from '../../../lib/model-core';

/** The model up to a node, which an added dequantize shows; its int8 values for every sample. */
export function valuesOf({ json, tensors }: ImportedModel, node: string, inputs: Float32Array, n: number): Int8Array {
  // What it depends on: the core refuses nodes that nobody reads.
  const needed = new Set([node]);
  const nodes = [...json.nodes].reverse().filter(({ name, inputs: from }) => needed.has(name) && from.every((input) => needed.add(input))).reverse();
  const { scale, zero } = quantizationOf(json.nodes, node);
  using model = Model.fromJSON({ ...json, loss: 'mse', nodes: [...nodes, { name: 'shown', op: 'dequantize', inputs: [node] }] });
  const own = new Set(model.tensors().map(({ name }) => name));
  for (const [name, { data }] of tensors) if (own.has(name)) model.setTensor(name, data);
  const { outputs } = model.core.net.runNow(constant('job', 'forward'), inputs, null, identityOrder(n), 0, n, true);
  return Int8Array.from(outputs, (y) => Math.round(y / scale) + zero);
}

/** Scale and zero of a node: its own, or those of its input. */
function quantizationOf(nodes: ImportedModel['json']['nodes'], name: string): { scale: number; zero: number } {
  const node = nodes.find((n) => n.name === name)!;
  return node['scale'] === undefined ? quantizationOf(nodes, node.inputs[0]!) : { scale: node['scale'] as number, zero: node['zero'] as number };
}
