// SPDX-License-Identifier: Apache-2.0
// @ts-check
// `npm run bench:train`: what whole trainings take, and how well they end; bench/README.md.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fashion } from './epoch.mjs';
import { trainTargets } from './targets.mjs';
import { fail, integer, median, parse, percent, root, say, table } from './tools.mjs';

const usage = `usage: npm run bench:train -- [options]
  --model SPEC  as of \`tinyprop train --model\`; default: mlp:784-256-128-64-32-10 (W1)
  --data SPEC   as of \`tinyprop train --data\`; default: Fashion-MNIST where Debian's dataset-fashion-mnist puts it
  --batch N     samples a step; default 1
  --lr X        learning rate, cosine to 0; default 0.01
  --limit N     at most so many samples of the training and of the test set
  --epochs N    default 20
  --seeds N     trainings of every method, with seeds 1 to N; default 3
  --json        JSON lines instead of tables
Runs on one core: \`taskset -c 1 npm run bench:train\` chooses it.`;
const text = /** @type {const} */ ({ type: 'string' });
const options = parse({ model: text, data: text, batch: text, lr: text, limit: text, epochs: text, seeds: text, json: { type: 'boolean', default: false } }, usage);
const epochs = integer('--epochs', options.epochs, 20, 1, 1000);
const seeds = integer('--seeds', options.seeds, 3, 1, 100);
const batch = integer('--batch', options.batch, 1, 1, 4096);
const limit = options.limit === undefined ? undefined : integer('--limit', options.limit, 0, 1, 1e9);
const lr = Number(options.lr ?? 0.01);
if (!(lr > 0)) fail(`--lr ${options.lr}: expected a number above 0`);
const spec = { model: options.model ?? 'mlp:784-256-128-64-32-10', data: options.data ?? `idx:${fashion(undefined)}` };

/** @type {typeof import('../lib/index')} */
const tinyprop = await import(pathToFileURL(join(root, 'dist', 'esm.mjs')).href);
const { cosine, densePolicy, full, loadData, Model, parseModelSpec, sgd, tinyProp, tinyPropV2, Trainer } = tinyprop;

async function prepare() {
  const data = await loadData(spec.data, { ...(limit !== undefined && { limit }) });
  const { inputShape, labels = [], classes } = data.train;
  return { data, json: parseModelSpec(spec.model, { inputShape, classes: classes?.length ?? Math.max(...labels) + 1 }) };
}

const { data, json } = await prepare().catch((/** @type {Error} */ { message }) => fail(message));

/** The further a training goes, the fewer samples are worth a look: more rows of fewer samples, and longer waits. */
const methods = [
  { name: 'dense', recipe: { policy: densePolicy() } },
  { name: 'full', recipe: { policy: full() } },
  { name: 'tinyprop', recipe: { policy: tinyProp() } },
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
    const trainer = new Trainer(model, { ...recipe, optimizer: sgd({ lr }), schedule: cosine(), batch, seed });
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
say(`${spec.model}, ${spec.data}: ${data.train.n} samples, batch ${batch}, ${epochs} epoch${epochs === 1 ? '' : 's'}, learning rate ${lr} (cosine), ${seeds} seed${seeds === 1 ? '' : 's'}`);
table(['', 'seconds', 'of dense', 'test accuracy', 'points to full', 'backward effort', 'total effort'], rows).forEach(say);
for (const { epochs: long, name, effortTotal, points, time } of trainTargets.filter((target) => target.epochs === epochs && batch === 1 && options.model === undefined && options.data === undefined)) {
  const met = (/** @type {boolean} */ good) => (good ? 'met' : 'missed');
  const effort = mean(of(name, 'effortTotal'));
  say(`${name}, ${long} epochs: total effort at most ${percent(effortTotal)}: ${met(effort <= effortTotal)}; at most ${points} points below full: ${met(lost(name) >= -points)}`);
  if (time !== undefined) say(`time of day at most ${percent(time)} of dense: ${met(seconds(name) / seconds('dense') <= time)}`);
}
