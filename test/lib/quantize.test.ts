// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from 'vitest';
import { Activations } from '../../lib/activations';
import { loadData, type DataSplit, type Dataset } from '../../lib/data';
import { add, avgPool2d, batchNorm, conv1d, conv2d, dense, denseS8, depthwiseConv2d, dequantize, dropout, flatten, globalAvgPool, leakyRelu, maxPool2d, quantize, relu, relu6, sigmoid, tanh, type LayerSpec } from '../../lib/layers';
import { Model } from '../../lib/model';
import { sgd } from '../../lib/optimizer';
import { tinyPropV2 } from '../../lib/policy';
import { quantizationOf, quantizeModel } from '../../lib/quantize';
import { requantOf } from '../../lib/requant';
import { parseModelSpec } from '../../lib/specs';
import { Trainer } from '../../lib/trainer';
import { sharedData } from './data/helpers';
import { failure, numbers, toyData, toyModel } from './toy';

/** Every layer that has an int8 form, a residual sum among them. */
function graphModel(): Model {
  return Model.graph([8, 8, 1], (g, x) => {
    const stem = g.add(relu6(), g.add(batchNorm(), g.add(conv2d({ name: 'stem', units: 8, kernel: 3, padding: 'same', bias: false }), x)));
    const wide = g.add(relu(), g.add(depthwiseConv2d({ name: 'wide', kernel: 3, padding: [1, 1, 1, 1], multiplier: 2 }), stem));
    const narrow = g.add(conv2d({ name: 'narrow', units: 8, kernel: 1 }), wide);
    const sum = g.add(dropout(0.1), g.add(add({ name: 'sum' }), narrow, stem));
    const each = g.add(conv2d({ name: 'each', units: 8, kernel: 3, groups: 8 }), g.add(maxPool2d({ kernel: 2 }), sum));
    const deep = g.add(relu(), g.add(conv2d({ name: 'deep', units: 16, kernel: 2 }), g.add(relu(), each)));
    return g.add(dense(10, { name: 'head' }), g.add(globalAvgPool(), deep));
  });
}

async function trained(model: Model, train: Dataset, epochs: number): Promise<Model> {
  await new Trainer(model, { seed: 1 }).fit({ train }, { epochs }).result;
  return model;
}

const random = (n: number, seed: number): Float32Array => {
  const next = numbers(seed);
  return Float32Array.from({ length: n }, () => 2 * next() - 1);
};

describe('arithmetic', () => {
  it('has the requantisation of the core', () => {
    const next = numbers(5);
    for (let i = 0; i < 200; i++) {
      const [x, y] = [0, 0].map(() => Math.fround(2 ** (40 * next() - 25))) as [number, number];
      const model = Model.sequential({ input: [7], loss: 'mse', layers: [quantize({ scale: x, zero: 3 }), denseS8(4, { scale: y, zero: -5 }), dequantize()] });
      expect(requantOf(x, model.getTensor('denseS81.scale'), y, false)).toEqual(model.getTensorData('denseS81.requant'));
      model.close();
    }
  });

  it('widens ranges to hold 0', () => {
    expect(quantizationOf({ min: 1, max: 2.55 })).toEqual({ scale: Math.fround(0.01), zero: -128 });
    expect(quantizationOf({ min: -2.55, max: -1 })).toEqual({ scale: Math.fround(0.01), zero: 127 });
    expect(quantizationOf({ min: -1.27, max: 1.28 })).toEqual({ scale: Math.fround(0.01), zero: -1 });
    expect(quantizationOf({ min: 0, max: 0 })).toEqual({ scale: 1, zero: -128 });
  });
});

