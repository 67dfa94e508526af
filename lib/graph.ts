// SPDX-License-Identifier: Apache-2.0
import { addon, constant, constantName, facts, guard, isErrorCode, listId, listName, type NativeModel, type NativeNode, type NativePlan, type NativeRecipe } from './addon';
import { errorCodes, TinypropError, type ErrorCode } from './errors';
import type { LayerOp, Quantization } from './layers';

/** Losses: labels for `softmaxCrossEntropy`, targets in [0, 1] for `bce` (summed), targets for `mse` (mean). */
export type LossName = 'softmaxCrossEntropy' | 'bce' | 'mse';

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

/** A model without its weights: what {@link Model.toJSON} writes and {@link Model.fromJSON} reads. */
export interface ModelJson {
  /** Says what this document is. */
  format: 'tinyprop-model';
  /** Version of the format. */
  version: 1;
  /** Shape of one sample: `[features]`, `[time, channels]` or `[height, width, channels]`. */
  input: number[];
  /** Loss that training minimises. */
  loss: LossName;
  /** In topological order; the last one is the output. */
  nodes: NodeJson[];
}

/** `maxPool2d` -> `max_pool2d`: the core's spelling. @internal */
export function coreName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `max_pool2d` -> `maxPool2d`. @internal */
export function jsName(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

type Attributes = Record<string, 'units' | 'kernel2' | 'kernel1' | 'padding2' | 'padding1' | 'groups' | 'bias' | 'init' | 'frozen' | 'slope' | 'rate' | 'epsilon' | 'multiplier' | 'stride2' | 'stride1' | 'scale' | 'zero' | 'max'>;

const weights: Attributes = { bias: 'bias', init: 'init', frozen: 'frozen' };
const window2: Attributes = { kernel: 'kernel2', stride: 'stride2', padding: 'padding2' };

const quantized: Attributes = { scale: 'scale', zero: 'zero' };
const weightsS8: Attributes = { init: 'init', frozen: 'frozen', ...quantized };
const twoInputs = new Set(['add', 'addS8']);
const pools = new Set(['maxPool2d', 'avgPool2d', 'maxPool2dS8', 'avgPool2dS8']);

/** Attributes of every operation; a test compares the operations with the core's list. @internal */
export const opAttributes: Record<LayerOp, Attributes> = {
  dense: { units: 'units', ...weights },
  conv2d: { units: 'units', ...window2, groups: 'groups', ...weights },
  conv1d: { units: 'units', kernel: 'kernel1', stride: 'stride1', padding: 'padding1', groups: 'groups', ...weights },
  depthwiseConv2d: { multiplier: 'multiplier', ...window2, ...weights },
  maxPool2d: window2,
  avgPool2d: window2,
  globalAvgPool: {},
  relu: {},
  relu6: {},
  leakyRelu: { slope: 'slope' },
  sigmoid: {},
  tanh: {},
  batchNorm: { epsilon: 'epsilon', frozen: 'frozen' },
  add: {},
  flatten: {},
  dropout: { rate: 'rate' },
  quantize: quantized,
  dequantize: {},
  denseS8: { units: 'units', ...weightsS8 },
  conv2dS8: { units: 'units', ...window2, ...weightsS8 },
  depthwiseConv2dS8: { multiplier: 'multiplier', ...window2, ...weightsS8 },
  clampS8: { max: 'max' },
  maxPool2dS8: window2,
  avgPool2dS8: window2,
  addS8: quantized,
  softmaxS8: quantized,
};

function modelError(message: string, details: Record<string, unknown>): TinypropError {
  return new TinypropError('ERR_TINYPROP_MODEL', `model: ${message}`, details);
}

function attributeError(node: NodeJson, attribute: string, expected: string): TinypropError {
  const found = JSON.stringify(node[attribute]);
  return modelError(`node "${node.name}" (${node.op}): ${attribute}: expected ${expected}, found ${found}`, {
    node: node.name,
    attribute,
    expected,
    found,
  });
}

const maxExtent = 0x7fffffff;
const isCount = (value: unknown, min: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= maxExtent;

function counts(node: NodeJson, attribute: string, length: number, min: number, value: unknown): number[] {
  if (length === 1 && isCount(value, min)) return [value];
  if (length > 1 && isCount(value, min) && attribute !== 'padding') return new Array<number>(length).fill(value);
  if (Array.isArray(value) && value.length === length && value.every((x) => isCount(x, min))) return value as number[];
  const what = length === 1 ? 'an integer' : `${length} integers`;
  throw attributeError(node, attribute, `${what} of at least ${min}`);
}

function padding(node: NodeJson, out: NativeNode, dimensions: 1 | 2): void {
  const value = node['padding'] ?? 'valid';
  if (value === 'same' || value === 'valid') {
    out.padding = constant('padding', value);
    return;
  }
  const pads = Array.isArray(value) ? counts(node, 'padding', 2 * dimensions, 0, value) : null;
  if (pads === null) throw attributeError(node, 'padding', `"same", "valid" or ${2 * dimensions} integers`);
  out.padding = constant('padding', 'explicit');
  out.pad = dimensions === 2 ? pads : [0, 0, ...pads];
}

function real(node: NodeJson, attribute: string, fallback: number, test: (x: number) => boolean, expected: string): number {
  const value = node[attribute] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || !test(value)) throw attributeError(node, attribute, expected);
  return value;
}

function flag(node: NodeJson, attribute: string, fallback: boolean): boolean {
  const value = node[attribute] ?? fallback;
  if (typeof value !== 'boolean') throw attributeError(node, attribute, 'true or false');
  return value;
}

/** Writes one attribute of `node` into `out`; `channels` are those of its input (depthwise). */
function setAttribute(node: NodeJson, kind: Attributes[string], out: NativeNode, channels: () => number): void {
  const value = (name: string, fallback?: unknown): unknown => node[name] ?? fallback;
  const pooled = pools.has(node.op);
  switch (kind) {
    case 'units':
      out.units = counts(node, 'units', 1, 1, value('units'))[0] as number;
      break;
    case 'multiplier':
      out.units = channels() * (counts(node, 'multiplier', 1, 1, value('multiplier', 1))[0] as number);
      break;
    case 'kernel2':
      out.kernel = counts(node, 'kernel', 2, 1, value('kernel'));
      break;
    case 'kernel1':
      out.kernel = [1, ...counts(node, 'kernel', 1, 1, value('kernel'))];
      break;
    case 'stride2':
      out.stride = counts(node, 'stride', 2, 1, value('stride', pooled ? value('kernel') : 1));
      break;
    case 'stride1':
      out.stride = [1, ...counts(node, 'stride', 1, 1, value('stride', 1))];
      break;
    case 'padding2':
      padding(node, out, 2);
      break;
    case 'padding1':
      padding(node, out, 1);
      break;
    case 'groups':
      out.groups = counts(node, 'groups', 1, 1, value('groups', 1))[0] as number;
      break;
    case 'bias':
      if (!flag(node, 'bias', true)) out.flags |= constant('flag', 'noBias');
      break;
    case 'frozen':
      if (node[kind] === 'weights') out.flags |= constant('flag', 'frozen') | constant('flag', 'biasTrains');
      else if (flag(node, 'frozen', false)) out.flags |= constant('flag', 'frozen');
      break;
    case 'init': {
      const init = value('init', 'heUniform');
      if (init !== 'heUniform' && init !== 'glorotUniform') throw attributeError(node, 'init', '"heUniform" or "glorotUniform"');
      out.init = constant('init', init);
      break;
    }
    case 'slope':
      out.param = real(node, 'slope', 0.01, () => true, 'a finite number');
      break;
    case 'rate':
      out.param = real(node, 'rate', NaN, (x) => x >= 0 && x < 1, 'a number from 0 to below 1');
      break;
    case 'scale':
      out.scale = real(node, 'scale', NaN, (x) => x > 0, 'a number above 0');
      break;
    case 'zero':
      if (!Number.isInteger(node['zero']) || Math.abs((node['zero'] as number) + 0.5) > 128) throw attributeError(node, 'zero', 'an integer from -128 to 127');
      out.zero = node['zero'] as number;
      break;
    case 'max':
      out.param = real(node, 'max', 0, (x) => x >= 0, 'a number of at least 0');
      break;
    case 'epsilon':
      out.param = real(node, 'epsilon', 1e-5, (x) => x > 0, 'a number above 0');
      break;
  }
}

function inputIndices(node: NodeJson, names: ReadonlyMap<string, number>): number[] {
  const wanted = twoInputs.has(node.op) ? 2 : 1;
  const { inputs } = node;
  if (!Array.isArray(inputs) || inputs.length !== wanted) throw attributeError(node, 'inputs', `${wanted} name${wanted === 1 ? '' : 's'}`);
  const indices = inputs.map((input) => {
    const index = input === 'input' ? constant('node', 'input') : names.get(input);
    if (index === undefined) throw attributeError(node, 'inputs', 'names of earlier nodes or "input"');
    return index;
  });
  return [...indices, constant('node', 'none')].slice(0, 2);
}

function checkName(name: unknown, position: number, names: ReadonlyMap<string, number>): asserts name is string {
  const limit = facts().constants['limit']?.['nameBytes'] ?? 31;
  if (typeof name !== 'string' || name === '' || name === 'input' || name.includes('\0') || Buffer.byteLength(name) > limit) {
    throw modelError(`node ${position}: name: expected 1 to ${limit} bytes, not "input", found ${JSON.stringify(name)}`, { position });
  }
  if (names.has(name)) throw modelError(`node ${position}: the name "${name}" is used twice`, { position, node: name });
}

/** h, w, c, rank of a shape. */
function nativeShape(shape: unknown): number[] {
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > 3 || !shape.every((x) => isCount(x, 1))) {
    throw modelError(`input: expected 1 to 3 positive integers, found ${JSON.stringify(shape)}`, { input: shape });
  }
  return [...new Array<number>(3 - shape.length).fill(1), ...(shape as number[]), shape.length];
}

