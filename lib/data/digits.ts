// SPDX-License-Identifier: Apache-2.0
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { packageRoot } from '../package';
import { fileError, readSmallFile } from './io';
import type { LoadContext, RawData, RawPart } from './raw';

const PIXELS = 64;
const MAGIC = 'TPDIGIT1';

/** The shipped UCI optical digits: 8x8x1, values 0 to 16, with the split that is part of the file. */
export async function readDigits(context: LoadContext): Promise<RawData> {
  const file = path.join(packageRoot(), 'lib', 'data', 'digits', 'digits.u8.gz');
  const packed = await readSmallFile(file, 1 << 20, context.options.signal);
  const { pixels, labels, isTest } = parseDigits(zlib.gunzipSync(packed, { maxOutputLength: 1 << 20 }), file);
  return {
    name: 'digits',
    inputShape: [8, 8, 1],
    classes: Array.from({ length: 10 }, (_, digit) => String(digit)),
    train: part(pixels, labels, isTest, 0),
    test: part(pixels, labels, isTest, 1),
    scale: 1 / 16,
    defaultMode: 'mean',
  };
}

/**
 * Layout (written by tools/make-digits.py): 8 bytes `TPDIGIT1`, u32 little-endian n, n x 64 pixels,
 * n labels, n split bytes (0 train, 1 test).
 */
export function parseDigits(bytes: Uint8Array, file: string): { pixels: Uint8Array; labels: Uint8Array; isTest: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = Buffer.from(bytes.subarray(0, 8)).toString('latin1');
  if (bytes.length < 12 || magic !== MAGIC) throw fileError(file, `expected the magic ${MAGIC}, found '${magic}'`);
  const n = view.getUint32(8, true);
  const expected = 12 + n * (PIXELS + 2);
  if (bytes.length !== expected) throw fileError(file, `expected ${expected} bytes, found ${bytes.length}`);
  const labelsAt = 12 + n * PIXELS;
  return {
    pixels: bytes.subarray(12, labelsAt),
    labels: bytes.subarray(labelsAt, labelsAt + n),
    isTest: bytes.subarray(labelsAt + n),
  };
}

function part(pixels: Uint8Array, labels: Uint8Array, isTest: Uint8Array, wanted: number): RawPart {
  const rows: number[] = [];
  isTest.forEach((flag, row) => {
    if (flag === wanted) rows.push(row);
  });
  const x = new Uint8Array(rows.length * PIXELS);
  rows.forEach((row, i) => x.set(pixels.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS));
  return { n: rows.length, x, labels: Uint32Array.from(rows, (row) => labels[row] as number) };
}
