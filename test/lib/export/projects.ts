// SPDX-License-Identifier: Apache-2.0
// Models to export, the made-up stream of their programs, and what Node makes of it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { clampS8, conv2d, conv2dS8, dense, denseS8, depthwiseConv2dS8, dequantize, dropout, flatten, maxPool2d, maxPool2dS8, Model, quantize, type RecipeOptions, relu, sigmoid } from '../../../lib/index';

export const root = join(__dirname, '..', '..', '..');

/** A folder that is gone after the tests of the file. */
export function scratch(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'tinyprop-export-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  return (name) => join(folder, name);
}

export const missing = (program: string): boolean => spawnSync(program, ['--version']).error !== undefined;

/** Runs a program that must succeed. */
export function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stdout.slice(-4000)}${stderr.slice(-4000)}`);
  return stdout + stderr;
}

export const strict = ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror'];
export const cortexM4 = ['-mcpu=cortex-m4', '-mthumb', '-mfpu=fpv4-sp-d16', '-mfloat-abi=hard'];

export function mlp(): Model {
  return Model.sequential({ input: [12], layers: [dense(17), relu(), dense(9), relu(), dense(3)] });
}

export function cnn(): Model {
  return Model.sequential({ input: [6, 6, 2], layers: [conv2d({ units: 5, kernel: 3 }), relu(), maxPool2d({ kernel: 2 }), flatten(), dropout(0.25), dense(4)] });
}

/** Int8; its first layer is frozen, so that its weights stay in the model file. */
export function int8(): Model {
  return Model.sequential({
    input: [6, 6, 2],
    layers: [
      quantize({ scale: 0.02, zero: 3 }),
      conv2dS8({ units: 5, kernel: 3, scale: 0.04, zero: -20, frozen: true }),
      clampS8(),
      depthwiseConv2dS8({ kernel: 3, padding: 'same', scale: 0.05, zero: -40 }),
      maxPool2dS8({ kernel: 2 }),
      flatten(),
      denseS8(4, { scale: 0.1, zero: 0 }),
      dequantize(),
    ],
  });
}

/** Two outputs with targets. */
export function multiLabel(): Model {
  return Model.sequential({ input: [5], loss: 'bce', layers: [dense(7), sigmoid(), dense(2)] });
}

/** What `tinyprop_samples.c` makes up, and the hash of the weights after it; `recipe` as the export's; `int8`: of its samples. */
export function trainInNode(model: Model, recipe: RecipeOptions, int8?: { scale: number; zero: number }): { weights: string; seen: number; trained: number; correct: number } {
  const inputs = model.inputShape.reduce((a, b) => a * b, 1);
  const outputs = model.outputSize;
  const counts = { seen: 0, trained: 0, correct: 0 };
  model.configure(recipe);
  let state = 1;
  for (let n = 0; n < 200; n++) {
    const x = new Float32Array(inputs);
    for (let i = 0; i < inputs; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const first = (i + n) % outputs === 0;
      x[i] = int8 ? int8.scale * ((state >>> 25) - (first ? 0 : 128) - int8.zero) : (state >>> 8) / 16777216 + (first ? 0.5 : -0.5);
    }
    const y = model.loss === 'softmaxCrossEntropy' ? n % outputs : Float32Array.from({ length: outputs }, (_, i) => ((n + i) % 2 === 0 ? 0 : 1));
    const step = model.step(x, y);
    counts.seen++;
    counts.trained += step.trained ? 1 : 0;
    counts.correct += step.correct ? 1 : 0;
  }
  return { weights: weightsHash(model), ...counts };
}

/** `learn_weights_hash` of the exported program. */
export function weightsHash(model: Model): string {
  let hash = 0x811c9dc5;
  for (const { name } of model.tensors()) {
    const values = model.getTensorData(name);
    for (const byte of new Uint8Array(values.buffer, values.byteOffset, values.byteLength)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, '0');
}

/** What the program prints for that training. */
export function said({ weights, seen, trained, correct }: ReturnType<typeof trainInNode>): string[] {
  return [`TP_OK: seen ${seen}, trained ${trained}, right before the update ${correct}`, `weights ${weights}, arena `];
}
