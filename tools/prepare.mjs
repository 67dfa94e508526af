// SPDX-License-Identifier: Apache-2.0
// Runs after `npm install` in a clone: builds the addon and the TypeScript. Never runs where the package is installed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative, checkToolchain, root } from './native.mjs';

const require = createRequire(import.meta.url);

function resolvable(name) {
  try {
    return require.resolve(`${name}/package.json`);
  } catch {
    return null;
  }
}

/** The TypeScript; tsc comes with the development dependencies. */
export function buildTypeScript() {
  const tsc = join(dirname(resolvable('typescript')), 'bin', 'tsc');
  return spawnSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { cwd: root, stdio: 'inherit' }).status ?? 1;
}

function prepare() {
  if (!resolvable('typescript') || !resolvable('cmake-js')) {
    process.stderr.write('tinyprop: development dependencies are not installed (--omit=dev), so nothing is built.\n');
    return existsSync(join(root, 'dist', 'index.js')) ? 0 : 1;
  }
  if (!checkToolchain()) return 1;
  return buildNative() || buildTypeScript();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = prepare();
