// SPDX-License-Identifier: Apache-2.0
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { TinypropError } from '../errors';

/** A checksum somebody published. */
export interface Checksum {
  /** Hash function. */
  readonly kind: 'sha256' | 'md5';
  /** Lower-case hexadecimal. */
  readonly value: string;
  /** Who published it. */
  readonly source: string;
}

/** How far a download is. */
export interface DownloadProgress {
  /** Bytes on disk, those of an earlier attempt included. */
  readonly received: number;
  /** Size of the whole file in bytes, if the server or the registry says it. */
  readonly total: number | undefined;
}

/** What to download and how. */
export interface DownloadOptions {
  /** Addresses of the same file, tried in order. */
  readonly urls: readonly string[];
  /** Where the file goes; until it is complete and checked it is `file + '.part'`. */
  readonly file: string;
  /** Expected size in bytes. */
  readonly size?: number | undefined;
  /** All of them must agree. */
  readonly checksums?: readonly Checksum[] | undefined;
  /** Stops with ERR_TINYPROP_ABORTED; what has arrived stays for the next call. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of every piece that was written. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Attempts per address; 4 if not given. */
  readonly attempts?: number | undefined;
  /** First pause between attempts in milliseconds, doubled each time; 500 if not given. */
  readonly pause?: number | undefined;
  /** Milliseconds without a byte before an attempt is given up; 60000 if not given. */
  readonly idle?: number | undefined;
}

/** A file that arrived. */
export interface DownloadResult {
  /** The address it came from. */
  readonly url: string;
  /** Bytes of the whole file. */
  readonly size: number;
  /** Checksum of the whole file, lower-case hexadecimal. */
  readonly sha256: string;
  /** Bytes that an earlier, interrupted download had left; 0 if none were used. */
  readonly resumed: number;
}

const MAX_REDIRECTS = 5;
/** Nothing in the registry comes near; a server that never stops is stopped here. */
const MAX_BYTES = 2 ** 34;

/** What is remembered beside a partial file: without a validator it is not safe to go on with it. */
interface PartNote {
  readonly url: string;
  readonly validator: string;
}

/** An attempt failed; `retry` says whether the same address is worth another. */
class AttemptError extends Error {
  constructor(
    message: string,
    readonly retry: boolean,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/**
 * Downloads a file, going on where an earlier attempt stopped (HTTP Range with If-Range), then checks size
 * and checksums and only then gives it its name. After an abort or a lost connection the partial file stays;
 * after a wrong checksum it is removed.
 *
 * @throws TinypropError ERR_TINYPROP_NETWORK telling every address and why it failed; ERR_TINYPROP_ABORTED
 */
export async function downloadFile(options: DownloadOptions): Promise<DownloadResult> {
  const { urls, attempts = 4, pause = 500 } = options;
  const problems: string[] = [];
  let cause: unknown;
  for (const url of urls) {
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        return await attemptDownload(url, options);
      } catch (error) {
        if (options.signal?.aborted) throw aborted(options.file, error);
        if (error instanceof TinypropError) throw error;
        cause = error;
        const retry = !(error instanceof AttemptError) || error.retry;
        if (!retry || attempt === attempts - 1) {
          problems.push(`${url}: ${error instanceof Error ? error.message : String(error)}`);
          break;
        }
        await sleep(pause * 2 ** attempt, undefined, { signal: options.signal }).catch((reason: unknown) => {
          throw aborted(options.file, reason);
        });
      }
    }
  }
  throw new TinypropError('ERR_TINYPROP_NETWORK', `could not download ${options.file}: ${problems.join('; ')}`, { file: options.file, urls }, cause);
}

function aborted(file: string, cause: unknown): TinypropError {
  return new TinypropError('ERR_TINYPROP_ABORTED', `the download of ${file} was aborted; the next one goes on where it stopped`, { file }, cause);
}

async function attemptDownload(url: string, options: DownloadOptions): Promise<DownloadResult> {
  const part = `${options.file}.part`;
  const noteFile = `${part}.json`;
  const note = readNote(noteFile);
  const usable = note?.url === url ? (fs.statSync(part, { throwIfNoEntry: false })?.size ?? 0) : 0;
  const headers: http.OutgoingHttpHeaders = { 'accept-encoding': 'identity', 'user-agent': 'tinyprop' };
  if (note && usable > 0) Object.assign(headers, { range: `bytes=${usable}-`, 'if-range': note.validator });
  const response = await request(url, headers, options, MAX_REDIRECTS);
  try {
    const start = startOf(response, usable, noteFile);
    const total = totalOf(response, start);
    if (options.size !== undefined && total !== undefined && total !== options.size) {
      throw new AttemptError(`the server offers ${total} bytes, expected ${options.size}`, false);
    }
    writeNote(noteFile, url, response);
    const size = await receive(response, part, start, total ?? options.size, options);
    const sha256 = await check(part, size, total, noteFile, options);
    await fs.promises.rename(part, options.file);
    fs.rmSync(noteFile, { force: true });
    return { url, size, sha256, resumed: start };
  } finally {
    response.destroy();
  }
}