/** h, w, c, rank -> the shape as people write it. @internal */
export function jsShape(native: readonly number[]): number[] {
  const rank = native[3] ?? 3;
  return native.slice(3 - rank, 3);
}

/**
 * Checks a description and turns it into the core's form.
 *
 * @throws TinypropError `ERR_TINYPROP_MODEL` naming the node and the attribute
 * @internal
 */
export function toNative(json: ModelJson): NativeModel {
  if (typeof json !== 'object' || json === null || json.format !== 'tinyprop-model') throw modelError('expected "format": "tinyprop-model"', {});
  if (json.version !== 1) {
    throw new TinypropError('ERR_TINYPROP_VERSION', `model: expected "version": 1, found ${JSON.stringify(json.version)}`);
  }
  const loss = typeof json.loss === 'string' ? listId('loss', coreName(json.loss)) : undefined;
  if (loss === undefined) throw modelError(`loss: expected softmaxCrossEntropy, bce or mse, found ${JSON.stringify(json.loss)}`, {});
  if (!Array.isArray(json.nodes) || json.nodes.length === 0) throw modelError('nodes: expected at least one', {});
  const model: NativeModel = { nodes: [], input: nativeShape(json.input), loss };
  const names = new Map<string, number>();
  for (const [position, node] of json.nodes.entries()) {
    if (typeof node !== 'object' || node === null) throw modelError(`node ${position}: expected an object`, { position });
    checkName(node.name, position, names);
    model.nodes.push(nativeNode(node, names, model));
    names.set(node.name, position);
  }
  return model;
}

