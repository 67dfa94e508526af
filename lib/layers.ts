// SPDX-License-Identifier: Apache-2.0

/** Names of the operations of a model, as the JSON description writes them. */
export type LayerOp =
  | 'dense'
  | 'conv2d'
  | 'conv1d'
  | 'depthwiseConv2d'
  | 'maxPool2d'
  | 'avgPool2d'
  | 'globalAvgPool'
  | 'relu'
  | 'relu6'
  | 'leakyRelu'
  | 'sigmoid'
  | 'tanh'
  | 'batchNorm'
  | 'add'
  | 'flatten'
  | 'dropout'
  | 'quantize'
  | 'dequantize'
  | 'denseS8'
  | 'conv2dS8'
  | 'depthwiseConv2dS8'
  | 'clampS8'
  | 'maxPool2dS8'
  | 'avgPool2dS8'
  | 'addS8'
  | 'softmaxS8';

/** Padding of a two-dimensional window: as TensorFlow's, or rows and columns as `[top, bottom, left, right]`. */
export type Padding2d = 'same' | 'valid' | readonly [number, number, number, number];
/** Padding of a window over time: as TensorFlow's, or `[begin, end]` steps. */
export type Padding1d = 'same' | 'valid' | readonly [number, number];
/** How weights are initialised (He 2015, Glorot 2010), from the recipe's seed. */
export type Init = 'heUniform' | 'glorotUniform';

/** How the output of an int8 layer stands for real numbers: `scale * (q - zero)`. */
export interface Quantization {
  /** Above 0. */
  scale: number;
  /** -128 to 127. */
  zero: number;
}

/** One layer before it is placed in a graph: an operation and its attributes. */
export interface LayerSpec {
  /** What the layer is. */
  readonly op: LayerOp;
  /** Unique name, at most 31 bytes; without it the model calls it `dense1`, `dense2`, `relu1` ... */
  readonly name?: string;
  readonly [attribute: string]: unknown;
}

/** What every layer takes. */
export interface LayerOptions {
  /** Unique name in the model, at most 31 bytes. */
  name?: string;
}

/** What layers with weights take besides. */
export interface WeightOptions extends LayerOptions {
  /** A bias per output; default true. */
  bias?: boolean;
  /** Initial weights; default `heUniform`. */
  init?: Init;
  /** Keep the parameters as they are; `weights`: but for the bias; default false. */
  frozen?: boolean | 'weights';
}

/** Options of {@link conv2d}. Extents are height and width; a single number means both. */
export interface Conv2dOptions extends WeightOptions {
  /** Output channels, at least 1. */
  units: number;
  /** Extent of the window. */
  kernel: number | readonly [number, number];
  /** Step of the window; default 1. */
  stride?: number | readonly [number, number];
  /** Default `valid`: no padding. */
  padding?: Padding2d;
  /** Divides input and output channels; default 1. */
  groups?: number;
}

/** Options of {@link conv1d}; extents are time steps. */
export interface Conv1dOptions extends WeightOptions {
  /** Output channels, at least 1. */
  units: number;
  /** Time steps of the window. */
  kernel: number;
  /** Step of the window; default 1. */
  stride?: number;
  /** Default `valid`: no padding. */
  padding?: Padding1d;
  /** Divides input and output channels; default 1. */
  groups?: number;
}

/** Options of {@link depthwiseConv2d}. */
export interface DepthwiseConv2dOptions extends WeightOptions {
  /** Output channels per input channel; default 1. */
  multiplier?: number;
  /** Extent of the window. */
  kernel: number | readonly [number, number];
  /** Step of the window; default 1. */
  stride?: number | readonly [number, number];
  /** Default `valid`: no padding. */
  padding?: Padding2d;
}

/** Options of {@link maxPool2d} and {@link avgPool2d}. */
export interface Pool2dOptions extends LayerOptions {
  /** Extent of the window. */
  kernel: number | readonly [number, number];
  /** Step of the window; default: the kernel. */
  stride?: number | readonly [number, number];
  /** Default `valid`: no padding. */
  padding?: Padding2d;
}