describe('a quantised model', () => {
  let data: DataSplit;
  let train: Dataset;
  let test: Dataset;
  let mlp: Model;
  let cnn: Model;
  beforeAll(async () => {
    data = await loadData('digits');
    train = data.train;
    test = data.test as Dataset;
    mlp = await trained(Model.fromJSON(parseModelSpec('mlp:64-32-10', { inputShape: [8, 8, 1], classes: 10 })), train, 6);
    cnn = await trained(graphModel(), train, 6);
  });
  const samples = (): Float32Array => train.x.subarray(0, 64 * 300);

  it('is within a point of the floats it came from, in less than half of the memory', async () => {
    for (const model of [mlp, cnn]) {
      model.meta = { classes: ['a'] };
      const before = await model.evaluate(test);
      expect(before.accuracy).toBeGreaterThan(0.85);
      const hash = model.weightHash();
      const { model: int8, layers, samples: n } = await quantizeModel(model, samples());
      expect(Math.abs((await int8.evaluate(test)).accuracy - before.accuracy)).toBeLessThan(0.01);
      expect(n).toBe(300);
      expect(int8.meta).toEqual(model.meta);
      expect(model.weightHash()).toBe(hash);
      for (const layer of layers) expect(layer.sqnr).toBeGreaterThan(25);
      expect(int8.plan({ training: false }).inference.arenaBytes).toBeLessThan(0.5 * model.plan({ training: false }).inference.arenaBytes);
    }
  });

  it('keeps names, takes the range of a relu for the layer before it, and shares scales where TensorFlow Lite does', async () => {
    const { model: int8, layers } = await quantizeModel(cnn, samples());
    expect(layers.map(({ node, op, output }) => [node, op, output])).toEqual([
      ['input', 'quantize', 'input'],
      ['stem', 'conv2dS8', 'relu61'],
      ['wide', 'depthwiseConv2dS8', 'relu1'],
      ['narrow', 'conv2dS8', 'narrow'],
      ['sum', 'addS8', 'sum'],
      ['each', 'depthwiseConv2dS8', 'relu2'],
      ['deep', 'conv2dS8', 'relu3'],
      ['head', 'denseS8', 'head'],
    ]);
    expect(layers.filter(({ output }) => output.startsWith('relu')).every(({ min, zero }) => min === 0 && zero === -128)).toBe(true);
    const nodes = int8.toJSON().nodes;
    expect(nodes.map(({ op }) => op).filter((op) => ['batchNorm', 'dropout'].includes(op))).toEqual([]);
    expect(nodes.find(({ name }) => name === 'relu61')).toMatchObject({ op: 'clampS8', max: 6 });
    expect(int8.tensors().find(({ name }) => name === 'wide.weight')?.shape).toEqual([1, 3, 3, 16]);
  });

  it('gives the same bytes again', async () => {
    const [a, b] = [await quantizeModel(cnn, samples()), await quantizeModel(cnn, { ...train, x: samples(), n: 300 })];
    expect(Buffer.from(a.model.toBytes()).equals(b.model.toBytes())).toBe(true);
    expect(a.layers).toEqual(b.layers);
    b.model.threads = 3;
    expect((await b.model.evaluate(test)).loss).toBe((await a.model.evaluate(test)).loss);
  });

  it('survives the model file and JSON, and leaves folding alone', async () => {
    const { model: int8 } = await quantizeModel(cnn, samples());
    const again = Model.fromBytes(int8.toBytes());
    expect(again.weightHash()).toBe(int8.weightHash());
    expect(again.toJSON()).toEqual(int8.toJSON());
    expect(Model.fromJSON(int8.toJSON()).toJSON()).toEqual(int8.toJSON());
    const folded = int8.foldBatchNorm();
    expect(folded.weightHash()).toBe(int8.weightHash());
    expect((await again.predict(test.x)).outputs).toEqual((await int8.predict(test.x)).outputs);
  });

  it('learns on with TinyPropv2', async () => {
    const { model: int8 } = await quantizeModel(mlp, samples());
    const before = await int8.evaluate(test);
    const { accuracy, effortBackward } = await new Trainer(int8, { policy: tinyPropV2(), optimizer: sgd({ lr: 0.005 }), seed: 2 }).fit({ train, test }, { epochs: 5 }).result;
    expect(accuracy).toBeGreaterThanOrEqual(before.accuracy);
    expect(effortBackward).toBeLessThan(0.3);
    expect(int8.getTensorData('fc1.weight')).toBeInstanceOf(Int8Array);
  });

  it('leaves rare values out by percentile', async () => {
    const x = samples().slice();
    x[5] = 1000;
    const [all, most] = [await quantizeModel(mlp, x), await quantizeModel(mlp, x, { percentile: 99.9 })];
    expect(all.layers[0]?.max).toBe(1000);
    expect(most.layers[0]?.max).toBeLessThan(1.5);
    expect((await most.model.evaluate(test)).accuracy).toBeGreaterThan((await all.model.evaluate(test)).accuracy + 0.2);
  });
});