/** A node without attributes. */
const emptyNode = { flags: 0, units: 0, kernel: [0, 0], stride: [0, 0], padding: 0, pad: [0, 0, 0, 0], groups: 0, init: 0, param: 0, scale: 0, zero: 0 };

function nativeNode(node: NodeJson, names: ReadonlyMap<string, number>, before: NativeModel): NativeNode {
  const known = typeof node.op === 'string' && Object.hasOwn(opAttributes, node.op);
  const op = known ? listId('layer', coreName(node.op)) : undefined;
  const attributes = known ? opAttributes[node.op as LayerOp] : undefined;
  if (op === undefined || attributes === undefined) {
    throw modelError(`node "${node.name}": op: expected one of ${Object.keys(opAttributes).join(', ')}, found ${JSON.stringify(node.op)}`, {
      node: node.name,
    });
  }
  const unknown = Object.keys(node).find((key) => !['name', 'op', 'inputs'].includes(key) && !Object.hasOwn(attributes, key));
  if (unknown !== undefined) {
    throw modelError(`node "${node.name}" (${node.op}): unknown attribute "${unknown}"; it takes ${['name', 'inputs', ...Object.keys(attributes)].join(', ')}`, {
      node: node.name,
      attribute: unknown,
    });
  }
  const out: NativeNode = { ...emptyNode, name: node.name, op, in: inputIndices(node, names) };
  const channels = (): number => shapeBefore(before, out.in[0] as number)[2] ?? 1;
  for (const kind of Object.values(attributes)) setAttribute(node, kind, out, channels);
  return out;
}

