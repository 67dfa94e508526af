// SPDX-License-Identifier: Apache-2.0
import { observe, quantizations } from './activations';
import { sizeOf, type Dataset } from './data/dataset';
import { TinypropError } from './errors';
import type { ModelJson, NodeJson } from './graph';
import type { Quantization } from './layers';
import { Model } from './model';
import { requantOf } from './requant';
import type { TensorData } from './tensor';

/** Options of {@link quantizeModel}. */
export interface QuantizeOptions {
  /**
   * Above 50, at most 100: ranges reach from the (100 - p)th to the pth percentile of what was seen, to 1/4096 of the whole; values
   * beyond saturate. Default 100: from the smallest to the largest.
   */
  percentile?: number;
  /** Stops it. */
  signal?: AbortSignal;
}

/** A scale that was chosen: of the output of a node that does not just pass its input's on. */
export interface QuantizedLayer {
  /** Name of the node; `input` for the samples. */
  readonly node: string;
  /** What it is in the new model: `quantize`, `conv2dS8` ... */
  readonly op: string;
  /** Name of the node at whose output the range was taken: of the relu behind it, if all consumers see that alone. */
  readonly output: string;
  /** Smallest value of the range; at most 0. */
  readonly min: number;
  /** Largest value of the range; at least 0. */
  readonly max: number;
  /** Step between two int8 values. */
  readonly scale: number;
  /** The int8 value of 0. */
  readonly zero: number;
  /** Signal to quantisation noise at `output` over the samples, noise of all layers before included, in dB; Infinity: no noise. */
  readonly sqnr: number;
}

/** What {@link quantizeModel} returns. */
export interface QuantizeResult {
  /** The int8 model; the caller closes it. */
  readonly model: Model;
  /** In the order of the nodes. */
  readonly layers: QuantizedLayer[];
  /** Number of samples it was calibrated with. */
  readonly samples: number;
}

/** Nodes that have an int8 form, and its name. Their int8 nodes keep name and attributes. */
const int8Ops: Readonly<Record<string, string>> = {
  dense: 'denseS8',
  conv2d: 'conv2dS8',
  depthwiseConv2d: 'depthwiseConv2dS8',
  relu: 'clampS8',
  relu6: 'clampS8',
  maxPool2d: 'maxPool2dS8',
  avgPool2d: 'avgPool2dS8',
  globalAvgPool: 'avgPool2dS8',
  add: 'addS8',
  flatten: 'flatten',
};

const weighted = new Set(['dense', 'conv2d', 'depthwiseConv2d']);
/** Outputs with a scale of their own. */
const scaled = new Set([...weighted, 'add']);
/** A smaller range behind these is one before them: what a clamp cuts off is lost anyway. */
const clamps = new Set(['relu', 'relu6']);
const passing = new Set([...clamps, 'flatten', 'maxPool2d']);

/**
 * Quantises a model of floats after its training (as TensorFlow Lite's converter does): runs the samples through it, chooses a
 * range for every activation, and makes the int8 model: activations asymmetric, one scale and zero a tensor; weights symmetric in
 * [-127, 127], a scale per output channel; biases int32. Batch normalisations are folded first, dropout goes, convolutions over
 * time become convolutions of height 1. The model itself stays as it is. The result depends on weights, samples and options alone.
 *
 * @param samples some hundred inputs like those it will see, normalised as for training
 * @throws TinypropError `ERR_TINYPROP_MODEL` naming a node without an int8 form, `ERR_TINYPROP_SHAPE` (samples),
 *   `ERR_TINYPROP_DATA` (NaN or infinity), `ERR_TINYPROP_ARG` (percentile), `ERR_TINYPROP_ABORTED`, `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
 */
export async function quantizeModel(model: Model, samples: Float32Array | Dataset, options: QuantizeOptions = {}): Promise<QuantizeResult> {
  const { percentile = 100, signal } = options;
  if (typeof percentile !== 'number' || !(percentile > 50 && percentile <= 100)) {
    throw new TinypropError('ERR_TINYPROP_ARG', `quantizeModel: percentile: expected a number above 50, at most 100, found ${String(percentile)}`, { percentile });
  }
  model.core.free('quantizeModel');
  const x = inputsOf(model, samples);
  const plain = plainModel(model);
  let made: Model | undefined;
  try {
    const json = plain.toJSON();
    const roots = rootsOf(json);
    const ranges = await rangesOf(plain, x, [...new Set(roots.values())], percentile, signal);
    const chosen = new Map([...roots].map(([root, output]) => [root, quantizationOf(ranges.get(output) as Range)]));
    made = int8Model(plain, chosen);
    made.meta = structuredClone(model.meta);
    const sqnr = await noiseOf(plain, made, x, roots, signal);
    const ops = new Map(made.toJSON().nodes.map(({ name, op }) => [name, op]));
    const layers = [...roots].map(([node, output]): QuantizedLayer => {
      const { min, max } = ranges.get(output) as Range;
      const op = node === 'input' ? 'quantize' : (ops.get(node) as string);
      return { node, op, output, min: Math.min(0, min), max: Math.max(0, max), ...(chosen.get(node) as Quantization), sqnr: sqnr.get(node) as number };
    });
    const result = { model: made, layers, samples: x.length / plain.core.plan.inputs };
    made = undefined;
    return result;
  } finally {
    plain.close();
    made?.close();
  }
}

