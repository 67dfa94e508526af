// SPDX-License-Identifier: Apache-2.0
// Threads and instruction sets change how long it takes and nothing else.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { describe as describeCore } from '../../lib/describe';
import { conv2d, dense, depthwiseConv2d, flatten, relu } from '../../lib/layers';
import { Model } from '../../lib/model';
import { momentum, sgd } from '../../lib/optimizer';
import { densePolicy, full, tinyPropV2 } from '../../lib/policy';
import type { RecipeOptions } from '../../lib/recipe';
import { Trainer } from '../../lib/trainer';
import { failure, toyData } from './toy';

/** Large enough that a batch is worth more than one thread (200,000 multiply-accumulates each). */
const wide = (): Model => Model.sequential({ input: [144], layers: [dense(256), relu(), dense(64), relu(), dense(4)] });
const images = (): Model =>
  Model.sequential({
    input: [12, 12, 1],
    layers: [conv2d({ units: 16, kernel: 3, padding: 'same' }), relu(), depthwiseConv2d({ kernel: 3, padding: 'same' }), relu(), conv2d({ units: 12, kernel: 3, stride: 2 }), flatten(), dense(4)],
  });
const data = toyData(300, { size: 144 });
const maps = { ...data, inputShape: [12, 12, 1] };

describe('threads', () => {
  const recipes: [string, RecipeOptions][] = [
    ['full, batch 32', { policy: full(), batch: 32, optimizer: sgd({ lr: 0.2 }) }],
    ['dense, batch 8', { policy: densePolicy(), batch: 8, optimizer: sgd({ lr: 0.1 }) }],
    ['tinyPropV2, batch 20, momentum', { policy: tinyPropV2(), batch: 20, optimizer: momentum({ lr: 0.1 }) }],
    ['tinyPropV2, batch 1', { policy: tinyPropV2(), optimizer: sgd({ lr: 0.02 }) }],
  ];
  for (const [kind, make, train] of [['dense layers', wide, data], ['convolutions', images, maps]] as const) {
    it.each(recipes)(`any number gives the same bits: ${kind}, %s`, async (_, recipe) => {
      const seen = new Set<string>();
      for (const threads of [1, 2, 5]) {
        const model = make();
        model.threads = threads;
        const result = await new Trainer(model, recipe).fit({ train, test: train }, { epochs: 2 });
        const outputs = (await model.predict(train.x)).outputs;
        seen.add(JSON.stringify([model.weightHash(), result.accuracy, result.loss, result.totals, Array.from(outputs.subarray(0, 40))]));
        expect(model.threads).toBe(threads);
        model.close();
      }
      expect([...seen]).toHaveLength(1);
    });
  }

  it('may change between two halves of a run', async () => {
    const recipe: RecipeOptions = { policy: tinyPropV2(), batch: 16, optimizer: momentum({ lr: 0.1 }), seed: 3 };
    const whole = wide();
    await new Trainer(whole, recipe).fit({ train: data }, { epochs: 4 });
    const halves = wide();
    const controller = new AbortController();
    const run = new Trainer(halves, recipe).fit({ train: data }, { epochs: 4, signal: controller.signal, chunkMs: 0.05 });
    for await (const event of run) if (event.type === 'epoch' && event.epoch === 2) controller.abort();
    halves.threads = 3;
    await new Trainer(halves, recipe).fit({ train: data }, { epochs: 4, resume: true });
    expect(halves.weightHash()).toBe(whole.weightHash());
  });

  it('refuses what is not a number of threads, and changes during a fit', async () => {
    const model = wide();
    for (const wrong of [0, -1, 1.5, 65, NaN, '2' as unknown as number]) {
      await failure('ERR_TINYPROP_ARG', () => (model.threads = wrong));
    }
    const run = new Trainer(model).fit({ train: data }, { epochs: 1 });
    await failure('ERR_TINYPROP_BUSY', () => (model.threads = 2));
    await run;
    model.threads = 2;
    model.close();
    await failure('ERR_TINYPROP_CLOSED', () => (model.threads = 3));
  });
});

describe('TP_ISA', () => {
  const run = (isa: string): string =>
    execFileSync(process.execPath, ['bin/tinyprop.js', 'info'], { env: { ...process.env, TP_ISA: isa }, encoding: 'utf8', stdio: 'pipe' });

  it('chooses the kernels', () => {
    expect(run('soft')).toMatch(/kernels\s+soft /);
    expect(run('')).toContain(`kernels       ${describeCore().kernels} `);
  });

  it('is refused where this machine has no such kernels', () => {
    expect(() => run('sse9')).toThrow(/TP_ISA "sse9"/);
  });
});
