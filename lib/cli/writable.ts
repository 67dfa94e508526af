// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { TinypropError } from '../errors';

/**
 * Refuses a place that cannot be written before hours of work go into what belongs there.
 *
 * @throws TinypropError `ERR_TINYPROP_FILE` with the system's error as cause
 */
export function checkWritable(flag: string, path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `${flag} ${path}: the folder cannot be written: ${(cause as Error).message}`, { path }, cause);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `${flag} ${path}: expected a file, found a folder`, { path });
  }
}
