// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import type { LossName, ModelJson, NodeJson } from '../graph';
import type { TensorData } from '../tensor';
import { type Quantization, type TfliteFile, type TfliteOperator, type TfliteTensor, unsupported } from './tflite-file';

/** Where the numbers of a tensor stand in the file. @internal */
export interface TensorSource {
  /** Byte in the file. */
  at: number;
  /** Above 0: the file has `[taps][columns]` where the tensor has `[columns][taps]`. */
  columns: number;
}

/** A parameter tensor out of a file. @internal */
export interface ImportedTensor {
  data: TensorData;
  /** Absent: the file does not have it as such (requantisation factors, a bias that it leaves out). */
  source?: TensorSource;
}

/** A model out of a file of another framework. @internal */
export interface ImportedModel {
  json: ModelJson;
  /** int8 inputs: what they stand for; null: the file takes floats. */
  input: Quantization | null;
  /** By name, `<node>.weight` ... */
  tensors: Map<string, ImportedTensor>;
  /** The node that gives each computed tensor of the file. */
  nodeOf: Map<number, string>;
  /** What the file says besides; absent: that inputs are not normalised. */
  meta?: Record<string, unknown>;
}

/** How a file of another framework becomes a model. */
export interface ImportOptions {
  /** Loss to train with; default: softmaxCrossEntropy behind a SOFTMAX, bce behind a LOGISTIC, else mse. */
  loss?: LossName;
  /** Keep an int8 SOFTMAX at the end as an operation; the model then gives the bytes of TensorFlow Lite and cannot be trained. Default false. */
  softmax?: boolean;
  /** Of a network whose numbers lie in a file of their own: its bytes. {@link Model.load} finds that file. */
  weights?: Uint8Array;
  /** Another height and width of the input than the file's, `[h, w, c]`, for networks of convolutions (not .tflite). */
  inputShape?: readonly number[];
}

/** What is known of a tensor that an operator has computed. @internal */
export interface Value {
  /** Node, or `input`. */
  node: string;
  /** Without the batch. */
  shape: number[];
  /** int8: its quantisation; null: f32. */
  quantization: Quantization | null;
  /** PAD in front of what comes next: top, bottom, left, right. */
  pad?: number[];
  /** Function at the end that the loss contains. */
  tail?: LossName;
}

/** `operator 3 (CONV_2D)`. @internal */
export function nameOf(op: TfliteOperator): string {
  return `operator ${op.index} (${op.name})`;
}

/** Collects nodes and tensors while the operators are walked. @internal */
export class TfliteGraph {
  readonly nodes: NodeJson[] = [];
  readonly tensors = new Map<string, ImportedTensor>();
  /** Input shape of the model; a reshape of the input changes it. */
  input: number[];
  /** Of the model's input, where that is int8. */
  readonly quantization: Quantization | null;
  private readonly values = new Map<number, Value>();
  private readonly counters = new Map<string, number>();

  constructor(
    private readonly bytes: Uint8Array,
    readonly file: TfliteFile,
    readonly options: ImportOptions,
  ) {
    const tensor = file.tensors[file.input] as TfliteTensor;
    const what = 'the input';
    this.input = shapeOf(tensor, what);
    this.quantization = typeOf(tensor, what);
    const node = this.quantization === null ? 'input' : this.add('quantize', 'quantize', ['input'], { ...this.quantization });
    this.values.set(file.input, { node, shape: this.input, quantization: this.quantization });
  }

  /** Places a node and returns its name. */
  add(op: string, name: string, inputs: string[], attributes: Record<string, unknown>): string {
    const count = (this.counters.get(name) ?? 0) + 1;
    this.counters.set(name, count);
    const node = `${name}${count}`;
    this.nodes.push({ name: node, op, inputs, ...attributes });
    return node;
  }

  private tensorOf(op: TfliteOperator, list: 'inputs' | 'outputs', position: number): TfliteTensor | undefined {
    const index = op[list][position] ?? -1;
    return index < 0 ? undefined : this.file.tensors[index];
  }

  /** What an operator computed before; constants are refused. */
  value(op: TfliteOperator, position: number): Value {
    const tensor = this.tensorOf(op, 'inputs', position);
    const value = tensor && this.values.get(tensor.index);
    if (tensor === undefined || value === undefined) {
      throw unsupported(`${nameOf(op)}: input ${position} is ${tensor?.data ? 'a constant' : 'not there'}; expected the result of an earlier operator`, { operator: op.name });
    }
    return value;
  }

  /** {@link value}, where no PAD and no function of the loss stands between. */
  plain(op: TfliteOperator, position: number): Value {
    const value = this.value(op, position);
    if (value.pad) throw unsupported(`${nameOf(op)}: behind a PAD; tinyprop pads convolutions alone`, { operator: op.name });
    if (value.tail) throw unsupported(`${nameOf(op)}: behind ${value.tail === 'bce' ? 'LOGISTIC' : 'SOFTMAX'}, which tinyprop has at the end of a model alone`, { operator: op.name });
    return value;
  }