function inputsOf(model: Model, samples: Float32Array | Dataset): Float32Array {
  const x = samples instanceof Float32Array ? samples : samples?.x;
  const size = model.core.plan.inputs;
  if (!(x instanceof Float32Array)) throw new TinypropError('ERR_TINYPROP_ARG', 'quantizeModel: samples: expected a Float32Array or a data set');
  const found = samples instanceof Float32Array ? x.length : sizeOf(samples.inputShape);
  if (x.length === 0 || x.length % size !== 0 || (found !== size && x !== samples)) {
    const expected = x === samples ? `a multiple of ${size} numbers` : `samples of ${size} numbers`;
    throw new TinypropError('ERR_TINYPROP_SHAPE', `quantizeModel: samples: expected ${expected} (${model.inputShape.join('x')}), found ${found}`, { expected: size, found });
  }
  const bad = x.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const sample = Math.floor(bad / size);
    throw new TinypropError('ERR_TINYPROP_DATA', `quantizeModel: sample ${sample} holds ${x[bad]}`, { sample });
  }
  return x;
}

function unsupported(node: NodeJson, why: string): TinypropError {
  return new TinypropError('ERR_TINYPROP_MODEL', `quantizeModel: node "${node.name}" (${node.op}): ${why}`, { node: node.name, op: node.op });
}

/** The same network without what int8 has no form of: folded, in two dimensions, without dropout. */
function plainModel(model: Model): Model {
  const folded = model.foldBatchNorm();
  try {
    const json = folded.toJSON();
    const renamed = new Map<string, string>();
    const shapes = new Map([['input', folded.inputShape], ...folded.plan({ training: false }).nodes.map((node) => [node.name, node.outputShape] as const)]);
    const nodes: NodeJson[] = [];
    for (const node of json.nodes) {
      const inputs = node.inputs.map((name) => renamed.get(name) ?? name);
      if (node.op === 'dropout') renamed.set(node.name, inputs[0] as string);
      else nodes.push(plainNode({ ...node, inputs }, (shapes.get(node.inputs[0] as string) as number[]).at(-1) as number));
    }
    if (nodes.length === 0) throw unsupported(json.nodes[0] as NodeJson, 'the model does nothing else');
    const input = json.input.length === 2 ? [1, ...json.input] : json.input;
    const plain = Model.fromJSON({ ...json, input, nodes });
    for (const { name } of folded.tensors()) plain.setTensor(name, folded.getTensorData(name));
    return plain;
  } finally {
    folded.close();
  }
}

/** The node in two dimensions; `channels`: of its input. */
function plainNode(node: NodeJson, channels: number): NodeJson {
  if (/S8$|quantize$/.test(node.op)) throw unsupported(node, 'the model is of int8 already');
  if (node.op === 'batchNorm') throw unsupported(node, 'there is no dense layer or convolution directly before it that it could be folded into');
  const flat = node.op === 'conv1d' ? planar(node) : node;
  const groups = (flat['groups'] as number | undefined) ?? 1;
  const { groups: _, units, ...rest } = flat as NodeJson & { units?: number };
  if (flat.op === 'conv2d' && groups > 1) {
    if (groups !== channels) throw unsupported(node, `int8 convolutions have no groups, but for one a channel; it has ${groups} of ${channels} channels`);
    return { ...rest, op: 'depthwiseConv2d', multiplier: (units as number) / channels };
  }
  if (!Object.hasOwn(int8Ops, flat.op)) throw unsupported(node, `it has no int8 form; those are ${Object.keys(int8Ops).join(', ')}, conv1d, dropout and batchNorm behind weights`);
  return flat;
}

/** A convolution over time as one of height 1. */
function planar(node: NodeJson): NodeJson {
  const { padding, kernel, stride } = node as NodeJson & { padding: 'same' | 'valid' | number[]; kernel: number; stride: number };
  return { ...node, op: 'conv2d', kernel: [1, kernel], stride: [1, stride], padding: Array.isArray(padding) ? [0, 0, ...padding] : padding };
}

