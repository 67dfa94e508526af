// SPDX-License-Identifier: Apache-2.0
// `npm run test:firmware`: the core on emulated Cortex-M boards gives the bytes that it gives here.
//   unit tests of test/csrc, the parity trace at length, a network from here that goes on learning there, float and int8 kernels, MobileNetV2 in 256 KiB
//   TINYPROP_CMSIS_NN_DIR, a checkout of CMSIS-NN: int8 through it too
// Every comparison prints `parity BOARD MODEL POLICY HASH ok|DIFFERENT`. The last line is `N passed, N failed[, N skipped]`.
//   node test/firmware/run.mjs [--board NAME]... [--all | --image]     --all: also what takes minutes in an emulator; --image: MobileNetV2 alone
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../../tools/native.mjs';
import { inParallel } from '../../tools/parallel.mjs';
import { boards, buildExample, buildTests, cmsisNn, emulate, missing, out, run } from './boards.mjs';
import { budget, imageBoards, makeImage, runImage } from './image.mjs';
import { known as knownFloat, measureFloat, otherFloats, parseFloat } from './float.mjs';
import { changeKernels, known as knownInt8, measureInt8, otherBytes, parseInt8 } from './int8.mjs';
import { change, compiler, measureBoard, slack } from './measure.mjs';
import { makeTasks } from './tasks.mjs';

const { values: options } = parseArgs({ options: { board: { type: 'string', multiple: true }, all: { type: 'boolean', default: false }, image: { type: 'boolean', default: false } } });
const soft = (board) => board.flags.includes('float-abi=soft');
/** Training steps of every row of the trace; a core without an FPU takes 30 times as long for one. */
const stepsOf = (board) => (soft(board) ? '100' : '1000');
/** Whose unit tests a board runs that need not have its own: the same code at the same addresses, half the compiling. Where the emulated
 * machine is the same as well, once is enough, and the board has them with --all. */
const unitsOf = { 'mps2-an500': 'mps2-an386', 'mps2-an385': 'mps2-an385-v6m' };
/** Unit tests of minutes in an emulator: on the first board, before the others, or with --all. */
const slow = { first: ['core-tp_ahead_test', 'core-tp_plan_test', 'core-tp_blob_test', 'core-tp_cut_test', 'core-tp_store_power_test', 'tp_slice_test'], all: ['kernel-tp_kernel_test', 'kernel-tp_conv_test', 'kernel-tp_math_test', 'layer-tp_layer_test'] };
/** All that the library may leave open: three functions of string.h, and the compiler's own of the Arm run-time ABI. */
const allowed = /^(memcpy|memmove|memset|__aeabi_(d2f|dadd|dcmpeq|dcmpgt|dcmplt|ddiv|dmul|dsub|f2d|f2iz|f2uiz|fadd|fcmpeq|fcmpge|fcmpgt|fcmple|fcmplt|fdiv|fmul|fsub|i2f|idiv|ldivmod|llsl|lmul|ui2d|ui2f|uidiv|uidivmod|ul2f|uldivmod))$/;

const total = { passed: 0, failed: 0, skipped: 0 };
const say = (line) => process.stdout.write(`${line}\n`);
const seconds = (from, to = Date.now()) => `${((to - from) / 1000).toFixed(1)} s`;

function check(ok, line) {
  if (ok) total.passed++;
  else total.failed++;
  say(`${ok ? 'ok' : 'not ok'} ${line}`);
}

function skip(what, why) {
  total.skipped++;
  say(`skipped: ${what}: ${why}`);
}

function compare(board, model, policy, hash, same, why = '') {
  if (same) total.passed++;
  else total.failed++;
  say(`parity ${board} ${model} ${policy} ${hash} ${same ? 'ok' : `DIFFERENT${why === '' ? '' : `: ${why}`}`}`);
}

/** Rows `trace MODEL POLICY HASH SUMS`, each with the `at STEP HASH` lines before it. */
function parseTrace(output) {
  const found = { source: /^source (\S+)/m.exec(output)?.[1], isa: /^isa (\S+)/m.exec(output)?.[1], rows: [] };
  let at = [];
  for (const line of output.split(/\r?\n/)) {
    const row = /^trace (\S+) (\S+) (\S+) (.*)$/.exec(line);
    if (line.startsWith('at ')) at.push(line);
    if (row === null) continue;
    found.rows.push({ model: row[1], policy: row[2], hash: row[3], sums: row[4], at });
    at = [];
  }
  return found;
}

