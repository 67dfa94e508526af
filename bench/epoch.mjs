// SPDX-License-Identifier: Apache-2.0
// @ts-check
// `npm run bench:rivals -- --epoch`: whole epochs of Fashion-MNIST on the net of W1 at batch 1, loading and evaluation not timed.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { open, ourPackage, rivals } from './contestants.mjs';
import { epochTargets } from './targets.mjs';
import { fail, median, percent, ratio, say, table } from './tools.mjs';

/** Where Debian's dataset-fashion-mnist puts it. */
const debian = '/usr/share/datasets/fashion-mnist';
const lr = 0.01;

/** @param {string | undefined} given a folder with the four IDX files, plain or gzip */
export function fashion(given) {
  const path = resolve(given ?? debian);
  const has = (/** @type {string} */ name) => existsSync(join(path, name)) || existsSync(join(path, `${name}.gz`));
  const missing = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'].filter((name) => !has(name));
  if (missing.length > 0) fail(`${path}: no ${missing[0]}[.gz]; --data names the folder of Fashion-MNIST (Debian: apt install dataset-fashion-mnist)`);
  return path;
}

/** @typedef {{ seconds: number[], cpuSeconds: number[], accuracy: number, trained?: number, rows?: number }} Runs */

/**
 * @param {{ data: string | undefined, epochs: number, rounds: number, pinned: string[], sourceId: string, model: object, json: boolean }} options
 */
export async function epoch({ data, epochs, rounds, pinned, sourceId, model, json }) {
  const path = fashion(data);
  const request = { what: 'epoch', data: path, model, lr, epochs };
  const ours = await open(ourPackage(sourceId), pinned);
  if (ours === null) process.exit(1);
  const torch = await open(/** @type {import('./contestants.mjs').Rival} */ (rivals[0]), pinned);
  const ask = (/** @type {string} */ policy) => ({ name: policy, run: () => ours.ask({ ...request, policy }) });
  const all = [...['dense', 'full', 'tinypropv2'].map(ask), ...(torch === null ? [] : [{ name: torch.name, run: () => torch.ask(request) }])];
  /** @type {Map<string, Runs>} */
  const results = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const { name, run } of all) {
      const { seconds, cpuSeconds, ...rest } = await run();
      const before = results.get(name) ?? { seconds: [], cpuSeconds: [] };
      results.set(name, { ...rest, seconds: [...before.seconds, seconds], cpuSeconds: [...before.cpuSeconds, cpuSeconds] });
    }
  }
  const seconds = (/** @type {string} */ name) => median(results.get(name)?.seconds ?? []);
  const cpu = (/** @type {string} */ name) => median(results.get(name)?.cpuSeconds ?? []);
  const fastest = seconds('tinypropv2');
  if (json) {
    for (const { name } of all) say(JSON.stringify({ name, epochs, ...results.get(name), seconds: seconds(name), cpuSeconds: cpu(name), ofTinypropv2: seconds(name) / fastest }));
    return;
  }
  say(`\n${path}: ${epochs} epoch${epochs === 1 ? '' : 's'}, net of W1, batch 1, learning rate ${lr} (cosine), median of ${rounds}`);
  const share = (/** @type {number | undefined} */ value) => (value === undefined ? '-' : percent(value));
  const rows = all.map(({ name }) => {
    const { accuracy, trained, rows: worked } = /** @type {Runs} */ (results.get(name));
    return [name, seconds(name).toFixed(2), cpu(name).toFixed(2), ratio(seconds(name) / fastest), percent(accuracy), share(trained), share(worked)];
  });
  table(['', 'seconds', 'CPU seconds', 'of tinypropv2', 'test accuracy', 'samples trained', 'rows not zero'], rows).forEach(say);
  for (const { against, floor } of epochTargets.filter((target) => results.has(target.against))) {
    const got = seconds(against) / fastest;
    say(`tinypropv2 against ${against}: ${ratio(got)} (CPU ${ratio(cpu(against) / cpu('tinypropv2'))}), floor ${floor}x ${got >= floor ? 'met' : 'missed'}`);
  }
  if (all.some(({ name }) => cpu(name) < 0.95 * seconds(name))) say('the machine was busy, so this does not count: repeat it on a quiet one');
}
