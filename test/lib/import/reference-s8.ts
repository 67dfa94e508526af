// SPDX-License-Identifier: Apache-2.0
// The int8 operations written down from TensorFlow Lite's specification, in plain numbers, one sample at a time: the judge of what the
// reader makes of a .tflite file. It shares no code with lib or csrc.
import type { NodeJson } from '../../../lib/graph';
import type { ImportedModel } from '../../../lib/import';
import type { TensorData } from '../../../lib/model';

/** A tensor of one sample; scale 0: f32. */
export interface Activation {
  shape: number[];
  data: Int8Array | Float32Array;
  scale: number;
  zero: number;
}

const clamp = (v: number, low: number, high: number): number => Math.min(high, Math.max(low, v));
const roundAway = (v: number): number => Math.sign(v) * Math.floor(Math.abs(v) + 0.5);

/** High half of the doubled product, rounded: (a * b * 2 + 2^31) / 2^32, saturating. */
export function doublingHighMul(a: number, b: number): number {
  if (a === -(2 ** 31) && b === a) return 2 ** 31 - 1;
  return Number((BigInt(a) * BigInt(b) + (1n << 30n)) >> 31n);
}

/** Division by 2^exponent, halves away from zero. */
export function divideByPowerOfTwo(x: number, exponent: number): number {
  const power = 2 ** exponent;
  return Math.sign(x) * Math.floor((Math.abs(x) + (exponent > 0 ? power / 2 : 0)) / power);
}

function requantize(sum: number, multiplier: number, shift: number): number {
  const left = shift > 0 ? shift : 0;
  return divideByPowerOfTwo(doublingHighMul(Math.imul(sum, 2 ** left) | 0, multiplier), left > 0 ? 0 : -shift);
}

/** A factor as multiplier and shift, found by doubling and halving. */
export function fixedPoint(factor: number): [multiplier: number, shift: number] {
  if (factor === 0) return [0, 0];
  let shift = 0;
  let m = factor;
  while (m >= 1) (m /= 2), shift++;
  while (m < 0.5) (m *= 2), shift--;
  let multiplier = Math.round(m * 2 ** 31);
  if (multiplier === 2 ** 31) (multiplier = 2 ** 30), shift++;
  return shift < -31 ? [0, 0] : [multiplier, shift];
}

interface Windows {
  kernel: number[];
  stride: number[];
  lead: number[];
  out: number[];
}

function windows(node: NodeJson, [h, w]: number[]): Windows {
  const kernel = node['kernel'] as number[];
  const stride = node['stride'] as number[];
  const padding = node['padding'] as 'same' | 'valid' | number[];
  const axis = (n: number, i: number): [number, number] => {
    const [k, s] = [kernel[i]!, stride[i]!];
    if (padding === 'same') {
      const out = Math.ceil(n / s);
      return [out, Math.floor(Math.max(0, (out - 1) * s + k - n) / 2)];
    }
    const [before, after] = padding === 'valid' ? [0, 0] : [padding[2 * i]!, padding[2 * i + 1]!];
    return [Math.floor((n + before + after - k) / s) + 1, before];
  };
  const rows = axis(h!, 0);
  const columns = axis(w!, 1);
  return { kernel, stride, lead: [rows[1], columns[1]], out: [rows[0], columns[0]] };
}

/** Calls `visit` with (output position, kernel position, input position) of every real element under every window. */
function slide(g: Windows, [h, w]: number[], visit: (output: number, tap: number, input: number) => void): void {
  for (let oy = 0; oy < g.out[0]!; oy++)
    for (let ox = 0; ox < g.out[1]!; ox++)
      for (let ky = 0; ky < g.kernel[0]!; ky++)
        for (let kx = 0; kx < g.kernel[1]!; kx++) {
          const [iy, ix] = [oy * g.stride[0]! + ky - g.lead[0]!, ox * g.stride[1]! + kx - g.lead[1]!];
          if (iy >= 0 && iy < h! && ix >= 0 && ix < w!) visit(oy * g.out[1]! + ox, ky * g.kernel[1]! + kx, iy * w! + ix);
        }
}

type Operation = (node: NodeJson, x: Activation[], tensor: (part: string) => TensorData) => Activation;

