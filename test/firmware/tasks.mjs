// SPDX-License-Identifier: Apache-2.0
// The real tasks of the firmware test: a network trained here, through the package's public API, and saved as a .tpm file; the samples
// on which the board goes on with it; and what the same samples make of it here. One row a task.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from '../../tools/native.mjs';

export const shared = process.env.TINYPROP_TEST_DATA ?? resolve(root, '../shared/data');

/**
 * @typedef {{ n: number, x: Float32Array, labels: Uint32Array, inputShape: number[] }} Samples
 * @typedef {object} Task
 * @property {string} name
 * @property {string} model a model specification
 * @property {string} [needs] folder of the data
 * @property {(tinyprop: object, folder: string) => Promise<{ known: Samples, train: Samples, test: Samples }>} parts what it is trained on beforehand;
 *   what the board goes on with; what both are tested on
 * @property {number} epochs beforehand
 * @property {number} passes on the board
 * @property {number} lr on the board
 * @property {boolean} [cosine] whether that goes to 0 over the passes
 */

/** A part of the training set for the host, samples of the test set for the board. */
async function loaded(tinyprop, spec, options, { before, sees = () => true, train, test }) {
  const data = await tinyprop.loadData(spec, options);
  return {
    known: pick(data.train, spread(data.train.n, before).filter((i) => sees(data.train.labels[i]))),
    train: pick(data.test, spread(data.test.n, train)),
    test: pick(data.test, spread(data.test.n, test, train)),
  };
}

/** Short, for every test of every board. @type {Task[]} */
export const rows = [
  { name: 'digits', model: 'mlp:64-64-32-10', parts: (tinyprop) => loaded(tinyprop, 'digits', {}, { before: 1000, sees: (label) => label < 8, train: 300, test: 150 }), epochs: 3, passes: 4, lr: 0.01 },
  { name: 'har', model: 'cnn1d-har', needs: 'har', parts: (tinyprop, folder) => loaded(tinyprop, `har:${folder}`, {}, { before: 1000, train: 120, test: 60 }), epochs: 2, passes: 1, lr: 0.003 },
  {
    name: 'keyword', model: 'cnn-kws', needs: 'speech_commands/mfcc49x10',
    parts: (tinyprop, folder) => loaded(tinyprop, `npy:${join(folder, 'kws12_x_i8.npy')},${join(folder, 'kws12_y.npy')}`, { normalize: 'standard' }, { before: 3000, train: 120, test: 60 }),
    epochs: 3, passes: 1, lr: 0.003,
  },
];

/** @param {Samples} data @param {number[]} order */
export function pick(data, order) {
  const size = data.x.length / data.n;
  const x = new Float32Array(order.length * size);
  order.forEach((row, i) => x.set(data.x.subarray(row * size, (row + 1) * size), i * size));
  return { ...data, n: order.length, x, labels: Uint32Array.from(order, (row) => data.labels[row]) };
}

/** Every so manieth, so that classes and people mix. */
export function spread(n, wanted, from = 0) {
  const stride = 7919; // a prime: visits all
  return Array.from({ length: Math.min(n, wanted) }, (_, i) => ((from + i) * stride) % n);
}

function taskFile(row, blob, train, test, size) {
  const head = Buffer.alloc(32);
  head.write('TPTK', 0, 'latin1');
  [blob.length, train.n, test.n, size, row.passes].forEach((value, i) => head.writeUInt32LE(value, 4 + 4 * i));
  head.writeFloatLE(row.lr, 24);
  head.writeUInt32LE(row.cosine ? train.n * row.passes : 0, 28);
  const bytes = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  return Buffer.concat([head, blob, Buffer.alloc((4 - (blob.length % 4)) % 4), bytes(train.x), bytes(test.x), bytes(train.labels), bytes(test.labels)]);
}

