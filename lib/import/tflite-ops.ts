// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import type { LossName } from '../graph';
import type { TensorData } from '../tensor';
import { requantOf } from '../requant';
import { type TfliteOperator, type TfliteTensor, unsupported } from './tflite-file';
import { nameOf, type TfliteGraph, type Value } from './tflite-graph';

/** Turns one operator into nodes and tensors. */
type Reader = (graph: TfliteGraph, op: TfliteOperator) => void;

/** Activation functions by number: the node for float, the bound of the int8 clamp. A fused TANH is refused: interpreters ignore it. */
const activations: readonly { name: string; float?: 'relu' | 'relu6'; max?: number }[] = [
  { name: 'NONE' },
  { name: 'RELU', float: 'relu', max: 0 },
  { name: 'RELU_N1_TO_1' },
  { name: 'RELU6', float: 'relu6', max: 6 },
  { name: 'TANH' },
  { name: 'SIGN_BIT' },
];

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

function refuse(op: TfliteOperator, why: string): TinypropError {
  return unsupported(`${nameOf(op)}: ${why}`, { operator: op.name });
}

/** Operations whose int8 form takes scale and zero from its input. */
const sameAsInput = new Set(['maxPool2d', 'avgPool2d']);

/** Places a node for an operator with the activation that is fused into it, and remembers its result. */
function place(graph: TfliteGraph, op: TfliteOperator, name: string, inputs: Value[], shape: number[], attributes: Record<string, unknown>, activation: number): string {
  const { tensor, quantization } = graph.output(op, inputs[0] as Value);
  const scale = sameAsInput.has(name) ? {} : quantization;
  const node = graph.add(quantization ? `${name}S8` : name, name, inputs.map((v) => v.node), { ...attributes, ...scale });
  graph.result(op, tensor, { node: activated(graph, op, node, activation, quantization !== null), shape, quantization });
  return node;
}

/** The node of an activation behind another node. */
function activated(graph: TfliteGraph, op: TfliteOperator, node: string, activation: number, int8: boolean): string {
  if (activation === 0) return node;
  const { name, float, max } = activations[activation] ?? { name: `function ${activation}` };
  if (float === undefined) throw refuse(op, `tinyprop does not have the activation ${name} ${int8 ? 'for INT8' : 'in this place'}`);
  return int8 ? graph.add('clampS8', float, [node], { max }) : graph.add(float, float, [node], {});
}

/** Numbers in the file's order `[taps][columns]` -> `[columns][taps]`. @internal */
export function transposed<T extends TensorData>(values: T, columns: number): T {
  const taps = values.length / columns;
  const out = values.slice() as T;
  for (let t = 0; t < taps; t++) for (let c = 0; c < columns; c++) out[c * taps + t] = values[t * columns + c] as number;
  return out;
}

/** Weights and bias of a layer; `axis` is that of its outputs in the file, `columns` says that it is the last and must become the first. */
function weights(graph: TfliteGraph, op: TfliteOperator, node: string, x: Value, weight: TfliteTensor, axis: number, columns: number): void {
  const out = weight.shape[axis] as number;
  const place = (tensor: TfliteTensor): number => (tensor.data as { at: number }).at;
  const bias = graph.constant(op, 2);
  if (x.quantization === null) {
    const data = graph.numbers(op, weight, 'FLOAT32', sizeOf(weight.shape));
    graph.tensors.set(`${node}.weight`, { data: columns > 0 ? transposed(data, columns) : data, source: { at: place(weight), columns } });
    if (bias) graph.tensors.set(`${node}.bias`, { data: graph.numbers(op, bias, 'FLOAT32', out), source: { at: place(bias), columns: 0 } });
    return;
  }
  graph.tensors.set(`${node}.weight`, { data: graph.numbers(op, weight, 'INT8', sizeOf(weight.shape)), source: { at: place(weight), columns: 0 } });
  graph.tensors.set(`${node}.bias`, bias ? { data: graph.numbers(op, bias, 'INT32', out), source: { at: place(bias), columns: 0 } } : { data: new Int32Array(out) });
  const { scale: y } = graph.output(op, x).quantization as { scale: number };
  const scales = weightScales(op, weight, axis, out);
  if (bias) checkBias(op, bias, x.quantization.scale, scales, y);
  const requant = requantOf(x.quantization.scale, scales, y, op.name === 'FULLY_CONNECTED' && weight.scales.length === 1);
  if (requant === null) throw refuse(op, 'its scales ask for factors of 2^31 and more');
  graph.tensors.set(`${node}.scale`, { data: scales });
  graph.tensors.set(`${node}.requant`, { data: requant });
}

