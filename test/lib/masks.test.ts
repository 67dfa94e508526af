// SPDX-License-Identifier: Apache-2.0
// Masks and those who choose them: Sparse Update, TinyTrain, Velocity.
import { beforeAll, describe, expect, it } from 'vitest';
import { MaskCosts, topRows, type Masks } from '../../lib/masks/mask';
import { schemeMasks, search, sparseUpdate, type Contributions, type Scheme } from '../../lib/masks/sparse-update';
import { fisher, tinyTrain, tinyTrainMasks } from '../../lib/masks/tiny-train';
import { fill, turned, velocity } from '../../lib/masks/velocity';
import { eif, emp, full, loadData, masked, Model, parseModelSpec, sgd, Trainer, type DataSplit, type MaskChooser, type PolicySpec } from '../../lib/index';

let data: DataSplit;
beforeAll(async () => {
  data = await loadData('digits', { limit: 600 });
});

const modelOf = (spec = 'mlp:64-32-24-10'): Model => Model.fromJSON(parseModelSpec(spec, { inputShape: [8, 8, 1], classes: 10 } as never));

async function train(policy: PolicySpec, epochs = 2, spec?: string, batch = 1) {
  const model = modelOf(spec);
  const before = Object.fromEntries(model.tensors().map(({ name }) => [name, model.getTensor(name)]));
  const result = await new Trainer(model, { policy, epochs, batch, optimizer: sgd({ lr: 0.05 }) }).fit({ train: data.train, test: data.test as never }, { evaluateEvery: 'end' });
  const moved = (name: string): boolean[] => {
    const now = model.getTensor(name);
    const old = before[name] as Float32Array;
    const rows = model.tensors().find((t) => t.name === name)?.shape[0] as number;
    const size = now.length / rows;
    return Array.from({ length: rows }, (_, row) => now.subarray(row * size, (row + 1) * size).some((x, i) => x !== old[row * size + i]));
  };
  return { model, result, moved };
}

describe('masked', () => {
  it('trains what it says, and costs what MaskCosts says', async () => {
    const rows = Uint8Array.from({ length: 24 }, (_, row) => (row % 5 === 0 ? 1 : 0));
    const masks: Masks = { fc2: { rows }, fc3: { rows: true, bias: 'all' } };
    const { model, result, moved } = await train(masked({ masks }));
    expect(moved('fc1.weight').some(Boolean)).toBe(false);
    expect(moved('fc1.bias').some(Boolean)).toBe(false);
    expect(moved('fc2.weight').every((row, i) => !row || rows[i] === 1)).toBe(true);
    expect(moved('fc2.bias').every((row, i) => !row || rows[i] === 1)).toBe(true);
    expect(moved('fc2.weight').filter(Boolean).length).toBeGreaterThan(2);
    expect(moved('fc3.weight').every(Boolean)).toBe(true);
    expect(result.effortBackward).toBeCloseTo(new MaskCosts(model).effort(masks), 10);
  });

  it('has the bits of full training when everything trains', async () => {
    for (const batch of [1, 4]) {
      expect((await train(masked(), 1, undefined, batch)).model.weightHash()).toBe((await train(full(), 1, undefined, batch)).model.weightHash());
    }
  });

  it('refuses masks that do not fit', async () => {
    await expect(train(masked({ masks: { nothing: { rows: true } } }))).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE' });
    await expect(train(masked({ masks: { fc1: { rows: new Uint8Array(3) } } }))).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE' });
    expect(() => velocity({ effort: 0 })).toThrow(/effort/);
    expect(() => tinyTrain({ samples: 0 })).toThrow(/samples/);
    expect(() => sparseUpdate({ memory: -1 })).toThrow(/memory/);
  });
});