/** Does that node give int8? A view is what it looks at. */
function givesInt8({ nodes }: NativeModel, index: number): boolean {
  for (let node = nodes[index]; node !== undefined; node = nodes[node.in[0] as number]) {
    const op = jsName(listName('layer', node.op) ?? '');
    if (op !== 'flatten') return op === 'quantize' || op.endsWith('S8');
  }
  return false;
}

/** What node `index` depends on, as a model of its own: every node is read, and the output is of floats. */
function modelUpTo(model: NativeModel, index: number): NativeModel {
  const kept = new Set([index]);
  for (let i = index; i >= 0; i--) if (kept.has(i)) for (const input of model.nodes[i]?.in ?? []) kept.add(input);
  const order = [...kept].filter((i) => i >= 0).sort((a, b) => a - b);
  const nodes = order.map((i) => model.nodes[i] as NativeNode).map((node) => ({ ...node, in: node.in.map((i) => (i < 0 ? i : order.indexOf(i))) }));
  const last = nodes.length - 1;
  let name = 'shown';
  while (nodes.some((node) => node.name === name)) name += '.';
  const shown = { ...emptyNode, name, op: listId('layer', 'dequantize') as number, in: [last, constant('node', 'none')] };
  return { ...model, nodes: givesInt8(model, index) ? [...nodes, shown] : nodes, loss: listId('loss', 'mse') ?? model.loss };
}

/** h, w, c, rank of the output of node `index` (or of the input). */
function shapeBefore(model: NativeModel, index: number): number[] {
  if (index < 0) return model.input;
  const name = model.nodes[index]?.name;
  return planOf(modelUpTo(model, index), null).nodes.find((node) => node.name === name)?.out ?? model.input;
}

/** The core's node as JSON: the inverse of {@link toNative}. @internal */
export function fromNative(model: NativeModel): ModelJson {
  const nodes = model.nodes.map((node, position): NodeJson => {
    const op = jsName(listName('layer', node.op) ?? '');
    const attributes = Object.hasOwn(opAttributes, op) ? opAttributes[op as LayerOp] : undefined;
    if (attributes === undefined) throw modelError(`node "${node.name}": unknown operation ${node.op}`, { node: node.name });
    const inputs = node.in.slice(0, twoInputs.has(op) ? 2 : 1).map((index) => {
      const name = index === constant('node', 'input') ? 'input' : model.nodes[index]?.name;
      if (name === undefined || index >= position) throw modelError(`node "${node.name}": input ${index} is not an earlier node`, { node: node.name });
      return name;
    });
    const out: NodeJson = { name: node.name, op, inputs };
    for (const [name, kind] of Object.entries(attributes)) {
      const value = getAttribute(kind, node, () => shapeBefore({ ...model, nodes: model.nodes.slice(0, position) }, node.in[0] as number)[2] ?? 1);
      if (value !== undefined) out[name] = value;
    }
    return out;
  });
  return { format: 'tinyprop-model', version: 1, input: jsShape(model.input), loss: lossOf(model), nodes };
}

