// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { TinypropError } from '../../lib/errors';
import type { ModelJson, NodeJson } from '../../lib/graph';
import { divisibleBy8 } from '../../lib/mobilenet';
import { modelSpecs, parseModelSpec } from '../../lib/specs';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function node(model: ModelJson, name: string): NodeJson {
  const found = model.nodes.find((n) => n.name === name);
  if (!found) throw new Error(`no node ${name} among ${model.nodes.map((n) => n.name).join(' ')}`);
  return found;
}

function failure(run: () => unknown): TinypropError {
  try {
    run();
  } catch (error) {
    if (error instanceof TinypropError) return error;
    throw error;
  }
  throw new Error('did not throw');
}

function output(size: number, kernel: number, stride: number, pad: number): number {
  return Math.floor((size + 2 * pad - kernel) / stride) + 1;
}

/** Multiply-accumulates of the forward pass, by the textbook: an independent check of every channel number. */
function forwardMacs(model: ModelJson): number {
  const shapes = new Map<string, number[]>([['input', model.input.length === 2 ? [1, ...model.input] : [...model.input]]]);
  let total = 0;
  for (const n of model.nodes) {
    const input = shapes.get(n.inputs[0] as string) as number[];
    const [h, w, c] = input as [number, number, number];
    let shape = input;
    if (n.op === 'dense') {
      shape = [1, 1, n['units'] as number];
      total += input.reduce((a, b) => a * b, 1) * (n['units'] as number);
    } else if (n.op === 'conv2d' || n.op === 'depthwiseConv2d') {
      const kernel = (n['kernel'] as number[])[0] as number;
      const stride = (n['stride'] as number[])[0] as number;
      const pad = (n['padding'] as number[])[0] as number;
      const units = n.op === 'conv2d' ? (n['units'] as number) : c;
      shape = [output(h, kernel, stride, pad), output(w, kernel, stride, pad), units];
      total += (shape[0] as number) * (shape[1] as number) * units * kernel * kernel * (n.op === 'conv2d' ? c : 1);
    } else if (n.op === 'conv1d') {
      const kernel = n['kernel'] as number;
      shape = [1, output(w, kernel, n['stride'] as number, (n['padding'] as number[])[0] as number), n['units'] as number];
      total += (shape[1] as number) * (shape[2] as number) * kernel * c;
    } else if (n.op === 'globalAvgPool') {
      shape = [1, 1, c];
    } else if (n.op === 'flatten') {
      shape = [1, 1, input.reduce((a, b) => a * b, 1)];
    } else if (n.op === 'add') {
      expect(shapes.get(n.inputs[1] as string)).toEqual(input);
    }
    shapes.set(n.name, shape);
  }
  return total;
}

