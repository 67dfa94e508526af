// SPDX-License-Identifier: Apache-2.0
// `npm run firmware:measure`: measures every board, writes test/firmware/measured.json, measured-int8.json and measured-float.json (by compiler) and the
// tables of docs/FIRMWARE.md. With --int8 or --float those kernels alone, of --board NAME if it says so; TINYPROP_CMSIS_NN_DIR, a checkout, measures CMSIS-NN beside the int8 ones.
// The firmware test measures a part of it again and compares.
//   node test/firmware/measure.mjs [--boards | --tuning | --int8 | --float]     only what the boards cost, only the whole fine-tunings, only the int8 or float kernels
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { root } from '../../tools/native.mjs';
import { boards, buildTests, cmsisNn, emulate, missing, out } from './boards.mjs';
import { floatFile, floatRows, known as knownFloat, measureFloat, recordOf as floatRecord } from './float.mjs';
import { int8File, int8Rows, known as knownInt8, measureInt8, recordOf } from './int8.mjs';
import { worstStack } from './stack.mjs';
import { makeTasks } from './tasks.mjs';
import { tunings } from './tuning.mjs';

const file = join(root, 'test', 'firmware', 'measured.json');
const page = join(root, 'docs', 'FIRMWARE.md');
/** More than this is a regression. */
export const slack = 0.05;
const policies = ['dense', 'full', 'tinypropv2'];
/** Networks trained beforehand with seeds of their own, for the accuracy of a fine-tuning: one alone proves no point. */
const starts = 5;

export const compiler = () => `gcc-${execFileSync('arm-none-eabi-gcc', ['-dumpfullversion'], { encoding: 'utf8' }).trim()}`;

function sizes(folder) {
  const lines = execFileSync('arm-none-eabi-size', [join(folder, 'csrc', 'libtinyprop.a')], { encoding: 'utf8' }).trim().split('\n');
  const [text, data, bss] = lines[1].trim().split(/\s+/).map(Number);
  return { text, data, bss };
}

/** Instructions of one network: of one call, and of the whole run. */
async function measureTask(board, folder, name, timeout = 550_000) {
  const { status, output } = await emulate(board, join(folder, `task-${name}.elf`), policies, { count: true, timeout });
  if (status !== 0) throw new Error(`${board.name} task-${name}: ${status}\n${output}`);
  const pairs = (text) => Object.fromEntries(text.trim().split(' ').map((pair) => pair.split('=')));
  const unit = Number(/^ticks_of_a_million (\S+)/m.exec(output)[1]) / 1e6;
  const instructions = (ticks, calls) => (calls === 0 ? null : Math.round(Number(ticks) / unit / calls));
  const inference = pairs(/^inference (.*)$/m.exec(output)[1]);
  const run = Object.fromEntries([...output.matchAll(/^task (\S+) (.*)$/gm)].map(([, policy, rest]) => [policy, pairs(rest)]));
  const forward = instructions(inference.ticks, Number(inference.forwards));
  const { dense, full, tinypropv2: v2 } = run;
  const total = (row) => instructions(Number(row.trained_ticks) + Number(row.skipped_ticks), 1);
  return {
    forward, dense: instructions(dense.trained_ticks, dense.steps), full: instructions(full.trained_ticks, full.steps),
    v2: instructions(v2.trained_ticks, Number(v2.trained)), skipped: instructions(v2.skipped_ticks, v2.steps - v2.trained),
    run: Object.fromEntries(Object.entries(run).map(([policy, row]) => [policy, { total: total(row), backward: total(row) - forward * row.steps, trained: Number(row.trained), steps: Number(row.steps), accuracy: `${row.after}/${row.test}`, weights: row.weights }])),
    before: `${dense.before}/${dense.test}`, macs: Number(inference.macs), params: Number(inference.params), plan: Number(inference.plan),
    arena: { inference: Number(inference.arena), training: Number(dense.arena) }, stack: Number(/^stack (\d+)/m.exec(output)[1]),
  };
}

/** @param {string[]} tasks names */
export async function measureBoard(board, folder, tasks) {
  const depth = worstStack(board.flags);
  const found = { ...sizes(folder), stack: { forward: depth.tp_net_forward, train: depth.tp_train_step, plan: depth.tp_plan_make }, tasks: {} };
  for (const name of tasks) found.tasks[name] = await measureTask(board, folder, name);
  return found;
}