/** Opens the answer; follows redirects, but never from https to http. */
function request(url: string, headers: http.OutgoingHttpHeaders, options: DownloadOptions, redirects: number): Promise<http.IncomingMessage> {
  const address = new URL(url);
  if (address.protocol !== 'https:' && address.protocol !== 'http:') throw new AttemptError(`expected http or https, found ${address.protocol}`, false);
  const idle = options.idle ?? 60_000;
  return new Promise((resolve, reject) => {
    const get = address.protocol === 'https:' ? https.get : http.get;
    const call = get(address, { headers, timeout: idle, ...(options.signal && { signal: options.signal }) }, (response) => {
      const status = response.statusCode ?? 0;
      const location = response.headers.location;
      if (status < 300 || status >= 400 || location === undefined) return resolve(response);
      response.destroy();
      const next = new URL(location, address);
      if (redirects === 0) return reject(new AttemptError('too many redirects', false));
      if (address.protocol === 'https:' && next.protocol !== 'https:') return reject(new AttemptError(`redirected from https to ${next.protocol}`, false));
      resolve(Promise.resolve().then(() => request(next.href, headers, options, redirects - 1)));
    });
    call.on('timeout', () => call.destroy(new Error(`no data for ${idle / 1000} s`)));
    call.on('error', reject);
  });
}

/** Byte at which the answer begins: where we stopped (206) or 0 (200: no ranges, or the file has changed). */
function startOf(response: http.IncomingMessage, usable: number, noteFile: string): number {
  const status = response.statusCode ?? 0;
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (status === 200 && encoding === 'identity') return 0;
  if (status === 206) {
    const range = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '');
    if (usable > 0 && range && Number(range[1]) === usable) return usable;
  }
  // Whatever was left cannot be continued (206 of another place, 416): the next attempt begins afresh.
  fs.rmSync(noteFile, { force: true });
  if (status === 206 || status === 416) throw new AttemptError(`the server answered ${status} for another range`, true);
  if (status === 200) throw new AttemptError(`the server sends the encoding ${encoding}`, false);
  throw new AttemptError(`HTTP status ${status}`, status >= 500 || status === 429 || status === 408);
}

function totalOf(response: http.IncomingMessage, start: number): number | undefined {
  const total = /\/(\d+)$/.exec(response.headers['content-range'] ?? '')?.[1];
  if (total !== undefined) return Number(total);
  const length = response.headers['content-length'];
  return length === undefined ? undefined : start + Number(length);
}

/** Writes the body to the partial file; returns its size. */
async function receive(response: http.IncomingMessage, part: string, start: number, total: number | undefined, options: DownloadOptions): Promise<number> {
  const most = total ?? MAX_BYTES;
  const handle = await fs.promises.open(part, start > 0 ? 'r+' : 'w');
  let received = start;
  try {
    await handle.truncate(start);
    options.onProgress?.({ received, total });
    for await (const piece of response as AsyncIterable<Buffer>) {
      if (received + piece.length > most) throw new AttemptError(`more than the expected ${most} bytes`, false);
      await handle.write(piece, 0, piece.length, received);
      received += piece.length;
      options.onProgress?.({ received, total });
    }
  } finally {
    await handle.close();
  }
  return received;
}

/** Size and checksums; a file that fails is of no use for going on and is removed. */
async function check(part: string, size: number, total: number | undefined, noteFile: string, options: DownloadOptions): Promise<string> {
  if (total !== undefined && size < total) throw new AttemptError(`the connection ended after ${size} of ${total} bytes`, true);
  const checksums = options.checksums ?? [];
  const found = await hashFile(part, ['sha256', ...checksums.map((sum) => sum.kind)], options.signal);
  const wrong = checksums.find((sum) => found[sum.kind] !== sum.value);
  const wrongSize = options.size !== undefined && size !== options.size;
  if (!wrong && !wrongSize) return found.sha256 as string;
  fs.rmSync(part, { force: true });
  fs.rmSync(noteFile, { force: true });
  if (!wrong) throw new AttemptError(`expected ${options.size} bytes, found ${size}`, false);
  throw new AttemptError(`expected ${wrong.kind} ${wrong.value} (${wrong.source}), found ${found[wrong.kind]}`, false);
}

/**
 * Checksums of a file, read once.
 *
 * @throws TinypropError ERR_TINYPROP_ABORTED
 */
export async function hashFile(file: string, kinds: readonly string[], signal?: AbortSignal): Promise<Record<string, string>> {
  const hashes = new Map(kinds.map((kind) => [kind, crypto.createHash(kind)]));
  for await (const piece of fs.createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    if (signal?.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', `checking ${file} was aborted`, { file }, signal.reason);
    for (const hash of hashes.values()) hash.update(piece);
  }
  return Object.fromEntries([...hashes].map(([kind, hash]) => [kind, hash.digest('hex')]));
}

function readNote(file: string): PartNote | undefined {
  try {
    const note = JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<PartNote>;
    return typeof note.url === 'string' && typeof note.validator === 'string' ? { url: note.url, validator: note.validator } : undefined;
  } catch {
    return undefined;
  }
}

/** If-Range needs a strong ETag or a date; a server with neither cannot be resumed. */
function writeNote(file: string, url: string, response: http.IncomingMessage): void {
  const etag = response.headers.etag;
  const validator = etag !== undefined && !etag.startsWith('W/') ? etag : response.headers['last-modified'];
  if (validator === undefined) fs.rmSync(file, { force: true });
  else fs.writeFileSync(file, JSON.stringify({ url, validator } satisfies PartNote));
}