describe('activations', () => {
  it('are those of the whole model, of both kinds', async () => {
    const json = { ...graphModel().toJSON(), loss: 'mse' as const };
    const model = Model.fromJSON(json);
    const x = random(64 * 9, 4);
    const { model: int8 } = await quantizeModel(model, x);
    for (const each of [model, int8]) {
      const activations = new Activations(each);
      const all = await activations.run(x);
      activations.close();
      expect([...all.keys()]).toEqual(['input', ...each.toJSON().nodes.map(({ name }) => name)]);
      expect([...all.values()].at(-1)).toEqual((await each.predict(x)).outputs);
    }
  });
});

describe('quantizeModel', () => {
  it('takes convolutions over time, other poolings, and relus that others read past', async () => {
    const time = Model.sequential({ input: [32, 3], layers: [conv1d({ units: 6, kernel: 5, stride: 2, padding: [2, 1] }), relu(), conv1d({ units: 4, kernel: 3, padding: 'same' }), globalAvgPool(), dense(3)] });
    const paths = Model.graph([6, 6, 2], (g, x) => {
      const a = g.add(conv2d({ name: 'a', units: 4, kernel: 3 }), x);
      return g.add(dense(2), g.add(flatten(), g.add(avgPool2d({ kernel: 2 }), g.add(add(), a, g.add(relu(), a)))));
    });
    for (const model of [time, paths]) {
      const size = model.inputShape.reduce((n, extent) => n * extent, 1);
      const { model: int8, layers } = await quantizeModel(model, random(40 * size, 3));
      expect(int8.inputShape.reduce((n, extent) => n * extent, 1)).toBe(size);
      for (const layer of layers) expect(layer.sqnr).toBeGreaterThan(25);
      if (model === paths) expect(layers.find(({ node }) => node === 'a')).toMatchObject({ output: 'a', op: 'conv2dS8' });
    }
  });

  it('serves regression too', async () => {
    const model = Model.sequential({ input: [6], loss: 'mse', layers: [dense(24), relu(), dense(2)] });
    const x = random(6 * 400, 11);
    const data: Dataset = { name: 'sums', x, n: 400, inputShape: [6], targets: Float32Array.from({ length: 800 }, (_, i) => (x[6 * (i >> 1) + (i & 1)] as number) - (x[6 * (i >> 1) + 3] as number)), targetSize: 2 };
    await trained(model, data, 8);
    const { model: int8 } = await quantizeModel(model, data);
    const [before, after] = [await model.evaluate(data), await int8.evaluate(data)];
    expect(before.loss).toBeLessThan(0.05);
    expect(after.loss).toBeLessThan(before.loss + 0.002);
  });

  it('bears dead rows, large biases and silent layers', async () => {
    const model = Model.sequential({ input: [4], loss: 'mse', layers: [dense(3), relu(), dense(2)] });
    model.setTensor('dense1.weight', Float32Array.of(0, 0, 0, 0, 1e-9, 0, 0, 0, -1, -1, -1, -1));
    model.setTensor('dense1.bias', Float32Array.of(0, 2, -100));
    model.setTensor('dense2.weight', Float32Array.of(0, 0.5, 0, 0, 0, 0));
    const x = random(40, 8);
    const { model: int8 } = await quantizeModel(model, x);
    const [a, b] = [await model.predict(x), await int8.predict(x)];
    b.outputs.forEach((value, i) => expect(Math.abs(value - (a.outputs[i] as number))).toBeLessThan(0.01));
    expect(int8.getTensor('dense1.scale').every((scale) => scale > 0 && Number.isFinite(scale))).toBe(true);
  });

  it('names the node that has no int8 form', async () => {
    const chain = (...layers: LayerSpec[]): Model => Model.sequential({ input: [4, 4, 6], loss: 'mse', layers });
    const cases: [Model, RegExp][] = [
      [chain(conv2d({ units: 2, kernel: 2 }), leakyRelu()), /node "leakyRelu1" \(leakyRelu\)/],
      [chain(sigmoid()), /node "sigmoid1" \(sigmoid\)/],
      [chain(tanh()), /node "tanh1" \(tanh\)/],
      [chain(relu(), batchNorm()), /node "batchNorm1".*folded/],
      [chain(conv2d({ units: 4, kernel: 1, groups: 2 })), /node "conv2d1".*groups/],
      [chain(dropout(0.5)), /node "dropout1"/],
      [chain(quantize({ scale: 1, zero: 0 }), dequantize()), /node "quantize1".*already/],
    ];
    for (const [model, message] of cases) expect((await failure('ERR_TINYPROP_MODEL', () => quantizeModel(model, random(96, 1)))).message).toMatch(message);
  });

  it('checks samples and options', async () => {
    const model = toyModel();
    const { x } = toyData(20);
    await failure('ERR_TINYPROP_SHAPE', () => quantizeModel(model, x.subarray(1)));
    await failure('ERR_TINYPROP_SHAPE', () => quantizeModel(model, new Float32Array(0)));
    await failure('ERR_TINYPROP_SHAPE', () => quantizeModel(model, toyData(20, { size: 6 })));
    await failure('ERR_TINYPROP_ARG', () => quantizeModel(model, [1, 2] as never));
    for (const percentile of [50, 101, NaN]) await failure('ERR_TINYPROP_ARG', () => quantizeModel(model, x, { percentile }));
    const bad = x.slice();
    bad[30] = NaN;
    expect((await failure('ERR_TINYPROP_DATA', () => quantizeModel(model, bad))).message).toContain('sample 2');
    await failure('ERR_TINYPROP_ABORTED', () => quantizeModel(model, x, { signal: AbortSignal.abort() }));
    model.close();
    await failure('ERR_TINYPROP_CLOSED', () => quantizeModel(model, x));
  });
});

