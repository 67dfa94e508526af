// SPDX-License-Identifier: Apache-2.0
// Training that starts badly must be noticed: never a silent 10 % accuracy.
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadData, type DataSplit } from '../../lib/data';
import { TinypropError } from '../../lib/errors';
import { dense, leakyRelu, relu } from '../../lib/layers';
import { Model } from '../../lib/model';
import { sgd } from '../../lib/optimizer';
import { full, meProp, tinyProp, tinyPropV2, type PolicySpec } from '../../lib/policy';
import { parseModelSpec } from '../../lib/specs';
import { constantLoss } from '../../lib/targets';
import { Trainer, type FitResult, type WarningEvent } from '../../lib/trainer';
import { Totals } from '../../lib/results';
import { Watchdog } from '../../lib/watchdog';
import { toyData, toyModel } from './toy';

let digits: DataSplit;
beforeAll(async () => {
  digits = await loadData('digits');
});

interface Outcome {
  result: FitResult | null;
  warnings: WarningEvent[];
  error: TinypropError | null;
}

async function fit(policy: PolicySpec, lr: number, spec = 'mlp:64-32-16-10', epochs = 3): Promise<Outcome> {
  const model = Model.fromJSON(parseModelSpec(spec, { inputShape: digits.train.inputShape, classes: 10 }));
  const run = new Trainer(model, { policy, optimizer: sgd({ lr }) }).fit(digits, { epochs });
  const warnings: WarningEvent[] = [];
  let error: TinypropError | null = null;
  try {
    for await (const event of run) if (event.type === 'warning') warnings.push(event);
  } catch (caught) {
    error = caught as TinypropError;
  }
  const result = error === null ? await run.result : null;
  if (result !== null) expect(result.warnings).toEqual(warnings);
  const evaluation = await model.evaluate(digits.test!);
  expect(Number.isNaN(evaluation.accuracy), 'the model is usable').toBe(false);
  return { result, warnings, error };
}

const policies: [string, PolicySpec][] = [
  ['full', full()],
  ['tinyPropV2', tinyPropV2()],
  ['tinyProp', tinyProp()],
  ['meProp', meProp()],
];

describe.each(policies)('batch 1, policy %s', (_, policy) => {
  it('says nothing when training goes well', async () => {
    const { result, warnings } = await fit(policy, 0.02);
    expect(warnings).toEqual([]);
    expect(result!.accuracy).toBeGreaterThan(0.8);
  });

  it.each([1, 10, 1e3, 1e6, 1e20])('notices a learning rate of %f', async (lr) => {
    const { result, warnings, error } = await fit(policy, lr);
    if (error !== null) {
      expect(error).toBeInstanceOf(TinypropError);
      expect(error.code).toMatch(/^ERR_TINYPROP_(LOSS|DELTA)$/);
      expect(error.message).toMatch(/training diverged.*learning rate/);
      expect(error.details['lr']).toBeCloseTo(lr, -Math.floor(Math.log10(lr)) + 5);
    } else {
      expect(result!.accuracy).toBeLessThan(0.3);
      expect(warnings.length).toBeGreaterThan(0);
      const dead = warnings.find((warning) => warning.code === 'dead-units');
      expect(dead?.layer).toMatch(/^fc[12]$/);
      expect(dead?.message).toContain(`layer "${dead?.layer}" has received no error`);
      expect(warnings.some((warning) => warning.code === 'not-learning' && /accuracy \d+\.\d %/.test(warning.message))).toBe(true);
      expect(new Set(warnings.map(({ code, layer }) => `${code} ${layer}`)).size).toBe(warnings.length);
    }
  });
});

