// SPDX-License-Identifier: Apache-2.0
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type DownloadOptions, downloadFile } from '../../../lib/data';
import { failure, scratchFolder } from './helpers';

const scratch = scratchFolder();
const body = crypto.createHash('shake256', { outputLength: 300_000 }).update('tinyprop').digest();
const sha256 = crypto.createHash('sha256').update(body).digest('hex');
const md5 = crypto.createHash('md5').update(body).digest('hex');

/** What the server does with the next requests; the last rule stays. */
interface Rule {
  status?: number;
  /** Bytes after which the connection is cut. */
  cut?: number;
  /** Ignore Range. */
  noRange?: boolean;
  etag?: string | null;
  location?: string;
  encoding?: string;
  /** Send nothing at all after the headers. */
  hang?: boolean;
  noLength?: boolean;
  body?: Buffer;
  /** Answer 206 beginning at another byte than asked. */
  wrongRange?: boolean;
}

let rules: Rule[] = [];
let requests: http.IncomingMessage[] = [];
let base = '';

const server = http.createServer((request, response) => {
  requests.push(request);
  const rule = (rules.length > 1 ? rules.shift() : rules[0]) ?? {};
  const data = rule.body ?? body;
  const etag = rule.etag === undefined ? '"v1"' : rule.etag;
  if (etag !== null) response.setHeader('etag', etag);
  if (rule.encoding) response.setHeader('content-encoding', rule.encoding);
  if (rule.location) return void response.writeHead(302, { location: rule.location }).end();
  if (rule.status) return void response.writeHead(rule.status).end('no');
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const matches = request.headers['if-range'] === etag;
  let from = range && matches && !rule.noRange ? Number(range[1]) : 0;
  if (from > 0 && rule.wrongRange) from -= 1;
  if (from > 0) response.setHeader('content-range', `bytes ${from}-${data.length - 1}/${data.length}`);
  if (!rule.noLength) response.setHeader('content-length', data.length - from);
  response.writeHead(from > 0 ? 206 : 200);
  if (rule.hang) return void response.write(data.subarray(from, from + 10));
  if (rule.cut === undefined) return void response.end(data.subarray(from));
  response.write(data.subarray(from, from + rule.cut), () => setTimeout(() => response.destroy(), 20));
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

let count = 0;
let target = '';
beforeEach(() => {
  rules = [{}];
  requests = [];
  target = path.join(scratch, `file${count++}`);
});

const checksums = [{ kind: 'sha256' as const, value: sha256, source: 'this test' }];
const get = (options: Partial<DownloadOptions> = {}) => downloadFile({ urls: [`${base}/f`], file: target, checksums, pause: 1, ...options });
const left = () => fs.readdirSync(scratch).filter((name) => name.startsWith(path.basename(target)));

describe('downloadFile', () => {
  it('downloads, reports progress, checks both kinds of checksum and leaves nothing else', async () => {
    const seen: number[] = [];
    const result = await get({
      size: body.length,
      checksums: [...checksums, { kind: 'md5', value: md5, source: 'this test' }],
      onProgress: ({ received, total }) => {
        seen.push(received);
        expect(total).toBe(body.length);
      },
    });
    expect(result).toEqual({ url: `${base}/f`, size: body.length, sha256, resumed: 0 });
    expect(fs.readFileSync(target).equals(body)).toBe(true);
    expect(seen[0]).toBe(0);
    expect(seen.at(-1)).toBe(body.length);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    expect(left()).toEqual([path.basename(target)]);
  });

  it('goes on in the middle when the connection is lost', async () => {
    rules = [{ cut: 100_000 }, {}];
    const result = await get();
    expect(result.resumed).toBe(100_000);
    expect(requests[1]?.headers.range).toBe('bytes=100000-');
    expect(requests[1]?.headers['if-range']).toBe('"v1"');
    expect(fs.readFileSync(target).equals(body)).toBe(true);
  });

  it('goes on after an abort, in a later call', async () => {
    const controller = new AbortController();
    rules = [{ cut: 50_000 }];
    await failure(() => get({ signal: controller.signal, onProgress: ({ received }) => received >= 50_000 && controller.abort() }), 'ERR_TINYPROP_ABORTED');
    expect(fs.existsSync(target)).toBe(false);
    expect(fs.statSync(`${target}.part`).size).toBe(50_000);
    rules = [{}];
    expect((await get()).resumed).toBe(50_000);
    expect(fs.readFileSync(target).equals(body)).toBe(true);
  });

  it('begins again when the file has changed on the server', async () => {
    rules = [{ cut: 1000, etag: '"old"', body: Buffer.alloc(body.length) }, { etag: '"new"' }];
    expect((await get()).resumed).toBe(0);
    expect(requests[1]?.headers['if-range']).toBe('"old"');
    expect(fs.readFileSync(target).equals(body)).toBe(true);
  });

  it('begins again with a server without ranges, or without a validator', async () => {
    rules = [{ cut: 1000 }, { noRange: true }];
    expect((await get()).resumed).toBe(0);
    fs.rmSync(target);
    rules = [{ cut: 1000, etag: null }, { etag: null }];
    expect((await get()).resumed).toBe(0);
    expect(requests.at(-1)?.headers.range).toBeUndefined();
  });

  it('begins again when the server answers another range, or 416', async () => {
    rules = [{ cut: 1000 }, { wrongRange: true }, {}];
    expect((await get()).resumed).toBe(0);
    fs.rmSync(target);
    rules = [{ cut: 1000 }, { status: 416 }, {}];
    expect((await get()).resumed).toBe(0);
    expect(fs.readFileSync(target).equals(body)).toBe(true);
  });

  it('refuses a wrong checksum and removes what it got', async () => {
    const wrong = [{ kind: 'sha256' as const, value: '0'.repeat(64), source: 'nobody' }];
    const error = await failure(() => get({ checksums: wrong }), 'ERR_TINYPROP_NETWORK');
    expect(error.message).toContain(`expected sha256 ${'0'.repeat(64)} (nobody), found ${sha256}`);
    expect(requests).toHaveLength(1);
    expect(left()).toEqual([]);
  });

  it('refuses another size than the published one, before downloading when the server says it', async () => {
    expect((await failure(() => get({ size: 5 }), 'ERR_TINYPROP_NETWORK')).message).toMatch(/offers 300000 bytes, expected 5/);
    rules = [{ noLength: true }];
    expect((await failure(() => get({ size: 5 }), 'ERR_TINYPROP_NETWORK')).message).toMatch(/more than the expected 5 bytes/);
    expect((await failure(() => get({ size: body.length + 1 }), 'ERR_TINYPROP_NETWORK')).message).toMatch(/ended after 300000|expected 300001 bytes, found 300000/);
  });

  it('does not repeat a 404, repeats a 503, and then names both', async () => {
    rules = [{ status: 404 }];
    const error = await failure(() => get(), 'ERR_TINYPROP_NETWORK');
    expect(error.message).toMatch(/\/f: HTTP status 404/);
    expect(requests).toHaveLength(1);
    rules = [{ status: 503 }, { status: 503 }, {}];
    await get();
    expect(requests).toHaveLength(4);
  });

  it('takes the next address when one fails', async () => {
    rules = [{ status: 404 }, {}];
    expect((await get({ urls: [`${base}/gone`, `${base}/mirror`] })).url).toBe(`${base}/mirror`);
  });

  it('follows redirects, but not for ever', async () => {
    rules = [{ location: '/elsewhere' }, {}];
    await get();
    expect(requests[1]?.url).toBe('/elsewhere');
    rules = [{ location: '/again' }];
    expect((await failure(() => get(), 'ERR_TINYPROP_NETWORK')).message).toMatch(/too many redirects/);
    rules = [{ location: 'file:///etc/passwd' }];
    expect((await failure(() => get(), 'ERR_TINYPROP_NETWORK')).message).toMatch(/expected http or https, found file:/);
  });

  it('gives up on silence', async () => {
    rules = [{ hang: true }];
    expect((await failure(() => get({ idle: 50, attempts: 2 }), 'ERR_TINYPROP_NETWORK')).message).toMatch(/no data for 0.05 s|aborted/);
    expect(requests).toHaveLength(2);
  });

  it('refuses an encoded answer and a server that is not there', async () => {
    rules = [{ encoding: 'gzip' }];
    expect((await failure(() => get(), 'ERR_TINYPROP_NETWORK')).message).toMatch(/encoding gzip/);
    await failure(() => get({ urls: ['http://127.0.0.1:1/f'], attempts: 2 }), 'ERR_TINYPROP_NETWORK');
  });

  it('stops at once when aborted before or between attempts', async () => {
    await failure(() => get({ signal: AbortSignal.abort() }), 'ERR_TINYPROP_ABORTED');
    rules = [{ status: 503 }];
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    await failure(() => get({ signal: controller.signal, pause: 60_000 }), 'ERR_TINYPROP_ABORTED');
  });
});
