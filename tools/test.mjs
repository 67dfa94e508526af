// SPDX-License-Identifier: Apache-2.0
// Every test of the project: rules, build, C tests (gcc, clang, sanitizers), types, API documentation,
// TypeScript tests.
//   npm test                 everything; ends with one line: N passed, N failed[, N skipped]
//   npm test -- c            the C tests and instruction counts alone
//   npm test -- ts [ARGS]    types and vitest alone; ARGS go to vitest
//   npm test -- firmware     the emulated Cortex-M boards alone (npm run test:firmware)
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { dropForeignCache, has, root } from './native.mjs';
import { inParallel } from './parallel.mjs';

const require = createRequire(import.meta.url);
const total = { passed: 0, failed: 0, skipped: 0 };

const say = (line) => process.stdout.write(`${line}\n`);
const since = (started) => `${((Date.now() - started) / 1000).toFixed(1)} s`;
const script = (name) => join(root, 'tools', name);
const bin = (name, file) => join(dirname(require.resolve(`${name}/package.json`)), file);

function count(passed, failed, skipped = 0) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

function skip(what, why) {
  say(`skipped: ${what}: ${why}`);
  count(0, 0, 1);
}

/** Runs a program; `onLine` sees each line of its output. Resolves with the exit status, or a reason it has none. */
function run(program, args, { env = {}, onLine, timeout } = {}) {
  const stdio = onLine ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'];
  const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio, timeout });
  const readers = onLine ? [child.stdout, child.stderr].map((input) => createInterface({ input }).on('line', onLine)) : [];
  const drained = Promise.all(readers.map((reader) => new Promise((resolve) => reader.on('close', resolve))));
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (status, signal) => void drained.then(() => resolve(status ?? `killed by ${signal}`)));
  });
}

/** A step that either works or is one failure. Its output is shown only when it fails, unless it is verbose. */
async function step(what, program, args, options = {}) {
  const lines = [];
  const started = Date.now();
  const status = await run(program, args, { ...options, onLine: options.verbose ? undefined : (line) => lines.push(line) });
  const ok = status === 0;
  if (!ok) say(lines.join('\n'));
  say(`${ok ? 'ok' : 'not ok'} ${what} (${since(started)}${ok ? '' : `, ${status}`})`);
  count(ok ? 1 : 0, ok ? 0 : 1);
  return ok;
}

/** The addon, the JavaScript and the prebuilt addons: the tests of the package run what is built here. */
async function build() {
  say('# rules and build');
  await step('rules', process.execPath, [script('check.mjs')]);
  const native = await step('addon', process.execPath, [script('native.mjs')]);
  const ts = await step('TypeScript', process.execPath, [bin('typescript', 'bin/tsc'), '-p', 'tsconfig.json']);
  const prebuilds = await step('prebuilds', process.execPath, [script('prebuilds.mjs')]);
  return native && ts && prebuilds;
}

/** Runs one C test: lines `ok NAME` and `not ok NAME`, at the end `# passed N failed M`. */
async function runC(label, command, env) {
  const seen = { passed: 0, failed: 0, closed: false };
  const lines = []; // of a test together: others run at the same time
  const [program, ...args] = command;
  const started = Date.now();
  const status = await run(program, args, {
    env,
    timeout: 600_000,
    onLine(line) {
      const summary = /^# passed (\d+) failed (\d+)/.exec(line);
      if (summary) seen.closed = true;
      else if (/^ok\b/.test(line)) seen.passed++;
      else if (/^not ok\b/.test(line)) seen.failed++;
      if (!/^ok\b/.test(line) && !summary) lines.push(`  ${line}`);
    },
  });
  const complete = seen.closed && (status === 0 || seen.failed > 0);
  if (!complete) {
    lines.push(`  ended early: ${status}`);
    seen.failed++;
  }
  for (const line of lines) say(line);
  say(`${seen.failed === 0 ? 'ok' : 'not ok'} ${label}: ${seen.passed} passed, ${seen.failed} failed (${since(started)})`);
  count(seen.passed, seen.failed);
}

const cBuilds = [
  { name: 'gcc', compiler: 'gcc', defines: [] },
  { name: 'clang', compiler: 'clang', defines: [] },
  {
    name: 'gcc-sanitize',
    compiler: 'gcc',
    // Without optimisation: with it the sanitizers make the compiler six times slower than they make the tests.
    defines: ['-DTP_SANITIZE=ON', '-DCMAKE_BUILD_TYPE=Debug', '-DCMAKE_C_FLAGS_DEBUG=-g'],
    // The library itself is inside every test; only the warnings of the two compilers need it built alone.
    target: ['--target', 'c_tests'],
    argsOf: (test) => (test === 'tp_parity_test' ? ['all'] : []),
    env: { ASAN_OPTIONS: 'detect_leaks=0', UBSAN_OPTIONS: 'print_stacktrace=1' },
  },
  {
    name: 'arm64',
    compiler: 'aarch64-linux-gnu-gcc',
    defines: ['-DCMAKE_SYSTEM_NAME=Linux', '-DCMAKE_SYSTEM_PROCESSOR=aarch64', '-DCMAKE_EXE_LINKER_FLAGS=-static'],
    // What instruction sets have to do with; the emulator is slow.
    only: ['tp_parity_test', 'core-tp_control_test', 'kernel-tp_conv_test', 'kernel-tp_kernel_test', 'kernel-tp_s8_test'],
    emulator: 'qemu-aarch64',
    argsOf: (test) => [test === 'kernel-tp_s8_test' ? 'neondot' : 'neon'],
  },
];

