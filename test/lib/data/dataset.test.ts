// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { applyNormalization, computeNormalization } from '../../../lib/data/dataset';
import { failure } from './helpers';

describe('normalisation', () => {
  it('subtracts one mean per channel', () => {
    const x = Float32Array.of(1, 10, 3, 30, 5, 50);
    const norm = computeNormalization(x, 2, 'mean', 0.5);
    expect(norm).toEqual({ mode: 'mean', scale: 0.5, mean: [1.5, 15], std: [1, 1] });
    applyNormalization(x, 2, norm);
    expect([...x]).toEqual([-1, -10, 0, 0, 1, 10]);
  });

  it('divides by the deviation of the population and leaves a constant channel alone', () => {
    const x = Float32Array.of(1, 7, 3, 7, 5, 7, 7, 7);
    const norm = computeNormalization(x, 2, 'standard');
    expect(norm.std).toEqual([Math.fround(Math.sqrt(5)), 1]);
    applyNormalization(x, 2, norm);
    expect(x[1]).toBe(0);
    expect(x[0]).toBe(Math.fround(-3 / Math.fround(Math.sqrt(5))));
  });

  it('rounds every operation to float32, as a device would', () => {
    const norm = { mode: 'mean' as const, scale: Math.fround(1 / 255), mean: [Math.fround(0.1307)], std: [1] };
    for (let byte = 0; byte < 256; byte++) {
      const x = Float32Array.of(byte);
      applyNormalization(x, 1, norm);
      expect(x[0]).toBe(Math.fround(Math.fround(byte * norm.scale) - (norm.mean[0] as number)));
    }
  });

  it('refuses lengths that do not fit', async () => {
    const norm = computeNormalization(Float32Array.of(1, 2), 2, 'mean');
    await failure(() => applyNormalization(new Float32Array(3), 2, norm), 'ERR_TINYPROP_SHAPE');
    await failure(() => applyNormalization(new Float32Array(3), 3, norm), 'ERR_TINYPROP_SHAPE');
  });
});
