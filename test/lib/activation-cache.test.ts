// SPDX-License-Identifier: Apache-2.0
// What a frozen lower part gives is remembered: the same bits and counts as without it, less work.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../lib/data/dataset';
import { eif, full, meProp, quantizeModel, randomSkip, replay, selectiveBackprop, tinyPropV2, tinyTrain, type RecipeOptions } from '../../lib/index';
import { add, conv2d, dense, depthwiseConv2d, dropout, flatten, maxPool2d, relu, type LayerSpec } from '../../lib/layers';
import { Model } from '../../lib/model';
import { momentum, sgd } from '../../lib/optimizer';
import { Trainer, type FitOptions, type FitResult } from '../../lib/trainer';
import { failure, toyData } from './toy';

const folder = mkdtempSync(join(tmpdir(), 'tinyprop-cache-'));
afterAll(() => rmSync(folder, { recursive: true }));

const images = (n: number, seed: number): Dataset => ({ ...toyData(n, { size: 64, seed }), inputShape: [8, 8, 1] });
const train = images(300, 1);
const test = images(100, 2);

/** Frozen up to `pool`, in front of the last two layers: 8 x 8 x (4 x 9 + 4 x 9) multiply-accumulates give 64 numbers. */
function convolutional(): Model {
  const model = Model.sequential({
    input: [8, 8, 1],
    layers: [
      conv2d({ name: 'c1', units: 4, kernel: 3, padding: 'same' }),
      relu(),
      depthwiseConv2d({ name: 'c2', kernel: 3, padding: 'same' }),
      relu(),
      maxPool2d({ name: 'pool', kernel: 2 }),
      flatten({ name: 'flat' }),
      dropout(0.1),
      dense(12),
      relu(),
      dense(4),
    ],
  });
  model.freeze({ allButLast: 2 });
  return model;
}
const frozenMacs = 8 * 8 * (4 * 9 + 4 * 9);

async function fit(model: Model, recipe: RecipeOptions, options: FitOptions): Promise<{ bytes: Uint8Array; result: FitResult }> {
  const result = await new Trainer(model, { optimizer: sgd({ lr: 0.05 }), ...recipe }).fit({ train, test }, { epochs: 4, ...options });
  return { bytes: model.toBytes({ state: true }), result };
}

/** All that a fit tells but times and the cache. */
const told = ({ history, totals, accuracy, loss, effortTotal, effortBackward }: FitResult): unknown => {
  const rounded = (value: number | undefined): string => (value ?? NaN).toPrecision(6); // losses are added up in chunks, at the machine's pace
  const epochs = history.map(({ seconds: _, trainLoss, testLoss, ...rest }) => ({ ...rest, trainLoss: rounded(trainLoss), testLoss: rounded(testLoss) }));
  return { epochs, totals: { ...totals.toJSON(), loss: 0 }, accuracy, loss: rounded(loss), effortTotal, effortBackward };
};