async function testC() {
  for (const { name, compiler, defines, only, target = only ? ['--target', ...only] : [], emulator, argsOf = () => [], env } of cBuilds) {
    say(`# C tests, ${name}`);
    const missing = [compiler, ...(emulator ? [emulator] : [])].find((program) => !has(program));
    if (missing !== undefined) {
      skip(`C tests with ${name}`, `${missing} is not installed`);
      continue;
    }
    const out = join(root, 'build', `test-${name}`);
    dropForeignCache(out);
    const configure = ['-S', root, '-B', out, '-DTP_DEV=ON', '-DTP_BINDING=OFF', `-DCMAKE_C_COMPILER=${compiler}`, ...defines];
    if (!(await step(`configure with ${name}`, 'cmake', configure))) continue;
    const make = ['--build', out, ...target, '--parallel', String(cpus().length)];
    if (!(await step(`build with ${name}`, 'cmake', make))) continue;
    const folder = join(out, 'tests');
    const tests = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('_test')) : [];
    // Backwards by name, so that the longest starts first: the parity trace.
    await inParallel(tests.sort().reverse().map((test) => () => runC(`${test} (${name})`, [...(emulator ? [emulator] : []), join(folder, test), ...argsOf(test)], env)));
  }
}

/** Instructions of the hottest work against the committed baseline of this compiler: a regression is a failure. */
async function testInstructions() {
  say('# instructions');
  if (!has('valgrind')) skip('instruction counts', 'valgrind is not installed');
  else await step('instruction counts', process.execPath, [join(root, 'bench', 'instructions.mjs')], { verbose: true });
}

/** The same bytes on Cortex-M. Its last line has the numbers. */
async function testFirmware(args) {
  say('# firmware on emulated boards');
  let counted = false;
  const status = await run(process.execPath, [join(root, 'test', 'firmware', 'run.mjs'), ...args], {
    onLine(line) {
      const sums = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line);
      if (sums === null) return say(line);
      counted = true;
      count(Number(sums[1]), Number(sums[2]), Number(sums[3] ?? 0));
    },
  });
  if (counted) return;
  say(`not ok the firmware test ended with ${status}`);
  count(0, 1);
}

async function testTs(args) {
  say('# types');
  await step('types of lib, test, bench, examples', process.execPath, [
    bin('typescript', 'bin/tsc'),
    '-p',
    'tsconfig.check.json',
  ]);
  await step('API documentation', process.execPath, [bin('typedoc', 'bin/typedoc'), '--emit', 'none', '--pretty', 'false']);
  say('# TypeScript tests');
  const report = join(root, 'build', 'vitest.json');
  mkdirSync(dirname(report), { recursive: true });
  rmSync(report, { force: true });
  const status = await run(process.execPath, [
    bin('vitest', 'vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...args,
  ]);
  countVitest(report, status);
}

function countVitest(report, status) {
  if (!existsSync(report)) {
    say(`not ok vitest made no report: ${status}`);
    count(0, 1);
    return;
  }
  const result = JSON.parse(readFileSync(report, 'utf8'));
  for (const { name, assertionResults } of result.testResults) {
    const idle = assertionResults.filter((test) => test.status !== 'passed' && test.status !== 'failed');
    for (const { fullName } of idle) say(`skipped: ${relative(root, name)}: ${fullName}`);
  }
  // A file that fails before its first test has no failed test; it counts as one.
  const broken = result.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = result.numFailedTests + broken;
  count(result.numPassedTests, failed, result.numPendingTests + result.numTodoTests);
  if (status !== 0 && failed === 0) {
    say(`not ok vitest ended with ${status}`);
    count(0, 1);
  }
}

const [part, ...args] = process.argv.slice(2);
if (part !== undefined && !['c', 'ts', 'firmware'].includes(part)) {
  say(`unknown part "${part}": expected c, ts or firmware`);
  process.exit(2);
}
const built = part === undefined ? await build() : true;
if (part === undefined || part === 'c') {
  await testC();
  await testInstructions();
}
if (built && (part === undefined || part === 'firmware')) await testFirmware(args);
if (built && (part === undefined || part === 'ts')) await testTs(args);
say(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exitCode = total.failed === 0 ? 0 : 1;
