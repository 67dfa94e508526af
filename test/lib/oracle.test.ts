// SPDX-License-Identifier: Apache-2.0
// The core against the oracle, step by step over random nets, recipes and data.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FixtureModel, FixtureNode } from '../fixtures/torch';
import { run, uniform } from '../oracle/arbitrary';
import { graphOf, sizeOf } from '../oracle/graph';
import { NativeCore } from '../oracle/native-core';
import { follow, Oracle, type OracleRecipe, type StepTrace } from '../oracle/oracle';

// A longer search: TINYPROP_ORACLE_RUNS=5000 TINYPROP_ORACLE_SEED=7
const numRuns = Number(process.env['TINYPROP_ORACLE_RUNS'] ?? 400);
const seed = Number(process.env['TINYPROP_ORACLE_SEED'] ?? 1);

describe('core against the oracle', () => {
  it('makes the same decisions bit for bit, and the same weights to the tolerance', () => {
    const seen = { trained: 0, skipped: 0, sparse: 0, ties: 0, nearKink: 0, diverged: 0 };
    fc.assert(
      fc.property(run, ({ model, recipe, tensors, epochs }) => {
        const core = new NativeCore(model, recipe, tensors);
        const oracle = new Oracle(model, recipe);
        follow(core, oracle, epochs);
        for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += oracle.seen[key];
        core.net.close();
      }),
      { seed, numRuns },
    );
    expect(seen.trained).toBeGreaterThan(6 * numRuns);
    expect(seen.skipped).toBeGreaterThan(numRuns);
    expect(seen.sparse).toBeGreaterThan(6 * numRuns);
    expect(seen.ties).toBeGreaterThan(numRuns / 2);
    expect(seen.nearKink).toBeLessThan(seen.trained / 6);
  }, 120_000);
});

const paper: OracleRecipe = {
  policy: 'tinypropv2',
  sMin: 0.1,
  sMax: 0.9,
  zeta: 1,
  ymaxMode: 'fixed',
  ymaxDecay: 0.9995,
  ymaxFixed: 1.2,
  outputDense: false,
  select: 'element',
  dMin: 0,
  dMax: 1,
  tau: 0.5,
  beta: 1,
  alphaMode: 'analytic',
  alphaDecay: 0.9995,
  alphaFixed: 1,
  batch: 1,
  lr: 0.01,
  momentum: 0,
  weightDecay: 0,
};

/** One step of a net with these nodes, followed by the oracle; parameters are random unless given. */
function oneStep(recipe: Partial<OracleRecipe>, input: number[], nodes: FixtureNode[], given: Record<string, number[]> = {}): StepTrace {
  const model: FixtureModel = { format: 'tinyprop-model', version: 1, input, loss: 'softmaxCrossEntropy', nodes };
  const next = uniform(7);
  const fill = (n: number): Float32Array => Float32Array.from({ length: n }, () => next() - 0.5);
  const shapes = graphOf(model).flatMap((g) => Object.entries(g.tensors));
  const tensors = Object.fromEntries(
    shapes.map(([name, shape]) => [name, given[name] ? Float32Array.from(given[name]) : fill(sizeOf(shape))]),
  );
  const all = { ...paper, ...recipe };
  const core = new NativeCore(model, all, tensors);
  let trace: StepTrace | undefined;
  const spy = Object.assign(Object.create(core) as NativeCore, {
    step: (samples: Parameters<NativeCore['step']>[0]) => (trace = core.step(samples)),
  });
  follow(spy, new Oracle(model, all), [[[{ x: fill(sizeOf(input)), target: 0 }]]]);
  core.net.close();
  return trace!;
}

describe('printed examples in the core', () => {
  const head = (units: number): FixtureNode[] => [{ name: 'head', op: 'dense', inputs: ['input'], units }];
  const logits = (...p: number[]) => ({ 'head.weight': p.map(() => 0), 'head.bias': p.map(Math.log) });

  it('reproduces the worked example', () => {
    expect(oneStep({ tau: 0.5 }, [1], head(3), logits(0.7, 0.2, 0.1)).trained).toBe(0);
    const trace = oneStep({ tau: 0.25 }, [1], head(3), logits(0.7, 0.2, 0.1));
    expect(trace.trained).toBe(1);
    expect(trace.alpha).toBeCloseTo(0.6, 6);
    const layer = trace.samples[0]![0]!;
    expect([layer.n, layer.k]).toEqual([3, 1]);
    expect(Array.from(layer.kept, (d) => d !== 0)).toEqual([true, false, false]);
  });

  it('skips at equality: alpha must be above theta times alpha_max', () => {
    expect(oneStep({ tau: 0.5 }, [1], head(2), logits(1, 1))).toMatchObject({ alpha: 1, trained: 0 });
    expect(oneStep({ tau: 0.4999 }, [1], head(2), logits(1, 1)).trained).toBe(1);
  });

  it('keeps 3 of 10 rows for S = .3, and all at Y = Ymax', () => {
    const nodes: FixtureNode[] = [
      { name: 'below', op: 'dense', inputs: ['input'], units: 10 },
      { name: 'head', op: 'dense', inputs: ['below'], units: 3 },
    ];
    const k = (recipe: Partial<OracleRecipe>): number => oneStep(recipe, [4], nodes).samples[0]![1]!.k;
    expect(k({ policy: 'meprop', sMax: 0.3 })).toBe(3);
    expect(k({ policy: 'tinyprop', sMax: 1, ymaxMode: 'running' })).toBe(10);
  });

  it('chooses elements from 72 taps on, channels below, in auto mode', () => {
    const conv = (kernel: [number, number], groups: number): FixtureNode[] => [
      { name: 'conv', op: 'conv2d', inputs: ['input'], units: 4, kernel, groups, padding: 'same' },
      { name: 'flat', op: 'flatten', inputs: ['conv'] },
      { name: 'head', op: 'dense', inputs: ['flat'], units: 3 },
    ];
    const n = (channels: number, kernel: [number, number], groups = 1): number =>
      oneStep({ policy: 'tinyprop', select: 'auto' }, [4, 4, channels], conv(kernel, groups)).samples[0]![1]!.n;
    expect(n(8, [3, 3])).toBe(64);
    expect(n(71, [1, 1])).toBe(4);
    expect(n(72, [1, 1])).toBe(64);
    expect(n(8, [3, 3], 2)).toBe(4);
  });
});