  /** The operator's only output: its tensor, with the type that `like` has. */
  output(op: TfliteOperator, like: Value): { tensor: TfliteTensor; quantization: Quantization | null } {
    const tensor = this.tensorOf(op, 'outputs', 0);
    if (tensor === undefined || op.outputs.length !== 1) throw unsupported(`${nameOf(op)}: expected one output, found ${op.outputs.length}`);
    const quantization = typeOf(tensor, `${nameOf(op)}: output`);
    if ((quantization === null) !== (like.quantization === null)) {
      throw unsupported(`${nameOf(op)}: its input is ${like.quantization ? 'INT8' : 'FLOAT32'}, its output ${tensor.type}; expected the same type`, { operator: op.name });
    }
    return { tensor, quantization };
  }

  /** Remembers what an operator gives. The file must say the same `shape`; how many extents of 1 it writes is its own business. */
  result(op: TfliteOperator, tensor: TfliteTensor, value: Value, shape = value.shape): void {
    const found = shapeOf(tensor, `${nameOf(op)}: output`).filter((n) => n !== 1);
    if (found.join() !== shape.filter((n) => n !== 1).join()) {
      throw new TinypropError('ERR_TINYPROP_SHAPE', `tflite: ${nameOf(op)}: expected an output of ${shape.join('x')}, found ${tensor.shape.join('x')}`, {
        expected: shape,
        found: tensor.shape,
      });
    }
    if (this.values.has(tensor.index) || tensor.data) throw new TinypropError('ERR_TINYPROP_BLOB', `tflite: ${nameOf(op)}: writes tensor ${tensor.index}, which has a value already`);
    this.values.set(tensor.index, value);
  }

  /** Is this operator the only reader of a tensor? */
  readsAlone(op: TfliteOperator, tensor: number): boolean {
    return this.file.output !== tensor && this.file.operators.every((other) => other === op || !other.inputs.includes(tensor));
  }

  /** A constant input of an operator; undefined: it has none there. */
  constant(op: TfliteOperator, position: number): TfliteTensor | undefined {
    const tensor = this.tensorOf(op, 'inputs', position);
    if (tensor === undefined) return undefined;
    if (tensor.data === null) throw unsupported(`${nameOf(op)}: input ${position} ("${tensor.name}") is computed; expected a constant`, { operator: op.name });
    return tensor;
  }

  /** Numbers of a constant: `size` of them, of the given type; floats are finite. */
  numbers(op: TfliteOperator, tensor: TfliteTensor, type: 'FLOAT32' | 'INT8' | 'INT32', size: number): TensorData {
    const what = `${nameOf(op)}: "${tensor.name}"`;
    if (tensor.type !== type) throw unsupported(`${what}: expected ${type}, found ${tensor.type}`, { operator: op.name });
    const width = type === 'INT8' ? 1 : 4;
    const place = tensor.data as { at: number; length: number };
    if (place.length !== size * width) {
      throw new TinypropError('ERR_TINYPROP_BLOB', `tflite: ${what}: expected ${size * width} bytes, found ${place.length}`, { expected: size * width, found: place.length });
    }
    const { buffer } = this.bytes.slice(place.at, place.at + place.length);
    if (type === 'INT8') return new Int8Array(buffer);
    if (type === 'INT32') return new Int32Array(buffer);
    const values = new Float32Array(buffer);
    const bad = values.findIndex((v) => !Number.isFinite(v));
    if (bad >= 0) throw new TinypropError('ERR_TINYPROP_DATA', `tflite: ${what}: number ${bad} is ${values[bad]}; expected a finite one`, { index: bad });
    return values;
  }

  /** The node of every computed tensor that is one, by the tensor's index. */
  get nodeOf(): Map<number, string> {
    return new Map([...this.values].flatMap(([tensor, { node, pad, tail }]) => (pad || tail ? [] : [[tensor, node]])));
  }

  /** The value at the end. */
  end(): Value {
    const value = this.values.get(this.file.output);
    if (value === undefined || value.pad || this.nodes.at(-1)?.name !== value.node) {
      throw unsupported('expected the output to be the result of the last operator');
    }
    return value;
  }
}

/** Shape of one sample. */
function shapeOf(tensor: TfliteTensor, what: string): number[] {
  const { shape } = tensor;
  const size = shape.reduce((product, n) => product * n, 1);
  if (shape.length < 2 || shape.length > 4 || shape[0] !== 1 || !shape.every((n) => n >= 1) || size > 0x7fffffff) {
    throw unsupported(`${what} ("${tensor.name}"): expected [1, ...] with one to three extents behind the batch of 1, found [${shape.join(', ')}]`, { found: shape });
  }
  return shape.slice(1);
}

/** Quantisation of an int8 activation; null for f32. */
function typeOf(tensor: TfliteTensor, what: string): Quantization | null {
  if (tensor.type === 'FLOAT32') return null;
  if (tensor.type !== 'INT8') throw unsupported(`${what} ("${tensor.name}") is ${tensor.type}; tinyprop has FLOAT32 and INT8`, { type: tensor.type });
  const [scale] = tensor.scales;
  const zero = tensor.zeros[0] ?? 0;
  if (scale === undefined || tensor.scales.length > 1 || !(scale >= 1e-30 && scale <= 1e30) || zero < -128 || zero > 127) {
    throw unsupported(`${what} ("${tensor.name}"): expected one scale from 1e-30 to 1e30 and a zero point from -128 to 127, found [${tensor.scales.slice(0, 4).join(', ')}] and ${zero}`);
  }
  return { scale, zero };
}
