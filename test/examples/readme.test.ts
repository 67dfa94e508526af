// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { tinyprop } from '../lib/cli/harness';

const root = join(__dirname, '..', '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'tinyprop-readme-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The code block of that language. */
function block(language: string): string {
  const code = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\n\`\`\``).exec(readme)?.[1];
  if (code === undefined) throw new Error(`README.md has no block of ${language}`);
  return code;
}

function run(program: string, args: string[], cwd: string): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (error) throw error;
  return { status, out: stdout, err: stderr };
}

const model = join(folder, 'digits.tpm');

describe('README.md', () => {
  it('has a Node example that runs and saves its model', () => {
    // From the root, "tinyprop" is this package; the file goes to the scratch folder.
    const code = block('js').replace("'digits.tpm'", JSON.stringify(model));
    const { status, out, err } = run(process.execPath, ['--input-type=module', '-e', code], root);
    expect([status, err]).toEqual([0, '']);
    const lines = out.trim().split('\n');
    expect(lines).toHaveLength(12);
    expect(Number(lines[9]?.split(' ')[1])).toBeGreaterThan(0.9);
    expect(existsSync(model)).toBe(true);
  });

  it('has a C example that compiles without warnings and trains that model', () => {
    writeFileSync(join(folder, 'main.c'), block('c'));
    const flags = ['-std=c11', '-O1', '-Wall', '-Wextra', '-Wpedantic', '-Werror', `-I${join(root, 'csrc', 'include')}`];
    const built = run(process.env['CC'] ?? 'cc', [...flags, 'main.c', join(root, 'csrc', 'tinyprop.c'), '-o', 'main'], folder);
    expect([built.status, built.err]).toEqual([0, '']);
    const { status, out } = run(join(folder, 'main'), [model], folder);
    expect(status).toBe(0);
    expect(Number(/^logit of class 3: (.*)$/m.exec(out)?.[1])).toBeGreaterThan(0);
    expect(run(join(folder, 'main'), [], folder).status).toBe(1);
  }, 120_000);

  it('links only to files that exist', () => {
    for (const [, target] of readme.matchAll(/\]\((?!https?:)([^)#]+)/g)) expect(existsSync(join(root, target as string)), target).toBe(true);
  });

  it('shows commands that the program understands', async () => {
    const lines = [...readme.matchAll(/^npx tinyprop ([a-z]+ .*?)(?: +#.*)?$/gm)].map((match) => match[1] as string);
    expect(lines.length).toBeGreaterThan(6);
    for (const line of lines) {
      const words = line.split(' ');
      const command = words.slice(0, words.findIndex((word) => word.startsWith('-')) >>> 0);
      const { out } = await tinyprop([...command, '--help']);
      for (const option of words.filter((word) => word.startsWith('--'))) expect(out, line).toContain(`${option} `);
    }
  });

  it.skipIf(spawnSync('cmake', ['--version']).error !== undefined)('makes a firmware in ten minutes', { timeout: 180_000 }, async () => {
    const section = /^## Firmware in ten minutes\n([^]*?)\n## /m.exec(readme)?.[1] as string;
    const at = (word: string): string => (/^(digits\.tpm|firmware|build)$/.test(word) ? join(folder, 'ten', word) : word);
    mkdirSync(join(folder, 'ten'));
    for (const [, line] of section.matchAll(/^npx tinyprop (.*)$/gm)) {
      expect(await tinyprop((line as string).split(' ').map((word, i) => (i < 2 ? word : at(word))))).toMatchObject({ code: 0 });
    }
    for (const command of (/^(cmake .*)$/m.exec(section)?.[1] as string).split(' && ')) {
      const [program, ...args] = command.split(' ') as [string, ...string[]];
      const { status, out } = run(program === './build/train' ? join(folder, 'ten/build/train') : program, args, join(folder, 'ten'));
      expect(status).toBe(0);
      if (program === './build/train') expect(out.split('\n')[0]).toBe(/^ {4}(TP_OK: .*)$/m.exec(section)?.[1]);
    }
    expect((await tinyprop(['firmware', 'verify', join(folder, 'ten/firmware')])).code).toBe(0);
  });

  it('states the memory that plan states', async () => {
    const rows = [...readme.matchAll(/^\| `([^`]+)` \| ([\d,]+) \| ([\d.]+) KiB \| ([\d.]+) KiB \| ([\d.]+) KiB \|$/gm)];
    expect(rows).toHaveLength(5);
    for (const [, spec, parameters, ...shown] of rows) {
      const { out } = await tinyprop(['plan', '--model', spec as string, '--json']);
      const plan = JSON.parse(out) as { parameters: number; training: { arenaBytes: number; params: number }; flashBytes: number };
      const kib = (n: number): string => (n / 1024).toFixed(1);
      expect(Number((parameters as string).replace(/,/g, ''))).toBe(plan.parameters);
      expect(shown).toEqual([kib(plan.training.arenaBytes), kib(plan.training.arenaBytes - plan.training.params), kib(plan.flashBytes)]);
    }
  });
});
