// SPDX-License-Identifier: Apache-2.0
import * as path from 'node:path';
import { TinypropError } from '../errors';
import { codedFileError, fileError, fileLines } from './io';
import { type NpyArray, readNpy, readNpz } from './npy';
import type { LoadContext, RawData, RawPart } from './raw';

/** Names under which arrays are looked for in an .npz given alone, in this order. */
const npzNames = {
  x: ['x_train', 'train_x', 'x'],
  y: ['y_train', 'train_y', 'y'],
  xt: ['x_test', 'test_x', 'xt'],
  yt: ['y_test', 'test_y', 'yt'],
};

interface Named {
  readonly file: string;
  readonly array: NpyArray;
}

/** `npy:X,Y[,XT,YT]`, `npy:X,Y,INDEX.csv`; each is a file or `FILE.npz#NAME`; `npy:FILE.npz` alone finds the usual names. */
export async function readNpyData(given: readonly string[], context: LoadContext): Promise<RawData> {
  const signal = context.options.signal;
  const index = given.length === 3 ? (given[2] as string) : undefined;
  const args = index === undefined ? given : given.slice(0, 2);
  let arrays: (Named | undefined)[];
  if (args.length === 1) {
    arrays = await openNpz(args[0] as string, signal);
  } else {
    const sources = args.map((arg) => (arg.includes('#') ? arg : path.resolve(arg)));
    arrays = [];
    for (const [i, source] of sources.entries()) {
      const same = sources.indexOf(source);
      arrays.push(same < i ? arrays[same] : await openOne(source, signal));
    }
  }
  const [x, y, xt, yt] = arrays as [Named, Named, Named?, Named?];
  const all = readPart(x, y);
  const { train, test } = index === undefined ? { train: all, test: xt && yt && readPart(xt, yt) } : await indexed(all, index, context);
  if (xt && yt && test) checkTest(x, y, xt, yt, train, test);
  const image = isImage(x.array);
  return {
    name: `npy:${path.basename(x.file)}`,
    inputShape: inputShape(x.array),
    train,
    test,
    scale: image ? 1 / 255 : 1,
    defaultMode: image ? 'mean' : 'none',
    ...(x.array.data instanceof Int8Array && { int8: true }),
  };
}

async function openOne(source: string, signal: AbortSignal | undefined): Promise<Named> {
  const match = /^(.*\.npz)#(.+)$/.exec(source);
  if (!match) return { file: source, array: await readNpy(source, signal) };
  const [, file, name] = match as unknown as [string, string, string];
  const array = (await readNpz(file, (entry) => entry === name, signal)).get(name);
  if (!array) throw fileError(file, `no array '${name}'`, { name });
  return { file: source, array };
}

async function openNpz(file: string, signal: AbortSignal | undefined): Promise<(Named | undefined)[]> {
  if (!file.endsWith('.npz')) throw new TinypropError('ERR_TINYPROP_SPEC', `npy:${file}: expected npy:X,Y or a file ending in .npz`);
  const known = Object.values(npzNames).flat();
  const arrays = await readNpz(file, (name) => known.includes(name.toLowerCase()), signal);
  const found = Object.values(npzNames).map((names): Named | undefined => {
    for (const name of names) {
      for (const [key, array] of arrays) if (key.toLowerCase() === name) return { file: `${file}#${key}`, array };
    }
    return undefined;
  });
  if (!found[0] || !found[1]) {
    throw fileError(file, `expected arrays named ${npzNames.x.join(' or ')} and ${npzNames.y.join(' or ')}; or name them: npy:${file}#X,${file}#Y`);
  }
  return found;
}

/** Bytes in 3 or 4 dimensions (n, height, width[, channels]) are images. */
function isImage(array: NpyArray): boolean {
  return array.dtype === '|u1' && (array.shape.length === 3 || array.shape.length === 4);
}

function inputShape(array: NpyArray): number[] {
  const extents = array.shape.slice(1);
  if (extents.length === 0) return [1];
  return isImage(array) && extents.length === 2 ? [...extents, 1] : [...extents];
}

function readPart(x: Named, y: Named): RawPart {
  const n = x.array.shape[0] ?? 0;
  if (x.array.shape.length < 1 || x.array.shape.length > 4 || x.array.data.length === 0) {
    throw codedFileError('ERR_TINYPROP_SHAPE', x.file, `expected 1 to 4 dimensions, none of them 0, found (${x.array.shape.join(', ')})`);
  }
  if (y.array.shape[0] !== n) {
    throw codedFileError('ERR_TINYPROP_SHAPE', y.file, `expected ${n} rows (as many as ${x.file}), found ${y.array.shape[0] ?? 'a scalar'}`, {
      expected: n,
      found: y.array.shape[0],
    });
  }
  const values = x.array.data instanceof Uint8Array && isImage(x.array) ? x.array.data : toFloat32(x);
  if (x.file === y.file) return { n, x: values, targets: 'inputs' };
  if (y.array.shape.length === 1 && !isFloat(y.array)) return { n, x: values, labels: toLabels(y) };
  return { n, x: values, targets: toFloat32(y), targetSize: y.array.data.length / n };
}