describe('costs', () => {
  it('counts memory and effort as on paper', () => {
    const costs = new MaskCosts(modelOf());
    // dW 64*32 + 32*24 + 24*10, dX 32*24 + 24*10
    expect(costs.backward).toBe(2048 + 768 + 240 + 768 + 240);
    expect(costs.effort({ fc3: { rows: true } })).toBeCloseTo(240 / 4064, 12);
    expect(costs.effort({ fc2: { rows: topRows(new Array(24).fill(1), 3) }, fc3: { rows: true } })).toBeCloseTo((240 + 240 + 3 * 32) / 4064, 12);
    expect(costs.effort({ fc1: { rows: false, bias: 'all' }, fc3: { rows: true } })).toBeCloseTo((240 + 240 + 768) / 4064, 12);
    expect(costs.memory({ fc2: { rows: topRows(new Array(24).fill(1), 3) }, fc3: { rows: false, bias: 'all' } })).toBe(4 * (32 + 3 * 32 + 3 + 10));
  });

  it('ranks ties by the lower row', () => {
    expect([...topRows([1, 3, 3, 2], 1)]).toEqual([0, 1, 0, 0]);
    expect([...topRows([1, 3, 3, 2], 3)]).toEqual([0, 1, 1, 1]);
  });
});

describe('TinyTrain', () => {
  it('measures the Fisher information that finite differences see', async () => {
    const model = modelOf('mlp:64-6-10');
    const probe = { ...data.train, n: 5, x: data.train.x.subarray(0, 5 * 64), labels: (data.train.labels as Uint32Array).subarray(0, 5) };
    const found = (await fisher(model, probe)).get('fc1') as Float64Array;
    const hash = model.weightHash();
    // Scaling a neuron's output by 1 + e changes the loss by e * sum(a g): relu passes factors on.
    const expected = new Float64Array(6);
    for (let i = 0; i < 5; i++) {
      const one = { ...probe, n: 1, x: probe.x.slice(i * 64, (i + 1) * 64), labels: probe.labels.slice(i, i + 1) };
      for (let o = 0; o < 6; o++) {
        const losses: number[] = [];
        for (const e of [0.02, -0.02]) {
          const copy = Model.fromBytes(model.toBytes());
          const w = copy.getTensor('fc2.weight');
          for (let c = 0; c < 10; c++) w[c * 6 + o] = (w[c * 6 + o] as number) * (1 + e);
          copy.setTensor('fc2.weight', w);
          losses.push((await copy.evaluate(one)).loss);
          copy.close();
        }
        expected[o] = (expected[o] as number) + (((losses[0] as number) - (losses[1] as number)) / 0.04) ** 2 / 10;
      }
    }
    for (let o = 0; o < 6; o++) expect(found[o]).toBeCloseTo(expected[o] as number, 4);
    expect(model.weightHash()).toBe(hash);
  });

  it('takes layers by information for their size and work, and rows by information', () => {
    const costs = new MaskCosts(modelOf());
    const information = new Map([
      ['fc1', Float64Array.from({ length: 32 }, (_, i) => (i === 7 ? 100 : 0.01))],
      ['fc2', Float64Array.from({ length: 24 }, (_, i) => i)],
      ['fc3', new Float64Array(10)],
    ]);
    // fc1: P 100.31, params 2048/2048, work 1; fc2: P 276 / (0.375 * 0.375) is larger: first.
    const masks = tinyTrainMasks(costs, information, { effort: (240 + 240 + 5 * 32) / 4064 });
    expect([...(masks['fc2']?.rows as Uint8Array)].flatMap((on, i) => (on ? [i] : []))).toEqual([19, 20, 21, 22, 23]);
    expect(masks['fc1']).toBeUndefined();
    const more = tinyTrainMasks(costs, information, { effort: 1, memory: 4 * (24 + 240 + 10 + 32 + 24 * 32 + 24 + 64 + 64 + 1) });
    expect([...(more['fc1']?.rows as Uint8Array)].indexOf(1)).toBe(7);
  });

  it('trains within its budget, and says what it spent', async () => {
    const { result } = await train(tinyTrain({ effort: 0.2 }), 6);
    expect(result.effortBackward).toBeGreaterThan(0.15);
    expect(result.effortBackward).toBeLessThanOrEqual(0.2);
    expect(result.totals.macsPolicy).toBe(64 * (3056 + 4064));
    expect(result.accuracy).toBeGreaterThan(0.5);
  });
});

