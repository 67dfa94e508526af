// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as zlib from 'node:zlib';
import { type ErrorCode, TinypropError } from '../errors';

/** Bytes asked from the file system at once; also how often an abort is noticed. */
const PIECE = 1 << 22;

/** Deflate expands by at most 1032 to 1; a file that promises more lies. */
export const MAX_INFLATE_RATIO = 1032;

/** Most values or bytes one array may hold here (2 GiB of bytes, 2^31 values). */
export const MAX_ARRAY = 2 ** 31;

/** An error that names the file. */
export function fileError(file: string, problem: string, details: Record<string, unknown> = {}, cause?: unknown): TinypropError {
  return codedFileError('ERR_TINYPROP_FILE', file, problem, details, cause);
}

/** The same with another code. */
export function codedFileError(
  code: ErrorCode,
  file: string,
  problem: string,
  details: Record<string, unknown> = {},
  cause?: unknown,
): TinypropError {
  return new TinypropError(code, `${file}: ${problem}`, { file, ...details }, cause);
}

/** Throws ERR_TINYPROP_ABORTED if the signal fired. */
export function checkAbort(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', 'loading was aborted', {}, signal.reason);
}

/** Turns an error of the file system into one that says what to do. */
export function wrapSystemError(file: string, error: unknown): TinypropError {
  if (error instanceof TinypropError) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOENT') return fileError(file, 'no such file or folder', {}, error);
  if (code === 'EISDIR') return fileError(file, 'expected a file, found a folder', {}, error);
  if (code === 'ENOTDIR') return fileError(file, 'expected a folder, found a file', {}, error);
  if (code === 'EACCES' || code === 'EPERM') return fileError(file, 'no permission to read it', {}, error);
  const text = error instanceof Error ? error.message : String(error);
  return fileError(file, text, {}, error);
}

/** Is there a file (not a folder) of this name? */
export function isFile(file: string): boolean {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Is there a folder of this name? */
export function isFolder(folder: string): boolean {
  return fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * Names in a folder, sorted by code units (the same on every machine).
 *
 * @throws TinypropError ERR_TINYPROP_FILE if it is missing or not a folder
 */
export async function listFolder(folder: string): Promise<fs.Dirent[]> {
  try {
    const entries = await fs.promises.readdir(folder, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  } catch (error) {
    throw wrapSystemError(folder, error);
  }
}

/** Reads a whole file of at most `limit` bytes. */
export async function readSmallFile(file: string, limit: number, signal?: AbortSignal): Promise<Buffer> {
  return withFile(file, async (handle, size) => {
    if (size > limit) throw fileError(file, `expected at most ${limit} bytes, found ${size}`, { expected: limit, found: size });
    const bytes = Buffer.alloc(size);
    await readExactly(handle, file, bytes, 0, signal);
    return bytes;
  });
}

/** Opens a file, hands over its size, and closes it whatever happens. */
export async function withFile<T>(file: string, use: (handle: fs.promises.FileHandle, size: number) => Promise<T>): Promise<T> {
  let handle: fs.promises.FileHandle | undefined;
  try {
    handle = await fs.promises.open(file, 'r');
    const stat = await handle.stat();
    if (!stat.isFile()) throw fileError(file, 'expected a file, found something else');
    return await use(handle, stat.size);
  } catch (error) {
    throw wrapSystemError(file, error);
  } finally {
    await handle?.close();
  }
}

/**
 * Fills `into` from `position`, in pieces.
 *
 * @throws TinypropError ERR_TINYPROP_FILE naming the position where the file ends too early
 */
export async function readExactly(
  handle: fs.promises.FileHandle,
  file: string,
  into: Uint8Array,
  position: number,
  signal?: AbortSignal,
): Promise<void> {
  let done = 0;
  while (done < into.length) {
    checkAbort(signal);
    const { bytesRead } = await handle.read(into, done, Math.min(PIECE, into.length - done), position + done);
    if (bytesRead === 0) {
      const end = position + done;
      throw fileError(file, `ends at byte ${end}, expected ${position + into.length}`, { position: end });
    }
    done += bytesRead;
  }
}

/** The bytes of a file piece by piece, gunzipped if its name ends in `.gz`. */
export async function* filePieces(file: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const raw = fs.createReadStream(file, { highWaterMark: 1 << 18 });
  const stream = file.endsWith('.gz') ? raw.pipe(zlib.createGunzip({ chunkSize: 1 << 18 })) : raw;
  raw.on('error', (error) => stream.destroy(error));
  try {
    for await (const piece of stream) {
      checkAbort(signal);
      yield piece as Buffer;
    }
  } catch (error) {
    throw wrapSystemError(file, error);
  } finally {
    raw.destroy();
    stream.destroy();
  }
}

/** Lines of a text file without their ends; a line longer than `limit` characters is an error. */
export async function* fileLines(file: string, signal?: AbortSignal, limit = 1 << 20): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let line = 0;
  for await (const piece of filePieces(file, signal)) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = parts.pop() as string;
    for (const part of parts) {
      line++;
      yield part.endsWith('\r') ? part.slice(0, -1) : part;
    }
    if (rest.length > limit) throw fileError(file, `line ${line + 1} is longer than ${limit} characters`, { line: line + 1 });
  }
  rest += decoder.decode();
  if (rest !== '') yield rest.endsWith('\r') ? rest.slice(0, -1) : rest;
}
