// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { addon } from '../../lib/addon';
import { add, batchNorm, conv1d, conv2d, dense, depthwiseConv2d, flatten, globalAvgPool, maxPool2d, relu, relu6 } from '../../lib/layers';
import { Model, type ModelJson } from '../../lib/model';
import { momentum, sgd } from '../../lib/optimizer';
import { full, tinyPropV2 } from '../../lib/policy';
import { Trainer } from '../../lib/trainer';
import { failure, numbers, toyData, toyModel } from './toy';

const folder = mkdtempSync(join(tmpdir(), 'tinyprop-model-'));
afterAll(() => rmSync(folder, { recursive: true }));

const data = toyData(300);
const x = data.x.subarray(0, 12);

/** Residual, depthwise, normalised: everything a graph can hold. */
function graphModel(): Model {
  return Model.graph([8, 8, 3], (g, input) => {
    const stem = g.add(conv2d({ units: 8, kernel: 3, stride: 2, padding: 'same', bias: false }), input);
    const trunk = g.add(relu6(), g.add(batchNorm(), stem));
    const wide = g.add(depthwiseConv2d({ name: 'dw', kernel: [3, 1], padding: [1, 1, 0, 0], multiplier: 2 }), trunk);
    const narrow = g.add(conv2d({ units: 8, kernel: 1, groups: 4, init: 'glorotUniform' }), g.add(relu(), wide));
    const sum = g.add(add(), narrow, trunk);
    return g.add(dense(5), g.add(globalAvgPool(), g.add(maxPool2d({ kernel: 2 }), sum)));
  });
}

