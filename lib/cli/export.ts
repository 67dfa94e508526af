// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { TinypropError } from '../errors';
import { exportSafetensors } from '../export/safetensors';
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
  tflite?: string;
  out: string;
}

/** `export`: trained weights back in the .tflite file that the model came from, or as a file of their own. */
export async function exportCommand(flags: ExportFlags, { out }: Context): CommandResult {
  const { tflite } = flags;
  if (tflite === undefined && !/\.safetensors$/i.test(flags.out)) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `export needs --tflite FILE, the file that the model came from, or an --out that ends in .safetensors; found --out ${flags.out}`);
  }
  checkWritable('--out', flags.out);
  const original = tflite === undefined ? undefined : await readOriginal(tflite);
  const model = await Model.load(flags.model);
  try {
    const written = original ? named(tflite as string, () => exportTflite(model, original)) : exportSafetensors(model);
    const changed = original && written.reduce((n, byte, i) => n + Number(byte !== original[i]), 0);
    await writeFileAtomic(flags.out, written);
    out.document({ out: flags.out, bytes: written.length, ...(changed !== undefined && { changed }) });
    out.text(`${flags.out}: ${bytes(written.length)}${changed === undefined ? '' : `, ${count(changed)} of them changed`}`);
    return exitCodes.ok;
  } finally {
    model.close();
  }
}

async function readOriginal(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot read ${path}: ${(cause as Error).message}`, { path }, cause);
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