function parseTask(output) {
  const lines = [...output.matchAll(/^task (\S+) (.*?)\r?$/gm)];
  return {
    source: /^source (\S+)/m.exec(output)?.[1],
    policies: Object.fromEntries(lines.map(([, policy, rest]) => [policy, Object.fromEntries(rest.split(' ').map((pair) => pair.split('=')))])),
  };
}

/** What this machine makes of it: the scalar kernels and the best ones it has, which must agree. */
async function hostTrace(folder, steps) {
  const found = {};
  for (const isa of ['scalar', 'best']) {
    const { status, output } = await run(join(folder, 'parity'), isa === 'best' ? [steps] : [steps, isa]);
    if (status !== 0) throw new Error(`the parity trace of this machine ended with ${status}\n${output}`);
    found[isa] = parseTrace(output);
  }
  const [a, b] = [found.scalar, found.best];
  check(JSON.stringify(a.rows) === JSON.stringify(b.rows), `host: ${a.rows.length} rows of ${steps} steps, scalar and ${b.isa} the same`);
  return found.best;
}

function compareTrace(board, host, { status, output }) {
  const got = parseTrace(output);
  check(status === 0 && got.source === host.source && got.rows.length === host.rows.length, `${board.name}: source ${got.source}, ${got.isa}, ${got.rows.length} of ${host.rows.length} rows, ended with ${status}`);
  for (const want of host.rows) {
    const row = got.rows.find(({ model, policy }) => model === want.model && policy === want.policy);
    if (row === undefined) compare(board.name, want.model, want.policy, '-', false, 'no such line');
    else {
      const apart = want.at.findIndex((line, i) => line !== row.at[i]);
      const same = row.hash === want.hash && row.sums === want.sums && apart < 0;
      compare(board.name, row.model, row.policy, row.hash, same, `host ${want.hash}; ${apart < 0 ? 'the end' : `by step ${want.at[apart]?.split(' ')[1]}`}; ${row.sums}; host ${want.sums}`);
    }
  }
}

/** The board's lines against those of the host's program and of the package (another language, other kernels, batches). */
function compareTask(board, task, host, policies, { status, output }) {
  const got = parseTask(output);
  if (status !== 0 || got.source !== host.source) check(false, `${board.name} ${task.name}: ended with ${status}, source ${got.source}\n${output}`);
  for (const policy of policies) {
    const want = host.policies[policy];
    const row = got.policies[policy];
    const package_ = task.policies[policy];
    const keys = ['weights', 'records', 'steps', 'trained', 'before', 'after', 'arena'];
    const apart = keys.filter((key) => row?.[key] !== want[key]);
    if (row?.weights !== package_.weights || Number(row?.trained) !== package_.trained || Number(row?.after) !== package_.after) apart.push('package');
    const result = row === undefined ? '' : ` accuracy ${row.before}/${row.test} -> ${row.after}/${row.test}`;
    compare(board.name, task.name, policy, `${row?.weights}${result}`, apart.length === 0, apart.join(', '));
  }
}

function checkSymbols(board, folder) {
  const undefinedOf = (file) => execFileSync('arm-none-eabi-nm', ['-u', file], { encoding: 'utf8' }).split(/\s+/).filter((word) => word !== '' && word !== 'U' && !word.endsWith(':'));
  const wanted = undefinedOf(join(folder, 'csrc', 'libtinyprop.a'));
  const foreign = wanted.filter((name) => !allowed.test(name));
  check(foreign.length === 0 && wanted.includes('memcpy'), `${board.name}: the library wants ${foreign.length === 0 ? `nothing but ${wanted.join(' ')}` : foreign.join(' ')}`);
}

async function unitTest(board, folder, name) {
  const started = Date.now();
  const { status, output } = await emulate(board, join(folder, `${name}.elf`), [], { timeout: options.all ? 3_600_000 : 600_000 });
  const lines = output.split(/\r?\n/);
  const passed = lines.filter((line) => /^ok\b/.test(line)).length;
  const failed = lines.filter((line) => /^not ok\b/.test(line)).length;
  const closed = lines.some((line) => line.startsWith(`# passed ${passed} failed ${failed}`)) && (status === 0 || failed > 0);
  total.passed += passed;
  total.failed += failed + (closed ? 0 : 1);
  say(`${closed && failed === 0 ? 'ok' : 'not ok'} ${board.name} ${name}: ${passed} passed, ${failed} failed (${seconds(started)})${closed ? '' : `, ended with ${status}`}`);
  if (!closed || failed > 0) say(lines.filter((line) => !/^ok\b/.test(line)).join('\n'));
}