/** The fine-tunings of tuning.mjs on one board, and what the package makes of them from several starts. */
async function measureTunings(board) {
  const folder = join(out, 'tunings');
  const made = present(await makeTasks(folder, { tasks: tunings, policies: ['dense', 'tinypropv2'], starts }));
  const built = await buildTests(board, folder, false, `tunings-${board.name}`);
  const found = {};
  for (const { name, samples, policies: here, starts: all } of made) {
    process.stdout.write(`${board.name}: fine-tuning of ${name}\n`);
    const { run } = await measureTask(board, built, name, 1_500_000);
    for (const [policy, { weights }] of Object.entries({ ...here, full: here.dense })) {
      if (run[policy].weights !== weights) throw new Error(`${board.name} ${name} ${policy}: weights ${run[policy].weights}, here ${weights}`);
    }
    found[name] = { samples, run, starts: all };
  }
  return found;
}

/** Lines that compare a measurement with the committed one; `bad`: those over the slack, for the same compiler. */
export function change(board, found) {
  const all = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const known = all[compiler()]?.[board.name];
  const lines = [];
  const bad = [];
  const one = (what, now, before) => {
    const more = before ? now / before - 1 : 0;
    lines.push(`${board.name} ${what}: ${now}${before ? `, ${more >= 0 ? '+' : ''}${(100 * more).toFixed(1)} %` : ', not in measured.json for this compiler'}`);
    if (more > slack) bad.push(`${board.name} ${what}: ${now}, ${before} in measured.json`);
  };
  one('text', found.text, known?.text);
  one('stack of a training step', found.stack.train, known?.stack.train);
  for (const [name, task] of Object.entries(found.tasks)) {
    for (const key of ['forward', 'dense', 'full', 'v2', 'skipped']) one(`${name} ${key}`, task[key], known?.tasks[name]?.[key]);
  }
  return { lines, bad };
}

const number = (value) => (value === null || value === undefined ? '-' : value.toLocaleString('en-US'));
const kib = (bytes) => (bytes / 1024).toFixed(1);
const percent = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`;
const table = (head, rows) => [`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');

function tables(version, measured) {
  const all = boards.filter(({ name }) => name in measured).map((board) => ({ board, found: measured[board.name] }));
  const each = all.flatMap(({ board, found }) => Object.entries(found.tasks).map(([name, task]) => ({ board, name, task })));
  const networks = all[0].found.tasks;
  return [
    `Compiler: arm-none-eabi-${version}, -O2, the whole library. Bytes.`,
    table(['board', 'CPU', 'text', 'data', 'bss', 'stack: forward', 'training step', 'plan'], all.map(({ board, found }) => [board.name, board.cpu, number(found.text), found.data, found.bss, number(found.stack.forward), number(found.stack.train), number(found.stack.plan)])),
    'Memory of the networks, the same on every board (KiB; plan in bytes):',
    table(['network', 'weights', 'arena for inference', 'arena for training', 'of that beyond the weights', 'plan', 'measured stack of the program, bytes (M4F)'], Object.entries(networks).map(([name, t]) => [name, kib(t.params), kib(t.arena.inference), kib(t.arena.training), kib(t.arena.training - t.params), number(t.plan), number(t.stack)])),
    'Instructions of one call, means over the short runs:',
    table(['CPU', 'network', 'forward', 'a MAC of it', 'dense step', 'full step', 'TinyPropv2 step that trains', 'skipped step'], each.map(({ board, name, task }) => [board.cpu, name, number(task.forward), (task.forward / task.macs).toFixed(2), number(task.dense), number(task.full), number(task.v2), number(task.skipped)])),
    'The short runs of the tests, 120 to 1,200 steps of networks that know little yet, in instructions against `dense`:',
    table(['CPU', 'network', 'steps', 'right before', 'after: dense', 'full', 'TinyPropv2', 'trained', ...effort], each.map(({ board, name, task: { run, before } }) => [board.cpu, name, run.dense.steps, before, run.dense.accuracy, run.full.accuracy, run.tinypropv2.accuracy, percent(run.tinypropv2.trained, run.tinypropv2.steps), ...efforts(run)])),
  ].join('\n\n');
}

const effort = ['full: total', 'backward', 'TinyPropv2: total', 'backward'];
const efforts = (run) => ['full', 'tinypropv2'].flatMap((policy) => [percent(run[policy].total, run.dense.total), percent(run[policy].backward, run.dense.backward)]);

