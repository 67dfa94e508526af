// SPDX-License-Identifier: Apache-2.0
// @ts-check
// What the benchmark programs share: options, the build of the C side, child processes that end with us, tables.
import { spawn, spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { dropForeignCache, has, root } from '../tools/native.mjs';

export { has, root };

/** @param {string} line */
export const say = (line) => void process.stdout.write(`${line}\n`);

/**
 * Ends the program with a message for the user.
 * @param {string} message
 * @returns {never}
 */
export function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(1);
}

/**
 * Options of the command line; anything unknown ends the program with the usage.
 * @template {import('node:util').ParseArgsConfig['options']} T
 * @param {T} options
 * @param {string} usage
 */
export function parse(options, usage) {
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } }, strict: true, allowPositionals: false });
    if (/** @type {{ help?: boolean }} */ (values).help) {
      say(usage);
      process.exit(0);
    }
    return /** @type {ReturnType<typeof parseArgs<{ options: T }>>['values']} */ (values);
  } catch (error) {
    const [message] = /** @type {Error} */ (error).message.split('. ');
    process.stderr.write(`bench: ${message}\n${usage}\n`);
    process.exit(2);
  }
}

/**
 * A number of an option, or its default.
 * @param {string} name
 * @param {string | undefined} text
 * @param {number} standard
 * @param {number} least
 * @param {number} most
 */
export function integer(name, text, standard, least, most) {
  if (text === undefined) return standard;
  const n = Number(text);
  if (text === '' || !Number.isInteger(n) || n < least || n > most) fail(`${name} ${text}: expected a whole number from ${least} to ${most}`);
  return n;
}

/**
 * Builds a program of bench/ and gives its path; what the compiler says is shown only when it fails.
 * @param {string} target
 */
export function build(target) {
  const out = join(root, 'build', 'bench');
  dropForeignCache(out);
  if (!has('cmake')) fail('CMake 3.18 or later is needed (Debian: apt install cmake make gcc)');
  const steps = [
    ['-S', root, '-B', out, '-DTP_BINDING=OFF', '-DTP_BENCH=ON'],
    ['--build', out, '--target', target],
  ];
  for (const args of steps) {
    const { status, stdout, stderr } = spawnSync('cmake', args, { cwd: root, encoding: 'utf8' });
    if (status !== 0) fail(`cmake ${args.join(' ')} failed\n${stdout}${stderr}`);
  }
  return join(out, target);
}

/**
 * The words before a command that pin it to one core, by default the last one, which the system uses least; with more threads,
 * to as many cores that end there.
 * @param {string | undefined} core
 * @param {number} [threads]
 * @returns {string[]}
 */
export function pin(core, threads = 1) {
  const last = cpus().length - 1;
  const number = integer('--core', core, last, 0, last);
  if (has('taskset')) return ['taskset', '-c', `${Math.max(0, number - threads + 1)}-${number}`];
  if (core !== undefined) fail('--core: taskset is not installed (Debian: apt install util-linux)');
  return [];
}

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
const endChildren = () => children.forEach((child) => child.kill('SIGKILL'));
process.on('exit', endChildren);
for (const [signal, number] of /** @type {const} */ ([['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]])) {
  process.on(signal, () => process.exit(128 + number));
}

/**
 * A child process that ends when we do. Its errors go to the terminal.
 * @param {string[]} command
 * @param {NodeJS.ProcessEnv} [env] added to ours
 */
export function start(command, env = {}) {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  child.on('close', () => children.delete(child));
  child.stdin.on('error', () => {}); // it has ended: its exit says so
  return child;
}

/**
 * Runs a command to its end; `onLine` sees each line of its output.
 * @param {string[]} command
 * @param {(line: string) => void} onLine
 * @returns {Promise<void>}
 */
export function run(command, onLine) {
  const child = start(command); // its input stays open as long as we live
  const lines = createInterface({ input: child.stdout }).on('line', onLine);
  const drained = new Promise((resolve) => lines.on('close', resolve));
  return new Promise((resolve) => {
    child.on('error', (error) => fail(`${command[0]}: ${error.message}`));
    child.on('close', (status, signal) => {
      if (signal !== null) fail(`${command.join(' ')} was ended by ${signal}`);
      if (status !== 0) process.exit(status ?? 1);
      void drained.then(() => resolve());
    });
  });
}

/** A child that answers every line with a line of JSON. */
export class Server {
  /**
   * @param {string[]} command
   * @param {NodeJS.ProcessEnv} [env]
   */
  constructor(command, env) {
    this.child = start(command, env);
    /** @type {{ resolve: (value: any) => void, reject: (reason: Error) => void }[]} whose answers are to come, in order */
    this.waiting = [];
    /** @type {string | null} */
    this.ended = null;
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.waiting.shift()?.resolve(JSON.parse(line));
    });
    this.child.on('error', (error) => this.end(`${command.join(' ')}: ${error.message}`));
    this.child.on('close', (status, signal) => this.end(`${command.join(' ')} ended (${signal ?? status})`));
  }

  /** @param {string} why */
  end(why) {
    this.ended ??= why;
    for (const { reject } of this.waiting.splice(0)) reject(new Error(this.ended));
  }

  /**
   * The next line of the child.
   * @returns {Promise<any>}
   */
  answer() {
    if (this.ended !== null) return Promise.reject(new Error(this.ended));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  /** @param {string} line */
  ask(line) {
    const answer = this.answer();
    this.child.stdin.write(`${line}\n`);
    return answer;
  }

  close() {
    this.child.stdin.end();
    this.child.kill();
  }
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? Number(sorted[middle]) : (Number(sorted[middle - 1]) + Number(sorted[middle])) / 2;
}

/**
 * Microseconds with three significant digits or more.
 * @param {number | null | undefined} us
 */
export const time = (us) => (us === null || us === undefined ? '-' : us >= 100 ? us.toFixed(0) : us >= 10 ? us.toFixed(1) : us.toFixed(2));

/** @param {number | null | undefined} factor */
export const ratio = (factor) => (factor === null || factor === undefined ? '-' : `${factor >= 100 ? factor.toFixed(0) : factor >= 10 ? factor.toFixed(1) : factor.toFixed(2)}x`);

/** @param {number} share */
export const percent = (share) => `${(100 * share).toFixed(1)} %`;

/**
 * Lines of a table as Markdown writes them: the first column to the left, the others to the right.
 * @param {string[]} head
 * @param {string[][]} rows
 * @returns {string[]}
 */
export function table(head, rows) {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => String(row[i]).length)));
  /** @param {string[]} row */
  const line = (row) => `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  return [line(head), `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`, ...rows.map(line)];
}
