// SPDX-License-Identifier: Apache-2.0
// @ts-check
// Fine-tuning of int8 models against that of the same models in floats, on real data; docs/INT8.md has the results.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fail, integer, parse, root, say, table } from './tools.mjs';

const usage = `usage: node bench/int8-finetune.mjs --data DIR [--cifar DIR] [--task NAME,...] [--seeds N] [--json]
  --json   a line of JSON a run on the standard output; the tables go to the other one
  --data   has models/mlcommons_tiny, models/mobilenetv2_w035_imagenet, speech_commands/mfcc49x10, flowers102
  --cifar  has the .bin files of CIFAR-10 (default: cifar10 under --data)`;
const options = parse(
  { data: { type: 'string' }, cifar: { type: 'string' }, task: { type: 'string' }, seeds: { type: 'string' }, json: { type: 'boolean', default: false } },
  usage,
);
const folder = options.data ?? fail(`--data is missing\n${usage}`);
const cifar = options.cifar ?? join(folder, 'cifar10');
const seeds = integer('--seeds', options.seeds, 3, 1, 20);

/** @type {typeof import('../lib/index')} */
const tinyprop = await import(pathToFileURL(join(root, 'dist', 'esm.mjs')).href);
const { full, loadData, loadModel, Model, quantizeModel, readNpy, sgd, tinyPropV2, Trainer } = tinyprop;

/** @typedef {import('../lib/index').Model} Model */
/** @typedef {import('../lib/index').Dataset} Dataset */
/** @typedef {import('../lib/index').RecipeOptions} RecipeOptions */
/** @typedef {import('../lib/index').NodeJson} NodeJson */
/** @typedef {{ train: Dataset, test: Dataset, float: Model, int8: Model | null }} Start int8: null: `float` is quantised after its head's training */
/** @typedef {{ title: string, start: () => Promise<Start>, head?: { classes: number, epochs: number, lr: number }, freeze?: string[], epochs: number, lr: number,
 *   unscaled: number[], sparse: import('../lib/index').TinyPropV2Options }} Task */

/**
 * The samples `rows` of a data set, in this order.
 * @param {Pick<Dataset, 'x' | 'inputShape'>} data
 * @param {number[]} rows
 * @param {(row: number) => number} labelOf
 * @returns {Dataset}
 */
function pick({ x, inputShape }, rows, labelOf) {
  const size = inputShape.reduce((product, extent) => product * extent, 1);
  const out = new Float32Array(rows.length * size);
  rows.forEach((row, i) => out.set(x.subarray(row * size, (row + 1) * size), i * size));
  return { name: 'bench', inputShape, n: rows.length, x: out, labels: Uint32Array.from(rows, labelOf) };
}

/** Operations of int8 models as those of floats; quantize and dequantize go. @type {Readonly<Record<string, string>>} */
const floatOps = { denseS8: 'dense', conv2dS8: 'conv2d', depthwiseConv2dS8: 'depthwiseConv2d', maxPool2dS8: 'maxPool2d', avgPool2dS8: 'avgPool2d', addS8: 'add', flatten: 'flatten' };

/**
 * The model of floats whose weights are those of an int8 model, as reals.
 * @param {Model} int8
 */
function dequantised(int8) {
  const json = int8.toJSON();
  /** @type {Map<string, string>} where a node of the int8 model is found here */
  const names = new Map([['input', 'input']]);
  /** @type {Map<string, number>} */
  const scales = new Map();
  /** @type {NodeJson[]} */
  const nodes = [];
  /** @type {[string, Float32Array][]} */
  const tensors = [];
  const weighted = new Set(int8.tensors().map(({ name }) => name));
  for (const { name, op, scale, zero, max, inputs, ...rest } of json.nodes) {
    const [source] = /** @type {[string]} */ (inputs);
    scales.set(name, Number(scale ?? scales.get(source)));
    if (op === 'quantize' || op === 'dequantize') {
      names.set(name, String(names.get(source)));
      continue;
    }
    names.set(name, name);
    nodes.push({ ...rest, name, inputs: inputs.map((input) => String(names.get(input))), op: op === 'clampS8' ? (max === 6 ? 'relu6' : 'relu') : String(floatOps[op]) });
    if (!weighted.has(`${name}.weight`)) continue;
    const [weight, bias, scaleOf] = ['weight', 'bias', 'scale'].map((part) => int8.getTensorData(`${name}.${part}`));
    if (weight === undefined || bias === undefined || scaleOf === undefined) throw new Error(`${name} lacks a tensor`);
    const rows = scaleOf.length;
    const length = weight.length / rows;
    const at = (/** @type {number} */ i) => (op === 'depthwiseConv2dS8' ? (i % length) * rows + Math.floor(i / length) : i); // there rows are not contiguous
    tensors.push([`${name}.weight`, Float32Array.from(weight, (_, i) => Number(weight[at(i)]) * Number(scaleOf[Math.floor(i / length)]))]);
    tensors.push([`${name}.bias`, Float32Array.from(bias, (b, o) => b * Number(scaleOf[o]) * Number(scales.get(source)))]);
  }
  const model = Model.fromJSON({ ...json, nodes });
  for (const [name, values] of tensors) model.setTensor(name, values);
  return model;
}

