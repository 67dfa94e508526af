// SPDX-License-Identifier: Apache-2.0
// Proves the oracle itself: the printed examples of docs/ALGORITHM.md, PyTorch's values, a plain implementation it must
// accept, and damaged ones it must refuse.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layerCases, trainingCases } from '../fixtures/torch';
import { run as anyRun, type Run } from './arbitrary';
import { Controller, keptElements, type PolicyParams, rowsOf, shareOf, thetaOf, topK } from './controller';
import { channelScores, f32, sumAbs } from './f32';
import { graphOf } from './graph';
import { backward, lossOf, type Params, type Values } from './ops';
import { type Core, follow, inputsOf, Oracle, type OracleRecipe, run, type StepTrace, toF64 } from './oracle';
import { ReferenceCore } from './reference-core';

const base: PolicyParams = {
  policy: 'tinypropv2',
  sMin: 0.1,
  sMax: 1,
  zeta: 1,
  ymaxMode: 'running',
  ymaxDecay: 0.9995,
  ymaxFixed: 1.2,
  outputDense: false,
  dMin: 0,
  dMax: 1,
  tau: 0.5,
  beta: 1,
  alphaMode: 'analytic',
  alphaDecay: 0.9995,
  alphaFixed: 2,
};
const controller = (params: Partial<PolicyParams>, layers = 1, outputs = 3): Controller =>
  new Controller({ ...base, ...params }, layers, 'softmaxCrossEntropy', outputs);
const f32s = (...values: number[]): Float32Array => Float32Array.from(values);

