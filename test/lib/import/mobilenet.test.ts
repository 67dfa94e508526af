// SPDX-License-Identifier: Apache-2.0
// MobileNetV2 with weights of others: MCUNet's ImageNet weights against an independent evaluation, torchvision's names and batch normalisations.
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadModel, mobilenetV2, Model, readNpy, type SafeTensor, Trainer, writeSafetensors } from '../../../lib';
import { readMobilenetV2 } from '../../../lib/import/mobilenet';
import { json as run, scratch, tinyprop } from '../cli/harness';
import { npyBytes, sharedData } from '../data/helpers';

const file = scratch();

/** `[out][taps][in]` to `[out][in][taps]`, as PyTorch has it. */
function channelsFirst(values: Float32Array, inputs: number, taps: number): Float32Array {
  return values.map((_, at) => {
    const [row, rest] = [Math.floor(at / (inputs * taps)), at % (inputs * taps)];
    return values[row * inputs * taps + (rest % taps) * inputs + Math.floor(rest / taps)] as number;
  });
}

/** A model with batch normalisations of random statistics, and the file that torchvision's state_dict of it would make. */
function torchvision(width: number, classes: number): { model: Model; tensors: Map<string, SafeTensor> } {
  const model = Model.fromJSON(mobilenetV2({ width, input: [32, 32, 3], classes, loss: 'mse', batchNorm: true }));
  model.configure({ seed: 3 });
  const tensors = new Map<string, SafeTensor>();
  const put = (name: string, shape: number[], values: Float32Array): void => void tensors.set(name, { dtype: 'F32', shape, data: new Uint8Array(values.buffer) });
  let convolution = '';
  let state = 1;
  const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (const { name, shape, size } of model.tensors()) {
    const [node, part] = name.split('.') as [string, string];
    // Small means and variances near 1, as after a training.
    if (node.endsWith('_norm')) model.setTensor(name, Float32Array.from({ length: size }, () => (part === 'gamma' || part === 'variance' ? 0.5 + random() : random() - 0.5)));
    const values = model.getTensor(name);
    if (node === 'fc') put(`classifier.1.${part}`, shape, values);
    else if (part === 'weight') {
      const [out, kh, kw, inputs] = shape as [number, number, number, number];
      const [, block, where] = /^block(\d+)_(.+)$/.exec(node) ?? [];
      // Written down as torchvision's own modules number them, with and without expansion.
      const inside = block === '0' ? { depthwise: '0.0', project: '1' } : { expand: '0.0', depthwise: '1.0', project: '2' };
      convolution = block === undefined ? (node === 'stem' ? 'features.0.0' : 'features.18.0') : `features.${Number(block) + 1}.conv.${inside[where as 'depthwise']}`;
      put(`${convolution}.weight`, [out, inputs, kh, kw], channelsFirst(values, inputs, kh * kw));
    } else {
      const [, prefix, last] = /^(.*\.)(\d+)$/.exec(convolution) as unknown as [string, string, string];
      put(`${prefix}${Number(last) + 1}.${{ gamma: 'weight', beta: 'bias', mean: 'running_mean', variance: 'running_var' }[part]}`, shape, values);
      tensors.set(`${prefix}${Number(last) + 1}.num_batches_tracked`, { dtype: 'I64', shape: [], data: new Uint8Array(8) });
    }
  }
  return { model, tensors };
}