describe('parseModelSpec', () => {
  it('builds a dense chain with ReLU between and none at the end', () => {
    const model = parseModelSpec('mlp:4-3-2');
    expect(model).toEqual({
      format: 'tinyprop-model',
      version: 1,
      input: [4],
      loss: 'softmaxCrossEntropy',
      nodes: [
        { name: 'fc1', op: 'dense', inputs: ['input'], units: 3 },
        { name: 'relu1', op: 'relu', inputs: ['fc1'] },
        { name: 'fc2', op: 'dense', inputs: ['relu1'], units: 2 },
      ],
    });
  });

  it('flattens an image for a dense model', () => {
    const model = parseModelSpec('mlp:64-10', { inputShape: [8, 8, 1], classes: 10 });
    expect(model.input).toEqual([8, 8, 1]);
    expect(model.nodes.map((n) => n.op)).toEqual(['flatten', 'dense']);
  });

  it('takes one output as a sigmoid for two classes', () => {
    expect(parseModelSpec('mlp:2607-256-128-64-32-1', { classes: 2 }).loss).toBe('bce');
  });

  it('takes labels without names as the least number of outputs', () => {
    expect(parseModelSpec('cnn-kws', { labels: 7 }).nodes.at(-1)).toMatchObject({ units: 7 });
    expect(parseModelSpec('mlp:4-10', { labels: 7 }).nodes.at(-1)).toMatchObject({ units: 10 });
    expect(parseModelSpec('mlp:4-1', { labels: 2 }).loss).toBe('bce');
    expect(failure(() => parseModelSpec('mlp:4-6', { labels: 7 })).message).toContain('6 outputs, but the data have labels up to 6');
    expect(failure(() => parseModelSpec('mlp:4-1', { labels: 3 })).message).toContain('labels up to 2');
  });

  it('regresses when the data have targets instead of classes', () => {
    expect(parseModelSpec('mlp:4-3-2', { inputShape: [4], targetSize: 2 }).loss).toBe('mse');
    expect(failure(() => parseModelSpec('mlp:4-3-2', { inputShape: [4], targetSize: 3 })).message).toContain('2 outputs, but the data have 3 numbers per target');
  });

  // The figures are those of the published workloads (MACs of one forward pass).
  it.each([
    ['mlp:784-256-128-64-32-10', 244_000, 500],
    ['cnn-mnist', 609_000, 500],
    ['cnn1d-har', 210_000, 500],
    ['mobilenetv2:0.35', 1_197_000, 500],
    ['ae:640-128-128-128-8-128-128-128-640', 231_000, 500],
  ])('%s has the published size', (spec, macs, tolerance) => {
    expect(Math.abs(forwardMacs(parseModelSpec(spec)) - macs)).toBeLessThanOrEqual(tolerance);
  });

  it('gives mobilenetv2 at 96x96 the published size', () => {
    expect(forwardMacs(parseModelSpec('mobilenetv2:0.35', { inputShape: [96, 96, 3] })) / 1e6).toBeCloseTo(10.67, 2);
  });

  it('gives mobilenetv2 the listed channels at width 0.35 and the paper\'s at width 1', () => {
    const channels = (spec: string): unknown[] => {
      const model = parseModelSpec(spec);
      return model.nodes.filter((n) => /^(stem|head|block\d+_project)$/.test(n.name)).map((n) => n['units']);
    };
    const stages = (units: number[], head: number): number[] => {
      const [stem, ...rest] = units as [number, ...number[]];
      const repeats = [1, 2, 3, 4, 3, 3, 1];
      return [stem, ...rest.flatMap((u, i) => Array<number>(repeats[i] as number).fill(u)), head];
    };
    expect(channels('mobilenetv2:0.35')).toEqual(stages([16, 8, 8, 16, 24, 32, 56, 112], 1280));
    expect(channels('mobilenetv2:1')).toEqual(stages([32, 16, 24, 32, 64, 96, 160, 320], 1280));
  });

  it('adds a residual only where stride is 1 and the channels agree', () => {
    const adds = parseModelSpec('mobilenetv2:1').nodes.filter((n) => n.op === 'add');
    expect(adds.map((n) => n.name)).toEqual([2, 4, 5, 7, 8, 9, 11, 12, 14, 15].map((i) => `block${i}_add`));
    expect(adds[0]?.inputs).toEqual(['block2_project', 'block1_project']);
  });

  it('names every node within the 31 bytes of the file format, once', () => {
    for (const spec of ['mobilenetv2:1.4', 'cnn-mnist', 'cnn1d-har', 'cnn-kws', 'ae:8-4-8']) {
      const names = parseModelSpec(spec).nodes.map((n) => n.name);
      expect(new Set(names).size).toBe(names.length);
      expect(Math.max(...names.map((n) => n.length))).toBeLessThan(32);
    }
  });

  it.each([
    ['cnn-mnist', [28, 28, 1], 7],
    ['cnn1d-har', [128, 9], 5],
    ['cnn-kws', [49, 10, 1], 4],
    ['mobilenetv2:0.5', [32, 32, 3], 100],
  ])('%s takes input and classes from the data', (spec, inputShape, classes) => {
    const model = parseModelSpec(spec, { inputShape, classes });
    expect(model.input).toEqual(inputShape);
    expect(model.nodes.at(-1)).toMatchObject({ op: 'dense', units: classes });
  });

  it('gives a grey image or a spectrogram its channel', () => {
    expect(parseModelSpec('cnn-kws', { inputShape: [49, 10], classes: 10 }).input).toEqual([49, 10, 1]);
    expect(parseModelSpec('cnn-mnist', { inputShape: [28, 28] }).input).toEqual([28, 28, 1]);
    expect(failure(() => parseModelSpec('cnn-kws', { inputShape: [490] })).message).toContain('a sample of the data is 490');
  });

  it('shrinks the keyword net to 4x1 positions', () => {
    const model = parseModelSpec('cnn-kws');
    expect(forwardMacs(model)).toBe(25 * 5 * 16 * 9 + 13 * 3 * 32 * 144 + 7 * 2 * 32 * 288 + 4 * 32 * 288 + 128 * 12);
    expect(node(model, 'fc')['units']).toBe(12);
  });

  it.each([
    ['mlp', 'ERR_TINYPROP_SPEC', /mlp:INPUT-HIDDEN/],
    ['mlp:', 'ERR_TINYPROP_SPEC', /positive integers/],
    ['mlp:64', 'ERR_TINYPROP_SPEC', /positive integers/],
    ['mlp:64-0-10', 'ERR_TINYPROP_SPEC', /positive integers/],
    ['mlp:64-1e3-10', 'ERR_TINYPROP_SPEC', /positive integers/],
    ['ae:8-4-9', 'ERR_TINYPROP_SPEC', /input size 8, not 9/],
    ['mobilenetv2', 'ERR_TINYPROP_SPEC', /WIDTH/],
    ['mobilenetv2:0', 'ERR_TINYPROP_SPEC', /WIDTH/],
    ['cnn-mnist:3', 'ERR_TINYPROP_SPEC', /no argument/],
    ['resnet', 'ERR_TINYPROP_SPEC', /valid: mlp:/],
    ['no-such-file.json', 'ERR_TINYPROP_FILE', /no-such-file\.json/],
  ])('refuses "%s"', (spec, code, message) => {
    const error = failure(() => parseModelSpec(spec));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('says what the data have when sizes disagree', () => {
    const size = failure(() => parseModelSpec('mlp:784-10', { inputShape: [8, 8, 1], classes: 10 }));
    expect(size.code).toBe('ERR_TINYPROP_SHAPE');
    expect(size.message).toContain('takes 784 inputs (784), but a sample of the data has 64 (8x8x1)');
    expect(failure(() => parseModelSpec('mlp:64-12', { inputShape: [64], classes: 10 })).message).toContain('12 outputs, but the data have 10 classes');
    expect(failure(() => parseModelSpec('mlp:64-1', { inputShape: [64], classes: 3 })).message).toContain('1 output, but the data have 3 classes');
    expect(failure(() => parseModelSpec('cnn1d-har', { inputShape: [8, 8, 1] })).message).toContain('time x channels, but a sample of the data is 8x8x1');
  });

  it('reads a JSON file and refuses other JSON', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tinyprop-spec-'));
    folders.push(folder);
    const good = join(folder, 'good.json');
    const model = parseModelSpec('cnn-kws');
    writeFileSync(good, JSON.stringify(model));
    expect(parseModelSpec(good)).toEqual(model);
    expect(failure(() => parseModelSpec(good, { inputShape: [49, 11, 1] })).code).toBe('ERR_TINYPROP_SHAPE');
    for (const text of ['{"format":"other"}', 'null', '[1]', '{"format":"tinyprop-model","input":[1]}', '{']) {
      const bad = join(folder, 'bad.json');
      writeFileSync(bad, text);
      expect(failure(() => parseModelSpec(bad)).code).toBe('ERR_TINYPROP_FILE');
    }
  });

  it('lists only specs that parse', () => {
    for (const { spec } of modelSpecs) if (!spec.includes('FILE')) expect(parseModelSpec(spec).nodes.length).toBeGreaterThan(1);
  });
});

describe('divisibleBy8', () => {
  it.each([[11.2, 16], [5.6, 8], [8.4, 8], [22.4, 24], [33.6, 32], [56, 56], [112, 112], [32, 32], [44.8, 48]])('%f gives %i', (wanted, rounded) => {
    expect(divisibleBy8(wanted)).toBe(rounded);
  });
});
