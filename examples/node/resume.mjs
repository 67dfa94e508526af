// SPDX-License-Identifier: Apache-2.0
// Power may fail: training is stopped in the middle, saved with its state, loaded and continued. The weights are those
// of a run that was never stopped, bit for bit.
//   node examples/node/resume.mjs
import { loadData, Model, parseModelSpec, Trainer } from 'tinyprop';

const data = await loadData('digits');
const json = parseModelSpec('mlp:64-64-10', { inputShape: [8, 8, 1], classes: 10 });
const epochs = 6;

const whole = Model.fromJSON(json);
await new Trainer(whole).fit(data, { epochs });

const stop = new AbortController();
const interrupted = Model.fromJSON(json);
const run = new Trainer(interrupted).fit(data, { epochs, signal: stop.signal });
for await (const event of run) {
  if (event.type === 'epoch' && event.epoch === 2) stop.abort();
}
const bytes = interrupted.toBytes({ state: true });
console.log(`stopped in epoch ${(await run).epochs + 1} of ${epochs}; the file has ${bytes.length} bytes`);

const continued = Model.fromBytes(bytes);
await new Trainer(continued).fit(data, { epochs, resume: true });
console.log(continued.weightHash() === whole.weightHash() ? 'the same bits' : 'different bits');
for (const model of [whole, interrupted, continued]) model.close();