const mnist = sharedData('mnist');
describe.skipIf(mnist === undefined)('on MNIST', () => {
  it('cnn-mnist loses less than a point', async () => {
    const { train, test } = await loadData(`idx:${mnist}`, { limit: 3000 });
    const model = await trained(Model.fromJSON(parseModelSpec('cnn-mnist')), train, 2);
    const before = await model.evaluate(test as Dataset);
    const { model: int8 } = await quantizeModel(model, train.x.subarray(0, 200 * 784));
    const after = await int8.evaluate(test as Dataset);
    expect(before.accuracy).toBeGreaterThan(0.9);
    expect(Math.abs(after.accuracy - before.accuracy)).toBeLessThan(0.01);
  }, 120_000);
});

const models = sharedData('models', 'mlcommons_tiny');
describe.skipIf(models === undefined)("TensorFlow Lite's converter", () => {
  it.each(['resnet8_cifar10', 'mobilenetv1_025_vww96'])('made the same weights and scales of the convolutions of %s', async (name) => {
    const [floats, theirs] = await Promise.all(['float', 'int8'].map((type) => Model.load(`${models}/${name}_${type}.tflite`))) as [Model, Model];
    const size = floats.inputShape.reduce((n, extent) => n * extent, 1);
    const { model: ours } = await quantizeModel(floats, random(2 * size, 6));
    const nodes = theirs.toJSON().nodes.filter(({ op }) => /onv2dS8$/.test(op));
    expect(nodes.length).toBeGreaterThanOrEqual(9);
    let [compared, rows] = [0, 0];
    for (const { name: node, op } of nodes) {
      const scales = theirs.getTensor(`${node}.scale`);
      const weights = theirs.getTensorData(`${node}.weight`);
      const taps = weights.length / scales.length;
      // Dead channels: their scale is a matter of bias and input, which depends on the samples. Both sides have them.
      const alive = (o: number): boolean => (scales[o] as number) > 1e-7;
      const kept = <T>(_: T, i: number): boolean => alive(op === 'conv2dS8' ? Math.floor(i / taps) : i % scales.length);
      compared += scales.filter((_, o) => alive(o)).length;
      rows += scales.length;
      expect(ours.getTensor(`${node}.scale`).filter((_, o) => alive(o))).toEqual(scales.filter((_, o) => alive(o)));
      expect(Int8Array.from(ours.getTensorData(`${node}.weight`)).filter(kept)).toEqual(Int8Array.from(weights).filter(kept));
    }
    expect(compared).toBeGreaterThan(rows / 2);
  });
});
