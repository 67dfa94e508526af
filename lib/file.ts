// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { TinypropError } from './errors';

/**
 * Writes a whole file or nothing: a temporary file beside it, flushed, then renamed over it.
 *
 * @throws TinypropError `ERR_TINYPROP_FILE` naming the path; an existing file is then unchanged
 * @internal
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot write ${path}: ${(cause as Error).message}`, { path }, cause);
  }
}

/**
 * The bytes of a file.
 *
 * @throws TinypropError `ERR_TINYPROP_FILE`
 * @internal
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot read ${path}: ${(cause as Error).message}`, { path }, cause);
  }
}
