// SPDX-License-Identifier: Apache-2.0
// safetensors files: those of the reference library, those that break a rule of the format, those that are damaged.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { conv2d, dense, exportSafetensors, flatten, Model, readSafetensors, relu, type SafeTensor, TinypropError, writeSafetensors } from '../../../lib';
import { floatsOf } from '../../../lib/import/safetensors';

const fixture = new Uint8Array(readFileSync(join(__dirname, '..', '..', 'fixtures', 'types.safetensors')));

/** Code of the error, or `read`. */
function outcome(read: () => unknown): string {
  try {
    read();
    return 'read';
  } catch (error) {
    if (!(error instanceof TinypropError)) throw error;
    return error.code;
  }
}

function message(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof TinypropError) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error('did not throw');
}

/** A file of this header and so many bytes of data. */
function file(header: string, data = 0): Uint8Array {
  const text = Buffer.from(header);
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const tensor = (dtype: string, shape: string, offsets: string): string => `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

/** Numerical Recipes' generator: the same flips in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
}

describe('a file of the reference library', () => {
  const { tensors, metadata } = readSafetensors(fixture);

  it('has its types, shapes, names and texts', () => {
    expect(metadata).toEqual({ origin: 'a "text"' });
    expect(tensors.get('int64')).toMatchObject({ dtype: 'I64', shape: [2, 3] });
    expect(tensors.get('bool')).toMatchObject({ dtype: 'BOOL', shape: [3] });
    expect([...(tensors.get('bool') as SafeTensor).data]).toEqual([1, 0, 1]);
    expect(tensors.get('empty')).toMatchObject({ dtype: 'F32', shape: [0, 4] });
    expect(tensors.get('scalar')).toMatchObject({ dtype: 'F32', shape: [] });
    expect(tensors.get('a "quoted" \\ name, \u00fc')?.shape).toEqual([1]);
    expect(tensors.size).toBe(16);
  });

  it('has its numbers', () => {
    for (const name of ['float16', 'float32', 'float64']) expect([...floatsOf(tensors.get(name) as SafeTensor, name)]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...floatsOf(tensors.get('scalar') as SafeTensor, 'scalar')]).toEqual([-1.5]);
    expect([...floatsOf(tensors.get('half') as SafeTensor, 'half')]).toEqual([-0.0999755859375, 65504, 2 ** -24, 2 ** -14, -0]);
    expect(message(() => floatsOf(tensors.get('int8') as SafeTensor, 'int8'))).toMatch(/^ERR_TINYPROP_MODEL .*expected floats .*found I8/);
  });

  it('is written to the same bytes', () => expect(Buffer.from(writeSafetensors(tensors, metadata)).equals(fixture)).toBe(true));

  it('is read where it stands in a larger buffer', () => {
    const padded = new Uint8Array(fixture.length + 64).fill(0xa5);
    padded.set(fixture, 33);
    expect(readSafetensors(padded.subarray(33, 33 + fixture.length)).tensors).toEqual(tensors);
  });
});

describe('floats', () => {
  const words = (dtype: string, ...values: number[]): SafeTensor => ({ dtype, shape: [values.length], data: new Uint8Array(Uint16Array.from(values).buffer) });
  it('of bfloat16 are the upper halves', () => expect([...floatsOf(words('BF16', 0x3f80, 0xc040, 0x0001), 'x')]).toEqual([1, -3, 2 ** -133]));
  it('that are not finite are refused', () => {
    for (const bits of [0x7f80, 0xff80, 0x7fc0]) expect(message(() => floatsOf(words('BF16', 0, bits), 'x'))).toMatch(/^ERR_TINYPROP_DATA .*value 1/);
    for (const bits of [0x7c00, 0xfc00, 0x7e00]) expect(message(() => floatsOf(words('F16', bits), 'x'))).toMatch(/^ERR_TINYPROP_DATA/);
    // Above the largest float32.
    expect(message(() => floatsOf({ dtype: 'F64', shape: [1], data: new Uint8Array(Float64Array.of(1e300).buffer) }, 'x'))).toMatch(/^ERR_TINYPROP_DATA/);
  });
});

describe('a file that breaks a rule', () => {
  const f32 = (name: string, shape: string, offsets: string): string => `"${name}":${tensor('F32', shape, offsets)}`;
  const deep = '['.repeat(1 << 20);
  it.each<[what: string, bytes: Uint8Array, error: RegExp]>([
    ['no length', new Uint8Array(7), /^ERR_TINYPROP_BLOB .*found 7 bytes/],
    ['a header longer than the file', file('{}').subarray(0, 9), /^ERR_TINYPROP_BLOB .*says it has 2 bytes, the file has 1/],
    ['a header of 2^64 - 1 bytes', new Uint8Array(64).fill(255), /^ERR_TINYPROP_LIMIT .*18446744073709551615/],
    ['no header', file(''), /^ERR_TINYPROP_BLOB .*expected \{ at character 0/],
    ['a header that is not UTF-8', file('{}').map((byte, i) => (i === 9 ? 0xff : byte)), /^ERR_TINYPROP_BLOB .*not UTF-8/],
    ['a list', file('[]'), /^ERR_TINYPROP_BLOB .*expected \{/],
    ['text behind the header', file('{} x'), /^ERR_TINYPROP_BLOB .*the end of the header/],
    ['a comma too many', file(`{${f32('a', '[0]', '[0,0]')},}`), /^ERR_TINYPROP_BLOB .*expected a text/],
    ['a name twice', file(`{${f32('a', '[1]', '[0,4]')},${f32('a', '[1]', '[4,8]')}}`, 8), /^ERR_TINYPROP_BLOB .*"a" occurs twice/],
    ['a name twice, once escaped', file(`{${f32('a', '[1]', '[0,4]')},${f32('\\u0061', '[1]', '[4,8]')}}`, 8), /^ERR_TINYPROP_BLOB .*"a" occurs twice/],
    ['a field twice', file('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), /^ERR_TINYPROP_BLOB .*"dtype" occurs twice/],
    ['an unknown field', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4), /^ERR_TINYPROP_BLOB .*unknown field "x"/],
    ['no shape', file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), /^ERR_TINYPROP_BLOB .*expected dtype, shape/],
    ['one offset', file(`{${f32('a', '[1]', '[0]')}}`, 4), /^ERR_TINYPROP_BLOB .*two data_offsets/],
    ['an unknown type', file(`{"a":${tensor('F31', '[1]', '[0,4]')}}`, 4), /^ERR_TINYPROP_MODEL .*unknown type "F31".*BF16/],
    ['fewer bytes than its shape', file(`{${f32('a', '[2]', '[0,4]')}}`, 4), /^ERR_TINYPROP_BLOB .*takes 8 bytes, the file gives it 4/],
    ['a shape that overflows', file(`{${f32('a', '[4294967296,4294967296,4294967296]', '[0,0]')}}`), /^ERR_TINYPROP_BLOB .*takes/],
    ['a rank of 9', file(`{${f32('a', '[1,1,1,1,1,1,1,1,1]', '[0,4]')}}`, 4), /^ERR_TINYPROP_LIMIT .*9 dimensions/],
    ['an offset behind the file', file(`{${f32('a', '[2]', '[0,8]')}}`, 4), /^ERR_TINYPROP_BLOB .*ends at byte 8 of 4/],
    ['offsets that go back', file(`{${f32('a', '[1]', '[0,4]')},${f32('b', '[0]', '[4,0]')}}`, 4), /^ERR_TINYPROP_BLOB .*ends at byte 0/],
    ['an overlap', file(`{${f32('a', '[2]', '[0,8]')},${f32('b', '[2]', '[4,12]')}}`, 12), /^ERR_TINYPROP_BLOB .*begins at byte 4 .*expected 8 \(it overlaps/],
    ['the same bytes twice', file(`{${f32('a', '[1]', '[0,4]')},${f32('b', '[1]', '[0,4]')}}`, 4), /^ERR_TINYPROP_BLOB .*overlaps/],
    ['a gap', file(`{${f32('a', '[1]', '[0,4]')},${f32('b', '[1]', '[8,12]')}}`, 12), /^ERR_TINYPROP_BLOB .*nothing claims/],
    ['bytes behind the tensors', file(`{${f32('a', '[1]', '[0,4]')}}`, 5), /^ERR_TINYPROP_BLOB .*end at byte 4 of the data, the file has 5/],
    ['a negative extent', file(`{${f32('a', '[-1]', '[0,4]')}}`, 4), /^ERR_TINYPROP_BLOB .*integers from 0/],
    ['a fraction', file(`{${f32('a', '[1.0]', '[0,4]')}}`, 4), /^ERR_TINYPROP_BLOB .*integers from 0/],
    ['an extent above 2^53', file(`{${f32('a', '[9007199254740993]', '[0,4]')}}`, 4), /^ERR_TINYPROP_BLOB .*2\^53/],
    ['metadata that are no texts', file('{"__metadata__":{"a":1}}'), /^ERR_TINYPROP_BLOB .*expected a text/],
    ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}'), /^ERR_TINYPROP_BLOB .*occurs twice/],
    ['a million brackets', file(`{"a":${deep}`), /^ERR_TINYPROP_BLOB .*expected \{/],
    ['a million brackets in a shape', file(`{"a":{"dtype":"F32","shape":${deep}`), /^ERR_TINYPROP_BLOB .*integers/],
    ['a text without end', file(`{"${'\\"'.repeat(1 << 20)}`), /^ERR_TINYPROP_BLOB .*expected a text/],
  ])('%s', (_, bytes, error) => expect(message(() => readSafetensors(bytes))).toMatch(error));

  it('but names that other readers stumble over are names', () => {
    const bytes = file(`{"__proto__":${tensor('F32', '[1]', '[0,4]')},"__metadata__":{"__proto__":"x"}}`, 4);
    const { tensors, metadata } = readSafetensors(bytes);
    expect([...tensors.keys()]).toEqual(['__proto__']);
    expect(Object.entries(metadata)).toEqual([['__proto__', 'x']]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });
});

describe('the reference file', () => {
  it('cut off at every byte', () => {
    for (let length = 0; length < fixture.length; length++) expect(outcome(() => readSafetensors(fixture.slice(0, length)))).toBe('ERR_TINYPROP_BLOB');
  });

  it('with bytes changed at random', () => {
    const random = generator(11);
    const codes = new Set<string>();
    for (let trial = 0; trial < 5000; trial++) {
      const bytes = fixture.slice();
      for (let changes = 1 + (random() % 3); changes > 0; changes--) bytes[random() % 1300] = random() >>> 24;
      codes.add(outcome(() => readSafetensors(bytes)));
    }
    expect([...codes].sort()).toEqual(['ERR_TINYPROP_BLOB', 'ERR_TINYPROP_LIMIT', 'ERR_TINYPROP_MODEL', 'read']);
  });
});

describe('a model of this package', () => {
  const model = Model.sequential({ input: [6, 6, 2], layers: [conv2d({ units: 3, kernel: 3 }), relu(), flatten(), dense(4)] });
  model.configure({ seed: 5 });
  model.meta = { classes: ['a', 'b', 'c', 'd'] };
  const bytes = exportSafetensors(model);

  it('comes back with weights, graph and meta', () => {
    const back = Model.fromBytes(Buffer.from(bytes));
    expect(back.weightHash()).toBe(model.weightHash());
    expect(back.toJSON()).toEqual(model.toJSON());
    expect(back.meta).toEqual(model.meta);
    expect(exportSafetensors(back)).toEqual(bytes);
  });

  it('is a file that others read: the names and shapes of its tensors', () => {
    const { tensors } = readSafetensors(bytes);
    expect([...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ['conv2d1.bias', 'F32', [3]],
      ['conv2d1.weight', 'F32', [3, 3, 3, 2]],
      ['dense1.bias', 'F32', [4]],
      ['dense1.weight', 'F32', [4, 48]],
    ]);
  });

  it.each<[what: string, change: (tensors: Map<string, SafeTensor>, metadata: { tinyprop: string }) => unknown, error: RegExp]>([
    ['weights alone', (_, metadata) => delete (metadata as { tinyprop?: string }).tinyprop, /^ERR_TINYPROP_MODEL .*weights alone.*mobilenetv2:WIDTH,FILE/],
    ['a tensor is missing', (tensors) => tensors.delete('dense1.bias'), /^ERR_TINYPROP_BLOB .*lacks the tensor dense1.bias/],
    ['a tensor too many', (tensors) => tensors.set('x', { dtype: 'F32', shape: [0], data: new Uint8Array(0) }), /^ERR_TINYPROP_ARG .*no tensor "x"/],
    ['a tensor of another size', (tensors) => tensors.set('dense1.bias', { dtype: 'F32', shape: [2], data: new Uint8Array(8) }), /^ERR_TINYPROP_SHAPE .*expected 4 numbers/],
    ['a tensor of another type', (tensors) => tensors.set('dense1.bias', { dtype: 'F64', shape: [1], data: new Uint8Array(8) }), /^ERR_TINYPROP_MODEL .*found F64/],
    ['NaN', (tensors) => tensors.set('dense1.bias', { dtype: 'F32', shape: [4], data: new Uint8Array(16).fill(255) }), /^ERR_TINYPROP_DATA/],
    ['a graph that is not JSON', (_, metadata) => (metadata.tinyprop = '{'), /^ERR_TINYPROP_BLOB .*not JSON/],
    ['no graph', (_, metadata) => (metadata.tinyprop = 'null'), /^ERR_TINYPROP_MODEL/],
    ['an operation that is no text', (_, metadata) => (metadata.tinyprop = metadata.tinyprop.replace('"relu"', '{"toString":1}')), /^ERR_TINYPROP_MODEL .*op: expected/],
    ['a graph of more than the file', (_, metadata) => (metadata.tinyprop = metadata.tinyprop.replace('"units":4', '"units":4000000')), /^ERR_TINYPROP_BLOB .*more than/],
  ])('%s', (_, change, error) => {
    const { tensors, metadata } = readSafetensors(bytes);
    const changed = [new Map(tensors), { ...metadata } as { tinyprop: string }] as const;
    change(...changed);
    expect(message(() => Model.fromBytes(writeSafetensors(...changed)))).toMatch(error);
  });

  it('with bytes changed at random is a model or a clear error', () => {
    const random = generator(3);
    const codes = new Set<string>();
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true)) + 8;
    for (let trial = 0; trial < 3000; trial++) {
      const changed = bytes.slice();
      changed[random() % length] = random() >>> 24;
      codes.add(outcome(() => Model.fromBytes(changed).close()));
    }
    expect(codes).toContain('ERR_TINYPROP_BLOB');
    expect(codes).toContain('ERR_TINYPROP_MODEL');
    expect(codes).toContain('read');
  });
});

it('writes no tensor under the name of the metadata, and none whose bytes do not fit', () => {
  const one: SafeTensor = { dtype: 'F32', shape: [1], data: new Uint8Array(4) };
  expect(message(() => writeSafetensors(new Map([['__metadata__', one]])))).toMatch(/^ERR_TINYPROP_ARG/);
  expect(message(() => writeSafetensors(new Map([['a', { ...one, shape: [2] }]])))).toMatch(/^ERR_TINYPROP_ARG .*8 bytes/);
  expect(message(() => writeSafetensors(new Map([['a', { ...one, dtype: 'X' }]])))).toMatch(/^ERR_TINYPROP_ARG/);
});