describe('descriptions', () => {
  it('name layers by operation and number', () => {
    expect(toyModel().toJSON().nodes.map(({ name, inputs }) => [name, ...inputs])).toEqual([
      ['dense1', 'input'],
      ['relu1', 'dense1'],
      ['dense2', 'relu1'],
      ['relu2', 'dense2'],
      ['dense3', 'relu2'],
    ]);
  });

  it('survive JSON and the model file', () => {
    const model = graphModel();
    const json = model.toJSON();
    expect(json.nodes.find((node) => node.name === 'dw')).toEqual({
      name: 'dw',
      op: 'depthwiseConv2d',
      inputs: ['relu61'],
      multiplier: 2,
      kernel: [3, 1],
      stride: [1, 1],
      padding: [1, 1, 0, 0],
      bias: true,
      init: 'heUniform',
    });
    expect(Model.fromJSON(JSON.parse(JSON.stringify(json)) as ModelJson).toJSON()).toEqual(json);
    expect(Model.fromBytes(model.toBytes()).toJSON()).toEqual(json);
    expect(model.toJSON().nodes[0]?.['kernel']).not.toBe(json.nodes[0]?.['kernel']); // a copy each
    expect(model).toMatchObject({ inputShape: [8, 8, 3], outputSize: 5, loss: 'softmaxCrossEntropy', hasState: false });
    expect(model.parameterCount).toBe(3 * 3 * 3 * 8 + 4 * 8 + (3 * 16 + 16) + (16 / 4) * 8 + 8 + 8 * 5 + 5);
  });

  it('of every rank', () => {
    const time = Model.sequential({ input: [20, 3], loss: 'mse', layers: [conv1d({ units: 4, kernel: 5, stride: 2, padding: [2, 2] }), flatten(), dense(2)] });
    expect(time.toJSON().nodes[0]).toMatchObject({ kernel: 5, stride: 2, padding: [2, 2] });
    expect(Model.fromBytes(time.toBytes()).toJSON()).toEqual(time.toJSON());
    expect(time.plan().nodes[0]).toMatchObject({ inputShape: [20, 3], outputShape: [10, 4] });
  });

  it.each([
    [{ format: 'other' }, 'ERR_TINYPROP_MODEL', '"format": "tinyprop-model"'],
    [{ version: 2 }, 'ERR_TINYPROP_VERSION', '"version": 1, found 2'],
    [{ loss: 'hinge' }, 'ERR_TINYPROP_MODEL', 'loss: expected softmaxCrossEntropy, bce or mse, found "hinge"'],
    [{ input: [] }, 'ERR_TINYPROP_MODEL', 'input: expected 1 to 3 positive integers, found []'],
    [{ input: [0] }, 'ERR_TINYPROP_MODEL', 'input: expected 1 to 3 positive integers'],
    [{ input: [1, 1, 1, 1] }, 'ERR_TINYPROP_MODEL', 'input'],
    [{ nodes: [] }, 'ERR_TINYPROP_MODEL', 'nodes: expected at least one'],
    [{ nodes: [{ name: '', op: 'relu', inputs: ['input'] }] }, 'ERR_TINYPROP_MODEL', 'node 0: name'],
    [{ nodes: [{ name: 'input', op: 'relu', inputs: ['input'] }] }, 'ERR_TINYPROP_MODEL', 'node 0: name'],
    [{ nodes: [{ name: 'é'.repeat(16), op: 'relu', inputs: ['input'] }] }, 'ERR_TINYPROP_MODEL', '1 to 31 bytes'],
    [{ nodes: [{ name: 'a', op: 'gelu', inputs: ['input'] }] }, 'ERR_TINYPROP_MODEL', 'node "a": op: expected one of dense'],
    [{ nodes: [{ name: 'a', op: 'constructor', inputs: ['input'] }] }, 'ERR_TINYPROP_MODEL', 'node "a": op'],
    [{ nodes: [{ name: 'a', op: 'relu', inputs: ['b'] }] }, 'ERR_TINYPROP_MODEL', 'inputs: expected names of earlier nodes'],
    [{ nodes: [{ name: 'a', op: 'relu', inputs: ['a'] }] }, 'ERR_TINYPROP_MODEL', 'inputs: expected names of earlier nodes'],
    [{ nodes: [{ name: 'a', op: 'relu', inputs: ['input', 'input'] }] }, 'ERR_TINYPROP_MODEL', 'inputs: expected 1 name'],
    [{ nodes: [{ name: 'a', op: 'add', inputs: ['input'] }] }, 'ERR_TINYPROP_MODEL', 'inputs: expected 2 names'],
    [{ nodes: [{ name: 'a', op: 'dense', inputs: ['input'] }] }, 'ERR_TINYPROP_MODEL', 'node "a" (dense): units: expected an integer of at least 1'],
    [{ nodes: [{ name: 'a', op: 'dense', inputs: ['input'], units: 2.5 }] }, 'ERR_TINYPROP_MODEL', 'found 2.5'],
    [{ nodes: [{ name: 'a', op: 'dense', inputs: ['input'], units: 2, unit: 3 }] }, 'ERR_TINYPROP_MODEL', 'unknown attribute "unit"'],
    [{ nodes: [{ name: 'a', op: 'dense', inputs: ['input'], units: 2, bias: 1 }] }, 'ERR_TINYPROP_MODEL', 'bias: expected true or false'],
    [{ nodes: [{ name: 'a', op: 'dense', inputs: ['input'], units: 2, init: 'zeros' }] }, 'ERR_TINYPROP_MODEL', 'init'],
    [{ nodes: [{ name: 'a', op: 'dropout', inputs: ['input'], rate: 1 }] }, 'ERR_TINYPROP_MODEL', 'rate: expected a number from 0 to below 1, found 1'],
    [{ nodes: [{ name: 'a', op: 'conv2d', inputs: ['input'], units: 1, kernel: [3], padding: 'same' }] }, 'ERR_TINYPROP_MODEL', 'kernel: expected 2 integers'],
    [{ nodes: [{ name: 'a', op: 'conv2d', inputs: ['input'], units: 1, kernel: 3, padding: 'full' }] }, 'ERR_TINYPROP_MODEL', 'padding: expected "same", "valid" or 4 integers'],
    [{ nodes: [{ name: 'a', op: 'conv2d', inputs: ['input'], units: 1, kernel: 3, padding: [1] }] }, 'ERR_TINYPROP_MODEL', 'padding'],
  ] as [object, 'ERR_TINYPROP_MODEL', string][])('refuses %j', async (change, code, message) => {
    const json = { ...toyModel().toJSON(), ...change } as ModelJson;
    expect((await failure(code, () => Model.fromJSON(json))).message).toContain(message);
  });

  it('names node, attributes and input when shapes do not fit', async () => {
    const layers = [conv2d({ units: 4, kernel: 3 }), conv2d({ units: 4, kernel: [7, 1] })];
    const error = await failure('ERR_TINYPROP_SHAPE', () => Model.sequential({ input: [8, 8, 1], layers }));
    expect(error.message).toContain('node "conv2d2" (conv2d, units 4, kernel [7,1], stride [1,1], padding "valid", groups 1) on 6x6x4');
    expect(error.details['node']).toBe('conv2d2');
    const sum = await failure('ERR_TINYPROP_SHAPE', () => Model.graph([4], (g, input) => g.add(add(), input, g.add(dense(3), input))));
    expect(sum.message).toContain('on 4 and 3');
  });

  it('guards the graph builder', async () => {
    await failure('ERR_TINYPROP_MODEL', () => Model.graph([4], (g, input) => { g.add(dense(3, { name: 'a' }), input); return g.add(relu({ name: 'a' }), input); }));
    await failure('ERR_TINYPROP_MODEL', () => Model.graph([4], (g) => g.add(dense(3), { name: 'elsewhere' })));
    await failure('ERR_TINYPROP_MODEL', () => Model.graph([4], (g, input) => { const a = g.add(dense(3), input); g.add(dense(2), input); return a; }));
    await failure('ERR_TINYPROP_MODEL', () => Model.graph([4], (_, input) => input));
  });
});

