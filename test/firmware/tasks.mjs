// SPDX-License-Identifier: Apache-2.0
// The real tasks of the firmware test: a network trained here, through the package's public API, and saved as a .tpm file; the samples
// on which the board goes on with it; and what the same samples make of it here. One row a task.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from '../../tools/native.mjs';

const shared = process.env.TINYPROP_TEST_DATA ?? resolve(root, '../shared/data');

/** @typedef {{ n: number, x: Float32Array, labels: Uint32Array, inputShape: number[] }} Samples */

/**
 * name, network, `data` to load, folder it needs, samples for training beforehand, epochs of that, which of them it sees, samples and passes
 * on the board, learning rate there.
 */
const rows = [
  { name: 'digits', model: 'mlp:64-64-32-10', spec: () => 'digits', before: 1000, epochs: 3, sees: (label) => label < 8, train: 300, test: 150, passes: 4, lr: 0.01 },
  { name: 'har', model: 'cnn1d-har', needs: 'har', spec: (folder) => `har:${folder}`, before: 1000, epochs: 2, sees: () => true, train: 120, test: 60, passes: 1, lr: 0.003 },
  {
    name: 'keyword', model: 'cnn-kws', needs: 'speech_commands/mfcc49x10', options: { normalize: 'standard' },
    spec: (folder) => `npy:${join(folder, 'kws12_x_i8.npy')},${join(folder, 'kws12_y.npy')}`,
    before: 3000, epochs: 3, sees: () => true, train: 120, test: 60, passes: 1, lr: 0.003,
  },
];

/** @param {Samples} data @param {number[]} order */
function pick(data, order) {
  const size = data.x.length / data.n;
  const x = new Float32Array(order.length * size);
  order.forEach((row, i) => x.set(data.x.subarray(row * size, (row + 1) * size), i * size));
  return { ...data, n: order.length, x, labels: Uint32Array.from(order, (row) => data.labels[row]) };
}

/** Every so manieth, so that classes and people mix. */
function spread(n, wanted, from = 0) {
  const stride = 7919; // a prime: visits all
  return Array.from({ length: Math.min(n, wanted) }, (_, i) => ((from + i) * stride) % n);
}

function taskFile(row, blob, train, test, size) {
  const head = Buffer.alloc(32);
  head.write('TPTK', 0, 'latin1');
  [blob.length, train.n, test.n, size, row.passes].forEach((value, i) => head.writeUInt32LE(value, 4 + 4 * i));
  head.writeFloatLE(row.lr, 24);
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

async function tune(tinyprop, row, policy, blob, train, test) {
  const { Model, densePolicy, full, meProp, tinyProp, tinyPropV2, sgd } = tinyprop;
  const factory = { dense: densePolicy, full, meprop: meProp, tinyprop: tinyProp, tinypropv2: tinyPropV2 }[policy];
  const model = Model.fromBytes(blob);
  model.configure({ policy: factory(), optimizer: sgd({ lr: row.lr }) });
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

/**
 * Writes folder/NAME.task of every task whose data are there.
 * @returns {Promise<{ name: string, skipped?: string, policies?: Record<string, { weights: string, trained: number, after: number }> }[]>}
 */
export async function makeTasks(folder) {
  const tinyprop = await import('../../dist/esm.mjs');
  const { Model, Trainer, loadData, parseModelSpec, describe, cosine } = tinyprop;
  mkdirSync(folder, { recursive: true });
  const made = [];
  for (const row of rows) {
    const data = row.needs === undefined ? '' : join(shared, row.needs);
    const file = join(folder, `${row.name}.task`);
    if (row.needs !== undefined && !existsSync(data)) {
      rmSync(file, { force: true });
      made.push({ name: row.name, skipped: `no data at ${row.needs} (set TINYPROP_TEST_DATA)` });
      continue;
    }
    const loaded = await loadData(row.spec(data), row.options);
    const known = spread(loaded.train.n, row.before).filter((i) => row.sees(loaded.train.labels[i]));
    const model = Model.fromJSON(parseModelSpec(row.model, { inputShape: loaded.train.inputShape, classes: Math.max(...loaded.train.labels) + 1 }));
    await new Trainer(model, { policy: tinyprop.full(), schedule: cosine(), seed: 1 }).fit({ train: pick(loaded.train, known) }, { epochs: row.epochs });
    const blob = Buffer.from(model.toBytes());
    model.close();
    const train = pick(loaded.test, spread(loaded.test.n, row.train));
    const test = pick(loaded.test, spread(loaded.test.n, row.test, train.n));
    const bytes = taskFile(row, blob, train, test, train.x.length / train.n);
    if (!existsSync(file) || !readFileSync(file).equals(bytes)) writeFileSync(file, bytes); // a new date would be a new build
    const policies = {};
    for (const { name } of describe().policies) policies[name] = await tune(tinyprop, row, name, blob, train, test);
    made.push({ name: row.name, policies });
  }
  return made;
}
