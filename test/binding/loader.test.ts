// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import manifest from '../../package.json';
import { TinypropError } from '../../lib/errors';
import { loadNative, type Platform } from '../../lib/native';

const root = join(__dirname, '..', '..');
const built = join(root, 'build', 'Release', 'tinyprop.node');
const host: Platform = { platform: 'linux', arch: 'x64', libc: 'glibc' };

let folder: string;

/** A file below the temporary package root. */
function put(path: string, content: string | { copyOf: string }): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  if (typeof content === 'string') writeFileSync(file, content);
  else copyFileSync(content.copyOf, file);
  return file;
}

function failure(load: () => unknown): TinypropError {
  try {
    load();
  } catch (error) {
    expect(error).toBeInstanceOf(TinypropError);
    return error as TinypropError;
  }
  throw new Error('the addon was loaded');
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tinyprop-loader-'));
  put('package.json', JSON.stringify({ version: manifest.version }));
  vi.stubEnv('TINYPROP_NATIVE_PATH', undefined);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe('loadNative', () => {
  it('loads the addon of this clone', () => {
    const addon = loadNative() as { describe(): { version: string } };
    expect(addon.describe().version).toBe(manifest.version);
  });

  it('loads a prebuilt addon when nothing was built here', () => {
    put('prebuilds/linux-x64/tinyprop.glibc.node', { copyOf: built });
    expect(loadNative(folder, host)).toHaveProperty('describe');
  });

  it('falls back to the prebuilt addon when the built one does not load', () => {
    put('build/Release/tinyprop.node', 'not an addon');
    put('prebuilds/linux-x64/tinyprop.glibc.node', { copyOf: built });
    expect(loadNative(folder, host)).toHaveProperty('describe');
  });

  it('lists what it tried, the platform, the original error and the fix', () => {
    const broken = put('build/Release/tinyprop.node', 'not an addon');
    const error = failure(() => loadNative(folder, host));
    expect(error.code).toBe('ERR_TINYPROP_NATIVE');
    expect(error.message).toContain('linux-x64-glibc');
    expect(error.message).toContain(process.version);
    expect(error.message).toContain(broken);
    expect(error.message).toContain((error.cause as Error).message);
    expect(error.message).toContain(`${join(folder, 'prebuilds', 'linux-x64', 'tinyprop.glibc.node')}\n    does not exist`);
    expect(error.message).toContain('npm explore tinyprop -- npm run build:native');
  });

  it('tells a clone to build instead', () => {
    put('.git/HEAD', '');
    const { message } = failure(() => loadNative(folder, host));
    expect(message).toContain(`Build the addon in ${folder}:\n  npm install`);
    expect(message).not.toContain('npm explore');
  });

  it.each([
    [{ platform: 'linux', arch: 'arm64', libc: 'musl' }, 'prebuilds/linux-arm64/tinyprop.musl.node', 'linux-arm64-musl'],
    [{ platform: 'darwin', arch: 'arm64', libc: '' }, 'prebuilds/darwin-arm64/tinyprop.node', 'darwin-arm64 '],
  ] as const)('looks for the file of %o', (platform, path, triple) => {
    const { message } = failure(() => loadNative(folder, platform));
    expect(message).toContain(join(folder, path));
    expect(message).toContain(triple);
  });

  it('takes TINYPROP_NATIVE_PATH and nothing else', () => {
    put('prebuilds/linux-x64/tinyprop.glibc.node', { copyOf: built });
    const missing = join(folder, 'elsewhere.node');
    vi.stubEnv('TINYPROP_NATIVE_PATH', missing);
    const { message, details } = failure(() => loadNative(folder, host));
    expect(details['attempts']).toEqual([{ path: missing, reason: 'does not exist' }]);
    expect(message).toContain('Correct TINYPROP_NATIVE_PATH');
    vi.stubEnv('TINYPROP_NATIVE_PATH', built);
    expect(loadNative(folder, host)).toHaveProperty('describe');
  });

  it('refuses an addon of another version or another package', () => {
    const old = put('old.cjs', 'exports.describe = () => ({ version: "0.0.9" });');
    vi.stubEnv('TINYPROP_NATIVE_PATH', old);
    expect(failure(() => loadNative(folder, host)).message).toContain(
      `is version 0.0.9, this package is ${manifest.version}`,
    );
    vi.stubEnv('TINYPROP_NATIVE_PATH', put('other.cjs', 'exports.hello = 1;'));
    expect(failure(() => loadNative(folder, host)).message).toContain('is not the addon of tinyprop');
  });
});

describe('the addon', () => {
  it('loads in a worker thread next to the main one', async () => {
    loadNative();
    const source = `require('node:worker_threads').parentPort.postMessage(require(${JSON.stringify(built)}).describe().version)`;
    const worker = new Worker(source, { eval: true });
    const version = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    expect(version).toBe(manifest.version);
  });

  it('says so when TP_ISA names kernels that are not there', () => {
    const program = `require(${JSON.stringify(join(root, 'dist'))}).describe()`;
    const env = { ...process.env, TP_ISA: 'nonesuch' };
    const child = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', env });
    expect(child.status).toBe(1);
    expect(child.stderr).toMatch(/TinypropError: TP_ISA "nonesuch": not compiled in, or this CPU cannot run them/);
    expect(child.stderr).toContain('ERR_TINYPROP_ARG');
    expect(child.stderr).not.toContain('Cannot load');
  });

  it('leaves denormal numbers alone', () => {
    // A library linked with -ffast-math sets flush-to-zero for the whole process when it is loaded.
    loadNative();
    const smallest = Number.parseFloat('2.2e-308');
    const half = smallest * Number.parseFloat('0.5');
    expect(half).toBeGreaterThan(0);
    expect(half * 2).toBe(smallest);
  });

  it('was built from the sources that lie here', () => {
    const { sourceId } = (loadNative() as { describe(): { sourceId: string } }).describe();
    const expected = execFileSync(process.execPath, [join(root, 'tools', 'source-id.mjs')], { encoding: 'utf8' }).trim();
    expect(sourceId, 'the addon is stale: npm run build:native').toBe(expected);
  });
});
