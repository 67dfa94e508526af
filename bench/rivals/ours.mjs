// SPDX-License-Identifier: Apache-2.0
// @ts-check
// tinyprop through its Node package: whole epochs, as PyTorch's program answers them (bench/epoch.mjs).
import { createInterface } from 'node:readline';
import { fit, openPackage } from '../package.mjs';

/** @typedef {{ policy: string, data: string, model: object, lr: number, epochs: number }} Request */

const tinyprop = await openPackage(String(process.argv[2]));
process.stdout.write(`${JSON.stringify(typeof tinyprop === 'string' ? { skip: tinyprop } : { version: tinyprop.describe().version })}\n`);
/** @type {Map<string, import('../../lib/index').DataSplit>} */
const loaded = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  if (typeof tinyprop === 'string') break;
  /** @type {Request} */
  const { policy, data, model: json, lr, epochs } = JSON.parse(line);
  const split = loaded.get(data) ?? (await tinyprop.loadData(`idx:${data}`, { normalize: 'none' }));
  loaded.set(data, split);
  const inputShape = [split.train.x.length / split.train.n]; // the net takes flat images
  const train = { ...split.train, inputShape };
  const model = tinyprop.Model.fromJSON(/** @type {import('../../lib/index').ModelJson} */ (json));
  const { seconds, cpuSeconds, result } = await fit(tinyprop, model, train, { policy, lr, epochs });
  const test = split.test === undefined ? null : await model.evaluate({ ...split.test, inputShape });
  const answer = { seconds, cpuSeconds, accuracy: test?.accuracy ?? null, trained: result.trainedFraction, rows: result.rowsWorked };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
