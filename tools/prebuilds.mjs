// SPDX-License-Identifier: Apache-2.0
// Prebuilt addons for the package: prebuilds/<platform>-<arch>/tinyprop[.<libc>].node, by prebuildify.
//   npm run prebuilds            this machine's and, where the cross compiler is installed, linux-arm64
//   npm run prebuilds -- host    this machine's alone
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkToolchain, has, root } from './native.mjs';

const prebuildify = createRequire(import.meta.url)('prebuildify');
const cross = 'aarch64-linux-gnu';

/** What is built here. The host's C library is prebuildify's own finding; the cross compiler makes glibc binaries. */
function targets() {
  const host = { platform: process.platform, arch: process.arch };
  const arm64 = {
    platform: 'linux',
    arch: 'arm64',
    libc: 'glibc',
    stripBin: `${cross}-strip`,
    defines: {
      CMAKE_SYSTEM_NAME: 'Linux',
      CMAKE_SYSTEM_PROCESSOR: 'aarch64',
      CMAKE_C_COMPILER: `${cross}-gcc`,
      CMAKE_CXX_COMPILER: `${cross}-g++`,
    },
  };
  if (process.argv[2] === 'host' || (host.platform === 'linux' && host.arch === 'arm64')) return [host];
  if (has(`${cross}-g++`)) return [host, arm64];
  process.stderr.write(`tinyprop: no linux-arm64 prebuild: ${cross}-g++ is not installed (Debian: apt install g++-${cross})\n`);
  return [host];
}

/** prebuildify moves the addon out of its own folder, so build/Release stays as it was. */
function prebuild({ platform, arch, libc, stripBin, defines = {} }) {
  const folder = join(root, 'build', 'prebuild', `${platform}-${arch}`);
  mkdirSync(folder, { recursive: true });
  rmSync(join(root, 'prebuilds', `${platform}-${arch}`), { recursive: true, force: true });
  process.env.TINYPROP_PREBUILD = JSON.stringify({ arch, out: join(folder, 'build'), defines });
  const options = {
    cwd: folder,
    out: root,
    name: 'tinyprop',
    platform,
    arch,
    napi: true,
    tagLibc: platform === 'linux',
    strip: true,
    nodeGyp: fileURLToPath(new URL('prebuild-cmake.mjs', import.meta.url)),
    targets: [process.versions.node],
    quiet: false,
    ...(libc ? { libc } : {}),
    ...(stripBin ? { stripBin } : {}),
  };
  return new Promise((resolve, reject) => prebuildify(options, (error) => (error ? reject(error) : resolve())));
}

if (!checkToolchain()) process.exit(1);
for (const target of targets()) {
  await prebuild(target);
  const folder = join('prebuilds', `${target.platform}-${target.arch}`);
  if (!existsSync(join(root, folder))) throw new Error(`${folder} was not made`);
  process.stderr.write(`tinyprop: ${folder}\n`);
}