/** Nodes with a scale of their own, and the node behind each at which its range is taken. */
function rootsOf(json: ModelJson): Map<string, string> {
  const consumers = new Map<string, NodeJson[]>();
  for (const node of json.nodes) for (const name of node.inputs) consumers.set(name, [...(consumers.get(name) ?? []), node]);
  const roots = new Map<string, string>();
  for (const name of ['input', ...json.nodes.filter(({ op }) => scaled.has(op)).map((node) => node.name)]) {
    let output = name;
    for (let at = name; ; ) {
      const [next, ...others] = consumers.get(at) ?? [];
      if (next === undefined || others.length > 0 || !passing.has(next.op)) break;
      at = next.name;
      if (clamps.has(next.op)) output = at;
    }
    roots.set(name, output);
  }
  return roots;
}

interface Range {
  min: number;
  max: number;
}

const bins = 4096;

async function rangesOf(model: Model, x: Float32Array, names: readonly string[], percentile: number, signal: AbortSignal | undefined): Promise<Map<string, Range>> {
  const ranges = new Map(names.map((name) => [name, { min: Infinity, max: -Infinity }]));
  await observe([model], x, signal, (activations) => {
    for (const [name, range] of ranges) {
      for (const value of activations.get(name) as Float32Array) {
        if (value < range.min) range.min = value;
        if (value > range.max) range.max = value;
      }
    }
  });
  if (percentile === 100) return ranges;
  const counts = new Map(names.map((name) => [name, new Float64Array(bins)]));
  await observe([model], x, signal, (activations) => {
    for (const [name, { min, max }] of ranges) {
      const count = counts.get(name) as Float64Array;
      for (const value of activations.get(name) as Float32Array) {
        const bin = Math.min(bins - 1, Math.floor((bins * (value - min)) / (max - min || 1)));
        count[bin] = (count[bin] as number) + 1;
      }
    }
  });
  return new Map([...ranges].map(([name, range]) => [name, percentiles(counts.get(name) as Float64Array, range, percentile)]));
}

/** The range without the values in the outermost bins that may go. */
function percentiles(count: Float64Array, { min, max }: Range, percentile: number): Range {
  const allowed = count.reduce((sum, n) => sum + n, 0) * (1 - percentile / 100);
  const cut = (bin: (i: number) => number): number => {
    let i = 0;
    for (let gone = count[bin(0)] as number; gone <= allowed; gone += count[bin(i)] as number) i++;
    return i;
  };
  const width = (max - min) / bins;
  return { min: min + cut((i) => i) * width, max: max - cut((i) => bins - 1 - i) * width };
}

const roundAway = (value: number): number => Math.sign(value) * Math.floor(Math.abs(value) + 0.5) + 0;
const limit = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Reals as the operation `quantize` makes them int8. @internal */
export function quantized(x: Float32Array, { scale, zero }: Quantization): Int8Array {
  return Int8Array.from(x, (real) => limit(roundAway(Math.fround(real / scale)) + zero, -128, 127));
}

/** Scale and zero of a range, which is widened to hold 0: that must be a whole step (padding, relu). Nothing but 0: scale 1. @internal */
export function quantizationOf({ min, max }: Range): Quantization {
  const low = Math.min(0, min);
  const scale = Math.fround((Math.max(0, max) - low) / 255);
  return scale > 0 ? { scale, zero: limit(roundAway(-128 - low / scale), -128, 127) } : { scale: 1, zero: -128 };
}

/** What an int8 layer with weights holds. */
interface Weights {
  weight: Int8Array;
  bias: Int32Array;
  scale: Float32Array;
}

/** Rows of [out][..]; x: scale of the input. */
function quantizeWeights(weight: Float32Array, bias: Float32Array | null, rows: number, x: number): Weights {
  const length = weight.length / rows;
  const out = { weight: new Int8Array(weight.length), bias: new Int32Array(rows), scale: new Float32Array(rows) };
  const biasOf = (o: number): number => bias?.[o] ?? 0;
  const factors = new Float32Array(rows);
  for (let o = 0; o < rows; o++) {
    let largest = 0;
    for (let i = o * length; i < (o + 1) * length; i++) largest = Math.max(largest, Math.abs(weight[i] as number));
    // The bias is in units of x times this scale, and must not need more than 30 bits of them.
    const least = Math.abs(biasOf(o)) / (x * 2 ** 30);
    out.scale[o] = Math.max(largest / 127, least);
    factors[o] = largest / 127 > least ? 127 / largest : 1 / (out.scale[o] as number);
  }
  // A row of zeros may still learn: let its steps be those of the others.
  const other = out.scale.reduce((most, scale) => Math.max(most, scale), 0) || 1 / 127;
  for (let o = 0; o < rows; o++) {
    const zeros = out.scale[o] === 0;
    const scale = (out.scale[o] ||= other);
    // The converter's own arithmetic: floats, times the inverse.
    for (let i = o * length; i < (o + 1) * length && !zeros; i++) {
      out.weight[i] = limit(roundAway(Math.fround((weight[i] as number) * (factors[o] as number))), -127, 127);
    }
    out.bias[o] = limit(roundAway(biasOf(o) / (x * scale)), -(2 ** 31), 2 ** 31 - 1);
  }
  return out;
}