describe('Velocity', () => {
  it('measures the angle a neuron has turned', () => {
    const before = Float32Array.of(1, 1, 0, 2, 1, 0); // two samples of three neurons
    const now = Float32Array.of(2, -1, 0, 4, -1, 5);
    expect(turned(now, before, 3)).toEqual([0, 2, 1].map((x) => expect.closeTo(x, 6)));
    expect(turned(Float32Array.of(0, 0), Float32Array.of(0, 0), 1)).toEqual([0]);
  });

  it('fills its budget in the given order', () => {
    const costs = new MaskCosts(modelOf());
    const order = [{ layer: 'fc3', row: 4 }, { layer: 'fc1', row: 0 }, { layer: 'fc2', row: 9 }, { layer: 'fc2', row: 2 }, { layer: 'fc3', row: 0 }];
    const masks = fill(costs, order, { effort: (24 + 240 + 32 + 24) / 4064 });
    const chosen = (name: string): number[] => [...(masks[name]?.rows as Uint8Array)].flatMap((on, i) => (on ? [i] : []));
    expect(chosen('fc1')).toEqual([]);
    expect(chosen('fc2')).toEqual([9]);
    expect(chosen('fc3')).toEqual([0, 4]);
  });

  it('chooses anew before every epoch, the same from the same seed', async () => {
    const one = await train(velocity({ effort: 0.3 }), 6);
    const again = await train(velocity({ effort: 0.3 }), 6);
    expect(again.model.weightHash()).toBe(one.model.weightHash());
    expect(one.result.effortBackward).toBeLessThanOrEqual(0.3);
    expect(one.result.totals.macsPolicy).toBe(6 * 64 * 3056);
    const chosen = new Set<string>();
    const { begin } = velocity({ effort: 0.16 }).chooser as MaskChooser;
    await train(masked({ chooser: { method: 'watched', when: 'epoch', begin: () => {
      const choose = begin();
      return async (context) => {
        const choice = await choose(context);
        chosen.add(JSON.stringify(choice?.masks));
        return choice;
      };
    } } }), 5);
    expect(chosen.size).toBeGreaterThan(2);
  });

  it('resumes to the same bits, if its memory is there and fits', async () => {
    const recipe = { policy: velocity({ effort: 0.3 }), epochs: 6, optimizer: sgd({ lr: 0.05 }) };
    const part = async (): Promise<Model> => {
      const model = modelOf();
      const stopping = new AbortController();
      const run = new Trainer(model, recipe).fit({ train: data.train }, { chunkMs: 0.05, evaluateEvery: 'never', signal: stopping.signal });
      for await (const event of run) if (event.type === 'progress' && event.epoch >= 4 && event.samples > 100) stopping.abort();
      expect((await run.result).aborted).toBe(true);
      return Model.fromBytes(model.toBytes({ state: true }));
    };
    const go = (model: Model, policy = recipe.policy) => new Trainer(model, { ...recipe, policy }).fit({ train: data.train }, { resume: true, evaluateEvery: 'never' }).result;
    const whole = await train(recipe.policy, 6);
    const again = await part();
    await go(again);
    expect(again.weightHash()).toBe(whole.model.weightHash());
    await expect(part().then((model) => go(model, velocity({ effort: 0.3, samples: 32 })))).rejects.toMatchObject({ code: 'ERR_TINYPROP_MISMATCH', message: expect.stringMatching(/velocity remembers/) as string });
    const { begin } = velocity().chooser as MaskChooser;
    const forgetful = masked({ chooser: { method: 'forgetful', when: 'epoch', begin: () => async (context) => ({ ...(await begin()(context)), memory: undefined } as never) } });
    const without = modelOf();
    await new Trainer(without, { ...recipe, policy: forgetful }).fit({ train: data.train }, { evaluateEvery: 'never' }).result;
    await expect(go(Model.fromBytes(without.toBytes({ state: true })), forgetful)).rejects.toMatchObject({ code: 'ERR_TINYPROP_RECIPE', message: expect.stringMatching(/holds nothing of what forgetful/) as string });
  });
});