describe('weights', () => {
  it('come from the seed, once', () => {
    const model = toyModel();
    const first = model.weightHash();
    model.configure({ seed: 1 });
    expect(model.weightHash()).toBe(first);
    model.configure({ seed: 2 });
    expect(model.weightHash()).not.toBe(first);
    model.configure({ seed: 1 });
    model.step(x, 0);
    const trained = model.weightHash();
    model.configure({ seed: 3 });
    expect(model.weightHash()).toBe(trained);
  });

  it('are read and written by name', async () => {
    const model = toyModel();
    expect(model.tensors()[0]).toEqual({ name: 'dense1.weight', dtype: 'f32', shape: [16, 12], size: 192 });
    const values = Float32Array.from({ length: 192 }, (_, i) => i);
    const hash = model.weightHash();
    model.setTensor('dense1.weight', values);
    expect(model.getTensor('dense1.weight')).toEqual(values);
    expect(model.weightHash()).not.toBe(hash);
    const copy = model.getTensor('dense1.weight');
    copy[0] = 99;
    expect(model.getTensor('dense1.weight')[0]).toBe(0);
    expect((await failure('ERR_TINYPROP_ARG', () => model.getTensor('dense9.weight'))).message).toContain('dense1.weight');
    await failure('ERR_TINYPROP_SHAPE', () => model.setTensor('dense1.weight', new Float32Array(3)));
    await failure('ERR_TINYPROP_ARG', () => model.setTensor('dense1.weight', new Float64Array(192) as never));
    expect((await failure('ERR_TINYPROP_DATA', () => model.setTensor('dense1.weight', values.map((v) => (v === 7 ? NaN : v))))).message).toContain('value 7');
    expect(model.getTensor('dense1.weight')).toEqual(values);
  });

  it('stay where they are when frozen', async () => {
    const model = toyModel();
    await new Trainer(model).fit({ train: data }, { epochs: 1 });
    model.freeze({ allButLast: 1 });
    const kept = model.getTensor('dense2.weight');
    const head = model.getTensor('dense3.weight');
    const result = await new Trainer(model, { policy: full() }).fit({ train: data }, { epochs: 1 });
    expect(model.getTensor('dense2.weight')).toEqual(kept);
    expect(model.getTensor('dense3.weight')).not.toEqual(head);
    expect(result.effortBackward).toBe(1);
    expect(model.toJSON().nodes.map((node) => node.frozen)).toEqual([true, undefined, true, undefined, undefined]);
    expect(Model.fromBytes(model.toBytes()).toJSON()).toEqual(model.toJSON());
    await failure('ERR_TINYPROP_ARG', () => model.freeze(['nobody']));
    await failure('ERR_TINYPROP_MODEL', () => model.freeze(['relu1']));
    await failure('ERR_TINYPROP_ARG', () => model.freeze({ allButLast: 0 }));
    await failure('ERR_TINYPROP_ARG', () => model.freeze({ allButLast: 4 }));
    const named = toyModel();
    named.freeze(['dense2']);
    const before = named.getTensor('dense2.bias');
    await new Trainer(named).fit({ train: data }, { epochs: 1 });
    expect(named.getTensor('dense2.bias')).toEqual(before);
  });

  it('of the body stay when the head is replaced', async () => {
    const model = toyModel();
    await new Trainer(model).fit({ train: data }, { epochs: 1 });
    const body = model.getTensor('dense1.weight');
    model.replaceHead(7);
    expect(model.outputSize).toBe(7);
    expect(model.getTensor('dense1.weight')).toEqual(body);
    expect(model.tensors().at(-1)).toMatchObject({ name: 'dense3.bias', shape: [7] });
    expect(model.getTensor('dense3.weight').some((w) => w !== 0)).toBe(true);
    await new Trainer(model).fit({ train: toyData(200, { classes: 7 }) }, { epochs: 1 });
    await failure('ERR_TINYPROP_ARG', () => model.replaceHead(0));
    const trained = model.getTensor('dense3.weight');
    model.replaceHead(7);
    expect(model.getTensor('dense3.weight')).not.toEqual(trained);
    expect(model.getTensor('dense3.bias')).toEqual(new Float32Array(7));
    expect(model.getTensor('dense1.weight')).not.toEqual(body); // trained meanwhile, and kept
  });

  it('train again after unfreeze', async () => {
    const model = toyModel();
    model.freeze({ allButLast: 1 });
    model.unfreeze();
    expect(model.toJSON()).toEqual(toyModel().toJSON());
    const body = model.getTensor('dense1.weight');
    await new Trainer(model).fit({ train: data }, { epochs: 1 });
    expect(model.getTensor('dense1.weight')).not.toEqual(body);
  });

  it('fold batch normalisation without changing the outputs', async () => {
    const model = graphModel();
    const next = numbers(3);
    for (const part of ['gamma', 'beta', 'mean', 'variance']) {
      model.setTensor(`batchNorm1.${part}`, Float32Array.from({ length: 8 }, () => next() + 0.2));
    }
    model.meta = { classes: ['a'] };
    const folded = model.foldBatchNorm();
    expect(folded.toJSON().nodes.map((node) => node.op)).not.toContain('batchNorm');
    expect(folded.toJSON().nodes[0]).toMatchObject({ name: 'conv2d1', bias: true });
    expect(folded.meta).toEqual(model.meta);
    const sample = Float32Array.from({ length: 192 }, () => next() - 0.5);
    const [a, b] = [await model.predict(sample), await folded.predict(sample)];
    for (let i = 0; i < 5; i++) expect(b.outputs[i]).toBeCloseTo(a.outputs[i]!, 5);
    const kept = Model.graph([4, 4, 1], (g, input) => g.add(flatten(), g.add(add(), g.add(batchNorm(), g.add(conv2d({ name: 'c', units: 1, kernel: 1 }), input)), { name: 'c' })));
    expect(kept.foldBatchNorm().toJSON()).toEqual(kept.toJSON());
  });
});