function tuningTable(board, found) {
  const mean = (all, key, { test }) => `${((100 * all.reduce((sum, start) => sum + start[key], 0)) / all.length / test).toFixed(1)} %`;
  return [
    `${board.cpu}; accuracy: mean of ${starts} starts; instructions: the first of them.`,
    table(
      ['network', 'samples: host', 'board', 'test', 'right before', 'after: dense', 'TinyPropv2', 'instructions of dense, millions', 'TinyPropv2 trained', ...effort],
      Object.entries(found).map(([name, { samples, run, starts: all }]) => [
        name, number(samples.known), number(samples.train), number(samples.test), ...['before', 'dense', 'tinypropv2'].map((key) => mean(all, key, samples)),
        number(Math.round(run.dense.total / 1e6)), percent(run.tinypropv2.trained, run.tinypropv2.steps), ...efforts(run),
      ]),
    ),
  ].join('\n\n');
}

function write(path, text) {
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

/** Puts text between the marks of the page. */
function fill(mark, text) {
  const [begin, end] = [`<!-- ${mark}: begin -->`, `<!-- ${mark}: end -->`];
  const old = readFileSync(page, 'utf8');
  if (!old.includes(begin) || !old.includes(end)) throw new Error(`${page}: no marks ${begin} and ${end}`);
  write(page, `${old.slice(0, old.indexOf(begin) + begin.length)}\n${text}\n${old.slice(old.indexOf(end))}`);
}

async function mainInt8(wanted) {
  const all = knownInt8();
  const measured = { ...all[compiler()] };
  for (const board of boards.filter(({ name }) => wanted === undefined || wanted.includes(name))) {
    process.stdout.write(`${board.name}: int8${cmsisNn === undefined ? '; CMSIS-NN skipped (set TINYPROP_CMSIS_NN_DIR)' : ''}\n`);
    measured[board.name] = recordOf(await measureInt8(board, await buildTests(board, '')), measured[board.name]);
  }
  write(int8File, `${JSON.stringify({ ...all, [compiler()]: measured }, null, 2)}\n`);
  fill('int8', `Compiler: arm-none-eabi-${compiler()}, -O2; CMSIS-NN -O3. Instructions of one call.\n\n${table(...int8Rows(measured, boards))}`);
}

async function mainFloat(wanted) {
  const all = knownFloat();
  const measured = { ...all[compiler()] };
  for (const board of boards.filter(({ name, flags }) => (wanted === undefined || wanted.includes(name)) && !flags.includes('float-abi=soft'))) {
    process.stdout.write(`${board.name}: float\n`);
    measured[board.name] = floatRecord(await measureFloat(board, await buildTests(board, '')));
  }
  write(floatFile, `${JSON.stringify({ ...all, [compiler()]: measured }, null, 2)}\n`);
  fill('float', `Compiler: arm-none-eabi-${compiler()}, -O2. Instructions for one multiply-accumulate, for a pair of them (dX and dW) in the last rows; calls included.\n\n${table(...floatRows(measured, boards))}`);
}

/** Tasks; an error if the data of one are not there. */
function present(tasks) {
  const lacking = tasks.filter(({ skipped }) => skipped !== undefined);
  if (lacking.length > 0) throw new Error(lacking.map(({ name, skipped }) => `${name}: ${skipped}`).join('\n'));
  return tasks;
}

async function measureBoards(known) {
  const tasks = present(await makeTasks(join(out, 'tasks')));
  const measured = {};
  for (const board of boards) {
    process.stdout.write(`${board.name}\n`);
    const folder = await buildTests(board, join(out, 'tasks'));
    const soft = board.flags.includes('float-abi=soft'); // counting takes an emulator minutes there
    measured[board.name] = await measureBoard(board, folder, soft ? [] : tasks.map(({ name }) => name));
  }
  return { ...measured, ...(known.tuning === undefined ? {} : { tuning: known.tuning }) };
}

async function main() {
  const flag = { type: 'boolean', default: false };
  const { values: only } = parseArgs({ options: { boards: flag, tuning: flag, int8: flag, float: flag, board: { type: 'string', multiple: true } } });
  const why = missing() ?? (only.int8 || only.float || existsSync(join(root, 'dist', 'esm.mjs')) ? undefined : 'the package is not built (npm run build)');
  if (why !== undefined) throw new Error(why);
  const kernels = !only.tuning && !only.boards;
  if (kernels && !only.float) await mainInt8(only.board);
  if (kernels && !only.int8) await mainFloat(only.board);
  if (only.int8 || only.float) return;
  const all = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  let measured = all[compiler()] ?? {};
  if (!only.tuning) measured = await measureBoards(measured);
  if (!only.boards) measured = { ...measured, tuning: await measureTunings(boards[0]) };
  write(file, `${JSON.stringify({ ...all, [compiler()]: measured }, null, 2)}\n`);
  if (!only.tuning) fill('measured', tables(compiler(), measured));
  if (!only.boards) fill('tuning', tuningTable(boards[0], measured.tuning));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
