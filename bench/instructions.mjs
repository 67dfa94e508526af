// SPDX-License-Identifier: Apache-2.0
// @ts-check
// `npm run bench:instructions`: counts what the hottest work executes, which no busy machine disturbs, and compares it with
// bench/instructions.json. valgrind knows no AVX-512; its kernels are those of AVX2 with wider registers.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { build, fail, has, parse, root, run, say, table } from './tools.mjs';

const usage = `usage: npm run bench:instructions -- [options]
  --update     writes the counts of this compiler into bench/instructions.json
  --isa NAME   avx2 or scalar; default: both`;
const options = parse({ update: { type: 'boolean', default: false }, isa: { type: 'string' } }, usage);

/** More than this is a regression. */
const slack = 0.05;
const file = join(root, 'bench', 'instructions.json');
/** Every case runs this often, and twice as often: the difference has no start-up in it. */
const repeat = 2;
const isas = options.isa === undefined ? ['avx2', 'scalar'] : [options.isa];

/** @typedef {Record<string, Record<string, Record<string, number>>>} Baseline compiler, instruction set, case */
/** @typedef {{ name: string, guarded: boolean }} Case */

/**
 * @param {string} program
 * @param {string} isa
 * @param {number} index
 * @param {number} times
 */
async function collected(program, isa, index, times) {
  const valgrind = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--log-fd=1'];
  let found = NaN;
  await run([...valgrind, program, '--isa', isa, '--case', String(index), '--repeat', String(times)], (line) => {
    const match = /Collected : (\d+)/.exec(line);
    if (match !== null) found = Number(match[1]);
  });
  return Number.isNaN(found) ? fail('valgrind said nothing of "Collected"') : found;
}

/**
 * Instructions of every case, as many processes at a time as there are cores.
 * @param {string} program
 * @param {string} isa
 * @param {Case[]} cases
 */
async function count(program, isa, cases) {
  const counts = new Array(cases.length).fill(0);
  let next = 0;
  const work = async () => {
    while (next < cases.length) {
      const index = next++;
      const once = await collected(program, isa, index, repeat);
      counts[index] = Math.round((await collected(program, isa, index, 2 * repeat) - once) / repeat);
    }
  };
  await Promise.all(Array.from({ length: cpus().length }, work));
  return Object.fromEntries(cases.map(({ name }, i) => [name, counts[i]]));
}

if (!has('valgrind')) fail('valgrind is not installed (Debian: apt install valgrind)');
const program = build('bench_instructions');
let compiler = '';
/** @type {Case[]} */
const cases = [];
await run([program, '--list'], (line) => {
  const record = JSON.parse(line);
  if ('compiler' in record) compiler = record.compiler;
  else cases.push({ name: record.case, guarded: record.guarded });
});
/** @type {Baseline} */
const baseline = JSON.parse(readFileSync(file, 'utf8'));
const known = baseline[compiler];
/** @type {string[]} */
const regressions = [];
for (const isa of isas) {
  const counts = await count(program, isa, cases);
  say(`\n${compiler}, ${isa}: instructions of one call`);
  const rows = cases.map(({ name, guarded }) => {
    const now = Number(counts[name]);
    const before = known?.[isa]?.[name];
    const more = before === undefined ? null : now / before - 1;
    const bad = guarded && more !== null && more > slack;
    if (bad && before !== undefined) regressions.push(`${isa}: ${name}: ${before} before, ${now} now`);
    return [name, String(before ?? '-'), String(now), more === null ? '-' : `${more > 0 ? '+' : ''}${(100 * more).toFixed(1)} %`, guarded ? (bad ? 'REGRESSION' : 'guarded') : ''];
  });
  table(['', 'baseline', 'now', 'change', ''], rows).forEach(say);
  if (options.update) baseline[compiler] = { ...baseline[compiler], [isa]: counts };
}
if (options.update) {
  const sorted = Object.fromEntries(Object.entries(baseline).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(`${file}.tmp`, `${JSON.stringify(sorted, null, 2)}\n`);
  renameSync(`${file}.tmp`, file);
  say(`\nbench/instructions.json: ${compiler} written`);
} else if (known === undefined) {
  say(`\nthere is no baseline for ${compiler}; --update writes one (known: ${Object.keys(baseline).join(', ') || 'none'})`);
} else if (regressions.length > 0) {
  say(`\n${regressions.length} of the guarded cases execute over ${100 * slack} % more instructions than the baseline:`);
  for (const line of regressions) say(`  ${line}`);
  process.exitCode = 1;
}
