// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { TinypropError } from './errors';
import { packageRoot, packageVersion } from './package';

/** One place the loader looked at, and why it was not taken. */
interface Attempt {
  readonly path: string;
  readonly reason: string;
}

/** The facts of a machine that decide which prebuilt addon fits. @internal */
export interface Platform {
  readonly platform: string;
  readonly arch: string;
  /** C library on Linux, empty elsewhere. */
  readonly libc: 'glibc' | 'musl' | '';
}

/** Node's own report names the glibc it runs on; musl has no such entry. */
function libc(): 'glibc' | 'musl' | '' {
  if (process.platform !== 'linux') return '';
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const before = report.excludeNetwork;
  report.excludeNetwork = true; // without it the report looks up the names of open sockets
  try {
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
    return header?.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
  } finally {
    if (before !== undefined) report.excludeNetwork = before;
  }
}

function currentPlatform(): Platform {
  return { platform: process.platform, arch: process.arch, libc: libc() };
}

/** Paths in the order they are tried. An explicit path stands alone: falling back would run another binary than asked for. */
function candidates(root: string, host: Platform): string[] {
  const explicit = process.env['TINYPROP_NATIVE_PATH'];
  if (explicit) return [resolve(explicit)];
  const folder = join(root, 'prebuilds', `${host.platform}-${host.arch}`);
  const name = host.libc ? `tinyprop.${host.libc}.node` : 'tinyprop.node';
  return [join(root, 'build', 'Release', 'tinyprop.node'), join(folder, name)];
}

function fix(root: string): string {
  if (process.env['TINYPROP_NATIVE_PATH']) {
    return 'Correct TINYPROP_NATIVE_PATH or remove it from the environment.';
  }
  const toolchain = 'This needs CMake 3.18 or later and gcc or clang (Debian: apt install cmake g++).';
  if (existsSync(join(root, '.git'))) return `Build the addon in ${root}:\n  npm install\n${toolchain}`;
  return (
    'No prebuilt addon fits. Build it from source, in the folder of your project:\n' +
    '  npm install --no-save cmake-js@8 node-addon-api@8 node-api-headers@1\n' +
    `  npm explore tinyprop -- npm run build:native\n${toolchain}`
  );
}

function failure(root: string, host: Platform, attempts: readonly Attempt[], cause: unknown): TinypropError {
  const triple = [host.platform, host.arch, host.libc].filter(Boolean).join('-');
  const tried = attempts.map(({ path, reason }) => `  ${path}\n    ${reason}`).join('\n');
  const message =
    `Cannot load the native addon on ${triple} (Node ${process.version}, Node-API ${process.versions['napi']}).\n` +
    `Tried:\n${tried}\n${fix(root)}`;
  return new TinypropError('ERR_TINYPROP_NATIVE', message, { platform: triple, attempts }, cause);
}

/** An addon of another version would misread our arguments, so it is refused like one that does not load. */
function checkVersion(addon: unknown, expected: string): void {
  const { describe } = addon as { describe?: () => { version?: unknown } };
  if (typeof describe !== 'function') throw new Error('is not the addon of tinyprop');
  const { version } = describe();
  if (version !== expected) {
    throw new Error(`is version ${String(version)}, this package is ${expected}: it must be built again`);
  }
}

/**
 * Finds and loads the addon: `TINYPROP_NATIVE_PATH`, `build/Release`, then `prebuilds/<platform>-<arch>`.
 *
 * @param root - folder of the package; tests pass their own.
 * @param host - machine to load for; tests pass others.
 * @returns the addon's exports.
 * @throws {@link TinypropError} `ERR_TINYPROP_ARG` if the environment's `TP_ISA` names kernels this machine does not have;
 * `ERR_TINYPROP_NATIVE` with every path tried, the platform, the original messages and the fix.
 * @internal
 */
export function loadNative(root = packageRoot(), host = currentPlatform()): unknown {
  const attempts: Attempt[] = [];
  let cause: unknown;
  for (const path of candidates(root, host)) {
    if (!existsSync(path)) {
      attempts.push({ path, reason: 'does not exist' });
      continue;
    }
    try {
      const addon: unknown = require(path);
      checkVersion(addon, packageVersion(root));
      return addon;
    } catch (error) {
      // It has loaded, and refuses TP_ISA: building it again would not help.
      if (error instanceof Error && 'code' in error && error.code === 'ERR_TINYPROP_ARG') {
        throw new TinypropError('ERR_TINYPROP_ARG', error.message, { path }, error);
      }
      attempts.push({ path, reason: error instanceof Error ? error.message : String(error) });
      cause ??= error;
    }
  }
  throw failure(root, host, attempts, cause);
}
