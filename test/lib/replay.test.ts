// SPDX-License-Identifier: Apache-2.0
// A training, logged and taken again: identical, or the first step that is not.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { dense, dropout, full, loadData, Model, momentum, relu, replay, TinypropError, tinyProp, tinyPropV2, Trainer, type Dataset, type FitOptions, type RecipeOptions } from '../../lib/index';

const folder = mkdtempSync(join(tmpdir(), 'tinyprop-replay-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const file = (): string => join(folder, `${files++}`);

const { train } = await loadData('digits', { limit: 120 });
const flat: Dataset = { ...train, inputShape: [64] };

const mlp = (loss: 'softmaxCrossEntropy' | 'mse' = 'softmaxCrossEntropy'): Model =>
  Model.sequential({ input: [64], loss, layers: [dense(20), relu(), dropout(0.2), dense(10)] });

/** A model that has learnt something: its weights are not those of any seed. */
async function used(loss?: 'mse'): Promise<Model> {
  const model = mlp(loss);
  await new Trainer(model, { policy: full() }).fit({ train: flat }, { epochs: 1, evaluateEvery: 'never' }).result;
  return model;
}

/** Trains and logs; the log, the model as it was before, and as it is now. */
async function logged(recipe: RecipeOptions, options: FitOptions = {}, data = flat, model = mlp()): Promise<{ log: Buffer; before: Uint8Array; after: Uint8Array }> {
  const before = model.toBytes({ state: options.resume === true });
  const record = file();
  await new Trainer(model, recipe).fit({ train: data }, { epochs: 2, evaluateEvery: 'never', record, ...options }).result;
  const after = model.toBytes({ state: true });
  model.close();
  return { log: readFileSync(record), before, after };
}

/** Offsets of the records of the steps, by the format's own rule. */
function stepsOf(log: Buffer): { at: number; length: number }[] {
  const found = [];
  for (let at = 8; at < log.length; at += 12 + log.readUInt32LE(at + 4)) {
    if (log.toString('latin1', at, at + 4) === 'STEP') found.push({ at: at + 8, length: log.readUInt32LE(at + 4) });
  }
  return found;
}

/** The log with something else in it, and a checksum that says it is right. */
function forged(log: Buffer, record: { at: number; length: number }, change: (data: Buffer) => void): Buffer {
  const copy = Buffer.from(log);
  change(copy.subarray(record.at, record.at + record.length));
  copy.writeUInt32LE(crc32(copy.subarray(record.at - 8, record.at + record.length)), record.at + record.length);
  return copy;
}

const head = { at: 16, length: 256 };
const codeOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => null, (error: unknown) => (error instanceof TinypropError ? error.code : error));

describe('an untouched log', () => {
  it.each<[string, RecipeOptions, FitOptions]>([
    ['batch 1, TinyPropv2', { policy: tinyPropV2() }, {}],
    ['batch 7, momentum, a short last batch', { policy: tinyProp({ ymax: 'epoch' }), optimizer: momentum({ lr: 0.05, mu: 0.9 }), batch: 7, seed: 2 ** 40 }, {}],
    ['full, samples inside', { policy: full(), seed: 3 }, { augment: { shift: 1 } }],
  ])('is identical: %s', async (_, recipe, options) => {
    const data = options.augment ? train : flat;
    const model = options.augment ? Model.sequential({ input: [8, 8, 1], layers: [{ op: 'flatten' } as never, dense(10)] }) : mlp();
    const { log, after } = await logged(recipe, options, data, model);
    const steps = 2 * Math.ceil(train.n / (recipe.batch ?? 1));
    // Started from the seed: any file of the graph will do.
    const result = await replay(log, after, options.augment ? {} : { data });
    expect(result).toMatchObject({ steps, hashed: steps, identical: true, difference: null, rest: null });
    expect(result.source.log).toBe(result.source.here);
    expect(stepsOf(log)).toHaveLength(steps);
  });

  it('is identical with targets, from given weights', async () => {
    const { log, before } = await logged({ policy: full(), batch: 4 }, {}, flat, await used('mse'));
    expect(await replay(log, before, { data: flat })).toMatchObject({ steps: 60, identical: true });
  });

  it('changes no weight of the training', async () => {
    const { after } = await logged({ batch: 3 });
    const model = mlp();
    await new Trainer(model, { batch: 3 }).fit({ train: flat }, { epochs: 2, evaluateEvery: 'never' }).result;
    expect(Buffer.from(model.toBytes({ state: true })).equals(Buffer.from(after))).toBe(true);
    model.close();
  });

  it('of a resumed training starts from the training state of the file', async () => {
    const model = mlp();
    const recipe: RecipeOptions = { optimizer: momentum({ lr: 0.02, mu: 0.9 }), batch: 2 };
    const stop = new AbortController();
    const run = new Trainer(model, recipe).fit({ train: flat }, { epochs: 4, signal: stop.signal, chunkMs: 0.1, record: file() });
    for await (const event of run) if (event.type === 'progress' && event.epoch === 2) stop.abort();
    expect((await run.result).aborted).toBe(true);
    const { log, before, after } = await logged(recipe, { epochs: 4, resume: true }, flat, model);
    const result = await replay(log, before, { data: flat });
    expect(result.identical).toBe(true);
    expect(result.steps).toBeLessThan(4 * 60);
    expect(await codeOf(replay(log, after, { data: flat }))).toBe('ERR_TINYPROP_MISMATCH');
  });

  it('is read from paths too', async () => {
    const model = mlp();
    const [record, path] = [file(), file()];
    await new Trainer(model).fit({ train: flat }, { epochs: 1, record }).result;
    await model.save(path);
    model.close();
    expect(await replay(record, path, { data: flat })).toMatchObject({ steps: 120, identical: true });
    expect(await codeOf(replay(file(), path, { data: flat }))).toBe('ERR_TINYPROP_FILE');
  });
});

describe('the first step that differs', () => {
  const recipe: RecipeOptions = { policy: full(), batch: 4 };

  it('is named for a changed sample, label or hash', async () => {
    const { log, after } = await logged(recipe);
    const steps = stepsOf(log);
    const named = async (at: number, change: (data: Buffer) => void): Promise<unknown> => (await replay(forged(log, steps[at]!, change), after, { data: flat })).difference;
    const samples = Array.from({ length: 4 }, (_, i) => log.readUInt32LE(steps[17]!.at + 48 + 4 * i));
    expect(await named(17, (data) => data.writeBigUInt64LE(data.readBigUInt64LE(16) ^ 1n, 16))).toMatchObject({ step: 18, what: 'stats', samples });
    expect(await named(17, (data) => data.writeBigUInt64LE(data.readBigUInt64LE(24) ^ (1n << 63n), 24))).toMatchObject({ step: 18, what: 'weights', samples });
    expect(await named(0, (data) => data.writeInt32LE(-8, 0))).toMatchObject({ step: 1, what: 'result', expected: '-8', found: '0' });
    expect(await named(5, (data) => data.writeUInt32LE((data.readUInt32LE(32) + 1) % 10, 32))).toMatchObject({ step: 6, what: 'stats' });
    expect(await named(5, (data) => data.writeUInt32LE(10, 32))).toMatchObject({ step: 6, what: 'result', found: 'refused: ERR_TINYPROP_LABEL' });
    expect(await named(59, (data) => data.writeUInt32LE((data.readUInt32LE(48) + 1) % 120, 48))).toMatchObject({ step: 60, what: 'stats' });
  });

  it('is named for one bit of a sample inside the log', async () => {
    const model = Model.sequential({ input: [8, 8, 1], layers: [{ op: 'flatten' } as never, dense(10)] });
    const { log, after } = await logged(recipe, { augment: { noise: 0.1 } }, train, model);
    const bent = forged(log, stepsOf(log)[31]!, (data) => data.writeUInt8(data.readUInt8(48 + 66) ^ 0x10, 48 + 66));
    expect((await replay(bent, after)).difference).toMatchObject({ step: 32, what: 'stats', samples: null });
  });

  it('comes at once when the data are others', async () => {
    const { log, after } = await logged(recipe);
    const x = flat.x.map((v) => v * 0.5);
    expect(await replay(log, after, { data: { ...flat, x } })).toMatchObject({ steps: 1, identical: false, difference: { step: 1, what: 'stats' } });
  });
});

describe('a log that ends early', () => {
  it('is replayed up to its last whole record, wherever it was cut', async () => {
    const { log, after } = await logged({ batch: 8 });
    const steps = stepsOf(log);
    for (let cut = head.at + head.length + 4; cut < log.length; cut += 211) {
      const whole = steps.filter(({ at, length }) => at + length + 4 <= cut).length;
      const result = await replay(log.subarray(0, cut), after, { data: flat });
      expect(result).toMatchObject({ steps: whole, identical: true });
      if (result.rest !== null) expect(result.rest.reason).toBe('truncated');
    }
    for (const cut of [0, 7, 20, 200]) expect(await codeOf(replay(log.subarray(0, cut), after, { data: flat }))).toBe('ERR_TINYPROP_FILE');
  });

  it('stops before a damaged record', async () => {
    const { log, after } = await logged({ batch: 8 });
    const copy = Buffer.from(log);
    copy.writeUInt8(copy.readUInt8(stepsOf(log)[9]!.at + 3) ^ 4, stepsOf(log)[9]!.at + 3);
    expect(await replay(copy, after, { data: flat })).toMatchObject({ steps: 9, identical: true, rest: { reason: 'damaged' } });
  });
});

describe('a replay is refused', () => {
  it('for another model, other weights, other sources, or without the data', async () => {
    const { log, before, after } = await logged({ batch: 4 }, {}, flat, await used());
    const other = Model.sequential({ input: [64], layers: [dense(20), relu(), dropout(0.3), dense(10)] });
    expect(await codeOf(replay(log, other.toBytes(), { data: flat }))).toBe('ERR_TINYPROP_MISMATCH');
    other.close();
    expect(await codeOf(replay(log, after, { data: flat }))).toBe('ERR_TINYPROP_MISMATCH');
    expect(await codeOf(replay(log, before))).toBe('ERR_TINYPROP_ARG');
    expect(await codeOf(replay(log, before, { data: { ...flat, inputShape: [32] } }))).toBe('ERR_TINYPROP_SHAPE');
    expect(await codeOf(replay(log, before, { data: { ...flat, n: 50 } }))).toBe('ERR_TINYPROP_MISMATCH');
    const foreign = forged(log, head, (data) => data.write('0123456789abcdef', 8, 'latin1'));
    expect(await codeOf(replay(foreign, before, { data: flat }))).toBe('ERR_TINYPROP_MISMATCH');
    expect(await replay(foreign, before, { data: flat, otherSource: true })).toMatchObject({ identical: true, source: { log: '0123456789abcdef' } });
    expect(await codeOf(replay(forged(log, head, (data) => data.writeUInt32LE(0x20000, 0)), before, { data: flat }))).toBe('ERR_TINYPROP_VERSION');
    expect(await codeOf(replay(log, before, { data: flat, signal: AbortSignal.abort() }))).toSatisfy((code) => code === null || code === 'ERR_TINYPROP_ABORTED');
  });

  it('for whatever a hostile log holds, with a clear error', async () => {
    const { log, after } = await logged({ batch: 4 });
    const step = stepsOf(log)[3]!;
    const hostile = [
      Buffer.from('no log at all, but long enough to hold a head'),
      forged(log, head, (data) => data.writeUInt32LE(3, 4)),
      forged(log, head, (data) => data.writeUInt32LE(0, 88)),
      forged(log, head, (data) => data.writeUInt32LE(0xffffffff, 88)),
      forged(log, head, (data) => data.writeBigUInt64LE(2n ** 60n, 104 + 32)),
      forged(log, head, (data) => data.writeUInt32LE(99, 104)),
      forged(log, head, (data) => data.writeFloatLE(NaN, 104 + 16)),
      forged(log, head, (data) => data.writeUInt32LE(0xffffffff, 104 + 8)),
      forged(log, step, (data) => data.writeUInt32LE(0, 4)),
      forged(log, step, (data) => data.writeUInt32LE(0x40000000, 4)),
      forged(log, step, (data) => data.writeUInt32LE(0xffffffff, 48)),
    ];
    for (const [i, bytes] of hostile.entries()) {
      // Another recipe is a difference where it is no error.
      const said = await replay(bytes, after, { data: flat }).then(({ difference }) => difference?.what, (error: unknown) => (error instanceof TinypropError ? error.code : error));
      expect(said, `log ${i}`).toMatch(/^(ERR_TINYPROP_[A-Z]+|weights)$/);
    }
    // Any byte: an error with a code, or a result that says how far it is good.
    for (let at = 0; at < log.length; at += 97) {
      const copy = Buffer.from(log);
      copy[at] = (copy[at] as number) ^ 0x5a;
      const code = await replay(copy, after, { data: flat }).then((result) => result.rest !== null, (error: unknown) => error instanceof TinypropError);
      expect(code).toBe(true);
    }
  });
});