/** @param {string} name */
async function mlperf(name) {
  const int8 = await Model.load(join(folder, 'models', 'mlcommons_tiny', name));
  return { int8, float: dequantised(int8) };
}

/** MFCC of the 12 classes of MLPerf Tiny, reals, and what the index says of each clip. */
async function keywords() {
  const at = join(folder, 'speech_commands', 'mfcc49x10');
  const { scale, zero_point: zero } = JSON.parse(readFileSync(join(at, 'meta.json'), 'utf8'));
  const { data } = await readNpy(join(at, 'kws12_x_i8.npy'));
  const x = Float32Array.from(/** @type {Int8Array} */ (data), (q, i) => scale[i % 10] * (q - zero[i % 10]));
  const clips = readFileSync(join(at, 'kws12_index.csv'), 'utf8').trim().split('\n').slice(1).map((line) => {
    const [word = '', file = '', label, split] = line.split(',');
    return { word, file, label: Number(label), test: split === 'test' };
  });
  return { x, inputShape: [49, 10, 1], clips };
}

/** Speakers that the model's makers did not have, with 30 clips or more: every second clip of each is for training. @returns {Promise<Start>} */
async function newSpeakers() {
  const { clips, ...data } = await keywords();
  /** @type {Map<string, number[]>} */
  const of = new Map();
  clips.forEach(({ word, file }, i) => {
    const speaker = file.slice(0, 8);
    if (!word.startsWith('_')) of.set(speaker, [...(of.get(speaker) ?? []), i]);
  });
  const known = [...of.values()].filter((rows) => rows.length >= 30);
  const half = (/** @type {number} */ part) => pick(data, known.flatMap((rows) => rows.filter((_, i) => i % 2 === part)), (row) => Number(clips[row]?.label));
  return { ...(await mlperf('dscnn_kws12_int8.tflite')), train: half(0), test: half(1) };
}

const digits = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];

/** Ten words that the model knows as "unknown" at most; speakers of test clips are not in the training set. @returns {Promise<Start>} */
async function newWords() {
  const { clips, ...data } = await keywords();
  const labelOf = (/** @type {number} */ i) => digits.indexOf(String(clips[i]?.file.split('_')[0]));
  const part = (/** @type {boolean} */ test) => pick(data, [...clips.keys()].filter((i) => clips[i]?.word === '_unknown_' && labelOf(i) >= 0 && clips[i]?.test === test), labelOf);
  return { ...(await mlperf('dscnn_kws12_int8.tflite')), train: part(false), test: part(true) };
}

/**
 * 2,000 images of CIFAR-10 to train with and as many to test, in the units of the file of ResNet8, 0 to 255.
 * @param {boolean} turned by 90 degrees: a camera that was mounted the other way
 * @returns {Promise<Start>}
 */
async function images(turned) {
  const { train, test } = await loadData(`cifar10:${cifar}`, { normalize: 'none', limit: 2000 });
  const part = (/** @type {Dataset} */ data, /** @type {number} */ n) => {
    const out = pick(data, Array.from({ length: n }, (_, i) => i), (i) => Number(data.labels?.[i]));
    const from = out.x.map((value) => Math.round(value * 255));
    const to = (/** @type {number} */ pixel) => (turned ? (pixel % 32) * 32 + 31 - Math.floor(pixel / 32) : pixel);
    from.forEach((value, i) => (out.x[i - (i % 3072) + 3 * to(Math.floor((i % 3072) / 3)) + (i % 3)] = value));
    return out;
  };
  return { ...(await mlperf('resnet8_cifar10_int8.tflite')), train: part(train, 2000), test: part(/** @type {Dataset} */ (test), 2000) };
}

