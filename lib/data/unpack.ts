// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { unzipSync } from 'fflate';
import { TinypropError } from '../errors';
import { checkAbort, codedFileError, fileError, filePieces, MAX_ARRAY, MAX_INFLATE_RATIO, readSmallFile } from './io';

/** Limits of one archive; far above every data set of the registry. */
const MAX_FILES = 1_000_000;
const MAX_UNPACKED = 2 ** 34;
const BLOCK = 512;

/**
 * Where an entry of an archive goes. Only plain relative paths are accepted.
 *
 * @throws TinypropError ERR_TINYPROP_FILE for absolute paths, `..`, backslashes, colons and control characters
 */
export function safeJoin(folder: string, name: string, archive: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  const bad = name.startsWith('/') || name.length > 1024 || parts.length === 0 || parts.includes('..') || /[\\:\x00-\x1f]/.test(name);
  if (bad) throw fileError(archive, `entry '${name.slice(0, 80).replace(/[^\x20-\x7e]/g, '?')}' has an unsafe path`, { entry: name });
  return path.join(folder, ...parts);
}

/** Hands out a stream of pieces in portions of any size. */
class PieceReader {
  private pending: Buffer = Buffer.alloc(0);

  constructor(
    private readonly source: AsyncGenerator<Buffer>,
    private readonly archive: string,
  ) {}

