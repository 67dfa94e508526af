// SPDX-License-Identifier: Apache-2.0
// The tarball as a stranger gets it: packed from what is built, installed into an empty folder without network.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import manifest from '../../package.json';

const root = join(__dirname, '..', '..');
const module_ = (name: string): string => join(root, 'node_modules', name);

interface Packed {
  filename: string;
  files: { path: string }[];
}

let folder: string;
let tarball: string;
let files: string[];

/** Runs a program in a project that has the tarball installed, without anything of this clone in its environment. */
function run(project: string, program: string, ...args: string[]): string {
  const env = { ...process.env };
  for (const name of Object.keys(env)) if (/^(npm_|NODE_PATH|NODE_OPTIONS|VITEST|TINYPROP_)/.test(name)) delete env[name];
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: project, env, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

/** An empty project of one module system with the tarball and its dependencies from this clone. */
function install(type: 'commonjs' | 'module'): string {
  const project = join(folder, type);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type }));
  const quiet = ['--offline', '--no-audit', '--no-fund', '--install-links'];
  const dependencies = Object.keys(manifest.dependencies).map((name) => `file:${module_(name)}`);
  run(project, 'npm', 'install', ...quiet, tarball, ...dependencies);
  return project;
}

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tinyprop-pack-')));
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const output: unknown = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8' }));
  const [packed] = Object.values(output as Record<string, Packed>); // an array, or with newer npm an object by name
  if (!packed) throw new Error('npm pack reported nothing');
  tarball = join(folder, packed.filename);
  files = packed.files.map(({ path }) => path);
  install('commonjs');
  install('module');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the tarball', () => {
  it('holds everything that runs, and that builds from source', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'bin/tinyprop.js',
        'dist/index.js',
        'dist/index.d.ts',
        'dist/esm.mjs',
        'dist/esm.d.mts',
        'lib/data/digits/digits.u8.gz',
        'csrc/tinyprop.c',
        'csrc/include/tinyprop.h',
        'binding/addon.cc',
        'CMakeLists.txt',
        'tools/native.mjs',
        'LICENSE',
        'README.md',
      ]),
    );
    const prebuild = new RegExp(`^prebuilds/${process.platform}-${process.arch}/tinyprop(\\.\\w+)?\\.node$`);
    expect(files.filter((path) => prebuild.test(path))).toHaveLength(1);
  });

  it('holds nothing else', () => {
    const known =
      /^(bin|dist|lib\/data\/digits|csrc|binding|prebuilds)\/|^docs\/[^/]+\.md$|^tools\/native\.mjs$|^(CMakeLists\.txt|LICENSE|(README|CHANGELOG)\.md|package\.json)$/;
    expect(files.filter((path) => !known.test(path))).toEqual([]);
  });

  it('runs nothing when it is installed', () => {
    const hooks = Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$/.test(name));
    expect(hooks).toEqual([]);
    expect(files).not.toContain('binding.gyp'); // npm would run node-gyp for it
  });

  it('has exports and types that publint and arethetypeswrong accept', () => {
    const bin = (name: string, file: string): string => join(module_(name), file);
    run(root, process.execPath, bin('publint', 'src/cli.js'), 'run', tarball, '--strict');
    run(root, process.execPath, bin('@arethetypeswrong/cli', 'dist/index.js'), tarball);
  });
});

describe('the prebuilt addons', () => {
  const found = readdirSync(join(root, 'prebuilds'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.node'));

  /** The highest symbol version of the form PREFIX.N that the binary asks for. */
  const newest = (text: string, prefix: string): number =>
    Math.max(...[...text.matchAll(new RegExp(`\\b${prefix}\\.(\\d+)`, 'g'))].map((match) => Number(match[1])));

  it.each(found)('%s is made of the sources that lie here and loads wherever Node 20 runs', (name) => {
    const text = readFileSync(join(root, 'prebuilds', name), 'latin1');
    const id = execFileSync(process.execPath, [join(root, 'tools', 'source-id.mjs')], { encoding: 'utf8' }).trim();
    expect(text.includes(id), 'the prebuilt addon is stale: npm run prebuilds').toBe(true);
    expect(text.includes(root), 'the binary holds a path of this machine').toBe(false);
    if (!name.includes('glibc')) return;
    // Node's own requirement: glibc 2.28 and the libstdc++ of gcc 8.
    expect(newest(text, 'GLIBC_2')).toBeLessThanOrEqual(28);
    expect(newest(text, 'GLIBCXX_3.4')).toBeLessThanOrEqual(25);
  });
});

describe('installed in an empty folder', () => {
  const both = `
    const keys = (m) => Object.keys(m).filter((key) => key !== 'default' && key !== '__esModule').sort().join();
    const same = keys(esm) === keys(cjs) && esm.TinypropError === cjs.TinypropError && esm.Model === cjs.Model;
    console.log(same && typeof esm.Model === 'function' ? esm.describe().version : 'different: ' + keys(esm) + ' / ' + keys(cjs));`;

  it('gives require and import the same classes', () => {
    const commonjs = `const cjs = require('tinyprop'); import('tinyprop').then((esm) => {${both}});`;
    expect(run(join(folder, 'commonjs'), process.execPath, '-e', commonjs).trim()).toBe(manifest.version);
    const module =
      `import * as esm from 'tinyprop'; import { createRequire } from 'node:module';` +
      `const cjs = createRequire(process.cwd() + '/')('tinyprop');${both}`;
    const file = join(folder, 'module', 'same.js');
    writeFileSync(file, module);
    expect(run(join(folder, 'module'), process.execPath, file).trim()).toBe(manifest.version);
  });

  it.each(['commonjs', 'module'])('runs npx tinyprop --version in a %s project', (type) => {
    expect(run(join(folder, type), 'npx', '--offline', 'tinyprop', '--version').trim()).toBe(manifest.version);
  });

  it.each(['commonjs', 'module'])('runs npx tinyprop demo in a %s project', (type) => {
    const project = join(folder, type);
    const options = ['--json', '--seeds', '1', '--epochs', '1'];
    const { runs, summary } = JSON.parse(run(project, 'npx', '--offline', 'tinyprop', 'demo', ...options)) as {
      runs: { method: string; accuracy: number }[];
      summary: { method: string }[];
    };
    expect(summary.map(({ method }) => method)).toContain('tinypropv2');
    expect(Math.min(...runs.map(({ accuracy }) => accuracy))).toBeGreaterThan(0.5);
    expect(existsSync(join(project, 'package.json'))).toBe(true);
  });

  it('explains itself when no addon fits', () => {
    const project = join(folder, 'commonjs');
    const script = `Object.defineProperty(process, 'arch', { value: 'riscv64' });
      try { require('tinyprop').describe(); } catch (error) { console.log(error.code + '\\n' + error.message); }`;
    const message = run(project, process.execPath, '-e', script);
    expect(message).toMatch(/^ERR_TINYPROP_NATIVE\n/);
    expect(message).toContain(join('node_modules', 'tinyprop', 'prebuilds', `${process.platform}-riscv64`));
    for (const command of message.match(/npm run ([\w:]+)/g) ?? []) {
      const installed = JSON.parse(
        readFileSync(join(project, 'node_modules', 'tinyprop', 'package.json'), 'utf8'),
      ) as typeof manifest;
      expect(installed.scripts).toHaveProperty([command.replace('npm run ', '')]);
    }
    expect(message).toContain('npm explore tinyprop -- npm run build:native');
  });
});