function layer(shape: number[], node: NodeJson, units: number, sums: Int32Array, tensor: (part: string) => TensorData): Activation {
  const [bias, requant] = [tensor('bias'), tensor('requant')];
  const zero = node['zero'] as number;
  const data = Int8Array.from(sums, (sum, i) => {
    const o = i % units;
    return clamp(requantize((sum + bias[o]!) | 0, requant[o]!, requant[units + o]!) + zero, -128, 127);
  });
  return { shape, data, scale: node['scale'] as number, zero };
}

const dense: Operation = (node, [x], tensor) => {
  const weight = tensor('weight');
  const n = x!.data.length;
  const units = weight.length / n;
  const sums = Int32Array.from({ length: units }, (_, o) => (x!.data as Int8Array).reduce((sum, q, i) => sum + (q - x!.zero) * weight[o * n + i]!, 0));
  return layer([units], node, units, sums, tensor);
};

const conv2d: Operation = (node, [x], tensor) => {
  const weight = tensor('weight');
  const channels = x!.shape[2]!;
  const g = windows(node, x!.shape);
  const taps = g.kernel[0]! * g.kernel[1]!;
  const units = weight.length / taps / channels;
  const sums = new Int32Array(g.out[0]! * g.out[1]! * units);
  slide(g, x!.shape, (output, tap, input) => {
    for (let o = 0; o < units; o++)
      for (let c = 0; c < channels; c++) sums[output * units + o]! += (x!.data[input * channels + c]! - x!.zero) * weight[(o * taps + tap) * channels + c]!;
  });
  return layer([...g.out, units], node, units, sums, tensor);
};

const depthwise: Operation = (node, [x], tensor) => {
  const weight = tensor('weight');
  const channels = x!.shape[2]!;
  const g = windows(node, x!.shape);
  const units = weight.length / (g.kernel[0]! * g.kernel[1]!);
  const sums = new Int32Array(g.out[0]! * g.out[1]! * units);
  slide(g, x!.shape, (output, tap, input) => {
    for (let o = 0; o < units; o++) sums[output * units + o]! += (x!.data[input * channels + Math.floor(o / (units / channels))]! - x!.zero) * weight[tap * units + o]!;
  });
  return layer([...g.out, units], node, units, sums, tensor);
};

const pool = (average: boolean): Operation => (node, [x]) => {
  const channels = x!.shape[2]!;
  const g = windows(node, x!.shape);
  const size = g.out[0]! * g.out[1]! * channels;
  const [sum, count, most] = [new Int32Array(size), new Int32Array(size), new Int8Array(size).fill(-128)];
  slide(g, x!.shape, (output, _, input) => {
    for (let c = 0; c < channels; c++) {
      const [q, at] = [x!.data[input * channels + c]!, output * channels + c];
      sum[at]! += q;
      count[at]!++;
      most[at] = Math.max(most[at]!, q);
    }
  });
  // Halves away from zero, by whole numbers.
  const mean = sum.map((s, i) => Math.trunc((s + Math.sign(s) * Math.floor(count[i]! / 2)) / count[i]!));
  return { ...x!, shape: [...g.out, channels], data: average ? Int8Array.from(mean) : most };
};

const clamped: Operation = (node, [x]) => {
  const { scale, zero } = x!;
  const max = node['max'] as number;
  const lo = Math.max(-128, zero);
  const hi = max === 0 ? 127 : Math.min(127, zero + roundAway(Math.fround(max / scale)));
  return { ...x!, data: x!.data.map((q) => clamp(q, lo, hi)) };
};

const add: Operation = (node, [a, b]) => {
  const twice = 2 * Math.max(a!.scale, b!.scale);
  const [y, zero] = [node['scale'] as number, node['zero'] as number];
  const [ma, mb, my] = [fixedPoint(a!.scale / twice), fixedPoint(b!.scale / twice), fixedPoint(twice / (2 ** 20 * y))];
  const data = Int8Array.from(a!.data as Int8Array, (q, i) => {
    const sum = requantize((q - a!.zero) * 2 ** 20, ...ma) + requantize((b!.data[i]! - b!.zero) * 2 ** 20, ...mb);
    return clamp(requantize(sum, ...my) + zero, -128, 127);
  });
  return { shape: a!.shape, data, scale: y, zero };
};

/** gemmlowp's exp of a number of at most 0 with 5 integer bits, as a fraction of 2^31. */
function expOnNegative(a: number): number {
  const quarter = 1 << 24;
  const mask = quarter - 1;
  const remainder = (a & mask) - quarter;
  let result = expBetweenQuarter(remainder << 5);
  const rest = remainder - a;
  const factors = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];
  for (const [i, factor] of factors.entries()) if (rest & (1 << (24 + i))) result = doublingHighMul(result, factor);
  return a === 0 ? 2 ** 31 - 1 : result;
}