function pair(value: number | readonly [number, number]): readonly [number, number] {
  return typeof value === 'number' ? [value, value] : value;
}

function spec(op: LayerOp, attributes: object): LayerSpec {
  const entries = Object.entries(attributes).filter(([, value]) => value !== undefined);
  return { op, ...Object.fromEntries(entries) };
}

/**
 * Fully connected layer: `[n]` in, `[units]` out; `z = W x + b`, W stored `[units][n]`.
 *
 * @param units outputs, at least 1
 */
export function dense(units: number, options: WeightOptions = {}): LayerSpec {
  return spec('dense', { units, ...options });
}

/** Convolution over `[h, w, c]`, weights `[units][kh][kw][c / groups]`; the result is `[h', w', units]`. */
export function conv2d(options: Conv2dOptions): LayerSpec {
  return spec('conv2d', { ...options, kernel: pair(options.kernel), stride: pair(options.stride ?? 1) });
}

/** Convolution over time, `[time, c]` in, `[time', units]` out, weights `[units][1][kernel][c / groups]`. */
export function conv1d(options: Conv1dOptions): LayerSpec {
  return spec('conv1d', { stride: 1, ...options });
}

/** Convolution of every channel by itself, `[h, w, c]` in, `[h', w', c * multiplier]` out. */
export function depthwiseConv2d(options: DepthwiseConv2dOptions): LayerSpec {
  return spec('depthwiseConv2d', {
    multiplier: 1,
    ...options,
    kernel: pair(options.kernel),
    stride: pair(options.stride ?? 1),
  });
}

/** Largest value of every window, channel by channel; the first one wins a tie. */
export function maxPool2d(options: Pool2dOptions): LayerSpec {
  return spec('maxPool2d', { ...options, kernel: pair(options.kernel), stride: pair(options.stride ?? options.kernel) });
}

/** Mean of every window, channel by channel, over its real (not padded) elements. */
export function avgPool2d(options: Pool2dOptions): LayerSpec {
  return spec('avgPool2d', { ...options, kernel: pair(options.kernel), stride: pair(options.stride ?? options.kernel) });
}

/** Mean over all positions: `[h, w, c]` or `[time, c]` in, `[c]` out. */
export function globalAvgPool(options: LayerOptions = {}): LayerSpec {
  return spec('globalAvgPool', options);
}

/** `max(x, 0)`; the derivative at 0 is 0. */
export function relu(options: LayerOptions = {}): LayerSpec {
  return spec('relu', options);
}

/** `min(max(x, 0), 6)`; the derivative is 1 inside (0, 6), 0 elsewhere. */
export function relu6(options: LayerOptions = {}): LayerSpec {
  return spec('relu6', options);
}

/**
 * `x` above 0, `slope * x` below.
 *
 * @param options slope: default 0.01
 */
export function leakyRelu(options: LayerOptions & { slope?: number } = {}): LayerSpec {
  return spec('leakyRelu', { slope: 0.01, ...options });
}

/** `1 / (1 + exp(-x))`. For a last layer use the loss `bce`, which contains it. */
export function sigmoid(options: LayerOptions = {}): LayerSpec {
  return spec('sigmoid', options);
}

/** Hyperbolic tangent. */
export function tanh(options: LayerOptions = {}): LayerSpec {
  return spec('tanh', options);
}

/**
 * Batch normalisation with frozen statistics: `gamma (x - mean) / sqrt(variance + epsilon) + beta` per channel;
 * gamma and beta train unless `frozen`.
 *
 * @param options epsilon: default 1e-5
 */
export function batchNorm(options: LayerOptions & { epsilon?: number; frozen?: boolean } = {}): LayerSpec {
  return spec('batchNorm', { epsilon: 1e-5, ...options });
}