/** FNV-1a over all tensors, as in task.c. */
function weightsHash(model) {
  let hash = 0xcbf29ce484222325n;
  for (const { name } of model.tensors()) {
    const values = model.getTensor(name);
    for (const byte of new Uint8Array(values.buffer)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash.toString(16).padStart(16, '0');
}

/** Policies that a device fine-tunes with, and their functions in the package. Those of other papers are in the pinned trace. */
const factories = { dense: 'densePolicy', full: 'full', meprop: 'meProp', tinyprop: 'tinyProp', tinypropv2: 'tinyPropV2', steered: 'steered', random: 'randomSkip' };

async function tune(tinyprop, row, policy, blob, train, test) {
  const { Model, sgd, constant, cosine } = tinyprop;
  const factory = tinyprop[factories[policy]];
  const model = Model.fromBytes(blob);
  const schedule = row.cosine ? cosine({ total: train.n * row.passes, unit: 'batches' }) : constant();
  model.configure({ policy: factory(), optimizer: sgd({ lr: row.lr }), schedule });
  const size = train.x.length / train.n;
  let trained = 0;
  for (let pass = 0; pass < row.passes; pass++) {
    for (let i = 0; i < train.n; i++) trained += model.step(train.x.subarray(i * size, (i + 1) * size), train.labels[i]).trained ? 1 : 0;
  }
  const { accuracy } = await model.evaluate(test);
  const found = { weights: weightsHash(model), trained, after: Math.round(accuracy * test.n) };
  model.close();
  return found;
}

/** A task's network, trained beforehand. */
async function prepared(tinyprop, row, known, classes, seed) {
  const { Model, Trainer, parseModelSpec, cosine } = tinyprop;
  const model = Model.fromJSON(parseModelSpec(row.model, { inputShape: known.inputShape, classes }));
  await new Trainer(model, { policy: tinyprop.full(), schedule: cosine(), seed }).fit({ train: known }, { epochs: row.epochs });
  const blob = Buffer.from(model.toBytes());
  model.close();
  return blob;
}

/**
 * Writes folder/NAME.task of every task whose data are there.
 * @param {{ tasks?: Task[], policies?: string[], starts?: number }} [options] starts: what the package makes of so many networks that
 *   were trained with seeds of their own; the first is the board's
 * @returns {Promise<{ name: string, skipped?: string, samples?: Record<'known' | 'train' | 'test', number>,
 *   policies?: Record<string, { weights: string, trained: number, after: number }>, starts?: ({ before: number } & Record<string, number>)[] }[]>}
 */
export async function makeTasks(folder, { tasks = rows, policies, starts = 1 } = {}) {
  const tinyprop = await import('../../dist/esm.mjs');
  mkdirSync(folder, { recursive: true });
  const made = [];
  for (const row of tasks) {
    const data = row.needs === undefined ? '' : join(shared, row.needs);
    const file = join(folder, `${row.name}.task`);
    if (row.needs !== undefined && !existsSync(data)) {
      rmSync(file, { force: true });
      made.push({ name: row.name, skipped: `no data at ${row.needs} (set TINYPROP_TEST_DATA)` });
      continue;
    }
    const { known, train, test } = await row.parts(tinyprop, data);
    const classes = Math.max(...known.labels, ...train.labels) + 1;
    const found = [];
    for (let seed = 1; seed <= starts; seed++) {
      const blob = await prepared(tinyprop, row, known, classes, seed);
      if (seed === 1) {
        const bytes = taskFile(row, blob, train, test, train.x.length / train.n);
        if (!existsSync(file) || !readFileSync(file).equals(bytes)) writeFileSync(file, bytes); // a new date would be a new build
      }
      const results = {};
      for (const name of policies ?? Object.keys(factories)) results[name] = await tune(tinyprop, row, name, blob, train, test);
      const model = tinyprop.Model.fromBytes(blob);
      found.push({ results, before: Math.round((await model.evaluate(test)).accuracy * test.n) });
      model.close();
    }
    made.push({
      name: row.name, samples: { known: known.n, train: train.n, test: test.n }, policies: found[0].results,
      starts: found.map(({ results, before }) => ({ before, ...Object.fromEntries(Object.entries(results).map(([name, { after }]) => [name, after])) })),
    });
  }
  return made;
}
