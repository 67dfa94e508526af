// SPDX-License-Identifier: Apache-2.0
// @ts-check
// What JavaScript costs: the same steps from Node and in C, in turn; `npm run bench -- --node` runs it on one core.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fit, openPackage, policyOf } from './package.mjs';
import { build, fail, integer, median, parse, percent, run, say, Server, table, time } from './tools.mjs';

const usage = 'usage: npm run bench -- --node [--workload NAME] [--batch N] [--policy NAME] [--rounds N] [--ms N] [--json]';
const options = parse(
  {
    workload: { type: 'string' },
    batch: { type: 'string' },
    policy: { type: 'string' },
    rounds: { type: 'string' },
    ms: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
  usage,
);
const rounds = integer('--rounds', options.rounds, 5, 1, 99);
const ms = integer('--ms', options.ms, 20, 1, 10000);
const policy = options.policy ?? 'full';
const samples = 64;
const lr = 1e-6;
/** What Node may cost: microseconds a step, share of an epoch, milliseconds that a timer is late. */
const limits = { stepUs: 1, fit: 0.02, delayMs: 10 };
/** Of `fit()`'s chunks, its own default. */
const chunkMs = 50;
/** Length of an epoch in C, microseconds. */
const epochUs = 1_000_000;

/** @typedef {{ x: Float32Array, target: Float32Array, labels: Uint32Array, inputs: number, outputs: number, mse: boolean }} Samples */
/** @typedef {import('./package.mjs').Tinyprop} Tinyprop */
/** @typedef {import('./package.mjs').Model} Model */

const now = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/**
 * The samples that the C program trains on.
 * @param {string} program
 * @param {string} workload
 * @param {Model} model
 * @returns {Samples}
 */
function read(program, workload, model) {
  const { stdout, status } = spawnSync(program, ['--data', '--workload', workload], { maxBuffer: 1 << 28 });
  if (status !== 0) fail(`${program} --data ended with ${status}`);
  const { buffer, byteOffset } = Buffer.from(Uint8Array.from(stdout).buffer);
  const inputs = model.inputShape.reduce((a, b) => a * b, 1);
  const outputs = model.outputSize;
  const x = new Float32Array(buffer, byteOffset, samples * inputs);
  const target = new Float32Array(buffer, byteOffset + x.byteLength, samples * outputs);
  const labels = new Uint32Array(buffer, byteOffset + x.byteLength + target.byteLength, samples);
  return { x, target, labels, inputs, outputs, mse: model.loss === 'mse' };
}

/**
 * A data set of n samples: the 64 again and again.
 * @param {Samples} from
 * @param {readonly number[]} inputShape
 * @param {number} n
 * @returns {import('../lib/index').Dataset}
 */
function repeated({ x, target, labels, inputs, outputs, mse }, inputShape, n) {
  const all = new Float32Array(n * inputs);
  const targets = new Float32Array(mse ? n * outputs : 0);
  for (let i = 0; i < n; i++) {
    const s = i % samples;
    all.set(x.subarray(s * inputs, (s + 1) * inputs), i * inputs);
    if (mse) targets.set(target.subarray(s * outputs, (s + 1) * outputs), i * outputs);
  }
  const truth = mse ? { targets, targetSize: outputs } : { labels: Uint32Array.from({ length: n }, (_, i) => Number(labels[i % samples])) };
  return { name: 'bench', x: all, n, inputShape, ...truth };
}

/**
 * Microseconds a step of a model; how many steps are measured, the first model says.
 * @param {Model} first
 * @param {Samples} data
 */
function stepper(first, { x, target, labels, inputs, outputs, mse }) {
  const xs = Array.from({ length: samples }, (_, i) => x.subarray(i * inputs, (i + 1) * inputs));
  const ys = Array.from({ length: samples }, (_, i) => (mse ? target.subarray(i * outputs, (i + 1) * outputs) : Number(labels[i])));
  const repeat = (/** @type {Model} */ model, /** @type {number} */ calls) => {
    const begin = now();
    for (let i = 0; i < calls; i++) model.step(/** @type {Float32Array} */ (xs[i % samples]), /** @type {number | Float32Array} */ (ys[i % samples]));
    return (now() - begin) / calls;
  };
  let us = repeat(first, samples);
  for (let spent = 0; spent < 200_000; spent += us * samples) us = repeat(first, samples); // until the compiler is done
  const calls = Math.ceil((ms * 1000) / us / samples) * samples;
  return (/** @type {Model} */ model) => {
    repeat(model, samples);
    return repeat(model, calls);
  };
}

/**
 * Microseconds that a step costs beyond one of the addon's own loop of steps, in turn on the same net: its pages of memory, worth more
 * than that, are those of both. The loop also sums what steps report.
 * @param {Samples} data
 */
function beyondLoop({ x, target, labels, mse }) {
  const order = Uint32Array.from({ length: 1 << 16 }, (_, i) => i % samples);
  return (/** @type {Model} */ model, /** @type {(model: Model) => number} */ step) => {
    const { net } = model.core;
    const loop = (/** @type {number} */ calls) => {
      const begin = now();
      net.runNow(trainJob, x, mse ? target : labels, order, 0, calls, false);
      return (now() - begin) / calls;
    };
    const calls = Math.min(order.length, Math.ceil((ms * 1000) / loop(samples)));
    return median(Array.from({ length: 9 }, () => {
      const us = loop(calls);
      return step(model) - us;
    }));
  };
}

/**
 * One fit of an epoch: time of day and of the processor.
 * @param {Tinyprop} tinyprop
 * @param {Model} model
 * @param {import('../lib/index').Dataset} train
 * @param {number} batch
 */
async function fitOnce(tinyprop, model, train, batch, chunk = chunkMs) {
  const { seconds, cpuSeconds } = await fit(tinyprop, model, train, { policy, lr, epochs: 1, batch, constant: true, chunkMs: chunk });
  return { us: seconds * 1e6, cpuUs: cpuSeconds * 1e6 };
}

/**
 * By what share an epoch of `fit()` takes longer than the same steps in loops that the addon makes on the same net: before every chunk of
 * the fit one of the same size, in an order of its own, because the speed of a core changes within a second with its neighbours' load.
 * @param {Model} model
 * @param {Uint32Array} order
 * @param {() => Promise<Loop>} epoch
 */
async function beyondChunks(model, order, epoch) {
  const { core } = model;
  const { run } = core;
  const loop = { us: 0, cpuUs: 0 };
  core.run = (job) => {
    const begin = performance.now();
    const before = now();
    core.net.runNow(trainJob, job.x, job.y, order, job.from, job.to, false);
    loop.us += (performance.now() - begin) * 1000;
    loop.cpuUs += now() - before;
    return run.call(core, job);
  };
  const both = await epoch();
  core.run = run;
  return { us: both.us / loop.us - 2, cpuUs: both.cpuUs / loop.cpuUs - 2 };
}

/**
 * How late a timer of 1 ms comes during a fit, milliseconds, 99th percentile. Such a timer costs a percent: not while times are taken.
 * @param {() => Promise<unknown>} fits
 */
async function lateness(fits) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await fits();
  delay.disable();
  return Math.max(0, delay.percentile(99) / 1e6 - 1);
}

