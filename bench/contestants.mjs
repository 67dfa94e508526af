// SPDX-License-Identifier: Apache-2.0
// @ts-check
// Who takes part in the comparison: programs that answer requests for measurements, one line of JSON each.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, Server } from './tools.mjs';

/** One thread everywhere. PyTorch: OpenBLAS of Debian takes new CPUs for a Haswell, and glibc gives memory back after every step. */
const oneThread = { OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };
const tuned = { MALLOC_MMAP_THRESHOLD_: '1073741824', MALLOC_TRIM_THRESHOLD_: '4294967296', MALLOC_TOP_PAD_: '268435456' };

function avx512() {
  try {
    return /\bavx512vl\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}

const script = (/** @type {string} */ file) => join(root, 'bench', 'rivals', file);
const inNode = (/** @type {string} */ file) => [[process.execPath, script(file)]];
const torch = {
  commands: [...new Set([process.env['TINYPROP_PYTHON'] ?? 'python3', '/usr/bin/python3'])].map((python) => [python, script('torch_eager.py')]),
  env: { ...oneThread, ...tuned, ...(avx512() ? { OPENBLAS_CORETYPE: 'SkylakeX' } : {}) },
};

/**
 * @typedef {object} Rival
 * @property {string} name
 * @property {string[][]} commands tried in turn, until one has what it needs
 * @property {NodeJS.ProcessEnv} env
 * @property {object} [request] what is added to every request
 */

/** A new rival is a file in rivals/ and a row here. @type {Rival[]} */
export const rivals = [
  { name: 'PyTorch', ...torch, request: { channelsLast: false } },
  { name: 'PyTorch channels last', ...torch, request: { channelsLast: true } },
  { name: 'onnxruntime', commands: inNode('onnxruntime.mjs'), env: oneThread },
  { name: 'TensorFlow.js', commands: inNode('tfjs.mjs'), env: oneThread },
  { name: 'brain.js', commands: inNode('brainjs.mjs'), env: oneThread },
];

/**
 * tinyprop as its users have it; for whole epochs.
 * @param {string} sourceId of the C sources that it must be built from
 * @returns {Rival}
 */
export const ourPackage = (sourceId) => ({ name: 'tinyprop', commands: inNode('ours.mjs').map((command) => [...command, sourceId]), env: {} });

/** @typedef {{ name: string, ask: (request: object) => Promise<any> }} Contestant */

/**
 * Starts a rival; null after a line that says what it wants.
 * @param {Rival} rival
 * @param {string[]} pinned the words before its command
 * @returns {Promise<Contestant | null>}
 */
export async function open(rival, pinned) {
  let skip = `${rival.name} cannot be started`;
  for (const command of rival.commands) {
    const server = new Server([...pinned, ...command], rival.env);
    const hello = await server.answer().catch(() => ({ skip }));
    if (hello.skip === undefined) {
      process.stderr.write(`${rival.name} ${hello.version}\n`);
      return { name: rival.name, ask: (request) => server.ask(JSON.stringify({ ...request, ...rival.request })) };
    }
    skip = hello.skip;
  }
  process.stderr.write(`skipped: ${skip}\n`);
  return null;
}
