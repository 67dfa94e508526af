// SPDX-License-Identifier: Apache-2.0
import { constant, constantName, type NativeNode } from './addon';
import { TinypropError } from './errors';
import type { LayerOp } from './layers';

/** One operation of a model description; attributes depend on `op` (docs/format.md). */
export interface NodeJson {
  /** Unique, not empty, at most 31 bytes, not `input`. */
  name: string;
  /** A {@link LayerOp}. */
  op: string;
  /** Names of earlier nodes, or `input`. */
  inputs: string[];
  /** Parameters are not trained; `weights`: but for the bias. */
  frozen?: boolean | 'weights';
  /** Initial weights of dense and convolutions; default `heUniform`. */
  init?: 'heUniform' | 'glorotUniform';
  [attribute: string]: unknown;
}

/** Channels of a node's input: a plan has to be made for them. */
type Channels = () => number;

/** How an attribute gets from a description into the core's node, and back. @internal */
export interface Attribute {
  /** Checks `node[name]`, or its default, and puts it into `out`. */
  read(node: NodeJson, name: string, out: NativeNode, channels: Channels): void;
  /** Its value in a description; undefined: not written. */
  write(node: NativeNode, channels: Channels): unknown;
  /** Not told in errors of the plan, which are not about it. */
  quiet?: true;
}

/** @internal */
export function attributeError(node: NodeJson, attribute: string, expected: string): TinypropError {
  const found = JSON.stringify(node[attribute]);
  return new TinypropError('ERR_TINYPROP_MODEL', `model: node "${node.name}" (${node.op}): ${attribute}: expected ${expected}, found ${found}`, {
    node: node.name,
    attribute,
    expected,
    found,
  });
}

/** Is it an integer that the core can hold? @internal */
export function isInteger(value: unknown, min: number, max = 0x7fffffff): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}

/** `length` integers of at least `min`; a single number stands for all of them. */
function integers(node: NodeJson, name: string, length: number, fallback?: unknown, min = 1): number[] {
  const value = node[name] ?? fallback;
  const all: unknown = isInteger(value, min) ? new Array<number>(length).fill(value) : value;
  if (Array.isArray(all) && all.length === length && all.every((x) => isInteger(x, min))) return all as number[];
  throw attributeError(node, name, `${length === 1 ? 'an integer' : `${length} integers`} of at least ${min}`);
}

function flag(node: NodeJson, name: string, fallback: boolean): boolean {
  const value = node[name] ?? fallback;
  if (typeof value !== 'boolean') throw attributeError(node, name, 'true or false');
  return value;
}

/** Shortest decimal that is the same f32. */
function f32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

function count(field: 'units' | 'groups', fallback = 0): Attribute {
  return {
    read(node, name, out) {
      out[field] = integers(node, name, 1, fallback)[0] as number;
    },
    write: (node) => node[field] || fallback,
  };
}

function real(field: 'param' | 'scale', fallback: number, test: (x: number) => boolean, expected: string): Attribute {
  return {
    read(node, name, out) {
      const value = node[name] ?? fallback;
      if (typeof value !== 'number' || !Number.isFinite(value) || !test(value)) throw attributeError(node, name, expected);
      out[field] = value;
    },
    write: (node) => f32(node[field]),
  };
}

/** Windows of the core have two dimensions; one over time is 1 high. */
function extent(field: 'kernel' | 'stride', dimensions: 1 | 2, fallback?: (node: NodeJson) => unknown): Attribute {
  return {
    read(node, name, out) {
      out[field] = [1, ...integers(node, name, dimensions, fallback?.(node))].slice(-2);
    },
    write: (node) => (dimensions === 2 ? [...node[field]] : node[field][1]),
  };
}

function padding(dimensions: 1 | 2): Attribute {
  const length = 2 * dimensions;
  return {
    read(node, name, out) {
      const value = node[name] ?? 'valid';
      const named = value === 'same' || value === 'valid';
      if (!named && !Array.isArray(value)) throw attributeError(node, name, `"same", "valid" or ${length} integers`);
      if (!named) out.pad = [0, 0, ...integers(node, name, length, undefined, 0)].slice(-4);
      out.padding = constant('padding', named ? value : 'explicit');
    },
    write(node) {
      const mode = constantName('padding', node.padding) ?? 'valid';
      return mode === 'explicit' ? node.pad.slice(-length) : mode;
    },
  };
}

