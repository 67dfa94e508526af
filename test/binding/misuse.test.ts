// SPDX-License-Identifier: Apache-2.0
// The addon itself, called wrongly: every time an error with a code, never a crash, and the net works afterwards.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addon, constant, type NativeNet, type NativeStep } from '../../lib/addon';
import { errorCodes } from '../../lib/errors';
import { toNative } from '../../lib/graph';
import { identityOrder } from '../../lib/model-core';
import { nativeRecipe } from '../../lib/recipe';
import { numbers, toyData, toyModel } from '../lib/toy';

const native = toNative(toyModel().toJSON());
const data = toyData(64);
const order = identityOrder(64);
const job = { train: constant('job', 'train'), evaluate: constant('job', 'evaluate'), predict: constant('job', 'predict') };

let net: NativeNet;
let stats: Uint8Array;
let step: NativeStep;
beforeEach(() => {
  net = new (addon().Net)(native, nativeRecipe({}, null));
  net.init();
  stats = new Uint8Array(net.plan().statsBytes);
  step = net.bindStep(stats);
});
afterEach(() => net.close());

/** Code of what `body` throws. */
function codeOf(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'nothing was thrown';
}

const any = (value: unknown): never => value as never;
const x = data.x.subarray(0, 12);

describe('wrong arguments', () => {
  it('of step', () => {
    const before = net.save(3, []);
    expect(codeOf(() => step(any(undefined), 0))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => step(any([1, 2]), 0))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => step(any(new Float64Array(12)), 0))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => step(data.x.subarray(0, 11), 0))).toBe('ERR_TINYPROP_SHAPE');
    expect(codeOf(() => step(x, 4))).toBe('ERR_TINYPROP_LABEL');
    for (const label of [-1, 0.5, NaN, 2 ** 32, 1e300, -1e300]) expect(codeOf(() => step(x, label))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => step(x, new Float32Array(3)))).toBe('ERR_TINYPROP_SHAPE');
    expect(codeOf(() => step(x, new Float32Array(4)))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => net.bindStep(new Uint8Array(8)))).toBe('ERR_TINYPROP_BUFFER');
    expect(codeOf(() => net.bindStep(new Uint8Array(stats.length + 8).subarray(4)))).toBe('ERR_TINYPROP_BUFFER');
    expect(codeOf(() => net.bindStep(any(null)))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => step(x.map(() => NaN), 0))).toBe('ERR_TINYPROP_DATA');
    expect(codeOf(() => step(x.map(() => Infinity), 0))).toBe('ERR_TINYPROP_DATA');
    expect(net.save(3, [])).toEqual(before);
    step(x, 0);
  });

  it('of the activations that a run remembers', () => {
    const frozen = toyModel();
    frozen.freeze({ allButLast: 1 });
    const other = new (addon().Net)(toNative(frozen.toJSON()), nativeRecipe({}, null));
    const run = (on: NativeNet, cut: unknown): unknown => codeOf(() => on.runNow(job.train, data.x, data.labels as Uint32Array, order, 0, 8, false, 0, any({ cut })));
    const bytes = (n: number): Uint8Array => new Uint8Array(n);
    expect(other.plan().cut).toEqual({ node: 'relu2', bytes: 64, macs: 12 * 16 + 16 * 16 });
    expect(run(net, { values: bytes(64), known: bytes(1) })).toBe('ERR_TINYPROP_MODEL');
    expect(run(other, 7)).toBe('ERR_TINYPROP_ARG');
    expect(run(other, {})).toBe('ERR_TINYPROP_ARG');
    expect(run(other, { values: new Float32Array(16), known: bytes(1) })).toBe('ERR_TINYPROP_ARG');
    expect(run(other, { values: bytes(65), known: bytes(1) })).toBe('ERR_TINYPROP_SHAPE');
    const cut = { values: bytes(5 * 64), known: bytes(5) }; // of the first 5 samples, of which 8 train
    const result = other.runNow(job.train, data.x, data.labels as Uint32Array, order, 0, 8, false, 0, { cut });
    expect([result.code, result.done, result.computed, Array.from(cut.known)]).toEqual([null, 8, 8, [1, 1, 1, 1, 1]]);
    expect(other.runNow(job.evaluate, data.x, data.labels as Uint32Array, order, 0, 8, false, 0, { cut }).computed).toBe(3);
    other.close();
  });

  it('of run', () => {
    const run = (...args: unknown[]): unknown => codeOf(() => net.run(...(args as Parameters<NativeNet['run']>)));
    expect(run(9, data.x, data.labels, order, 0, 64, false)).toBe('ERR_TINYPROP_ARG');
    expect(run(job.train, data.x.subarray(1), data.labels, order, 0, 64, false)).toBe('ERR_TINYPROP_SHAPE');
    expect(run(job.train, data.x, data.labels!.subarray(1), order, 0, 64, false)).toBe('ERR_TINYPROP_SHAPE');
    expect(run(job.train, data.x, null, order, 0, 64, false)).toBe('ERR_TINYPROP_ARG');
    expect(run(job.train, data.x, new Float32Array(64), order, 0, 64, false)).toBe('ERR_TINYPROP_SHAPE');
    expect(run(job.train, data.x, data.labels, order, 0, 65, false)).toBe('ERR_TINYPROP_ARG');
    expect(run(job.train, data.x, data.labels, order, 5, 4, false)).toBe('ERR_TINYPROP_ARG');
    expect(run(job.train, data.x, data.labels, Uint32Array.of(64), 0, 1, false)).toBe('ERR_TINYPROP_ARG');
    expect(run(job.train, data.x, data.labels, [0], 0, 1, false)).toBe('ERR_TINYPROP_ARG');
    expect(net.isBusy()).toBe(false);
  });

  it('of the rest', () => {
    expect(codeOf(() => net.readTensor(6))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => net.writeTensor(0, new Uint8Array(3)))).toBe('ERR_TINYPROP_SHAPE');
    expect(codeOf(() => net.save(3, any([{ tag: 'LONGER', data: stats }])))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => net.save(3, [{ tag: 'WGTS', data: stats }]))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => net.copyParamsFrom(any(null)))).toBe('ERR_TINYPROP_ARG');
    expect(() => net.copyParamsFrom(any({}))).toThrow();
    expect(() => net.bindStep.call({} as NativeNet, stats)).toThrow();
    expect(() => Object.assign(step, { net: null })).toThrow();
    const other = new (addon().Net)(toNative(toyModel({ hidden: 8 }).toJSON()), null);
    expect(codeOf(() => net.copyParamsFrom(other))).toBe('ERR_TINYPROP_MISMATCH');
    expect(codeOf(() => other.run(job.train, data.x, data.labels!, order, 0, 1, false))).toBe('ERR_TINYPROP_MODE');
    expect(codeOf(() => new (addon().Net)(any({}), null))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => new (addon().Net)(any({ ...native, nodes: [1] }), null))).toBe('ERR_TINYPROP_ARG');
    expect(codeOf(() => new (addon().Net)({ ...native, nodes: new Array(513).fill(native.nodes[0]) }, null))).toBe('ERR_TINYPROP_LIMIT');
    expect(codeOf(() => new (addon().Net)({ ...native, nodes: [{ ...native.nodes[0]!, name: 'x'.repeat(32) }] }, null))).toBe('ERR_TINYPROP_MODEL');
    expect(codeOf(() => new (addon().Net)(native, null, { kernels: 'no-such-kernels' }))).toBe('ERR_TINYPROP_ARG');
  });
});

