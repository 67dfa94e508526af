// SPDX-License-Identifier: Apache-2.0
// Networks in the JSON form of TinyEngine: the bytes of a reference in numpy (test/fixtures/mcunet.py), and files made on purpose.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { TinypropError } from '../../../lib/errors';
import { importModel } from '../../../lib/import';
import { isMcunet, readMcunet } from '../../../lib/import/mcunet';
import { Model } from '../../../lib/model';
import { readNpy } from '../../../lib/data/npy';
import { sharedData } from '../data/helpers';
import { tinyprop } from '../cli/harness';
import { bytesOf, sha256 } from './goldens';
import { valuesOf } from './values';

interface Goldens {
  samples: number;
  first: number;
  size: number;
  input: string;
  models: Record<string, { json: string; bin: string; tensors: Record<string, [all: string, first: string]> }>;
}
const goldens = JSON.parse(readFileSync(join(__dirname, '..', '..', 'fixtures', 'mcunet-goldens.json'), 'utf8')) as Goldens;
const full = process.env['TINYPROP_TEST_FULL'] === '1';

/** The files of a model, where they are those of the reference values. */
function filesOf(name: string): { json: Uint8Array; weights: Uint8Array } | undefined {
  const [path, bin] = [sharedData('models', `${name}.json`), sharedData('models', `${name}.bin`)];
  if (path === undefined || bin === undefined) return undefined;
  const [json, weights] = [readFileSync(path), readFileSync(bin)];
  if (sha256(json) === goldens.models[name]!.json && sha256(weights) === goldens.models[name]!.bin) return { json, weights };
  console.info(`skipped: ${name} is not the file of the reference values`);
  return undefined;
}

describe.each(Object.entries(goldens.models))('%s', (name, golden) => {
  it('gives the bytes of the reference, node by node, at 96x96', async () => {
    const [files, data] = [filesOf(name), sharedData()];
    if (files === undefined || data === undefined) return;
    const { inputs } = await import('../../fixtures/tflite-inputs.mjs');
    const x = (await inputs['mlcommons_tiny/mobilenetv1_025_vww96_int8'](data)) as Int8Array;
    if (sha256(bytesOf(x)) !== goldens.input) return console.info('skipped: another image decoder than that of the reference values');
    const imported = readMcunet(files.json, { weights: files.weights, inputShape: [goldens.size, goldens.size, 3] });
    const { scale, zero } = imported.input!;
    const reals = Float32Array.from(x, (q) => scale * (q - zero));
    const wrong = Object.entries(golden.tensors).filter(([node, hashes]) => {
      const all = full || node === 'classifier';
      const n = all ? goldens.samples : goldens.first;
      return sha256(bytesOf(valuesOf(imported, node, reals.subarray(0, (reals.length / goldens.samples) * n), n))) !== hashes[all ? 0 : 1];
    });
    expect(wrong.map(([node]) => node)).toEqual([]);
    expect(Object.keys(golden.tensors).length).toBeGreaterThan(50);
  }, 600_000);

  it('sees in two photographs what the floats see', async () => {
    const folder = sharedData('models', 'mobilenetv2_w035_imagenet');
    if (filesOf(name) === undefined || folder === undefined) return;
    const [x, logits] = [await readNpy(join(folder, 'golden_input.npy')), await readNpy(join(folder, 'golden_logits.npy'))];
    using model = await Model.load(sharedData('models', `${name}.json`)!);
    expect(model.inputShape).toEqual([128, 128, 3]);
    const prediction = await model.predict(x.data as Float32Array);
    const floats = Array.from(logits.data as Float32Array);
    const top = [0, 1].map((i) => floats.slice(1000 * i, 1000 * i + 1000)).map((row) => row.indexOf(Math.max(...row)));
    expect([prediction.argmax(0), prediction.argmax(1)]).toEqual(top);
  });
});

type Json = Record<string, never>;

