// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadData } from '../../../lib/data';
import { failure, npyBytes, scratchFolder, sharedData } from './helpers';

const scratch = scratchFolder();
const signals = ['body_acc', 'body_gyro', 'total_acc'].flatMap((s) => ['x', 'y', 'z'].map((a) => `${s}_${a}`));

/** A text tree of the UCI layout whose value is row + channel/10 + step/1000. */
function textTree(name: string, rows: Record<string, number>): string {
  const root = path.join(scratch, name, 'UCI HAR Dataset');
  for (const [part, n] of Object.entries(rows)) {
    fs.mkdirSync(path.join(root, part, 'Inertial Signals'), { recursive: true });
    fs.writeFileSync(path.join(root, part, `y_${part}.txt`), Array.from({ length: n }, (_, i) => `${(i % 6) + 1}\n`).join(''));
    signals.forEach((signal, c) => {
      const lines = Array.from({ length: n }, (_, i) => ` ${Array.from({ length: 128 }, (_, t) => (i + c / 10 + t / 1000).toExponential(7)).join('  ')}\n`);
      fs.writeFileSync(path.join(root, part, 'Inertial Signals', `${signal}_${part}.txt`), lines.join(''));
    });
  }
  return path.dirname(root);
}

describe('har:DIR', () => {
  it('reads the UCI text tree into [time, channels]', async () => {
    const { train, test, normalization } = await loadData(`har:${textTree('ok', { train: 7, test: 2 })}`);
    expect([train.n, test?.n, train.inputShape, normalization.mode]).toEqual([7, 2, [128, 9], 'none']);
    expect([...(train.labels as Uint32Array)]).toEqual([0, 1, 2, 3, 4, 5, 0]);
    expect(train.x[(6 * 128 + 127) * 9 + 8]).toBe(Math.fround(6 + 0.8 + 0.127));
    expect(train.classes?.[5]).toBe('LAYING');
  });

  it('reads int16 arrays in physical units', async () => {
    const dir = path.join(scratch, 'npy');
    fs.mkdirSync(dir);
    const x = new Int16Array(2 * 9 * 128);
    x[3 * 128 + 5] = 2048;
    x[(9 + 8) * 128 + 1] = -8192;
    fs.writeFileSync(path.join(dir, 'train_x_i16.npy'), npyBytes('<i2', [2, 9, 128], x));
    fs.writeFileSync(path.join(dir, 'train_y.npy'), npyBytes('|u1', [2], Uint8Array.of(5, 5)));
    const { train, test } = await loadData(`har:${dir}`, { seed: 2 });
    expect([train.n, test?.n]).toEqual([1, 1]);
    const both = [...train.x, ...(test?.x ?? [])];
    expect(both.filter((value) => value !== 0).sort((a, b) => a - b)).toEqual([-1, 1]);
    expect(both.indexOf(1) % 1152).toBe(5 * 9 + 3);
    expect(both.indexOf(-1) % 1152).toBe(1 * 9 + 8);
  });

  it('refuses rows that are missing, short or no numbers, and labels out of range', async () => {
    const break_ = (name: string, file: string, edit: (text: string) => string) => {
      const root = textTree(name, { train: 3 });
      const target = path.join(root, 'UCI HAR Dataset', 'train', file);
      fs.writeFileSync(target, edit(fs.readFileSync(target, 'utf8')));
      return `har:${root}`;
    };
    const signal = 'Inertial Signals/body_gyro_y_train.txt';
    const fails = async (spec: string, code: 'ERR_TINYPROP_FILE' | 'ERR_TINYPROP_LABEL') => (await failure(() => loadData(spec), code)).message;
    expect(await fails(break_('missing', signal, (t) => t.split('\n').slice(1).join('\n')), 'ERR_TINYPROP_FILE')).toMatch(/body_gyro_y.*expected 3 rows.*found 2/);
    expect(await fails(break_('short', signal, (t) => t.replace(/ \S+\n/, '\n')), 'ERR_TINYPROP_FILE')).toMatch(/row 1: expected 128 numbers, found 127/);
    expect(await fails(break_('word', signal, (t) => t.replace(/\S+\n/, 'oops\n')), 'ERR_TINYPROP_FILE')).toMatch(/row 1, column 128.*oops/);
    expect(await fails(break_('label', 'y_train.txt', (t) => t.replace('2', '7')), 'ERR_TINYPROP_LABEL')).toMatch(/from 1 to 6, found 7/);
    expect(await fails(`har:${scratch}`, 'ERR_TINYPROP_FILE')).toMatch(/Inertial Signals/);
  });

  const har = sharedData('har');
  it.skipIf(!har)('reads the real recordings: gravity is about 1 g', async () => {
    const { train, test } = await loadData(`har:${har}`, { limit: 600 });
    expect([train.n, test?.n]).toEqual([600, 600]);
    let sum = 0;
    for (let i = 0; i < train.n * 128; i++) sum += Math.hypot(train.x[i * 9 + 6] as number, train.x[i * 9 + 7] as number, train.x[i * 9 + 8] as number);
    expect(sum / (train.n * 128)).toBeGreaterThan(0.9);
    expect(sum / (train.n * 128)).toBeLessThan(1.15);
  });
});
