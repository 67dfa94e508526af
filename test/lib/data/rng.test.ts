// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { philox4x32, Rng, rngPurpose } from '../../../lib/data/rng';
import { failure } from './helpers';

describe('philox4x32', () => {
  // Known answers published with the reference implementation (Random123, kat_vectors).
  const f = 0xffffffff;
  it.each([
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [[f, f, f, f], [f, f], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('counter %j key %j', (counter, key, expected) => {
    const out = new Uint32Array(4);
    philox4x32(Uint32Array.from(counter), key[0] as number, key[1] as number, out);
    expect([...out]).toEqual(expected);
  });
});

describe('Rng', () => {
  it('gives the same stream for the same seed and another for another seed, purpose or n', () => {
    const take = (seed: number, purpose: number, n: number) => Array.from({ length: 6 }, ((rng) => () => rng.next())(new Rng(seed, purpose, 0, n)));
    expect(take(7, 16, 3)).toEqual(take(7, 16, 3));
    expect(take(7, 16, 3)).not.toEqual(take(8, 16, 3));
    expect(take(7, 16, 3)).not.toEqual(take(7, 17, 3));
    expect(take(7, 16, 3)).not.toEqual(take(7, 16, 4));
    expect(take(7 + 2 ** 32, 16, 3)).not.toEqual(take(7, 16, 3));
  });

  it('draws below a bound without leaving it and reaches every value', () => {
    const rng = new Rng(1, rngPurpose.split);
    const counts = new Array<number>(5).fill(0);
    for (let i = 0; i < 5000; i++) counts[rng.below(5)]!++;
    expect(counts.reduce((a, b) => a + b)).toBe(5000);
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('draws normal numbers of mean 0 and deviation 1', () => {
    const rng = new Rng(1, rngPurpose.augment);
    const values = Array.from({ length: 20000 }, () => rng.normal());
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });

  it('refuses a seed that is no integer', async () => {
    await failure(() => new Rng(0.5, 1), 'ERR_TINYPROP_ARG');
    await failure(() => new Rng(-1, 1), 'ERR_TINYPROP_ARG');
  });
});
