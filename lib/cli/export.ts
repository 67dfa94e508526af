// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { TinypropError } from '../errors';
import { exportTflite } from '../export/tflite';
import { writeFileAtomic } from '../file';
import { Model } from '../model';
import { bytes, count } from '../report/format';
import type { CommandResult, Context } from './context';
import { exitCodes } from './exit';
import { checkWritable } from './writable';

/** Flags of `export`. */
export interface ExportFlags {
  model: string;
  tflite: string;
  out: string;
}

/** `export`: trained weights back in the .tflite file that the model came from. */
export async function exportCommand(flags: ExportFlags, { out }: Context): CommandResult {
  checkWritable('--out', flags.out);
  let original: Uint8Array;
  try {
    original = await readFile(flags.tflite);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot read ${flags.tflite}: ${(cause as Error).message}`, { path: flags.tflite }, cause);
  }
  const model = await Model.load(flags.model);
  try {
    const patched = named(flags.tflite, () => exportTflite(model, original));
    const changed = patched.reduce((n, byte, i) => n + Number(byte !== original[i]), 0);
    await writeFileAtomic(flags.out, patched);
    out.document({ out: flags.out, bytes: patched.length, changed });
    out.text(`${flags.out}: ${bytes(patched.length)}, ${count(changed)} of them changed`);
    return exitCodes.ok;
  } finally {
    model.close();
  }
}

/** Errors of `body` with the file in front. */
function named<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof TinypropError)) throw error;
    throw new TinypropError(error.code, `${path}: ${error.message}`, { ...error.details, path }, error);
  }
}
