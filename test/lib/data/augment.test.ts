// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type AugmentOptions, Augmenter } from '../../../lib/data';
import { failure } from './helpers';

function run(options: AugmentOptions, shape: number[], x: Float32Array, epoch = 0, index = 0, seed = 1): number[] {
  const out = new Float32Array(x.length);
  new Augmenter(options, shape, seed).apply(x, out, epoch, index);
  return [...out];
}

const image = Float32Array.from({ length: 4 * 5 * 2 }, (_, i) => i + 1);
const everything: AugmentOptions = { crop: 0.7, shift: 1, flip: true, noise: 0.1 };

describe('Augmenter', () => {
  it('depends on seed, epoch and sample index only', () => {
    const one = run(everything, [4, 5, 2], image, 3, 7);
    const shared = new Augmenter(everything, [4, 5, 2], 1);
    const out = new Float32Array(40);
    shared.apply(image, out, 9, 1);
    shared.apply(image, out, 3, 7);
    expect([...out]).toEqual(one);
    expect(run(everything, [4, 5, 2], image, 3, 8)).not.toEqual(one);
    expect(run(everything, [4, 5, 2], image, 4, 7)).not.toEqual(one);
    expect(run(everything, [4, 5, 2], image, 3, 7, 2)).not.toEqual(one);
  });

  it('changes nothing without options, and works in place', () => {
    expect(run({}, [4, 5, 2], image)).toEqual([...image]);
    const copy = image.slice();
    new Augmenter(everything, [4, 5, 2], 1).apply(copy, copy, 3, 7);
    expect([...copy]).toEqual(run(everything, [4, 5, 2], image, 3, 7));
  });

  it('mirrors about half of the samples, keeping channels in place', () => {
    const mirrored = [3, 4, 1, 2];
    let flips = 0;
    for (let i = 0; i < 400; i++) {
      const out = run({ flip: true }, [1, 2, 2], Float32Array.of(1, 2, 3, 4), 0, i);
      if (out.join() === mirrored.join()) flips++;
      else expect(out).toEqual([1, 2, 3, 4]);
    }
    expect(Math.abs(flips - 200)).toBeLessThan(50);
  });

  it('moves by every shift up to the limit and fills with zero', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 400; i++) {
      const out = run({ shift: 1 }, [3, 3, 1], Float32Array.of(0, 0, 0, 0, 5, 0, 0, 0, 0), 0, i);
      expect(out.filter((value) => value !== 0)).toEqual([5]);
      seen.add(String(out.indexOf(5)));
    }
    expect(seen.size).toBe(9);
    expect(run({ shift: 3 }, [3, 1], Float32Array.of(1, 2, 3), 0, 1).length).toBe(3);
  });

  it('shifts a time series along time, all channels together', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 100; i++) seen.add(run({ shift: 1 }, [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6), 0, i).join());
    expect([...seen].sort()).toEqual(['0,0,1,2,3,4', '1,2,3,4,5,6', '3,4,5,6,0,0']);
  });

  it('crops within the range of the values, and keeps a flat image flat', () => {
    expect(run({ crop: 0.5 }, [4, 5, 2], new Float32Array(40).fill(2.5))).toEqual(new Array(40).fill(2.5));
    const out = run({ crop: 0.5 }, [4, 5, 2], image, 0, 5);
    expect(Math.min(...out)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...out)).toBeLessThanOrEqual(40);
    expect(out).not.toEqual([...image]);
  });

  it('adds noise of the asked deviation', () => {
    const out = run({ noise: 0.5 }, [4000], new Float32Array(4000));
    const variance = out.reduce((sum, value) => sum + value * value, 0) / out.length;
    expect(Math.sqrt(variance)).toBeCloseTo(0.5, 1);
  });

  it('keeps the values it has always drawn', () => {
    const out = run({ noise: 0.125, shift: 1, flip: true, crop: 0.5 }, [3, 2, 1], Float32Array.of(1, 2, 3, 4, 5, 6), 1, 1, 3);
    expect(out).toEqual([2.506053924560547, 0.03342604637145996, 3.927886486053467, -0.02173195220530033, 5.561686992645264, 0.011588972993195057]);
  });

  it('refuses what a shape does not allow', async () => {
    await failure(() => new Augmenter({ flip: true }, [128, 9], 1), 'ERR_TINYPROP_ARG');
    await failure(() => new Augmenter({ shift: 1 }, [64], 1), 'ERR_TINYPROP_ARG');
    await failure(() => new Augmenter({ shift: 0.5 }, [8, 8, 1], 1), 'ERR_TINYPROP_ARG');
    await failure(() => new Augmenter({ crop: 0 }, [8, 8, 1], 1), 'ERR_TINYPROP_ARG');
    await failure(() => new Augmenter({ noise: Number.NaN }, [8], 1), 'ERR_TINYPROP_ARG');
    await failure(() => new Augmenter({}, [2], 1).apply(new Float32Array(2), new Float32Array(3), 0, 0), 'ERR_TINYPROP_SHAPE');
  });
});