/** One scale for every output. */
function weightScales(op: TfliteOperator, weight: TfliteTensor, axis: number, out: number): Float32Array {
  const { scales, zeros } = weight;
  const each = scales.length > 1;
  if (scales.length === 0 || (each && (scales.length !== out || weight.axis !== axis)) || !scales.every((s) => s > 0 && s <= 1e30)) {
    throw refuse(op, `"${weight.name}": expected one scale, or ${out} along axis ${axis}, found ${scales.length} along axis ${weight.axis}`);
  }
  if (zeros.some((zero) => zero !== 0)) throw refuse(op, `"${weight.name}": expected symmetric weights (zero point 0)`);
  return each ? Float32Array.from(scales) : new Float32Array(out).fill(scales[0] as number);
}

/** A bias counts in units of input scale x weight scale; TensorFlow Lite asks for the same closeness. */
function checkBias(op: TfliteOperator, bias: TfliteTensor, x: number, scales: Float32Array, y: number): void {
  const wrong = bias.scales.findIndex((scale, o) => !(Math.abs(x * (scales[o] ?? NaN) - scale) / y <= 0.02));
  if (wrong >= 0) throw refuse(op, `"${bias.name}": scale ${wrong} is ${bias.scales[wrong]}, expected input scale x weight scale, ${x * (scales[wrong] ?? NaN)}`);
}

/** `dynamic range`: float activations with int8 weights. */
function checkWeights(op: TfliteOperator, x: Value, weight: TfliteTensor | undefined, rank: number): asserts weight is TfliteTensor {
  if (weight === undefined) throw refuse(op, 'it has no weights');
  if (weight.shape.length !== rank || !weight.shape.every((n) => n >= 1)) throw refuse(op, `"${weight.name}": expected weights of ${rank} dimensions, found [${weight.shape.join(', ')}]`);
  if (x.quantization === null && weight.type === 'INT8') {
    throw refuse(op, 'INT8 weights on FLOAT32 activations (dynamic-range quantisation), which tinyprop does not have; convert the model in full integer, or as float');
  }
}

function imageOf(op: TfliteOperator, x: Value): [number, number, number] {
  if (x.shape.length !== 3) throw refuse(op, `expected an input of height x width x channels, found ${x.shape.join('x')}`);
  return x.shape as [number, number, number];
}

/** What a window takes out of its options: where they stand differs. */
interface Fields {
  kernel: readonly [number, number];
  /** Field of the padding; strides (width, height) follow. */
  dilation?: number;
}

/** Attributes of a window and the height and width that it leaves. */
function window(op: TfliteOperator, x: Value, { kernel, dilation }: Fields): { shape: [number, number]; attributes: Record<string, unknown> } {
  const { options } = op;
  const [height, width] = imageOf(op, x);
  const stride = [options?.i32(2) ?? 0, options?.i32(1) ?? 0] as const;
  const mode = options?.i8(0) ?? 0;
  if (!(stride[0] >= 1 && stride[1] >= 1 && kernel[0] >= 1 && kernel[1] >= 1)) throw refuse(op, `expected a window and strides of at least 1, found ${kernel.join('x')} and ${stride.join('x')}`);
  if (dilation !== undefined && ((options?.i32(dilation, 1) ?? 1) !== 1 || (options?.i32(dilation + 1, 1) ?? 1) !== 1)) throw refuse(op, 'tinyprop does not have dilated convolutions');
  if (mode !== 0 && mode !== 1) throw refuse(op, `unknown padding ${mode}`);
  const pad = x.pad ?? [0, 0, 0, 0];
  const padded = x.pad !== undefined && pad.some((n) => n > 0);
  if (padded && mode === 0) throw refuse(op, 'PAD in front of padding SAME; expected VALID');
  const extents = [height + (pad[0] as number) + (pad[1] as number), width + (pad[2] as number) + (pad[3] as number)];
  const shape = extents.map((n, i) => (mode === 0 ? Math.ceil(n / (stride[i] as number)) : Math.floor((n - (kernel[i] as number)) / (stride[i] as number)) + 1)) as [number, number];
  if (shape.some((n) => n < 1)) throw refuse(op, `a window of ${kernel.join('x')} on ${extents.join('x')}`);
  return { shape, attributes: { kernel: [...kernel], stride: [...stride], padding: mode === 0 ? 'same' : padded ? pad : 'valid' } };
}

