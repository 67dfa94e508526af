// SPDX-License-Identifier: Apache-2.0
// Slots of tp_store and their life, against the arithmetic by hand.
import { describe, expect, it } from 'vitest';
import { type StoreOptions, type StorePlan } from '../../lib/index';
import { dense, Model, momentum, relu, TinypropError } from '../../lib/index';

const align = (n: number, to: number): number => Math.ceil(n / to) * to;
const weights = align(4 * 20 * 12, 16) + align(4 * 20, 16) + align(4 * 3 * 20, 16) + align(4 * 3, 16);

function planned(store: StoreOptions, training = true): StorePlan {
  const model = Model.sequential({ input: [12], layers: [dense(20), relu(), dense(3)] });
  try {
    return model.plan({ training, recipe: { optimizer: momentum() }, store }).store!;
  } finally {
    model.close();
  }
}

describe('plan({ store })', () => {
  it('is absent unless asked for', () => {
    const model = Model.sequential({ input: [12], layers: [dense(3)] });
    expect(model.plan()).not.toHaveProperty('store');
    model.close();
  });

  it('counts what a commit programs', () => {
    const rows = 21 + 4; // marks of when a row was last updated, biases among them
    const state = 32 + 4 + 2 * 4 + 4 * (rows + 20 * 12 + 20 + 3 * 20 + 3);
    expect(planned({ blockSize: 2048 }).bytesPerCommit).toBe(align(64, 8) + align(weights + state, 8));
    expect(planned({ blockSize: 2048, state: false }).bytesPerCommit).toBe(64 + weights);
    expect(planned({ blockSize: 2048 }, false).bytesPerCommit).toBe(64 + weights);
    expect(planned({ blockSize: 4096, progSize: 256, state: false }).bytesPerCommit).toBe(256 + align(weights, 256));
  });

  it('divides the area into slots of whole blocks', () => {
    const two = planned({ blockSize: 1024, state: false });
    expect(weights + 64).toBeGreaterThan(1024);
    expect(two).toMatchObject({ fits: true, slots: 2, erasesPerCommit: 2, slotBytes: 2048, areaBytes: 4096, endurance: 10_000, commits: 20_000 });
    expect(planned({ blockSize: 1024, state: false, areaBytes: 16 * 1024 + 1023 })).toMatchObject({ fits: true, slots: 8, commits: 80_000 });
    expect(planned({ blockSize: 1024, state: false, areaBytes: 2 ** 24 })).toMatchObject({ slots: 64 });
    expect(planned({ blockSize: 1024, state: false, areaBytes: 4095 })).toMatchObject({ fits: false, slots: 2 });
    expect(planned({ blockSize: 1024, state: false, areaBytes: 16 * 1024, slots: 9 })).toMatchObject({ fits: false, slots: 9 });
    expect(planned({ blockSize: 1024, state: false, areaBytes: 16 * 1024, slots: 3 })).toMatchObject({ fits: true, slots: 3 });
  });

  it('computes the life', () => {
    const common = { blockSize: 4096, slots: 4, endurance: 1000 } as const;
    const plain = planned(common);
    expect(plain).not.toHaveProperty('days');
    expect(plain.goal).toEqual({ years: 10, commitsPerDay: 4000 / 3652.5 });
    expect(planned({ ...common, commitsPerDay: 8 })).toMatchObject({ commits: 4000, days: 500, years: 500 / 365.25 });
    expect(planned({ ...common, samplesPerCommit: 50 })).toMatchObject({ samples: 200_000 });
    const both = planned({ ...common, samplesPerCommit: 50, samplesPerDay: 1000, years: 2 });
    expect(both).toMatchObject({ samples: 200_000, days: 200, goal: { years: 2, minSamples: Math.ceil((1000 * 730.5) / 4000) } });
    // min_samples of the goal gives at least the years of the goal, one sample less does not
    const years = (samplesPerCommit: number): number => planned({ ...common, samplesPerCommit, samplesPerDay: 1000 }).years!;
    expect(years(Math.ceil((1000 * 3652.5) / 4000))).toBeGreaterThanOrEqual(10);
    expect(years(Math.ceil((1000 * 3652.5) / 4000) - 1)).toBeLessThan(10);
  });

  it.each<[StoreOptions, RegExp]>([
    [{ blockSize: 0 }, /blockSize: expected an integer from 1/],
    [{ blockSize: 32 }, /blockSize: expected a multiple of progSize \(8\) of at least 64, found 32/],
    [{ blockSize: 1001 }, /multiple/],
    [{ blockSize: 1024.5 }, /blockSize/],
    [{} as StoreOptions, /blockSize/],
    [{ blockSize: 1024, progSize: 1024 }, /progSize: expected an integer from 1 to 512/],
    [{ blockSize: 1024, slots: 1 }, /slots: expected an integer from 2/],
    [{ blockSize: 1024, endurance: NaN }, /endurance/],
    [{ blockSize: 1024, commitsPerDay: 0 }, /commitsPerDay: expected a number above 0/],
    [{ blockSize: 1024, samplesPerDay: Infinity }, /samplesPerDay/],
    [{ blockSize: 1024, areaBytes: '64K' as unknown as number }, /areaBytes.*found 64K/],
    [{ blockSize: 1024, commitsPerDay: 1, samplesPerCommit: 1 }, /exclude each other/],
  ])('refuses %j', (store, message) => {
    expect(() => planned(store)).toThrow(TinypropError);
    expect(() => planned(store)).toThrow(message);
    expect(() => planned(store)).toThrow(expect.objectContaining({ code: 'ERR_TINYPROP_ARG' }));
  });
});
