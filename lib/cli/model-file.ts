// SPDX-License-Identifier: Apache-2.0
import type { DataSplit } from '../data';
import { inputQuantization } from '../graph';
import type { Model } from '../model';

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
export function feedSplit(split: DataSplit, model: Model): DataSplit {
  const { mode, scale } = split.normalization;
  const pixels = model.meta['input'] === 'int8' && scale === Math.fround(1 / 255);
  if (mode !== 'none' || !(split.int8 === true || pixels)) return split;
  for (const part of [split.train, split.test]) {
    if (!part) continue;
    if (pixels) for (let i = 0; i < part.x.length; i++) part.x[i] = Math.round((part.x[i] as number) * 255) - 128;
    feedInt8(part.x, model);
  }
  return split;
}
