// SPDX-License-Identifier: Apache-2.0
// @ts-check
// What the rivals that run in Node share: requests in, measurements out, one line of JSON each (bench/rivals.mjs).
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** @typedef {{ name: string, op: string, inputs: string[], units?: number, kernel?: any, stride?: any, padding?: number[] }} Node */
/** @typedef {{ input: number[], loss: 'softmaxCrossEntropy' | 'mse', nodes: Node[] }} Model */
/** @typedef {{ what: 'step' | 'infer', workload: string, batch: number, model: Model, ms: number }} Request */
/** @typedef {() => unknown} Call one step or forward pass of a batch; a promise is awaited */

export const samples = 64;
export const lr = 1e-6;

const here = createRequire(import.meta.url);
const there = process.env['TINYPROP_RIVALS'] ? createRequire(join(process.env['TINYPROP_RIVALS'], 'rivals.js')) : here;

/**
 * A package of the folder TINYPROP_RIVALS, or of where Node looks by itself; undefined where it is not installed.
 * @param {string} name
 * @returns {any}
 */
export function load(name) {
  try {
    return there(name);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** @param {string} name */
export const where = (name) => there.resolve(name);

/** @param {string} name */
export const version = (name) => {
  try {
    return String(there(`${name}/package.json`).version);
  } catch {
    return '?';
  }
};

let state = 1;
/** Uniform in [0, 1): mulberry32. */
export function uniform() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

/** About N(0, 1). */
export const normal = () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);

/**
 * Initial weights, uniform by He.
 * @param {number} n
 * @param {number} fanIn
 */
export const weights = (n, fanIn) => Float32Array.from({ length: n }, () => (2 * uniform() - 1) * Math.sqrt(6 / fanIn));

/**
 * Shapes of every node's output, channels last, without the batch.
 * @param {Model} model
 * @returns {Map<string, number[]>}
 */
export function shapes(model) {
  const found = new Map([['input', model.input]]);
  for (const node of model.nodes) {
    const shape = /** @type {number[]} */ (found.get(String(node.inputs[0])));
    found.set(node.name, shapeOf(node, shape));
  }
  return found;
}

/**
 * @param {Node} node
 * @param {number[]} shape
 * @returns {number[]}
 */
function shapeOf(node, shape) {
  const channels = Number(shape.at(-1));
  switch (node.op) {
    case 'dense':
      return [Number(node.units)];
    case 'flatten':
      return [shape.reduce((a, b) => a * b, 1)];
    case 'globalAvgPool':
      return [channels];
    case 'conv1d':
    case 'conv2d':
    case 'depthwiseConv2d': {
      const { kernel, stride, padding = [] } = node;
      const size = shape.slice(0, -1).map((n, i) => {
        const [k, s] = node.op === 'conv1d' ? [kernel, stride] : [kernel[i], stride[i]];
        return Math.floor((n + Number(padding[2 * i]) + Number(padding[2 * i + 1]) - k) / s) + 1;
      });
      return [...size, node.units ?? channels];
    }
    default:
      return shape;
  }
}

/** CPU time of this process, microseconds. */
const now = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/**
 * @param {Call} call
 * @param {number} calls
 */
async function repeat(call, calls) {
  const begin = now();
  for (let i = 0; i < calls; i++) {
    const pending = call();
    if (pending instanceof Promise) await pending;
  }
  return (now() - begin) / calls;
}

/**
 * Calls that take about `ms`; also warms up.
 * @param {Call} call
 * @param {number} ms
 */
async function callsFor(call, ms) {
  for (let calls = 1; ; calls *= 2) {
    const us = (await repeat(call, calls)) * calls;
    if (us >= 10000 * ms) return Math.max(1, Math.round((ms * 1000 * calls) / us)); // ten times: the compiler has to warm up too
  }
}

/**
 * Says who we are, then answers requests until the input ends.
 * @param {{ skip: string } | { version: string, make: (request: Request) => Promise<Call | string> }} rival make: gives a call,
 *   or why there is none
 */
export async function serve(rival) {
  /** @param {object} message */
  const answer = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
  if ('skip' in rival) {
    answer(rival);
    return;
  }
  answer({ version: rival.version });
  let key = '';
  /** @type {Map<string, { call: Call, calls: number } | string>} */
  let open = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    /** @type {Request} */
    const request = JSON.parse(line);
    const place = `${request.workload} ${request.batch}`;
    if (place !== key) open = new Map();
    key = place;
    let found = open.get(request.what);
    if (found === undefined) {
      const call = await rival.make(request);
      found = typeof call === 'string' ? call : { call, calls: await callsFor(call, request.ms) };
      open.set(request.what, found);
    }
    answer(typeof found === 'string' ? { skip: found } : { us: await repeat(found.call, found.calls) });
  }
}
