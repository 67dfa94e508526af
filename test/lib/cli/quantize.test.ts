// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { QuantizedLayer } from '../../../lib';
import { tanh } from '../../../lib/layers';
import { Model } from '../../../lib/model';
import { json, scratch, tinyprop } from './harness';

const file = scratch();
const [floats, int8] = [file('floats.tpm'), file('int8.tpm')];

interface Side {
  accuracy: number;
  loss: number;
  flashBytes: number;
  ramBytes: number;
}

interface Report {
  before: Side;
  after: Side;
  calibrated: number;
  tested: number;
  layers: QuantizedLayer[];
  weights: string;
}

const command = (...rest: string[]): string[] => ['quantize', '--model', floats, '--data', 'digits', '--out', int8, ...rest];

describe('quantize', () => {
  let report: Report & { code: number };
  beforeAll(async () => {
    await tinyprop(['train', '--data', 'digits', '--model', 'cnn-mnist', '--epochs', '2', '--normalize', 'standard', '--out', floats]);
    report = await json<Report>(command());
  });

  it('reports what eval says of both files', async () => {
    expect(report).toMatchObject({ code: 0, calibrated: 500, tested: 359 });
    for (const [path, side] of [[floats, report.before], [int8, report.after]] as const) {
      expect(await json(['eval', '--model', path, '--data', 'digits'])).toMatchObject({ accuracy: side.accuracy, loss: side.loss });
      expect(await json(['plan', '--model', path, '--inference'])).toMatchObject({ flashBytes: side.flashBytes, inference: { arenaBytes: side.ramBytes } });
    }
    expect(Math.abs(report.after.accuracy - report.before.accuracy)).toBeLessThan(0.01);
    expect(report.after.flashBytes).toBeLessThan(0.4 * report.before.flashBytes);
    expect(report.layers.map(({ node }) => node)).toEqual(['input', 'conv1', 'conv2', 'conv3', 'fc1', 'fc2']);
  });

  it('prints a table of layers and one of both models', async () => {
    const { code, out, err } = await tinyprop(command('--samples', '50', '--percentile', '99.9'));
    expect(code).toBe(0);
    expect(out).toMatch(/^node .* SQNR dB\n[\s\S]*\nconv1 +conv2dS8 +relu1 [\s\S]*\naccuracy .*\nloss .*\nmodel file .*\nRAM for inference .*\n$/);
    expect(err).toContain('calibrated with 50 training samples, judged by 359 test samples');
  });

  it('writes the same file again, which all commands take', async () => {
    await tinyprop(command());
    const bytes = readFileSync(int8);
    await tinyprop(command('--threads', '2', '-q'));
    expect(readFileSync(int8).equals(bytes)).toBe(true);
    expect(await json(['info', int8])).toMatchObject({ code: 0, weights: report.weights, tensors: expect.arrayContaining([expect.objectContaining({ name: 'fc1.weight', dtype: 's8' })]) as unknown });
    expect((await tinyprop(['info', int8])).out).toMatch(/^fc1.bias +s32 +64 +64$/m);
    expect((await tinyprop(['predict', '--model', int8, '--data', 'digits', '--limit', '3'])).code).toBe(0);
    expect((await tinyprop(['plan', '--model', int8, '--ram', '64K'])).code).toBe(0);
    const trained = await json<Side>(['train', '--init', int8, '--data', 'digits', '--epochs', '2', '--lr', '0.005', '--out', file('more.tpm')]);
    expect(trained.accuracy).toBeGreaterThanOrEqual(report.after.accuracy - 0.01);
    expect((await json<Side>(['eval', '--model', file('more.tpm'), '--data', 'digits'])).accuracy).toBe(trained.accuracy);
  });

  it('is a start that compare takes, with its normalisation', async () => {
    const { code, runs } = await json<{ runs: { accuracy: number }[] }>(['compare', '--model', int8, '--data', 'digits', '--methods', 'full,tinypropv2', '--seeds', '1', '--epochs', '1', '--lr', '1e-9']);
    expect(code).toBe(0);
    expect(runs.map(({ accuracy }) => Math.abs(accuracy - report.after.accuracy) < 0.01)).toEqual([true, true]);
  });

  it('refuses what it cannot do and leaves files alone', async () => {
    const odd = file('odd.tpm');
    await Model.sequential({ input: [64], loss: 'mse', layers: [tanh()] }).save(odd);
    writeFileSync(file('cut.tpm'), readFileSync(floats).subarray(0, 200));
    const before = readFileSync(floats);
    for (const [code, message, ...args] of [
      [3, 'node "tanh1" (tanh)', '--model', odd],
      [3, 'int8 already', '--model', int8],
      [2, 'would be lost', '--model', floats, '--out', floats],
      [6, 'cut.tpm', '--model', file('cut.tpm')],
      [2, 'percentile', '--model', floats, '--percentile', '50'],
      [2, 'samples', '--model', floats, '--samples', '0'],
      [2, '--out', '--model', floats, '--out', file('nowhere/x.tpm')],
    ] as const) {
      const out = args.includes('--out') ? [] : ['--out', file('never.tpm')];
      const outcome = await tinyprop(['quantize', '--data', 'digits', ...args, ...out]);
      expect([outcome.code, outcome.err]).toEqual([code, expect.stringContaining(message)]);
    }
    expect(existsSync(file('never.tpm'))).toBe(false);
    expect(readFileSync(floats).equals(before)).toBe(true);
  });
});
