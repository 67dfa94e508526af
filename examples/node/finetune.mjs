// SPDX-License-Identifier: Apache-2.0
// Transfer: a network that knows the digits 0 to 7 learns 8 and 9 as well. Everything but the last two layers is
// frozen, the head is replaced.
//   node examples/node/finetune.mjs
import { loadData, Model, parseModelSpec, sgd, Trainer } from 'tinyprop';

const { train, test } = await loadData('digits');

/** The samples whose label passes. */
function only(data, keep) {
  const rows = [...data.labels.keys()].filter((i) => keep(data.labels[i]));
  const x = new Float32Array(rows.length * 64);
  rows.forEach((row, i) => x.set(data.x.subarray(row * 64, (row + 1) * 64), i * 64));
  return { name: data.name, inputShape: data.inputShape, n: rows.length, x, labels: Uint32Array.from(rows, (row) => data.labels[row]) };
}

const known = (label) => label < 8;
const model = Model.fromJSON(parseModelSpec('mlp:64-128-64-8', { inputShape: [8, 8, 1], classes: 8 }));
const before = await new Trainer(model).fit({ train: only(train, known), test: only(test, known) }, { epochs: 15 });
console.log(`8 classes: ${(before.accuracy * 100).toFixed(1)} %`);

model.replaceHead(10);
model.freeze({ allButLast: 2 });
const after = await new Trainer(model, { optimizer: sgd({ lr: 0.01 }) }).fit({ train, test }, { epochs: 10 });
console.log(`10 classes: ${(after.accuracy * 100).toFixed(1)} %, backward effort ${(after.effortBackward * 100).toFixed(1)} % of what the unfrozen layers would take`);
model.close();
