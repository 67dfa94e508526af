// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { TinypropError } from '../errors';
import { type DatasetEntry, datasets, type RemoteFile } from './catalog';
import { type Checksum, downloadFile, hashFile } from './download';
import { fileError, isFile, wrapSystemError } from './io';
import { unpackTar, unpackZip } from './unpack';

const MANIFEST = 'tinyprop-data.json';

/** Progress of {@link getDataset}. */
export interface DatasetProgress {
  /** Name of the data set. */
  readonly dataset: string;
  /** Name of the file being fetched. */
  readonly file: string;
  /** Downloading, unpacking, or taking checksums of what was unpacked. */
  readonly phase: 'download' | 'unpack' | 'hash';
  /** Bytes so far (phase download). */
  readonly received: number;
  /** Bytes in all, if known (phase download). */
  readonly total: number | undefined;
}

/** Options of {@link getDataset}. */
export interface GetDatasetOptions {
  /** Stops with ERR_TINYPROP_ABORTED; what has arrived stays for the next call. */
  readonly signal?: AbortSignal;
  /** Hears how far each file is. */
  readonly onProgress?: (progress: DatasetProgress) => void;
  /** Take the files from this address (a mirror) instead of the official ones; checksums still hold. */
  readonly baseUrl?: string;
  /** Cache folder; {@link dataCacheDir} if not given. */
  readonly cacheDir?: string;
  /** First pause between attempts in milliseconds, doubled each time; 500 if not given. */
  readonly pause?: number;
}

/** Where a downloaded file came from and what is known of its checksum. */
export interface SourceRecord {
  /** Name of the downloaded file. */
  readonly name: string;
  /** Address it came from. */
  readonly url: string;
  /** Bytes. */
  readonly size: number;
  /** Checksum of the bytes that arrived. */
  readonly sha256: string;
  /** Published checksums it was compared with; empty means `no published checksum`. */
  readonly published: readonly Checksum[];
}

/** A file of the cache as it was when it was written. */
export interface FileRecord {
  /** Relative to the data set's folder, with `/`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Checksum, lower-case hexadecimal. */
  readonly sha256: string;
}

/** What {@link getDataset} returns. */
export interface DatasetLocation {
  /** Name of the data set. */
  readonly name: string;
  /** Folder of the data set in the cache. */
  readonly dir: string;
  /** Data specification that loads it, for {@link loadData} and `--data`. */
  readonly spec: string;
  /** Nothing had to be downloaded. */
  readonly cached: boolean;
  /** Every downloaded file with its checksum. */
  readonly sources: readonly SourceRecord[];
}

/** A file of the cache compared with its record. */
export interface VerifiedFile {
  /** Relative to the data set's folder, with `/`. */
  readonly path: string;
  /** As recorded, gone, or of another content. */
  readonly status: 'ok' | 'missing' | 'changed';
  /** Recorded sha256, lower-case hexadecimal. */
  readonly expected: string;
  /** Its sha256 now; absent if it is missing. */
  readonly found?: string;
}

/** What is known of the origin of a downloaded file. */
export interface PublishedNote {
  /** Name of the downloaded file. */
  readonly file: string;
  /** `matched sha256 ...`, or `no published checksum; recorded sha256 ...`. */
  readonly note: string;
}

/** What {@link verifyDataset} found. */
export interface VerifyReport {
  /** Name of the data set. */
  readonly name: string;
  /** Its folder in the cache. */
  readonly dir: string;
  /** Every file is there and as recorded. */
  readonly ok: boolean;
  /** Every file, in the order of the record. */
  readonly files: readonly VerifiedFile[];
  /** One note for every downloaded file. */
  readonly published: readonly PublishedNote[];
}

interface Manifest {
  readonly version: 1;
  readonly name: string;
  readonly sources: SourceRecord[];
  readonly files: FileRecord[];
}

/** Folder for downloaded data: `$TINYPROP_DATA`, else `$XDG_CACHE_HOME/tinyprop`, else `~/.cache/tinyprop`. */
export function dataCacheDir(): string {
  const { TINYPROP_DATA, XDG_CACHE_HOME } = process.env;
  if (TINYPROP_DATA) return path.resolve(TINYPROP_DATA);
  return path.join(XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : path.join(os.homedir(), '.cache'), 'tinyprop');
}

/** Finds an entry of {@link datasets}. @throws TinypropError ERR_TINYPROP_SPEC listing the names */
export function findDataset(name: string): DatasetEntry {
  const entry = datasets.find((candidate) => candidate.name === name);
  if (entry) return entry;
  const names = datasets.map((candidate) => candidate.name).join(', ');
  throw new TinypropError('ERR_TINYPROP_SPEC', `unknown data set '${name}'; expected one of ${names}`, { name });
}

