// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { addon } from '../../lib/addon';
import { dense } from '../../lib/layers';
import { Model } from '../../lib/model';
import { momentum, sgd } from '../../lib/optimizer';
import { densePolicy, full, meProp, tinyProp, tinyPropV2 } from '../../lib/policy';
import { describeRecipe, nativeRecipe, recipeDifferences, type RecipeOptions } from '../../lib/recipe';
import { constant, cosine, step } from '../../lib/schedule';
import { failure } from './toy';

const run = { epochs: 10, batchesPerEpoch: 100 };
const named = (options: RecipeOptions, length: typeof run | null = run): Record<string, unknown> => describeRecipe(nativeRecipe(options, length));

describe('recipes', () => {
  it('default to the core', () => {
    expect(nativeRecipe({}, null)).toEqual({ ...addon().recipeDefault(), lr: 0.01 });
    expect(Math.fround(0.01)).toBe(addon().recipeDefault().lr);
    expect(named({})).toMatchObject({ policy: 'tinypropv2', optimizer: 'sgd', batch: 1, seed: 1, scheduleKind: 'constant', ymaxMode: 'decay', outputDense: true, select: 'auto' });
  });

  it('carry every parameter of a policy', () => {
    const policy = tinyPropV2({ preset: 'paper', sMin: 0.2, sMax: 0.8, zeta: 0.5, ymax: { decay: 0.9 }, outputDense: true, select: 'channel', tau: 0.3, beta: 2, dMin: 0.1, dMax: 0.9, alpha: { fixed: 3 } });
    expect(named({ policy })).toMatchObject({
      sMin: 0.2, sMax: 0.8, zeta: 0.5, ymaxMode: 'decay', ymaxDecay: 0.9, outputDense: true, select: 'channel', tau: 0.3, beta: 2, dMin: 0.1, dMax: 0.9, alphaMode: 'fixed', alphaFixed: 3,
    });
    expect(named({ policy: tinyProp({ preset: 'paper' }) })).toMatchObject({ policy: 'tinyprop', sMin: 0, sMax: 1, zeta: 1, ymaxMode: 'running', outputDense: false });
    expect(named({ policy: tinyPropV2({ preset: 'paper' }) }).tau).toBe(0.5);
    expect(named({ policy: tinyPropV2({ alpha: 'running', ymax: 'analytic' }) })).toMatchObject({ alphaMode: 'running', ymaxMode: 'analytic' });
    expect(Math.fround(named({ policy: tinyPropV2() }).tau as number)).toBe(Math.fround(0.1));
    expect(named({ policy: meProp() })).toMatchObject({ policy: 'meprop', sMax: 0.1 });
    expect([full(), densePolicy()].map((spec) => named({ policy: spec }).policy)).toEqual(['full', 'dense']);
    expect(named({ optimizer: momentum({ lr: 0.5, mu: 0.8, weightDecay: 0.1 }) })).toMatchObject({ optimizer: 'momentum', lr: 0.5, momentum: 0.8, weightDecay: 0.1 });
  });

  it('convert epochs to batches', () => {
    expect(named({ schedule: cosine() })).toMatchObject({ scheduleKind: 'cosine', scheduleTotal: 1000, scheduleWarmup: 0 });
    expect(named({ schedule: cosine({ warmup: 0.5, total: 5 }) })).toMatchObject({ scheduleTotal: 500, scheduleWarmup: 50 });
    expect(named({ schedule: cosine({ warmup: 7, total: 90, unit: 'batches' }) }, null as never)).toMatchObject({ scheduleTotal: 90, scheduleWarmup: 7 });
    expect(named({ schedule: step({ every: 2, gamma: 0.5 }) })).toMatchObject({ scheduleKind: 'step', scheduleEvery: 200, scheduleGamma: 0.5 });
    expect(named({ schedule: constant({ warmup: 1 }) })).toMatchObject({ scheduleKind: 'constant', scheduleWarmup: 100 });
  });

  it.each([
    [{ optimizer: sgd({ lr: 0 }) }, 'optimizer.lr: expected a number above 0, found 0'],
    [{ optimizer: sgd({ lr: NaN }) }, 'optimizer.lr'],
    [{ optimizer: momentum({ mu: 1 }) }, 'optimizer.mu'],
    [{ optimizer: sgd({ weightDecay: -1 }) }, 'optimizer.weightDecay'],
    [{ batch: 0 }, 'batch: expected an integer of at least 1, found 0'],
    [{ batch: 1.5 }, 'batch'],
    [{ seed: -1 }, 'seed'],
    [{ seed: 2 ** 53 }, 'seed'],
    [{ policy: meProp({ s: 0 }) }, 'policy.sMax'],
    [{ policy: meProp({ s: 1.5 }) }, 'policy.sMax'],
    [{ policy: tinyProp({ sMin: 0.9, sMax: 0.5 }) }, 'policy.sMin: expected a share from 0 to sMax'],
    [{ policy: tinyProp({ zeta: 0 }) }, 'policy.zeta'],
    [{ policy: tinyProp({ ymax: { decay: 2 } }) }, 'policy.ymax.decay'],
    [{ policy: tinyProp({ ymax: { fixed: 0 } }) }, 'policy.ymax.fixed'],
    [{ policy: tinyProp({ ymax: {} as never }) }, 'policy.ymax: expected a mode'],
    [{ policy: tinyPropV2({ tau: 1 }) }, 'no sample would ever be trained: theta'],
    [{ policy: tinyPropV2({ tau: NaN }) }, 'policy.tau'],
    [{ policy: tinyPropV2({ beta: 0 }) }, 'policy.beta'],
    [{ policy: tinyPropV2({ dMin: 1 }) }, 'policy.dMax'],
    [{ policy: { ...full(), params: { s: 1 } as never } }, 'a known parameter, found s'],
    [{ policy: { ...full(), policy: 'other' as never } }, 'policy: expected a policy of describe()'],
    [{ schedule: step({ every: 0 }) }, 'schedule.every'],
    [{ schedule: step({ every: 1, gamma: 0 }) }, 'schedule.gamma'],
    [{ schedule: cosine({ warmup: 11 }) }, 'schedule.warmup: expected at most 1000 batches'],
    [{ schedule: constant({ warmup: -1 }) }, 'schedule.warmup'],
  ] as [RecipeOptions, string][])('refuse %j', async (options, message) => {
    expect((await failure('ERR_TINYPROP_RECIPE', () => nativeRecipe(options, run))).message).toContain(message);
  });

  it('need batches where epochs are unknown', async () => {
    expect((await failure('ERR_TINYPROP_RECIPE', () => nativeRecipe({ schedule: cosine() }, null))).message).toContain('give cosine() a total');
    expect((await failure('ERR_TINYPROP_RECIPE', () => nativeRecipe({ schedule: constant({ warmup: 1 }) }, null))).message).toContain("unit: 'batches'");
  });

  it('tell in what they differ', () => {
    const a = nativeRecipe({}, run);
    expect(recipeDifferences(a, { ...a, lr: Math.fround(a.lr) })).toEqual([]);
    expect(recipeDifferences(a, nativeRecipe({ policy: full(), seed: 2 }, run))).toEqual(['policy: tinypropv2, not full', 'seed: 1, not 2']);
  });
});

describe('numerics', () => {
  it('is ieee unless flush is asked for, and then trains with denormals as zero', async () => {
    expect(nativeRecipe({}, null).numerics).toBe(0);
    expect(nativeRecipe({ numerics: 'flush' }, null).numerics).toBe(1);
    await failure('ERR_TINYPROP_RECIPE', () => nativeRecipe({ numerics: 'fast' as never }, null));
    const tiny = (numerics: 'ieee' | 'flush'): string => {
      const model = Model.sequential({ input: [4], loss: 'mse', layers: [dense(3)] });
      model.configure({ policy: full(), optimizer: sgd({ lr: 1 }), numerics });
      model.setTensor(model.tensors()[0]!.name, new Float32Array(12).fill(1e-25));
      // the output error is about 1e-22, the gradient 1e-40: a denormal, lost beside 1e-25 but not in the bias of 0
      model.step(new Float32Array(4).fill(1e-15), new Float32Array(3).fill(1e-39));
      return model.weightHash();
    };
    expect(tiny('flush')).not.toBe(tiny('ieee'));
    expect(1.1e-308 / 2).toBeGreaterThan(0);
  });
});
