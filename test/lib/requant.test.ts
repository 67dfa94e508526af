// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quantizeMultiplier, requantOf } from '../../lib/requant';
import { fixedPoint } from './import/reference-s8';

describe('quantizeMultiplier', () => {
  it.each([
    [1, 2 ** 30, 1],
    [0.5, 2 ** 30, 0],
    [0.75, 3 * 2 ** 29, 0],
    [3, 3 * 2 ** 29, 2],
    // Rounds up to 2^31, which is half of it and one shift more.
    [1 - 2 ** -33, 2 ** 30, 1],
    [1 - 2 ** -31, 2 ** 31 - 1, 0],
    [2 ** -32, 2 ** 30, -31],
    [2 ** -33, 0, 0],
  ])('%f', (factor, multiplier, shift) => expect(quantizeMultiplier(factor)).toEqual({ multiplier, shift }));

  it('agrees with doubling and halving', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-12, max: 1e6, noNaN: true }), (factor) => {
        const { multiplier, shift } = quantizeMultiplier(factor);
        expect([multiplier, shift]).toEqual(fixedPoint(factor));
        if (factor > 2 ** -31) expect(Math.abs((multiplier * 2 ** (shift - 31)) / factor - 1)).toBeLessThanOrEqual(2 ** -31);
      }),
    );
  });
});

describe('requantOf', () => {
  const f = Math.fround;
  it('holds multipliers, then shifts', () => {
    expect(requantOf(0.5, Float32Array.of(1, 0.25), 0.75, false)).toEqual(Int32Array.of(...[2 / 3, 1 / 6].map((x) => quantizeMultiplier(x).multiplier), 0, -2));
  });

  it('rounds the product of the scales to float32 where TensorFlow Lite does', () => {
    const [x, w, y] = [f(0.1), f(0.3), f(0.2)];
    expect(requantOf(x, Float32Array.of(w), y, false)![0]).toBe(fixedPoint((x * w) / y)[0]);
    expect(requantOf(x, Float32Array.of(w), y, true)![0]).toBe(fixedPoint(f(x * w) / y)[0]);
    expect(requantOf(x, Float32Array.of(w), y, true)).not.toEqual(requantOf(x, Float32Array.of(w), y, false));
  });

  it('gives up above what fixed point holds, and is 0 for nothing', () => {
    expect(requantOf(1e30, Float32Array.of(1), 1, false)).toBeNull();
    expect(requantOf(2 ** 29.9, Float32Array.of(1), 1, false)).not.toBeNull();
    expect(requantOf(1e-30, Float32Array.of(1e-30), 1, true)).toEqual(Int32Array.of(0, 0));
  });
});
