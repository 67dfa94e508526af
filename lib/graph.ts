// SPDX-License-Identifier: Apache-2.0
import { addon, constant, facts, guard, isErrorCode, listId, listName, type NativeModel, type NativeNode, type NativePlan, type NativeRecipe } from './addon';
import { attributeError, attributesOf, isInteger, opAttributes, twoInputs, type NodeJson } from './attributes';
import { errorCodes, TinypropError, type ErrorCode } from './errors';
import type { Quantization } from './layers';

export type { NodeJson } from './attributes';

/** Losses: labels for `softmaxCrossEntropy`, targets in [0, 1] for `bce` (summed), targets for `mse` (mean). */
export type LossName = 'softmaxCrossEntropy' | 'bce' | 'mse';

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

function modelError(message: string, details: Record<string, unknown>): TinypropError {
  return new TinypropError('ERR_TINYPROP_MODEL', `model: ${message}`, details);
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
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > 3 || !shape.every((x) => isInteger(x, 1))) {
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
  const attributes = attributesOf(node.op);
  const op = attributes && listId('layer', coreName(node.op));
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
  for (const [name, attribute] of Object.entries(attributes)) attribute.read(node, name, out, channels);
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
    const attributes = attributesOf(op);
    if (attributes === undefined) throw modelError(`node "${node.name}": unknown operation ${node.op}`, { node: node.name });
    const inputs = node.in.filter((index) => index !== constant('node', 'none')).map((index) => {
      const name = index === constant('node', 'input') ? 'input' : model.nodes[index]?.name;
      if (name === undefined || index >= position) throw modelError(`node "${node.name}": input ${index} is not an earlier node`, { node: node.name });
      return name;
    });
    const out: NodeJson = { name: node.name, op, inputs };
    const channels = (): number => shapeBefore({ ...model, nodes: model.nodes.slice(0, position) }, node.in[0] as number)[2] ?? 1;
    for (const [name, attribute] of Object.entries(attributes)) {
      const value = attribute.write(node, channels);
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
  const attributes = Object.entries(attributesOf(op) ?? {})
    .filter(([, { quiet }]) => !quiet)
    .map(([name, attribute]) => `${name} ${JSON.stringify(attribute.write(node, () => 1))}`);
  const shapes = node.in.filter((index) => index < at && index !== constant('node', 'none')).map((index) => jsShape(shapeBefore(model, index)).join('x'));
  return new TinypropError(
    code,
    `model: node "${node.name}" (${[op, ...attributes].join(', ')}) on ${shapes.join(' and ')}: ${errorCodes[code]}`,
    { node: node.name, inputs: shapes },
    cause,
  );
}