const conv2d: Reader = (graph, op) => {
  const x = graph.value(op, 0);
  if (x.tail) graph.plain(op, 0);
  const weight = graph.constant(op, 1);
  checkWeights(op, x, weight, 4);
  const [units, kh, kw, channels] = weight.shape as [number, number, number, number];
  const { shape, attributes } = window(op, x, { kernel: [kh, kw], dilation: 4 });
  const groups = imageOf(op, x)[2] / channels;
  if (!Number.isInteger(groups) || units % groups !== 0 || (x.quantization && groups > 1)) throw refuse(op, `weights for ${channels} channels on ${x.shape[2]}${x.quantization ? ' (INT8: no groups)' : ''}`);
  const bias = x.quantization ? {} : { bias: graph.constant(op, 2) !== undefined };
  const node = place(graph, op, 'conv2d', [x], [...shape, units], { units, ...attributes, ...(groups > 1 && { groups }), ...bias }, op.options?.i8(3) ?? 0);
  weights(graph, op, node, x, weight, 0, 0);
};

const depthwiseConv2d: Reader = (graph, op) => {
  const x = graph.value(op, 0);
  if (x.tail) graph.plain(op, 0);
  const weight = graph.constant(op, 1);
  checkWeights(op, x, weight, 4);
  const [one, kh, kw, units] = weight.shape as [number, number, number, number];
  const { shape, attributes } = window(op, x, { kernel: [kh, kw], dilation: 5 });
  const multiplier = units / imageOf(op, x)[2];
  if (one !== 1 || !Number.isInteger(multiplier)) throw refuse(op, `weights [${weight.shape.join(', ')}] on ${x.shape[2]} channels`);
  const bias = x.quantization ? {} : { bias: graph.constant(op, 2) !== undefined };
  const node = place(graph, op, 'depthwiseConv2d', [x], [...shape, units], { multiplier, ...attributes, ...bias }, op.options?.i8(4) ?? 0);
  weights(graph, op, node, x, weight, 3, x.quantization ? 0 : units);
};

const fullyConnected: Reader = (graph, op) => {
  const x = flat(graph, graph.plain(op, 0));
  const weight = graph.constant(op, 1);
  checkWeights(op, x, weight, 2);
  const [units, n] = weight.shape as [number, number];
  if (n !== x.shape[0]) throw refuse(op, `weights for ${n} inputs on ${x.shape[0]}`);
  if ((op.options?.i8(1) ?? 0) !== 0) throw refuse(op, 'shuffled weights');
  const bias = x.quantization ? {} : { bias: graph.constant(op, 2) !== undefined };
  const node = place(graph, op, 'dense', [x], [units], { units, ...bias }, op.options?.i8(0) ?? 0);
  weights(graph, op, node, x, weight, 0, 0);
};

/** The same numbers as one row. */
function flat(graph: TfliteGraph, x: Value): Value {
  if (x.shape.length === 1) return x;
  return { ...x, node: graph.add('flatten', 'flatten', [x.node], {}), shape: [sizeOf(x.shape)] };
}

