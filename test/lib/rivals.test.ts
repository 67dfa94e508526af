// SPDX-License-Identifier: Apache-2.0
// Policies of other papers and what is beyond policies, through the trainer.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { full, loadData, Model, parseModelSpec, randomSkip, replay, selectiveBackprop, sgd, steered, tinyPropV2, Trainer, type DataSplit, type FitOptions, type RecipeOptions } from '../../lib/index';

const folder = mkdtempSync(join(tmpdir(), 'tinyprop-rivals-'));
afterAll(() => rmSync(folder, { recursive: true }));

let data: DataSplit;
beforeAll(async () => {
  data = await loadData('digits', { limit: 1000 });
});

async function train(recipe: RecipeOptions, options: FitOptions = {}) {
  const model = Model.fromJSON(parseModelSpec('mlp:64-32-10', { inputShape: [8, 8, 1], classes: 10 } as never));
  const result = await new Trainer(model, { epochs: 6, optimizer: sgd({ lr: (recipe.batch ?? 1) > 1 ? 0.2 : 0.05 }), ...recipe }).fit({ train: data.train, test: data.test as never }, { evaluateEvery: 'end', ...options });
  return { model, result, hash: model.weightHash() };
}

describe('samples that are not looked at', () => {
  it('random skip spends its rate, forward and backward', async () => {
    const { result } = await train({ policy: randomSkip({ rate: 0.25 }) });
    expect(result.trainedFraction).toBeGreaterThan(0.21);
    expect(result.trainedFraction).toBeLessThan(0.29);
    expect(result.effortBackward).toBeCloseTo(result.trainedFraction, 10);
    expect(result.effortTotal).toBeCloseTo(result.trainedFraction, 10);
    expect(result.totals.samples + result.totals.passed).toBe(6000);
  });

  it('steers TinyPropv2 to a share', async () => {
    const samples = await train({ policy: steered({ rate: 0.3 }), epochs: 12 });
    expect(Math.abs(samples.result.trainedFraction - 0.3)).toBeLessThan(0.05);
    const effort = await train({ policy: steered({ rate: 0.1, steer: 'effort' }), epochs: 12 });
    expect(Math.abs(effort.result.effortBackward - 0.1)).toBeLessThan(0.03);
  });

  it.each([1, 8])('revisit saves forward passes at batch %i, the same from every chunk, and is replayed', async (batch) => {
    const recipe = { policy: tinyPropV2(), batch, revisit: 8 };
    const log = join(folder, `revisit-${batch}.tpl`);
    const one = await train(recipe, { record: log });
    const small = await train(recipe, { chunkMs: 0.01 });
    const never = await train({ policy: tinyPropV2(), batch });
    expect(small.hash).toBe(one.hash);
    expect(one.result.totals.passed).toBeGreaterThan(200);
    expect(one.result.effortTotal).toBeLessThan(0.9 * never.result.effortTotal);
    expect(one.result.accuracy).toBeGreaterThan(never.result.accuracy - 0.06);
    expect(never.result.totals.passed).toBe(0);
    const start = Model.fromJSON(one.model.toJSON()).toBytes();
    expect(await replay(log, start, { data: data.train })).toMatchObject({ identical: true, rest: null });
  });

  it('full training trains every sample, so it never passes one over', async () => {
    const plain = await train({ policy: full() });
    const with_ = await train({ policy: full(), revisit: 64 });
    expect(with_.hash).toBe(plain.hash);
    expect(with_.result.totals.passed).toBe(0);
  });

  it('Selective-Backprop keeps 1 / (1 + beta), and looks less when its losses are stale', async () => {
    const fresh = await train({ policy: selectiveBackprop({ beta: 3, history: 200 }) });
    expect(Math.abs(fresh.result.trainedFraction - 0.25)).toBeLessThan(0.05);
    expect(fresh.result.totals.passed).toBe(0);
    const stale = await train({ policy: selectiveBackprop({ beta: 3, history: 200, stale: 3 }) });
    expect(stale.result.totals.passed).toBeGreaterThan(600);
    expect(stale.result.effortTotal).toBeLessThan(fresh.result.effortTotal);
  });

  it.each([
    ['revisit', { policy: tinyPropV2(), revisit: 8 }],
    ['stale losses', { policy: selectiveBackprop({ stale: 2 }) }],
    ['augmented and revisited', { policy: tinyPropV2(), revisit: 4, batch: 5 }],
  ] as [string, RecipeOptions][])('resumes %s to the same bits', async (name, recipe) => {
    const augment = name.startsWith('augmented') ? { augment: { noise: 0.05 } } : {};
    const whole = await train(recipe, augment);
    const path = join(folder, `${name}.tpm`);
    const stopping = new AbortController();
    const model = Model.fromJSON(parseModelSpec('mlp:64-32-10', { inputShape: [8, 8, 1], classes: 10 } as never));
    const run = new Trainer(model, { epochs: 6, optimizer: sgd({ lr: (recipe.batch ?? 1) > 1 ? 0.2 : 0.05 }), ...recipe }).fit({ train: data.train }, { chunkMs: 0.05, evaluateEvery: 'never', signal: stopping.signal, ...augment });
    for await (const event of run) if (event.type === 'progress' && event.epoch >= 3 && event.samples > 100) stopping.abort();
    expect((await run.result).aborted).toBe(true);
    await model.save(path, { state: true });
    const again = await Model.load(path);
    await new Trainer(again, { epochs: 6, optimizer: sgd({ lr: (recipe.batch ?? 1) > 1 ? 0.2 : 0.05 }), ...recipe }).fit({ train: data.train }, { resume: true, evaluateEvery: 'never', ...augment });
    expect(again.weightHash()).toBe(whole.hash);
  });

  it('refuses what cannot be', async () => {
    await expect(train({ revisit: 65 })).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE' });
    await expect(train({ policy: randomSkip({ rate: 0 }) })).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE' });
    await expect(train({ policy: selectiveBackprop({ history: 70000 }) })).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE' });
    await expect(train({ policy: steered({ tau: 0 }) })).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE' });
    await expect(train({ policy: selectiveBackprop({ stale: 2 }) }, { record: join(folder, 'no.tpl') })).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE' });
  });
});