describe('controller', () => {
  it('reproduces the worked example', () => {
    const delta = f32s(-0.3, 0.2, 0.1);
    expect(sumAbs(delta)).toBe(f32(0.6));
    const own = controller({ sMin: 0.1, sMax: 0.9, ymaxMode: 'fixed' });
    expect(shareOf(sumAbs(delta), f32(1.2), 0.1, 0.9, 1)).toBeCloseTo(0.5, 6);
    const budget = own.budget(1, 3, delta);
    expect(budget.k).toBe(1);
    expect(keptElements(delta, budget.k, 0)).toEqual([true, false, false]);
    expect(controller({ tau: 0.5 }).decide(sumAbs(delta))).toBe(false);
    expect(controller({ tau: 0.25 }).decide(sumAbs(delta))).toBe(true);
  });

  it('gives 3 of 10 rows for S = .3', () => expect(rowsOf(f32(0.3), 10)).toBe(3));

  it('keeps every row at Y = Ymax with S_max 1 and zeta 1', () => {
    fc.assert(
      fc.property(
        fc.float({ min: 0, max: 1, noNaN: true }),
        fc.float({ min: Math.fround(1e-30), max: Math.fround(1e30), noNaN: true }),
        fc.integer({ min: 1, max: 100_000 }),
        (sMin, y, n) => rowsOf(shareOf(y, y, sMin, 1, 1), n) === n,
      ),
      { seed: 1, numRuns: 2000 },
    );
  });

  it('adds |delta| in eight partials and a halving tree', () => {
    // 1 + 2^-24 rounds to 1, so the order of the additions shows.
    const tiny = 2 ** -24;
    expect(sumAbs(f32s(1, tiny, tiny))).toBe(1); // (1 + tiny) + ..., tiny and tiny never meet
    expect(sumAbs(f32s(1, 0, 0, 0, 0, 0, 0, 0, tiny, 0, 0, 0, 0, 0, 0, 0, tiny))).toBe(1); // all in lane 0
    expect(sumAbs(f32s(1, tiny, 0, tiny))).toBe(1 + 2 * tiny); // lanes 1 and 3 meet before lane 0
    expect(sumAbs(f32s(1, 0, 0, 0, 0, tiny, 0, 0, 0, tiny))).toBe(1 + 2 * tiny); // lanes 1 and 5, too
    expect(sumAbs(f32s(-1, 2, -3))).toBe(6);
    expect(channelScores(f32s(1, -2, -3, 4), 2)).toEqual(f32s(4, 6));
  });

  it('keeps the largest, ties to the lower index, zeros never', () => {
    expect(topK(f32s(1, 3, 3, 2), 2)).toEqual([1, 2]);
    expect(topK(f32s(2, 1, 2, 2), 2)).toEqual([0, 2]);
    expect(topK(f32s(0, 0, 5, 0), 3)).toEqual([2]);
    expect(keptElements(f32s(1, 0, -3, 2), 1, 2)).toEqual([true, false, true, false]);
    expect(keptElements(f32s(1, 2, -1, 0), 1, 2)).toEqual([true, false, true, false]); // equal scores
    expect(keptElements(f32s(0, 0), 2, 2)).toEqual([false, false]);
  });

  it('damps by zeta, multiplied from layer L down', () => {
    const own = controller({ sMin: 1, sMax: 1, zeta: 0.7, ymaxMode: 'fixed' }, 3);
    const ones = new Float32Array(1000).fill(1e-4);
    expect([3, 2, 1].map((l) => own.budget(l, 1000, ones).k)).toEqual([1000, 700, 489]);
  });

  it('follows Ymax in every mode', () => {
    const feed = (mode: PolicyParams['ymaxMode'], layers = 1): number[] => {
      const own = controller({ ymaxMode: mode, ymaxDecay: 0.5 }, layers);
      const seen = [4, 1, 0, 3].map((y) => own.budget(1, 1, f32s(y)).ymax);
      own.epochBegin();
      return [...seen, own.budget(1, 1, f32s(1)).ymax];
    };
    expect(feed('running')).toEqual([4, 4, 4, 4, 4]);
    expect(feed('decay')).toEqual([4, 2, 1, 3, 1.5]);
    expect(feed('epoch')).toEqual([4, 4, 4, 4, 1]);
    expect(feed('fixed')).toEqual(Array(5).fill(f32(1.2)));
    expect(feed('analytic')).toEqual([2, 2, 2, 2, 2]);
    expect(feed('analytic', 2)).toEqual([4, 4, 4, 4, 4]); // only layer L has a bound
  });

  it('keeps no row of a zero error, and one row at least of any other', () => {
    for (const policy of ['meprop', 'tinyprop', 'tinypropv2'] as const) {
      expect(controller({ policy }).budget(1, 5, new Float32Array(5)).k).toBe(0);
      expect(controller({ policy, sMin: 0, sMax: 0 }, 2).budget(1, 5, f32s(0, 1, 0, 0, 0)).k).toBe(1);
    }
    expect(controller({ policy: 'meprop', sMax: 0.4 }).budget(1, 5, f32s(0, 1, 0, 0, 0)).k).toBe(5); // layer L
    expect(controller({ policy: 'full' }).budget(1, 5, new Float32Array(5)).k).toBe(5);
  });

  it('lets a skipped sample lower alpha_max, but not a trained one below its alpha', () => {
    const own = controller({ alphaMode: 'decay', alphaDecay: 0.5, tau: 0.5 });
    expect([4, 0.5, 0.5, 0.5].map((alpha) => own.decide(alpha))).toEqual([true, false, false, true]);
    const never = controller({ alphaMode: 'running', tau: 0.5 });
    expect([4, 0.5, 0.5, 0.5].map((alpha) => never.decide(alpha))).toEqual([true, false, false, false]);
    expect(own.alphaMax).toBe(0.5);
  });

  it('rounds theta after every operation', () => {
    expect(thetaOf({ tau: 0.5, beta: 1, dMin: 0, dMax: 1 })).toBe(0.5);
    expect(thetaOf({ tau: 0.3, beta: 0.9, dMin: 0.1, dMax: 0.8 })).toBe(
      f32(f32(f32(f32(0.3) / f32(0.9)) - f32(0.1)) / f32(f32(0.8) - f32(0.1))),
    );
    // "train iff alpha > theta * alpha_max": equality does not train
    expect(controller({ tau: 0.5 }).decide(1)).toBe(false);
  });
});

