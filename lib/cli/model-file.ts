// SPDX-License-Identifier: Apache-2.0
import type { DataSplit } from '../data';
import { inputQuantization } from '../graph';
import type { Model } from '../model';
import { percent } from '../report/format';
import type { Output } from './output';

/** Numbers that are int8 already, for a model of int8: the reals that it turns into the same int8. */
export function feedInt8(x: Float32Array, model: Model): void {
  const quantization = inputQuantization(model.toJSON());
  if (quantization === undefined) return;
  const { scale, zero } = quantization;
  for (let i = 0; i < x.length; i++) x[i] = scale * ((x[i] as number) - zero);
}

/**
 * Data that were not normalised, in the units of an int8 model: {@link feedInt8} for numbers that were int8 in their file, and bytes of
 * images, 0 to 255, as -128 to 127 where the model's file takes int8.
 */
export function feedSplit(split: DataSplit, model: Model, out: Output): DataSplit {
  const { mode, scale } = split.normalization;
  const pixels = model.meta['input'] === 'int8' && scale === Math.fround(1 / 255);
  const ints = mode === 'none' && (split.int8 === true || pixels);
  for (const part of ints ? [split.train, split.test] : []) {
    if (!part) continue;
    if (pixels) for (let i = 0; i < part.x.length; i++) part.x[i] = Math.round((part.x[i] as number) * 255) - 128;
    feedInt8(part.x, model);
  }
  noteRange((split.test ?? split.train).x, model, out);
  return split;
}

/** Share of the inputs that may saturate before the user hears of it. */
const mayExceed = 0.05;

/** Says so where inputs are hardly in the units of an int8 model: many beyond its range, or all within a few of its 255 steps. */
export function noteRange(x: Float32Array, model: Model, out: Output): void {
  const quantization = inputQuantization(model.toJSON());
  if (quantization === undefined) return;
  const { scale, zero } = quantization;
  const [low, high] = [scale * (-128 - zero), scale * (127 - zero)];
  let beyond = 0;
  let [min, max] = [Infinity, -Infinity];
  for (const value of x) {
    if (value < low - scale || value > high + scale) beyond++;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const range = `${Number(low.toPrecision(4))} to ${Number(high.toPrecision(4))}`;
  if (beyond > mayExceed * x.length) out.note(`note: ${percent(beyond / x.length)} of the inputs lie beyond what the model's int8 input holds, ${range}, and saturate; it expects reals in its units, or int8 arrays (|i1)`);
  else if (max - min < 4 * scale) out.note(`note: all inputs lie within ${Number((max - min).toPrecision(4))}, of what the model's int8 input holds, ${range}; it expects reals in its units, or int8 arrays (|i1)`);
}
