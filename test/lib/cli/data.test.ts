// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { json, scratch, tinyprop } from './harness';

const file = scratch();
const archive = zipSync({ 'UCI HAR Dataset/README.txt': new TextEncoder().encode('a small stand-in\n') });
const server = createServer((request, response) => {
  const found = request.url?.endsWith('.zip') ?? false;
  response.writeHead(found ? 200 : 404, { 'content-length': found ? archive.length : 0 });
  response.end(found ? archive : undefined);
});
const before = process.env['TINYPROP_DATA'];
let mirror = '';

beforeAll(async () => {
  process.env['TINYPROP_DATA'] = file('cache');
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
  if (before === undefined) delete process.env['TINYPROP_DATA'];
  else process.env['TINYPROP_DATA'] = before;
});

describe('data', () => {
  it('refuses to verify what is not there', async () => {
    expect((await tinyprop(['data', 'verify', 'har'])).err).toContain("run 'tinyprop data get har'");
  });

  it('downloads once, prints the spec, and notices a changed file', async () => {
    const first = await tinyprop(['data', 'get', 'har', '--mirror', mirror]);
    const folder = join(file('cache'), 'har', 'UCI HAR Dataset');
    expect([first.code, first.out]).toEqual([0, `har:${folder}\n`]);
    expect(first.err).toContain('licence: CC BY 4.0');
    expect(first.err).toContain('no published checksum');
    expect(await json<{ cached: boolean }>(['data', 'get', 'har', '--mirror', mirror])).toMatchObject({ code: 0, cached: true });
    const { datasets } = await json<{ datasets: { name: string; cached: boolean }[] }>(['data', 'list']);
    expect(datasets.filter((entry) => entry.cached).map((entry) => entry.name)).toEqual(['har']);
    expect((await tinyprop(['data', 'verify', 'har'])).code).toBe(0);

    const changed = join(folder, 'README.txt');
    writeFileSync(changed, readFileSync(changed, 'utf8').replace('small', 'large'));
    expect(await json<{ ok: boolean }>(['data', 'verify', 'har'])).toMatchObject({ code: 5, ok: false });
    expect((await tinyprop(['data', 'verify', 'har'])).out).toMatch(/^changed {2}UCI HAR Dataset\/README\.txt: expected [0-9a-f]{64}, found [0-9a-f]{64}$/m);
  });

  it('says why a download failed', async () => {
    const failed = await json<{ error: { code: string; exitCode: number } }>(['data', 'get', 'cifar10', '--mirror', mirror]);
    expect(failed.error).toMatchObject({ code: 'ERR_TINYPROP_NETWORK', exitCode: 1 });
  });
});