/** @typedef {{ us: number, cpuUs: number }} Loop */
/** @typedef {{ workload: string, batch: number, policy: string, cStepUs: number | null, nodeStepUs: number | null, beyondStepUs: number | null, cLoopUs: number, fitUs: number,
 *   beyondFit: number, beyondFitCpu: number, eventLoopDelayP99Ms: number }} Row */

/**
 * @param {Tinyprop} tinyprop
 * @param {Server} c
 * @param {string} program
 * @param {{ workload: string, model: import('../lib/index').ModelJson }} described
 * @param {number} batch
 * @returns {Promise<Row>}
 */
async function measure(tinyprop, c, program, { workload, model: json }, batch) {
  const keep = policy === 'meprop' ? 0.1 : 0;
  const ask = (/** @type {string} */ what, /** @type {number} */ amount, net = 0) => c.ask(`${what} ${workload} ${batch} ${policy} ${keep} ${amount} ${net}`);
  // A net of its own in every round, on both sides: which pages of memory one has is worth more than what is measured.
  const models = Array.from({ length: rounds }, () => tinyprop.Model.fromJSON(json));
  const model = /** @type {Model} */ (models[0]);
  const data = read(program, workload, model);
  const steps = { c: /** @type {number[]} */ ([]), node: /** @type {number[]} */ ([]), beyond: /** @type {number[]} */ ([]) };
  const first = await ask('counted', ms);
  if (batch === 1) {
    for (const each of models) each.configure({ policy: policyOf(tinyprop, policy), optimizer: tinyprop.sgd({ lr }) });
    const step = stepper(model, data);
    const beyond = beyondLoop(data);
    for (const [round, each] of models.entries()) {
      steps.c.push((await ask('counted', ms, round)).us);
      steps.node.push(step(each));
      steps.beyond.push(beyond(each, step));
    }
  }
  const n = Math.max(2, Math.round(epochUs / first.us)) * batch;
  const train = repeated(data, model.inputShape, n);
  const few = repeated(data, model.inputShape, 2 * batch);
  const eventLoopDelayP99Ms = await lateness(() => fitOnce(tinyprop, model, train, batch));
  const loops = { c: /** @type {Loop[]} */ ([]), node: /** @type {Loop[]} */ ([]), beyond: /** @type {Loop[]} */ ([]) };
  const order = inside.addon().shuffle(2, 0, n); // fit() has the seed 1
  for (const [round, each] of models.entries()) {
    await ask('loop', 2 * batch, round);
    await fitOnce(tinyprop, each, few, batch); // opens the net that the next one goes on with
    loops.c.push(await ask('loop', n, round));
    loops.node.push(await fitOnce(tinyprop, each, train, batch));
    loops.beyond.push(await beyondChunks(each, order, () => fitOnce(tinyprop, each, train, batch, 2 * chunkMs))); // each chunk is computed twice
  }
  for (const each of models) each.close();
  const perStep = (/** @type {number[]} */ all) => (median(all) * batch) / n;
  return {
    workload,
    batch,
    policy,
    cStepUs: batch === 1 ? median(steps.c) : null,
    nodeStepUs: batch === 1 ? median(steps.node) : null,
    beyondStepUs: batch === 1 ? median(steps.beyond) : null,
    cLoopUs: perStep(loops.c.map(({ us }) => us)),
    fitUs: perStep(loops.node.map(({ us }) => us)),
    beyondFit: median(loops.beyond.map(({ us }) => us)),
    beyondFitCpu: median(loops.beyond.map(({ cpuUs }) => cpuUs)),
    eventLoopDelayP99Ms,
  };
}

