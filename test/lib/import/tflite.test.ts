// SPDX-License-Identifier: Apache-2.0
// What the reader makes of .tflite files, judged by the bytes that tflite_micro's interpreter computes.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readTflite } from '../../../lib/import';
import { Model } from '../../../lib/model';
import { failure } from '../data/helpers';
import { bytesOf, first, goldenCase, goldenModels, modelPath, samples } from './goldens';
import { evaluate } from './reference-s8';

// The plain reference is slow, so it sees the first samples.
describe('int8 models: every tensor has the bytes of the interpreter', () => {
  it.each(goldenModels.filter((name) => !name.endsWith('float')))('%s', async (name) => {
    const found = await goldenCase(name);
    if (!found) return;
    const { golden, bytes, inputs } = found;
    const model = readTflite(bytes, { softmax: true });
    const size = inputs.length / samples;
    const hashes = new Map([...model.nodeOf].filter(([tensor]) => golden.tensors![tensor]).map(([tensor, node]) => [tensor, { node, hash: createHash('sha256') }]));
    expect(hashes.size).toBeGreaterThan(0);
    for (let i = 0; i < first; i++) {
      const values = evaluate(model, inputs.subarray(i * size, (i + 1) * size));
      for (const { node, hash } of hashes.values()) hash.update(bytesOf(values.get(node)!.data));
    }
    const wrong = [...hashes].filter(([tensor, { hash }]) => hash.digest('hex') !== golden.tensors![tensor]![1]).map(([tensor, { node }]) => `${tensor} (${node})`);
    expect(wrong).toEqual([]);
  }, 120_000);
});

describe('float models: outputs of the interpreter', () => {
  // Not a bit more can be asked: the interpreter adds up in another order and takes exp and tanh from another library.
  const tolerance = 1e-5;
  it.each(goldenModels.filter((name) => name.endsWith('float')))('%s', async (name) => {
    const found = await goldenCase(name);
    if (!found) return;
    const { golden, path, inputs } = found;
    using model = await Model.load(path);
    const raw = Buffer.from(golden.f32!, 'base64');
    const expected = Float32Array.from({ length: raw.length / 4 }, (_, i) => raw.readFloatLE(4 * i));
    const n = expected.length / model.outputSize;
    expect(n).toBeGreaterThanOrEqual(6);
    const { outputs } = await model.predict(inputs.subarray(0, (inputs.length / samples) * n) as Float32Array);
    const unit = Math.max(...expected.map(Math.abs));
    const worst = Math.max(...outputs.map((y, i) => Math.abs(y - expected[i]!)));
    expect(worst / unit, 'largest error, relative to the largest output').toBeLessThanOrEqual(tolerance);
  });

  it('says what was folded: padding, activations, the loss', async () => {
    using model = await Model.load(modelPath('digits_float')!);
    expect(model.loss).toBe('softmaxCrossEntropy');
    expect(model.toJSON().nodes.map((node) => node.name)).toEqual([
      'conv2d1', 'relu61', 'depthwiseConv2d1', 'tanh1', 'conv2d2', 'add1', 'relu1', 'maxPool2d1', 'avgPool2d1', 'leakyRelu1', 'flatten1', 'dense1', 'dense2',
    ]);
    expect(model.toJSON().nodes[0]).toMatchObject({ op: 'conv2d', padding: [1, 1, 0, 1], stride: [1, 1], kernel: [3, 3], units: 4 });
    expect(model.getTensor('depthwiseConv2d1.weight').length).toBe(48);
    expect(model.meta).toEqual({ normalization: { mode: 'none', scale: 1, mean: [0], std: [1] } });
  });
});

describe('what cannot be read is named', () => {
  it.each([
    ['tflite_micro/trained_lstm', /UNIDIRECTIONAL_SEQUENCE_LSTM/],
    ['tflite_micro/trained_lstm_int8', /UNIDIRECTIONAL_SEQUENCE_LSTM/],
    ['tflite_micro/audio_preprocessor_int8', /custom operator SignalWindow.*STRIDED_SLICE/],
    ['mlcommons_tiny/dscnn_kws12_dynrange', /operator 0 \(CONV_2D\): INT8 weights on FLOAT32 activations/],
  ])('%s', async (name, message) => {
    const path = modelPath(name);
    if (path === undefined) return;
    const error = await failure(() => Model.load(path), 'ERR_TINYPROP_MODEL');
    expect(error.message).toMatch(message);
    expect(error.message).toContain(path);
  });
});
