// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TinypropError } from '../errors';
import { Model } from '../model';
import { packageVersion } from '../package';
import { libraryFiles } from './library';
import { exporters } from './list';
import { arrayBytes } from './model';
import { type FirmwareRecord, parseRecord, parseSums, recordName, sumsName } from './record';
import { coreSources, filesBelow, pathsOf, sha256, sourceIdOf } from './sources';

/** Something about an export that must not be. */
export interface FirmwareProblem {
  /** What it concerns. */
  readonly kind: 'version' | 'sources' | 'model' | 'files';
  /** The file, relative to the folder; absent where it is about the whole. */
  readonly path?: string;
  /** For people. */
  readonly message: string;
}

/** What {@link verifyFirmware} found. */
export interface FirmwareReport {
  /** No problems. */
  readonly ok: boolean;
  /** In the order found: version, library, model, other files. */
  readonly problems: readonly FirmwareProblem[];
  /** Files that were yours to change and have been. */
  readonly changed: readonly string[];
  /** What the export says of itself. */
  readonly record: FirmwareRecord;
}

/** What {@link verifyFirmware} compares with. */
export interface VerifyOptions {
  /** The model that must be inside; default: the one that was exported. */
  model?: Model;
}

/** Reads a file that must be there. */
function read(folder: string, name: string): Buffer {
  try {
    return readFileSync(join(folder, name));
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot read ${join(folder, name)}: ${(cause as Error).message}`, { path: join(folder, name) }, cause);
  }
}

/** The library must be that of this package, file by file, with nothing beside it where the compiler would find it. */
function libraryProblems(folder: string, record: FirmwareRecord): FirmwareProblem[] {
  const { library } = exporters[record.for];
  const core = coreSources();
  const problems: FirmwareProblem[] = [];
  const found = sourceIdOf(core);
  if (record.sourceId !== found) {
    problems.push({ kind: 'sources', message: `made from the sources ${record.sourceId}, this package has ${found}` });
  }
  const expected = libraryFiles(library, core);
  for (const path of pathsOf(expected)) {
    if (!existsSync(join(folder, path))) problems.push({ kind: 'sources', path, message: 'missing' });
    else if (sha256(readFileSync(join(folder, path))) !== sha256(expected[path] as string | Uint8Array)) {
      problems.push({ kind: 'sources', path, message: 'not the file of this package' });
    }
  }
  if (!library.closed || !existsSync(join(folder, library.folder))) return problems;
  const own = new Set([...pathsOf(expected), ...record.guarded]);
  for (const name of filesBelow(join(folder, library.folder))) {
    const path = `${library.folder}/${name}`;
    if (!own.has(path) && !isExample(path)) problems.push({ kind: 'sources', path, message: 'does not belong to the library' });
  }
  return problems;
}

/** The program beside the library in an Arduino export. */
const isExample = (path: string): boolean => /\/tinyprop_learn\.[ch]$/.test(path);

function modelProblems(folder: string, record: FirmwareRecord, wanted: Model | undefined): FirmwareProblem[] {
  const { app } = exporters[record.for];
  const path = `${app === '' ? '' : `${app}/`}${record.model.as === 'array' ? 'tinyprop_model.c' : 'model.tpm'}`;
  if (!existsSync(join(folder, path))) return [{ kind: 'model', path, message: 'missing' }];
  try {
    const file = readFileSync(join(folder, path));
    const bytes = record.model.as === 'array' ? arrayBytes(file.toString('utf8'), path) : new Uint8Array(file);
    if (sha256(bytes) !== record.model.sha256) return [{ kind: 'model', path, message: 'not the model that was exported' }];
    const model = Model.fromBytes(bytes);
    const weights = model.weightHash();
    model.close();
    if (weights !== record.model.weights) return [{ kind: 'model', path, message: 'the record names other weights' }];
    if (wanted === undefined) return [];
    const same = JSON.stringify(wanted.toJSON()) === JSON.stringify(model.toJSON()) && wanted.weightHash() === weights;
    return same ? [] : [{ kind: 'model', path, message: 'not the model it was compared with' }];
  } catch (error) {
    if (!(error instanceof TinypropError)) throw error;
    return [{ kind: 'model', path, message: error.message }];
  }
}

/** The other files against their checksums: those made for the model must be as they were. */
function fileProblems(folder: string, record: FirmwareRecord, changed: string[]): FirmwareProblem[] {
  const sums = parseSums(read(folder, sumsName).toString('utf8'));
  if (sums === undefined) return [{ kind: 'files', path: sumsName, message: 'not a list of SHA-256 checksums' }];
  const library = new Set(pathsOf(libraryFiles(exporters[record.for].library, coreSources())));
  const problems: FirmwareProblem[] = [];
  for (const path of [...record.guarded, recordName]) {
    if (!sums.has(path)) problems.push({ kind: 'files', path, message: `not in ${sumsName}` });
  }
  for (const [path, digest] of sums) {
    if (library.has(path)) continue;
    const there = existsSync(join(folder, path));
    if (there && sha256(readFileSync(join(folder, path))) === digest) continue;
    if (path === recordName || record.guarded.includes(path)) problems.push({ kind: 'files', path, message: there ? 'changed since the export' : 'missing' });
    else changed.push(path);
  }
  return problems;
}

/**
 * Compares an export with this package: the library file by file, the model, the files made for it, the version. Changes of what
 * is the user's (main program, samples, project files) are listed and allowed.
 *
 * @param folder what {@link exportFirmware} wrote
 * @throws TinypropError `ERR_TINYPROP_FILE` (not an export, or not readable), `ERR_TINYPROP_VERSION` (a later format)
 */
export function verifyFirmware(folder: string, options: VerifyOptions = {}): FirmwareReport {
  const record = parseRecord(read(folder, recordName).toString('utf8'), join(folder, recordName));
  const version = packageVersion();
  const changed: string[] = [];
  const problems: FirmwareProblem[] = [
    ...(record.version === version ? [] : [{ kind: 'version' as const, message: `exported by tinyprop ${record.version}, this is ${version}` }]),
    ...libraryProblems(folder, record),
    ...modelProblems(folder, record, options.model),
    ...fileProblems(folder, record, changed),
  ];
  return { ok: problems.length === 0, problems, changed, record };
}
