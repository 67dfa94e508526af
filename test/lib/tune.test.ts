// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { dense, flatten, loadData, Model, relu, tune } from '../../lib';
import { json, tinyprop } from './cli/harness';

const { train } = await loadData('digits');
const spec = Model.sequential({ input: [8, 8, 1], layers: [flatten(), dense(32), relu(), dense(10)] }).toJSON();
const open = (): Model => Model.fromJSON(spec);
const plain = (trials: readonly object[]): unknown => trials.map((trial) => ({ ...trial, seconds: 0 }));

describe('tune', () => {
  it('takes the cheapest of those within the tolerance', async () => {
    const seen: unknown[] = [];
    const { best, found, tried } = await tune(open, train, { epochs: 2, tolerance: 0.02, onTrial: (trial) => seen.push(trial) });
    expect(seen).toEqual(tried);
    expect(tried.map((trial) => trial.params)).toEqual([
      null,
      ...[0.02, 0.05, 0.1, 0.2, 0.4].map((tau) => ({ tau })),
      ...[[0.05, 0.3], [0.1, 0.5], [0.3, 1]].map(([sMin, sMax]) => ({ tau: best.params.tau, sMin, sMax })),
    ]);
    const [full, ...rest] = tried;
    const good = rest.filter((trial) => trial.accuracy >= (full?.accuracy as number) - 0.02);
    expect(good.every((trial) => trial.good)).toBe(true);
    expect(rest.filter((trial) => trial.good)).toHaveLength(good.length);
    expect(found).toBe(good.length > 0);
    if (found) expect(best.effortBackward).toBe(Math.min(...good.map((trial) => trial.effortBackward)));
    const again = await tune(open, train, { epochs: 2, tolerance: 0.02 });
    expect(plain(again.tried)).toEqual(plain(tried));
  });

  it('says so when nothing is good enough, and names the most accurate', async () => {
    const { best, found, tried } = await tune(open, train, { epochs: 1, tolerance: 0, taus: [0.99, 0.9], bounds: [[0.01, 0.02]] });
    expect(found).toBe(false);
    expect(best.accuracy).toBe(Math.max(...tried.slice(1).map((trial) => trial.accuracy)));
  });

  it('refuses options out of range, and stops when it is told to', async () => {
    for (const wrong of [{ epochs: 0 }, { tolerance: -1 }, { held: 1 }, { taus: [] }]) {
      await expect(tune(open, train, wrong)).rejects.toMatchObject({ code: 'ERR_TINYPROP_SPEC' });
    }
    const controller = new AbortController();
    const run = tune(open, train, { epochs: 50, signal: controller.signal, onTrial: () => controller.abort() });
    await expect(run).rejects.toMatchObject({ code: 'ERR_TINYPROP_ABORTED' });
  });

  it('has a command, whose flags the training takes', async () => {
    const args = ['--data', 'digits', '--model', 'mlp:64-32-10', '--limit', '500'];
    const { code, flags, best, tried } = await json<{ flags: string; best: { tau: number }; tried: unknown[] }>(['tune', ...args, '--epochs', '2', '-q']);
    expect(code).toBe(0);
    expect(tried).toHaveLength(9);
    expect(flags).toContain(`--policy tinypropv2 --tau ${best.tau}`);
    const own = await json<{ weights: string }>(['train', ...args, '--epochs', '2', '-q', ...flags.split(' ')]);
    const tuned = await json<{ weights: string }>(['train', ...args, '--epochs', '2', '-q', '--preset', 'tuned']);
    expect(tuned.weights).toBe(own.weights);
    expect((await tinyprop(['train', ...args, '--preset', 'tuned', '--tau', '1'])).code).toBe(2);
    expect((await tinyprop(['compare', ...args, '--preset', 'tuned', '--methods', 'tinypropv2'])).code).toBe(2);
  });
});