  /** Up to `most` bytes, at least one; undefined at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.pending.length === 0) {
      const next = await this.source.next();
      if (next.done) return undefined;
      this.pending = next.value;
    }
    const piece = this.pending.subarray(0, most);
    this.pending = this.pending.subarray(piece.length);
    return piece;
  }

  /** Exactly `n` bytes, or undefined if the source is at its end. */
  async exactly(n: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    let missing = n;
    while (missing > 0) {
      const piece = await this.some(missing);
      if (!piece && pieces.length === 0) return undefined;
      if (!piece) throw fileError(this.archive, 'ends within an entry');
      pieces.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  async close(): Promise<void> {
    await this.source.return(undefined);
  }
}

/**
 * Unpacks the regular files of a .tar or .tar.gz (ustar, GNU long names, pax paths). Links and devices are
 * left out; unsafe paths are errors; header checksums are verified.
 *
 * @returns paths written
 * @throws TinypropError ERR_TINYPROP_FILE, ERR_TINYPROP_LIMIT, ERR_TINYPROP_ABORTED
 */
export async function unpackTar(archive: string, folder: string, signal?: AbortSignal): Promise<string[]> {
  const reader = new PieceReader(filePieces(archive, signal), archive);
  const written: string[] = [];
  let total = 0;
  let longName: string | undefined;
  try {
    for (;;) {
      const header = await reader.exactly(BLOCK);
      if (!header || header.every((byte) => byte === 0)) return written;
      const { name, size, type } = parseTarHeader(header, archive);
      total += size;
      if (total > MAX_UNPACKED || written.length >= MAX_FILES) throw codedFileError('ERR_TINYPROP_LIMIT', archive, 'unpacks to more than is allowed here');
      if (type === 'L' || type === 'x') {
        if (size > 1 << 16) throw fileError(archive, `a header entry has ${size} bytes`);
        const text = ((await padded(reader, size, archive)) ?? Buffer.alloc(0)).toString('utf8');
        longName = type === 'L' ? text.replace(/\0.*$/s, '') : (/^\d+ path=(.*)$/m.exec(text)?.[1] ?? longName);
        continue;
      }
      const target = longName ?? name;
      longName = undefined;
      if (type === '0' || type === '\0') {
        const file = safeJoin(folder, target, archive);
        await writeEntry(reader, file, size, archive);
        written.push(file);
      } else {
        await skip(reader, size, archive);
      }
    }
  } finally {
    await reader.close();
  }
}

function parseTarHeader(header: Buffer, archive: string): { name: string; size: number; type: string } {
  const text = (from: number, length: number) => header.toString('utf8', from, from + length).replace(/\0.*$/s, '');
  const octal = (from: number, length: number) => {
    const digits = text(from, length).trim();
    return /^[0-7]*$/.test(digits) ? Number.parseInt(`0${digits}`, 8) : Number.NaN;
  };
  let sum = 8 * 32;
  header.forEach((byte, i) => {
    if (i < 148 || i >= 156) sum += byte;
  });
  if (octal(148, 8) !== sum) throw fileError(archive, 'not a readable tar archive (header checksum)');
  const size = octal(124, 12);
  if (!Number.isSafeInteger(size) || size < 0) throw fileError(archive, 'a tar header holds no readable size');
  const prefix = text(257, 5) === 'ustar' && header[262] === 0 ? text(345, 155) : '';
  return { name: prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`, size, type: String.fromCharCode(header[156] as number) };
}

const paddingOf = (size: number) => (BLOCK - (size % BLOCK)) % BLOCK;

async function padded(reader: PieceReader, size: number, archive: string): Promise<Buffer | undefined> {
  const data = size > 0 ? await reader.exactly(size) : Buffer.alloc(0);
  await skip(reader, 0, archive, paddingOf(size));
  return data;
}

async function skip(reader: PieceReader, size: number, archive: string, extra = paddingOf(size)): Promise<void> {
  for (let missing = size + extra; missing > 0; ) {
    const piece = await reader.some(missing);
    if (!piece) throw fileError(archive, 'ends within an entry');
    missing -= piece.length;
  }
}

async function writeEntry(reader: PieceReader, file: string, size: number, archive: string): Promise<void> {
  await fs.promises.mkdir(path.dirname(file), { recursive: true });
  const handle = await fs.promises.open(file, 'w');
  try {
    for (let missing = size; missing > 0; ) {
      const piece = await reader.some(missing);
      if (!piece) throw fileError(archive, 'ends within an entry');
      await handle.write(piece);
      missing -= piece.length;
    }
  } finally {
    await handle.close();
  }
  await skip(reader, 0, archive, paddingOf(size));
}

/**
 * Unpacks a ZIP; a .zip inside is unpacked where it lies (the HAR download has one), once.
 *
 * @returns paths written
 * @throws TinypropError ERR_TINYPROP_FILE, ERR_TINYPROP_LIMIT, ERR_TINYPROP_ABORTED
 */
export async function unpackZip(archive: string, folder: string, signal?: AbortSignal): Promise<string[]> {
  return unpackZipBytes(await readSmallFile(archive, MAX_ARRAY - 1, signal), archive, folder, true, signal);
}

async function unpackZipBytes(bytes: Uint8Array, archive: string, folder: string, nested: boolean, signal?: AbortSignal): Promise<string[]> {
  const written: string[] = [];
  for (const [name, data] of Object.entries(unzip(bytes, archive))) {
    checkAbort(signal);
    const file = safeJoin(folder, name, archive);
    if (nested && name.toLowerCase().endsWith('.zip')) {
      written.push(...(await unpackZipBytes(data, `${archive}#${name}`, path.dirname(file), false, signal)));
      continue;
    }
    await fs.promises.mkdir(path.dirname(file), { recursive: true });
    await fs.promises.writeFile(file, data);
    written.push(file);
  }
  return written;
}

function unzip(bytes: Uint8Array, archive: string): Record<string, Uint8Array> {
  const sizes = new Map<string, number>();
  let total = 0;
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes, {
      filter({ name, size, originalSize }) {
        if (name.endsWith('/') || name.startsWith('__MACOSX/')) return false;
        total += originalSize;
        if (originalSize > size * MAX_INFLATE_RATIO + 64 || size > bytes.length || total >= MAX_ARRAY) {
          throw codedFileError('ERR_TINYPROP_LIMIT', archive, `entry '${name}' claims ${originalSize} bytes from ${size}`);
        }
        sizes.set(name, originalSize);
        return true;
      },
    });
  } catch (error) {
    if (error instanceof TinypropError) throw error;
    throw fileError(archive, `not a readable ZIP file: ${error instanceof Error ? error.message : String(error)}`, {}, error);
  }
  for (const [name, data] of Object.entries(entries)) {
    if (data.length !== sizes.get(name)) throw fileError(archive, `entry '${name}': expected ${sizes.get(name)} bytes, found ${data.length}`);
  }
  return entries;
}
