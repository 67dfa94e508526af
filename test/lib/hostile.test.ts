// SPDX-License-Identifier: Apache-2.0
// Model files that someone made on purpose: the checksum is right, the content is not. Each must be a clear error or
// a model that works; none may crash, hang or take much memory.
import { describe, expect, it } from 'vitest';
import { TinypropError } from '../../lib/errors';
import { conv2d, dense, flatten, relu } from '../../lib/layers';
import { Model } from '../../lib/model';
import { momentum } from '../../lib/optimizer';
import { numbers, toyModel } from './toy';

const crcAt = 20;
const headerBytes = 24;

function crc32(parts: Uint8Array[]): number {
  let crc = 0xffffffff;
  for (const part of parts) {
    for (const byte of part) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return ~crc >>> 0;
}

/** Makes length and checksum right again. */
function seal(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(12, bytes.length, true);
  view.setUint32(crcAt, crc32([bytes.subarray(0, crcAt), bytes.subarray(headerBytes)]), true);
  return bytes;
}

function image(): Model {
  const model = Model.sequential({ input: [6, 6, 2], layers: [conv2d({ units: 3, kernel: 3, padding: 'same' }), relu(), flatten(), dense(4)] });
  model.configure({ optimizer: momentum() });
  model.meta = { classes: ['a', 'b'] };
  return model;
}

/** Offset of a section's tag. */
function find(bytes: Uint8Array, tag: string): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(tag);
}

async function tryOut(bytes: Uint8Array, counts: Map<string, number>): Promise<void> {
  let outcome = 'loaded';
  try {
    const model = Model.fromBytes(bytes);
    const size = model.inputShape.reduce((a, b) => a * b, 1);
    if (size < 10_000) {
      await model.predict(new Float32Array(size)).catch((error: unknown) => {
        if (!(error instanceof TinypropError)) throw error;
      });
      model.toJSON();
      model.toBytes();
    }
    model.close();
  } catch (error) {
    expect(error, String(error)).toBeInstanceOf(TinypropError);
    outcome = (error as TinypropError).code;
  }
  counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
}

describe('sealed hostile model files', () => {
  it('the seal is right', () => {
    const bytes = image().toBytes({ state: true });
    expect(seal(bytes.slice())).toEqual(bytes);
  });

  it.each([
    ['graph', 'MODL'],
    ['tensor table', 'TENS'],
    ['recipe', 'RECP'],
    ['state', 'STAT'],
  ])('with changes in the %s', async (_, tag) => {
    const original = image().toBytes({ state: true });
    const start = find(original, tag);
    expect(start).toBeGreaterThan(0);
    const length = 8 + new DataView(original.buffer, original.byteOffset).getUint32(start + 4, true);
    const next = numbers(start);
    const counts = new Map<string, number>();
    const before = process.memoryUsage().rss;
    const interesting = [0, 1, 0x7f, 0x80, 0xff];
    for (let round = 0; round < 1200; round++) {
      const bytes = original.slice();
      const at = start + (round < length ? round : Math.floor(next() * length));
      bytes[at] = interesting[Math.floor(next() * 5)]!;
      if (round % 3 === 0) bytes.fill(0xff, at, Math.min(at + 4, start + length));
      await tryOut(seal(bytes), counts);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(600e6);
    expect([...counts.values()].reduce((a, b) => a + b, 0)).toBe(1200);
    expect([...counts.keys()].some((code) => code !== 'loaded')).toBe(true);
  });

  it('cut short or with sections removed, doubled or lengthened', async () => {
    const original = image().toBytes({ state: true });
    const counts = new Map<string, number>();
    for (let length = headerBytes; length < original.length; length += 5) await tryOut(seal(original.slice(0, length)), counts);
    expect(counts.get('loaded')).toBeUndefined();
    const next = numbers(5);
    for (let round = 0; round < 300; round++) {
      const from = headerBytes + Math.floor(next() * (original.length - headerBytes));
      const to = Math.min(original.length, from + 8 * Math.floor(next() * 20));
      const cut = round % 2 === 0 ? [original.subarray(0, from), original.subarray(to)] : [original.subarray(0, to), original.subarray(from)];
      await tryOut(seal(new Uint8Array(Buffer.concat(cut))), counts);
    }
    expect(counts.size).toBeGreaterThan(0);
  });

  it('that ask for far more weights than they hold', () => {
    const bytes = toyModel().toBytes();
    const units = new Uint8Array(Uint32Array.of(16).buffer);
    const at = Buffer.from(bytes).indexOf(units, find(bytes, 'dense1'));
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, 50_000_000, true);
    const started = performance.now();
    expect(() => Model.fromBytes(seal(bytes))).toThrow(TinypropError);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