/** The output must have the input's quantisation: the operation moves int8 numbers as they are. */
function sameScale(graph: TfliteGraph, op: TfliteOperator, x: Value): void {
  const { quantization } = graph.output(op, x);
  if (quantization?.scale === x.quantization?.scale && quantization?.zero === x.quantization?.zero) return;
  throw refuse(op, 'tinyprop does not have it with another scale or zero point at its output than at its input');
}

const pool = (name: string): Reader => (graph, op) => {
  const x = graph.plain(op, 0);
  const { shape, attributes } = window(op, x, { kernel: [op.options?.i32(4) ?? 0, op.options?.i32(3) ?? 0] });
  sameScale(graph, op, x);
  place(graph, op, name, [x], [...shape, x.shape[2] as number], attributes, op.options?.i8(5) ?? 0);
};

const add: Reader = (graph, op) => {
  const [a, b] = [graph.plain(op, 0), graph.plain(op, 1)];
  if (a.shape.join() !== b.shape.join()) throw refuse(op, `expected two inputs of the same shape, found ${a.shape.join('x')} and ${b.shape.join('x')}`);
  if ((a.quantization === null) !== (b.quantization === null)) throw refuse(op, 'one input is INT8, the other FLOAT32');
  place(graph, op, 'add', [a, b], a.shape, {}, op.options?.i8(0) ?? 0);
};

/** An activation that is an operator of its own; of int8 numbers it only clamps. */
const activation = (number: number): Reader => (graph, op) => {
  const x = graph.plain(op, 0);
  if (x.quantization) sameScale(graph, op, x);
  const { tensor, quantization } = graph.output(op, x);
  graph.result(op, tensor, { ...x, node: activated(graph, op, x.node, number, quantization !== null) });
};

/** A function of floats alone. */
const floatOnly = (name: string, attributes: (op: TfliteOperator) => Record<string, unknown> = () => ({})): Reader => (graph, op) => {
  const x = graph.plain(op, 0);
  if (x.quantization) throw refuse(op, 'tinyprop has it for FLOAT32 alone');
  place(graph, op, name, [x], x.shape, attributes(op), 0);
};

/** SOFTMAX and LOGISTIC at the end are part of the loss; LOGISTIC elsewhere is a layer. */
const ending = (loss: LossName): Reader => (graph, op) => {
  const x = graph.plain(op, 0);
  const { tensor, quantization } = graph.output(op, x);
  const last = tensor.index === graph.file.output || graph.file.operators.some((other) => other.name === 'DEQUANTIZE' && other.inputs[0] === tensor.index && other.outputs[0] === graph.file.output);
  if (!last && loss === 'bce') return floatOnly('sigmoid')(graph, op);
  if (loss === 'softmaxCrossEntropy' && (op.options?.f32(0) ?? 0) !== 1) throw refuse(op, `expected beta 1, found ${op.options?.f32(0) ?? 0}`);
  if (sizeOf(x.shape) !== x.shape.at(-1)) throw refuse(op, `expected one row, found ${x.shape.join('x')}`);
  if (graph.options.softmax !== true || quantization === null) return graph.result(op, tensor, { ...flat(graph, x), tail: loss });
  if (loss !== 'softmaxCrossEntropy') throw refuse(op, 'tinyprop does not have it for INT8');
  if (quantization.scale !== 1 / 256 || quantization.zero !== -128) throw refuse(op, `expected the output scale 1/256 and zero point -128, found ${quantization.scale} and ${quantization.zero}`);
  place(graph, op, 'softmax', [flat(graph, x)], [x.shape.at(-1) as number], {}, 0);
};

/** Another shape for the same numbers: the input's, a flat one, or one that differs by extents of 1. */
const reshape: Reader = (graph, op) => {
  const x = graph.plain(op, 0);
  sameScale(graph, op, x);
  const { tensor } = graph.output(op, x);
  const shape = tensor.shape.slice(1);
  if (tensor.shape[0] !== 1 || sizeOf(shape) !== sizeOf(x.shape)) throw refuse(op, `[1, ${x.shape.join(', ')}] to [${tensor.shape.join(', ')}]`);
  const source = op.inputs[0] as number;
  if (shape.join() === x.shape.join()) return graph.result(op, tensor, x);
  if (shape.length === 1) return graph.result(op, tensor, flat(graph, x));
  if (source === graph.file.input && graph.readsAlone(op, source) && shape.length <= 3) {
    graph.input = shape;
    return graph.result(op, tensor, { ...x, shape });
  }
  throw refuse(op, `${x.shape.join('x')} to ${shape.join('x')}; tinyprop reshapes the input and flattens, nothing else`);
};

