// SPDX-License-Identifier: Apache-2.0
// Builds a network layer by layer, trains it on handwritten digits, saves it, and reads a digit with the saved file.
//   node examples/node/train.mjs [FILE.tpm]
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { conv2d, cosine, dense, flatten, loadData, Model, relu, sgd, tinyPropV2, Trainer } from 'tinyprop';

const path = process.argv[2] ?? join(tmpdir(), `digits-${process.pid}.tpm`);
const { train, test, normalization } = await loadData('digits');

const model = Model.sequential({
  input: [8, 8, 1],
  layers: [conv2d({ units: 16, kernel: [3, 3], padding: 'same' }), relu(), flatten(), dense(32), relu(), dense(10)],
});
const trainer = new Trainer(model, { policy: tinyPropV2(), optimizer: sgd({ lr: 0.01 }), schedule: cosine(), seed: 1 });

const run = trainer.fit({ train, test }, { epochs: 10 });
for await (const event of run) {
  if (event.type === 'epoch') {
    const { epoch, testAccuracy, effortBackward, trainedFraction } = event;
    console.log(`epoch ${epoch}: test accuracy ${(testAccuracy * 100).toFixed(1)} %, backward effort ${(effortBackward * 100).toFixed(1)} %, trained ${(trainedFraction * 100).toFixed(0)} % of the samples`);
  }
  if (event.type === 'warning') console.warn(event.message);
}
const { accuracy } = await run;

model.meta = { classes: train.classes, normalization };
await model.save(path);
model.close();

const loaded = await Model.load(path);
const first = await loaded.predict(test.x.subarray(0, 64));
console.log(`accuracy ${(accuracy * 100).toFixed(1)} %; the first test image is a ${loaded.meta.classes[first.argmax()]}`);
loaded.close();
if (process.argv[2] === undefined) rmSync(path);