describe('a busy or closed net', () => {
  it('refuses everything while it runs, then goes on', async () => {
    const long = new Uint32Array(2_000_000);
    const running = net.run(job.train, data.x, data.labels!, long, 0, long.length, false);
    const calls: (() => unknown)[] = [
      () => net.init(),
      () => step(x, 0),
      () => net.run(job.predict, data.x, null, order, 0, 1, true),
      () => net.runNow(job.predict, data.x, null, order, 0, 1, true),
      () => net.save(3, []),
      () => net.load(stats, 1),
      () => net.readTensor(0),
      () => net.writeTensor(0, stats),
      () => net.progress(),
      () => net.epochBegin(),
      () => net.setTrace(null),
    ];
    for (const call of calls) expect(codeOf(call)).toBe('ERR_TINYPROP_BUSY');
    const other = new (addon().Net)(native, null);
    expect(codeOf(() => other.copyParamsFrom(net))).toBe('ERR_TINYPROP_BUSY');
    net.stop();
    expect((await running).done).toBeLessThan(long.length);
    step(x, 0);
  });

  it('can be closed while it runs, and twice; then only refuses', async () => {
    const long = new Uint32Array(2_000_000);
    const running = net.run(job.train, data.x, data.labels!, long, 0, long.length, false);
    net.close();
    net.close();
    expect((await running).done).toBeLessThan(long.length);
    expect(codeOf(() => step(x, 0))).toBe('ERR_TINYPROP_CLOSED');
    expect(codeOf(() => net.save(3, []))).toBe('ERR_TINYPROP_CLOSED');
    expect(codeOf(() => net.run(job.predict, data.x, null, order, 0, 1, true))).toBe('ERR_TINYPROP_CLOSED');
    net.stop();
    expect(net.isBusy()).toBe(false);
  });

  it('reports a bad sample in the middle of a chunk and keeps what came before', async () => {
    const bad = { x: data.x.slice(), labels: data.labels!.slice() };
    bad.labels[10] = 4;
    const result = await net.run(job.train, bad.x, bad.labels, order, 0, 64, false);
    expect(result).toMatchObject({ done: 10, code: 'ERR_TINYPROP_LABEL' });
    expect(net.progress().samples).toBe(10);
    bad.x[30 * 12 + 3] = NaN;
    expect(await net.run(job.train, bad.x, data.labels!, order, 20, 64, false)).toMatchObject({ done: 10, code: 'ERR_TINYPROP_DATA' });
  });
});

