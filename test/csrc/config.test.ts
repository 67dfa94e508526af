// SPDX-License-Identifier: Apache-2.0
// Builds that leave rows of the lists out (TP_CONFIG_HEADER): the same bits, clear statuses, less code, no warnings.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';

vi.setConfig({ testTimeout: 180_000 }); // compilers, on a machine that may be busy

const root = join(__dirname, '..', '..');
const spine = join(root, 'csrc', 'tinyprop.c');
const folder = mkdtempSync(join(tmpdir(), 'tinyprop-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const small = join(__dirname, 'config', 'small.h');
const strict = ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror', '-ffp-contract=off'];
const soft = '-DTP_STATIC_ISA=soft';
const configured = (header: string): string => `-DTP_CONFIG_HEADER="${header}"`;
const missing = (program: string): boolean => spawnSync(program, ['--version']).error !== undefined;

function run(program: string, args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' });
  if (error) throw error;
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

/** Rows of every list, as the list headers write them: [macro, name]. */
const rows = ['layer/tp_layer', 'loss/tp_loss', 'policy/tp_policy', 'optim/tp_optim'].flatMap((file) =>
  [...readFileSync(join(root, 'csrc', `${file}_list.h`), 'utf8').matchAll(/^TP_(LAYER|LOSS|POLICY|OPTIM)\((\w+), \d+\)$/gm)].map(
    ([, list, name]) => [list as string, name as string] as const,
  ),
);

/** Bytes of code and constants of the library built with those options. */
function textBytes(compiler: string, options: string[]): number {
  const object = join(folder, 'size.o');
  run(compiler, [...strict, '-O2', ...options, '-c', spine, '-o', object]);
  return Number(run(compiler.replace(/gcc$|clang$/, 'size'), [object]).trim().split('\n')[1]?.trim().split(/\s+/)[0]);
}

describe('TP_CONFIG_HEADER', () => {
  it('finds the rows', () => {
    expect(rows).toHaveLength(26 + 3 + 11 + 2);
  });

  it.each(['gcc', 'clang'].filter((c) => !missing(c)))('leaves the bits as they are with %s', (compiler) => {
    const outcome = (name: string, options: string[]): string[] => {
      run(compiler, [...strict, '-O1', ...options, join(__dirname, 'config', 'trace.c'), '-o', join(folder, name)]);
      return run(join(folder, name), []).trim().split('\n');
    };
    const all = outcome('all', [soft]);
    const few = outcome('few', ['-DTP_STATIC_ISA=scalar', configured(small)]);
    expect(few[0]).toMatch(/^TP_OK [0-9a-f]{16}$/);
    expect(few[0]).toBe(all[0]);
    // What is left out says so; what never was there does too.
    expect(few.slice(1)).toEqual(['layer TP_E_ABSENT', 'no layer TP_E_MODEL', 'bias TP_E_ABSENT', 'loss TP_E_ABSENT', 'policy TP_E_ABSENT', 'optimizer TP_E_ABSENT', 'plan TP_E_ABSENT']);
    expect(all.slice(1)).toEqual(['layer TP_OK', 'no layer TP_E_MODEL', 'bias TP_OK', 'loss TP_OK', 'policy TP_OK', 'optimizer TP_OK', 'plan TP_OK']);
  });

  it('leaves the names of errors out with TP_NO_STRINGS', () => {
    const outcome = (name: string, options: string[]): string[] => {
      run('gcc', [...strict, '-O1', soft, ...options, join(__dirname, 'config', 'trace.c'), '-o', join(folder, name)]);
      return run(join(folder, name), []).trim().split('\n');
    };
    const named = outcome('named', []);
    expect(outcome('nameless', ['-DTP_NO_STRINGS'])).toEqual([named[0], ...named.slice(1).map((line) => line.replace(/TP_E_\w+/, 'TP_E_?'))]);
    expect(readFileSync(join(folder, 'named')).includes('TP_E_ABSENT')).toBe(true);
    expect(readFileSync(join(folder, 'nameless')).includes('TP_E_ABSENT')).toBe(false);
    expect(textBytes('gcc', [soft, '-DTP_NO_STRINGS'])).toBeLessThan(textBytes('gcc', [soft]));
  });

  it('makes less code', () => {
    expect(textBytes('gcc', [soft, configured(small)])).toBeLessThan(0.8 * textBytes('gcc', [soft]));
  });

  it.each(rows)('compiles without warnings with %s %s alone', (list, name) => {
    const header = join(folder, `${list}_${name}.h`);
    const others = rows.filter((row) => row[0] !== list || row[1] !== name);
    writeFileSync(header, others.map(([l, n]) => `#define TP_WITH_${l}_${n} 0\n`).join(''));
    run('gcc', [...strict, '-O0', soft, configured(header), '-c', spine, '-o', join(folder, 'one.o')]);
    if (!missing('clang')) run('clang', [...strict, '-fsyntax-only', soft, configured(header), spine]);
  });

  const arm = 'arm-none-eabi-gcc';
  it.skipIf(missing(arm))(`fits 40 KiB on a Cortex-M4F${missing(arm) ? ` (${arm} is not installed)` : ''}`, () => {
    const cpu = ['-mcpu=cortex-m4', '-mthumb', '-mfpu=fpv4-sp-d16', '-mfloat-abi=hard', '-fno-math-errno', '-ffunction-sections', '-fdata-sections'];
    const header = join(folder, 'conv.h');
    writeFileSync(header, readFileSync(small, 'utf8').replace(/^#define TP_WITH_LAYER_conv2d 0\n/m, ''));
    // What a firmware that trains, predicts and saves keeps of the library; libc and libgcc are the firmware's.
    const kept = (config: string): number => {
      const calls = join(__dirname, 'config', 'calls.c');
      const link = ['-nostdlib', '-Wl,--gc-sections', '-Wl,-e,firmware', '-Wl,--unresolved-symbols=ignore-all'];
      run(arm, [...strict, '-O2', ...cpu, configured(config), `-I${join(root, 'csrc', 'include')}`, calls, spine, ...link, '-o', join(folder, 'kept.elf')]);
      return Number(run('arm-none-eabi-size', [join(folder, 'kept.elf')]).split('\n')[1]?.trim().split(/\s+/)[0]);
    };
    expect(kept(header)).toBeLessThanOrEqual(40 * 1024);
    expect(kept(small)).toBeLessThan(kept(header));
  });
});
