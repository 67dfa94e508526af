// SPDX-License-Identifier: Apache-2.0
// The small parts under Model and Trainer.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { translate } from '../../lib/addon';
import { ChunkSize } from '../../lib/chunk';
import { TinypropError } from '../../lib/errors';
import { EventHub, type ProgressEvent, type WarningEvent } from '../../lib/events';
import { writeFileAtomic } from '../../lib/file';
import { decodeMeta, encodeMeta } from '../../lib/meta';
import { Model } from '../../lib/model';
import { Prediction } from '../../lib/results';
import { targetsOf, type TargetSpec } from '../../lib/targets';
import { Trainer } from '../../lib/trainer';
import { failure, toyData, toyModel } from './toy';

describe('ChunkSize', () => {
  it('converges on the wanted duration in whole batches', () => {
    const chunk = new ChunkSize(8, 1e6, 50);
    expect(chunk.size % 8).toBe(0);
    for (let i = 0; i < 12; i++) chunk.measured(chunk.size, chunk.size * 0.01);
    expect(chunk.size).toBe(5000);
    chunk.measured(5000, 5e6);
    expect(chunk.size).toBe(1248);
    for (let i = 0; i < 12; i++) chunk.measured(chunk.size, 1e9);
    expect(chunk.size).toBe(8);
  });
});

describe('the net of a model', () => {
  it('stays for the next fit of the same recipe, with the bits of a new one', async () => {
    const data = toyData(60);
    const model = toyModel();
    const fit = async (of: Model, epochs: number): Promise<void> => void (await new Trainer(of, { batch: 4 }).fit({ train: data }, { epochs }));
    await fit(model, 2);
    const { net } = model.core;
    const copy = Model.fromBytes(model.toBytes());
    await fit(model, 2);
    await fit(copy, 2);
    expect(model.core.net).toBe(net);
    expect(model.toBytes({ state: true })).toEqual(copy.toBytes({ state: true }));
    await fit(model, 3);
    expect(model.core.net).not.toBe(net);
  });

  it('of initial weights begins with those of the seed again', () => {
    const [model, other] = [toyModel(), toyModel()];
    for (let i = 0; i < 2; i++) model.configure({ seed: 7 });
    other.configure({ seed: 7 });
    expect(model.weightHash()).toBe(other.weightHash());
    model.step(new Float32Array(12).fill(1), 0);
    const trained = model.weightHash();
    model.configure({ seed: 7 });
    expect(model.weightHash()).toBe(trained);
    expect(model.core.net.progress().samples).toBe(0);
  });
});

describe('metadata', () => {
  it('has one encoding', () => {
    const text = (value: Record<string, unknown>): string => new TextDecoder().decode(encodeMeta(value));
    expect(text({ b: [1, { z: null, a: 'ä' }], a: true, c: undefined })).toBe('{"a":true,"b":[1,{"a":"ä","z":null}]}');
    expect(decodeMeta(encodeMeta({ x: [1.5] }))).toEqual({ x: [1.5] });
  });

  it('refuses what JSON cannot hold, naming the place', async () => {
    for (const value of [NaN, Infinity, 1n, () => 0, Symbol('s'), new Date(), new Map(), new Float32Array(1), undefined]) {
      expect((await failure('ERR_TINYPROP_ARG', () => encodeMeta({ a: [0, value] }))).message).toContain('meta.a[1]');
    }
  });
});

describe('writeFileAtomic', () => {
  it('replaces a file and leaves nothing else behind', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tinyprop-file-'));
    const path = join(folder, 'f');
    await Promise.all([1, 2, 3, 4].map((byte) => writeFileAtomic(path, new Uint8Array(100_000).fill(byte))));
    const bytes = readFileSync(path);
    expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
    expect(bytes.length).toBe(100_000);
    expect(readdirSync(folder)).toEqual(['f']);
    rmSync(folder, { recursive: true });
  });
});

