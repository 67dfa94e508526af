// SPDX-License-Identifier: Apache-2.0
// @ts-check
// `npm run bench:revisit`: what a whole training of Fashion-MNIST takes when samples that are learned are not looked at; bench/README.md.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fashion } from './epoch.mjs';
import { revisitTargets } from './targets.mjs';
import { integer, median, parse, percent, root, say, table } from './tools.mjs';

const usage = `usage: npm run bench:revisit -- [options]
  --epochs N  how long to train, default 20
  --seeds N   trainings of every method, with seeds 1 to N; default 3
  --data DIR  folder of the four IDX files, plain or gzip; default: that of Debian's dataset-fashion-mnist
  --json      JSON lines instead of tables
Runs on one core: \`taskset -c 1 npm run bench:revisit\` chooses it.`;
const options = parse({ epochs: { type: 'string' }, seeds: { type: 'string' }, data: { type: 'string' }, json: { type: 'boolean', default: false } }, usage);
const epochs = integer('--epochs', options.epochs, 20, 1, 1000);
const seeds = integer('--seeds', options.seeds, 3, 1, 100);

/** @type {typeof import('../lib/index')} */
const tinyprop = await import(pathToFileURL(join(root, 'dist', 'esm.mjs')).href);
const { cosine, densePolicy, full, loadData, Model, parseModelSpec, sgd, tinyPropV2, Trainer } = tinyprop;
const data = await loadData(`idx:${fashion(options.data)}`);
const json = parseModelSpec('mlp:784-256-128-64-32-10', { inputShape: data.train.inputShape, classes: 10 });

/** The further a training goes, the fewer samples are worth a look: more rows of fewer samples, and longer waits. */
const methods = [
  { name: 'dense', recipe: { policy: densePolicy() } },
  { name: 'full', recipe: { policy: full() } },
  { name: 'tinypropv2', recipe: { policy: tinyPropV2() } },
  { name: 'tinypropv2, revisit 8', recipe: { policy: tinyPropV2(), revisit: 8 } },
  { name: 'tinypropv2 sMin .3 tau .125, revisit 64', recipe: { policy: tinyPropV2({ sMin: 0.3, tau: 0.125 }), revisit: 64 } },
];

/** @typedef {{ seconds: number, accuracy: number, effortBackward: number, effortTotal: number }} Run */
/** @type {Map<string, Run[]>} */
const runs = new Map(methods.map(({ name }) => [name, []]));
for (let seed = 1; seed <= seeds; seed++) {
  for (const { name, recipe } of methods) {
    const model = Model.fromJSON(json);
    const trainer = new Trainer(model, { ...recipe, optimizer: sgd({ lr: 0.01 }), schedule: cosine(), seed });
    const { seconds, accuracy, effortBackward, effortTotal } = await trainer.fit(data, { epochs, evaluateEvery: 'end' });
    model.close();
    runs.get(name)?.push({ seconds, accuracy, effortBackward, effortTotal });
    if (options.json) say(JSON.stringify({ name, seed, epochs, seconds, accuracy, effortBackward, effortTotal }));
  }
}
if (options.json) process.exit(0);

/** @type {(name: string, what: keyof Run) => number[]} */
const of = (name, what) => (runs.get(name) ?? []).map((run) => run[what]);
const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const seconds = (/** @type {string} */ name) => median(of(name, 'seconds'));
const lost = (/** @type {string} */ name) => 100 * (mean(of(name, 'accuracy')) - mean(of('full', 'accuracy')));
const rows = methods.map(({ name }) => [
  name,
  seconds(name).toFixed(2),
  percent(seconds(name) / seconds('dense')),
  percent(mean(of(name, 'accuracy'))),
  lost(name).toFixed(2),
  percent(mean(of(name, 'effortBackward'))),
  percent(mean(of(name, 'effortTotal'))),
]);
say(`Fashion-MNIST, mlp:784-256-128-64-32-10, batch 1, ${epochs} epochs, learning rate 0.01 (cosine), ${seeds} seed${seeds === 1 ? '' : 's'}`);
table(['', 'seconds', 'of dense', 'test accuracy', 'points to full', 'backward effort', 'total effort'], rows).forEach(say);
for (const { epochs: long, name, effortTotal, points, time } of revisitTargets.filter((target) => target.epochs === epochs)) {
  const met = (/** @type {boolean} */ good) => (good ? 'met' : 'missed');
  const effort = mean(of(name, 'effortTotal'));
  say(`${name}, ${long} epochs: total effort at most ${percent(effortTotal)}: ${met(effort <= effortTotal)}; at most ${points} points below full: ${met(lost(name) >= -points)}`);
  if (time !== undefined) say(`time of day at most ${percent(time)} of dense: ${met(seconds(name) / seconds('dense') <= time)}`);
}
