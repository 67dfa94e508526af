// SPDX-License-Identifier: Apache-2.0
// .tflite files on the command line.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readTflite } from '../../../lib/import';
import { npyBytes } from '../data/helpers';
import { modelPath } from '../import/goldens';
import { json, scratch, tinyprop } from './harness';

const file = scratch();
const all = ['--data', 'digits'];
const digits = [...all, '--limit', '100'];

describe.each(['digits_float', 'digits_int8'])('%s', (name) => {
  const model = modelPath(name)!;

  it('is trained, evaluated and written back', async () => {
    const [out, patched] = [file(`${name}.tpm`), file(`${name}.tflite`)];
    const start = await json<{ accuracy: number }>(['eval', '--model', model, ...all]);
    expect(start.code).toBe(0);
    // The int8 fixture has a layer without a bias, which could not be written back.
    const frozen = name === 'digits_int8' ? ['--freeze', 'dense1'] : [];
    const trained = await json<{ accuracy: number }>(['train', '--model', model, ...all, '--epochs', '6', '--policy', 'full', '--lr', '0.02', ...frozen, '--out', out]);
    expect(trained.code).toBe(0);
    expect(trained.accuracy).toBeGreaterThan(start.accuracy + 0.2);
    const exported = await json<{ changed: number }>(['export', '--model', out, '--tflite', model, '--out', patched]);
    expect(exported).toMatchObject({ code: 0, bytes: readFileSync(model).length });
    expect(exported.changed).toBeGreaterThan(0);
    expect((await json<{ accuracy: number }>(['eval', '--model', patched, ...all])).accuracy).toBe(trained.accuracy);
  });

  it('is known to info, plan, predict and compare', async () => {
    expect(await json(['info', model])).toMatchObject({ code: 0, input: [8, 8, 1], outputs: 10, sections: [], meta: { normalization: { mode: 'none' } } });
    expect((await json(['plan', '--model', model])).code).toBe(0);
    const answer = await json<{ predictions: { outputs: number[] }[] }>(['predict', '--model', model, '--data', 'digits', '--limit', '3']);
    expect(answer.predictions.map(({ outputs }) => outputs.length)).toEqual([10, 10, 10]);
    const compared = await json<{ runs: { accuracy: number }[] }>(['compare', '--model', model, ...digits, '--epochs', '1', '--seeds', '1', '--methods', 'full,tinypropv2']);
    expect(compared).toMatchObject({ code: 0 });
    expect(compared.runs.length).toBe(2);
  });
});

describe('int8 arrays', () => {
  it('go to an int8 model as they are', async () => {
    const model = modelPath('digits_int8')!;
    const node = readTflite(readFileSync(model)).json.nodes[0]!;
    const [scale, zero] = [node['scale'] as number, node['zero'] as number];
    const q = Int8Array.from({ length: 128 }, (_, i) => ((i * 37) % 256) - 128);
    const [ints, reals] = [file('ints.npy'), file('reals.npy')];
    writeFileSync(ints, npyBytes('|i1', [2, 8, 8, 1], q));
    writeFileSync(reals, npyBytes('<f4', [2, 8, 8, 1], Float32Array.from(q, (v) => scale * (v - zero))));
    const [a, b] = [await json(['predict', '--model', model, '--input', ints]), await json(['predict', '--model', model, '--input', reals])];
    expect(a.code).toBe(0);
    expect(a).toEqual(b);
    const labels = file('labels.npy');
    writeFileSync(labels, npyBytes('|u1', [2], Uint8Array.of(1, 2)));
    const [c, d] = await Promise.all([ints, reals].map((x) => json<{ loss: number }>(['eval', '--model', model, '--split', 'train', '--data', `npy:${x},${labels},${x},${labels}`])));
    expect(c!.code).toBe(0);
    expect(c!.loss).toBe(d!.loss);
  });
});