/** `before`: the boards that had their turn. */
async function testBoard(board, before, host) {
  const started = Date.now();
  const first = before.length === 0;
  const unitBoard = options.all ? board : boards.find(({ name }) => name === (unitsOf[board.name] ?? board.name));
  const ranBefore = before.includes(unitBoard) && unitBoard.machine === board.machine;
  const memories = ({ code, ram, large }) => JSON.stringify({ code, ram, large });
  if (memories(board) !== memories(unitBoard)) throw new Error(`has not the memories of ${unitBoard.name}, whose images it is to run`);
  const folder = await buildTests(board, join(out, 'tasks'), unitBoard === board);
  const unitFolder = unitBoard === board || ranBefore ? folder : await buildTests(unitBoard, join(out, 'tasks'), true);
  const built = Date.now();
  checkSymbols(board, folder);
  const wants = (unit) => options.all || !(slow.all.includes(unit) || (!first && slow.first.includes(unit)));
  const units = ranBefore ? [] : readdirSync(unitFolder).filter((file) => file.endsWith('_test.elf')).map((file) => file.slice(0, -4)).filter(wants);
  units.sort((a, b) => slow.first.includes(b) - slow.first.includes(a) || (a < b ? -1 : 1));
  const steps = stepsOf(board);
  const jobs = [async () => compareTrace(board, host.trace[steps], await emulate(board, join(folder, 'parity.elf'), [steps]))];
  if (options.all) {
    jobs.push(async () => {
      const { status, output } = await emulate(board, join(folder, 'parity.elf'), ['pinned']);
      const rows = [...output.matchAll(/^pinned (\S+) (\S+) (\S+) (\S+) (ok|DIFFERENT)/gm)];
      for (const [, model, policy, optimizer, hash, verdict] of rows) compare(board.name, model, `${policy}/${optimizer}`, hash, verdict === 'ok');
      check(status === 0 && rows.length > 0, `${board.name}: ${rows.length} pinned rows`);
    });
  }
  for (const task of host.tasks) {
    if (task.skipped !== undefined) continue; // said once
    if (soft(board) && task.name !== 'digits' && !options.all) continue; // minutes each
    const policies = soft(board) && !options.all ? ['tinypropv2'] : Object.keys(task.policies);
    jobs.push(async () => compareTask(board, task, host.results[task.name], policies, await emulate(board, join(folder, `task-${task.name}.elf`), policies)));
  }
  jobs.push(async () => {
    const { lines, bad } = change(board, await measureBoard(board, folder, soft(board) ? [] : ['digits']));
    for (const line of lines) say(`# ${line}`);
    check(bad.length === 0, `${board.name}: size and instructions${bad.length === 0 ? '' : `; more than they were: ${bad.join('; ')}`}`);
  });
  jobs.push(async () => {
    const found = await measureInt8(board, folder);
    const apart = otherBytes(host.int8, found);
    check(apart.length === 0, `${board.name}: int8 kernels${cmsisNn === undefined ? '' : ', and CMSIS-NN,'} give the bytes that they give here${apart.length === 0 ? '' : `, but for ${apart.join(', ')}`}`);
    const { lines, bad } = changeKernels(`${board.name} int8`, found.ours, knownInt8()[compiler()]?.[board.name]?.ours, slack);
    for (const line of lines) say(`# ${line}`);
    check(bad.length === 0, `${board.name}: instructions of int8 kernels${bad.length === 0 ? '' : `; more than they were: ${bad.join('; ')}`}`);
  });
  jobs.push(async () => {
    const found = await measureFloat(board, folder);
    const apart = otherFloats(host.float, found);
    check(apart.length === 0, `${board.name}: float kernels give the bytes that they give here${apart.length === 0 ? '' : `, but for ${apart.join(', ')}`}`);
    const { lines, bad } = changeKernels(`${board.name} float`, found, knownFloat()[compiler()]?.[board.name], slack);
    for (const line of lines) say(`# ${line}`);
    check(bad.length === 0, `${board.name}: instructions of float kernels${bad.length === 0 ? '' : `; more than they were: ${bad.join('; ')}`}`);
  });
  if (first) {
    jobs.push(async () => {
      const said = ({ status, output }) => `${status} ${output.replace(/, kernels \w+/, '').replace(/\r/g, '')}`;
      const want = await run(join(out, 'host', 'example'), []);
      const got = await emulate(board, await buildExample(board));
      check(said(got) === said(want) && /TP_OK\s*$/.test(got.output), `${board.name}: the example says what it says here\n${got.output}`);
    });
  }
  for (const unit of units) jobs.push(() => unitTest(board, unitFolder, unit));
  await inParallel(jobs);
  say(`# ${board.name}, ${board.cpu}: built in ${seconds(started, built)}, ran in ${seconds(built)}`);
}

