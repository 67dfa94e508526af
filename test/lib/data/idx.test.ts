// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { loadData } from '../../../lib/data';
import { readIdx } from '../../../lib/data/idx';
import { failure, idxBytes, scratchFolder, sharedData } from './helpers';

const scratch = scratchFolder();

function write(name: string, bytes: Buffer): string {
  const file = path.join(scratch, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, bytes);
  return file;
}

describe('readIdx', () => {
  it('reads plain and gzipped files', async () => {
    const bytes = idxBytes([2, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    for (const file of [write('a-idx3-ubyte', bytes), write('a-idx3-ubyte.gz', zlib.gzipSync(bytes))]) {
      const { dims, data } = await readIdx(file);
      expect(dims).toEqual([2, 2, 3]);
      expect([...data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
  });

  it.each([
    ['a wrong magic', Buffer.from([0, 0, 13, 1, 0, 0, 0, 1, 0]), /magic 0x0000080N.*0x00000d01/],
    ['a truncated header', Buffer.from([0, 0, 8, 3, 0, 0]), /ends within the IDX header/],
    ['an empty file', Buffer.alloc(0), /ends within the IDX header \(0 bytes\)/],
    ['too few values', idxBytes([2, 3], [1, 2, 3, 4, 5]), /cannot hold/],
    ['too many values', idxBytes([2, 2], [1, 2, 3, 4, 5]), /more than the 4 values/],
    ['a zero extent', idxBytes([2, 0], []), /extent 1 of 2 x 0 at byte 8/],
    ['an overflowing size', idxBytes([65536, 65536, 65536], []), /too large/],
  ])('refuses %s, plain and gzipped', async (_what, bytes, message) => {
    const plain = await failure(() => readIdx(write('bad', bytes)), 'ERR_TINYPROP_FILE');
    expect(plain.message).toMatch(message);
    expect(plain.message).toContain(path.join(scratch, 'bad'));
    await failure(() => readIdx(write('bad.gz', zlib.gzipSync(bytes))), 'ERR_TINYPROP_FILE');
  });

  it('refuses a gzip that promises more than it can hold, and one that holds more than promised', async () => {
    const promise = await failure(() => readIdx(write('bomb1.gz', zlib.gzipSync(idxBytes([30000, 30000], [])))), 'ERR_TINYPROP_FILE');
    expect(promise.message).toMatch(/cannot hold/);
    const bomb = zlib.gzipSync(idxBytes([1, 4], new Uint8Array(1 << 24)));
    expect((await failure(() => readIdx(write('bomb2.gz', bomb)), 'ERR_TINYPROP_FILE')).message).toMatch(/more than the 4 values/);
  });

  it('refuses a damaged gzip', async () => {
    const bytes = zlib.gzipSync(idxBytes([2, 2], [1, 2, 3, 4]));
    await failure(() => readIdx(write('cut.gz', bytes.subarray(0, bytes.length - 9))), 'ERR_TINYPROP_FILE');
    await failure(() => readIdx(write('text.gz', Buffer.from('no gzip at all'))), 'ERR_TINYPROP_FILE');
  });
});

describe('idx:DIR', () => {
  it('makes a split when there is no test set, and says so', async () => {
    write('only/train-images-idx3-ubyte', idxBytes([10, 1, 2], Array.from({ length: 20 }, (_, i) => i)));
    write('only/train-labels-idx1-ubyte', idxBytes([10], [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]));
    const heard: string[] = [];
    const { train, test, notices } = await loadData(`idx:${path.join(scratch, 'only')}`, { onNotice: (m) => heard.push(m) });
    expect([train.n, test?.n]).toEqual([8, 2]);
    expect(notices).toHaveLength(1);
    expect(heard).toEqual(notices);
  });

  it('refuses labels that are not as many as images, and an empty folder', async () => {
    write('uneven/train-images-idx3-ubyte', idxBytes([2, 1, 1], [1, 2]));
    write('uneven/train-labels-idx1-ubyte', idxBytes([3], [0, 1, 0]));
    expect((await failure(() => loadData(`idx:${path.join(scratch, 'uneven')}`), 'ERR_TINYPROP_FILE')).message).toMatch(/expected 2 labels.*found 3/);
    fs.mkdirSync(path.join(scratch, 'empty'));
    await failure(() => loadData(`idx:${path.join(scratch, 'empty')}`), 'ERR_TINYPROP_FILE');
    await failure(() => loadData(`idx:${path.join(scratch, 'absent')}`), 'ERR_TINYPROP_FILE');
  });

  const mnist = sharedData('mnist');
  it.skipIf(!mnist)('reads real MNIST: its known mean and class counts', async () => {
    const { train, test, normalization } = await loadData(`idx:${mnist}`);
    expect([train.n, test?.n]).toEqual([60000, 10000]);
    expect(train.inputShape).toEqual([28, 28, 1]);
    expect(normalization.mean[0]).toBeCloseTo(0.1307, 4);
    expect((train.labels as Uint32Array).filter((label) => label === 1).length).toBe(6742);
  });

  const fashion = '/usr/share/datasets/fashion-mnist';
  const hasFashion = fs.existsSync(fashion);
  if (!hasFashion) console.info(`skipped: no ${fashion} (Debian package dataset-fashion-mnist)`);
  it.skipIf(!hasFashion)('reads Fashion-MNIST of the Debian package dataset-fashion-mnist', async () => {
    const { train, normalization } = await loadData(`idx:${fashion}`, { limit: 1000 });
    expect(train.n).toBe(1000);
    expect(normalization.mean[0]).toBeCloseTo(0.286, 1);
    expect(Array.from({ length: 10 }, (_, c) => (train.labels as Uint32Array).filter((label) => label === c).length)).toEqual(new Array(10).fill(100));
  });
});