/** Is the data set complete in the cache (by its record and the sizes of its files)? */
export function isDatasetCached(name: string, cacheDir: string = dataCacheDir()): boolean {
  const dir = path.join(cacheDir, name);
  const manifest = readManifest(dir);
  return manifest !== undefined && isComplete(dir, manifest, findDataset(name));
}

/**
 * Downloads a public data set into the cache, checks it, unpacks archives, and records the checksum of every
 * file. What is there already is not fetched again; an interrupted download goes on where it stopped.
 *
 * @param which a name of {@link datasets}, or an entry of one's own
 * @throws TinypropError ERR_TINYPROP_NETWORK, ERR_TINYPROP_FILE, ERR_TINYPROP_SPEC, ERR_TINYPROP_BUSY,
 *   ERR_TINYPROP_ABORTED
 */
export async function getDataset(which: string | DatasetEntry, options: GetDatasetOptions = {}): Promise<DatasetLocation> {
  const entry = typeof which === 'string' ? findDataset(which) : which;
  const dir = path.join(options.cacheDir ?? dataCacheDir(), entry.name);
  try {
    await fs.promises.mkdir(dir, { recursive: true });
  } catch (error) {
    throw wrapSystemError(dir, error);
  }
  const unlock = lock(dir);
  try {
    let manifest: Manifest = readManifest(dir) ?? { version: 1, name: entry.name, sources: [], files: [] };
    let cached = true;
    if (!isComplete(dir, manifest, entry)) {
      for (const file of entry.files) {
        if (hasFile(dir, manifest, file)) continue;
        const fetched = await fetchFile(entry, file, dir, options);
        cached &&= fetched.adopted;
        manifest = merge(manifest, fetched.source, fetched.files);
        writeManifest(dir, manifest);
      }
    }
    return { name: entry.name, dir, spec: specOf(entry, dir), cached, sources: manifest.sources };
  } finally {
    unlock();
  }
}

/** The data specification of a data set in the cache, whether it is there or not. */
export function specOf(entry: DatasetEntry, dir: string): string {
  return `${entry.kind}:${path.join(dir, entry.folder)}`;
}

/**
 * Reads every file of a cached data set again and compares it with its record and, where the file is kept as
 * it was published, with the published checksums.
 *
 * @throws TinypropError ERR_TINYPROP_FILE if the data set is not in the cache
 */
export async function verifyDataset(
  which: string | DatasetEntry,
  options: { readonly signal?: AbortSignal; readonly cacheDir?: string } = {},
): Promise<VerifyReport> {
  const entry = typeof which === 'string' ? findDataset(which) : which;
  const dir = path.join(options.cacheDir ?? dataCacheDir(), entry.name);
  const manifest = readManifest(dir);
  if (!manifest) throw fileError(dir, `the data set is not in the cache; run 'tinyprop data get ${entry.name}'`, { name: entry.name });
  const files: VerifiedFile[] = [];
  for (const record of manifest.files) {
    const file = path.join(dir, ...record.path.split('/'));
    if (!isFile(file)) {
      files.push({ path: record.path, status: 'missing', expected: record.sha256 });
      continue;
    }
    const found = (await hashFile(file, ['sha256'], options.signal)).sha256 as string;
    files.push({ path: record.path, status: found === record.sha256 ? 'ok' : 'changed', expected: record.sha256, found });
  }
  const missing = entry.files.filter((file) => !manifest.sources.some((source) => source.name === file.name));
  for (const file of missing) files.push({ path: file.name, status: 'missing', expected: file.checksums?.[0]?.value ?? 'unknown' });
  const published = manifest.sources.map((source) => ({ file: source.name, note: publishedNote(source) }));
  return { name: entry.name, dir, ok: files.every((file) => file.status === 'ok'), files, published };
}

function publishedNote(source: SourceRecord): string {
  if (source.published.length === 0) return `no published checksum; recorded sha256 ${source.sha256}`;
  return source.published.map((sum) => `matched ${sum.kind} ${sum.value} (${sum.source})`).join('; ');
}

interface Fetched {
  readonly source: SourceRecord;
  readonly files: FileRecord[];
  /** The file lay there already with the published checksum. */
  readonly adopted: boolean;
}