/** MobileNetV2 learns in 256 KiB: the weights of the host's program and of the package, within the budget. */
async function testImage(wanted) {
  const { skipped, expected, trains, biases, plan } = await makeImage();
  if (skipped !== undefined) return skip('MobileNetV2 in 256 KiB', skipped);
  say(`# MobileNetV2-0.35, int8, 96x96: in 256 KiB ${trains.join(', ')} train, and of ${biases.join(', ')} the bias; planned RAM ${plan.program.total} bytes`);
  check(plan.budget.fits && plan.program.total <= budget.ram, `the plan keeps ${budget.ram} bytes of RAM and ${budget.flash} of flash`);
  const keys = Object.keys(expected);
  for (const board of [null, ...wanted.filter(({ name }) => imageBoards.includes(name))]) {
    const { status, output, found, memory } = await runImage(board);
    const apart = keys.filter((key) => found[key] !== expected[key]);
    compare(board?.name ?? 'host', 'mobilenetv2', 'tinypropv2', `${found.weights} ${found.before}/${found.test} -> ${found.after}/${found.test}`, status === 0 && apart.length === 0, `${apart.join(', ')}\n${output}`);
    if (memory === null) continue;
    say(`# ${board.name} RAM: data ${memory.data}, bss ${memory.bss}, stack ${memory.stack}, in all ${memory.ram}; flash ${memory.flash}`);
    check(memory.ram <= budget.ram && memory.flash <= budget.flash, `${board.name}: within 256 KiB of RAM and 1 MiB of flash`);
  }
}

/** Everything of the boards but the image. */
async function testBoards(wanted) {
  const tasks = await makeTasks(join(out, 'tasks'));
  for (const { name, skipped } of tasks) if (skipped !== undefined) skip(`task ${name}`, skipped);
  if (cmsisNn === undefined) skip('int8 through CMSIS-NN', 'set TINYPROP_CMSIS_NN_DIR to a checkout of it');
  const folder = await buildTests(null, join(out, 'tasks'));
  const host = { tasks, float: parseFloat((await run(join(folder, 'float'), [])).output), int8: parseInt8((await run(join(folder, 'int8'), [])).output).int8, trace: { 1000: await hostTrace(folder, '1000'), 100: await hostTrace(folder, '100') }, results: {} };
  for (const { name, skipped, policies } of tasks) {
    if (skipped !== undefined) continue;
    const { status, output } = await run(join(folder, `task-${name}`), Object.keys(policies));
    if (status !== 0) throw new Error(`task-${name} ended with ${status}\n${output}`);
    host.results[name] = parseTask(output);
  }
  for (const [index, board] of wanted.entries()) {
    try {
      await testBoard(board, wanted.slice(0, index), host);
    } catch (error) {
      check(false, `${board.name}: ${error.message}`);
    }
  }
}

const why = missing() ?? (existsSync(join(root, 'dist', 'esm.mjs')) ? undefined : 'the package is not built (npm run build)');
if (why !== undefined) {
  skip('firmware on emulated boards', why);
} else {
  const wanted = boards.filter(({ name }) => options.board === undefined || options.board.includes(name));
  if (!options.image) await testBoards(wanted);
  if (wanted.some(({ name }) => imageBoards.includes(name))) await testImage(wanted).catch((error) => check(false, `MobileNetV2 in 256 KiB: ${error.message}`));
}
say(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exitCode = total.failed === 0 ? 0 : 1;
