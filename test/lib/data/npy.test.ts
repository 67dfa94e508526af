// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { loadData, parseNpy, readNpy, readNpz } from '../../../lib/data';
import { failure, npyBytes, rawNpy, scratchFolder, sharedData } from './helpers';

const scratch = scratchFolder();

function write(name: string, bytes: Uint8Array): string {
  const file = path.join(scratch, name);
  fs.writeFileSync(file, bytes);
  return file;
}

describe('readNpy', () => {
  it.each([
    ['<f4', Float32Array.of(1.5, -2, 3, 4)],
    ['<f8', Float64Array.of(1.1, -2, 3, 4)],
    ['<i2', Int16Array.of(-1, 2, 3, 4)],
    ['<u2', Uint16Array.of(65535, 2, 3, 4)],
    ['<i4', Int32Array.of(-1, 2, 3, 4)],
    ['<u4', Uint32Array.of(1, 2, 3, 4)],
    ['<i8', BigInt64Array.of(-1n, 2n, 3n, 4n)],
    ['<u8', BigUint64Array.of(1n, 2n, 3n, 4n)],
    ['|u1', Uint8Array.of(255, 2, 3, 4)],
    ['|i1', Int8Array.of(-128, 2, 3, 4)],
    ['|b1', Uint8Array.of(0, 1, 1, 0)],
  ])('reads %s', async (dtype, data) => {
    const array = await readNpy(write('a.npy', npyBytes(dtype, [2, 2], data)));
    expect(array).toEqual({ dtype, shape: [2, 2], data });
  });

  it('reads format 2 and a scalar', () => {
    const one = npyBytes('<f4', [2], Float32Array.of(1, 2));
    const two = Buffer.concat([one.subarray(0, 6), Buffer.from([2, 0]), one.subarray(8, 10), Buffer.from([0, 0]), one.subarray(10)]);
    expect(parseNpy(two, 'two').data).toEqual(Float32Array.of(1, 2));
    expect(parseNpy(rawNpy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", Buffer.alloc(4)), 'scalar').shape).toEqual([]);
  });

  const dict = (descr: string, order: string, shape: string) => rawNpy(`{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }`, Buffer.alloc(16));
  it.each([
    ['another file', Buffer.from('\x89PNG\r\n\x1a\n and more'), /expected an \.npy file/],
    ['nothing', Buffer.alloc(0), /expected an \.npy file/],
    ['only the magic', Buffer.from('\x93NUMPY', 'latin1'), /format 1 to 3/],
    ['format 9', Buffer.from('\x93NUMPY\x09\x00\x10\x00\x00\x00', 'latin1'), /format 1 to 3 at byte 6, found 9/],
    ['a header longer than the file', Buffer.from('\x93NUMPY\x01\x00\xff\xff{', 'latin1'), /longer than the file/],
    ['a header of 4 GiB', Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\xff{', 'latin1'), /limit/],
    ['big-endian floats', dict("'>f4'", 'False', '(4,)'), /astype/],
    ['objects', dict("'|O'", 'False', '(4,)'), /found \|O/],
    ['a record type', dict("[('a', '<f4')]", 'False', '(4,)'), /expected one of the types/],
    ['a type named like a property', dict("'toString'", 'False', '(4,)'), /expected one of the types/],
    ['Fortran order', dict("'<f4'", 'True', '(2, 2)'), /Fortran order/],
    ['an expression', dict("'<f4'", 'False', '(2**2,)'), /malformed/],
    ['a missing key', rawNpy("{'descr': '<f4', 'shape': (4,)}", Buffer.alloc(16)), /malformed/],
    ['a key too many', rawNpy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'x': True}", Buffer.alloc(16)), /malformed/],
    ['too few bytes', dict("'<f4'", 'False', '(5,)'), /expected \d+ bytes .* found/],
    ['too many bytes', dict("'<f4'", 'False', '(3,)'), /expected \d+ bytes .* found/],
    ['a bool of 2', rawNpy("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", Buffer.from([2])), /expected a bool, found 2/],
  ])('refuses %s', async (_what, bytes, message) => {
    const error = await failure(() => readNpy(write('bad.npy', bytes)), 'ERR_TINYPROP_FILE');
    expect(error.message).toMatch(message);
  });

  it.each(['(4294967296, 4294967296)', '(2147483648,)', '(99999999999999999999999,)', '(1,1,1,1,1,1,1,1,1,1,1)'])('refuses the shape %s before taking memory', async (shape) => {
    await failure(() => readNpy(write('big.npy', dict("'<f4'", 'False', shape))), 'ERR_TINYPROP_LIMIT');
  });
});

describe('readNpz', () => {
  it('reads the arrays asked for', async () => {
    const file = write('a.npz', zipSync({ 'x.npy': npyBytes('<f4', [2], Float32Array.of(1, 2)), 'y.npy': npyBytes('|u1', [2], Uint8Array.of(0, 1)), 'notes.txt': Buffer.from('hi') }));
    expect([...(await readNpz(file)).keys()]).toEqual(['x', 'y']);
    expect([...(await readNpz(file, (name) => name === 'y')).keys()]).toEqual(['y']);
  });

  it('refuses an entry that claims more than deflate can give, and a file that is no ZIP', async () => {
    const zip = Buffer.from(zipSync({ 'x.npy': npyBytes('|u1', [1000], new Uint8Array(1000)) }));
    zip.writeUInt32LE(1 << 30, zip.indexOf(Buffer.from('PK\x01\x02', 'latin1')) + 24);
    await failure(() => readNpz(write('bomb.npz', zip)), 'ERR_TINYPROP_LIMIT');
    await failure(() => readNpz(write('text.npz', Buffer.from('no zip'))), 'ERR_TINYPROP_FILE');
  });
});

describe('npy:X,Y', () => {
  const x = write('x.npy', npyBytes('<f4', [10, 2], Float32Array.from({ length: 20 }, (_, i) => i)));
  const y = write('y.npy', npyBytes('<i8', [10], BigInt64Array.from({ length: 10 }, (_, i) => BigInt(i % 2))));

  it('takes integers as labels and splits', async () => {
    const { train, test, normalization } = await loadData(`npy:${x},${y}`);
    expect([train.n, test?.n, train.inputShape, normalization.mode]).toEqual([8, 2, [2], 'none']);
    for (let i = 0; i < train.n; i++) expect((train.x[2 * i] as number) / 2 % 2).toBe(train.labels?.[i]);
  });

  it('takes floats and matrices as targets', async () => {
    const column = write('f.npy', npyBytes('<f8', [10], Float64Array.from({ length: 10 }, (_, i) => i / 4)));
    const matrix = write('m.npy', npyBytes('|u1', [10, 3], new Uint8Array(30).fill(1)));
    const one = await loadData(`npy:${x},${column},${x},${column}`);
    expect([one.train.targetSize, one.train.labels, one.test?.n]).toEqual([1, undefined, 10]);
    expect(one.train.targets?.[3]).toBe(0.75);
    expect((await loadData(`npy:${x},${matrix}`)).train.targetSize).toBe(3);
  });

  it('makes an autoencoder of npy:X,X, after normalisation too', async () => {
    const { train } = await loadData(`npy:${x},${x}`, { normalize: 'standard' });
    expect(train.targets).toEqual(train.x);
    expect(train.targetSize).toBe(2);
  });

  it('takes bytes in three dimensions as images', async () => {
    const images = write('img.npy', npyBytes('|u1', [10, 2, 2], new Uint8Array(40).fill(51)));
    const { train, normalization } = await loadData(`npy:${images},${y}`);
    expect(train.inputShape).toEqual([2, 2, 1]);
    expect([normalization.mode, normalization.mean[0]]).toEqual(['mean', Math.fround(51 * Math.fround(1 / 255))]);
  });

  it('finds the usual names in an .npz, and any with #', async () => {
    const file = write('set.npz', zipSync({ 'x_train.npy': fs.readFileSync(x), 'y_train.npy': fs.readFileSync(y), 'x_test.npy': fs.readFileSync(x), 'y_test.npy': fs.readFileSync(y) }));
    expect((await loadData(`npy:${file}`)).test?.n).toBe(10);
    expect((await loadData(`npy:${file}#x_train,${file}#y_test`)).train.n).toBe(8);
    await failure(() => loadData(`npy:${file}#nope,${y}`), 'ERR_TINYPROP_FILE');
  });

  it('divides the rows as a table says', async () => {
    const table = (words: string[], first = 'file,split'): string => write('index.csv', Buffer.from([first, ...words.map((word, i) => `${i}.wav,${word}`), ''].join('\n')));
    const { train, test, notices } = await loadData(`npy:${x},${y},${table(['test', 'train', 'train', 'valid', 'train', 'test', 'train', 'train', 'train', 'train'])}`);
    expect([...train.x].filter((_, i) => i % 2 === 0)).toEqual([2, 4, 8, 12, 14, 16, 18]);
    expect([[...(test?.x ?? [])], [...(test?.labels ?? [])]]).toEqual([[0, 1, 10, 11], [0, 1]]);
    expect(notices).toEqual([expect.stringMatching(/1 rows are neither/)]);
    expect((await loadData(`npy:${x},${x},${table(['test', ...new Array<string>(9).fill('train')])}`)).test?.targets).toEqual(Float32Array.of(0, 1));
    expect((await failure(() => loadData(`npy:${x},${y},${table(['train', 'test'])}`), 'ERR_TINYPROP_SHAPE')).message).toMatch(/expected 10 lines below the first .*found 2/);
    expect((await failure(() => loadData(`npy:${x},${y},${table(new Array<string>(10).fill('train'))}`), 'ERR_TINYPROP_FILE')).message).toMatch(/found 10 and 0/);
    expect((await failure(() => loadData(`npy:${x},${y},${table([], 'file')}`), 'ERR_TINYPROP_FILE')).message).toMatch(/column named 'split'/);
  });

  it('is centred and scaled by the numbers of other data', async () => {
    const { train, normalization } = await loadData(`npy:${x},${y},${x},${y}`, { normalization: { mode: 'standard', scale: 7, mean: [1, 2], std: [2, 4] } });
    expect([...train.x].slice(0, 4)).toEqual([-0.5, -0.25, 0.5, 0.25]);
    expect(normalization).toEqual({ mode: 'standard', scale: 1, mean: [1, 2], std: [2, 4] });
  });

  it('refuses NaN, rows that differ, negative labels and a test set of another shape', async () => {
    const nan = write('nan.npy', npyBytes('<f4', [2, 3], Float32Array.of(1, 2, 3, 4, Number.NaN, 6)));
    const two = write('two.npy', npyBytes('|u1', [2], Uint8Array.of(0, 1)));
    expect((await failure(() => loadData(`npy:${nan},${two}`), 'ERR_TINYPROP_DATA')).message).toMatch(/row 1, value 1: .*NaN/);
    const large = write('large.npy', npyBytes('<f8', [2], Float64Array.of(1, 1e300)));
    await failure(() => loadData(`npy:${large},${two}`), 'ERR_TINYPROP_DATA');
    expect((await failure(() => loadData(`npy:${x},${two}`), 'ERR_TINYPROP_SHAPE')).message).toMatch(/expected 10 rows.*found 2/);
    const negative = write('neg.npy', npyBytes('|i1', [10], new Int8Array(10).fill(-1)));
    await failure(() => loadData(`npy:${x},${negative}`), 'ERR_TINYPROP_LABEL');
    const other = write('other.npy', npyBytes('<f4', [2, 3], new Float32Array(6)));
    await failure(() => loadData(`npy:${x},${y},${other},${two}`), 'ERR_TINYPROP_SHAPE');
  });

  const slider = sharedData('dcase_slider');
  it.skipIf(!slider)('reads real NumPy files (DCASE slide rail features)', async () => {
    const at = (name: string) => path.join(slider as string, name);
    const { train, test } = await loadData(`npy:${at('train_x.npy')},${at('train_y.npy')},${at('test_x.npy')},${at('test_y.npy')}`);
    expect([train.n, test?.n, train.inputShape]).toEqual([180, 180, [79, 33]]);
    expect(new Set(train.labels)).toEqual(new Set([0, 1]));
  });
});
