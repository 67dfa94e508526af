// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../lib/data/dataset';
import { conv2d, dense, dropout, flatten, relu } from '../../lib/layers';
import { Model } from '../../lib/model';
import { momentum, sgd } from '../../lib/optimizer';
import { full, meProp, tinyProp, tinyPropV2 } from '../../lib/policy';
import { constant, cosine, step } from '../../lib/schedule';
import { Trainer, type EpochEvent, type FitEvent, type FitOptions, type FitRun, type ProgressEvent } from '../../lib/trainer';
import type { RecipeOptions } from '../../lib/recipe';
import { failure, toyData, toyModel } from './toy';

const train = toyData(1500);
const test = toyData(400, { seed: 2 });
const folder = mkdtempSync(join(tmpdir(), 'tinyprop-trainer-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** An image-like set for models with convolutions and augmentation. */
const images: Dataset = { ...toyData(600, { size: 36 }), inputShape: [6, 6, 1] };
const imageModel = (): Model =>
  Model.sequential({ input: [6, 6, 1], layers: [conv2d({ units: 4, kernel: 3, padding: 'same' }), relu(), flatten(), dropout(0.2), dense(16), relu(), dense(4)] });

async function events(run: FitRun): Promise<FitEvent[]> {
  const all: FitEvent[] = [];
  for await (const event of run) all.push(event);
  return all;
}

describe('fit', () => {
  it('learns', async () => {
    const model = toyModel();
    const result = await new Trainer(model).fit({ train, test }, { epochs: 5 });
    expect(result.accuracy).toBeGreaterThan(0.95);
    expect(result).toMatchObject({ epochs: 5, aborted: false, warnings: [] });
    expect(result.history.map((event) => event.epoch)).toEqual([1, 2, 3, 4, 5]);
    expect(result.totals.samples).toBe(7500);
    expect(result.effortBackward).toBeGreaterThan(0);
    expect(result.effortBackward).toBeLessThan(0.6);
    expect(result.effortTotal).toBeGreaterThan(result.effortBackward);
    expect(result.rowsWorked).toBeLessThanOrEqual(result.effortBackward);
    const evaluation = await model.evaluate(test);
    expect(evaluation).toMatchObject({ accuracy: result.accuracy, loss: result.loss, n: 400 });
    const sum = evaluation.confusion!.reduce((total, row, i) => total + row[i]!, 0);
    expect(sum / 400).toBe(result.accuracy);
  });

  it.each([
    ['full, batch 1', { policy: full(), optimizer: sgd({ lr: 0.05 }) }],
    ['full, batch 7, momentum', { policy: full(), batch: 7, optimizer: momentum({ lr: 0.1, weightDecay: 1e-4 }) }],
    ['meProp', { policy: meProp({ s: 0.3 }) }],
    ['tinyProp, batch 16', { policy: tinyProp(), batch: 16, optimizer: sgd({ lr: 0.3 }) }],
    ['tinyPropV2 paper, step schedule', { policy: tinyPropV2({ preset: 'paper' }), schedule: step({ every: 2, gamma: 0.5, warmup: 0.5 }) }],
  ] as [string, RecipeOptions][])('gives the same bits whatever the chunks: %s', async (_, recipe) => {
    const hashes = new Set<string>();
    for (const chunkMs of [0.05, 50]) {
      const model = toyModel();
      const result = await new Trainer(model, recipe).fit({ train }, { epochs: 3, chunkMs });
      expect(result.accuracy).toBeGreaterThan(0.6);
      hashes.add(model.weightHash());
    }
    expect(hashes.size).toBe(1);
  });

  it('depends on the seed', async () => {
    const hashes = new Set<string>();
    for (const seed of [1, 2, 1]) {
      const model = toyModel();
      await new Trainer(model, { seed }).fit({ train }, { epochs: 1 });
      hashes.add(model.weightHash());
    }
    expect(hashes.size).toBe(2);
  });

  it('does the dense work with the policy full and the same bits as dense', async () => {
    const model = toyModel();
    const result = await new Trainer(model, { policy: full() }).fit({ train }, { epochs: 1 });
    expect(result.effortBackward).toBe(1);
    expect(result.effortTotal).toBe(1);
    expect(result.trainedFraction).toBe(1);
    expect(result.rowsWorked).toBeLessThan(1);
  });

  it('continues from trained weights when called again', async () => {
    const model = toyModel();
    const first = await new Trainer(model).fit({ train, test }, { epochs: 3 });
    const second = await new Trainer(model).fit({ train, test }, { epochs: 1 });
    expect(second.history[0]!.trainLoss).toBeLessThan(first.history[0]!.trainLoss / 2);
  });

  it('trains bce and mse on targets, labels and inputs', async () => {
    const binary = toyData(600, { classes: 2 });
    const one = Model.sequential({ input: [12], loss: 'bce', layers: [dense(8), relu(), dense(1)] });
    const bce = await new Trainer(one).fit({ train: binary, test: binary }, { epochs: 5 });
    expect(bce.accuracy).toBeGreaterThan(0.95);
    expect((await one.evaluate(binary)).confusion!.map((row) => row.length)).toEqual([2, 2]);
    const coder = Model.sequential({ input: [12], loss: 'mse', layers: [dense(6), relu(), dense(12)] });
    const mse = await new Trainer(coder, { optimizer: sgd({ lr: 0.1 }) }).fit({ train: { ...train, labels: undefined as never } }, { epochs: 6 });
    expect(mse.history.at(-1)!.trainLoss).toBeLessThan(mse.history[0]!.trainLoss);
    expect(mse.history.at(-1)!.trainedFraction).toBeGreaterThan(0);
  });
});

describe('events', () => {
  it('come in order, with sums of the epoch', async () => {
    const run = new Trainer(toyModel()).fit({ train, test }, { epochs: 2, chunkMs: 0.2 });
    const all = await events(run);
    const result = await run;
    expect(all.at(-1)).toEqual({ type: 'end', result });
    const epochs = all.filter((event): event is EpochEvent => event.type === 'epoch');
    expect(epochs).toEqual(result.history);
    const progress = all.filter((event): event is ProgressEvent => event.type === 'progress' && event.epoch === 2);
    expect(progress.length).toBeGreaterThan(2);
    const last = progress.at(-1)!;
    expect(last).toMatchObject({ epochs: 2, batch: 1500, batches: 1500, samples: 1500, loss: epochs[1]!.trainLoss, effortTotal: epochs[1]!.effortTotal });
    expect(last.k.length).toBe(3);
    for (const share of last.k) expect(share).toBeLessThanOrEqual(1);
    expect(progress.map((event) => event.samples)).toEqual(progress.map((event) => event.samples).sort((a, b) => a - b));
    expect(last.etaSeconds).toBe(0);
    expect(last.lr).toBe(0);
    expect(progress[0]!.lr).toBeGreaterThan(0);
  });

  it('reach every listener, also a late one', async () => {
    const run = new Trainer(toyModel()).fit({ train }, { epochs: 2 });
    const [first, second] = await Promise.all([events(run), events(run)]);
    const kinds = (list: FitEvent[]): string[] => list.map((event) => event.type).filter((type) => type !== 'progress');
    expect(kinds(first)).toEqual(['epoch', 'epoch', 'end']);
    expect(kinds(second)).toEqual(kinds(first));
    await run;
    expect(kinds(await events(run))).toEqual(kinds(first));
  });

  it('do not pile up when nobody reads them, nor stop training when the reader leaves', async () => {
    const run = new Trainer(toyModel()).fit({ train }, { epochs: 3, chunkMs: 0.1 });
    for await (const event of run) if (event.type === 'progress') break;
    expect((await run).epochs).toBe(3);
    const slow = new Trainer(toyModel()).fit({ train }, { epochs: 2, chunkMs: 0.1 });
    const iterator = slow[Symbol.asyncIterator]();
    const opening = await iterator.next();
    expect(opening.done).toBe(false);
    await slow;
    let unread = 0;
    while (!(await iterator.next()).done) unread++;
    expect(unread).toBeLessThanOrEqual(6);
  });

  it('leave the event loop free', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const result = await new Trainer(toyModel({ hidden: 256 }), { policy: full() }).fit({ train }, { epochs: 4 });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan((result.seconds * 1000) / 20);
  });
});

describe('stop and resume', () => {
  const cases: [string, () => Model, Dataset, RecipeOptions, FitOptions][] = [
    ['tinyPropV2', toyModel, train, {}, { epochs: 4 }],
    ['batch 8 with momentum', toyModel, train, { batch: 8, optimizer: momentum({ lr: 0.02 }), policy: tinyProp() }, { epochs: 6 }],
    ['dropout and augmentation', imageModel, images, { seed: 7, policy: tinyPropV2({ ymax: 'epoch' }) }, { epochs: 4, augment: { shift: 1, noise: 0.1 } }],
  ];

  it.each(cases)('gives the bits of never stopping: %s', async (_, make, data, recipe, options) => {
    const whole = make();
    await new Trainer(whole, recipe).fit({ train: data }, { ...options });
    let stops = 0;
    let model = make();
    for (let round = 1; ; round++) {
      const abort = new AbortController();
      const run = new Trainer(model, recipe).fit({ train: data }, { ...options, chunkMs: 0.02, signal: abort.signal, resume: round > 1 });
      const target = (round * data.n * options.epochs!) / 4.3;
      for await (const event of run) {
        if (event.type === 'progress' && (event.epoch - 1) * data.n + event.samples > target) abort.abort();
      }
      const result = await run;
      if (!result.aborted) break;
      stops++;
      const bytes = model.toBytes({ state: true });
      model.close();
      model = Model.fromBytes(bytes);
      expect(model.hasState).toBe(true);
    }
    expect(stops).toBeGreaterThan(1);
    expect(model.weightHash()).toBe(whole.weightHash());
    expect(model.toBytes({ state: true })).toEqual(whole.toBytes({ state: true }));
  });

  it('goes on in memory, and has nothing to do at the end', async () => {
    const whole = toyModel();
    await new Trainer(whole).fit({ train }, { epochs: 3 });
    const model = toyModel();
    const trainer = new Trainer(model);
    const abort = new AbortController();
    const run = trainer.fit({ train, test }, { epochs: 3, chunkMs: 0.2, signal: abort.signal });
    for await (const event of run) if (event.type === 'progress' && event.epoch === 2) abort.abort();
    const stopped = await run;
    expect(stopped).toMatchObject({ aborted: true, epochs: 1 });
    expect(stopped.history.length).toBe(1);
    await model.predict(test.x.subarray(0, 12));
    expect(await trainer.fit({ train, test }, { epochs: 3, resume: true })).toMatchObject({ aborted: false, epochs: 3 });
    expect(model.weightHash()).toBe(whole.weightHash());
    const again = await trainer.fit({ train, test }, { epochs: 3, resume: true });
    expect(again).toMatchObject({ aborted: false, epochs: 3, history: [] });
    expect(again.accuracy).toBe((await model.evaluate(test)).accuracy);
    expect(model.weightHash()).toBe(whole.weightHash());
  });

  it('does nothing when the signal has fired before', async () => {
    const model = toyModel();
    const result = await new Trainer(model).fit({ train }, { epochs: 3, signal: AbortSignal.abort() });
    expect(result).toMatchObject({ aborted: true, epochs: 0 });
    expect(result.totals.samples).toBe(0);
  });

  it('refuses another recipe, other data and a model without state', async () => {
    const model = toyModel();
    await failure('ERR_TINYPROP_MODE', () => new Trainer(model).fit({ train }, { epochs: 2, resume: true }).result);
    await new Trainer(model).fit({ train }, { epochs: 2 });
    const hash = model.weightHash();
    const lr = await failure('ERR_TINYPROP_RECIPE', () => new Trainer(model, { optimizer: sgd({ lr: 0.02 }) }).fit({ train }, { epochs: 2, resume: true }).result);
    expect(lr.message).toMatch(/lr: 0\.01\d*, not 0\.02/);
    const total = await failure('ERR_TINYPROP_RECIPE', () => new Trainer(model).fit({ train }, { epochs: 5, resume: true }).result);
    expect(total.message).toContain('scheduleTotal: 3000, not 7500');
    const other = new Trainer(model, { schedule: cosine({ total: 3000, unit: 'batches' }) });
    const data = await failure('ERR_TINYPROP_MISMATCH', () => other.fit({ train: toyData(1400) }, { epochs: 3, resume: true }).result);
    expect(data.message).toContain('made on 1500 samples, the data have 1400');
    const stepped = toyModel();
    stepped.configure();
    stepped.step(train.x.subarray(0, 12), 0);
    await failure('ERR_TINYPROP_MISMATCH', () => new Trainer(stepped, { schedule: constant() }).fit({ train }, { epochs: 1, resume: true }).result);
    expect(model.weightHash()).toBe(hash);
  });

  it('extends a run whose schedule does not know its end', async () => {
    const recipe = { schedule: constant() };
    const whole = toyModel();
    await new Trainer(whole, recipe).fit({ train }, { epochs: 3 });
    const model = toyModel();
    await new Trainer(model, recipe).fit({ train }, { epochs: 1 });
    await new Trainer(model, recipe).fit({ train }, { epochs: 3, resume: true });
    expect(model.weightHash()).toBe(whole.weightHash());
  });

  it('writes checkpoints that resume', async () => {
    const path = join(folder, 'checkpoint.tpm');
    const whole = toyModel();
    await new Trainer(whole).fit({ train }, { epochs: 3 });
    const abort = new AbortController();
    const model = toyModel();
    const run = new Trainer(model).fit({ train }, { epochs: 3, chunkMs: 0.2, signal: abort.signal, checkpoint: { path } });
    for await (const event of run) if (event.type === 'progress' && event.epoch === 2 && event.samples > 400) abort.abort();
    const loaded = await Model.load(path);
    await new Trainer(loaded).fit({ train }, { epochs: 3, resume: true });
    expect(loaded.weightHash()).toBe(whole.weightHash());
    expect(readdirSync(folder)).toEqual(['checkpoint.tpm']);
  });
});

describe('during a fit', () => {
  it('predicts and evaluates from a copy, and saves', async () => {
    const model = toyModel();
    const alone = toyModel();
    await new Trainer(alone, { policy: full() }).fit({ train }, { epochs: 6 });
    const run = new Trainer(model, { policy: full() }).fit({ train }, { epochs: 6, chunkMs: 1 });
    const losses: number[] = [];
    const outputs: Float32Array[] = [];
    let saved = 0;
    for await (const event of run) {
      if (event.type !== 'epoch') continue;
      const [evaluation, prediction] = await Promise.all([model.evaluate(test), model.predict(test.x.subarray(0, 24)), model.save(join(folder, 'during.tpm'))]);
      losses.push(evaluation.loss);
      outputs.push(prediction.outputs);
      expect(prediction).toMatchObject({ n: 2, size: 4 });
      saved++;
    }
    expect(saved).toBe(6);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(outputs.at(-1)).not.toEqual(outputs[0]);
    expect(model.weightHash()).toBe(alone.weightHash());
    await Model.load(join(folder, 'during.tpm'));
  });

  it('answers within about a chunk', async () => {
    const model = toyModel({ hidden: 256 });
    const abort = new AbortController();
    const run = new Trainer(model, { policy: full() }).fit({ train }, { epochs: 1000, signal: abort.signal });
    await new Promise((resolve) => setTimeout(resolve, 150));
    const started = performance.now();
    for (let i = 0; i < 3; i++) await model.predict(test.x.subarray(0, 12));
    expect(performance.now() - started).toBeLessThan(600);
    abort.abort();
    const stopped = performance.now();
    expect((await run).aborted).toBe(true);
    expect(performance.now() - stopped).toBeLessThan(100);
  });

  it('refuses a second fit and every other change, and is not disturbed', async () => {
    const alone = toyModel();
    await new Trainer(alone).fit({ train }, { epochs: 2 });
    const model = toyModel();
    const trainer = new Trainer(model);
    const run = trainer.fit({ train }, { epochs: 2 });
    const second = await failure('ERR_TINYPROP_BUSY', () => trainer.fit({ train }, { epochs: 2 }).result);
    expect(second.message).toContain('fit is running');
    await failure('ERR_TINYPROP_BUSY', async () => {
      for await (const event of trainer.fit({ train }, { epochs: 2 })) expect(event).toBeUndefined();
    });
    const x = train.x.subarray(0, 12);
    for (const change of [
      () => model.step(x, 0),
      () => model.learn([{ x, y: 0 }]),
      () => model.configure(),
      () => model.freeze(['dense1']),
      () => model.replaceHead(3),
      () => model.setTensor('dense1.bias', new Float32Array(16)),
      () => model.toBytes(),
      () => model.weightHash(),
      () => model.foldBatchNorm(),
    ]) {
      await failure('ERR_TINYPROP_BUSY', change);
    }
    await run;
    expect(model.weightHash()).toBe(alone.weightHash());
    await trainer.fit({ train }, { epochs: 1 });
  });

  it('ends with a clear error when the model is closed', async () => {
    const model = toyModel();
    const run = new Trainer(model).fit({ train }, { epochs: 1000 });
    setTimeout(() => model.close(), 30);
    await failure('ERR_TINYPROP_CLOSED', () => run.result);
    await failure('ERR_TINYPROP_CLOSED', () => model.predict(test.x));
    await failure('ERR_TINYPROP_CLOSED', () => model.evaluate(test));
    await failure('ERR_TINYPROP_CLOSED', () => new Trainer(model).fit({ train }, { epochs: 1 }).result);
    model.close();
  });
});

describe('bad data', () => {
  const fit = (data: Partial<Dataset>, options: FitOptions = { epochs: 1 }): Promise<unknown> => {
    const model = toyModel();
    return new Trainer(model).fit({ train: { ...train, ...data } }, options).result;
  };

  it('is refused before the first step', async () => {
    const label = await failure('ERR_TINYPROP_LABEL', () => fit({ labels: train.labels!.map((y, i) => (i === 70 ? 4 : y)) }));
    expect(label.message).toContain('sample 70 has the label 4, but the model has 4 classes');
    const shape = await failure('ERR_TINYPROP_SHAPE', () => fit({ inputShape: [3, 5] }));
    expect(shape.message).toContain('expected 12, found 3x5');
    await failure('ERR_TINYPROP_SHAPE', () => fit({ x: train.x.subarray(12) }));
    await failure('ERR_TINYPROP_SHAPE', () => fit({ labels: train.labels!.subarray(1) }));
    await failure('ERR_TINYPROP_SHAPE', () => fit({ n: 0, x: new Float32Array(0), labels: new Uint32Array(0) }));
    await failure('ERR_TINYPROP_SHAPE', () => fit({ labels: undefined as never }));
    await failure('ERR_TINYPROP_ARG', () => fit({ x: new Float64Array(train.x.length) as never }));
    await failure('ERR_TINYPROP_ARG', () => fit({}, {}));
    await failure('ERR_TINYPROP_ARG', () => fit({}, { epochs: 1.5 }));
    await failure('ERR_TINYPROP_ARG', () => fit({}, { epochs: 1, chunkMs: NaN }));
    await failure('ERR_TINYPROP_ARG', () => fit({}, { epochs: 1, augment: { shift: 1 } }));
    await failure('ERR_TINYPROP_RECIPE', () => new Trainer(toyModel(), { batch: 0 }).fit({ train }, { epochs: 1 }).result);
    const bad = { ...test, labels: test.labels!.map(() => 9) };
    await failure('ERR_TINYPROP_LABEL', () => new Trainer(toyModel()).fit({ train, test: bad }, { epochs: 1 }).result);
  });

  it('with NaN stops at the sample and leaves the weights of the step before', async () => {
    const x = train.x.slice();
    x[700 * 12 + 5] = NaN;
    const model = toyModel();
    const error = await failure('ERR_TINYPROP_DATA', () => new Trainer(model).fit({ train: { ...train, x } }, { epochs: 1 }).result);
    expect(error.details['samples']).toEqual([700]);
    expect(error.message).toContain('sample 700 of "toy"');
    const evaluation = await model.evaluate(train);
    expect(Number.isFinite(evaluation.loss)).toBe(true);
    await new Trainer(model).fit({ train }, { epochs: 1 });
  });
});