/** @returns {Promise<Start>} */
async function flowers() {
  const { train, test } = await loadData(`images:${join(folder, 'flowers102')}`, { normalize: 'none' });
  if (test === undefined) return fail('flowers102 has no test images');
  for (const data of [train, test]) data.x.forEach((value, i) => (data.x[i] = 2 * value - 1));
  const file = join(folder, 'models', 'mobilenetv2_w035_imagenet', 'mbv2-w0.35-f32.safetensors');
  const float = await loadModel(`mobilenetv2:0.35,${file}`, { inputShape: train.inputShape, classes: 102 }, { seed: 1 });
  return { train, test, float, int8: null };
}

/** Learning rates are those that suit f32 best, out of 1e-4 to 1e-2; `unscaled` has some of its own to choose from. @type {Readonly<Record<string, Task>>} */
const tasks = {
  'kws-speakers': {
    title: 'DS-CNN (12 words), new speakers', start: newSpeakers,
    epochs: 5, lr: 2e-4, unscaled: [10, 100, 1000], sparse: { select: 'element' },
  },
  'kws-words': {
    title: 'DS-CNN, ten new words', start: newWords, head: { classes: 10, epochs: 20, lr: 0.01 },
    epochs: 30, lr: 3e-3, unscaled: [100, 1000, 3000], sparse: { select: 'element', sMin: 0.05, tau: 0.15 },
  },
  resnet8: {
    title: 'ResNet8, new head, CIFAR-10', start: () => images(false), head: { classes: 10, epochs: 8, lr: 0.02 }, freeze: ['conv2d1'],
    epochs: 4, lr: 2e-4, unscaled: [10, 100], sparse: { select: 'element', sMin: 0.02, sMax: 0.4, tau: 0.2 },
  },
  'resnet8-turned': {
    title: 'ResNet8, CIFAR-10 turned by 90 degrees', start: () => images(true), freeze: ['conv2d1'],
    epochs: 6, lr: 3e-4, unscaled: [10, 100], sparse: { select: 'element', sMin: 0.02, sMax: 0.35, tau: 0.3 },
  },
  mobilenetv2: {
    title: 'MobileNetV2-0.35, new head, Flowers-102', start: flowers, head: { classes: 102, epochs: 8, lr: 0.01 },
    epochs: 6, lr: 3e-4, unscaled: [10, 100, 1000], sparse: { select: 'element', sMin: 0.02, sMax: 0.7 },
  },
};

/** @typedef {{ name: string, arithmetic: 'float' | 'int8', sparse: boolean, int8?: import('../lib/index').Int8Update }} Method */

/** @type {Method[]} */
const methods = [
  { name: 'f32, full', arithmetic: 'float', sparse: false },
  { name: 'f32, TinyPropv2', arithmetic: 'float', sparse: true },
  { name: 'int8, TinyPropv2, fraction', arithmetic: 'int8', sparse: true, int8: { rounding: 'fraction' } },
  { name: 'int8, TinyPropv2, stochastic', arithmetic: 'int8', sparse: true, int8: { rounding: 'stochastic' } },
  { name: 'int8, TinyPropv2, residual', arithmetic: 'int8', sparse: true, int8: { rounding: 'residual' } },
  { name: 'int8, TinyPropv2, unscaled', arithmetic: 'int8', sparse: true, int8: { scaled: false } },
];

/** @typedef {{ task: string, method: string, lr: number, seed: number, before: number, after: number, effortBackward: number, effortTotal: number, seconds: number }} Run */

/**
 * Trains the new head alone, if the task has one; every seed has a head of its own.
 * @param {Task} task
 * @param {Start} from
 * @param {number} seed
 * @returns {Promise<{ float: Model, int8: Model }>}
 */