/** [out][kh][kw] -> [kh][kw][out], as TensorFlow Lite has it. */
function channelsLast(weight: Int8Array, rows: number): Int8Array {
  const taps = weight.length / rows;
  return weight.map((_, i) => weight[(i % rows) * taps + Math.floor(i / rows)] as number);
}

/** The int8 model: every node that computes becomes its int8 form, with `quantize` before and `dequantize` behind. */
function int8Model(plain: Model, chosen: ReadonlyMap<string, Quantization>): Model {
  const json = plain.toJSON();
  const shapes = new Map(plain.plan({ training: false }).nodes.map((node) => [node.name, node]));
  const taken = new Set(['input', ...json.nodes.map(({ name }) => name)]);
  const free = (base: string): string => {
    let name = base;
    for (let i = 1; taken.has(name); i++) name = `${base}${i}`;
    taken.add(name);
    return name;
  };
  const input = free('quantize');
  const nodes: NodeJson[] = [{ name: input, op: 'quantize', inputs: ['input'], ...(chosen.get('input') as Quantization) }];
  const renamed = new Map([['input', input]]);
  for (const node of json.nodes) {
    const { bias: _bias, groups: _groups, ...rest } = node;
    const own: NodeJson = { ...rest, op: int8Ops[node.op] as string, inputs: node.inputs.map((name) => renamed.get(name) ?? name), ...chosen.get(node.name) };
    if (node.op === 'relu6') own['max'] = 6;
    const [height, width] = (shapes.get(node.name)?.inputShape ?? []) as [number, number];
    nodes.push(node.op === 'globalAvgPool' ? { ...own, kernel: [height, width] } : own);
    if (node.op !== 'globalAvgPool') continue;
    renamed.set(node.name, free('flatten'));
    nodes.push({ name: renamed.get(node.name) as string, op: 'flatten', inputs: [node.name] });
  }
  nodes.push({ name: free('dequantize'), op: 'dequantize', inputs: [nodes.at(-1)?.name as string] });
  const made = Model.fromJSON({ ...json, nodes });
  const known = quantizations(made.toJSON());
  for (const { name, op, inputs } of nodes) {
    const before = json.nodes.find((node) => node.name === name);
    if (before === undefined || !weighted.has(before.op)) continue;
    const bias = before['bias'] === false ? null : plain.getTensor(`${name}.bias`);
    const rows = (shapes.get(name)?.outputShape ?? []).at(-1) as number;
    const x = scaleOf(known, inputs[0] as string);
    const w = quantizeWeights(plain.getTensor(`${name}.weight`), bias, rows, x);
    const requant = requantOf(x, w.scale, scaleOf(known, name), false);
    if (requant === null) throw unsupported(before, 'its outputs were far smaller than its weights: were the samples of its kind?');
    if (op === 'depthwiseConv2dS8') w.weight = channelsLast(w.weight, rows);
    for (const [part, values] of Object.entries({ ...w, requant }) as [string, TensorData][]) made.setTensor(`${name}.${part}`, values);
  }
  return made;
}

/** The f32 that the core has. */
function scaleOf(known: ReadonlyMap<string, Quantization>, name: string): number {
  return Math.fround((known.get(name) as Quantization).scale);
}

/** Signal to noise in dB of every root, at its output. */
async function noiseOf(plain: Model, made: Model, x: Float32Array, roots: ReadonlyMap<string, string>, signal: AbortSignal | undefined): Promise<Map<string, number>> {
  const input = made.toJSON().nodes[0]?.name as string;
  const sums = new Map([...roots.keys()].map((root) => [root, { signal: 0, noise: 0 }]));
  await observe([plain, made], x, signal, (reals, int8) => {
    for (const [root, output] of roots) {
      const sum = sums.get(root) as { signal: number; noise: number };
      const a = reals.get(output) as Float32Array;
      const b = int8.get(output === 'input' ? input : output) as Float32Array;
      for (let i = 0; i < a.length; i++) {
        const real = a[i] as number;
        sum.signal += real * real;
        sum.noise += (real - (b[i] as number)) ** 2;
      }
    }
  });
  return new Map([...sums].map(([root, sum]) => [root, 10 * Math.log10(sum.signal / sum.noise)]));
}