describe('float64 net against PyTorch', () => {
  it.each(layerCases().map((c) => [c.name, c] as const))('%s', (_, c) => {
    const graph = graphOf(c.model);
    const shapes = Object.assign({}, ...graph.map((g) => g.tensors)) as Record<string, number[]>;
    expect(shapes).toEqual(c.shapes);
    const params = toF64(c.tensors);
    const pass = run(graph, params, c.input);
    const { loss, delta } = lossOf(c.model.loss, pass.values[graph.length - 1]!, c.target);
    expect(loss).toBeCloseTo(c.loss, 12);
    near(pass.values[graph.length - 1]!, c.output);
    if (!c.gradients) return;
    const errors: Values[] = [];
    errors[graph.length - 1] = delta;
    const gradients: Params = {};
    for (let i = graph.length - 1; i >= 0; i--) {
      const result = backward(graph[i]!, params, inputsOf(graph[i]!, pass), errors[i]!, errors[i]!);
      Object.assign(gradients, result.gradients);
      graph[i]!.inputs.forEach((input, n) => {
        if (input >= 0) errors[input] = result.dx[n]!.map((v, j) => v + (errors[input]?.[j] ?? 0));
      });
    }
    for (const [name, expected] of Object.entries(c.gradients)) near(gradients[name]!, expected);
  });
});

/** Float64 against float64 rounded to float32. */
function near(own: Values, expected: Float32Array): void {
  expect(own.length).toBe(expected.length);
  const unit = Math.max(...expected.map(Math.abs));
  own.forEach((v, i) => expect(Math.abs(v - expected[i]!)).toBeLessThanOrEqual(1e-7 * unit));
}

describe('oracle', () => {
  it('follows PyTorch through twenty steps', () => {
    for (const c of trainingCases()) {
      for (const r of c.runs) {
        const recipe: OracleRecipe = { ...base, policy: 'full', select: 'element', ...r };
        const core = new ReferenceCore(c.model, recipe, copy(c.tensors));
        const length = c.inputs.length / c.labels.length;
        const sample = (i: number) => ({ x: c.inputs.slice(i * length, (i + 1) * length), target: c.labels[i]! });
        const at = (s: number, i: number): number => (s * r.batch + i) % c.labels.length;
        const steps = Array.from({ length: r.steps }, (_, s) => Array.from({ length: r.batch }, (_, i) => sample(at(s, i))));
        follow(core, new Oracle(c.model, recipe), [steps]);
        for (const [name, expected] of Object.entries(r.tensors)) {
          const unit = Math.max(...expected.map(Math.abs));
          core.tensors()[name]!.forEach((v, i) => expect(Math.abs(v - expected[i]!)).toBeLessThanOrEqual(2e-6 * unit));
        }
      }
    }
  });

  it('accepts a plain implementation on random runs, and sees every kind of event', () => {
    const seen = { trained: 0, skipped: 0, sparse: 0, ties: 0, nearKink: 0, diverged: 0 };
    fc.assert(
      fc.property(anyRun, (r) => {
        const oracle = new Oracle(r.model, r.recipe);
        follow(new ReferenceCore(r.model, r.recipe, copy(r.tensors)), oracle, r.epochs);
        for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += oracle.seen[key];
      }),
      { seed: 2, numRuns: 150 },
    );
    expect(seen.trained).toBeGreaterThan(1000);
    expect(seen.skipped).toBeGreaterThan(200);
    expect(seen.sparse).toBeGreaterThan(1000);
    expect(seen.ties).toBeGreaterThan(100);
    expect(seen.nearKink).toBeLessThan(seen.trained / 6);
  });

  const damages: Record<string, (trace: StepTrace, core: DamagedCore) => void> = {
    'k off by one': (t) => void t.samples[0]?.forEach((l) => l.k++),
    'Ymax one bit off': (t) => void t.samples[0]?.forEach((l) => (l.ymax = nextUp(l.ymax))),
    'sum |delta| one bit off': (t) => void t.samples[0]?.forEach((l) => (l.l1 = nextUp(l.l1))),
    'a kept element dropped': (t) => void t.samples[0]?.forEach((l) => l.kept.set([0], l.kept.findIndex((d) => d !== 0))),
    'a delta that is wrong': (t) => void t.samples[0]?.forEach((l) => l.delta.set([l.delta[0]! + 1], 0)),
    'a trained sample reported as skipped': (t) => void ((t.samples = []), (t.trained = 0)),
    'a layer not visited': (t) => void t.samples[0]?.pop(),
    'a wrong loss': (t) => void (t.loss += 1e-3),
    'a weight of an update 1 % off': (_, core) => core.shift('head.weight', 0.01),
    'a row that was not selected moved by one bit': (_, core) => core.nudge('head.weight'),
  };

  it.each(Object.entries(damages))('refuses %s', (name, damage) => {
    const core = new DamagedCore(damage);
    expect(() => follow(core, new Oracle(core.model, damagedRecipe), core.epochs), name).toThrow(/oracle:/);
    const whole = new ReferenceCore(core.model, damagedRecipe, core.start());
    expect(() => follow(whole, new Oracle(core.model, damagedRecipe), core.epochs), 'undamaged').not.toThrow();
  });
});

