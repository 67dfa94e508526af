// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadData } from '../../../lib/data';
import { failure, scratchFolder } from './helpers';

const scratch = scratchFolder();

/** Records whose pixel p of plane c is (seed + 7p + 50c) mod 256. */
function records(labels: number[][], seed = 0): Buffer {
  return Buffer.concat(labels.map((label, i) => Buffer.concat([Buffer.from(label), Buffer.from(Uint8Array.from({ length: 3072 }, (_, p) => seed + i + 7 * (p % 1024) + 50 * Math.floor(p / 1024)))])));
}

function folder(name: string, files: Record<string, Buffer | string>): string {
  const dir = path.join(scratch, name);
  fs.mkdirSync(dir, { recursive: true });
  for (const [file, bytes] of Object.entries(files)) fs.writeFileSync(path.join(dir, file), bytes);
  return dir;
}

describe('cifar10:DIR', () => {
  it('turns planes into channels-last pixels and names missing batches', async () => {
    const dir = folder('c10/cifar-10-batches-bin', { 'data_batch_1.bin': records([[3], [9]]), 'data_batch_3.bin': records([[0]], 5), 'test_batch.bin': records([[1]]) });
    const { train, test, notices } = await loadData(`cifar10:${path.dirname(dir)}`, { normalize: 'none' });
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(/data_batch_2\.bin, data_batch_4\.bin, data_batch_5\.bin missing/);
    expect([...(train.labels as Uint32Array)]).toEqual([3, 9, 0]);
    expect(test?.n).toBe(1);
    expect(train.classes?.[3]).toBe('cat');
    const byte = (i: number, p: number, c: number) => Math.fround(((i + 7 * p + 50 * c) & 255) * Math.fround(1 / 255));
    for (const p of [0, 1, 31, 32, 1023]) for (const c of [0, 1, 2]) expect(train.x[3072 + p * 3 + c]).toBe(byte(1, p, c));
  });

  it('refuses a truncated batch, a wrong label and an empty folder', async () => {
    const cut = folder('cut', { 'data_batch_1.bin': records([[1]]).subarray(0, 3000) });
    expect((await failure(() => loadData(`cifar10:${cut}`), 'ERR_TINYPROP_FILE')).message).toMatch(/records of 3073 bytes, found 3000/);
    const label = folder('label', { 'data_batch_1.bin': records([[1], [10]]) });
    expect((await failure(() => loadData(`cifar10:${label}`), 'ERR_TINYPROP_LABEL')).message).toMatch(/record 1: expected a label from 0 to 9, found 10/);
    await failure(() => loadData(`cifar10:${folder('none', {})}`), 'ERR_TINYPROP_FILE');
    await failure(() => loadData(`cifar10:${path.join(scratch, 'absent')}`), 'ERR_TINYPROP_FILE');
  });
});

describe('cifar100:DIR', () => {
  it('takes the fine label and the names', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `class${i}`).join('\n');
    const dir = folder('c100', { 'train.bin': records([[4, 99], [1, 7]]), 'test.bin': records([[0, 1]]), 'fine_label_names.txt': `${names}\n\n` });
    const { train, notices } = await loadData(`cifar100:${dir}`);
    expect([...(train.labels as Uint32Array)]).toEqual([99, 7]);
    expect(train.classes?.[99]).toBe('class99');
    expect(notices).toEqual([]);
  });

  it('holds out a part of the training set when test.bin is missing', async () => {
    const dir = folder('c100only', { 'train.bin': records(Array.from({ length: 10 }, () => [0, 5])) });
    const { train, test, notices } = await loadData(`cifar100:${dir}`);
    expect([train.n, test?.n, notices.length]).toEqual([8, 2, 2]);
  });
});
