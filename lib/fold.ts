// SPDX-License-Identifier: Apache-2.0
import type { ModelJson, NodeJson } from './graph';
import type { TensorData } from './tensor';

const foldable = new Set(['dense', 'conv2d', 'conv1d', 'depthwiseConv2d']);

/**
 * Folds batch normalisations into the layer before: `w' = w s`, `b' = (b - mean) s + beta`,
 * `s = gamma / sqrt(variance + epsilon)`, per output channel; float64, rounded to float32 at the end. All other tensors stay, those
 * of int8 layers too.
 *
 * @param names of all tensors
 * @returns the smaller description and all of its tensors
 * @internal
 */
export function foldedTensors(
  json: ModelJson,
  names: readonly string[],
  tensor: (name: string) => TensorData,
): { json: ModelJson; tensors: Map<string, TensorData> } {
  const floats = (name: string): Float32Array => tensor(name) as Float32Array;
  const consumers = new Map<string, number>();
  for (const node of json.nodes) for (const input of node.inputs) consumers.set(input, (consumers.get(input) ?? 0) + 1);
  const byName = new Map(json.nodes.map((node) => [node.name, node]));
  const replaced = new Map<string, string>();
  const norms = new Map<string, NodeJson>();
  for (const node of json.nodes) {
    const before = byName.get(node.inputs[0] as string);
    if (node.op !== 'batchNorm' || before === undefined || !foldable.has(before.op) || consumers.get(before.name) !== 1) continue;
    replaced.set(node.name, before.name);
    norms.set(before.name, node);
  }
  const tensors = new Map<string, TensorData>();
  const nodes: NodeJson[] = [];
  for (const node of json.nodes) {
    if (replaced.has(node.name)) continue;
    const norm = norms.get(node.name);
    const folded: NodeJson = { ...node, inputs: node.inputs.map((input) => replaced.get(input) ?? input) };
    if (norm !== undefined) folded['bias'] = true;
    nodes.push(folded);
    if (norm !== undefined) for (const [name, values] of foldedPair(node, norm, floats)) tensors.set(name, values);
    else for (const name of names) if (name.slice(0, name.lastIndexOf('.')) === node.name) tensors.set(name, tensor(name));
  }
  return { json: { ...json, nodes }, tensors };
}

function foldedPair(node: NodeJson, norm: NodeJson, tensor: (name: string) => Float32Array): [string, Float32Array][] {
  const [gamma, beta, mean, variance] = ['gamma', 'beta', 'mean', 'variance'].map((part) => tensor(`${norm.name}.${part}`)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const epsilon = Math.fround((norm['epsilon'] as number | undefined) ?? 1e-5);
  const weight = tensor(`${node.name}.weight`);
  const channels = gamma.length;
  const bias = node['bias'] === false ? new Float32Array(channels) : tensor(`${node.name}.bias`);
  const row = weight.length / channels;
  for (let c = 0; c < channels; c++) {
    const scale = (gamma[c] as number) / Math.sqrt((variance[c] as number) + epsilon);
    for (let i = c * row; i < (c + 1) * row; i++) weight[i] = (weight[i] as number) * scale;
    bias[c] = ((bias[c] as number) - (mean[c] as number)) * scale + (beta[c] as number);
  }
  return [
    [`${node.name}.weight`, weight],
    [`${node.name}.bias`, bias],
  ];
}
