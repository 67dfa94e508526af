// SPDX-License-Identifier: Apache-2.0
// .tflite files that are cut off, flipped or made on purpose. Each must be a clear error or a model; none may crash, hang or read outside.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TinypropError } from '../../../lib/errors';
import { readTflite } from '../../../lib/import';
import { FlatTable } from '../../../lib/import/flatbuffer';
import { modelPath } from './goldens';

const fixtures = ['digits_float', 'digits_int8'].map((name) => [name, new Uint8Array(readFileSync(modelPath(name)!))] as const);

/** Code of the error, or `read`. */
function outcome(bytes: Uint8Array): string {
  try {
    readTflite(bytes);
    return 'read';
  } catch (error) {
    // Thousands of times: expect() would take most of the time.
    if (!(error instanceof TinypropError) || !/^(tflite|tensor|buffer|operator|subgraph)/.test(error.message)) throw error;
    return error.code;
  }
}

/** Numerical Recipes' generator: the same flips in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
}

describe.each(fixtures)('%s', (_, original) => {
  it('is read', () => expect(outcome(original)).toBe('read'));

  it('cut off at every byte', () => {
    const counts = new Map<string, number>();
    for (let length = 0; length < original.length; length++) {
      // A buffer of its own: a read outside of it would be seen.
      const code = outcome(original.slice(0, length));
      counts.set(code, (counts.get(code) ?? 0) + 1);
    }
    // What the tables need may end before the file does.
    expect(counts.get('ERR_TINYPROP_BLOB')).toBeGreaterThan(original.length * 0.9);
  });

  it('with bytes and words changed at random', () => {
    const random = generator(7);
    const codes = new Set<string>();
    for (let trial = 0; trial < 4000; trial++) {
      const bytes = original.slice();
      const view = new DataView(bytes.buffer);
      for (let changes = 1 + (random() % 3); changes > 0; changes--) {
        const at = random() % (bytes.length - 4);
        if (random() % 2) bytes[at] = random() >>> 24;
        else view.setUint32(at, [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, random() % bytes.length][random() % 6]!, true);
      }
      codes.add(outcome(bytes));
    }
    expect(codes).toContain('read');
    expect(codes).toContain('ERR_TINYPROP_BLOB');
    expect(codes).toContain('ERR_TINYPROP_MODEL');
  });

  it('inside a larger buffer, the bytes around it do not count', () => {
    const padded = new Uint8Array(original.length + 64).fill(0xa5);
    padded.set(original, 32);
    expect(readTflite(padded.subarray(32, 32 + original.length))).toEqual(readTflite(original));
  });
});

describe('made on purpose', () => {
  it('a vector that says it is longer than the file', () => {
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 16, true);
    bytes.set(Buffer.from('TFL3'), 4);
    // vtable at 8: length 6, size of the table 8, field 0 at 4.
    [6, 8, 4].forEach((v, i) => view.setUint16(8 + 2 * i, v, true));
    view.setInt32(16, 8, true);
    view.setUint32(20, 4, true);
    view.setUint32(24, 0x40000000, true);
    const table = FlatTable.root(bytes, 'TFL3', 'tflite');
    expect(() => table.ints(0, 1 << 30, 'numbers')).toThrow(/numbers: truncated or damaged/);
    view.setUint32(24, 1, true);
    expect(table.ints(0, 1 << 30, 'numbers')).toEqual([0]);
    expect(() => table.ints(0, 0, 'numbers')).toThrow(/expected at most 0 entries, found 1/);
    expect(() => table.tables(0, 9, 'numbers')).toThrow(TinypropError);
  });

  it('other files', () => {
    expect(outcome(new Uint8Array(0))).toBe('ERR_TINYPROP_BLOB');
    expect(outcome(Buffer.from('\x89PNG\r\n\x1a\n'))).toBe('ERR_TINYPROP_BLOB');
    expect(outcome(new Uint8Array(Buffer.from('\0\0\0\0TFL3')))).toBe('ERR_TINYPROP_BLOB');
  });
});