describe('torchvision', () => {
  const { model, tensors } = torchvision(0.1, 5);
  const path = file('torchvision.safetensors');
  writeFileSync(path, writeSafetensors(tensors));
  const spec = `mobilenetv2:0.1,${path}`;

  it('has the names of its state_dict', () => {
    // torchvision.models.mobilenet_v2().state_dict() has 314 entries.
    expect(tensors.size).toBe(314);
    for (const name of ['features.0.1.running_mean', 'features.1.conv.0.1.weight', 'features.1.conv.2.bias', 'features.17.conv.3.running_var', 'features.18.1.weight', 'classifier.1.bias']) {
      expect(tensors.has(name)).toBe(true);
    }
  });

  it('gives the outputs of the net with its batch normalisations', async () => {
    const folded = await loadModel(spec, { inputShape: [32, 32, 3] }, { loss: 'mse' });
    expect(folded.toJSON().nodes.some(({ op }) => op === 'batchNorm')).toBe(false);
    expect(folded.meta).toMatchObject({ normalization: { mode: 'standard', mean: [0.485, 0.456, 0.406].map(Math.fround), std: [0.229, 0.224, 0.225].map(Math.fround) } });
    const x = Float32Array.from({ length: 2 * 32 * 32 * 3 }, (_, i) => Math.sin(i));
    const [expected, found] = [await model.predict(x), await folded.predict(x)];
    const scale = Math.max(...expected.outputs.map(Math.abs));
    // Folding rounds every weight once: 2^-24 each, over 52 layers.
    expected.outputs.forEach((value, i) => expect(Math.abs(value - (found.outputs[i] as number))).toBeLessThan(1e-5 * scale));
    expect(scale).toBeGreaterThan(0.01);
  });

  it('keeps a classifier of as many classes, and gives another one from the seed', async () => {
    const [own, other, again, seed2] = [
      await loadModel(spec, { inputShape: [32, 32, 3], classes: 5 }),
      await loadModel(spec, { inputShape: [48, 48, 3], classes: 7 }, { seed: 1 }),
      await loadModel(spec, { inputShape: [48, 48, 3], classes: 7 }, { seed: 1 }),
      await loadModel(spec, { inputShape: [48, 48, 3], classes: 7 }, { seed: 2 }),
    ] as const;
    expect(own.getTensor('fc.bias')).toEqual(model.getTensor('fc.bias'));
    expect(other.outputSize).toBe(7);
    expect(again.weightHash()).toBe(other.weightHash());
    expect(seed2.getTensor('fc.weight')).not.toEqual(other.getTensor('fc.weight'));
    expect(seed2.getTensor('stem.weight')).toEqual(own.getTensor('stem.weight'));
  });

  it.each<[what: string, change: (tensors: Map<string, SafeTensor>) => unknown, error: RegExp]>([
    ['a tensor is missing', (t) => t.delete('features.3.conv.1.0.weight'), /^ERR_TINYPROP_MISMATCH the file lacks features.3.conv.1.0.weight \[48, 1, 3, 3\]/],
    ['a tensor too many', (t) => t.set('features.19.0.weight', t.get('features.18.1.bias') as SafeTensor), /^ERR_TINYPROP_MISMATCH .*does not have: features.19.0.weight/],
    ['another architecture', (t) => t.delete('features.0.0.weight'), /^ERR_TINYPROP_MISMATCH the file holds no MobileNetV2.*first_conv.weight, features.0.0.weight/],
    ['NaN', (t) => t.set('features.0.0.weight', { ...(t.get('features.0.0.weight') as SafeTensor), data: new Uint8Array(4 * 8 * 27).fill(255) }), /^ERR_TINYPROP_DATA .*features.0.0.weight/],
    ['integers', (t) => t.set('features.0.1.bias', { dtype: 'I32', shape: [8], data: new Uint8Array(32) }), /^ERR_TINYPROP_MODEL .*features.0.1.bias.*found I32/],
  ])('%s', (_, change, error) => {
    const changed = new Map(tensors);
    change(changed);
    let found = '';
    try {
      readMobilenetV2(writeSafetensors(changed), { width: 0.1, input: [32, 32, 3] });
    } catch (caught) {
      const { code, message } = caught as { code: string; message: string };
      found = `${code} ${message}`;
    }
    expect(found).toMatch(error);
  });

  it('names the file and the tensor where the width is another', async () => {
    await expect(loadModel(`mobilenetv2:0.5,${path}`)).rejects.toMatchObject({ code: 'ERR_TINYPROP_MISMATCH', message: expect.stringMatching(/torchvision.safetensors: features.0.0.weight is \[8, 3, 3, 3\].*expected \[16, 3, 3, 3\].*another width/) });
    await expect(loadModel(`mobilenetv2:0.1,${file('absent')}`)).rejects.toMatchObject({ code: 'ERR_TINYPROP_FILE' });
    await expect(loadModel(`mobilenetv2:x,${path}`)).rejects.toMatchObject({ code: 'ERR_TINYPROP_SPEC' });
  });

  it('trains on the command line, resumes and compares; inputs are prepared as the weights want them', async () => {
    const [x, y, out] = [file('x.npy'), file('y.npy'), file('m.tpm')];
    writeFileSync(x, npyBytes('|u1', [12, 32, 32, 3], Uint8Array.from({ length: 12 * 32 * 32 * 3 }, (_, i) => (i * 7) % 256)));
    writeFileSync(y, npyBytes('|u1', [12], Uint8Array.from({ length: 12 }, (_, i) => i % 3)));
    const data = ['--data', `npy:${x},${y}`];
    expect((await run(['train', '--model', spec, ...data, '--epochs', '1', '--out', out])).code).toBe(0);
    const saved = await run<{ outputs: number; meta: { normalization: { mean: number[] } } }>(['info', out]);
    expect(saved.outputs).toBe(3);
    expect(saved.meta.normalization.mean[0]).toBe(Math.fround(0.485));
    expect((await tinyprop(['train', '--resume', out, '--model', spec, ...data])).code).toBe(0);
    const compared = await run<{ runs: unknown[] }>(['compare', '--model', spec, ...data, '--epochs', '1', '--seeds', '2', '--methods', 'full,tinypropv2']);
    expect(compared.runs.length).toBe(4);
    expect((await run(['plan', '--model', spec, '--input', '32x32x3', '--classes', '3'])).code).toBe(0);
    expect((await run<{ error: { code: string } }>(['plan', '--model', path])).error.code).toBe('ERR_TINYPROP_MODEL');
    const weights = file('m.safetensors');
    expect((await run(['export', '--model', out, '--out', weights])).code).toBe(0);
    expect((await run<{ weights: string }>(['info', weights])).weights).toBe((await run<{ weights: string }>(['info', out])).weights);
    expect((await tinyprop(['export', '--model', out, '--out', file('m.bin')])).code).toBe(2);
  });
});