/** exp on [-1/4, 0) around -1/8, as a series to the fourth power. */
function expBetweenQuarter(a: number): number {
  const x = (a + (1 << 28)) | 0;
  const x2 = doublingHighMul(x, x);
  const x3 = doublingHighMul(x2, x);
  const x4 = doublingHighMul(x2, x2);
  const fourth = divideByPowerOfTwo(x4, 2);
  const rest = divideByPowerOfTwo((doublingHighMul((fourth + x3) | 0, 715827883) + x2) | 0, 1);
  return (1895147668 + doublingHighMul(1895147668, (x + rest) | 0)) | 0;
}

const multiplyByPowerOfTwo = (x: number, exponent: number): number => clamp(x * 2 ** exponent, -(2 ** 31), 2 ** 31 - 1);
const halfSum = (a: number, b: number): number => { const s = a + b; return Math.trunc((s + (s >= 0 ? 1 : -1)) / 2); };

/** 1 / (1 + a) for a in [0, 1), both fractions of 2^31: three steps of Newton and Raphson. */
function oneOverOnePlus(a: number): number {
  const half = halfSum(a, 2 ** 31 - 1);
  let x = (1515870810 + doublingHighMul(half, -1010580540)) | 0;
  for (let i = 0; i < 3; i++) {
    const error = (1 << 29) - doublingHighMul(half, x);
    x = (x + multiplyByPowerOfTwo(doublingHighMul(x, error), 2)) | 0;
  }
  return multiplyByPowerOfTwo(x, 1);
}

const softmax: Operation = (_, [x]) => {
  const [multiplier, left] = fixedPoint(Math.min(x!.scale * 2 ** 26, 2 ** 31 - 1));
  const least = -Math.floor((31 * 2 ** 26) / 2 ** left);
  const most = Math.max(...x!.data);
  const powers = Array.from(x!.data, (q) => (q - most < least ? null : expOnNegative(doublingHighMul((q - most) * 2 ** left, multiplier))));
  const sum = powers.reduce((total: number, p) => total + (p === null ? 0 : divideByPowerOfTwo(p, 12)), 0);
  const headroom = Math.clz32(sum);
  const scale = oneOverOnePlus(Number((BigInt(sum) << BigInt(headroom)) - (1n << 31n)));
  const data = Int8Array.from(powers, (p) => (p === null ? -128 : clamp(divideByPowerOfTwo(doublingHighMul(scale, p), 12 - headroom + 31 - 8) - 128, -128, 127)));
  return { shape: x!.shape, data, scale: 1 / 256, zero: -128 };
};

const quantize: Operation = (node, [x]) => {
  const [scale, zero] = [node['scale'] as number, node['zero'] as number];
  const data = x!.data instanceof Int8Array ? x!.data : Int8Array.from(x!.data, (v) => clamp(roundAway(Math.fround(v / scale)) + zero, -128, 127));
  return { shape: x!.shape, data, scale, zero };
};

const dequantize: Operation = (_, [x]) => ({ shape: x!.shape, data: Float32Array.from(x!.data, (q) => x!.scale * (q - x!.zero)), scale: 0, zero: 0 });

const operations: Record<string, Operation> = {
  quantize,
  dequantize,
  denseS8: dense,
  conv2dS8: conv2d,
  depthwiseConv2dS8: depthwise,
  maxPool2dS8: pool(false),
  avgPool2dS8: pool(true),
  addS8: add,
  softmaxS8: softmax,
  clampS8: clamped,
  flatten: (_, [x]) => ({ ...x!, shape: [x!.data.length] }),
};

/** Output of every node for one sample, which is int8 where the model's input is. */
export function evaluate({ json, tensors }: ImportedModel, sample: Int8Array | Float32Array): Map<string, Activation> {
  const done = new Map<string, Activation>([['input', { shape: json.input, data: sample, scale: 0, zero: 0 }]]);
  for (const node of json.nodes) {
    const operation = operations[node.op];
    if (!operation) throw new Error(`no reference for ${node.op}`);
    done.set(node.name, operation(node, node.inputs.map((input) => done.get(input)!), (part) => tensors.get(`${node.name}.${part}`)!.data));
  }
  return done;
}