const copy = (tensors: Run['tensors']): Run['tensors'] =>
  Object.fromEntries(Object.entries(tensors).map(([name, values]) => [name, values.slice()]));

function nextUp(value: number): number {
  const bits = new Uint32Array(f32s(value).buffer);
  bits[0]!++;
  return new Float32Array(bits.buffer)[0]!;
}

const damagedRecipe: OracleRecipe = {
  ...base,
  tau: 0.05,
  sMin: 0.3,
  sMax: 0.5,
  select: 'auto',
  batch: 1,
  lr: 0.1,
  momentum: 0,
  weightDecay: 0,
};

/** The reference with one fault in it. */
class DamagedCore implements Core {
  readonly model: Run['model'] = {
    format: 'tinyprop-model',
    version: 1,
    input: [4],
    loss: 'softmaxCrossEntropy',
    nodes: [
      { name: 'below', op: 'dense', inputs: ['input'], units: 6 },
      { name: 'act', op: 'tanh', inputs: ['below'] },
      { name: 'head', op: 'dense', inputs: ['act'], units: 5 },
    ],
  };
  readonly epochs = [[[{ x: f32s(1, -0.5, 0.25, 0.75), target: 3 }]]];
  private readonly inner: ReferenceCore;
  private before: Run['tensors'] = {};
  private after: Run['tensors'] = {};

  constructor(private readonly damage: (trace: StepTrace, core: DamagedCore) => void) {
    this.inner = new ReferenceCore(this.model, damagedRecipe, this.start());
    this.after = this.inner.tensors();
  }

  start(): Run['tensors'] {
    const wave = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * i + n));
    return { 'below.weight': wave(24), 'below.bias': wave(6), 'head.weight': wave(30), 'head.bias': wave(5) };
  }

  epochBegin(): void {
    this.inner.epochBegin();
  }

  step(samples: Parameters<Core['step']>[0]): StepTrace {
    this.before = this.inner.tensors();
    const trace = this.inner.step(samples);
    this.after = this.inner.tensors();
    this.damage(trace, this);
    return trace;
  }

  tensors(): Run['tensors'] {
    return this.after;
  }

  /** Makes the update of a tensor larger by that share. */
  shift(name: string, share: number): void {
    this.after[name] = this.after[name]!.map((v, i) => v + share * (v - this.before[name]![i]!));
  }

  /** Moves the first value that did not change. */
  nudge(name: string): void {
    const at = this.after[name]!.findIndex((v, i) => v === this.before[name]![i]);
    expect(at).toBeGreaterThanOrEqual(0);
    this.after[name]![at] = nextUp(this.after[name]![at]!);
  }
}
