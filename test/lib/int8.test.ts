// SPDX-License-Identifier: Apache-2.0
// Int8 models as users train them: on digits, with every rounding, saved, resumed and planned.
import { describe, expect, it } from 'vitest';
import { clampS8, conv2dS8, dense, denseS8, dequantize, flatten, full, loadData, maxPool2dS8, Model, momentum, quantize, sgd, softmaxS8, tinyPropV2, Trainer, type Dataset, type RecipeOptions } from '../../lib/index';
import { failure } from './toy';

const { train, test } = (await loadData('digits')) as { train: Dataset; test: Dataset };

/** Scales by hand; `quantizeModel` and .tflite files bring them from data. */
function digitsNet(frozen = false): Model {
  return Model.sequential({
    input: [8, 8, 1],
    layers: [
      quantize({ scale: 1 / 128, zero: -64 }),
      conv2dS8({ name: 'conv', units: 8, kernel: 3, padding: 'same', scale: 0.03, zero: -60, frozen }),
      clampS8(),
      maxPool2dS8({ kernel: 2 }),
      flatten(),
      denseS8(32, { name: 'hidden', scale: 0.05, zero: -20 }),
      clampS8(),
      denseS8(10, { name: 'out', scale: 0.15, zero: 0 }),
      dequantize(),
    ],
  });
}

async function trained(recipe: RecipeOptions, epochs: number): Promise<{ model: Model; accuracy: number }> {
  const model = digitsNet();
  await new Trainer(model, { optimizer: sgd({ lr: 0.02 }), ...recipe }).fit({ train }, { epochs });
  const { accuracy } = await model.evaluate(test);
  return { model, accuracy: accuracy as number };
}

describe('int8 training', () => {
  it.each([
    ['stochastic, every row', { policy: full() }],
    ['stochastic, TinyPropv2', { policy: tinyPropV2() }],
    ['residual', { policy: tinyPropV2(), int8: { rounding: 'residual' } }],
    ['fraction', { policy: tinyPropV2(), int8: { rounding: 'fraction' } }],
    ['batches', { policy: tinyPropV2(), batch: 8, optimizer: sgd({ lr: 0.08 }) }],
  ] as const)('learns digits: %s', async (_, recipe) => {
    const { model, accuracy } = await trained(recipe, 6);
    expect(accuracy).toBeGreaterThan(0.95);
    model.close();
  });

  it('fails to learn by the plain gradient of the quantised weights', async () => {
    const { model, accuracy } = await trained({ policy: full(), int8: { scaled: false } }, 3);
    expect(accuracy).toBeLessThan(0.5);
    model.close();
  });

  it.each(['residual', 'fraction'] as const)('ends with the same bits when it is saved and resumed: %s', async (rounding) => {
    const recipe: RecipeOptions = { policy: tinyPropV2(), optimizer: sgd({ lr: 0.02 }), int8: { rounding } };
    const whole = digitsNet();
    whole.configure(recipe);
    const step = (model: Model, n: number): void => void model.step(test.x.subarray(n * 64, n * 64 + 64), (test.labels as Uint32Array)[n] as number);
    for (let n = 0; n < 60; n++) step(whole, n);
    const parts = digitsNet();
    parts.configure(recipe);
    for (let n = 0; n < 25; n++) step(parts, n);
    const again = Model.fromBytes(parts.toBytes({ state: true }));
    for (let n = 25; n < 60; n++) step(again, n);
    expect(again.weightHash()).toBe(whole.weightHash());
    expect(again.toJSON()).toEqual(whole.toJSON());
  });
});

describe('int8 tensors', () => {
  it('have types of their own', async () => {
    const model = digitsNet();
    expect(model.tensors().slice(0, 4)).toEqual([
      { name: 'conv.weight', dtype: 's8', shape: [8, 3, 3, 1], size: 72 },
      { name: 'conv.bias', dtype: 's32', shape: [8], size: 8 },
      { name: 'conv.scale', dtype: 'f32', shape: [8], size: 8 },
      { name: 'conv.requant', dtype: 's32', shape: [2, 8], size: 16 },
    ]);
    const weights = model.getTensorData('conv.weight');
    expect(weights).toBeInstanceOf(Int8Array);
    model.setTensor('conv.weight', weights.map((w) => -w) as Int8Array);
    expect(model.getTensorData('conv.weight')).toEqual(weights.map((w) => (w === 0 ? 0 : -w)));
    await failure('ERR_TINYPROP_ARG', () => model.getTensor('conv.weight'));
    expect((await failure('ERR_TINYPROP_ARG', () => model.setTensor('conv.weight', new Float32Array(72)))).message).toContain('Int8Array');
    await failure('ERR_TINYPROP_DATA', () => model.setTensor('conv.scale', new Float32Array(8)));
    await failure('ERR_TINYPROP_DATA', () => model.setTensor('conv.requant', new Int32Array(16).fill(40)));
    expect(model.getTensor('conv.scale')[0]).toBeGreaterThan(0);
  });
});

describe('int8 plans', () => {
  it('leave frozen parameters in flash where asked to', () => {
    const model = digitsNet(true);
    const [all, some] = [model.plan(), model.plan({ frozenInFlash: true })];
    expect(some.training?.params).toBe((all.training?.params as number) - 64 * Math.ceil(72 / 64) - 3 * 64);
    expect(some.inference.params).toBe(0);
    expect(all.inference.acts).toBeLessThan(8 * 8 * 8 + 64 + 512 + 128); // bytes, not floats
  });
});

describe('int8 models that cannot be', () => {
  it.each([
    ['an int8 output', () => Model.sequential({ input: [4], layers: [quantize({ scale: 1, zero: 0 }), denseS8(2, { scale: 1, zero: 0 })] }), 'ERR_TINYPROP_MODEL'],
    ['floats behind int8', () => Model.sequential({ input: [4], layers: [quantize({ scale: 1, zero: 0 }), dense(2)] }), 'ERR_TINYPROP_MODEL'],
    ['no scale', () => Model.sequential({ input: [4], layers: [quantize({ zero: 0 } as never), dequantize()] }), 'ERR_TINYPROP_MODEL'],
    ['a zero of 200', () => Model.sequential({ input: [4], layers: [quantize({ scale: 1, zero: 200 }), dequantize()] }), 'ERR_TINYPROP_MODEL'],
    ['momentum', () => digitsNet().configure({ optimizer: momentum() }), 'ERR_TINYPROP_RECIPE'],
    ['an unknown rounding', () => digitsNet().configure({ int8: { rounding: 'up' as never } }), 'ERR_TINYPROP_RECIPE'],
    [
      'training through a fixed-point softmax',
      () => Model.sequential({ input: [4], layers: [quantize({ scale: 1, zero: 0 }), denseS8(2, { scale: 1, zero: 0 }), softmaxS8(), dequantize()] }).configure({}),
      'ERR_TINYPROP_MODEL',
    ],
  ] as const)('%s', async (_, make, code) => {
    await failure(code, make as () => unknown);
  });
});
