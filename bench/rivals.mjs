// SPDX-License-Identifier: Apache-2.0
// @ts-check
// `npm run bench:rivals`: the same nets in other frameworks and here, in turn, on one core; bench/README.md.
import { open, rivals } from './contestants.mjs';
import { epoch } from './epoch.mjs';
import { targets } from './targets.mjs';
import { build, fail, integer, median, parse, percent, pin, ratio, run, say, Server, table, time } from './tools.mjs';

const usage = `usage: npm run bench:rivals -- [options]
  --workload NAME  W1, W2, W3, W4, W5, W5-32, W5-96 or W6; default: all
  --batch N        samples a step; default: those of the workload (1, 32)
  --rival NAME     only this one; default: all that are installed
  --isa NAME       instruction set of tinyprop; default: the best of this CPU
  --rounds N       interleaved repeats, default 7 (--epoch: 3)
  --ms N           milliseconds of one measurement, default 20
  --core N         core to run on, default the last one
  --json           JSON lines instead of tables
  --epoch          whole epochs of Fashion-MNIST (W1, batch 1) instead of steps: tinyprop against PyTorch
  --epochs N       how many, default 1
  --data DIR       folder of its four IDX files, plain or gzip; default: that of Debian's dataset-fashion-mnist
TINYPROP_RIVALS=DIR names the folder whose node_modules hold the rivals, TINYPROP_PYTHON the Python that has PyTorch.`;

const options = parse(
  {
    workload: { type: 'string' },
    batch: { type: 'string' },
    rival: { type: 'string' },
    isa: { type: 'string' },
    rounds: { type: 'string' },
    ms: { type: 'string' },
    core: { type: 'string' },
    json: { type: 'boolean', default: false },
    epoch: { type: 'boolean', default: false },
    epochs: { type: 'string' },
    data: { type: 'string' },
  },
  usage,
);
const rounds = integer('--rounds', options.rounds, options.epoch ? 3 : 7, 1, 99);
const epochs = integer('--epochs', options.epochs, 1, 1, 1000);
const ms = integer('--ms', options.ms, 20, 1, 10000);
const batch = options.batch === undefined ? null : integer('--batch', options.batch, 0, 1, 64);

/** Ways of tinyprop to take a step. */
const ways = [
  { name: 'dense', policy: 'dense', keep: 0 },
  { name: 'full', policy: 'full', keep: 0 },
  { name: 'meprop 0.1', policy: 'meprop', keep: 0.1 },
];

/** @typedef {{ sourceId: string, workload: string, batches: number[], model: object }} Workload */
/** @typedef {{ workload: string, batch: number, what: 'step' | 'infer' }} Task */
/** @typedef {{ name: string, measure: (task: Task) => Promise<{ us?: number, skip?: string, note?: string }> }} Contestant */

/** @returns {Promise<Workload[]>} */
async function describe() {
  /** @type {Workload[]} */
  const found = [];
  const name = options.epoch ? 'W1' : options.workload;
  const chosen = name === undefined ? [] : ['--workload', name];
  await run([build('bench_step'), '--describe', ...chosen], (line) => void found.push(JSON.parse(line)));
  return found;
}

/** What share of the core tinyprop had while it was measured. @type {number[]} */
const shares = [];
const share = () => shares.reduce((a, b) => a + b, 0) / shares.length;
/** Less than this: others had the core too. */
const quiet = 0.97;

/**
 * @param {string[]} pinned
 * @returns {Contestant[]}
 */
function ours(pinned) {
  const server = new Server([...pinned, build('bench_step'), '--serve', ...(options.isa === undefined ? [] : ['--isa', options.isa])]);
  return ways.map(({ name, policy, keep }) => ({
    name,
    measure: async ({ what, workload, batch: size }) => {
      if (what === 'infer' && policy !== 'dense') return { skip: 'the same for every policy' };
      const answer = await server.ask(`${what} ${workload} ${size} ${policy} ${keep} ${ms}`);
      shares.push(answer.share);
      return answer;
    },
  }));
}

/**
 * Medians over rounds in which all take turns.
 * @param {Contestant[]} contestants
 * @param {Task} task
 */
async function measure(contestants, task) {
  /** @type {Map<string, number[]>} */
  const us = new Map();
  /** @type {Map<string, string>} */
  const notes = new Map();
  const able = [];
  for (const contestant of contestants) {
    // warms up; its time does not count
    const first = await contestant.measure(task).catch((error) => ({ skip: `failed: ${error.message}`, note: undefined }));
    if (first.skip === undefined) able.push(contestant);
    notes.set(contestant.name, first.skip ?? first.note ?? '');
  }
  for (let round = 0; round < rounds; round++) {
    for (const { name, measure: one } of able) us.set(name, [...(us.get(name) ?? []), Number((await one(task)).us)]);
  }
  return { us: new Map([...us].map(([name, all]) => [name, median(all)])), notes };
}