const folder = sharedData('models', 'mobilenetv2_w035_imagenet');

describe.skipIf(folder === undefined)('MCUNet, ImageNet, width 0.35', () => {
  const spec = `mobilenetv2:0.35,${folder}/mbv2-w0.35-f32.safetensors`;

  it('gives the logits of the independent evaluation', async () => {
    const model = await loadModel(spec, { inputShape: [128, 128, 3] }, { loss: 'mse' });
    const [x, y] = [await readNpy(`${folder}/golden_input.npy`), await readNpy(`${folder}/golden_logits.npy`)];
    const { outputs } = await model.predict(x.data as Float32Array);
    expect(outputs.length).toBe(2000);
    // Float64 there, float32 here; logits go up to 15, one rounding of which is 1e-6.
    expect(Math.max(...outputs.map((value, i) => Math.abs(value - (y.data[i] as number))))).toBeLessThan(1e-4);
    expect(model.meta).toMatchObject({ normalization: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } });
  });

  it('learns with a new classifier', async () => {
    const model = await loadModel(spec, { inputShape: [32, 32, 3], classes: 2 });
    model.replaceHead(3);
    model.freeze({ allButLast: 1 });
    const x = Float32Array.from({ length: 30 * 32 * 32 * 3 }, (_, i) => Math.sin(i * (1 + (Math.floor(i / 3072) % 3))));
    const data = { name: 'waves', x, n: 30, inputShape: [32, 32, 3], labels: Uint32Array.from({ length: 30 }, (_, i) => i % 3) };
    const stem = model.getTensor('stem.weight');
    const result = await new Trainer(model, { epochs: 20 }).fit({ train: data, test: data });
    expect(result.accuracy).toBe(1);
    expect(model.getTensor('stem.weight')).toEqual(stem);
  });
});
