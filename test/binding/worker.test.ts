// SPDX-License-Identifier: Apache-2.0
// The addon in worker threads, and environments that go away while a job runs. In child processes, whose exit
// code says whether anything crashed.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { constant } from '../../lib/addon';
import { toNative } from '../../lib/graph';
import { nativeRecipe } from '../../lib/recipe';
import { toyData, toyModel } from '../lib/toy';

const addonPath = process.env['TINYPROP_NATIVE_PATH'] ?? join(__dirname, '../../build/Release/tinyprop.node');

/** What a script needs to train: plain JSON, so that it needs the addon alone. */
const setup = JSON.stringify({
  native: toNative(toyModel().toJSON()),
  recipe: nativeRecipe({}, null),
  x: Array.from(toyData(32).x),
  labels: Array.from(toyData(32).labels!),
  train: constant('job', 'train'),
});

/** Opens a net and starts a job of `steps` steps; leaves `net` and `running`. */
const start = `
  const { native, recipe, x, labels, train } = ${setup};
  const { Net } = require(${JSON.stringify(addonPath)});
  const net = new Net(native, recipe);
  net.init();
  const begin = (steps) => {
    const order = new Uint32Array(steps);
    for (let i = 0; i < steps; i++) order[i] = i % 32;
    return net.run(train, Float32Array.from(x), Uint32Array.from(labels), order, 0, steps, false);
  };`;

function node(script: string, ...flags: string[]): string {
  const result = spawnSync(process.execPath, [...flags, '-e', script], { encoding: 'utf8', timeout: 25_000 });
  expect({ status: result.status, signal: result.signal, stderr: result.stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  return result.stdout.trim();
}

describe('environments', () => {
  it('trains in several workers at once, with the bits of the main thread', () => {
    const worker = `const { parentPort } = require('node:worker_threads'); ${start}
      begin(20000).then((result) => parentPort.postMessage(Buffer.from(net.readTensor(0)).toString('base64')));`;
    const out = node(`${start}
      const { Worker } = require('node:worker_threads');
      const workers = [1, 2, 3].map(() => new Promise((resolve, reject) => {
        new Worker(${JSON.stringify(worker)}, { eval: true }).on('message', resolve).on('error', reject);
      }));
      Promise.all([...workers, begin(20000).then(() => Buffer.from(net.readTensor(0)).toString('base64'))]).then((all) => {
        console.log(new Set(all).size, all.length);
      });`);
    expect(out).toBe('1 4');
  });

  it('survives a worker that is terminated while a job runs', () => {
    const worker = `const { parentPort } = require('node:worker_threads'); ${start}
      begin(5000000); parentPort.postMessage('running');`;
    const out = node(`
      const { Worker } = require('node:worker_threads');
      (async () => {
        for (let i = 0; i < 6; i++) {
          const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
          await new Promise((resolve) => worker.once('message', resolve));
          await new Promise((resolve) => setTimeout(resolve, 3 * i));
          await worker.terminate();
        }
        console.log('done');
      })();`);
    expect(out).toBe('done');
  });

  it('survives the end of the process while a job runs', () => {
    expect(node(`${start} begin(5000000); setTimeout(() => { console.log('exit'); process.exit(0); }, 30);`)).toBe('exit');
  });

  it('keeps the process alive until a job has ended, and leaves the loop free meanwhile', () => {
    const out = node(`${start}
      let ticks = 0;
      const timer = setInterval(() => ticks++, 5);
      timer.unref();
      const started = Date.now();
      begin(400000).then((result) => console.log(result.done, ticks > (Date.now() - started) / 50));`);
    expect(out).toBe('400000 true');
  });

  it('runs its jobs off the pool of libuv', () => {
    const out = node(`process.env.UV_THREADPOOL_SIZE = '1'; ${start}
      const jobs = [0, 1, 2].map(() => { const other = new Net(native, recipe); other.init();
        return other.run(train, Float32Array.from(x), Uint32Array.from(labels), new Uint32Array(300000), 0, 300000, false); });
      const started = Date.now();
      require('node:fs').readFile(${JSON.stringify(addonPath)}, () => console.log(Date.now() - started < 150));
      Promise.all(jobs);`);
    expect(out).toBe('true');
  });

  it('does not switch denormal numbers off', () => {
    expect(node(`${start} begin(100).then(() => console.log(2.2e-308 * 0.5 > 0, 1e-310 * 1 === 1e-310));`)).toBe('true true');
  });
});