/** Units of a depthwise convolution, for every channel of its input. */
const multiplier: Attribute = {
  read(node, name, out, channels) {
    out.units = channels() * (integers(node, name, 1, 1)[0] as number);
  },
  write: (node, channels) => node.units / channels(),
  quiet: true,
};

const bias: Attribute = {
  read(node, name, out) {
    if (!flag(node, name, true)) out.flags |= constant('flag', 'noBias');
  },
  write: (node) => (node.flags & constant('flag', 'noBias')) === 0,
  quiet: true,
};

const frozen: Attribute = {
  read(node, name, out) {
    if (node[name] === 'weights') out.flags |= constant('flag', 'frozen') | constant('flag', 'biasTrains');
    else if (flag(node, name, false)) out.flags |= constant('flag', 'frozen');
  },
  write(node) {
    if ((node.flags & constant('flag', 'frozen')) === 0) return undefined;
    return (node.flags & constant('flag', 'biasTrains')) === 0 ? true : 'weights';
  },
  quiet: true,
};

const init: Attribute = {
  read(node, name, out) {
    const value = node[name] ?? 'heUniform';
    if (value !== 'heUniform' && value !== 'glorotUniform') throw attributeError(node, name, '"heUniform" or "glorotUniform"');
    out.init = constant('init', value);
  },
  write: (node) => constantName('init', node.init),
  quiet: true,
};

const zero: Attribute = {
  read(node, name, out) {
    const value = node[name];
    if (!isInteger(value, -128, 127)) throw attributeError(node, name, 'an integer from -128 to 127');
    out.zero = value;
  },
  write: (node) => node.zero,
};

const units = count('units');
const groups = count('groups', 1);
const slope = real('param', 0.01, () => true, 'a finite number');
const rate = real('param', NaN, (x) => x >= 0 && x < 1, 'a number from 0 to below 1');
const epsilon = real('param', 1e-5, (x) => x > 0, 'a number above 0');
const max = real('param', 0, (x) => x >= 0, 'a number of at least 0');
const scale = real('scale', NaN, (x) => x > 0, 'a number above 0');

type Attributes = Readonly<Record<string, Attribute>>;

const window1: Attributes = { kernel: extent('kernel', 1), stride: extent('stride', 1, () => 1), padding: padding(1) };
const window2: Attributes = { kernel: extent('kernel', 2), stride: extent('stride', 2, () => 1), padding: padding(2) };
const pool2: Attributes = { ...window2, stride: extent('stride', 2, (node) => node['kernel']) };
const weights: Attributes = { bias, init, frozen };
const quantized: Attributes = { scale, zero };
const weightsS8: Attributes = { init, frozen, ...quantized };

/** Attributes of every operation, by their names; a test compares the operations with the core's list. @internal */
export const opAttributes: Readonly<Record<LayerOp, Attributes>> = {
  dense: { units, ...weights },
  conv2d: { units, ...window2, groups, ...weights },
  conv1d: { units, ...window1, groups, ...weights },
  depthwiseConv2d: { multiplier, ...window2, ...weights },
  maxPool2d: pool2,
  avgPool2d: pool2,
  globalAvgPool: {},
  relu: {},
  relu6: {},
  leakyRelu: { slope },
  sigmoid: {},
  tanh: {},
  batchNorm: { epsilon, frozen },
  add: {},
  flatten: {},
  dropout: { rate },
  quantize: quantized,
  dequantize: {},
  denseS8: { units, ...weightsS8 },
  conv2dS8: { units, ...window2, ...weightsS8 },
  depthwiseConv2dS8: { multiplier, ...window2, ...weightsS8 },
  clampS8: { max },
  maxPool2dS8: pool2,
  avgPool2dS8: pool2,
  addS8: quantized,
  softmaxS8: quantized,
};

/** Operations of two inputs; all others have one. @internal */
export const twoInputs: ReadonlySet<string> = new Set<LayerOp>(['add', 'addS8']);

/** Attributes of an operation; undefined: there is no such operation. @internal */
export function attributesOf(op: unknown): Attributes | undefined {
  return typeof op === 'string' && Object.hasOwn(opAttributes, op) ? opAttributes[op as LayerOp] : undefined;
}