/** @internal */
export function lossOf(model: NativeModel): LossName {
  return jsName(listName('loss', model.loss) ?? '') as LossName;
}

/** Shortest decimal that is the same f32. */
function f32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

function getAttribute(kind: Attributes[string], node: NativeNode, channels: () => number): unknown {
  const named = (): string => constantName('padding', node.padding) ?? 'valid';
  switch (kind) {
    case 'units':
      return node.units;
    case 'multiplier':
      return node.units / channels();
    case 'kernel2':
      return node.kernel;
    case 'kernel1':
      return node.kernel[1];
    case 'stride2':
      return node.stride;
    case 'stride1':
      return node.stride[1];
    case 'padding2':
      return named() === 'explicit' ? node.pad : named();
    case 'padding1':
      return named() === 'explicit' ? node.pad.slice(2) : named();
    case 'groups':
      return node.groups || 1;
    case 'bias':
      return (node.flags & constant('flag', 'noBias')) === 0;
    case 'frozen':
      if ((node.flags & constant('flag', 'frozen')) === 0) return undefined;
      return (node.flags & constant('flag', 'biasTrains')) === 0 ? true : 'weights';
    case 'init':
      return constantName('init', node.init);
    case 'scale':
      return f32(node.scale);
    case 'zero':
      return node.zero;
    default:
      return f32(node.param);
  }
}

/** Of the model's first operation, where that makes int8 of the inputs. @internal */
export function inputQuantization({ nodes }: ModelJson): Quantization | undefined {
  const readers = nodes.filter(({ inputs }) => inputs.includes('input'));
  const [node] = readers;
  return readers.length === 1 && node?.op === 'quantize' ? { scale: Math.fround(node['scale'] as number), zero: node['zero'] as number } : undefined;
}

/**
 * The model as a device sees it.
 *
 * @param int8Samples its samples are int8, as its first operation would make them
 * @throws TinypropError `ERR_TINYPROP_SPEC` if that is no `quantize`
 * @internal
 */
export function onDevice(model: NativeModel, int8Samples = false): NativeModel {
  if (!int8Samples) return model;
  if (inputQuantization(fromNative(model)) === undefined) throw new TinypropError('ERR_TINYPROP_SPEC', 'int8 samples are for models whose input goes to `quantize` alone');
  return { ...model, int8Input: true };
}

/**
 * Plans a model; errors say which node, with its attributes and the shape of its input.
 *
 * @param flash leave parameters that do not train in flash, outside of the arena
 * @throws TinypropError `ERR_TINYPROP_MODEL`, `_SHAPE`, `_RECIPE`, `_LIMIT`
 * @internal
 */
export function planOf(model: NativeModel, recipe: NativeRecipe | null, flash = false): NativePlan {
  try {
    return addon().planOf(model, recipe, flash);
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: string };
    const name = /^node "(.*)"$/s.exec(message ?? '')?.[1];
    const at = model.nodes.findIndex((node) => node.name === name);
    if (!isErrorCode(code) || at < 0) return guard('model', () => addon().planOf(model, recipe));
    throw nodeError(code, model, at, error);
  }
}

function nodeError(code: ErrorCode, model: NativeModel, at: number, cause: unknown): TinypropError {
  const node = model.nodes[at] as NativeNode;
  const op = jsName(listName('layer', node.op) ?? String(node.op));
  const kinds = Object.hasOwn(opAttributes, op) ? Object.entries(opAttributes[op as LayerOp]) : [];
  const attributes = kinds
    .filter(([, kind]) => !['bias', 'init', 'frozen', 'multiplier'].includes(kind))
    .map(([name, kind]) => `${name} ${JSON.stringify(getAttribute(kind, node, () => 1))}`);
  const shapes = node.in.filter((index) => index < at && index !== constant('node', 'none')).map((index) => jsShape(shapeBefore(model, index)).join('x'));
  return new TinypropError(
    code,
    `model: node "${node.name}" (${[op, ...attributes].join(', ')}) on ${shapes.join(' and ')}: ${errorCodes[code]}`,
    { node: node.name, inputs: shapes },
    cause,
  );
}
