// SPDX-License-Identifier: Apache-2.0
import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { parseAugment } from '../../../lib/cli/data-source';
import { bytesFlag, freezeFlag, integerFlag, listFlag, numberFlag, shapeFlag } from '../../../lib/cli/flags';
import { checkPolicyFlags, describeFlags, policyNames, policyOf, type RecipeFlags, recipeOf } from '../../../lib/cli/recipe';
import { TinypropError } from '../../../lib/errors';

const base: RecipeFlags = { epochs: 10, batch: 1, lr: 0.01, schedule: 'cosine', warmup: 0, momentum: 0, weightDecay: 0 };

describe('flag parsers', () => {
  it.each([
    ['65536', 65536],
    ['64K', 65536],
    ['64k', 65536],
    ['64KiB', 65536],
    ['64KB', 65536],
    ['1.5M', 1572864],
    ['100B', 100],
    ['1G', 2 ** 30],
  ])('size %s is %i bytes', (text, value) => expect(bytesFlag(text)).toBe(value));

  it.each(['', 'K', '-1K', '0', '1X', '1e3', '1 000'])('size "%s" is refused', (text) => {
    expect(() => bytesFlag(text)).toThrow(InvalidArgumentError);
  });

  it('reads shapes of one to three extents', () => {
    expect(shapeFlag('784')).toEqual([784]);
    expect(shapeFlag('28x28x1')).toEqual([28, 28, 1]);
    for (const text of ['', '0', '1x2x3x4', '28x', '2.5', 'axb']) expect(() => shapeFlag(text)).toThrow(InvalidArgumentError);
  });

  it('reads what to freeze', () => {
    expect(freezeFlag('fc1,fc2')).toEqual(['fc1', 'fc2']);
    expect(freezeFlag('all-but-last:2')).toEqual({ allButLast: 2 });
    for (const text of ['', 'fc1,,fc2', 'all-but-last', 'all-but-last:0', 'all-but-last:x']) expect(() => freezeFlag(text)).toThrow(InvalidArgumentError);
  });

  it('refuses text, infinity and values out of range as numbers', () => {
    const positive = numberFlag('a number above 0', (v) => v > 0);
    expect(positive('1e-3')).toBe(0.001);
    for (const text of ['', ' ', 'abc', '1x', 'Infinity', 'NaN', '0', '-1']) expect(() => positive(text)).toThrow(/a number above 0/);
    expect(() => integerFlag(1)('1.5')).toThrow(/integer of at least 1/);
    expect(() => listFlag('names', ['a', 'b'])('a,c')).toThrow(/"c"/);
    expect(() => listFlag('names')('a,a')).toThrow(/repeated/);
  });

  it('reads augmentation', () => {
    expect(parseAugment('flip,shift:2,crop:0.8,noise:.05')).toEqual({ flip: true, shift: 2, crop: 0.8, noise: 0.05 });
    for (const text of ['', 'flip:1', 'shift', 'shift:', 'shift:a', 'spin:3', 'flip,flip', 'shift:1:2']) {
      expect(() => parseAugment(text)).toThrow(TinypropError);
    }
  });
});

