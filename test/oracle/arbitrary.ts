// SPDX-License-Identifier: Apache-2.0
// Random small nets, recipes and data for the comparison of core and oracle.
import fc from 'fast-check';
import type { FixtureModel, FixtureNode, Tensors } from '../fixtures/torch';
import { graphOf, sizeOf } from './graph';
import type { OracleRecipe, Sample } from './oracle';

export interface Run {
  model: FixtureModel;
  recipe: OracleRecipe;
  tensors: Tensors;
  epochs: Sample[][][];
}

/** Small generator for bulk values, so that fast-check shrinks the structure and not every weight. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const activation = fc.constantFrom('relu', 'relu', 'relu6', 'leakyRelu', 'sigmoid', 'tanh');
const padding = fc.constantFrom<'same' | 'valid'>('same', 'valid');

function act(name: string, input: string, op: string): FixtureNode {
  return { name, op, inputs: [input], ...(op === 'leakyRelu' && { slope: 0.125 }) };
}

/** Dense layers with activations; a residual add in the middle where `residual`. */
const mlp = fc
  .record({
    input: fc.integer({ min: 1, max: 12 }),
    hidden: fc.array(fc.record({ units: fc.integer({ min: 1, max: 14 }), op: activation }), { maxLength: 4 }),
    outputs: fc.integer({ min: 2, max: 11 }),
    residual: fc.boolean(),
    bias: fc.boolean(),
  })
  .map(({ input, hidden, outputs, residual, bias }) => {
    const nodes: FixtureNode[] = [];
    let last = 'input';
    hidden.forEach(({ units, op }, i) => {
      nodes.push({ name: `dense${i}`, op: 'dense', inputs: [last], units, bias });
      nodes.push(act(`act${i}`, `dense${i}`, op));
      last = `act${i}`;
      if (residual && i === 1) {
        nodes.push({ name: 'inner', op: 'dense', inputs: [last], units });
        nodes.push({ name: 'sum', op: 'add', inputs: ['inner', last] });
        last = 'sum';
      }
    });
    nodes.push({ name: 'head', op: 'dense', inputs: [last], units: outputs });
    return { input: [input], nodes };
  });

const convolution = fc.record({
  kind: fc.constantFrom('conv2d', 'conv2d', 'depthwiseConv2d', 'pointwise', 'grouped'),
  units: fc.integer({ min: 1, max: 3 }).map((n) => 2 * n),
  kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
  padding,
  op: activation,
  pool: fc.constantFrom('none', 'none', 'maxPool2d', 'avgPool2d'),
});

/** Two-dimensional convolutions of all kinds, then flatten or a global average, and a dense head. */
const cnn = fc
  .record({
    size: fc.tuple(fc.integer({ min: 5, max: 8 }), fc.integer({ min: 5, max: 8 })),
    channels: fc.constantFrom(1, 2, 4),
    layers: fc.array(convolution, { minLength: 1, maxLength: 3 }),
    global: fc.boolean(),
    outputs: fc.integer({ min: 2, max: 6 }),
  })
  .map(({ size, channels, layers, global, outputs }) => {
    const nodes: FixtureNode[] = [];
    let last = 'input';
    let even = channels % 2 === 0;
    layers.forEach((layer, i) => {
      const { kind, units, stride } = layer;
      const node: FixtureNode = { name: `conv${i}`, op: 'conv2d', inputs: [last], kernel: layer.kernel, stride, units, padding: layer.padding };
      if (i > 0) Object.assign(node, { stride: [1, 1], padding: 'same' });
      if (kind === 'depthwiseConv2d') Object.assign(node, { op: kind, multiplier: 1, units: undefined });
      if (kind === 'pointwise') node.kernel = [1, 1];
      if (kind === 'grouped' && even) node.groups = 2;
      if (kind !== 'depthwiseConv2d') even = true;
      nodes.push(JSON.parse(JSON.stringify(node)) as FixtureNode, act(`act${i}`, node.name, layer.op));
      last = `act${i}`;
      if (layer.pool !== 'none') {
        nodes.push({ name: `pool${i}`, op: layer.pool, inputs: [last], kernel: [2, 2], stride: [1, 1], padding: 'same' });
        last = `pool${i}`;
      }
    });
    nodes.push({ name: 'flat', op: global ? 'globalAvgPool' : 'flatten', inputs: [last] });
    nodes.push({ name: 'head', op: 'dense', inputs: ['flat'], units: outputs });
    return { input: [...size, channels], nodes };
  });

const cnn1d = fc
  .record({
    time: fc.integer({ min: 6, max: 16 }),
    channels: fc.integer({ min: 1, max: 4 }),
    layers: fc.array(
      fc.record({
        units: fc.integer({ min: 1, max: 6 }),
        kernel: fc.integer({ min: 1, max: 4 }),
        stride: fc.integer({ min: 1, max: 2 }),
        op: activation,
      }),
      { minLength: 1, maxLength: 2 },
    ),
    outputs: fc.integer({ min: 2, max: 6 }),
  })
  .map(({ time, channels, layers, outputs }) => {
    const nodes: FixtureNode[] = [];
    let last = 'input';
    layers.forEach(({ op, ...fields }, i) => {
      nodes.push({ name: `conv${i}`, op: 'conv1d', inputs: [last], padding: i > 0 ? 'same' : 'valid', ...fields });
      nodes.push(act(`act${i}`, `conv${i}`, op));
      last = `act${i}`;
    });
    nodes.push({ name: 'flat', op: 'flatten', inputs: [last] });
    nodes.push({ name: 'head', op: 'dense', inputs: ['flat'], units: outputs });
    return { input: [time, channels], nodes };
  });