describe('Sparse Update', () => {
  const found: Contributions = { bias: [0, 0.01, 0.015], weight: [[0, 0.1, 0.12, 0.13, 0.2], [0, 0.02, 0.05, 0.08, 0.09]] };

  it('finds the best scheme by trying all, and by evolution nearly it', () => {
    const weight = (scheme: Scheme): number => scheme.ratios.reduce((sum, r, i) => sum + [0, 1, 2, 4, 8][r]! * (i + 1), scheme.biases);
    const scheme = search(found, (s) => weight(s) <= 11, 1);
    let best = -1;
    for (let a = 0; a < 5; a++) for (let b = 0; b < 5; b++) for (let n = 1; n <= 3; n++) {
      if (weight({ biases: n, ratios: [a, b] }) <= 11) best = Math.max(best, found.bias[n - 1]! + found.weight[0]![a]! + found.weight[1]![b]!);
    }
    expect(found.bias[scheme.biases - 1]! + found.weight[0]![scheme.ratios[0]!]! + found.weight[1]![scheme.ratios[1]!]!).toBeCloseTo(best, 12);
    // ten layers, a gain for each: a knapsack whose best is to fill it with the cheap ones
    const many: Contributions = { bias: new Array(11).fill(0), weight: Array.from({ length: 10 }, (_, i) => [0, 0.01, 0.02, 0.03, 0.04 + i * 0.001]) };
    const fits = (s: Scheme): boolean => s.ratios.reduce((sum, r) => sum + r * r, 0) <= 40;
    const value = (s: Scheme): number => s.ratios.reduce((sum, r, i) => sum + many.weight[i]![r]!, 0);
    const evolved = search(many, fits, 3);
    expect(fits(evolved)).toBe(true);
    expect(value(evolved)).toBeGreaterThan(0.185); // all at 1/4: 0.2
    expect(search(many, fits, 3)).toEqual(evolved);
  });

  it('trains the last layer, biases from n on, and the channels of the largest norm', () => {
    const { layers } = new MaskCosts(modelOf());
    const norms = layers.map(({ rows }) => Array.from({ length: rows }, (_, i) => i));
    const masks = schemeMasks(layers, norms, { biases: 2, ratios: [1, 0] });
    expect(masks['fc1']).toMatchObject({ bias: 'none' });
    expect([...(masks['fc1']?.rows as Uint8Array)].flatMap((on, i) => (on ? [i] : []))).toEqual([28, 29, 30, 31]);
    expect(masks['fc2']).toMatchObject({ bias: 'all' });
    expect((masks['fc2']?.rows as Uint8Array).some(Boolean)).toBe(false);
    expect(masks['fc3']).toEqual({ rows: true, bias: 'all' });
  });

  it('measures, searches and trains within its budget', async () => {
    const { result } = await train(sparseUpdate({ effort: 0.4, samples: 300, held: 150 }), 4);
    expect(result.effortBackward).toBeLessThanOrEqual(0.4);
    expect(result.effortPolicy).toBeGreaterThan(0);
    expect(result.warnings).toEqual([]);
    expect(result.accuracy).toBeGreaterThan(0.4);
  });
});

describe('EMP and EIF', () => {
  it('train, and count their own work', async () => {
    const channels = await train(emp({ s: 0.25 }), 6);
    expect(channels.result.accuracy).toBeGreaterThan(0.7);
    expect(channels.result.totals.macsPolicy).toBe(6 * 600 * (64 * 32 + 32 * 24));
    const filtered = await train(eif({ rate: 0.4 }), 8);
    expect(Math.abs(filtered.result.trainedFraction - 0.4)).toBeLessThan(0.08);
    expect(filtered.result.totals.passed).toBeGreaterThan(1000);
    expect(filtered.result.effortPolicy).toBeGreaterThan(0.05);
  });
});