/** Sum of two tensors of the same shape (residual connection); in a graph: `g.add(add(), a, b)`. */
export function add(options: LayerOptions = {}): LayerSpec {
  return spec('add', options);
}

/** The same numbers as one row: `[h, w, c]` in, `[h * w * c]` out. */
export function flatten(options: LayerOptions = {}): LayerSpec {
  return spec('flatten', options);
}

/**
 * Sets a share of the values to 0 during training and scales the others by `1 / (1 - rate)`; seeded.
 *
 * @param rate share of values, 0 <= rate < 1
 */
export function dropout(rate: number, options: LayerOptions = {}): LayerSpec {
  return spec('dropout', { rate, ...options });
}

/** Reals to int8: `clamp(round(x / scale) + zero, -128, 127)`, halves away from zero (TensorFlow Lite's QUANTIZE). */
export function quantize(options: LayerOptions & Quantization): LayerSpec {
  return spec('quantize', options);
}

/** Int8 to reals: `scale * (q - zero)` of its input. The last layer of an int8 model: losses are of reals. */
export function dequantize(options: LayerOptions = {}): LayerSpec {
  return spec('dequantize', options);
}

/** Weights of int8 layers: they always have a bias. */
export type WeightOptionsS8 = Omit<WeightOptions, 'bias'> & Quantization;

/**
 * Fully connected int8 layer (TensorFlow Lite's FULLY_CONNECTED), `[n]` in, `[units]` out; a scale per output.
 *
 * @param units outputs, at least 1
 */
export function denseS8(units: number, options: WeightOptionsS8): LayerSpec {
  return spec('denseS8', { units, ...options });
}

/** Int8 convolution (TensorFlow Lite's CONV_2D), weights `[units][kh][kw][c]`; a scale per output channel. */
export function conv2dS8(options: Omit<Conv2dOptions, 'bias' | 'groups'> & Quantization): LayerSpec {
  return spec('conv2dS8', { ...options, kernel: pair(options.kernel), stride: pair(options.stride ?? 1) });
}

/** Int8 depthwise convolution (TensorFlow Lite's DEPTHWISE_CONV_2D), weights `[1][kh][kw][c * multiplier]`; a scale per output channel. */
export function depthwiseConv2dS8(options: Omit<DepthwiseConv2dOptions, 'bias'> & Quantization): LayerSpec {
  return spec('depthwiseConv2dS8', { multiplier: 1, ...options, kernel: pair(options.kernel), stride: pair(options.stride ?? 1) });
}

/**
 * Relu of int8: keeps the real value at 0 or above, and at `max` or below if that is not 0. Scale and zero are those of its input.
 *
 * @param options max: upper bound, default 0: none; 6 is relu6
 */
export function clampS8(options: LayerOptions & { max?: number } = {}): LayerSpec {
  return spec('clampS8', { max: 0, ...options });
}

/** {@link maxPool2d} of int8; scale and zero are those of its input. */
export function maxPool2dS8(options: Pool2dOptions): LayerSpec {
  return spec('maxPool2dS8', { ...options, kernel: pair(options.kernel), stride: pair(options.stride ?? options.kernel) });
}

/** {@link avgPool2d} of int8, halves away from zero; scale and zero are those of its input. */
export function avgPool2dS8(options: Pool2dOptions): LayerSpec {
  return spec('avgPool2dS8', { ...options, kernel: pair(options.kernel), stride: pair(options.stride ?? options.kernel) });
}

/** Sum of two int8 tensors of the same shape, each of its own scale (TensorFlow Lite's ADD). */
export function addS8(options: LayerOptions & Quantization): LayerSpec {
  return spec('addS8', options);
}

/** Softmax of int8 in fixed point (TensorFlow Lite's SOFTMAX): scale 1/256, zero -128. For inference; training has the loss's own. */
export function softmaxS8(options: LayerOptions = {}): LayerSpec {
  return spec('softmaxS8', { scale: 1 / 256, zero: -128, ...options });
}
