// SPDX-License-Identifier: Apache-2.0
// Trained weights back in the .tflite file that they came from.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadData } from '../../../lib/data';
import { exportTflite } from '../../../lib/export/tflite';
import { readTflite } from '../../../lib/import';
import { dense, flatten } from '../../../lib/layers';
import { Model } from '../../../lib/model';
import { full } from '../../../lib/policy';
import { Trainer } from '../../../lib/trainer';
import { failure } from '../data/helpers';
import { modelPath } from '../import/goldens';

const read = (name: string): Uint8Array => new Uint8Array(readFileSync(modelPath(name)!));
const models = [
  'digits_int8', 'mlcommons_tiny/dscnn_kws12_int8', 'mlcommons_tiny/mobilenetv1_025_vww96_int8', 'mlcommons_tiny/resnet8_cifar10_int8', 'tflite_micro/person_detect',
  'digits_float', 'mlcommons_tiny/resnet8_cifar10_float', 'mlcommons_tiny/mobilenetv1_025_vww96_float', 'mlcommons_tiny/ad01_toycar_ae_float', 'tflite_micro/hello_world_float',
];

describe('exportTflite', () => {
  it.each(models)('%s: the same weights give the same file', (name) => {
    if (modelPath(name) === undefined) return;
    const original = read(name);
    using model = Model.fromBytes(original);
    const before = original.slice();
    expect(Buffer.compare(exportTflite(model, original), original)).toBe(0);
    expect(Buffer.compare(before, original)).toBe(0);
    // A Buffer shares its memory with its slices; the file must not be written to.
    const shared = Buffer.from(original);
    for (const { name: tensor } of model.tensors()) if (tensor.endsWith('.weight')) model.setTensor(tensor, model.getTensorData(tensor).fill(1));
    expect(Buffer.compare(exportTflite(model, shared), original)).not.toBe(0);
    expect(Buffer.compare(shared, original)).toBe(0);
  });

  it.each(['digits_float', 'digits_int8'])('%s: changes the trained numbers alone, which read back as they are', async (name) => {
    const original = read(name);
    const data = await loadData('digits', { normalize: 'none', limit: 64 });
    using trained = Model.fromBytes(original);
    // The file has no place for a bias of that layer.
    if (name === 'digits_int8') trained.freeze(['dense1']);
    await new Trainer(trained, { policy: full(), seed: 1 }).fit({ train: data.train }, { epochs: 1 });
    // A model file in between forgets nothing that matters.
    using model = Model.fromBytes(trained.toBytes());
    const patched = exportTflite(model, original);
    using again = Model.fromBytes(patched);
    expect(again.weightHash()).toBe(model.weightHash());
    const places = [...readTflite(original).tensors.values()].flatMap(({ data: numbers, source }) => (source ? [[source.at, source.at + numbers.byteLength] as const] : []));
    const changed = [...patched.keys()].filter((i) => patched[i] !== original[i]);
    expect(changed.length).toBeGreaterThan(100);
    expect(changed.filter((i) => !places.some(([from, to]) => i >= from && i < to))).toEqual([]);
  });

  it('writes depthwise weights in their order', () => {
    const original = read('digits_float');
    using model = Model.fromBytes(original);
    const weight = model.getTensor('depthwiseConv2d1.weight');
    weight[7] = 42;
    model.setTensor('depthwiseConv2d1.weight', weight);
    const patched = exportTflite(model, original);
    const { at, columns } = readTflite(original).tensors.get('depthwiseConv2d1.weight')!.source!;
    expect(columns).toBe(8);
    // [8][3 x 2]: output 1, tap 1 -> [3 x 2][8]: number 1 * 8 + 1.
    expect(new DataView(patched.buffer).getFloat32(at + 4 * 9, true)).toBe(42);
  });

  it('refuses what the file has no place for', async () => {
    const original = read('digits_int8');
    using model = Model.fromBytes(original);
    model.setTensor('dense1.bias', new Int32Array(12).fill(5));
    const error = await failure(() => exportTflite(model, original), 'ERR_TINYPROP_MISMATCH');
    expect(error.message).toContain('"dense1.bias" has no place in the file');
  });

  it('refuses the file of another model', async () => {
    const original = read('digits_float');
    using other = Model.sequential({ input: [8, 8, 1], layers: [flatten(), dense(10)] });
    await failure(() => exportTflite(other, original), 'ERR_TINYPROP_MISMATCH');
    using head = Model.fromBytes(original);
    head.replaceHead(12);
    const error = await failure(() => exportTflite(head, original), 'ERR_TINYPROP_MISMATCH');
    expect(error.message).toContain('node "dense2": the file has units 10, the model 12');
    await failure(() => exportTflite(other, original.subarray(0, 100)), 'ERR_TINYPROP_BLOB');
  });
});