function isFloat(array: NpyArray): boolean {
  return array.data instanceof Float32Array || array.data instanceof Float64Array;
}

/** Values as float32. @throws TinypropError ERR_TINYPROP_DATA naming row and column of a value float32 cannot hold */
function toFloat32({ file, array }: Named): Float32Array {
  const { data, shape } = array;
  const out = data instanceof Float32Array ? data : new Float32Array(data.length);
  const whole = !isFloat(array);
  if (out !== data) for (let i = 0; i < data.length; i++) out[i] = Number(data[i]);
  if (whole) return out;
  for (let i = 0; i < out.length; i++) {
    if (Number.isFinite(out[i])) continue;
    const width = out.length / (shape[0] as number);
    const row = Math.floor(i / width);
    throw codedFileError('ERR_TINYPROP_DATA', file, `row ${row}, value ${i % width}: expected a finite float32, found ${String(data[i])}`, {
      row,
      column: i % width,
    });
  }
  return out;
}

function toLabels({ file, array }: Named): Uint32Array {
  const { data } = array;
  const out = new Uint32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const label = Number(data[i]);
    if (label < 0 || label > 0xffffff) {
      throw codedFileError('ERR_TINYPROP_LABEL', file, `row ${i}: expected a class index from 0 to ${0xffffff}, found ${label}`, { row: i, found: label });
    }
    out[i] = label;
  }
  return out;
}

function checkTest(x: Named, y: Named, xt: Named, yt: Named, train: RawPart, test: RawPart): void {
  if (xt.array.shape.slice(1).join() !== x.array.shape.slice(1).join() || isImage(xt.array) !== isImage(x.array)) {
    throw codedFileError(
      'ERR_TINYPROP_SHAPE',
      xt.file,
      `expected ${x.array.dtype} samples of (${x.array.shape.slice(1).join(', ')}) as in ${x.file}, found ${xt.array.dtype} (${xt.array.shape.slice(1).join(', ')})`,
    );
  }
  const sameKind = (train.labels === undefined) === (test.labels === undefined) && (train.targets === 'inputs') === (test.targets === 'inputs');
  if (!sameKind || train.targetSize !== test.targetSize) {
    throw codedFileError('ERR_TINYPROP_SHAPE', yt.file, `expected the same kind of labels or targets as ${y.file}`);
  }
}

/**
 * Rows of training and of test as the column `split` of a table says, one line a row; lines of anything else (`valid`) are not used. Its fields
 * hold no commas.
 */
async function indexed(all: RawPart, file: string, context: LoadContext): Promise<{ train: RawPart; test: RawPart }> {
  const rows: Record<string, number[]> = { train: [], test: [] };
  let column = -1;
  let n = -1;
  for await (const line of fileLines(file, context.options.signal)) {
    if (n < 0) column = line.split(',').indexOf('split');
    else if (line !== '') rows[line.split(',')[column] as string]?.push(n);
    if (n < 0 || line !== '') n++;
    if (column < 0) throw fileError(file, "expected a first line with a column named 'split'");
  }
  if (n !== all.n) throw codedFileError('ERR_TINYPROP_SHAPE', file, `expected ${all.n} lines below the first (as many as samples), found ${n}`, { expected: all.n, found: n });
  const { train, test } = rows as { train: number[]; test: number[] };
  if (train.length === 0 || test.length === 0) throw fileError(file, `expected rows 'train' and rows 'test' in the column split, found ${train.length} and ${test.length}`);
  if (train.length + test.length < n) context.notice(`${file}: ${n - train.length - test.length} rows are neither train nor test and are not used`);
  return { train: pick(all, train), test: pick(all, test) };
}

function pick({ x, n, labels, targets, targetSize = 1 }: RawPart, rows: readonly number[]): RawPart {
  const take = <T extends Float32Array | Uint8Array | Uint32Array>(from: T, width: number): T => {
    const to = new (from.constructor as new (length: number) => T)(rows.length * width);
    rows.forEach((row, i) => to.set(from.subarray(row * width, (row + 1) * width), i * width));
    return to;
  };
  return { n: rows.length, x: take(x, x.length / n), labels: labels && take(labels, 1), targets: targets instanceof Float32Array ? take(targets, targetSize) : targets, targetSize };
}
