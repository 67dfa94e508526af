// SPDX-License-Identifier: Apache-2.0
// The boards of examples/firmware/qemu-mps2/boards.json: building their images and running them in QEMU.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { dropForeignCache, has, root } from '../../tools/native.mjs';

const folder = join(root, 'examples', 'firmware', 'qemu-mps2');
/** @type {{ name: string, machine: string, cpu: string, flags: string }[]} */
export const boards = JSON.parse(readFileSync(join(folder, 'boards.json'), 'utf8'));
export const out = join(root, 'build', 'firmware');

/** A checkout of CMSIS-NN, for the int8 kernels that call it; undefined: there is none. */
export const cmsisNn = process.env.TINYPROP_CMSIS_NN_DIR;

/** Why nothing can be done here; undefined: nothing is missing. */
export function missing() {
  const program = ['arm-none-eabi-gcc', 'qemu-system-arm', 'cmake'].find((name) => !has(name));
  return program === undefined ? undefined : `${program} is not installed (Debian: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm cmake)`;
}

/** Output and exit status of a program; status 'timed out' after `timeout` milliseconds. */
export function run(program, args, { cwd = root, timeout = 300_000 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeout);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', (error) => resolve({ status: error.message, output }));
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve({ status: late ? `timed out after ${timeout / 1000} s` : (status ?? `killed by ${signal}`), output });
    });
  });
}

/** Builds the tests of one board, or of this machine (board null), in a folder of that name; throws with the compiler's words. */
export async function buildTests(board, tasks, units = false, name = board?.name ?? 'host') {
  const into = join(out, name);
  const source = join(root, 'test', 'firmware');
  dropForeignCache(into, source);
  const cross = board === null ? [] : [`-DCMAKE_TOOLCHAIN_FILE=${join(folder, 'arm-none-eabi.cmake')}`, `-DTP_BOARD=${board.name}`];
  const steps = [
    ['-S', source, '-B', into, `-DTP_TASKS=${tasks}`, `-DTP_UNITS=${units ? 'ON' : 'OFF'}`, `-DTP_CMSIS_NN_DIR=${cmsisNn ?? ''}`, ...cross],
    ['--build', into, '--parallel', String(availableParallelism())],
  ];
  for (const args of steps) {
    const { status, output } = await run('cmake', args, { timeout: 900_000 });
    if (status !== 0) throw new Error(`cmake ${args.join(' ')}: ${status}\n${output}`);
  }
  return into;
}

/** Builds the example, as its README says, for one board. */
export async function buildExample(board) {
  const into = join(out, `example-${board.name}`);
  dropForeignCache(into, folder);
  for (const args of [['-S', folder, '-B', into, `-DCMAKE_TOOLCHAIN_FILE=${join(folder, 'arm-none-eabi.cmake')}`, `-DTP_BOARD=${board.name}`], ['--build', into]]) {
    const { status, output } = await run('cmake', args);
    if (status !== 0) throw new Error(`cmake ${args.join(' ')}: ${status}\n${output}`);
  }
  return join(into, 'digits.elf');
}

/** Runs an image; `count`: by instructions, which is slower. */
export function emulate(board, image, args = [], { count = false, timeout } = {}) {
  const semihosting = ['enable=on,target=native', 'arg=image', ...args.map((arg) => `arg=${arg}`)].join(',');
  const machine = ['-M', board.machine, '-display', 'none', '-serial', 'none', '-monitor', 'none', '-semihosting-config', semihosting, '-kernel', image];
  return run('qemu-system-arm', [...(count ? ['-icount', 'shift=6,align=off,sleep=off'] : []), ...machine], { timeout });
}
