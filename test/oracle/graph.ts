// SPDX-License-Identifier: Apache-2.0
// The model description, resolved: shapes, padding, numbers of the weight layers, who needs an error.
import type { FixtureModel, FixtureNode } from '../fixtures/torch';

/** Geometry of a convolution or pool; one-dimensional ones have height 1. */
export interface Window {
  h: number;
  w: number;
  c: number;
  oh: number;
  ow: number;
  o: number;
  kh: number;
  kw: number;
  sh: number;
  sw: number;
  top: number;
  left: number;
  groups: number;
}

export interface GraphNode {
  node: FixtureNode;
  /** Indices of the inputs, -1 the model's input. */
  inputs: number[];
  /** Shape of the first input and of the output of one sample. */
  in: number[];
  out: number[];
  window?: Window;
  /** Parameter tensors and their shapes. */
  tensors: Record<string, number[]>;
  /** Number of the weight layer, 1 .. L from the input; 0: none. */
  layer: number;
  trainable: boolean;
  /** A trainable parameter lies here or upstream: the node takes part in the backward pass. */
  learns: boolean;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const weightOps = new Set(['dense', 'conv2d', 'conv1d', 'depthwiseConv2d']);

/** Output size and begin padding along one axis; `same` as TensorFlow, the odd pad at the end. */
function axis(size: number, kernel: number, stride: number, padding: FixtureNode['padding'], at: number) {
  if (padding === 'same') {
    const out = Math.ceil(size / stride);
    return { out, begin: Math.floor(Math.max((out - 1) * stride + kernel - size, 0) / 2) };
  }
  const [begin, end] = Array.isArray(padding) ? [padding[at]!, padding[at + 1]!] : [0, 0];
  return { out: Math.floor((size + begin + end - kernel) / stride) + 1, begin };
}

function windowOf(node: FixtureNode, shape: number[]): Window {
  const flat = node.op === 'conv1d';
  const [h, w, c] = flat ? [1, shape[0]!, shape[1]!] : [shape[0]!, shape[1]!, shape[2]!];
  const pair = (v: number | number[]): number[] => (typeof v === 'number' ? [1, v] : v);
  const [kh, kw] = pair(node.kernel!) as [number, number];
  const pool = node.op.endsWith('Pool2d');
  const [sh, sw] = pair(node.stride ?? (pool ? node.kernel! : flat ? 1 : [1, 1])) as [number, number];
  const y = axis(h, kh, sh, flat ? 'valid' : node.padding, 0);
  const x = axis(w, kw, sw, node.padding, flat ? 0 : 2);
  const depthwise = node.op === 'depthwiseConv2d';
  const o = pool ? c : depthwise ? c * (node.multiplier ?? 1) : node.units!;
  const groups = pool || depthwise ? c : (node.groups ?? 1);
  return { h, w, c, oh: y.out, ow: x.out, o, kh, kw, sh, sw, top: y.begin, left: x.begin, groups };
}

function resolve(node: FixtureNode, shape: number[]): Pick<GraphNode, 'out' | 'window' | 'tensors'> {
  const tensors: Record<string, number[]> = {};
  const bias = (units: number): void => {
    if (node.bias ?? true) tensors[`${node.name}.bias`] = [units];
  };
  switch (node.op) {
    case 'dense':
      tensors[`${node.name}.weight`] = [node.units!, shape[0]!];
      bias(node.units!);
      return { out: [node.units!], tensors };
    case 'conv2d':
    case 'depthwiseConv2d':
    case 'conv1d': {
      const g = windowOf(node, shape);
      const kernel = node.op === 'conv1d' ? [g.kw] : [g.kh, g.kw];
      tensors[`${node.name}.weight`] = [g.o, ...kernel, g.c / g.groups];
      bias(g.o);
      return { out: node.op === 'conv1d' ? [g.ow, g.o] : [g.oh, g.ow, g.o], window: g, tensors };
    }
    case 'maxPool2d':
    case 'avgPool2d': {
      const g = windowOf(node, shape);
      return { out: [g.oh, g.ow, g.o], window: g, tensors };
    }
    case 'globalAvgPool':
      return { out: [shape[shape.length - 1]!], tensors };
    case 'flatten':
      return { out: [sizeOf(shape)], tensors };
    case 'batchNorm':
      for (const part of ['gamma', 'beta', 'mean', 'variance']) {
        tensors[`${node.name}.${part}`] = [shape[shape.length - 1]!];
      }
      return { out: shape, tensors };
    default:
      return { out: shape, tensors };
  }
}

/** Resolves a model description; nodes are in topological order. */
export function graphOf(model: FixtureModel): GraphNode[] {
  const graph: GraphNode[] = [];
  const index = new Map<string, number>([['input', -1]]);
  let layers = 0;
  for (const node of model.nodes) {
    const inputs = node.inputs.map((name) => index.get(name)!);
    const shape = inputs[0]! < 0 ? model.input : graph[inputs[0]!]!.out;
    const resolved = resolve(node, shape);
    const trainable = Object.keys(resolved.tensors).length > 0 && !node.frozen;
    const learns = trainable || inputs.some((i) => i >= 0 && graph[i]!.learns);
    const layer = weightOps.has(node.op) ? ++layers : 0;
    index.set(node.name, graph.length);
    graph.push({ node, inputs, in: shape, ...resolved, layer, trainable, learns });
  }
  return graph;
}

/** Does the policy choose whole channels in this weight layer? `auto` decides from the shape alone. */
export function choosesChannels(g: GraphNode, select: 'element' | 'channel' | 'auto'): boolean {
  if (!g.window || select === 'element') return false;
  const w = g.window;
  return select === 'channel' || (w.c / w.groups) * w.kh * w.kw < 72;
}
