// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import type { ErrorCode } from '../errors';
import type { NodeJson } from '../graph';
import type { Quantization } from '../layers';
import { requantOf } from '../requant';
import { plain } from './tflite';
import type { ImportedModel, ImportedTensor, ImportOptions } from './tflite-graph';

/** An object out of the file, of which nothing is known. */
type Fields = Record<string, unknown>;

/** What a layer has computed: a map of int8. */
interface Value extends Quantization {
  node: string;
  size: [height: number, width: number];
  channels: number;
}

const most = { blocks: 512, extent: 1 << 20 };

function wrong(where: string, expected: string, found: unknown, code: ErrorCode = 'ERR_TINYPROP_MODEL'): TinypropError {
  const shown = JSON.stringify(found) ?? 'nothing';
  return new TinypropError(code, `mcunet: ${where}: expected ${expected}, found ${shown.length > 60 ? `${shown.slice(0, 60)} ...` : shown}`, { where });
}

function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where, 'an object', value);
  return value as Fields;
}

function own(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined;
}

function count(fields: Fields, key: string, where: string): number {
  const value = own(fields, key);
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > most.extent) throw wrong(`${where}.${key}`, `an integer from 1 to ${most.extent}`, value);
  return value as number;
}

/** Scale and zero of `params.x_*` or `params.y_*`; scales are single floats here, as in TensorFlow Lite. */
function quantizationOf(params: Fields, which: 'x' | 'y', where: string): Quantization {
  const [scale, zero] = [own(params, `${which}_scale`), own(params, `${which}_zero`)];
  if (typeof scale !== 'number' || !(scale >= 1e-30 && scale <= 1e30)) throw wrong(`${where}.${which}_scale`, 'a number from 1e-30 to 1e30', scale);
  if (!Number.isInteger(zero) || (zero as number) < -128 || (zero as number) > 127) throw wrong(`${where}.${which}_zero`, 'an integer from -128 to 127', zero);
  return { scale: Math.fround(scale), zero: zero as number };
}

/** Blocks of pointwise, depthwise and pointwise convolutions become nodes, one after the other. */
class McunetGraph {
  readonly nodes: NodeJson[] = [];
  readonly tensors = new Map<string, ImportedTensor>();
  private readonly known: Fields;

  constructor(
    model: Fields,
    private readonly numbers: Uint8Array,
    /** The input has the size that the file says, and so have all maps. */
    private readonly asFiled: boolean,
  ) {
    this.known = fieldsOf(own(model, 'tensors'), 'tensors');
  }

  add(name: string, op: string, inputs: string[], attributes: Fields): string {
    this.nodes.push({ name, op, inputs, ...attributes });
    return name;
  }

  /** Numbers of a tensor that must have that type and shape. */
  private tensor<T>(name: unknown, where: string, dtype: string, shape: readonly number[], make: (buffer: ArrayBuffer) => T): T {
    if (typeof name !== 'string') throw wrong(where, 'the name of a tensor', name);
    const entry = fieldsOf(own(this.known, name), `tensors.${name}`);
    const found = own(entry, 'shape');
    if (own(entry, 'dtype') !== dtype) throw wrong(`tensors.${name}.dtype`, JSON.stringify(dtype), own(entry, 'dtype'));
    if (!Array.isArray(found) || found.join() !== shape.join()) throw wrong(`tensors.${name}.shape`, `[${shape.join(', ')}]`, found, 'ERR_TINYPROP_SHAPE');
    const at = own(entry, 'offset') as number;
    const bytes = shape.reduce((product, n) => product * n, dtype === 'i1' ? 1 : 4);
    if (!Number.isInteger(at) || at < 0 || at + bytes > this.numbers.length) {
      throw wrong(`tensors.${name}.offset`, `${bytes} bytes within the ${this.numbers.length} of the file of weights`, at, 'ERR_TINYPROP_BLOB');
    }
    return make(this.numbers.slice(at, at + bytes).buffer);
  }

