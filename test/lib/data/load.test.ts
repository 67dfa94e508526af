// SPDX-License-Identifier: Apache-2.0
import * as os from 'node:os';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { dataKinds, loadData, parseDataSpec } from '../../../lib/data';
import { failure } from './helpers';

describe('parseDataSpec', () => {
  it('takes the forms apart', () => {
    expect(parseDataSpec('digits')).toEqual({ kind: 'digits', args: [] });
    expect(parseDataSpec('idx:C:\\data,old')).toEqual({ kind: 'idx', args: ['C:\\data,old'] });
    expect(parseDataSpec('npy:a,b,c,d')).toEqual({ kind: 'npy', args: ['a', 'b', 'c', 'd'] });
    expect(parseDataSpec('images:/x,64')).toEqual({ kind: 'images', args: ['/x', '64'] });
    expect(parseDataSpec('images:/x,y')).toEqual({ kind: 'images', args: ['/x,y'] });
    expect(parseDataSpec('wav:dir,logmel')).toEqual({ kind: 'wav', args: ['dir', 'logmel'] });
    expect(parseDataSpec('csv:~/a.csv')).toEqual({ kind: 'csv', args: [path.join(os.homedir(), 'a.csv')] });
  });

  it.each(['', 'mnist', 'digits:', 'digits:x', 'idx:', 'idx', 'npy:a,b,c', 'npy:a,', 'toString:x'])('refuses %j and says what is known', async (spec) => {
    const error = await failure(() => parseDataSpec(spec), 'ERR_TINYPROP_SPEC');
    expect(error.message).toMatch(/expected/);
  });

  it('lists every kind in the message about an unknown one', async () => {
    const error = await failure(() => parseDataSpec('nope:x'), 'ERR_TINYPROP_SPEC');
    for (const { form } of dataKinds) expect(error.message).toContain(form);
  });
});

describe('loadData', () => {
  it('loads the digits with their committed split', async () => {
    const { train, test, normalization, notices } = await loadData('digits');
    expect([train.n, test?.n]).toEqual([1438, 359]);
    expect(train.inputShape).toEqual([8, 8, 1]);
    expect(train.x.length).toBe(1438 * 64);
    expect(notices).toEqual([]);
    const count = (labels: Uint32Array | undefined, digit: number) => (labels ?? []).filter((label) => label === digit).length;
    const perClass = Array.from({ length: 10 }, (_, digit) => count(train.labels, digit) + count(test?.labels, digit));
    expect(perClass).toEqual([178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    for (let digit = 0; digit < 10; digit++) expect(count(test?.labels, digit)).toBe(Math.round((perClass[digit] as number) / 5));
    expect(normalization.mode).toBe('mean');
    expect(normalization.scale).toBe(1 / 16);
    expect(Math.abs(train.x.reduce((a, b) => a + b, 0) / train.x.length)).toBeLessThan(1e-6);
  });

  it('leaves the scale only with normalize none', async () => {
    const { train, normalization } = await loadData('digits', { normalize: 'none' });
    expect(normalization).toEqual({ mode: 'none', scale: 1 / 16, mean: [0], std: [1] });
    expect(train.x.every((value) => value >= 0 && value <= 1 && Number.isInteger(value * 16))).toBe(true);
  });

  it('limits both parts, classes in proportion', async () => {
    const { train, test } = await loadData('digits', { limit: 100, seed: 5 });
    expect([train.n, test?.n, train.x.length]).toEqual([100, 100, 6400]);
    expect(new Set(train.labels).size).toBe(10);
  });

  it('refuses bad options and stops when asked', async () => {
    await failure(() => loadData('digits', { limit: 0 }), 'ERR_TINYPROP_ARG');
    await failure(() => loadData('digits', { normalize: 'max' as 'mean' }), 'ERR_TINYPROP_ARG');
    await failure(() => loadData('digits', { signal: AbortSignal.abort() }), 'ERR_TINYPROP_ABORTED');
  });
});