/** @typedef {Awaited<ReturnType<typeof measure>>} Result */

/**
 * @param {string} workload
 * @param {number} size
 * @param {string[]} names
 * @param {{ step: Result, infer: Result }} result
 */
function print(workload, size, names, { step, infer }) {
  if (options.json) {
    for (const name of names) {
      const row = { workload, batch: size, name, stepUs: step.us.get(name) ?? null, inferUs: infer.us.get(name) ?? null, note: step.notes.get(name) };
      say(JSON.stringify(row));
    }
    return;
  }
  const denseStep = Number(step.us.get('dense'));
  const denseInfer = Number(infer.us.get('dense'));
  const rows = names.map((name) => {
    const s = step.us.get(name);
    const i = infer.us.get(name);
    const mine = ways.some((way) => way.name === name);
    return [mine ? `tinyprop ${name}` : name, time(s), ratio(s && s / denseStep), time(i), ratio(i && i / denseInfer), String(step.notes.get(name) ?? '')];
  });
  say(`\n${workload}, batch ${size}`);
  table(['', 'step us', 'of dense', 'infer us', 'of ours', 'note'], rows).forEach(say);
}

/**
 * One table of steps, one of forward passes: us, and how many times as long as tinyprop's dense baseline.
 * @param {Map<string, { step: Result, infer: Result }>} results
 * @param {string[]} names
 */
function summarize(results, names) {
  for (const what of /** @type {const} */ (['step', 'infer'])) {
    const able = names.filter((name) => [...results.values()].some((result) => result[what].us.has(name)));
    const rows = [...results].map(([place, result]) => {
      const dense = Number(result[what].us.get('dense'));
      const cells = able.map((name) => {
        const us = result[what].us.get(name);
        return us === undefined ? '-' : name === 'dense' ? time(us) : `${time(us)} (${ratio(us / dense)})`;
      });
      return [place.replace(' ', ' b'), ...cells];
    });
    say(`\n${what === 'step' ? 'Training step' : 'Inference'}, us (of tinyprop dense)`);
    table(['', ...able.map((name) => (ways.some((way) => way.name === name) ? `tinyprop ${name}` : name))], rows).forEach(say);
  }
}

/** @param {number} got @param {number | undefined} wanted */
const verdict = (got, wanted) => (wanted === undefined ? '-' : `${wanted}x ${got >= wanted ? 'met' : 'missed'}`);

/** @param {Map<string, { step: Result, infer: Result }>} results */
function judge(results) {
  const rows = targets.flatMap(({ workload, batch: size, what, ours: mine, against, floor, aim }) => {
    const us = results.get(`${workload} ${size}`)?.[what].us;
    const own = us?.get(mine);
    const other = us?.get(against);
    if (own === undefined || other === undefined) return [];
    const got = other / own;
    return [[`${workload} b${size} ${what}`, mine, against, ratio(got), verdict(got, floor), verdict(got, aim)]];
  });
  if (rows.length === 0) return;
  say(share() < quiet ? '\nTargets; the machine was busy, so these do not count' : '\nTargets');
  table(['', 'tinyprop', 'against', 'measured', 'floor', 'aim'], rows).forEach(say);
}

async function main() {
  const pinned = pin(options.core);
  const workloads = await describe();
  if (options.epoch) {
    await epoch({ data: options.data, epochs, rounds, pinned, sourceId: String(workloads[0]?.sourceId), model: Object(workloads[0]?.model), json: options.json });
    process.exit(0);
  }
  const wanted = rivals.filter(({ name }) => options.rival === undefined || name.toLowerCase().startsWith(options.rival.toLowerCase()));
  if (wanted.length === 0) fail(`--rival ${options.rival}: expected ${rivals.map(({ name }) => name).join(', ')}`);
  const models = new Map(workloads.map(({ workload, model }) => [workload, model]));
  const contestants = ours(pinned);
  for (const rival of wanted) {
    const there = await open(rival, pinned);
    if (there !== null) contestants.push({ name: there.name, measure: (task) => there.ask({ ...task, model: models.get(task.workload), ms }) });
  }
  const names = contestants.map(({ name }) => name);
  /** @type {Map<string, { step: Result, infer: Result }>} */
  const results = new Map();
  for (const { workload, batches } of workloads) {
    for (const size of batch === null ? batches : [batch]) {
      const step = await measure(contestants, { workload, batch: size, what: 'step' });
      const infer = await measure(contestants, { workload, batch: size, what: 'infer' });
      results.set(`${workload} ${size}`, { step, infer });
      print(workload, size, names, { step, infer });
    }
  }
  if (!options.json) {
    if (results.size > 1) summarize(results, names);
    judge(results);
  }
  if (share() < quiet) process.stderr.write(`bench: others used the core ${percent(1 - share())} of the time: repeat this on a quiet machine\n`);
  process.exit(0);
}

main().catch((error) => fail(error instanceof Error ? error.message : String(error)));
