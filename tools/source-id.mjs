// SPDX-License-Identifier: Apache-2.0
// The id of the C sources, as csrc/CMakeLists.txt compiles it in: which sources is a binary made of?
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const csrc = fileURLToPath(new URL('../csrc', import.meta.url));
const sha256 = (data) => createHash('sha256').update(data).digest('hex');

export function sourceId(folder = csrc) {
  const names = readdirSync(folder, { recursive: true })
    .filter((name) => /\.(c|h|inc)$/.test(name))
    .map((name) => name.split(sep).join('/'))
    .sort((a, b) => (a < b ? -1 : 1));
  const lines = names.map((name) => `${sha256(readFileSync(join(folder, name)))}  ${name}\n`);
  return sha256(lines.join('')).slice(0, 16);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(`${sourceId()}\n`);