async function fetchFile(entry: DatasetEntry, file: RemoteFile, dir: string, options: GetDatasetOptions): Promise<Fetched> {
  const target = path.join(dir, file.name);
  const report = (phase: DatasetProgress['phase'], received = 0, total?: number) =>
    options.onProgress?.({ dataset: entry.name, file: file.name, phase, received, total });
  const published = file.checksums ?? [];
  const adopted = await adopt(target, file, options.signal);
  const urls = options.baseUrl === undefined ? file.urls : [`${options.baseUrl.replace(/\/$/, '')}/${file.name}`];
  const got =
    adopted ??
    (await downloadFile({
      urls,
      file: target,
      size: file.size,
      checksums: published,
      signal: options.signal,
      pause: options.pause,
      onProgress: ({ received, total }) => report('download', received, total),
    }));
  const source = { name: file.name, url: got.url, size: got.size, sha256: got.sha256, published };
  if (!file.unpack) return { source, files: [{ path: file.name, size: got.size, sha256: got.sha256 }], adopted: adopted !== undefined };
  report('unpack');
  const paths = await unpackInto(dir, target, file.unpack, options.signal);
  report('hash');
  const files: FileRecord[] = [];
  for (const relative of paths) {
    const at = path.join(dir, relative);
    const { sha256 } = await hashFile(at, ['sha256'], options.signal);
    files.push({ path: relative.split(path.sep).join('/'), size: fs.statSync(at).size, sha256: sha256 as string });
  }
  await fs.promises.rm(target);
  return { source, files, adopted: adopted !== undefined };
}

/** A complete file somebody put there, if a published checksum vouches for it. */
async function adopt(target: string, file: RemoteFile, signal?: AbortSignal): Promise<{ url: string; size: number; sha256: string } | undefined> {
  if (!isFile(target) || !file.checksums || file.checksums.length === 0) return undefined;
  const found = await hashFile(target, ['sha256', ...file.checksums.map((sum) => sum.kind)], signal);
  if (file.checksums.some((sum) => found[sum.kind] !== sum.value)) return undefined;
  return { url: file.urls[0] as string, size: fs.statSync(target).size, sha256: found.sha256 as string };
}

/** Unpacks into a folder aside, then moves every file to its place, so that nothing half-written has its name. */
async function unpackInto(dir: string, archive: string, kind: 'tar' | 'zip', signal?: AbortSignal): Promise<string[]> {
  const aside = path.join(dir, '.unpacking');
  await fs.promises.rm(aside, { recursive: true, force: true });
  try {
    const written = await (kind === 'tar' ? unpackTar : unpackZip)(archive, aside, signal);
    const relative = written.map((file) => path.relative(aside, file));
    for (const name of relative) {
      await fs.promises.mkdir(path.dirname(path.join(dir, name)), { recursive: true });
      await fs.promises.rename(path.join(aside, name), path.join(dir, name));
    }
    return relative;
  } finally {
    await fs.promises.rm(aside, { recursive: true, force: true });
  }
}

function isComplete(dir: string, manifest: Manifest, entry: DatasetEntry): boolean {
  return entry.files.every((file) => hasFile(dir, manifest, file)) && manifest.files.every((record) => sizeAt(dir, record) === record.size);
}

/** Was this file fetched, and are it or the files unpacked from it still there? */
function hasFile(dir: string, manifest: Manifest, file: RemoteFile): boolean {
  if (!manifest.sources.some((source) => source.name === file.name)) return false;
  const own = file.unpack ? manifest.files : manifest.files.filter((record) => record.path === file.name);
  return own.length > 0 && own.every((record) => sizeAt(dir, record) === record.size);
}

function sizeAt(dir: string, record: FileRecord): number | undefined {
  return fs.statSync(path.join(dir, ...record.path.split('/')), { throwIfNoEntry: false })?.size;
}

function merge(manifest: Manifest, source: SourceRecord, files: FileRecord[]): Manifest {
  const paths = new Set(files.map((file) => file.path));
  return {
    ...manifest,
    sources: [...manifest.sources.filter((other) => other.name !== source.name), source],
    files: [...manifest.files.filter((other) => !paths.has(other.path)), ...files],
  };
}

function readManifest(dir: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(fs.readFileSync(path.join(dir, MANIFEST), 'utf8')) as Partial<Manifest>;
    const valid = manifest.version === 1 && Array.isArray(manifest.sources) && Array.isArray(manifest.files);
    // Paths are joined to the cache folder: a record that points elsewhere is not ours.
    const safe = valid && manifest.files?.every((file) => typeof file.path === 'string' && !file.path.split('/').includes('..'));
    return safe ? (manifest as Manifest) : undefined;
  } catch {
    return undefined;
  }
}

function writeManifest(dir: string, manifest: Manifest): void {
  const file = path.join(dir, MANIFEST);
  fs.writeFileSync(`${file}.tmp`, `${JSON.stringify(manifest, null, 1)}\n`);
  fs.renameSync(`${file}.tmp`, file);
}

/** One download of a data set at a time; a lock left by a process that is gone does not count. */
function lock(dir: string): () => void {
  const file = path.join(dir, '.lock');
  for (let attempt = 0; ; attempt++) {
    try {
      fs.writeFileSync(file, String(process.pid), { flag: 'wx' });
      return () => fs.rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 0) throw wrapSystemError(file, error);
      const owner = Number(readText(file));
      if (isAlive(owner)) throw new TinypropError('ERR_TINYPROP_BUSY', `${dir}: process ${owner} is downloading this data set`, { dir, owner });
      fs.rmSync(file, { force: true });
    }
  }
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