describe('the watchdog', () => {
  it('names a dying layer of a deep net', async () => {
    const { warnings } = await fit(full(), 0.9, 'mlp:64-32-32-32-16-10', 4);
    expect(warnings.map((warning) => warning.code)).toContain('dead-units');
  });

  it('sees an epoch that learns nothing', async () => {
    const { warnings, result } = await fit(full(), 1e-9);
    expect(result!.accuracy).toBeLessThan(0.3);
    expect(warnings.map((warning) => warning.code)).toEqual(['not-learning']);
    const frozen = Model.sequential({ input: [12], loss: 'mse', layers: [dense(12), leakyRelu(), dense(12)] });
    const coder = await new Trainer(frozen, { optimizer: sgd({ lr: 1e-9 }) }).fit({ train: { ...toyData(300), labels: undefined as never } }, { epochs: 1 });
    expect(coder.warnings.map((warning) => warning.code)).toEqual(['not-learning']);
  });

  it('sees a loss that climbs', async () => {
    const regression = Model.sequential({ input: [12], loss: 'mse', layers: [dense(64), relu(), dense(12)] });
    const train = { ...toyData(2000), labels: undefined as never };
    const run = new Trainer(regression, { policy: full(), optimizer: sgd({ lr: 3 }) }).fit({ train }, { epochs: 2 });
    const codes: string[] = [];
    const error = await (async () => { for await (const event of run) if (event.type === 'warning') codes.push(event.code); })().catch((caught: unknown) => caught as TinypropError);
    expect(codes.includes('diverging') || codes.includes('not-learning') || error instanceof TinypropError).toBe(true);
  });

  it('warns when the decision can skip nothing', async () => {
    const policy = tinyPropV2({ tau: 0.1, dMin: 0.2 });
    const result = await new Trainer(toyModel(), { policy }).fit({ train: toyData(600) }, { epochs: 2 });
    expect(result.warnings.map((warning) => warning.code)).toEqual(['theta-negative']);
    expect(result.trainedFraction).toBe(1);
  });

  it('does not take a mastered training set for a dead net', async () => {
    const easy = toyData(400, { noise: 0.05 });
    const result = await new Trainer(toyModel(), { policy: full(), optimizer: sgd({ lr: 0.2 }) }).fit({ train: easy }, { epochs: 60 });
    expect(result.accuracy).toBe(1);
    expect(result.warnings).toEqual([]);
  });

  it('counts trained samples without error, by layer, and starts again when one comes', () => {
    const warnings: WarningEvent[] = [];
    const layers = [{ name: 'a', layer: 0 }, { name: 'b', layer: 1 }, { name: 'out', layer: 2 }];
    const dog = new Watchdog({ layers, constantLoss: 1, majority: 0.5, lr: 0.5, bounded: true }, (event) => warnings.push(event));
    const chunk = (trained: number, worked: [number, number, number], loss = 0.5): void => {
      const sums = new Float64Array(14 + 18);
      sums[0] = trained;
      sums[1] = trained;
      sums[13] = loss * trained;
      worked.forEach((count, layer) => (sums[14 + 6 * layer + 2] = count));
      const totals = new Totals(3);
      totals.add(sums);
      dog.chunk(totals);
    };
    chunk(200, [0, 5, 5]);
    chunk(50, [1, 5, 5]);
    chunk(200, [0, 0, 5]);
    chunk(50, [0, 0, 0]);
    expect(warnings).toEqual([]);
    chunk(60, [0, 0, 5]);
    expect(warnings.map(({ code, layer }) => `${code} ${layer}`)).toEqual(['dead-units b']);
    chunk(600, [1, 1, 1], 9);
    expect(warnings.length).toBe(1);
    chunk(600, [1, 1, 1], 9);
    chunk(600, [1, 1, 1], 9);
    expect(warnings.map((warning) => warning.code)).toEqual(['dead-units', 'diverging']);
  });

  it('knows the loss of a constant prediction', () => {
    const spec = { inputs: 2, inputShape: [2] };
    expect(constantLoss(Uint32Array.of(0, 1, 2, 3), { ...spec, outputs: 4, loss: 'softmaxCrossEntropy' })).toEqual({ loss: Math.log(4), majority: 0.25 });
    expect(constantLoss(Uint32Array.of(0, 0, 0, 0), { ...spec, outputs: 4, loss: 'softmaxCrossEntropy' })).toEqual({ loss: 0, majority: 1 });
    expect(constantLoss(Float32Array.of(0, 1, 1, 1), { ...spec, outputs: 2, loss: 'bce' }).loss).toBeCloseTo(Math.log(2));
    expect(constantLoss(Float32Array.of(1, 3, 5, 3), { ...spec, outputs: 2, loss: 'mse' }).loss).toBeCloseTo((4 + 0) / 2);
  });

  it('speaks up in the process when nobody iterates the events', () => {
    const script = `
      const { Trainer, Model, sgd, loadData, dense, relu, flatten } = require(${JSON.stringify(`${__dirname}/../../dist/index.js`)});
      (async () => {
        const data = await loadData('digits');
        const model = Model.sequential({ input: data.train.inputShape.slice(), layers: [flatten(), dense(8), relu(), dense(10)] });
        await new Trainer(model, { optimizer: sgd({ lr: 1e-9 }) }).fit(data, { epochs: 1 });
      })();`;
    const result = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    expect(result.stderr).toMatch(/\[not-learning\] TinypropWarning: after epoch 1/);
    expect(result.status).toBe(0);
  });
});
