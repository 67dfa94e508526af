// SPDX-License-Identifier: Apache-2.0
// The core on int8 .tflite models: the bytes of tflite_micro's interpreter. The outputs of all samples, every other tensor of the first
// ones; with TINYPROP_TEST_FULL=1 of all samples (minutes: a model is opened for every node).
import { describe, expect, it } from 'vitest';
import { readTflite } from '../../../lib/import';
import { Model } from '../../../lib/model';
import { bytesOf, first, goldenCase, goldenModels, modelPath, samples, sha256 } from './goldens';
import { valuesOf } from './values';

const full = process.env['TINYPROP_TEST_FULL'] === '1';
const models = goldenModels.filter((name) => !name.endsWith('float'));

describe('int8 models in the core', () => {
  it.each(models)('%s', async (name) => {
    const found = await goldenCase(name);
    if (!found) return;
    const { golden, bytes, inputs } = found;
    const imported = readTflite(bytes, { softmax: true });
    // The model takes real numbers; those of an int8 input come back exactly.
    const { scale, zero } = imported.input ?? { scale: 1, zero: 0 };
    const reals = inputs instanceof Float32Array ? inputs : Float32Array.from(inputs, (q) => scale * (q - zero));
    const wrong: string[] = [];
    let compared = 0;
    const last = Math.max(...[...imported.nodeOf.keys()].filter((tensor) => golden.tensors![tensor]));
    for (const [tensor, node] of imported.nodeOf) {
      const hashes = golden.tensors![tensor];
      if (hashes === undefined) continue;
      compared++;
      const all = full || tensor === last;
      const n = all ? samples : first;
      const values = valuesOf(imported, node, reals.subarray(0, (reals.length / samples) * n), n);
      if (sha256(bytesOf(values)) !== hashes[all ? 0 : 1]) wrong.push(`${tensor} (${node})`);
    }
    // PAD is part of the convolution behind it, and shows there.
    expect(compared).toBeGreaterThanOrEqual(Object.keys(golden.tensors!).length - 1);
    expect(wrong).toEqual([]);
  }, 300_000);

  it('a model that is loaded answers with probabilities, and may be trained', async () => {
    using model = await Model.load(modelPath('digits_int8')!);
    expect(model.loss).toBe('softmaxCrossEntropy');
    expect(model.toJSON().nodes.at(-1)).toEqual({ name: 'dequantize1', op: 'dequantize', inputs: ['dense2'] });
    const { outputs } = await model.predict(new Float32Array(64).fill(0.5));
    expect(outputs.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect(model.step(new Float32Array(64).fill(0.5), 3).trained).toBe(true);
  });
});
