// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { loadData } from '../../../lib/data';
import { failure, scratchFolder, sharedData } from './helpers';

const scratch = scratchFolder();

interface TestSharp {
  default: (input: object) => { png(): { toFile(file: string): Promise<unknown> } };
}

const sharp = await import('sharp').then(
  (module) => (module as unknown as TestSharp).default,
  () => undefined,
);
if (!sharp) console.info('skipped: the optional package sharp is not installed');

async function writeImage(name: string, red: number, green: number, blue: number, side = 8): Promise<void> {
  const file = path.join(scratch, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  await sharp?.({ create: { width: side, height: side, channels: 3, background: { r: red, g: green, b: blue } } }).png().toFile(file);
}

/** A byte times the float32 next to 1/255. */
const scaled = (byte: number) => Math.fround(byte * Math.fround(1 / 255));

describe('images:DIR', () => {
  it.skipIf(!sharp)('decodes, scales and orders channels last', async () => {
    await writeImage('ok/train/blue/a.png', 0, 51, 255);
    await writeImage('ok/train/red/b.png', 255, 0, 102, 20);
    await writeImage('ok/test/red/c.png', 255, 0, 0);
    const { train, test, normalization } = await loadData(`images:${path.join(scratch, 'ok')},4`, { normalize: 'none' });
    expect(train.inputShape).toEqual([4, 4, 3]);
    expect([...train.x.subarray(0, 3)]).toEqual([0, scaled(51), 1]);
    expect([...train.x.subarray(48 + 45, 48 + 48)]).toEqual([1, 0, scaled(102)]);
    expect([...(train.labels as Uint32Array), ...(test?.labels as Uint32Array)]).toEqual([0, 1, 1]);
    expect(normalization.mean).toEqual([0, 0, 0]);
    expect((await loadData(`images:${path.join(scratch, 'ok')},6x2`)).train.inputShape).toEqual([2, 6, 3]);
  });

  it.skipIf(!sharp)('names a file that is no image, and refuses size 0', async () => {
    await writeImage('bad/a/a.png', 1, 2, 3);
    fs.writeFileSync(path.join(scratch, 'bad/a/b.jpg'), 'not a JPEG');
    expect((await failure(() => loadData(`images:${path.join(scratch, 'bad')}`), 'ERR_TINYPROP_FILE')).message).toMatch(/b\.jpg: cannot be decoded/);
    await failure(() => loadData(`images:${path.join(scratch, 'bad')},0`), 'ERR_TINYPROP_SPEC');
  });

  it('says which package to install when sharp is missing', async () => {
    vi.doMock('sharp', () => {
      throw new Error("Cannot find package 'sharp'");
    });
    try {
      const error = await failure(() => loadData(`images:${scratch}`), 'ERR_TINYPROP_PEER');
      expect(error.message).toMatch(/npm install sharp/);
    } finally {
      vi.doUnmock('sharp');
    }
  });

  const flowers = sharedData('flowers102');
  it.skipIf(!sharp || !flowers)('reads real JPEG files and says that the validation folder is not used', async () => {
    const { train, test, notices } = await loadData(`images:${flowers},32`, { limit: 102 });
    expect([train.n, test?.n, train.classes?.length]).toEqual([102, 102, 102]);
    expect(new Set(train.labels).size).toBe(102);
    expect(notices.join()).toMatch(/valid is not used/);
  });
});
