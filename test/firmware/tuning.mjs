// SPDX-License-Identifier: Apache-2.0
// Fine-tunings as a product would have them, for `npm run firmware:measure` alone: a network that is useful already, several passes over
// samples that it has never seen, a test set on which a point means something. How they were chosen: docs/FIRMWARE.md.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pick, spread } from './tasks.mjs';

/** The device has four samples for every one that the host had. */
const hostShare = 1 / 5;
const shared = { passes: 5, cosine: true };

/** A fifth of the training set here, the rest on the board; the test set as it is. */
async function digits(tinyprop) {
  const { train, test } = await tinyprop.loadData('digits');
  const order = spread(train.n, train.n);
  const host = Math.round(train.n * hostShare);
  return { known: pick(train, order.slice(0, host)), train: pick(train, order.slice(host)), test };
}

/** The people of the training set here; of everything that the others did without a break, the first half to learn from, the second as the test. */
async function har(tinyprop, folder) {
  const data = await tinyprop.loadData(`har:${folder}`);
  const { n, labels } = data.test;
  const person = readFileSync(join(folder, 'test_subject.npy')).subarray(-n); // a byte each, behind the header
  const halves = [[], []];
  for (let from = 0, to; from < n; from = to) {
    for (to = from; to < n && labels[to] === labels[from] && person[to] === person[from]; ) to++;
    for (let i = from; i < to; i++) halves[i - from < Math.floor((to - from) / 2) ? 0 : 1].push(i);
  }
  const [first, second] = halves;
  return { known: data.train, train: pick(data.test, spread(first.length, first.length).map((i) => first[i])), test: pick(data.test, second) };
}

/** Four words, the official parts, whose speakers differ: a fifth of the training part here, the validation part on the board, the test part. */
async function keyword(tinyprop, folder) {
  const [x, y] = ['x_i8', 'y'].map((name) => join(folder, `words4_${name}.npy`));
  const { train: all } = await tinyprop.loadData(`npy:${x},${y},${x},${y}`, { normalize: 'none' }); // in the order of the files
  const part = readFileSync(join(folder, 'words4_index.csv'), 'utf8').trim().split('\n').slice(1).map((line) => line.split(',')[3].trim());
  const rows = (name) => part.flatMap((of, i) => (of === name ? [i] : []));
  const parts = Object.fromEntries(['train', 'val', 'test'].map((name) => [name, rows(name)]));
  const mixed = (order, wanted = order.length) => pick(all, spread(order.length, wanted).map((i) => order[i]));
  const known = mixed(parts.train, Math.round(parts.train.length * hostShare));
  let mean = 0;
  let square = 0;
  for (const value of known.x) [mean, square] = [mean + value / known.x.length, square + (value * value) / known.x.length];
  const scale = 1 / Math.sqrt(square - mean * mean);
  const standard = (samples) => ({ ...samples, x: samples.x.map((value) => (value - mean) * scale) });
  return { known: standard(known), train: standard(mixed(parts.val)), test: standard(pick(all, parts.test)) };
}

/** @type {import('./tasks.mjs').Task[]} */
export const tunings = [
  { ...shared, name: 'digits', model: 'mlp:64-64-32-10', parts: digits, epochs: 20, lr: 0.01 },
  { ...shared, name: 'har', model: 'cnn1d-har', needs: 'har', parts: har, epochs: 10, lr: 0.003 },
  { ...shared, name: 'keyword', model: 'cnn-kws', needs: 'speech_commands/mfcc49x10', parts: keyword, epochs: 10, lr: 0.003 },
];
