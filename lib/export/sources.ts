// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { TinypropError } from '../errors';
import { packageRoot } from '../package';

/** Files of a tree by path, `/` between folders. @internal */
export type FileTree = Record<string, string | Uint8Array>;

/** SHA-256 in hexadecimal. @internal */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Paths in ascending code-unit order: the order of everything that is written. @internal */
export function pathsOf(tree: FileTree): string[] {
  return Object.keys(tree).sort((a, b) => (a < b ? -1 : 1));
}

/** Every file below a folder. @internal */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1).split(sep).join('/'))
    .sort((a, b) => (a < b ? -1 : 1));
}

const code = /\.(c|h|inc)$/;
const companions = /(^|\/)(CMakeLists\.txt|Kconfig|README\.md|library\.json|idf_component\.yml|module\.yml)$/;

/** The C library of this package: the code, and the manifests that lie beside it. @internal */
export function coreSources(folder = join(packageRoot(), 'csrc')): FileTree {
  try {
    const names = filesBelow(folder).filter((name) => code.test(name) || companions.test(name));
    return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot read the C sources of this package: ${(cause as Error).message}`, { path: folder }, cause);
  }
}

/** The id of the code among those files, as `csrc/CMakeLists.txt` computes it. @internal */
export function sourceIdOf(tree: FileTree): string {
  const lines = pathsOf(tree).filter((path) => code.test(path)).map((path) => `${sha256(tree[path] as Uint8Array)}  ${path}\n`);
  return sha256(lines.join('')).slice(0, 16);
}

/** The tree in a folder. @internal */
export function under(folder: string, tree: FileTree): FileTree {
  return Object.fromEntries(Object.entries(tree).map(([path, data]) => [folder === '' ? path : `${folder}/${path}`, data]));
}
