// SPDX-License-Identifier: Apache-2.0
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { zipSync } from 'fflate';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type DatasetEntry, dataCacheDir, datasets, findDataset, getDataset, isDatasetCached, loadData, verifyDataset } from '../../../lib/data';
import { failure, idxBytes, scratchFolder } from './helpers';
import { tarBytes } from './tar';

const scratch = scratchFolder();
const files = new Map<string, Buffer>();
let hits: string[] = [];
let base = '';

const server = http.createServer((request, response) => {
  const name = decodeURIComponent((request.url ?? '').slice(1));
  hits.push(name);
  const data = files.get(name);
  if (!data) return void response.writeHead(404).end();
  response.writeHead(200, { 'content-length': data.length, etag: '"1"' }).end(data);
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
afterEach(() => vi.unstubAllEnvs());

let count = 0;
const newCache = () => path.join(scratch, `cache${count++}`);
const sha256 = (data: Buffer) => ({ kind: 'sha256' as const, value: crypto.createHash('sha256').update(data).digest('hex'), source: 'this test' });

/** A data set of two IDX files with published checksums. */
function idxEntry(): DatasetEntry {
  files.set('train-images-idx3-ubyte.gz', zlib.gzipSync(idxBytes([5, 2, 2], Array.from({ length: 20 }, (_, i) => i))));
  files.set('train-labels-idx1-ubyte.gz', zlib.gzipSync(idxBytes([5], [0, 1, 0, 1, 0])));
  const names = ['train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz'];
  return {
    name: 'tiny', about: '', licence: '', homepage: '', kind: 'idx', folder: '',
    files: names.map((name) => ({ name, urls: ['http://127.0.0.1:1/'], checksums: [sha256(files.get(name) as Buffer)] })),
  };
}

function cifarRecord(label: number): Buffer {
  return Buffer.concat([Buffer.from([label]), Buffer.alloc(3072, label)]);
}

describe('datasets', () => {
  it('knows the six public sets, each with licence, address and well-formed checksums', () => {
    expect(datasets.map((entry) => entry.name)).toEqual(['mnist', 'fashion-mnist', 'cifar10', 'cifar100', 'har', 'speech-commands']);
    for (const entry of datasets) {
      expect(entry.licence).not.toBe('');
      for (const file of entry.files) {
        expect(file.urls.length).toBeGreaterThan(0);
        for (const url of file.urls) expect(() => new URL(url)).not.toThrow();
        for (const sum of file.checksums ?? []) expect(sum.value).toMatch(sum.kind === 'md5' ? /^[0-9a-f]{32}$/ : /^[0-9a-f]{64}$/);
      }
    }
  });

  it('refuses an unknown name and lists the known ones', async () => {
    expect((await failure(() => findDataset('imagenet'), 'ERR_TINYPROP_SPEC')).message).toMatch(/mnist, fashion-mnist/);
  });
});

describe('dataCacheDir', () => {
  it('obeys TINYPROP_DATA, then XDG_CACHE_HOME, then the home folder', () => {
    vi.stubEnv('TINYPROP_DATA', '/d');
    expect(dataCacheDir()).toBe(path.resolve('/d'));
    vi.stubEnv('TINYPROP_DATA', '');
    vi.stubEnv('XDG_CACHE_HOME', '/x');
    expect(dataCacheDir()).toBe(path.join('/x', 'tinyprop'));
    vi.stubEnv('XDG_CACHE_HOME', 'relative');
    expect(dataCacheDir()).toBe(path.join(os.homedir(), '.cache', 'tinyprop'));
  });
});

describe('getDataset', () => {
  it('downloads once, can be loaded by its spec, and verifies', async () => {
    const entry = idxEntry();
    vi.stubEnv('TINYPROP_DATA', newCache());
    const phases = new Set<string>();
    hits = [];
    const first = await getDataset(entry, { baseUrl: base, onProgress: ({ phase }) => phases.add(phase) });
    expect([first.cached, first.dir, phases]).toEqual([false, path.join(dataCacheDir(), 'tiny'), new Set(['download'])]);
    expect((await loadData(first.spec)).train.n).toBe(3);
    expect((await getDataset(entry, { baseUrl: base })).cached).toBe(true);
    expect(hits).toHaveLength(2);
    const report = await verifyDataset(entry);
    expect(report.ok).toBe(true);
    expect(report.published[0]?.note).toMatch(/matched sha256 .* \(this test\)/);
    expect(fs.readdirSync(first.dir).sort()).toEqual(['tinyprop-data.json', 'train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz']);
  });

  it('notices changed and missing files, and fetches only those again', async () => {
    const entry = idxEntry();
    const cacheDir = newCache();
    const { dir } = await getDataset(entry, { baseUrl: base, cacheDir });
    const file = path.join(dir, 'train-labels-idx1-ubyte.gz');
    const bytes = fs.readFileSync(file);
    bytes[bytes.length - 1]! ^= 1;
    fs.writeFileSync(file, bytes);
    const changed = await verifyDataset(entry, { cacheDir });
    expect([changed.ok, changed.files.map((entry) => entry.status)]).toEqual([false, ['ok', 'changed']]);
    fs.rmSync(file);
    expect((await verifyDataset(entry, { cacheDir })).files[1]?.status).toBe('missing');
    hits = [];
    await getDataset(entry, { baseUrl: base, cacheDir });
    expect(hits).toEqual(['train-labels-idx1-ubyte.gz']);
    expect((await verifyDataset(entry, { cacheDir })).ok).toBe(true);
  });

  it('adopts files put there by hand if the published checksum agrees', async () => {
    const entry = idxEntry();
    const cacheDir = newCache();
    fs.mkdirSync(path.join(cacheDir, 'tiny'), { recursive: true });
    for (const file of entry.files) fs.writeFileSync(path.join(cacheDir, 'tiny', file.name), files.get(file.name) as Buffer);
    hits = [];
    expect((await getDataset(entry, { baseUrl: base, cacheDir })).cached).toBe(true);
    expect(hits).toEqual([]);
  });

  it('unpacks a tar.gz without a published checksum and says so', async () => {
    const archive = zlib.gzipSync(tarBytes([
      { name: 'cifar-10-batches-bin/', type: '5' },
      { name: 'cifar-10-batches-bin/data_batch_1.bin', data: Buffer.concat([1, 2, 3, 4, 5].map(cifarRecord)) },
      { name: 'cifar-10-batches-bin/link', type: '2' },
      { name: './cifar-10-batches-bin/test_batch.bin', data: cifarRecord(7) },
    ]));
    files.set('c.tar.gz', archive);
    const entry: DatasetEntry = { name: 'c', about: '', licence: '', homepage: '', kind: 'cifar10', folder: 'cifar-10-batches-bin', files: [{ name: 'c.tar.gz', urls: [`${base}c.tar.gz`], unpack: 'tar' }] };
    const cacheDir = newCache();
    const { spec, dir, sources } = await getDataset(entry, { cacheDir });
    expect(sources[0]?.sha256).toBe(sha256(archive).value);
    const { train, test } = await loadData(spec);
    expect([train.n, test?.n, test?.labels?.[0]]).toEqual([5, 1, 7]);
    expect(fs.readdirSync(dir).sort()).toEqual(['cifar-10-batches-bin', 'tinyprop-data.json']);
    const report = await verifyDataset(entry, { cacheDir });
    expect([report.ok, report.files.length]).toEqual([true, 2]);
    expect(report.published[0]?.note).toBe(`no published checksum; recorded sha256 ${sha256(archive).value}`);
    hits = [];
    expect((await getDataset(entry, { cacheDir })).cached).toBe(true);
    expect(hits).toEqual([]);
  });

  it('unpacks a ZIP within a ZIP', async () => {
    const inner = Buffer.from(zipSync({ 'UCI HAR Dataset/README.txt': Buffer.from('read me'), '__MACOSX/x': Buffer.from('no') }));
    files.set('h.zip', Buffer.from(zipSync({ 'UCI HAR Dataset.zip': inner, 'names.txt': Buffer.from('names') })));
    const entry: DatasetEntry = { name: 'h', about: '', licence: '', homepage: '', kind: 'har', folder: 'UCI HAR Dataset', files: [{ name: 'h.zip', urls: [`${base}h.zip`], unpack: 'zip' }] };
    const cacheDir = newCache();
    const { dir } = await getDataset(entry, { cacheDir });
    expect(fs.readFileSync(path.join(dir, 'UCI HAR Dataset', 'README.txt'), 'utf8')).toBe('read me');
    expect(fs.readdirSync(dir).sort()).toEqual(['UCI HAR Dataset', 'names.txt', 'tinyprop-data.json']);
  });

  it('leaves no record and no half-written files when the archive is bad', async () => {
    files.set('bad.tar.gz', zlib.gzipSync(tarBytes([{ name: 'good.bin', data: Buffer.from('x') }, { name: '../../evil.bin', data: Buffer.from('x') }])));
    const entry: DatasetEntry = { name: 'bad', about: '', licence: '', homepage: '', kind: 'cifar10', folder: '', files: [{ name: 'bad.tar.gz', urls: [`${base}bad.tar.gz`], unpack: 'tar' }] };
    const cacheDir = newCache();
    expect((await failure(() => getDataset(entry, { cacheDir }), 'ERR_TINYPROP_FILE')).message).toMatch(/unsafe path/);
    expect(fs.readdirSync(path.join(cacheDir, 'bad'))).toEqual(['bad.tar.gz']);
    expect(fs.existsSync(path.join(cacheDir, 'evil.bin'))).toBe(false);
    await failure(() => verifyDataset(entry, { cacheDir }), 'ERR_TINYPROP_FILE');
  });

  it('reports a file the server does not have', async () => {
    const entry: DatasetEntry = { ...idxEntry(), name: 'gone', files: [{ name: 'gone.gz', urls: [`${base}gone.gz`] }] };
    expect((await failure(() => getDataset(entry, { cacheDir: newCache() }), 'ERR_TINYPROP_NETWORK')).message).toMatch(/404/);
  });

  it('lets one process at a time download, and ignores the lock of a dead one', async () => {
    const entry = idxEntry();
    const cacheDir = newCache();
    fs.mkdirSync(path.join(cacheDir, 'tiny'), { recursive: true });
    const lock = path.join(cacheDir, 'tiny', '.lock');
    fs.writeFileSync(lock, String(process.pid));
    await failure(() => getDataset(entry, { baseUrl: base, cacheDir }), 'ERR_TINYPROP_BUSY');
    fs.writeFileSync(lock, 'nobody');
    expect((await getDataset(entry, { baseUrl: base, cacheDir })).cached).toBe(false);
    expect(fs.existsSync(lock)).toBe(false);
  });

  it('does not trust a record that points out of the cache', async () => {
    const cacheDir = newCache();
    fs.mkdirSync(path.join(cacheDir, 'mnist'), { recursive: true });
    const record = { version: 1, name: 'mnist', sources: [], files: [{ path: '../../x', size: 1, sha256: '' }] };
    fs.writeFileSync(path.join(cacheDir, 'mnist', 'tinyprop-data.json'), JSON.stringify(record));
    expect(isDatasetCached('mnist', cacheDir)).toBe(false);
    await failure(() => verifyDataset('mnist', { cacheDir }), 'ERR_TINYPROP_FILE');
  });

  it('stops when aborted', async () => {
    await failure(() => getDataset(idxEntry(), { baseUrl: base, cacheDir: newCache(), signal: AbortSignal.abort() }), 'ERR_TINYPROP_ABORTED');
  });
});
