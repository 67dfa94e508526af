// SPDX-License-Identifier: Apache-2.0
// Builds the addon for this machine with cmake-js: build/Release/tinyprop.node.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);

/** Can this program be started? */
export function has(program, args = ['--version']) {
  const result = spawnSync(program, args, { stdio: 'ignore' });
  return result.error === undefined && result.status === 0;
}

/** What a build from source lacks on this machine, one line each with the command that installs it. */
export function missing() {
  const lines = [];
  if (!has('cmake')) lines.push('CMake 3.18 or later');
  if (!has(process.env.CC ?? 'cc') && !has('gcc') && !has('clang')) lines.push('a C compiler (gcc or clang)');
  if (!has(process.env.CXX ?? 'c++') && !has('g++') && !has('clang++')) lines.push('a C++ compiler (g++ or clang++)');
  if (process.platform !== 'win32' && !has('make') && !has('ninja')) lines.push('make or ninja');
  return lines;
}

const install = {
  linux: 'Debian, Ubuntu: apt install cmake make gcc g++\nFedora: dnf install cmake make gcc gcc-c++\nAlpine: apk add cmake make gcc g++ linux-headers',
  darwin: 'xcode-select --install && brew install cmake',
  win32: 'MSVC is not supported for now; use WSL.',
};

/** Says what is missing and how to get it; true when nothing is. */
export function checkToolchain() {
  const lines = missing();
  if (lines.length === 0) return true;
  const how = install[process.platform] ?? 'Install them with the package manager of your system.';
  process.stderr.write(`tinyprop: building the addon needs\n  ${lines.join('\n  ')}\n${how}\nThen run the same command again.\n`);
  return false;
}

/** cmake-js and the headers are development dependencies: an installed package does not bring them. */
function cmakeJs() {
  try {
    require.resolve('node-addon-api');
    require.resolve('node-api-headers');
    return join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js');
  } catch {
    process.stderr.write(
      'tinyprop: building the addon needs cmake-js and the Node-API headers.\n' +
        'In a clone: npm install\n' +
        'With the package installed, in the folder of your project:\n' +
        '  npm install --no-save cmake-js@8 node-addon-api@8 node-api-headers@1\n' +
        '  npm explore tinyprop -- npm run build:native\n',
    );
    return null;
  }
}

/** CMake refuses a cache that was made in another folder: a clone that was moved or copied starts over. */
export function dropForeignCache(out, source = root) {
  const cache = join(out, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
  if (home !== source) rmSync(out, { recursive: true, force: true });
}

/** Runs cmake-js; `defines` become CMake cache entries. Returns the exit status. */
export function buildNative({ out = join(root, 'build'), defines = {}, args = [] } = {}) {
  const program = cmakeJs();
  if (program === null || !checkToolchain()) return 1;
  dropForeignCache(out);
  const options = { TP_WERROR: process.env.TP_WERROR ? 'ON' : 'OFF', ...defines };
  const cmakeArgs = Object.entries(options).map(([name, value]) => `--CD${name}=${value}`);
  const common = ['-d', root, '-O', out, '-l', 'error', ...args];
  const steps = [
    ['configure', ...common, ...cmakeArgs], // every time: `build` alone ignores changed options and a failed configuration
    ['build', ...common, '-p', String(cpus().length)],
  ];
  for (const step of steps) {
    const { status } = spawnSync(process.execPath, [program, ...step], { cwd: root, stdio: 'inherit' });
    if (status !== 0) return status ?? 1;
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = buildNative();
}
