// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(__dirname, '..', '..');
const bench = (file: string, ...args: string[]) => spawnSync(process.execPath, [join(root, 'bench', file), ...args], { cwd: root, encoding: 'utf8' });
const hasCmake = spawnSync('cmake', ['--version'], { stdio: 'ignore' }).status === 0;

describe('bench', () => {
  it('refuses flags it does not know, and says which it does', () => {
    for (const file of ['run.mjs', 'rivals.mjs', 'instructions.mjs']) {
      const { status, stderr } = bench(file, '--wrokload', 'W1');
      expect(status, file).toBe(2);
      expect(stderr).toMatch(/--wrokload/);
      expect(stderr).toMatch(/usage: npm run bench/);
    }
  });

  it.skipIf(!hasCmake)('prints a line for every policy, with the promised keys', { timeout: 300_000 }, () => {
    const { status, stdout, stderr } = bench('run.mjs', '--workload', 'W1', '--batch', '1', '--rounds', '1', '--ms', '1', '--json');
    expect(stderr.replace(/^bench: others used the core .*\n/, '')).toBe('');
    expect(status).toBe(0);
    const lines = stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    const keys = ['workload', 'batch', 'policy', 'keep', 'isa', 'stepUs', 'inferUs', 'backwardUs', 'rowsUsed', 'rooflineFraction'];
    for (const line of lines) expect(Object.keys(line)).toEqual(keys);
    expect(lines.map(({ policy, keep }) => [policy, keep])).toEqual([
      ['dense', null],
      ['full', null],
      ...[0.5, 0.25, 0.1, 0.05].map((keep) => ['meprop', keep]),
      ['tinyprop', null],
      ['tinypropv2', null],
    ]);
    expect(lines[0]).toMatchObject({ workload: 'W1', batch: 1, rowsUsed: 1 });
  });

  it.skipIf(!hasCmake)('names the value that is wrong', { timeout: 300_000 }, () => {
    for (const [args, message] of [
      [['--workload', 'W9'], /--workload W9: expected W1/],
      [['--batch', '3'], /--batch 3: expected a divisor of 64/],
      [['--rounds', '0'], /--rounds 0: expected a number from 1/],
      [['--isa', 'mmx'], /--isa mmx: this CPU has no kernels of that name/],
    ] as const) {
      const { status, stderr } = bench('run.mjs', ...args);
      expect(status).toBe(1);
      expect(stderr).toMatch(message);
    }
  });
});