/** A small network with everything that the form has; `change` may spoil it. */
function made(change: (model: Json) => void = () => {}): { json: Uint8Array; weights: Uint8Array } {
  const tensors: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let at = 0;
  let state = 1;
  const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const put = (name: string, dtype: string, shape: number[], values: ArrayBufferView): string => {
    tensors[name] = { dtype, shape, offset: at };
    parts.push(Buffer.from(values.buffer, values.byteOffset, values.byteLength), Buffer.alloc(-values.byteLength & 3));
    at += (values.byteLength + 3) & ~3;
    return name;
  };
  const layer = (name: string, inC: number, inS: number, outC: number, k: number, stride: number, groups: number, x: [number, number], y: [number, number]) => {
    const size = (outC * inC * k * k) / groups;
    return {
      in_channel: inC, in_shape: inS, out_channel: outC, out_shape: Math.ceil(inS / stride), kernel_size: [k, k], stride, groups, depthwise: groups > 1, act: null,
      params: {
        weight: put(`${name}.weight`, 'i1', [outC, inC / groups, k, k], Int8Array.from({ length: size }, () => Math.floor(random() * 200) - 100)),
        bias: put(`${name}.bias`, '<i4', [outC], Int32Array.from({ length: outC }, (_, i) => (i === 0 ? -(2 ** 31) : Math.floor(random() * 400)))),
        w_scales: put(`${name}.w_scales`, '<f4', [outC], Float32Array.from({ length: outC }, () => 0.002 + random() / 500)),
        x_scale: x[0], x_zero: x[1], y_scale: y[0], y_zero: y[1],
      },
    };
  };
  const [x, a, b, c, d]: [number, number][] = [[1 / 127.5, 0], [6 / 255, -128], [0.05, 3], [0.07, -5], [0.1, 2]] as never;
  const model = {
    name: 'made',
    first_conv: layer('first_conv', 3, 8, 4, 3, 2, 1, x!, a!),
    blocks: [
      { pointwise1: null, depthwise: layer('b0d', 4, 4, 4, 3, 1, 4, a!, a!), pointwise2: layer('b0p', 4, 4, 6, 1, 1, 1, a!, b!), residual: null, se: null },
      {
        pointwise1: layer('b1p', 6, 4, 12, 1, 1, 1, b!, a!), depthwise: layer('b1d', 12, 4, 12, 5, 1, 12, a!, a!), pointwise2: layer('b1q', 12, 4, 6, 1, 1, 1, a!, c!),
        residual: { in_channel: 6, in_shape: 4, params: { x_scale: b![0], x_zero: b![1], y_scale: d![0], y_zero: d![1] } }, se: null,
      },
    ],
    feature_mix: layer('mix', 6, 4, 8, 1, 1, 1, d!, a!),
    classifier: layer('classifier', 8, 1, 5, 1, 1, 1, a!, c!),
    tensors,
  };
  change(model as never);
  return { json: Buffer.from(JSON.stringify(model)), weights: Buffer.concat(parts) };
}

/** Code and words of the error; `read`. */
function outcome(json: Uint8Array, weights: Uint8Array | undefined): string {
  try {
    readMcunet(json, weights ? { weights } : {});
    return 'read';
  } catch (error) {
    if (!(error instanceof TinypropError) || !/^mcunet: /.test(error.message)) throw error;
    return `${error.code} ${error.message}`;
  }
}

