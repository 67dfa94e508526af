// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { addon, constant, type NativeNet, type NativeTrace } from '../../lib/addon';
import { planOf, toNative } from '../../lib/graph';
import { nativeRecipe, type RecipeOptions } from '../../lib/recipe';
import { full, tinyPropV2 } from '../../lib/policy';
import { identityOrder } from '../../lib/model-core';
import { Totals } from '../../lib/results';
import { toyData, toyModel } from '../lib/toy';

const native = toNative(toyModel().toJSON());
const data = toyData(200);

function open(recipe: RecipeOptions | null = {}): NativeNet {
  const net = new (addon().Net)(native, recipe === null ? null : nativeRecipe(recipe, null));
  net.init();
  return net;
}

function weights(net: NativeNet): number[][] {
  return net.tensors().map((_, i) => Array.from(new Float32Array(net.readTensor(i))));
}

async function train(net: NativeNet, from: number, to: number): Promise<Totals> {
  const result = await net.run(constant('job', 'train'), data.x, data.labels!, identityOrder(data.n), from, to, false);
  expect(result.code).toBeNull();
  expect(result.done).toBe(to - from);
  const totals = new Totals(3);
  totals.add(result.totals);
  return totals;
}

describe('the native net', () => {
  it('trains the same in one chunk, in many, and step by step', async () => {
    const recipe = { policy: tinyPropV2({ tau: 0.6 }) };
    const whole = open(recipe);
    const totals = await train(whole, 0, 200);
    const parts = open(recipe);
    for (let from = 0; from < 200; from += 40) await train(parts, from, from + 40);
    const steps = open(recipe);
    const stats = new Uint8Array(steps.plan().statsBytes);
    const step = steps.bindStep(stats);
    const trained = constant('stats', 'trained');
    let count = 0;
    for (let i = 0; i < 200; i++) {
      step(data.x.subarray(i * 12, i * 12 + 12), data.labels![i]!);
      count += new DataView(stats.buffer).getUint32(trained, true);
    }
    expect(weights(parts)).toEqual(weights(whole));
    expect(weights(steps)).toEqual(weights(whole));
    expect(totals.trained).toBe(count);
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(200);
  });

  it('looks ahead, and leaves what it has looked at as it was where a step fails', async () => {
    const recipe = { policy: tinyPropV2({ tau: 0.6 }), revisit: 8 };
    const before = Uint8Array.from({ length: 200 }, (_, i) => (i % 3 === 0 ? 1 + (i % 7) : 0)); // some are not due
    const run = async (x: Float32Array, to: number) => {
      const net = open(recipe);
      const visits = before.slice();
      const { code, done } = await net.run(constant('job', 'train'), x, data.labels!, identityOrder(data.n), 0, to, false, 0, { visits });
      return { code, done, visits, weights: weights(net), samples: net.progress().samples };
    };
    const bad = data.x.slice();
    bad[100 * 12] = NaN;
    expect(open(recipe).plan().actBytes).toBeGreaterThan(open({ policy: full() }).plan().actBytes);
    const failed = await run(bad, 200);
    expect(failed).toEqual({ ...(await run(data.x, 100)), code: 'ERR_TINYPROP_DATA', done: 100 });
    expect(failed.visits.slice(100)).toEqual(before.slice(100));
    expect(failed.visits.slice(0, 100)).not.toEqual(before.slice(0, 100));
  });

  it('sums what the core counts', async () => {
    const net = open({ policy: full() });
    const plan = net.plan();
    const totals = await train(net, 0, 50);
    expect(totals.samples).toBe(50);
    expect(totals.steps).toBe(50);
    expect(totals.macsForward).toBe(50 * plan.macsForward);
    expect(totals.macsDenseBackward).toBe(50 * plan.macsBackward);
    expect(totals.effortBackward).toBe(1);
    expect(totals.effortTotal).toBe(1);
    expect(totals.rowsWorked).toBeGreaterThan(0);
    expect(totals.rowsWorked).toBeLessThan(1);
    expect([0, 1, 2].map((l) => totals.layer(l).n)).toEqual([800, 800, 200]);
    expect(net.progress()).toMatchObject({ samples: 50, batches: 50, updates: 50, epochs: 0 });
  });

  it('predicts on the thread what it predicts at once', async () => {
    const net = open();
    const order = Uint32Array.of(5, 3, 3, 0);
    const kind = constant('job', 'predict');
    const later = await net.run(kind, data.x, null, order, 1, 4, true);
    const now = net.runNow(kind, data.x, null, order, 1, 4, true);
    expect(later.outputs).toEqual(now.outputs);
    expect(later.outputs.length).toBe(12);
    expect(later.outputs.slice(0, 4)).toEqual(later.outputs.slice(4, 8));
    expect(later.outputs.slice(0, 4)).not.toEqual(later.outputs.slice(8, 12));
    const sum = later.outputs.slice(0, 4).reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo(1, 5);
  });

  it('copies the weights of a training net into an inference net', async () => {
    const net = open({ policy: full() });
    await train(net, 0, 20);
    const reader = open(null);
    expect(weights(reader)).not.toEqual(weights(net));
    reader.copyParamsFrom(net);
    expect(weights(reader)).toEqual(weights(net));
    const kind = constant('job', 'forward');
    const order = identityOrder(data.n);
    expect(reader.runNow(kind, data.x, null, order, 0, 9, true).outputs).toEqual(net.runNow(kind, data.x, null, order, 0, 9, true).outputs);
  });

  it('saves and loads weights and state', async () => {
    const recipe = { policy: tinyPropV2() };
    const net = open(recipe);
    await train(net, 0, 100);
    const flags = constant('blob', 'weights') | constant('blob', 'state');
    const section = { tag: 'NOTE', data: Uint8Array.of(1, 2, 3) };
    const bytes = net.save(flags, [section]);
    const blob = addon().readBlob(bytes);
    expect(blob.model).toEqual(native);
    expect(blob.recipe).toEqual(net.recipe());
    expect(blob.hasState).toBe(true);
    expect(blob.sections).toContainEqual(section);
    const copy = open(recipe);
    expect(copy.load(bytes, flags)).toBe(6);
    expect(copy.progress()).toEqual(net.progress());
    expect(copy.save(flags, [section])).toEqual(bytes);
    await train(net, 100, 200);
    await train(copy, 100, 200);
    expect(weights(copy)).toEqual(weights(net));
  });

  it('shows the trace of a step', () => {
    const net = open({ policy: full() });
    const events: NativeTrace[] = [];
    net.setTrace((event) => events.push(event));
    const step = net.bindStep(new Uint8Array(net.plan().statsBytes));
    step(data.x.subarray(0, 12), data.labels![0]!);
    expect(events.filter((event) => event.delta !== null).map((event) => event.layer)).toEqual([2, 1, 0]);
    expect(events.filter((event) => event.kept !== null).length).toBe(3);
    const output = events[0]!;
    expect(output.l1).toBeCloseTo(Array.from(output.delta!).reduce((sum, d) => sum + Math.abs(d), 0), 5);
    net.setTrace(null);
    step(data.x.subarray(0, 12), data.labels![0]!);
    expect(events.length).toBe(6);
    net.setTrace(() => {
      throw new RangeError('from the trace');
    });
    expect(() => step(data.x.subarray(0, 12), 0)).toThrow(new RangeError('from the trace'));
    net.setTrace(null);
    step(data.x.subarray(0, 12), 0);
    expect(net.progress().samples).toBe(4);
  });

  it('stops between two steps and keeps what is done', async () => {
    const net = open({ policy: full() });
    const many = new Uint32Array(3_000_000);
    const running = net.run(constant('job', 'train'), data.x, data.labels!, many, 0, many.length, false);
    expect(net.isBusy()).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    net.stop();
    const result = await running;
    expect(result.code).toBeNull();
    expect(result.done).toBeGreaterThan(0);
    expect(result.done).toBeLessThan(many.length);
    expect(net.isBusy()).toBe(false);
    expect(net.progress().samples).toBe(result.done);
  });

  it('agrees with the plan made without a net', () => {
    const recipe = { policy: full() }; // a net that looks ahead keeps activations of several samples
    expect(planOf(native, nativeRecipe(recipe, null))).toEqual(open(recipe).plan());
  });

  it('permutes by seed and epoch', () => {
    const order = addon().shuffle(1, 0, 1000);
    expect(Array.from(order).sort((a, b) => a - b)).toEqual(Array.from(identityOrder(1000)));
    expect(addon().shuffle(1, 0, 1000)).toEqual(order);
    expect(addon().shuffle(1, 1, 1000)).not.toEqual(order);
    expect(addon().shuffle(2, 0, 1000)).not.toEqual(order);
  });
});