describe('inputs in other units or shapes', () => {
  const model = modelPath('digits_int8')!;
  const labels = (): string => {
    const path = file('two.npy');
    writeFileSync(path, npyBytes('|u1', [2], Uint8Array.of(1, 2)));
    return path;
  };
  const whole = (high: number): number[] => Array.from({ length: 128 }, (_, i) => ((i * 37) % (2 * high)) - high);

  it.each(['eval', 'train --epochs 1', 'compare --epochs 1 --seeds 1 --methods full', 'predict'])('are noted by %s', async (command) => {
    const y = labels();
    const [x, ints, small] = [file('x16.npy'), file('x8.npy'), file('small.npy')];
    writeFileSync(x, npyBytes('<i2', [2, 8, 8, 1], Int16Array.from(whole(128))));
    writeFileSync(ints, npyBytes('|i1', [2, 8, 8, 1], Int8Array.from(whole(128))));
    writeFileSync(small, npyBytes('<f4', [2, 8, 8, 1], Float32Array.from(whole(128), (v) => v / 1e6)));
    const run = (path: string) => tinyprop([...command.split(' '), '--model', model, '--data', `npy:${path},${y},${path},${y}`]);
    expect(await run(x)).toMatchObject({ code: 0, err: expect.stringMatching(/note: .* of the inputs lie beyond what the model's int8 input holds, .* or int8 arrays/) as string });
    expect(await run(small)).toMatchObject({ code: 0, err: expect.stringContaining('note: all inputs lie within') as string });
    expect((await run(ints)).err).not.toContain('note: ');
  });

  it('of as many numbers are refused', async () => {
    const y = labels();
    const [wrong, flat] = [file('wrong.npy'), file('flat.npy')];
    writeFileSync(wrong, npyBytes('|i1', [2, 4, 16, 1], Int8Array.from(whole(128))));
    writeFileSync(flat, npyBytes('|i1', [2, 64], Int8Array.from(whole(128))));
    for (const command of ['eval', 'train --epochs 1', 'compare --epochs 1 --seeds 1 --methods full', 'predict']) {
      const run = (path: string) => tinyprop([...command.split(' '), '--model', model, '--data', `npy:${path},${y},${path},${y}`]);
      expect(await run(wrong)).toMatchObject({ code: 2, err: expect.stringContaining('expected 8x8x1, found 4x16x1') as string });
      expect((await run(flat)).code).toBe(0);
    }
    expect((await tinyprop(['predict', '--model', model, '--input', wrong])).code).toBe(2);
    expect((await tinyprop(['predict', '--model', model, '--input', flat])).code).toBe(0);
  });
});

describe('bytes of images', () => {
  it('fill the range of a model whose file takes int8', async () => {
    const path = modelPath('mlcommons_tiny/resnet8_cifar10_int8');
    if (path === undefined) return;
    const pixels = Uint8Array.from({ length: 3072 }, (_, i) => (i * 7) % 256);
    const [images, ints, labels] = [file('images.npy'), file('centred.npy'), file('label.npy')];
    writeFileSync(images, npyBytes('|u1', [1, 32, 32, 3], pixels));
    writeFileSync(ints, npyBytes('|i1', [1, 32, 32, 3], Int8Array.from(pixels, (v) => v - 128)));
    writeFileSync(labels, npyBytes('|u1', [1], Uint8Array.of(1)));
    const [a, b] = await Promise.all([images, ints].map((x) => json<{ predictions: unknown[] }>(['predict', '--model', path, '--data', `npy:${x},${labels},${x},${labels}`])));
    expect(a!.code).toBe(0);
    expect(a).toEqual(b);
  });
});

describe('mistakes', () => {
  it('are named', async () => {
    const broken = file('broken.tflite');
    writeFileSync(broken, readFileSync(modelPath('digits_float')!).subarray(0, 900));
    expect(await tinyprop(['eval', '--model', broken, ...digits])).toMatchObject({ code: 6, err: expect.stringContaining('broken.tflite: tflite') as string });
    const other = file('other.tpm');
    await tinyprop(['train', '--model', 'mlp:64-10', ...digits, '--epochs', '1', '--out', other, '--quiet']);
    expect(await tinyprop(['export', '--model', other, '--tflite', modelPath('digits_float')!, '--out', file('no.tflite')])).toMatchObject({ code: 5, err: expect.stringContaining('not the file that this model came from') as string });
    expect(await tinyprop(['train', '--model', modelPath('digits_float')!, '--init', other, ...digits])).toMatchObject({ code: 2, err: expect.stringContaining('leave it out with --init') as string });
  });
});