describe('a file made on purpose', () => {
  it('becomes a model that learns, its input of any size', async () => {
    const { json, weights } = made();
    expect(isMcunet(json)).toBe(true);
    using model = Model.fromBytes(json, { weights });
    expect(model.toJSON().nodes.map(({ op }) => op)).toEqual([
      'quantize', 'conv2dS8', 'clampS8', 'depthwiseConv2dS8', 'clampS8', 'conv2dS8', 'conv2dS8', 'clampS8', 'depthwiseConv2dS8', 'clampS8', 'conv2dS8', 'addS8', 'conv2dS8', 'clampS8',
      'avgPool2dS8', 'flatten', 'denseS8', 'dequantize',
    ]);
    expect(model.meta['input']).toBe('int8');
    const x = new Float32Array(8 * 8 * 3).map((_, i) => Math.sin(i));
    const before = model.weightHash();
    for (let i = 0; i < 20; i++) model.step(x, 3);
    expect(model.weightHash()).not.toBe(before);
    expect((await model.predict(x)).argmax(0)).toBe(3);
    using wide = Model.fromBytes(json, { weights, inputShape: [12, 16, 3] });
    expect(wide.inputShape).toEqual([12, 16, 3]);
    // A bias as small as an int32 can be gives way to its products.
    const bias = wide.getTensorData('first_conv.bias')[0] as number;
    const own = Array.from(wide.getTensorData('first_conv.weight') as Int8Array).slice(0, 27);
    expect(bias).toBe(-(2 ** 31 - 1 - 255 * own.reduce((sum, w) => sum + Math.abs(w), 0)));
  });

  const spoil: readonly [string, (model: never) => void, RegExp][] = [
    ['another scale at a reader', (m: { blocks: { depthwise: { params: { x_scale: number } } }[] }) => (m.blocks[0]!.depthwise.params.x_scale = 1), /MODEL.*scale and zero that first_conv.relu gives/],
    ['a scale of 0', (m: { first_conv: { params: { y_scale: number } } }) => (m.first_conv.params.y_scale = 0), /MODEL.*first_conv.params.y_scale/],
    ['a zero beyond int8', (m: { first_conv: { params: { y_zero: number } } }) => (m.first_conv.params.y_zero = 128), /MODEL.*y_zero/],
    ['squeeze and excitation', (m: { blocks: { se: unknown }[] }) => (m.blocks[1]!.se = {}), /MODEL.*squeeze/],
    ['an activation', (m: { first_conv: { act: string } }) => (m.first_conv.act = 'h_swish'), /MODEL.*act/],
    ['groups', (m: { first_conv: { groups: number } }) => (m.first_conv.groups = 2), /MODEL.*groups/],
    ['an even kernel', (m: { first_conv: { kernel_size: number[] } }) => (m.first_conv.kernel_size = [2, 2]), /MODEL.*kernel_size/],
    ['other channels', (m: { blocks: { pointwise2: { in_channel: number } }[] }) => (m.blocks[0]!.pointwise2.in_channel = 5), /SHAPE.*in_channel/],
    ['another size', (m: { blocks: { pointwise2: { in_shape: number } }[] }) => (m.blocks[0]!.pointwise2.in_shape = 7), /SHAPE.*in_shape/],
    ['a residual over a change of channels', (m: { blocks: { residual: unknown }[] }) => (m.blocks[0]!.residual = { params: { x_scale: 6 / 255, x_zero: -128, y_scale: 1, y_zero: 0 } }), /SHAPE.*residual/],
    ['a tensor that is not there', (m: { first_conv: { params: { weight: string } } }) => (m.first_conv.params.weight = '__proto__'), /MODEL.*tensors.__proto__/],
    ['another shape of a tensor', (m: { tensors: Record<string, { shape: number[] }> }) => (m.tensors['b0p.weight']!.shape = [4, 6, 1, 1]), /SHAPE.*b0p.weight/],
    ['another type of a tensor', (m: { tensors: Record<string, { dtype: string }> }) => (m.tensors['b0p.bias']!.dtype = '<f4'), /MODEL.*b0p.bias/],
    ['an offset beyond the end', (m: { tensors: Record<string, { offset: number }> }) => (m.tensors['b0p.bias']!.offset = 1e15), /BLOB.*offset/],
    ['no blocks', (m: { blocks: unknown }) => (m.blocks = 5), /MODEL.*blocks/],
    ['a model of 2^60 inputs', (m: { first_conv: { in_shape: number } }) => (m.first_conv.in_shape = 2 ** 30), /MODEL.*in_shape/],
  ] as never;
  it.each(spoil)('with %s is refused', (_, change, expected) => {
    const { json, weights } = made(change as never);
    expect(outcome(json, weights)).toMatch(expected);
  });

  it('that is cut off or changed at random is an error or a model, and nothing else', () => {
    const { json, weights } = made();
    expect(outcome(json, undefined)).toMatch(/BLOB.*Model.load/);
    for (let length = 40; length < json.length; length += 7) expect(outcome(json.subarray(0, length), weights)).toMatch(/BLOB mcunet: not JSON/);
    for (let length = 0; length < weights.length; length += 5) expect(outcome(json, weights.subarray(0, length))).toMatch(/BLOB.*offset/);
    let state = 5;
    const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8;
    const text = Buffer.from(json).toString();
    const tokens = [...text.matchAll(/-?\d+(\.\d+)?|"[^"]*"|null|true|false/g)];
    const codes = new Set<string>();
    for (let trial = 0; trial < 3000; trial++) {
      const token = tokens[random() % tokens.length]!;
      const other = ['0', '-1', '1e308', '1e-320', '4294967296', 'null', '[]', '{}', '"constructor"', tokens[random() % tokens.length]![0]][random() % 10]!;
      const bytes = Buffer.from(text.slice(0, token.index) + other + text.slice(token.index + token[0].length));
      const said = outcome(bytes, weights);
      codes.add(said.split(' ')[0]!);
      if (said === 'read') {
        try {
          Model.fromBytes(bytes, { weights }).close();
        } catch (error) {
          if (!(error instanceof TinypropError)) throw error;
        }
      }
    }
    expect([...codes].sort()).toEqual(['ERR_TINYPROP_BLOB', 'ERR_TINYPROP_DATA', 'ERR_TINYPROP_MODEL', 'ERR_TINYPROP_SHAPE', 'read']);
  });

  it('with a weight scale that is not a number above 0 is refused', () => {
    const { json, weights } = made();
    const { offset } = (JSON.parse(Buffer.from(json).toString()) as { tensors: Record<string, { offset: number }> }).tensors['mix.w_scales']!;
    for (const value of [0, -1, NaN, Infinity]) {
      const bytes = Buffer.from(weights);
      bytes.writeFloatLE(value, offset);
      expect(outcome(json, bytes)).toMatch(/DATA.*feature_mix.params.w_scales/);
    }
  });

  it('is no description of a model', () => {
    const json = Buffer.from(JSON.stringify({ format: 'tinyprop-model', version: 1, nodes: [] }));
    expect(isMcunet(json)).toBe(false);
    expect(importModel(json, {})).toBe(null);
  });
});

describe('on the command line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tinyprop-mcunet-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('a .json with its .bin is a model like any other', async () => {
    const { json, weights } = made();
    const [path, out] = [join(folder, 'net.json'), join(folder, 'net.tpm')];
    writeFileSync(path, json);
    const missing = await tinyprop(['info', path]);
    expect(missing).toMatchObject({ code: 2, err: expect.stringContaining('net.bin') });
    writeFileSync(join(folder, 'net.bin'), weights);
    writeFileSync(join(folder, 'x.csv'), Array.from({ length: 6 }, (_, n) => [...Array.from({ length: 192 }, (_, i) => Math.sin(i * (n + 1)).toFixed(3)), n % 5].join(',')).join('\n'));
    expect((await tinyprop(['info', path])).code).toBe(0);
    expect((await tinyprop(['plan', '--model', path, '--input', '16x16x3', '--ram', '64K', '--int8-samples'])).out).toMatch(/pool +avgPool2dS8 +1x1x8/);
    expect((await tinyprop(['train', '--model', path, '--data', `csv:${join(folder, 'x.csv')}`, '--epochs', '1', '--out', out])).err).not.toMatch(/error/i);
    expect((await tinyprop(['info', out])).code).toBe(0);
  });
});