const pad: Reader = (graph, op) => {
  const x = graph.plain(op, 0);
  sameScale(graph, op, x);
  const [height, width, channels] = imageOf(op, x);
  const amounts = graph.constant(op, 1);
  if (amounts === undefined) throw refuse(op, 'it has no amounts');
  const [n0, n1, top, bottom, left, right, c0, c1] = graph.numbers(op, amounts, 'INT32', 8) as unknown as number[] as [number, number, number, number, number, number, number, number];
  const around = [top, bottom, left, right];
  if (n0 !== 0 || n1 !== 0 || c0 !== 0 || c1 !== 0 || around.some((n) => n < 0 || n > 0x7fff)) throw refuse(op, `expected padding of height and width alone, found [${[n0, n1, ...around, c0, c1].join(', ')}]`);
  const { tensor } = graph.output(op, x);
  // What comes next sees the input as it is, and pads.
  graph.result(op, tensor, { ...x, pad: around }, [height + top + bottom, width + left + right, channels]);
};

/** Mean over height and width. */
const mean: Reader = (graph, op) => {
  const x = graph.plain(op, 0);
  const [, , channels] = imageOf(op, x);
  if (x.quantization) throw refuse(op, 'tinyprop has it for FLOAT32 alone; AVERAGE_POOL_2D is there for INT8');
  const axes = graph.constant(op, 1);
  const found = axes && sizeOf(axes.shape) === 2 ? [...graph.numbers(op, axes, 'INT32', 2)].map((axis) => (axis < 0 ? axis + 4 : axis)).sort() : [];
  if (found.join() !== '1,2') throw refuse(op, `expected the axes 1 and 2, found [${found.join(', ')}]`);
  place(graph, op, 'globalAvgPool', [x], [channels], {}, 0);
};

const quantize: Reader = (graph, op) => {
  const x = graph.plain(op, 0);
  if (x.quantization) {
    sameScale(graph, op, x);
    return graph.result(op, graph.output(op, x).tensor, x);
  }
  const { tensor, quantization } = graph.output(op, { ...x, quantization: { scale: 1, zero: 0 } });
  graph.result(op, tensor, { ...x, node: graph.add('quantize', 'quantize', [x.node], { ...quantization }), quantization });
};

const dequantize: Reader = (graph, op) => {
  const x = graph.value(op, 0);
  if (x.pad) graph.plain(op, 0);
  if (x.quantization === null) throw refuse(op, 'its input is FLOAT32 already');
  const { tensor } = graph.output(op, { ...x, quantization: null });
  graph.result(op, tensor, { ...x, node: graph.add('dequantize', 'dequantize', [x.node], {}), quantization: null });
};

/** What can be read; a new operator is a row here. @internal */
export const operators: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['FULLY_CONNECTED', fullyConnected],
  ['CONV_2D', conv2d],
  ['DEPTHWISE_CONV_2D', depthwiseConv2d],
  ['MAX_POOL_2D', pool('maxPool2d')],
  ['AVERAGE_POOL_2D', pool('avgPool2d')],
  ['MEAN', mean],
  ['ADD', add],
  ['PAD', pad],
  ['RESHAPE', reshape],
  ['SQUEEZE', reshape],
  ['EXPAND_DIMS', reshape],
  ['RELU', activation(1)],
  ['RELU6', activation(3)],
  ['LEAKY_RELU', floatOnly('leakyRelu', (op) => ({ slope: op.options?.f32(0) ?? 0 }))],
  ['TANH', floatOnly('tanh')],
  ['LOGISTIC', ending('bce')],
  ['SOFTMAX', ending('softmaxCrossEntropy')],
  ['QUANTIZE', quantize],
  ['DEQUANTIZE', dequantize],
]);