describe('policyOf', () => {
  it('builds every policy with only what was given', () => {
    expect(policyNames.map((name) => policyOf(name, {})).map(({ chooser, ...spec }) => ({ ...spec, ...(chooser && { chooser: chooser.method }) }))).toEqual([
      { policy: 'dense', preset: 'accurate', params: {} },
      { policy: 'full', preset: 'accurate', params: {} },
      { policy: 'meprop', preset: 'accurate', params: { sMax: 0.1 } },
      { policy: 'tinyprop', preset: 'accurate', params: {} },
      { policy: 'tinypropv2', preset: 'accurate', params: {} },
      { policy: 'random', preset: 'accurate', params: {} },
      { policy: 'selective', preset: 'accurate', params: {} },
      { policy: 'steered', preset: 'accurate', params: {} },
      { policy: 'emp', preset: 'accurate', params: { sMax: 0.1 } },
      { policy: 'eif', preset: 'accurate', params: {} },
      ...['sparseUpdate', 'tinyTrain', 'velocity'].map((chooser) => ({ policy: 'masked', preset: 'accurate', params: {}, chooser })),
    ]);
  });

  it('passes parameters on', () => {
    const spec = policyOf('tinypropv2', { preset: 'paper', sMin: 0.05, sMax: 0.9, zeta: 0.9, ymax: 'decay:0.99', tau: 0.25, beta: 2, dMin: 0, dMax: 1, alpha: 'fixed:2', select: 'channel', outputDense: false });
    expect(spec).toEqual({
      policy: 'tinypropv2',
      preset: 'paper',
      params: { sMin: 0.05, sMax: 0.9, zeta: 0.9, ymax: { decay: 0.99 }, tau: 0.25, beta: 2, dMin: 0, dMax: 1, alpha: { fixed: 2 }, select: 'channel', outputDense: false },
    });
  });

  it.each(['', 'decay', 'decay:', 'decay:0', 'decay:1.1', 'fixed:-1', 'fixed:x', 'auto'])('refuses --ymax "%s"', (ymax) => {
    expect(() => policyOf('tinyprop', { ymax })).toThrow(/--ymax/);
  });

  it('lists the valid names for an unknown one', () => {
    expect(() => policyOf('tinyprop3', {})).toThrow(/unknown policy "tinyprop3"; valid: dense, full, meprop, tinyprop, tinypropv2/);
  });
});

describe('checkPolicyFlags', () => {
  it('says what a policy has', () => {
    expect(() => checkPolicyFlags(['tinyprop'], { tau: 0.1 })).toThrow('--tau: policy tinyprop has --preset, --s-min, --s-max, --zeta, --ymax, --select, --output-dense');
    expect(() => checkPolicyFlags(['full'], { sMin: 0.1, select: 'auto' })).toThrow('--s-min, --select: policy full has no parameters');
    expect(() => checkPolicyFlags(['meprop'], { preset: 'paper' })).toThrow('policy meprop has --s, --select');
  });

  it('accepts a parameter that one of several methods has', () => {
    expect(() => checkPolicyFlags(['full', 'tinypropv2'], { tau: 0.1 })).not.toThrow();
    expect(() => checkPolicyFlags(['full', 'dense'], { tau: 0.1 })).toThrow('policies full, dense have no parameters');
  });
});

describe('recipeOf', () => {
  it('is the documented default', () => {
    expect(recipeOf('tinypropv2', base, 1)).toEqual({
      policy: { policy: 'tinypropv2', preset: 'accurate', params: {} },
      optimizer: { optimizer: 'sgd', lr: 0.01, mu: 0, weightDecay: 0 },
      schedule: { schedule: 'cosine', unit: 'epochs', warmup: 0 },
      batch: 1,
      seed: 1,
      epochs: 10,
    });
  });

  it('takes momentum and the step schedule', () => {
    const recipe = recipeOf('full', { ...base, momentum: 0.9, weightDecay: 1e-4, schedule: 'step', stepEvery: 3, stepGamma: 0.5 }, 2);
    expect(recipe.optimizer).toEqual({ optimizer: 'momentum', lr: 0.01, mu: 0.9, weightDecay: 1e-4 });
    expect(recipe.schedule).toEqual({ schedule: 'step', unit: 'epochs', warmup: 0, every: 3, gamma: 0.5 });
  });

  it('refuses flags of another schedule', () => {
    expect(() => recipeOf('full', { ...base, stepEvery: 3 }, 1)).toThrow(/--schedule step, not to cosine/);
    expect(() => recipeOf('full', { ...base, schedule: 'step' }, 1)).toThrow(/--step-every/);
  });

  it('is described in words', () => {
    expect(describeFlags({ ...base, epochs: 1, tau: 0.2, momentum: 0.9 })).toBe('1 epoch, batch 1, learning rate 0.01 (cosine), momentum 0.9, tau 0.2');
  });
});
