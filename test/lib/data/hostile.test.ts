// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { loadData, parseNpy, readNpz } from '../../../lib/data';
import { readIdx } from '../../../lib/data/idx';
import { unpackTar, unpackZip } from '../../../lib/data/unpack';
import { parseWav } from '../../../lib/data/wav';
import { TinypropError } from '../../../lib/errors';
import { idxBytes, npyBytes, scratchFolder } from './helpers';
import { tarBytes } from './tar';

const scratch = scratchFolder();
const file = path.join(scratch, 'fuzz');

/** Writes the bytes under a name with this end and reads them back with `read`. */
const viaFile = (end: string, read: (at: string) => Promise<unknown>) => (bytes: Buffer) => {
  fs.writeFileSync(file + end, bytes);
  return read(file + end);
};

function wav(): Buffer {
  const bytes = Buffer.alloc(44 + 32);
  bytes.write('RIFF\x44\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x20\0\0\0', 'latin1');
  return bytes;
}

const npy = npyBytes('<f4', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
const readers: [name: string, good: Buffer, read: (bytes: Buffer) => unknown][] = [
  ['npy', npy, (bytes) => parseNpy(bytes, 'fuzz.npy')],
  ['npz', Buffer.from(zipSync({ 'x.npy': npy, 'y.npy': npy })), viaFile('.npz', (at) => readNpz(at))],
  ['zip', Buffer.from(zipSync({ 'a/x': npy, 'b.zip': zipSync({ c: npy }) })), viaFile('.zip', (at) => unpackZip(at, path.join(scratch, 'zip')))],
  ['idx', idxBytes([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]), viaFile('-idx3-ubyte', (at) => readIdx(at))],
  ['idx.gz', zlib.gzipSync(idxBytes([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8])), viaFile('-idx3-ubyte.gz', (at) => readIdx(at))],
  ['tar', tarBytes([{ name: 'a/b', data: Buffer.alloc(600, 1) }, { name: 'c', type: 'L', data: Buffer.from('long') }, { name: 'd' }]), viaFile('.tar', (at) => unpackTar(at, path.join(scratch, 'tar')))],
  ['wav', wav(), (bytes) => parseWav(bytes, 'fuzz.wav')],
  ['csv', Buffer.from('a,b,"c"\n1,2,"x"\n3,4,y\n'), viaFile('.csv', (at) => loadData(`csv:${at}`))],
];

describe('damaged files', () => {
  it.each(readers)('%s: the good one is read, any other is read or refused with a TinypropError', async (_name, good, read) => {
    await read(good);
    const edits = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(edits, fc.option(fc.nat(good.length)), async (changes, cut) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          await read(bytes.subarray(0, cut ?? bytes.length));
        } catch (error) {
          expect(error).toBeInstanceOf(TinypropError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
