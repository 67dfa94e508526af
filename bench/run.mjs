// SPDX-License-Identifier: Apache-2.0
// @ts-check
// `npm run bench`: builds and runs the benchmarks of this project; bench/README.md says what the columns mean.
import { join } from 'node:path';
import { kernels } from './kernels.mjs';
import { build, fail, integer, parse, percent, pin, ratio, root, run, say, table, time } from './tools.mjs';

const usage = `usage: npm run bench -- [options]
  --workload NAME  W1, W2, W3, W4, W5, W5-32, W5-96 or W6; default: all
  --batch N        samples a step; default: those of the workload (1, 32)
  --policy NAME    dense, full, meprop, tinyprop or tinypropv2; default: all
  --isa NAME       avx512, avx2, scalar, soft, neon; default: the best of this CPU
  --rounds N       interleaved repeats, default 9
  --ms N           milliseconds of one measurement, default 10
  --threads N      threads of a step, default 1; with more, times are of day and --core is the last of them
  --samples N      samples of a batch worked on together; default: as many as pay, at most 32
  --core N         core to run on, default the last one
  --node           also the same steps and epochs from Node against C; on by itself when nothing is chosen
  --kernels        layers by themselves instead, with --isa, --rounds, --ms, --core and --json
  --summary        one table with a line per workload, as in bench/README.md
  --json           one JSON line per policy instead of tables`;

const options = parse(
  {
    workload: { type: 'string' },
    batch: { type: 'string' },
    policy: { type: 'string' },
    isa: { type: 'string' },
    rounds: { type: 'string' },
    ms: { type: 'string' },
    threads: { type: 'string' },
    samples: { type: 'string' },
    core: { type: 'string' },
    node: { type: 'boolean' },
    summary: { type: 'boolean', default: false },
    kernels: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
  usage,
);

/** @typedef {{ workload: string, batch: number, isa: string, weightKiB: number, peakGflops: number, readGBs: number, updateGBs: number }} Machine */
/** @typedef {{ workload: string, batch: number, policy: string, keep: number | null, isa: string, stepUs: number, inferUs: number,
 *   backwardUs: number, rowsUsed: number, rooflineFraction: number }} Row */

/** Options that the C programs share, as they are. */
const passed = /** @type {const} */ (['workload', 'batch', 'policy', 'isa', 'rounds', 'ms', 'threads', 'samples']);
/** @param {readonly (typeof passed[number])[]} names */
const args = (names) => names.flatMap((name) => (options[name] === undefined ? [] : [`--${name}`, String(options[name])]));
const pinned = pin(options.core, integer('--threads', options.threads, 1, 1, 64));

/**
 * @param {Machine} machine
 * @param {Row[]} rows
 */
function print(machine, rows) {
  const { workload, batch, isa, weightKiB, peakGflops, readGBs, updateGBs } = machine;
  say(`\n${workload}, batch ${batch}, ${isa}: ${weightKiB} KiB of weights; at most ${peakGflops} GFLOP/s, ${readGBs} GB/s read, ${updateGBs} GB/s updated`);
  const dense = rows.find(({ policy }) => policy === 'dense')?.stepUs;
  const cells = rows.map((row) => [
    row.policy,
    row.keep === null ? '-' : String(row.keep),
    time(row.stepUs),
    ratio(dense && dense / row.stepUs),
    time(row.inferUs),
    time(row.backwardUs),
    percent(row.rowsUsed),
    time(row.rooflineFraction * row.stepUs),
    percent(row.rooflineFraction),
  ]);
  const head = ['policy', 'keep', 'step us', 'vs dense', 'infer us', 'backward us', 'rows used', 'roofline us', 'of it'];
  table(head, cells).forEach(say);
}

/** Columns of the summary beside `dense`: policy and keep. */
const shown = /** @type {const} */ ([['full', null], ['meprop', 0.25], ['meprop', 0.1], ['tinyprop', null], ['tinypropv2', null]]);

/** @param {Row[][]} workloads */
function summarize(workloads) {
  const cells = workloads.map((rows) => {
    const find = (/** @type {string} */ policy, /** @type {number | null} */ keep) => rows.find((row) => row.policy === policy && row.keep === keep);
    const dense = find('dense', null);
    const others = shown.map(([policy, keep]) => {
      const row = find(policy, keep);
      return row === undefined ? '-' : `${time(row.stepUs)} (${ratio(dense && dense.stepUs / row.stepUs)})`;
    });
    const first = /** @type {Row} */ (rows[0]);
    return [`${first.workload} b${first.batch}`, time(first.inferUs), dense ? `${time(dense.stepUs)} (${percent(dense.rooflineFraction)})` : '-', ...others];
  });
  const head = ['', 'infer us', 'dense us (of roofline)', ...shown.map(([policy, keep]) => `${policy}${keep === null ? '' : ` ${keep}`} us (vs dense)`)];
  table(head, cells).forEach(say);
}

/** Tables are printed as soon as a workload is measured. */
async function step() {
  const command = [...pinned, build('bench_step'), ...args(passed)];
  if (options.json) return run(command, say);
  /** @type {Machine | null} */
  let machine = null;
  /** @type {Row[]} */
  let rows = [];
  /** @type {Row[][]} */
  const all = [];
  const flush = () => {
    if (machine !== null && !options.summary) print(machine, rows);
    if (rows.length > 0) all.push(rows);
    rows = [];
  };
  await run([...command, '--machine'], (line) => {
    const record = JSON.parse(line);
    if ('policy' in record) {
      rows.push(record);
      return;
    }
    flush();
    machine = record;
  });
  flush();
  if (options.summary) summarize(all);
}

/** The package takes the best instruction set and one thread. */
async function node() {
  const json = options.json ? ['--json'] : [];
  await run([...pinned, process.execPath, join(root, 'bench', 'node.mjs'), ...args(['workload', 'batch', 'policy', 'rounds', 'ms']), ...json], say);
}

/** @param {string[]} names of options that make no sense here */
function refuse(names) {
  for (const name of names) if (/** @type {Record<string, unknown>} */ (options)[name]) fail(`--kernels does not go with --${name}`);
}

if (options.kernels) {
  refuse(['workload', 'batch', 'policy', 'threads', 'samples', 'node', 'summary']);
  await kernels([...pinned, build('bench_kernels'), ...args(['isa', 'rounds', 'ms'])], options.json);
  process.exit(0);
}
await step();
if (options.node ?? (!options.json && options.workload === undefined && options.policy === undefined)) await node();
