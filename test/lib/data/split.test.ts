// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { stratifiedSplit, stratifiedSubset } from '../../../lib/data/split';

const labels = Uint32Array.from({ length: 100 }, (_, i) => (i < 70 ? 0 : i < 99 ? 4 : 9));

describe('stratifiedSplit', () => {
  it('takes a fifth of each class, loses nothing and leaves a lone sample in training', () => {
    const { train, test } = stratifiedSplit(labels, 100, 1);
    expect([...train, ...test].sort((a, b) => a - b)).toEqual([...labels.keys()]);
    const count = (rows: Uint32Array, label: number) => [...rows].filter((row) => labels[row] === label).length;
    expect([count(test, 0), count(test, 4), count(test, 9)]).toEqual([14, 6, 0]);
    expect([...test]).toEqual([...test].sort((a, b) => a - b));
  });

  it('depends on the seed alone', () => {
    expect(stratifiedSplit(labels, 100, 3)).toEqual(stratifiedSplit(labels, 100, 3));
    expect(stratifiedSplit(labels, 100, 3)).not.toEqual(stratifiedSplit(labels, 100, 4));
  });

  it('keeps the split it has always made (a change would move every result)', () => {
    expect([...stratifiedSplit(undefined, 10, 1).test]).toEqual([1, 9]);
  });

  it('gives every class of two samples one on each side', () => {
    expect(stratifiedSplit(Uint32Array.of(0, 0, 1, 1), 4, 1).test.length).toBe(2);
  });
});

describe('stratifiedSubset', () => {
  it('keeps proportions and takes exactly the limit', () => {
    const rows = stratifiedSubset(labels, 100, 10, 1);
    expect(rows.length).toBe(10);
    expect([...rows].filter((row) => labels[row] === 0).length).toBe(7);
    expect([...rows].filter((row) => labels[row] === 4).length).toBe(3);
  });

  it('takes everything if the limit is not smaller', () => {
    expect([...stratifiedSubset(labels, 100, 100, 1)]).toEqual([...labels.keys()]);
  });
});