describe('steps', () => {
  it('tell what they did', () => {
    const model = toyModel();
    model.configure({ policy: tinyPropV2({ tau: 0.3 }), optimizer: sgd({ lr: 0.05 }) });
    const plan = model.plan();
    let skipped = 0;
    for (let i = 0; i < 900; i++) {
      const before = i % 100 === 0 ? model.weightHash() : '';
      const at = (i % data.n) * 12;
      const result = model.step(data.x.subarray(at, at + 12), data.labels![i % data.n]!);
      expect(result.macs.forward).toBe(plan.macsForward);
      expect(result.k.length).toBe(3);
      if (result.trained) {
        expect(result.n).toEqual([16, 16, 4]);
        expect(result.k[2]).toBe(4);
        expect(result.macs.dw + result.macs.dx).toBeGreaterThan(0);
        expect(result.macs.worked).toBeLessThanOrEqual(result.macs.dw + result.macs.dx);
      } else {
        skipped++;
        expect(result).toMatchObject({ k: [0, 0, 0], n: [0, 0, 0], correct: true, macs: { dw: 0, dx: 0, worked: 0 } });
        if (before !== '') expect(model.weightHash()).toBe(before);
      }
    }
    expect(skipped).toBeGreaterThan(300);
  });

  it('take the default recipe unasked, targets and numbers', async () => {
    const model = toyModel();
    expect(model.step(x, 1)).toMatchObject({ trained: true });
    expect(model.hasState).toBe(true);
    const values = Model.sequential({ input: [12], loss: 'mse', layers: [dense(1)] });
    const first = values.step(x, 0.5).loss;
    expect(values.step(x, Float32Array.of(0.5)).loss).toBeLessThan(first);
    const bits = Model.sequential({ input: [12], loss: 'bce', layers: [dense(3)] });
    expect(bits.step(x, 2).loss).toBeGreaterThan(0);
    await failure('ERR_TINYPROP_LABEL', () => bits.step(x, 3));
  });

  it('refuse what does not fit and change nothing', async () => {
    const model = toyModel();
    model.configure();
    const hash = model.weightHash();
    expect((await failure('ERR_TINYPROP_LABEL', () => model.step(x, 4))).message).toContain('from 0 to 3, found 4');
    await failure('ERR_TINYPROP_LABEL', () => model.step(x, 1.5));
    await failure('ERR_TINYPROP_LABEL', () => model.step(x, new Float32Array(4)));
    expect((await failure('ERR_TINYPROP_SHAPE', () => model.step(data.x.subarray(0, 5), 0))).message).toContain('expected 12 elements, found 5');
    await failure('ERR_TINYPROP_DATA', () => model.step(x.map(() => NaN), 0));
    model.configure({ optimizer: sgd({ lr: 1e30 }), policy: full() });
    const error = await failure('ERR_TINYPROP_LOSS', () => { for (let i = 0; i < 20; i++) model.step(x, i % 4); });
    expect(error.message).toMatch(/learning rate 1e\+30 is probably too high/);
    model.configure({ batch: 4 });
    expect((await failure('ERR_TINYPROP_RECIPE', () => model.step(x, 0))).message).toContain('batch 4');
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('say so when the schedule has ended', async () => {
    const model = toyModel();
    await new Trainer(model).fit({ train: data }, { epochs: 1 });
    expect((await failure('ERR_TINYPROP_RECIPE', () => model.step(x, 0))).message).toContain('ended at batch 300 of 300');
    expect((await failure('ERR_TINYPROP_RECIPE', () => model.learn([{ x, y: 0 }]))).message).toContain('configure() the model');
    model.configure();
    model.step(x, 0);
  });

  it('learn from a stream', async () => {
    const model = toyModel();
    const byStep = toyModel();
    model.configure({ policy: full() });
    byStep.configure({ policy: full() });
    async function* stream(): AsyncGenerator<{ x: Float32Array; y: number }> {
      for (let i = 0; i < data.n; i++) yield { x: data.x.subarray(i * 12, i * 12 + 12), y: data.labels![i]! };
    }
    let seen = 0;
    const summary = await model.learn(stream(), { onStep: () => seen++ });
    expect(summary).toMatchObject({ samples: 300, trained: 300, aborted: false });
    expect(seen).toBe(300);
    for (let i = 0; i < data.n; i++) byStep.step(data.x.subarray(i * 12, i * 12 + 12), data.labels![i]!);
    expect(model.weightHash()).toBe(byStep.weightHash());
    const abort = new AbortController();
    const stopped = await model.learn(stream(), { signal: abort.signal, onStep: () => ++seen === 310 && abort.abort() });
    expect(stopped).toMatchObject({ samples: 10, aborted: true });
    const error = await failure('ERR_TINYPROP_LABEL', () => model.learn([{ x, y: 0 }, { x, y: 8 }]));
    expect(error.message).toContain('sample 1 of the stream');
    model.step(x, 0);
  });

  it('of an endless stream leave the loop free and can be joined by predictions', async () => {
    const model = toyModel();
    const abort = new AbortController();
    function* endless(): Generator<{ x: Float32Array; y: number }> {
      for (;;) yield { x, y: 0 };
    }
    const running = model.learn(endless(), { signal: abort.signal });
    await failure('ERR_TINYPROP_BUSY', () => model.learn([]));
    await failure('ERR_TINYPROP_BUSY', () => model.step(x, 0));
    expect((await model.predict(x)).outputs.length).toBe(4);
    setTimeout(() => abort.abort(), 30);
    expect((await running).samples).toBeGreaterThan(100);
  });
});

describe('predictions and evaluations', () => {
  it('of many samples equal those of one', async () => {
    const model = toyModel({ hidden: 128 });
    const all = await model.predict(data.x);
    expect(all).toMatchObject({ n: 300, size: 4 });
    const list = await model.predict([data.x.subarray(36, 48), data.x.subarray(0, 12)]);
    expect(list.outputs.slice(0, 4)).toEqual(all.outputs.slice(12, 16));
    expect(list.argmax(1)).toBe(all.argmax(0));
    expect((await model.predict(data.x.slice(0, 12))).argmax()).toBe(all.argmax(0));
    const evaluation = await model.evaluate(data);
    const right = Array.from(data.labels!).filter((label, i) => all.argmax(i) === label).length;
    expect(evaluation.accuracy).toBe(right / 300);
    expect(evaluation.confusion!.map((row) => row.reduce((a, b) => a + b, 0))).toEqual([0, 1, 2, 3].map((c) => data.labels!.filter((y) => y === c).length));
    const loss = Array.from(data.labels!).reduce((sum, label, i) => sum - Math.log(all.outputs[i * 4 + label]!), 0) / 300;
    expect(evaluation.loss).toBeCloseTo(loss, 4);
  });

  it('refuse what does not fit', async () => {
    const model = toyModel();
    await failure('ERR_TINYPROP_SHAPE', () => model.predict(new Float32Array(13)));
    await failure('ERR_TINYPROP_SHAPE', () => model.predict(new Float32Array(0)));
    expect((await failure('ERR_TINYPROP_SHAPE', () => model.predict([x, x.subarray(1)]))).message).toContain('sample 1');
    await failure('ERR_TINYPROP_ARG', () => model.predict('x' as never));
    const bad = data.x.slice();
    bad[12 * 9] = NaN;
    expect((await failure('ERR_TINYPROP_DATA', () => model.predict(bad))).message).toContain('sample 9');
    expect((await failure('ERR_TINYPROP_DATA', () => model.evaluate({ ...data, x: bad }))).message).toContain('sample 9');
    await failure('ERR_TINYPROP_ABORTED', () => model.evaluate(data, { signal: AbortSignal.abort() }));
    expect((await model.predict([])).n).toBe(0);
  });
});

describe('the model file', () => {
  it('depends on nothing but what it holds', async () => {
    const files: Uint8Array[] = [];
    for (let i = 0; i < 2; i++) {
      const model = toyModel();
      await new Trainer(model, { optimizer: momentum() }).fit({ train: data }, { epochs: 1, chunkMs: i === 0 ? 0.1 : 50 });
      model.meta = i === 0 ? { b: 1, a: { d: [1], c: null } } : { a: { c: null, d: [1] }, b: 1 };
      files.push(model.toBytes({ state: true }));
    }
    expect(files[0]).toEqual(files[1]);
  });

  it('keeps metadata and sections it does not know', async () => {
    const model = toyModel();
    model.meta = { classes: ['a', 'ä'], normalization: { mean: [0.25] } };
    const path = join(folder, 'a.tpm');
    await model.save(path, { meta: { note: 'x' } });
    const loaded = await Model.load(path);
    expect(loaded.meta).toEqual({ ...model.meta, note: 'x' });
    expect(loaded.weightHash()).toBe(model.weightHash());
    const strange = { tag: 'zzzz', data: Uint8Array.of(7, 8, 9, 10, 11) };
    const foreign = Model.fromBytes(model.core.net.save(1, [strange]));
    const again = addon().readBlob(foreign.toBytes());
    expect(again.sections).toContainEqual(strange);
    expect(again.sections.map((section) => section.tag)).not.toContain('META');
    expect(Model.fromBytes(foreign.toBytes()).toBytes()).toEqual(foreign.toBytes());
    await failure('ERR_TINYPROP_ARG', () => model.toBytes({ meta: { f: () => 0 } }));
    await failure('ERR_TINYPROP_ARG', () => model.toBytes({ meta: { a: { b: [NaN] } } }).length);
    await failure('ERR_TINYPROP_MODE', () => model.save(path, { state: true }));
    expect((await Model.load(path)).meta).toEqual(loaded.meta);
  });

  it('is whole or not there', async () => {
    const model = toyModel();
    const error = await failure('ERR_TINYPROP_FILE', () => model.save(join(folder, 'no', 'such', 'folder.tpm')));
    expect(error.message).toContain('folder.tpm');
    await model.save(join(folder, 'b.tpm'));
    await failure('ERR_TINYPROP_FILE', () => model.save(folder));
    expect(readdirSync(folder).sort()).toEqual(['a.tpm', 'b.tpm']);
  });

  it('is not trusted', async () => {
    const path = join(folder, 'b.tpm');
    const bytes = readFileSync(path);
    expect((await failure('ERR_TINYPROP_FILE', () => Model.load(join(folder, 'missing.tpm')))).message).toContain('missing.tpm');
    writeFileSync(path, bytes.subarray(0, 100));
    expect((await failure('ERR_TINYPROP_BLOB', () => Model.load(path))).message).toContain('b.tpm');
    bytes[200] = bytes[200]! ^ 1;
    writeFileSync(path, bytes);
    await failure('ERR_TINYPROP_CRC', () => Model.load(path));
    await failure('ERR_TINYPROP_ARG', () => Model.fromBytes('x' as never));
    await failure('ERR_TINYPROP_BLOB', () => Model.fromBytes(new Uint8Array(0)));
    const garbled = toyModel().core.net.save(1, [{ tag: 'META', data: Uint8Array.of(0x7b, 0xff) }]);
    expect((await failure('ERR_TINYPROP_BLOB', () => Model.fromBytes(garbled))).message).toContain('META');
    const list = toyModel().core.net.save(1, [{ tag: 'META', data: new TextEncoder().encode('[1]') }]);
    await failure('ERR_TINYPROP_BLOB', () => Model.fromBytes(list));
  });
});

describe('the plan', () => {
  it('adds up', () => {
    const model = graphModel();
    const plan = model.plan();
    expect(plan.parameters).toBe(model.parameterCount);
    expect(plan.flashBytes).toBe(model.toBytes().length);
    for (const ram of [plan.inference, plan.training!]) {
      expect(ram.params).toBeGreaterThanOrEqual(4 * plan.parameters);
      expect(ram.arenaBytes).toBeGreaterThanOrEqual(ram.params + ram.state + ram.grad + ram.acts + ram.scratch);
    }
    expect(plan.inference).toMatchObject({ state: 0, grad: 0 });
    expect(plan.training!.acts).toBeGreaterThan(plan.inference.acts);
    expect(plan.nodes.reduce((sum, node) => sum + node.macs.forward, 0)).toBe(plan.macsForward);
    expect(plan.nodes.reduce((sum, node) => sum + node.macs.dw + node.macs.dx, 0)).toBe(plan.macsBackward);
    expect(plan.nodes.filter((node) => node.layer !== null).map((node) => node.name)).toEqual(['conv2d1', 'dw', 'conv2d2', 'dense1']);
    expect(plan.nodes.find((node) => node.name === 'dw')).toMatchObject({ select: 'channel', selectable: 16, outputShape: [4, 4, 16] });
    expect(model.plan({ training: false }).training).toBeUndefined();
    expect(model.plan({ recipe: { batch: 8 } }).training!.grad).toBeGreaterThan(0);
    expect(plan.training!.grad).toBe(0);
  });
});

describe('a closed model', () => {
  it('refuses everything', async () => {
    const model = toyModel();
    model.configure();
    {
      using disposed = model;
      expect(disposed).toBe(model);
    }
    for (const call of [() => model.step(x, 0), () => model.predict(x), () => model.evaluate(data), () => model.toBytes(), () => model.weightHash(), () => model.configure(), () => model.plan(), () => model.tensors(), () => model.save(join(folder, 'c.tpm')), () => model.learn([])]) {
      await failure('ERR_TINYPROP_CLOSED', call);
    }
    expect(model.toJSON().nodes.length).toBe(5);
  });
});
