// SPDX-License-Identifier: Apache-2.0
// The core against PyTorch's values (tools/make-fixtures.py): every layer and loss, then twenty steps of training.
import { describe, expect, it } from 'vitest';
import { constant } from '../../lib/addon';
import { Model, type ModelJson } from '../../lib/model';
import { momentum, sgd } from '../../lib/optimizer';
import { full } from '../../lib/policy';
import { Totals } from '../../lib/results';
import { layerCases, trainingCases, type FixtureModel, type Tensors, type TrainingRun } from '../fixtures/torch';

/** Relative to the largest value of the tensor. */
const tolerance = 1e-5;

function expectNear(what: string, core: Float32Array, expected: Float32Array): void {
  expect(core.length, what).toBe(expected.length);
  const unit = Math.max(...expected.map(Math.abs));
  const worst = Math.max(...core.map((v, i) => Math.abs(v - expected[i]!)));
  expect(worst / unit, `${what}: largest error, relative`).toBeLessThanOrEqual(tolerance);
}

function open(json: FixtureModel, tensors: Tensors, shapes: Record<string, number[]>): Model {
  const model = Model.fromJSON(json as unknown as ModelJson);
  const size = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);
  const sizes = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, size(shape)]));
  expect(Object.fromEntries(model.tensors().map((t) => [t.name, t.size]))).toEqual(sizes);
  for (const [name, values] of Object.entries(tensors)) model.setTensor(name, values);
  return model;
}

/** Mean loss of a sample. */
function lossOf(result: { totals: Float64Array }): number {
  const totals = new Totals(0);
  totals.add(result.totals);
  return totals.loss;
}

/** Raw outputs and the loss of one sample, nothing learnt. */
function evaluate(model: Model, x: Float32Array, target: number | Float32Array): { output: Float32Array; loss: number } {
  const { net } = model.core;
  const order = new Uint32Array([0]);
  const y = typeof target === 'number' ? new Uint32Array([target]) : target;
  const forward = net.runNow(constant('job', 'forward'), x, null, order, 0, 1, true);
  const scored = net.runNow(constant('job', 'evaluate'), x, y, order, 0, 1, false);
  return { output: forward.outputs, loss: lossOf(scored) };
}

describe('one sample', () => {
  it.each(layerCases().map((c) => [c.name, c] as const))('%s', (_, c) => {
    using model = open(c.model, c.tensors, c.shapes);
    const { output, loss } = evaluate(model, c.input, c.target);
    expectNear('output', output, c.output);
    expect(Math.abs(loss - c.loss)).toBeLessThanOrEqual(tolerance * Math.max(Math.abs(c.loss), 0.1));
    if (!c.gradients) return;
    // One step of plain SGD shows the gradient. A large power of two as learning rate scales it exactly, and makes
    // the rounding of `w - lr g` to a float small beside it.
    const lr = 1024;
    model.configure({ policy: full(), optimizer: sgd({ lr }) });
    expect(model.step(c.input, c.target).loss).toBeCloseTo(loss, 6);
    for (const [name, before] of Object.entries(c.tensors)) {
      const gradient = model.getTensor(name).map((after, i) => (before[i]! - after) / lr);
      const expected = c.gradients[name];
      if (expected) expectNear(`gradient of ${name}`, gradient, expected);
      else expect(gradient.every((g) => g === 0), `${name} is not trained`).toBe(true);
    }
  });
});

function configure(model: Model, { batch, lr, momentum: mu, weightDecay }: TrainingRun): void {
  const optimizer = mu > 0 ? momentum({ lr, mu, weightDecay }) : sgd({ lr, weightDecay });
  model.configure({ policy: full(), optimizer, batch });
}

const cases = trainingCases().flatMap((c) =>
  c.runs.map((r) => [`${c.name}, batch ${r.batch}, momentum ${r.momentum}, decay ${r.weightDecay}`, c, r] as const),
);

describe('twenty steps', () => {
  it.each(cases)('%s', (_, c, run) => {
    using model = open(c.model, c.tensors, c.shapes);
    configure(model, run);
    const labels = Uint32Array.from(c.labels);
    for (let step = 0; step < run.steps; step++) {
      const order = Uint32Array.from({ length: run.batch }, (_, i) => (step * run.batch + i) % labels.length);
      const result = model.core.net.runNow(constant('job', 'train'), c.inputs, labels, order, 0, run.batch, false);
      expect(result.code).toBe(null);
      expect(Math.abs(lossOf(result) / run.losses[step]! - 1)).toBeLessThanOrEqual(tolerance);
    }
    for (const [name, expected] of Object.entries(run.tensors)) expectNear(name, model.getTensor(name), expected);
  });
});
