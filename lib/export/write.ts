// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { TinypropError } from '../errors';
import { recordName } from './record';
import { type FileTree, pathsOf } from './sources';

/** Names in a folder; undefined: there is none. */
async function contents(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

/** @throws TinypropError `ERR_TINYPROP_SPEC` if the folder may not be replaced. */
function mayReplace(folder: string, names: readonly string[] | undefined, force: boolean): void {
  if (names === undefined || names.length === 0) return;
  if (!force) throw new TinypropError('ERR_TINYPROP_SPEC', `${folder} is not empty; --force replaces an earlier export, with all that lies in it`, { path: folder });
  if (!names.includes(recordName)) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `${folder} is not empty and no earlier export (it holds no ${recordName}): choose another folder`, { path: folder });
  }
}

/**
 * Writes a whole folder or nothing: a temporary one beside it, then a rename.
 *
 * @throws TinypropError `ERR_TINYPROP_SPEC` (not empty), `ERR_TINYPROP_ABORTED`, `ERR_TINYPROP_FILE`; what was there is then unchanged
 * @internal
 */
export async function writeTree(folder: string, tree: FileTree, options: { force: boolean; signal: AbortSignal | undefined }): Promise<void> {
  const target = resolve(folder);
  const random = randomBytes(6).toString('hex');
  const beside = (kind: string): string => join(dirname(target), `.${basename(target)}.${random}.${kind}`);
  const [fresh, former] = [beside('tmp'), beside('old')];
  const check = (): void => {
    if (options.signal?.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', `${folder}: stopped; nothing was written`, { path: folder });
  };
  try {
    const names = await contents(target);
    mayReplace(folder, names, options.force);
    await mkdir(dirname(target), { recursive: true });
    for (const path of pathsOf(tree)) {
      check();
      const file = join(fresh, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, tree[path] as string | Uint8Array);
    }
    check();
    if (names !== undefined) await rename(target, former);
    try {
      await rename(fresh, target);
    } catch (error) {
      if (names !== undefined) await rename(former, target);
      throw error;
    }
    await rm(former, { recursive: true, force: true });
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    if (cause instanceof TinypropError) throw cause;
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot write ${folder}: ${(cause as Error).message}`, { path: folder }, cause);
  }
}