describe('hostile model files', () => {
  const flags = (): number => constant('blob', 'weights') | constant('blob', 'state');

  it('are refused at every length', () => {
    const bytes = net.save(flags(), [{ tag: 'META', data: new TextEncoder().encode('{"a":1}') }]);
    for (let length = 0; length < bytes.length; length += length < 600 ? 1 : 37) {
      expect(Object.keys(errorCodes)).toContain(codeOf(() => addon().readBlob(bytes.slice(0, length))));
      expect(Object.keys(errorCodes)).toContain(codeOf(() => net.load(bytes.slice(0, length), flags())));
    }
    expect(net.save(flags(), [{ tag: 'META', data: new TextEncoder().encode('{"a":1}') }])).toEqual(bytes);
  });

  it('are refused with any byte changed', () => {
    const bytes = net.save(flags(), []);
    const next = numbers(7);
    for (let round = 0; round < 2000; round++) {
      const copy = bytes.slice();
      const at = round < 500 ? round : Math.floor(next() * copy.length);
      copy[at] = copy[at]! ^ (1 + Math.floor(next() * 255));
      expect(Object.keys(errorCodes)).toContain(codeOf(() => net.load(copy, flags())));
    }
    expect(net.save(flags(), [])).toEqual(bytes);
  });

  it('of another model or recipe do not fit', () => {
    const other = new (addon().Net)(toNative(toyModel({ hidden: 8 }).toJSON()), nativeRecipe({}, null));
    other.init();
    expect(codeOf(() => net.load(other.save(flags(), []), flags()))).toBe('ERR_TINYPROP_MISMATCH');
    expect(codeOf(() => net.load(net.save(constant('blob', 'weights'), []), flags()))).toMatch(/MODE|MISMATCH/);
  });
});