const share = fc.constantFrom(0, 0.05, 0.1, 0.3, 0.5, 1);

const recipe = fc
  .record({
    policy: fc.constantFrom<OracleRecipe['policy']>('full', 'dense', 'meprop', 'tinyprop', 'tinypropv2', 'tinypropv2', 'tinypropv2'),
    s: fc.tuple(share, share),
    zeta: fc.constantFrom(1, 1, 0.9, 0.5, 0.77),
    ymaxMode: fc.constantFrom<OracleRecipe['ymaxMode']>('running', 'decay', 'epoch', 'fixed', 'analytic'),
    ymaxDecay: fc.constantFrom(0.9995, 0.9, 0.5),
    ymaxFixed: fc.constantFrom(0.25, 1, 2),
    outputDense: fc.boolean(),
    select: fc.constantFrom<OracleRecipe['select']>('element', 'channel', 'auto'),
    tau: fc.constantFrom(0.1, 0.25, 0.3, 0.5, 0.7),
    beta: fc.constantFrom(1, 1, 0.8, 3),
    d: fc.constantFrom<[number, number]>([0, 1], [0, 1], [0.1, 0.95], [0.05, 2]),
    alphaMode: fc.constantFrom<OracleRecipe['alphaMode']>('analytic', 'running', 'decay', 'fixed'),
    alphaDecay: fc.constantFrom(0.9995, 0.95, 0.7),
    alphaFixed: fc.constantFrom(0.5, 1.5, 3),
    batch: fc.constantFrom(1, 1, 1, 3, 4),
    lr: fc.constantFrom(0.01, 0.05, 0.2),
    momentum: fc.constantFrom(0, 0, 0.9, 0.5),
    weightDecay: fc.constantFrom(0, 0, 0.02),
  })
  .map(({ s, d, ...rest }) => ({ ...rest, sMin: Math.min(...s), sMax: Math.max(...s, 0.02), dMin: d[0], dMax: d[1] }));

/** Weights and inputs: random, or multiples of 1/4 in which equal errors and exact zeros are common. */
function fill(length: number, next: () => number, coarse: boolean, scale: number): Float32Array {
  return Float32Array.from({ length }, () => {
    const v = (2 * next() - 1) * scale;
    return coarse ? Math.round(v * 4) / 4 : v;
  });
}

function dataOf(model: FixtureModel, batch: number, seed: number, coarse: boolean, epochs: number, steps: number) {
  const next = uniform(seed);
  const graph = graphOf(model);
  const tensors: Tensors = {};
  for (const g of graph) {
    for (const [name, shape] of Object.entries(g.tensors)) {
      const fanIn = name.endsWith('.weight') ? sizeOf(shape.slice(1)) : 16;
      tensors[name] = fill(sizeOf(shape), next, coarse, coarse ? 0.6 : Math.sqrt(3 / fanIn));
    }
  }
  const outputs = sizeOf(graph[graph.length - 1]!.out);
  const sample = (): Sample => {
    const x = fill(sizeOf(model.input), next, coarse, 1.5);
    if (model.loss === 'softmaxCrossEntropy') return { x, target: Math.floor(next() * outputs) };
    const target = Float32Array.from({ length: outputs }, () => (model.loss === 'bce' ? Math.round(next()) : 2 * next() - 1));
    return { x, target };
  };
  // Few samples, seen again and again: they become easy, and some are skipped.
  const pool = Array.from({ length: 6 }, sample);
  const pick = (): Sample => pool[Math.floor(next() * pool.length)]!;
  // The last batch of an epoch is a short one.
  const size = (s: number): number => (s === steps - 1 ? Math.ceil(batch / 2) : batch);
  const all = Array.from({ length: epochs }, () =>
    Array.from({ length: steps }, (_, s) => Array.from({ length: size(s) }, pick)),
  );
  return { tensors, epochs: all };
}

/** A random net with its recipe, initial weights and batches. */
export const run: fc.Arbitrary<Run> = fc
  .record({
    body: fc.oneof({ weight: 3, arbitrary: mlp }, { weight: 2, arbitrary: cnn }, { weight: 1, arbitrary: cnn1d }),
    loss: fc.constantFrom<FixtureModel['loss']>('softmaxCrossEntropy', 'softmaxCrossEntropy', 'bce', 'mse'),
    recipe,
    seed: fc.integer({ min: 0, max: 0xffffffff }),
    coarse: fc.boolean(),
    frozen: fc.constantFrom(-1, -1, -1, 0, 1),
    steps: fc.integer({ min: 2, max: 12 }),
  })
  .map(({ body, loss, recipe: r, seed, coarse, frozen, steps }) => {
    const model: FixtureModel = { format: 'tinyprop-model', version: 1, input: body.input, loss, nodes: body.nodes };
    const layers = graphOf(model).filter((g) => g.layer > 0);
    if (frozen >= 0 && frozen < layers.length - 1) layers[frozen]!.node.frozen = true;
    // MSE has no analytic bound of alpha.
    const chosen: OracleRecipe = { ...r, alphaMode: loss === 'mse' && r.alphaMode === 'analytic' ? 'decay' : r.alphaMode };
    return { model, recipe: chosen, ...dataOf(model, r.batch, seed, coarse, 2, steps) };
  });