describe('activations of the frozen part', () => {
  it.each([
    ['TinyPropv2', { policy: tinyPropV2() }],
    ['TinyPropv2, batch 8', { policy: tinyPropV2(), batch: 8, optimizer: sgd({ lr: 0.3 }) }],
    ['TinyPropv2, revisit, batch 5', { policy: tinyPropV2(), revisit: 8, batch: 5 }],
    ['full, momentum, batch 4', { policy: full(), batch: 4, optimizer: momentum({ lr: 0.05 }) }],
    ['meProp', { policy: meProp() }],
    ['random', { policy: randomSkip() }],
    ['eif, which looks at samples', { policy: eif() }],
    ['selective, stale', { policy: selectiveBackprop({ stale: 2 }) }],
    ['tinyTrain', { policy: tinyTrain() }],
  ] as [string, RecipeOptions][])('changes no bit: %s', async (_, recipe) => {
    const without = await fit(convolutional(), recipe, { cacheBytes: 0 });
    const cached = await fit(convolutional(), recipe, {});
    expect(without.result.cache).toBeNull();
    expect(Buffer.compare(cached.bytes, without.bytes)).toBe(0);
    expect(told(cached.result)).toEqual(told(without.result));
    const { samples } = cached.result.totals;
    const { cache } = cached.result;
    expect(cache).toMatchObject({ node: 'flat', bytes: 400 * (64 * 4 + 1) });
    expect(cache!.macsSaved).toBe((samples - train.n) * frozenMacs);
    expect(cache!.share).toBeCloseTo(cache!.macsSaved / cached.result.totals.macsForward, 12);
  });

  it('computes a sample once', async () => {
    const { result } = await fit(convolutional(), { policy: full(), batch: 7 }, { evaluateEvery: 'never' });
    expect(result.cache).toEqual({ node: 'flat', bytes: 300 * 257, macsSaved: 3 * 300 * frozenMacs, share: expect.closeTo((0.75 * 300 * frozenMacs) / (300 * (frozenMacs + 64 * 12 + 48)), 12) as number });
  });

  it('holds as many samples as the limit has room for', async () => {
    const without = await fit(convolutional(), { batch: 3 }, { cacheBytes: 0 });
    const some = await fit(convolutional(), { batch: 3 }, { cacheBytes: 100 * 257 + 256 });
    expect(Buffer.compare(some.bytes, without.bytes)).toBe(0);
    expect(some.result.cache).toMatchObject({ bytes: 100 * 257, macsSaved: 3 * 100 * frozenMacs });
    expect((await fit(convolutional(), {}, { cacheBytes: 256 })).result.cache).toBeNull();
  });

  it('works with threads, and between stops', async () => {
    const recipe: RecipeOptions = { batch: 4, policy: tinyPropV2(), optimizer: sgd({ lr: 0.1 }) };
    const whole = await fit(convolutional(), recipe, { cacheBytes: 0 });
    let model = convolutional();
    model.threads = 2;
    let result: FitResult | null = null;
    for (let round = 0; result?.aborted !== false; round++) {
      const abort = new AbortController();
      const run = new Trainer(model, recipe).fit({ train, test }, { epochs: 4, chunkMs: 0.02, signal: abort.signal, resume: round > 0 });
      let seen = 0;
      for await (const event of run) if (event.type === 'progress' && ++seen > 10 + round * 5) abort.abort();
      result = await run;
      model = Model.fromBytes(model.toBytes({ state: true }));
    }
    expect(model.weightHash()).toBe(Model.fromBytes(whole.bytes).weightHash());
    expect(Buffer.compare(model.toBytes({ state: true }), whole.bytes)).toBe(0);
  });

  it('serves int8 models, a byte a number', async () => {
    const float = convolutional();
    const { model } = await quantizeModel(float, train);
    model.freeze({ allButLast: 1 });
    const start = model.toBytes();
    const runs = await Promise.all([0, 2 ** 20].map((cacheBytes) => fit(Model.fromBytes(start), { policy: full() }, { cacheBytes })));
    expect(Buffer.compare(runs[0]!.bytes, runs[1]!.bytes)).toBe(0);
    expect(runs[1]!.result.cache).toMatchObject({ bytes: 400 * 13 });
  });

  it('is logged and replayed as without it', async () => {
    const model = convolutional();
    const start = model.toBytes();
    const record = join(folder, 'log.tpl');
    await new Trainer(model, { policy: tinyPropV2() }).fit({ train }, { epochs: 2, record });
    expect(await replay(record, start, { data: train })).toMatchObject({ identical: true });
  });

  it('is not there where nothing is the same again', async () => {
    const none = async (model: Model, options: FitOptions): Promise<void> => {
      expect((await fit(model, {}, options)).result.cache).toBeNull();
    };
    await none(convolutional(), { epochs: 1 });
    await none(convolutional(), { augment: { noise: 0.1 } });
    await none(Model.fromJSON({ ...convolutional().toJSON(), nodes: convolutional().toJSON().nodes.map(({ frozen: __, ...node }) => node) }), {});
    const early = Model.sequential({ input: [8, 8, 1], layers: [flatten(), dropout(0.1), dense(8), relu(), dense(4)] });
    early.freeze({ allButLast: 1 });
    await none(early, {});
  });

  it('ends where a skip connection begins', async () => {
    const conv = (): LayerSpec => conv2d({ units: 4, kernel: 3, padding: 'same' });
    const model = Model.graph([8, 8, 1], (g, x) => {
      const below = g.add(relu({ name: 'r1' }), g.add(conv(), x));
      const block = g.add(conv(), g.add(relu(), g.add(conv(), below)));
      return g.add(dense(4), g.add(flatten(), g.add(add(), below, block)));
    });
    model.freeze({ allButLast: 2 });
    const start = model.toBytes();
    const without = await fit(Model.fromBytes(start), {}, { cacheBytes: 0 });
    const cached = await fit(Model.fromBytes(start), {}, {});
    expect(cached.result.cache).toMatchObject({ node: 'r1' });
    expect(Buffer.compare(cached.bytes, without.bytes)).toBe(0);
  });

  it('names what is wrong', async () => {
    for (const cacheBytes of [-1, 0.5, NaN]) {
      const { message } = await failure('ERR_TINYPROP_ARG', () => new Trainer(convolutional()).fit({ train }, { epochs: 2, cacheBytes }).result);
      expect(message).toContain('cacheBytes');
    }
    const bad = { ...train, x: Float32Array.from(train.x) };
    bad.x[64 * 17 + 3] = NaN;
    const { message, details } = await failure('ERR_TINYPROP_DATA', () => new Trainer(convolutional()).fit({ train: bad }, { epochs: 2 }).result);
    expect(message).toContain('sample 17');
    expect(details).toMatchObject({ samples: [17] });
  });
});
