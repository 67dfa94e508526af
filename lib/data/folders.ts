// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { codedFileError, fileError, fileLines, isFile, isFolder, listFolder } from './io';
import { type LoadContext, splitNotice } from './raw';
import { stratifiedSplit, stratifiedSubset } from './split';

/** A file and the class of the folder it lies in. */
export interface LabelledFile {
  readonly file: string;
  readonly label: number;
}

/** What a tree of class folders holds; `limit` is already applied, so that nothing is decoded in vain. */
export interface ClassFolders {
  readonly classes: string[];
  readonly train: LabelledFile[];
  readonly test: LabelledFile[] | undefined;
}

const VALIDATION = ['val', 'valid', 'validation'];

/**
 * Lists a tree with one folder per class, either directly under `folder` or under `train` and `test` (or
 * `val`) folders. Without a test folder the lists of Speech Commands (`testing_list.txt`,
 * `validation_list.txt`) decide, else a stratified split. Names are sorted, so every machine sees the same.
 *
 * @param extensions accepted file name ends in lower case, with the dot
 * @throws TinypropError ERR_TINYPROP_FILE, ERR_TINYPROP_LABEL for a test class training lacks
 */
export async function listClassFolders(folder: string, extensions: readonly string[], context: LoadContext): Promise<ClassFolders> {
  const trainFolder = path.join(folder, 'train');
  const tree = isFolder(trainFolder) ? await listSplitTree(folder, extensions, context) : await listPlainTree(folder, extensions, context);
  return { classes: tree.classes, train: limited(tree.train, context), test: tree.test && limited(tree.test, context) };
}

async function listSplitTree(folder: string, extensions: readonly string[], context: LoadContext): Promise<ClassFolders> {
  const { classes, files } = await listClasses(path.join(folder, 'train'), extensions, context);
  const validation = VALIDATION.find((name) => isFolder(path.join(folder, name)));
  const testName = isFolder(path.join(folder, 'test')) ? 'test' : validation;
  if (testName === undefined) return splitHere(folder, classes, files, context);
  if (validation !== undefined) {
    context.notice(testName === 'test' ? `${folder}: the folder ${validation} is not used` : `${folder}: no test folder; ${validation} serves as the test set`);
  }
  const testFolder = path.join(folder, testName);
  const test = await listClasses(testFolder, extensions, context);
  const unknown = test.classes.find((name) => !classes.includes(name));
  if (unknown !== undefined) throw codedFileError('ERR_TINYPROP_LABEL', path.join(testFolder, unknown), 'there is no training folder of this class');
  const renumbered = test.files.map(({ file, label }) => ({ file, label: classes.indexOf(test.classes[label] as string) }));
  return { classes, train: files, test: renumbered };
}

async function listPlainTree(folder: string, extensions: readonly string[], context: LoadContext): Promise<ClassFolders> {
  const { classes, files } = await listClasses(folder, extensions, context);
  const testing = await readList(path.join(folder, 'testing_list.txt'), context);
  if (!testing) return splitHere(folder, classes, files, context);
  const validation = (await readList(path.join(folder, 'validation_list.txt'), context)) ?? new Set<string>();
  const key = (item: LabelledFile) => `${classes[item.label]}/${path.basename(item.file)}`;
  if (validation.size > 0) context.notice(`${folder}: the files of validation_list.txt are not used`);
  return {
    classes,
    train: files.filter((item) => !testing.has(key(item)) && !validation.has(key(item))),
    test: files.filter((item) => testing.has(key(item))),
  };
}

async function readList(file: string, context: LoadContext): Promise<Set<string> | undefined> {
  if (!isFile(file)) return undefined;
  const names = new Set<string>();
  for await (const line of fileLines(file, context.options.signal)) if (line.trim() !== '') names.add(line.trim());
  return names;
}

function splitHere(folder: string, classes: string[], files: LabelledFile[], context: LoadContext): ClassFolders {
  const rows = stratifiedSplit(labelsOf(files), files.length, context.seed);
  context.notice(splitNotice(folder, rows.train.length, rows.test.length, context.seed));
  const take = (list: Uint32Array) => Array.from(list, (row) => files[row] as LabelledFile);
  return { classes, train: take(rows.train), test: rows.test.length > 0 ? take(rows.test) : undefined };
}

function limited(files: LabelledFile[], context: LoadContext): LabelledFile[] {
  const { limit } = context.options;
  if (limit === undefined || limit >= files.length) return files;
  return Array.from(stratifiedSubset(labelsOf(files), files.length, limit, context.seed), (row) => files[row] as LabelledFile);
}

/** Class indices of a list of files. */
export function labelsOf(files: readonly LabelledFile[]): Uint32Array {
  return Uint32Array.from(files, (item) => item.label);
}

/** Class folders and their files; names that begin with `_` or `.` are left out (`_background_noise_`). */
async function listClasses(folder: string, extensions: readonly string[], context: LoadContext): Promise<{ classes: string[]; files: LabelledFile[] }> {
  const classes: string[] = [];
  const files: LabelledFile[] = [];
  for (const entry of await listFolder(folder)) {
    const classFolder = path.join(folder, entry.name);
    if (!is(entry, classFolder, 'folder') || entry.name.startsWith('.')) continue;
    if (entry.name.startsWith('_')) {
      context.notice(`${classFolder}: left out (its name begins with an underscore)`);
      continue;
    }
    const inside = await listFolder(classFolder);
    const label = classes.length;
    const before = files.length;
    for (const item of inside) {
      const file = path.join(classFolder, item.name);
      if (extensions.includes(path.extname(item.name).toLowerCase()) && is(item, file, 'file')) files.push({ file, label });
    }
    if (files.length > before) classes.push(entry.name);
    else context.notice(`${classFolder}: left out (no ${extensions.join(', ')} files)`);
  }
  if (files.length === 0) throw fileError(folder, `expected one folder per class with ${extensions.join(', ')} files in it; found none`);
  return { classes, files };
}

/** Links are followed, as a person would expect. */
function is(entry: fs.Dirent, at: string, what: 'file' | 'folder'): boolean {
  if (entry.isSymbolicLink()) return what === 'file' ? isFile(at) : isFolder(at);
  return what === 'file' ? entry.isFile() : entry.isDirectory();
}