  /** Weights, bias and scales of a layer; `order`: [out][in][taps] as our layer has them. */
  private parameters(node: string, params: Fields, shape: [number, number, number, number], x: Quantization, y: Quantization, order: 'oti' | 'ito'): void {
    const where = `${node}.params`;
    const [out, channels, kh, kw] = shape;
    const taps = kh * kw;
    const filed = this.tensor(own(params, 'weight'), `${where}.weight`, 'i1', shape, (b) => new Int8Array(b));
    const bias = this.tensor(own(params, 'bias'), `${where}.bias`, '<i4', [out], (b) => new Int32Array(b));
    const scale = this.tensor(own(params, 'w_scales'), `${where}.w_scales`, '<f4', [out], (b) => new Float32Array(b));
    const bad = scale.findIndex((s) => !(s > 0 && s <= 1e30));
    if (bad >= 0) throw wrong(`${where}.w_scales`, 'numbers above 0', scale[bad], 'ERR_TINYPROP_DATA');
    const requant = requantOf(x.scale, scale, y.scale, false);
    if (requant === null) throw wrong(`${where}.w_scales`, 'factors below 2^31', 'larger ones');
    const weight = new Int8Array(filed.length);
    for (let o = 0; o < out; o++) {
      let sum = 0; // of |w|: bias and products must not wrap, also where the file's bias is as large as an int32 can be
      for (let i = 0; i < channels * taps; i++) {
        const w = filed[o * channels * taps + i] as number;
        const [c, tap] = [Math.floor(i / taps), i % taps];
        weight[order === 'oti' ? (o * taps + tap) * channels + c : tap * out + o] = w;
        sum += Math.abs(w);
      }
      const limit = 2 ** 31 - 1 - sum * 255;
      bias[o] = Math.max(-limit, Math.min(limit, bias[o] as number));
    }
    for (const [name, data] of Object.entries({ weight, bias, scale, requant })) this.tensors.set(`${node}.${name}`, { data });
  }

  /** Params of a layer whose input is `x`. */
  private paramsOf(layer: Fields, node: string, x: Value): { params: Fields; y: Quantization } {
    const params = fieldsOf(own(layer, 'params'), `${node}.params`);
    this.same(quantizationOf(params, 'x', `${node}.params`), x, `${node}.params`);
    return { params, y: quantizationOf(params, 'y', `${node}.params`) };
  }

  /** The file says it of every reader again. */
  private same({ scale, zero }: Quantization, x: Value, where: string): void {
    if (scale !== x.scale || zero !== x.zero) throw wrong(where, `the scale and zero that ${x.node} gives, ${x.scale} and ${x.zero}`, [scale, zero]);
  }

  /** A convolution, padded by (kernel - 1) / 2; with a zero of -128 its output is cut off at 0 (and above, where int8 ends): a relu6. */
  conv(json: unknown, node: string, x: Value): Value {
    const layer = fieldsOf(json, node);
    const [channels, units, stride, groups] = ['in_channel', 'out_channel', 'stride', 'groups'].map((key) => count(layer, key, node)) as [number, number, number, number];
    const kernel = own(layer, 'kernel_size');
    if (!Array.isArray(kernel) || kernel.length !== 2 || !kernel.every((k) => Number.isInteger(k) && k >= 1 && k <= 255 && k % 2 === 1)) throw wrong(`${node}.kernel_size`, 'two odd integers up to 255', kernel);
    if ((own(layer, 'act') ?? null) !== null) throw wrong(`${node}.act`, 'null: the range of the output is the activation', own(layer, 'act'));
    if (channels !== x.channels) throw wrong(`${node}.in_channel`, `${x.channels}, the channels of ${x.node}`, channels, 'ERR_TINYPROP_SHAPE');
    if (this.asFiled && own(layer, 'in_shape') !== x.size[0]) throw wrong(`${node}.in_shape`, `${x.size[0]}, the height of ${x.node}`, own(layer, 'in_shape'), 'ERR_TINYPROP_SHAPE');
    const depthwise = groups === channels && units === channels && groups > 1;
    if (!depthwise && groups !== 1) throw wrong(`${node}.groups`, `1, or ${channels} for as many outputs`, groups);
    const { params, y } = this.paramsOf(layer, node, x);
    const [kh, kw] = kernel as [number, number];
    const pad = [(kh - 1) / 2, (kh - 1) / 2, (kw - 1) / 2, (kw - 1) / 2];
    const window = { kernel: [kh, kw], stride: [stride, stride], padding: pad, ...y };
    this.add(node, depthwise ? 'depthwiseConv2dS8' : 'conv2dS8', [x.node], { ...(depthwise ? { multiplier: 1 } : { units }), ...window });
    this.parameters(node, params, [units, channels / groups, kh, kw], x, y, depthwise ? 'ito' : 'oti');
    const size = x.size.map((n) => Math.floor((n - 1) / stride) + 1) as [number, number];
    const last = y.zero === -128 ? this.add(`${node}.relu`, 'clampS8', [node], { max: 0 }) : node;
    return { node: last, size, channels: units, ...y };
  }

