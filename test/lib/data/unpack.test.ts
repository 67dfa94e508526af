// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { safeJoin, unpackTar, unpackZip } from '../../../lib/data/unpack';
import { failure, scratchFolder } from './helpers';
import { tarBytes } from './tar';

const scratch = scratchFolder();
let count = 0;

function archive(name: string, bytes: Uint8Array): { file: string; out: string } {
  const file = path.join(scratch, `${count++}-${name}`);
  fs.writeFileSync(file, bytes);
  return { file, out: `${file}.out` };
}

describe('safeJoin', () => {
  it('accepts plain relative paths', () => {
    expect(safeJoin('/d', './a//b c/d.bin', 't')).toBe(path.join('/d', 'a', 'b c', 'd.bin'));
  });

  it.each(['/etc/passwd', '../x', 'a/../../x', 'a/..', 'C:x', 'a\\b', 'a\0b', '', '.', 'x'.repeat(1025)])('refuses path %#', async (name) => {
    await failure(() => safeJoin('/d', name, 't'), 'ERR_TINYPROP_FILE');
  });
});

describe('unpackTar', () => {
  it('writes files of all sizes, with prefixes, long names and pax paths', async () => {
    const big = Buffer.from(Uint8Array.from({ length: 700_001 }, (_, i) => i));
    const long = `${'d'.repeat(120)}/file.bin`;
    const pax = 'pax/name.bin';
    const { file, out } = archive('a.tar.gz', zlib.gzipSync(tarBytes([
      { name: 'dir/', type: '5' },
      { name: 'dir/big.bin', data: big },
      { name: 'empty.bin' },
      { name: 'c.bin', prefix: 'a/b', data: Buffer.alloc(512, 1) },
      { name: '././@LongLink', type: 'L', data: Buffer.from(`${long}\0`) },
      { name: 'd'.repeat(100), data: Buffer.from('long') },
      { name: 'PaxHeader', type: 'x', data: Buffer.from(`${`21 path=${pax}\n`}`) },
      { name: 'short', data: Buffer.from('pax') },
      { name: 'hard', type: '1' },
      { name: 'device', type: '3' },
    ])));
    const written = await unpackTar(file, out);
    expect(written.map((at) => path.relative(out, at))).toEqual(['dir/big.bin', 'empty.bin', 'a/b/c.bin', long, pax].map((at) => path.normalize(at)));
    expect(fs.readFileSync(path.join(out, 'dir/big.bin')).equals(big)).toBe(true);
    expect(fs.readFileSync(path.join(out, pax), 'utf8')).toBe('pax');
  });

  it.each([
    ['cut in an entry', tarBytes([{ name: 'a', data: Buffer.alloc(2000) }]).subarray(0, 1500), /ends within an entry/],
    ['a damaged header', Buffer.concat([Buffer.from('x'), tarBytes([{ name: 'a' }]).subarray(1)]), /header checksum/],
    ['text', Buffer.alloc(1024, 'no tar at all '), /header checksum/],
    ['a size that is no number', tarBytes([{ name: 'a', size: Number.NaN }]), /no readable size/],
    ['a path upwards', tarBytes([{ name: 'a/../../b', data: Buffer.from('x') }]), /unsafe path/],
    ['a huge long name', tarBytes([{ name: 'L', type: 'L', size: 1 << 20 }]), /header entry has 1048576 bytes/],
  ])('refuses %s', async (_what, bytes, message) => {
    const { file, out } = archive('bad.tar', bytes);
    expect((await failure(() => unpackTar(file, out), 'ERR_TINYPROP_FILE')).message).toMatch(message);
  });

  it.each(['0', '5'])('stops where the file ends, whatever an entry of type %s claims', async (type) => {
    const { file, out } = archive('huge.tar', tarBytes([{ name: 'a', type, size: 8 ** 11 - 1 }]));
    await failure(() => unpackTar(file, out), 'ERR_TINYPROP_FILE');
  });
});

describe('unpackZip', () => {
  it('refuses paths upwards, bombs by claim, and other files', async () => {
    const evil = archive('evil.zip', zipSync({ '../x': Buffer.from('x') }));
    await failure(() => unpackZip(evil.file, evil.out), 'ERR_TINYPROP_FILE');
    const zip = Buffer.from(zipSync({ x: new Uint8Array(1000) }));
    zip.writeUInt32LE(1 << 30, zip.indexOf(Buffer.from('PK\x01\x02', 'latin1')) + 24);
    const bomb = archive('bomb.zip', zip);
    await failure(() => unpackZip(bomb.file, bomb.out), 'ERR_TINYPROP_LIMIT');
    const text = archive('text.zip', Buffer.from('no zip'));
    await failure(() => unpackZip(text.file, text.out), 'ERR_TINYPROP_FILE');
  });
});
