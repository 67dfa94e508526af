// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';

/**
 * Samples in memory, ready for training: inputs already normalised, labels already class indices.
 * Exactly one of `labels` and `targets` is present.
 */
export interface Dataset {
  /** Short name for tables and messages, such as `digits` or `idx:mnist`. */
  readonly name: string;
  /** Inputs: `n * prod(inputShape)` numbers, one sample after the other, channels last within a sample. */
  readonly x: Float32Array;
  /** Number of samples. */
  readonly n: number;
  /** `[features]`, `[time, channels]` or `[height, width, channels]`. */
  readonly inputShape: readonly number[];
  /** Class indices, length `n`. */
  readonly labels?: Uint32Array;
  /** Regression or binary-cross-entropy targets, `n * targetSize` numbers. */
  readonly targets?: Float32Array;
  /** Numbers per target. */
  readonly targetSize?: number;
  /** Class names; `classes[labels[i]]` names the class of sample i. */
  readonly classes?: readonly string[];
}

/** How inputs were centred and scaled: none, minus the mean, or minus the mean and divided by the deviation. */
export type NormalizeMode = 'none' | 'mean' | 'standard';

/**
 * What was done to the inputs, so that `predict` can do the same:
 * `x = (x * scale - mean[c]) / std[c]`, c the channel (last axis), every operation rounded to float32.
 */
export interface Normalization {
  /** Which of the three was asked for. */
  readonly mode: NormalizeMode;
  /** First factor, such as 1/255 for bytes; a float32 value. */
  readonly scale: number;
  /** Mean of the scaled training inputs, one per channel; float32 values. */
  readonly mean: number[];
  /** Standard deviation (of the population) of the scaled training inputs; all 1 unless mode is `standard`. */
  readonly std: number[];
}

/** What {@link loadData} returns. */
export interface DataSplit {
  /** Samples to train with. */
  readonly train: Dataset;
  /** Absent only if the data cannot be split (a single sample). */
  readonly test?: Dataset;
  /** What was done to the inputs of both parts. */
  readonly normalization: Normalization;
  /** Things worth telling a person that are no errors: a missing CIFAR batch, a split made here. */
  readonly notices: string[];
  /** True: the inputs were int8 numbers in their file (`npy:`), which an int8 model takes as they are. */
  readonly int8?: boolean;
}

/** Number of values in a sample of this shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** A normalisation that changes nothing but the scale. */
export function identityNormalization(channels: number, scale = 1): Normalization {
  return {
    mode: 'none',
    scale: Math.fround(scale),
    mean: new Array<number>(channels).fill(0),
    std: new Array<number>(channels).fill(1),
  };
}

/**
 * Mean and deviation per channel over the training inputs: float64 sums of the float32 products `x * scale`
 * in storage order (two passes for the deviation), rounded to float32 at the end. A channel that never
 * varies gets deviation 1.
 *
 * @param x raw training inputs, channels last
 * @throws TinypropError ERR_TINYPROP_SHAPE if `x` does not hold whole groups of `channels`
 */
export function computeNormalization(
  x: ArrayLike<number>,
  channels: number,
  mode: NormalizeMode,
  scale = 1,
): Normalization {
  const norm = identityNormalization(channels, scale);
  if (mode === 'none') return norm;
  checkChannels(x.length, channels);
  const rows = x.length / channels;
  const mean = channelSums(x, channels, norm.scale, null).map((sum) => Math.fround(sum / Math.max(1, rows)));
  if (mode === 'mean') return { ...norm, mode, mean };
  const std = channelSums(x, channels, norm.scale, mean).map((sum) => {
    const deviation = Math.fround(Math.sqrt(sum / Math.max(1, rows)));
    return deviation > 0 ? deviation : 1;
  });
  return { mode, scale: norm.scale, mean, std };
}

/** Sums per channel of the scaled values, or of their squared distances from `mean`. */
function channelSums(x: ArrayLike<number>, channels: number, scale: number, mean: number[] | null): number[] {
  const sums = new Float64Array(channels);
  for (let i = 0, c = 0; i < x.length; i++) {
    const value = Math.fround((x[i] as number) * scale);
    const distance = mean ? value - (mean[c] as number) : 0;
    sums[c] = (sums[c] as number) + (mean ? distance * distance : value);
    if (++c === channels) c = 0;
  }
  return Array.from(sums);
}

/**
 * Normalises `x` in place as {@link Normalization} says.
 *
 * @param x inputs, channels last, a multiple of `channels` long
 * @throws TinypropError ERR_TINYPROP_SHAPE if lengths do not fit
 */
export function applyNormalization(x: Float32Array, channels: number, norm: Normalization): void {
  checkChannels(x.length, channels);
  if (norm.mean.length !== channels || norm.std.length !== channels) {
    throw new TinypropError(
      'ERR_TINYPROP_SHAPE',
      `normalization has ${norm.mean.length} means and ${norm.std.length} deviations, the data have ${channels} channels`,
      { expected: channels, found: norm.mean.length },
    );
  }
  const { scale } = norm;
  const mean = Float32Array.from(norm.mean);
  const std = Float32Array.from(norm.std);
  const divide = std.some((value) => value !== 1);
  const subtract = mean.some((value) => value !== 0);
  if (scale === 1 && !divide && !subtract) return;
  for (let i = 0, c = 0; i < x.length; i++) {
    const centred = Math.fround(Math.fround((x[i] as number) * scale) - (mean[c] as number));
    x[i] = divide ? centred / (std[c] as number) : centred;
    if (++c === channels) c = 0;
  }
}

function checkChannels(length: number, channels: number): void {
  if (!Number.isInteger(channels) || channels < 1 || length % channels !== 0) {
    throw new TinypropError('ERR_TINYPROP_SHAPE', `${length} values do not divide into ${channels} channels`, {
      length,
      channels,
    });
  }
}
