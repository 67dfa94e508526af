// SPDX-License-Identifier: Apache-2.0
// `npm run firmware:measure`: measures every board, writes test/firmware/measured.json and measured-int8.json (by compiler) and the tables of
// docs/FIRMWARE.md. With --int8 the int8 kernels alone, of --board NAME if it says so; TINYPROP_CMSIS_NN_DIR, a checkout, measures CMSIS-NN beside them.
// The firmware test measures a part of it again and compares.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { root } from '../../tools/native.mjs';
import { boards, buildTests, cmsisNn, emulate, missing, out } from './boards.mjs';
import { int8File, int8Rows, known as knownInt8, measureInt8, recordOf } from './int8.mjs';
import { worstStack } from './stack.mjs';

const file = join(root, 'test', 'firmware', 'measured.json');
const page = join(root, 'docs', 'FIRMWARE.md');
/** More than this is a regression. */
export const slack = 0.05;
const policies = ['dense', 'full', 'tinypropv2'];

export const compiler = () => `gcc-${execFileSync('arm-none-eabi-gcc', ['-dumpfullversion'], { encoding: 'utf8' }).trim()}`;

function sizes(folder) {
  const lines = execFileSync('arm-none-eabi-size', [join(folder, 'csrc', 'libtinyprop.a')], { encoding: 'utf8' }).trim().split('\n');
  const [text, data, bss] = lines[1].trim().split(/\s+/).map(Number);
  return { text, data, bss };
}

/** Instructions of one network: of one call, and of the whole fine-tuning. */
async function measureTask(board, folder, name) {
  const { status, output } = await emulate(board, join(folder, `task-${name}.elf`), policies, { count: true, timeout: 550_000 });
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
    run: Object.fromEntries(Object.entries(run).map(([policy, row]) => [policy, { total: total(row), backward: total(row) - forward * row.steps, trained: Number(row.trained), steps: Number(row.steps), accuracy: `${row.after}/${row.test}` }])),
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
  const all = Object.entries(measured).map(([name, found]) => ({ board: boards.find((board) => board.name === name), found }));
  const each = all.flatMap(({ board, found }) => Object.entries(found.tasks).map(([name, task]) => ({ board, name, task })));
  const networks = all[0].found.tasks;
  return [
    `Compiler: arm-none-eabi-${version}, -O2, the whole library. Bytes.`,
    table(['board', 'CPU', 'text', 'data', 'bss', 'stack: forward', 'training step', 'plan'], all.map(({ board, found }) => [board.name, board.cpu, number(found.text), found.data, found.bss, number(found.stack.forward), number(found.stack.train), number(found.stack.plan)])),
    'Memory of the networks, the same on every board (KiB; plan in bytes):',
    table(['network', 'weights', 'arena for inference', 'arena for training', 'of that beyond the weights', 'plan', 'measured stack of the program, bytes (M4F)'], Object.entries(networks).map(([name, t]) => [name, kib(t.params), kib(t.arena.inference), kib(t.arena.training), kib(t.arena.training - t.params), number(t.plan), number(t.stack)])),
    'Instructions of one call, means over the run:',
    table(['CPU', 'network', 'forward', 'a MAC of it', 'dense step', 'full step', 'TinyPropv2 step that trains', 'skipped step'], each.map(({ board, name, task }) => [board.cpu, name, number(task.forward), (task.forward / task.macs).toFixed(2), number(task.dense), number(task.full), number(task.v2), number(task.skipped)])),
    'The whole fine-tuning, in instructions, against `dense` (backward: what is left after a forward pass for every step):',
    table(['CPU', 'network', 'steps', 'right before', 'after: dense', 'full', 'TinyPropv2', 'trained', 'full: total', 'backward', 'TinyPropv2: total', 'backward'], each.map(({ board, name, task: { run, before } }) => [board.cpu, name, run.dense.steps, before, run.dense.accuracy, run.full.accuracy, run.tinypropv2.accuracy, percent(run.tinypropv2.trained, run.tinypropv2.steps), ...['full', 'tinypropv2'].flatMap((policy) => [percent(run[policy].total, run.dense.total), percent(run[policy].backward, run.dense.backward)])])),
  ].join('\n\n');
}

function write(path, text) {
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

/** Puts text between the marks of a part of docs/FIRMWARE.md. */
function replacePart(part, text) {
  const [begin, end] = [`<!-- ${part}: begin -->`, `<!-- ${part}: end -->`];
  const before = readFileSync(page, 'utf8');
  if (!before.includes(begin) || !before.includes(end)) throw new Error(`${page}: no marks ${begin} and ${end}`);
  write(page, `${before.slice(0, before.indexOf(begin) + begin.length)}\n${text}\n${before.slice(before.indexOf(end))}`);
}

async function mainInt8(wanted) {
  const all = knownInt8();
  const measured = { ...all[compiler()] };
  for (const board of boards.filter(({ name }) => wanted === undefined || wanted.includes(name))) {
    process.stdout.write(`${board.name}: int8${cmsisNn === undefined ? '; CMSIS-NN skipped (set TINYPROP_CMSIS_NN_DIR)' : ''}\n`);
    measured[board.name] = recordOf(await measureInt8(board, await buildTests(board, '')), measured[board.name]);
  }
  write(int8File, `${JSON.stringify({ ...all, [compiler()]: measured }, null, 2)}\n`);
  replacePart('int8', `Compiler: arm-none-eabi-${compiler()}, -O2; CMSIS-NN -O3. Instructions of one call.\n\n${table(...int8Rows(measured, boards))}`);
}

async function main() {
  const { values: options } = parseArgs({ options: { int8: { type: 'boolean', default: false }, board: { type: 'string', multiple: true } } });
  const why = missing() ?? (options.int8 || existsSync(join(root, 'dist', 'esm.mjs')) ? undefined : 'the package is not built (npm run build)');
  if (why !== undefined) throw new Error(why);
  await mainInt8(options.board);
  if (options.int8) return;
  const { makeTasks } = await import('./tasks.mjs');
  const tasks = await makeTasks(join(out, 'tasks'));
  const lacking = tasks.filter(({ skipped }) => skipped !== undefined);
  if (lacking.length > 0) throw new Error(lacking.map(({ name, skipped }) => `${name}: ${skipped}`).join('\n'));
  const measured = {};
  for (const board of boards) {
    process.stdout.write(`${board.name}\n`);
    const folder = await buildTests(board, join(out, 'tasks'));
    const soft = board.flags.includes('float-abi=soft'); // counting takes an emulator minutes there
    measured[board.name] = await measureBoard(board, folder, soft ? [] : tasks.map(({ name }) => name));
  }
  const all = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  write(file, `${JSON.stringify({ ...all, [compiler()]: measured }, null, 2)}\n`);
  replacePart('measured', tables(compiler(), measured));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
