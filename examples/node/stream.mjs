// SPDX-License-Identifier: Apache-2.0
// A device in use: the sensor changes (here it is mounted upside down), and the model keeps learning from the stream.
// TinyPropv2 trains on samples that it gets wrong or is unsure of, and skips the others.
//   node examples/node/stream.mjs
import { loadData, Model, parseModelSpec, sgd, tinyPropV2, Trainer } from 'tinyprop';

const { train, test } = await loadData('digits');
const model = Model.fromJSON(parseModelSpec('mlp:64-64-32-10', { inputShape: [8, 8, 1], classes: 10 }));
await new Trainer(model).fit({ train }, { epochs: 15 });

/** The image turned by 180 degrees: its values in reverse order. */
const turned = (x) => x.slice().reverse();
const turnedTest = { ...test, x: new Float32Array(test.x.length) };
for (let i = 0; i < test.n; i++) turnedTest.x.set(turned(test.x.subarray(i * 64, (i + 1) * 64)), i * 64);

async function* sensor(passes) {
  for (let pass = 0; pass < passes; pass++) {
    for (let i = 0; i < train.n; i++) yield { x: turned(train.x.subarray(i * 64, (i + 1) * 64)), y: train.labels[i] };
  }
}

const percent = (fraction) => `${(fraction * 100).toFixed(1)} %`;
console.log(`before the change: ${percent((await model.evaluate(test)).accuracy)}`);
console.log(`right after it:    ${percent((await model.evaluate(turnedTest)).accuracy)}`);

model.configure({ policy: tinyPropV2(), optimizer: sgd({ lr: 0.005 }) });
const { samples, trained } = await model.learn(sensor(3));
console.log(`after ${samples} samples of the stream, ${trained} of them trained: ${percent((await model.evaluate(turnedTest)).accuracy)}`);
model.close();
