// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { TensorBoardWriter } from '../../lib';
import { crc32c } from '../../lib/tensorboard';

const folder = mkdtempSync(join(tmpdir(), 'tinyprop-tb-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The payloads of a TFRecord file, its checksums verified bit by bit. */
function records(file: string): Buffer[] {
  const crc = (data: Uint8Array): number => {
    let c = 0xffffffff;
    for (const byte of data) for (let bit = 0; bit < 8; bit++) c = ((c >>> 1) ^ ((c ^ (byte >> bit)) & 1 ? 0x82f63b78 : 0)) >>> 0;
    c = ~c >>> 0;
    return Number((BigInt((c >>> 15) | (c << 17) >>> 0) + 0xa282ead8n) & 0xffffffffn);
  };
  const bytes = readFileSync(file);
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(bytes.readUInt32LE(at + 8)).toBe(crc(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(crc(data));
    found.push(data);
    at += 16 + length;
  }
  return found;
}

describe('TensorBoardWriter', () => {
  it('has the checksum of RFC 3720', () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });

  it('writes the records that the protocol describes, byte for byte', () => {
    const writer = new TensorBoardWriter(join(folder, 'a'), () => 1.5);
    writer.scalar('loss', 300, 0.25);
    writer.scalar('loss', 301, NaN);
    writer.close();
    const wall = '09000000000000f83f';
    const version = `${wall}1a0d${Buffer.from('brain.Event:2').toString('hex')}`;
    const scalar = `${wall}10ac02${'2a0d0a0b0a046c6f737315'}0000803e`;
    expect(records(writer.path).map((r) => r.toString('hex'))).toEqual([version, scalar]);
  });

  it.skipIf(spawnSync('protoc', ['--version']).error !== undefined)('is decoded by protoc', () => {
    const writer = new TensorBoardWriter(join(folder, 'b'));
    writer.text('run', 0, '* **seed**: 1');
    writer.close();
    const file = join(folder, 'event.bin');
    writeFileSync(file, records(writer.path)[1] as Buffer);
    expect(execFileSync('protoc', ['--decode_raw'], { input: readFileSync(file), encoding: 'utf8' })).toContain('* **seed**: 1');
  });

  it('refuses a folder that is a file, and to write after its end', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(() => new TensorBoardWriter(file)).toThrow(expect.objectContaining({ code: 'ERR_TINYPROP_FILE' }));
    const writer = new TensorBoardWriter(join(folder, 'c'));
    writer.close();
    writer.close();
    expect(() => writer.scalar('loss', 1, 1)).toThrow(expect.objectContaining({ code: 'ERR_TINYPROP_CLOSED' }));
  });
});