describe('EventHub', () => {
  const progress = (samples: number): ProgressEvent => ({ type: 'progress', samples }) as ProgressEvent;
  const warning: WarningEvent = { type: 'warning', code: 'diverging', message: '' };

  it('replaces unread progress, keeps the rest, throws the failure last', async () => {
    const hub = new EventHub();
    const seen: unknown[] = [];
    const reading = (async () => { for await (const event of hub.iterate()) seen.push(event); })();
    await Promise.resolve();
    hub.emit(progress(1));
    hub.emit(progress(2));
    hub.emit(warning);
    hub.emit(progress(3));
    hub.emit(progress(4));
    hub.finish({ error: new Error('end') });
    await expect(reading).rejects.toThrow('end');
    expect(seen).toEqual([progress(2), warning, progress(4)]);
    const late: unknown[] = [];
    await expect((async () => { for await (const event of hub.iterate()) late.push(event); })()).rejects.toThrow('end');
    expect(late).toEqual([warning]);
  });
});

describe('targetsOf', () => {
  const data = toyData(20, { classes: 3 });
  const spec = (change: Partial<TargetSpec>): TargetSpec => ({ inputs: 12, inputShape: [12], outputs: 3, loss: 'softmaxCrossEntropy', ...change });

  it('takes labels, makes targets of them, or the input itself', () => {
    expect(targetsOf(data, spec({}))).toBe(data.labels);
    const oneHot = targetsOf(data, spec({ loss: 'bce' }));
    for (let i = 0; i < 20; i++) for (let c = 0; c < 3; c++) expect(oneHot[3 * i + c]).toBe(data.labels![i] === c ? 1 : 0);
    const binary = { ...data, labels: data.labels!.map((label) => label % 2) };
    expect(targetsOf(binary, spec({ loss: 'bce', outputs: 1 }))).toEqual(Float32Array.from(binary.labels));
    expect(targetsOf(data, spec({ loss: 'mse', outputs: 1 }))).toEqual(Float32Array.from(data.labels!));
    expect(targetsOf(data, spec({ loss: 'mse', outputs: 12 }))).toBe(data.x);
    const targets = new Float32Array(40);
    expect(targetsOf({ ...data, targets, targetSize: 2 }, spec({ loss: 'mse', outputs: 2 }))).toBe(targets);
  });

  it('refuses what does not fit', async () => {
    await failure('ERR_TINYPROP_LABEL', () => targetsOf(data, spec({ loss: 'bce', outputs: 1 })));
    await failure('ERR_TINYPROP_LABEL', () => targetsOf(data, spec({ outputs: 2 })));
    await failure('ERR_TINYPROP_SHAPE', () => targetsOf({ ...data, targets: new Float32Array(40), targetSize: 2 }, spec({ loss: 'mse' })));
    await failure('ERR_TINYPROP_SHAPE', () => targetsOf({ ...data, targets: new Float32Array(59), targetSize: 3 }, spec({ loss: 'mse' })));
    await failure('ERR_TINYPROP_ARG', () => targetsOf({ ...data, labels: [1, 2] as never }, spec({})));
  });
});

describe('small things', () => {
  it('argmax takes the first of equals', () => {
    expect(new Prediction(Float32Array.of(1, 2, 2, 5, 5, 0), 2, 3).argmax()).toBe(1);
    expect(new Prediction(Float32Array.of(1, 2, 2, 5, 5, 0), 2, 3).argmax(1)).toBe(0);
  });

  it('errors of the addon become ours, foreign ones stay', () => {
    const native = Object.assign(new Error('x: 3'), { code: 'ERR_TINYPROP_SHAPE' });
    expect(translate(native, 'predict')).toMatchObject({ code: 'ERR_TINYPROP_SHAPE', message: 'predict: shapes do not fit together (x: 3)', cause: native });
    const other = Object.assign(new Error('no'), { code: 'ENOENT' });
    expect(translate(other, 'predict')).toBe(other);
    const ours = new TinypropError('ERR_TINYPROP_ARG', 'a');
    expect(translate(ours, 'predict')).toBe(ours);
    expect(translate('text', 'predict')).toBe('text');
  });
});
