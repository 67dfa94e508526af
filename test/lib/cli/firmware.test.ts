// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { firmwareTargets } from '../../../lib/index';
import { json, scratch, tinyprop } from './harness';

vi.setConfig({ testTimeout: 180_000 }); // whole trees are written, on a machine that may be busy

const file = scratch();
const model = file('digits.tpm');

beforeAll(async () => {
  await tinyprop(['train', '--data', 'digits', '--model', 'mlp:64-16-10', '--epochs', '1', '--out', model, '--quiet']);
});

interface Exported {
  code: number;
  out: string;
  for: string;
  files: string[];
  recipe: Record<string, unknown>;
  sourceId: string;
}

describe('firmware export', () => {
  it.each(firmwareTargets)('writes a project for %s that verify accepts', async (target) => {
    const out = file(target);
    const exported = await json<Exported>(['firmware', 'export', '--model', model, '--for', target, '--out', out]);
    expect(exported).toMatchObject({ code: 0, out, for: target });
    expect(exported.files.every((path) => existsSync(join(out, path)))).toBe(true);
    const verified = await tinyprop(['firmware', 'verify', out, '--model', model]);
    expect([verified.code, verified.err]).toEqual([0, '']);
    expect(verified.out).toContain(exported.sourceId);
  });

  it('takes the recipe of train, and samples', async () => {
    const out = file('recipe');
    const flags = ['--policy', 'tinyprop', '--s-min', '0.2', '--lr', '0.003', '--momentum', '0.5', '--seed', '9', '--data', 'digits', '--limit', '5'];
    const { recipe } = await json<Exported>(['firmware', 'export', '--model', model, '--for', 'cmake', '--out', out, ...flags]);
    expect(recipe).toMatchObject({ policy: 'tinyprop', optimizer: 'momentum', seed: 9, sMin: 0.2, lr: 0.003, scheduleKind: 'constant' });
    expect(readFileSync(join(out, 'src', 'tinyprop_samples.c'), 'utf8')).toContain('SAMPLES = 5');
    const lr = [...new Uint8Array(Float32Array.of(0.003).buffer)].map((byte) => `0x${byte.toString(16).padStart(2, '0')}, `).join('');
    expect(readFileSync(join(out, 'src', 'tinyprop_model.c'), 'utf8').split('tinyprop_plan[')[1]).toContain(lr);
  });

  it('takes int8 samples for models that begin with quantize alone', async () => {
    const refused = await tinyprop(['firmware', 'export', '--model', model, '--for', 'cmake', '--out', file('int8'), '--int8-samples']);
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('quantize') });
    expect(existsSync(file('int8'))).toBe(false);
    expect((await tinyprop(['plan', '--model', model, '--int8-samples'])).code).toBe(2);
  });

  it('refuses with the exit codes of the other commands', async () => {
    const base = ['firmware', 'export', '--model', model, '--out', file('no')];
    expect((await tinyprop(base)).code).toBe(2);
    expect((await tinyprop([...base, '--for', 'toaster'])).code).toBe(2);
    expect((await tinyprop([...base, '--for', 'cmake', '--s', '0.5'])).code).toBe(2);
    expect((await tinyprop([...base, '--for', 'cmake', '--limit', '5'])).code).toBe(2);
    expect((await tinyprop([...base, '--for', 'arduino', '--model-as', 'bin'])).err).toContain('arduino cannot build a model as bin');
    expect((await tinyprop(['firmware', 'export', '--model', file('none.tpm'), '--for', 'cmake', '--out', file('no')])).code).toBe(2);
    const damaged = file('damaged.tpm');
    writeFileSync(damaged, readFileSync(model).subarray(0, 500));
    expect((await tinyprop(['firmware', 'export', '--model', damaged, '--for', 'cmake', '--out', file('no')])).code).toBe(6);
    expect(existsSync(file('no'))).toBe(false);
    const mine = await json<{ error: { code: string; exitCode: number } }>(['firmware', 'export', '--model', model, '--for', 'cmake', '--out', file('.')]);
    expect(mine.error).toMatchObject({ code: 'ERR_TINYPROP_SPEC', exitCode: 2 });
    expect(readdirSync(file('.')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('firmware verify', () => {
  it('names every difference and ends with 5', async () => {
    const out = file('changed');
    await tinyprop(['firmware', 'export', '--model', model, '--for', 'cmake', '--out', out, '--quiet']);
    writeFileSync(join(out, 'csrc', 'tinyprop.c'), '');
    writeFileSync(join(out, 'src', 'main.c'), '');
    const { code, err } = await tinyprop(['firmware', 'verify', out]);
    expect(code).toBe(5);
    expect(err).toContain('sources: csrc/tinyprop.c: not the file of this package');
    expect(err).toContain('changed, which is yours to do: src/main.c');
    const report = await json<{ ok: boolean; problems: unknown[] }>(['firmware', 'verify', out, '--quiet']);
    expect(report).toMatchObject({ code: 5, ok: false, problems: [{ kind: 'sources', path: 'csrc/tinyprop.c' }] });
    expect((await tinyprop(['firmware', 'verify', file('nowhere')])).code).toBe(2);
    writeFileSync(join(out, 'tinyprop.json'), '{}');
    expect((await tinyprop(['firmware', 'verify', out])).code).toBe(6);
  });
});
