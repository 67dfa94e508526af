// SPDX-License-Identifier: Apache-2.0
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadData } from '../../../lib/data';
import { failure, scratchFolder, sharedData } from './helpers';

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

  it('enlarges: the same picture, flat where it was flat', async () => {
    // Columns 0 to 15 are 10, the others 200: the edge is between 15 and 16.
    const image = Buffer.concat([Buffer.from([1]), Buffer.from(Uint8Array.from({ length: 3072 }, (_, p) => (p % 32 < 16 ? 10 : 200)))]);
    const dir = folder('size', { 'data_batch_1.bin': image, 'test_batch.bin': image });
    const { train, test } = await loadData(`cifar10:${dir},64`, { normalize: 'none' });
    expect([train.inputShape, test?.inputShape]).toEqual([[64, 64, 3], [64, 64, 3]]);
    const row = Array.from({ length: 64 }, (_, x) => Math.round((train.x[(40 * 64 + x) * 3 + 1] as number) * 255));
    // Centres lie a quarter of a pixel from the edge: 10 + 190 / 4 and 10 + 190 * 3 / 4.
    expect(row).toEqual([...new Array<number>(31).fill(10), 58, 153, ...new Array<number>(31).fill(200)]);
    expect((await failure(() => loadData(`cifar10:${dir},16`), 'ERR_TINYPROP_SPEC')).message).toMatch(/from 32 to 512/);
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

describe('cifar100:DIR', async () => {
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

  const shared = sharedData('cifar100', 'test.webp');
  const sharp = shared ? await loadSharp() : undefined;
  it.skipIf(!sharp)('reads real images: the published bytes, fine names, red first', async () => {
    const source = path.dirname(shared as string);
    const { data, info } = await (sharp as TestSharp)(shared as string).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const fine = fs.readFileSync(path.join(source, 'test.fine.u8'));
    const coarse = fs.readFileSync(path.join(source, 'test.coarse.u8'));
    const bytes = Buffer.alloc(fine.length * 3074);
    fine.forEach((label, i) => {
      bytes[i * 3074] = coarse[i] as number;
      bytes[i * 3074 + 1] = label;
      // The sheet holds image i as the 32x32 tile at row i / 100, column i % 100.
      const corner = (Math.floor(i / 100) * 32 * info.width + (i % 100) * 32) * 3;
      for (let p = 0; p < 1024; p++) for (let c = 0; c < 3; c++) bytes[i * 3074 + 2 + c * 1024 + p] = data[corner + ((p >> 5) * info.width + (p & 31)) * 3 + c] as number;
    });
    const sums = JSON.parse(fs.readFileSync(path.join(source, 'bin_checksums.json'), 'utf8')) as Record<string, { sha256: string }>;
    expect(crypto.createHash('sha256').update(bytes).digest('hex')).toBe(sums['test.bin']?.sha256);
    const dir = folder('real', { 'train.bin': bytes, 'test.bin': bytes, 'fine_label_names.txt': fs.readFileSync(path.join(source, 'fine_label_names.txt')) });
    const { train } = await loadData(`cifar100:${dir}`, { normalize: 'none' });
    expect([train.n, train.classes?.[0]]).toEqual([2000, 'apple']);
    expect([...train.x.subarray(0, 3)].map((value) => Math.round(value * 255))).toEqual([...data.subarray(0, 3)]);
  });
});

interface TestSharp {
  (file: string): { removeAlpha(): { raw(): { toBuffer(options: { resolveWithObject: true }): Promise<{ data: Buffer; info: { width: number } }> } } };
}

async function loadSharp(): Promise<TestSharp | undefined> {
  try {
    return ((await import('sharp')) as unknown as { default: TestSharp }).default;
  } catch {
    console.info('skipped: the optional package sharp is not installed');
    return undefined;
  }
}