  block(json: unknown, name: string, x: Value): Value {
    const block = fieldsOf(json, name);
    if ((own(block, 'se') ?? null) !== null) throw wrong(`${name}.se`, 'null: tinyprop has no squeeze-and-excitation', own(block, 'se'));
    let value = x;
    for (const part of ['pointwise1', 'depthwise', 'pointwise2']) {
      if ((own(block, part) ?? null) !== null) value = this.conv(own(block, part), `${name}.${part}`, value);
    }
    if ((own(block, 'residual') ?? null) === null) return value;
    const where = `${name}.residual`;
    const params = fieldsOf(own(fieldsOf(own(block, 'residual'), where), 'params'), `${where}.params`);
    this.same(quantizationOf(params, 'x', where), x, where);
    if (value === x || value.channels !== x.channels || value.size.join() !== x.size.join()) {
      throw wrong(where, `a block that gives ${[...x.size, x.channels].join('x')}, as it takes`, [...value.size, value.channels], 'ERR_TINYPROP_SHAPE');
    }
    const y = quantizationOf(params, 'y', where);
    return { ...value, ...y, node: this.add(where, 'addS8', [x.node, value.node], { ...y }) };
  }

  /** The mean over the map, then the outputs. */
  classifier(json: unknown, x: Value): void {
    const layer = fieldsOf(json, 'classifier');
    const [channels, units] = [count(layer, 'in_channel', 'classifier'), count(layer, 'out_channel', 'classifier')];
    if (channels !== x.channels) throw wrong('classifier.in_channel', `${x.channels}, the channels of ${x.node}`, channels, 'ERR_TINYPROP_SHAPE');
    const { params, y } = this.paramsOf(layer, 'classifier', x);
    this.add('pool', 'avgPool2dS8', [x.node], { kernel: x.size, stride: x.size });
    this.add('flatten', 'flatten', ['pool'], {});
    this.add('classifier', 'denseS8', ['flatten'], { units, ...y });
    this.parameters('classifier', params, [units, channels, 1, 1], x, y, 'oti');
    this.add('dequantize', 'dequantize', ['classifier'], {});
  }
}

function parsed(bytes: Uint8Array): Fields {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_BLOB', `mcunet: not JSON: ${(cause as Error).message}`, {}, cause);
  }
  return fieldsOf(json, 'the file');
}

/** A JSON object that has a `first_conv`? @internal */
export function isMcunet(bytes: Uint8Array): boolean {
  return /^\s*\{/.test(String.fromCharCode(...bytes.subarray(0, 64))) && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('"first_conv"');
}

/**
 * Reads a network as MIT's TinyEngine takes it (MCUNet, MobileNetV2): int8, one JSON file and one of numbers; nothing in them is trusted.
 *
 * @throws TinypropError `ERR_TINYPROP_MODEL` naming the field, `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_BLOB`, `ERR_TINYPROP_DATA`
 * @internal
 */
export function readMcunet(bytes: Uint8Array, options: ImportOptions): ImportedModel {
  const model = parsed(bytes);
  if (options.weights === undefined) throw wrong('weights', 'the bytes of the file of numbers beside it (Model.load reads both)', undefined, 'ERR_TINYPROP_BLOB');
  const first = fieldsOf(own(model, 'first_conv'), 'first_conv');
  const blocks = own(model, 'blocks');
  if (!Array.isArray(blocks) || blocks.length > most.blocks) throw wrong('blocks', `a list of up to ${most.blocks}`, blocks);
  const channels = count(first, 'in_channel', 'first_conv');
  const filed = count(first, 'in_shape', 'first_conv');
  const input = options.inputShape ?? [filed, filed, channels];
  if (input.length !== 3 || input[2] !== channels || !input.every((n) => Number.isInteger(n) && n >= 1 && n <= most.extent)) throw wrong('inputShape', `[height, width, ${channels}]`, input, 'ERR_TINYPROP_SHAPE');
  const graph = new McunetGraph(model, plain(options.weights), input[0] === filed && input[1] === filed);
  const quantization = quantizationOf(fieldsOf(own(first, 'params'), 'first_conv.params'), 'x', 'first_conv.params');
  graph.add('quantize', 'quantize', ['input'], { ...quantization });
  let value: Value = { node: 'quantize', size: [input[0] as number, input[1] as number], channels, ...quantization };
  value = graph.conv(first, 'first_conv', value);
  for (const [i, block] of blocks.entries()) value = graph.block(block, `blocks.${i}`, value);
  if ((own(model, 'feature_mix') ?? null) !== null) value = graph.conv(own(model, 'feature_mix'), 'feature_mix', value);
  graph.classifier(own(model, 'classifier'), value);
  return {
    json: { format: 'tinyprop-model', version: 1, input: [...input], loss: options.loss ?? 'softmaxCrossEntropy', nodes: graph.nodes },
    input: quantization,
    tensors: graph.tensors,
    nodeOf: new Map(),
  };
}