async function withHead({ head, freeze }, from, seed) {
  const headed = async (/** @type {Model} */ start) => {
    const model = Model.fromBytes(start.toBytes());
    if (head !== undefined) {
      const recipe = { policy: full(), optimizer: sgd({ lr: head.lr }), seed };
      model.configure({ seed });
      model.replaceHead(head.classes);
      model.freeze({ allButLast: 1 });
      await new Trainer(model, recipe).fit({ train: from.train }, { epochs: head.epochs, evaluateEvery: 'never' });
      model.unfreeze();
    }
    if (freeze !== undefined) model.freeze(freeze);
    return model;
  };
  const float = await headed(from.float);
  if (from.int8 !== null) return { float, int8: await headed(from.int8) };
  const size = from.train.x.length / from.train.n;
  return { float, int8: (await quantizeModel(float, from.train.x.subarray(0, 300 * size))).model };
}

/**
 * @param {string} name
 * @param {Task} task
 * @returns {Promise<Run[]>}
 */
async function runTask(name, task) {
  const from = await task.start();
  /** @type {Run[]} */
  const runs = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const start = await withHead(task, from, seed);
    for (const method of methods) {
      for (const lr of method.int8?.scaled === false ? task.unscaled : [task.lr]) {
        const model = Model.fromBytes(start[method.arithmetic].toBytes());
        const before = (await model.evaluate(from.test)).accuracy;
        /** @type {RecipeOptions} */
        const recipe = { policy: method.sparse ? tinyPropV2(task.sparse) : full(), optimizer: sgd({ lr }), seed, ...(method.int8 && { int8: method.int8 }) };
        const begin = performance.now();
        /** @type {import('../lib/index').FitResult | null} */
        const result = await new Trainer(model, recipe)
          .fit({ train: from.train }, { epochs: task.epochs, evaluateEvery: 'never' })
          .result.catch((error) => (/LOSS|DELTA/.test(error.code) ? null : fail(error.message))); // it diverged: the weights of the last good step
        const seconds = (performance.now() - begin) / 1000;
        const { accuracy } = await model.evaluate(from.test);
        model.close();
        const run = { task: name, method: method.name, lr, seed, before, after: accuracy, effortBackward: result?.effortBackward ?? NaN, effortTotal: result?.effortTotal ?? NaN, seconds };
        if (options.json) say(JSON.stringify(run));
        process.stderr.write(`${name} seed ${seed} ${method.name} ${lr}: ${percent(before)} -> ${percent(accuracy)}, effort ${percent(run.effortBackward)}, ${seconds.toFixed(1)} s\n`);
        runs.push(run);
      }
    }
    start.float.close();
    start.int8.close();
  }
  return runs;
}

const percent = (/** @type {number} */ share) => (100 * share).toFixed(1);
/** @param {number[]} values */
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** @param {number[]} values */
const deviation = (values) => Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / Math.max(1, values.length - 1));

/**
 * A row a method; `unscaled` at the learning rate of its best mean.
 * @param {Run[]} runs
 */
function summary(runs) {
  const best = methods.map(({ name }) => {
    const own = runs.filter(({ method }) => method === name);
    const byRate = [...new Set(own.map(({ lr }) => lr))].map((lr) => own.filter((run) => run.lr === lr));
    return byRate.reduce((a, b) => (mean(b.map(({ after }) => after)) > mean(a.map(({ after }) => after)) ? b : a));
  });
  const reference = mean(/** @type {Run[]} */ (best[0]).map(({ after }) => after));
  return best.map((own) => {
    const of = (/** @type {'before' | 'after' | 'effortBackward' | 'effortTotal' | 'seconds'} */ key) => own.map((run) => run[key]);
    const after = mean(of('after'));
    return [
      String(own[0]?.method), String(own[0]?.lr), percent(mean(of('before'))), `${percent(after)} ± ${percent(deviation(of('after')))}`, (100 * (after - reference)).toFixed(1),
      percent(mean(of('effortBackward'))), percent(mean(of('effortTotal'))), mean(of('seconds')).toFixed(1),
    ];
  });
}

const names = options.task?.split(',') ?? Object.keys(tasks);
for (const name of names) if (!Object.hasOwn(tasks, name)) fail(`--task ${name}: expected one of ${Object.keys(tasks).join(', ')}`);
for (const name of names) {
  const task = /** @type {Task} */ (tasks[name]);
  const rows = summary(await runTask(name, task));
  (options.json ? (/** @type {string} */ text) => void process.stderr.write(`${text}\n`) : say)(['', task.title, '', ...table(['method', 'lr', 'before %', 'after %', 'vs f32', 'E_bwd %', 'E_tot %', 's'], rows)].join('\n'));
}