/** @param {Row} row */
function cells({ workload, batch, policy, cStepUs, nodeStepUs, beyondStepUs, cLoopUs, fitUs, beyondFit, beyondFitCpu, eventLoopDelayP99Ms }) {
  const verdict = (/** @type {string} */ text, /** @type {boolean} */ met) => `${text} ${met ? 'met' : 'missed'}`;
  const us = (/** @type {number | null} */ more) => (more === null ? '-' : verdict(more.toFixed(2), more <= limits.stepUs));
  const share = (/** @type {number} */ more) => verdict(percent(more), more <= limits.fit);
  return [
    `${workload} b${batch} ${policy}`,
    time(cStepUs),
    time(nodeStepUs),
    us(cStepUs === null || nodeStepUs === null ? null : nodeStepUs - cStepUs),
    us(beyondStepUs),
    time(cLoopUs),
    time(fitUs),
    share(fitUs / cLoopUs - 1),
    share(beyondFit),
    percent(beyondFitCpu),
    verdict(eventLoopDelayP99Ms.toFixed(2), eventLoopDelayP99Ms <= limits.delayMs),
  ];
}

process.stdin.resume().on('end', () => process.exit(1)); // run.mjs is gone
process.removeAllListeners('warning'); // the nets learn nothing here, and fit() says so
const program = build('bench_step');
/** @type {{ sourceId: string, workload: string, batches: number[], model: import('../lib/index').ModelJson }[]} */
const described = [];
await run([program, '--describe', ...(options.workload === undefined ? [] : ['--workload', options.workload])], (line) => void described.push(JSON.parse(line)));
const tinyprop = await openPackage(String(described[0]?.sourceId));
if (typeof tinyprop === 'string') {
  process.stderr.write(`skipped: Node: ${tinyprop}\n`);
  process.exit(0);
}
/** What `fit()` is made of; an inner matter of the package. @type {typeof import('../lib/addon')} */
const inside = createRequire(import.meta.url)('../dist/addon.js');
const trainJob = inside.constant('job', 'train');
const c = new Server([program, '--serve']);
/** @type {Row[]} */
const rows = [];
for (const workload of described) {
  for (const batch of options.batch === undefined ? workload.batches : [integer('--batch', options.batch, 1, 1, samples)]) {
    const row = await measure(tinyprop, c, program, workload, batch);
    if (options.json) say(JSON.stringify(row));
    rows.push(row);
  }
}
if (!options.json) {
  say(`\nNode against C, medians of ${rounds}; at most ${limits.stepUs} us more a step, ${percent(limits.fit)} more an epoch, timers ${limits.delayMs} ms late`);
  const head = ['', 'C step us', 'step() us', 'more us', 'same net us', 'C loop us', 'fit() us', 'more', 'same net', 'same net CPU', 'timer late ms'];
  table(head, rows.map(cells)).forEach(say);
}
process.exit(0);
