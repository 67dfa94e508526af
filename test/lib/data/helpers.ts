// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll } from 'vitest';
import { type ErrorCode, TinypropError } from '../../../lib/errors';

/** A folder of its own per test file, removed at the end. */
export function scratchFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tinyprop-data-'));
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The folder of real data beside the repository, or undefined. */
export function sharedData(...parts: string[]): string | undefined {
  const base = process.env.TINYPROP_TEST_DATA ?? path.resolve(__dirname, '../../../../shared/data');
  const found = path.join(base, ...parts);
  if (fs.existsSync(found)) return found;
  console.info(`skipped: no real data at ${found} (set TINYPROP_TEST_DATA)`);
  return undefined;
}

/** Runs `action` and returns the TinypropError it must throw, after checking its code. */
export async function failure(action: () => unknown, code: ErrorCode): Promise<TinypropError> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof TinypropError)) throw error;
    if (error.code !== code) throw new Error(`expected ${code}, found ${error.code}: ${error.message}`);
    return error;
  }
  throw new Error(`expected ${code}, but nothing was thrown`);
}

/** Bytes of an .npy file, written as NumPy does. */
export function npyBytes(descr: string, shape: readonly number[], data: ArrayBufferView, fortran = false): Buffer {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const dict = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${tuple}, }`;
  return rawNpy(dict, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
}

/** An .npy file with any header text. */
export function rawNpy(dict: string, data: Buffer): Buffer {
  const header = dict.padEnd(Math.ceil((dict.length + 11) / 64) * 64 - 11) + '\n';
  const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([prefix, Buffer.from(header, 'latin1'), data]);
}

/** Bytes of an IDX file. */
export function idxBytes(dims: readonly number[], data: ArrayLike<number>): Buffer {
  const head = Buffer.alloc(4 + 4 * dims.length);
  head.writeUInt32BE(0x800 + dims.length, 0);
  dims.forEach((extent, i) => head.writeUInt32BE(extent, 4 + 4 * i));
  return Buffer.concat([head, Buffer.from(Uint8Array.from(data))]);
}
