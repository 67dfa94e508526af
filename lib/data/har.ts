// SPDX-License-Identifier: Apache-2.0
import * as path from 'node:path';
import { codedFileError, fileError, fileLines, isFile, isFolder, readSmallFile } from './io';
import { readNpy } from './npy';
import type { LoadContext, RawData, RawPart } from './raw';

const STEPS = 128;
/** Order of the channels, that of the UCI README: body acceleration, angular velocity, total acceleration. */
const SIGNALS = ['body_acc', 'body_gyro', 'total_acc'].flatMap((signal) => ['x', 'y', 'z'].map((axis) => `${signal}_${axis}`));
const CHANNELS = SIGNALS.length;
/** int16 counts per g, rad/s and g. */
const COUNTS = [8192, 8192, 8192, 2048, 2048, 2048, 8192, 8192, 8192];
const CLASSES = ['WALKING', 'WALKING_UPSTAIRS', 'WALKING_DOWNSTAIRS', 'SITTING', 'STANDING', 'LAYING'];

/**
 * Human activity recognition with smartphones: windows of 128 steps x 9 channels in g and rad/s, from the
 * UCI text tree ("Inertial Signals") or from int16 arrays `{train,test}_x_i16.npy` [n, 9, 128].
 */
export async function readHar(given: string, context: LoadContext): Promise<RawData> {
  const inner = path.join(given, 'UCI HAR Dataset');
  const folder = isFolder(inner) ? inner : given;
  if (!isFolder(folder)) throw fileError(folder, 'no such folder');
  const text = isFolder(path.join(folder, 'train', 'Inertial Signals'));
  if (!text && !isFile(path.join(folder, 'train_x_i16.npy'))) {
    throw fileError(folder, "expected 'train/Inertial Signals' (the UCI text tree) or train_x_i16.npy and train_y.npy");
  }
  const read = text ? readTextPart : readArrayPart;
  const hasTest = text ? isFolder(path.join(folder, 'test', 'Inertial Signals')) : isFile(path.join(folder, 'test_x_i16.npy'));
  return {
    name: 'har',
    inputShape: [STEPS, CHANNELS],
    classes: await classNames(folder, context),
    train: await read(folder, 'train', context),
    test: hasTest ? await read(folder, 'test', context) : undefined,
    scale: 1,
    defaultMode: 'none',
  };
}

async function classNames(folder: string, context: LoadContext): Promise<readonly string[]> {
  const file = path.join(folder, 'activity_labels.txt');
  if (!isFile(file)) return CLASSES;
  const text = (await readSmallFile(file, 1 << 16, context.options.signal)).toString('utf8');
  // The later HAPT release lists transitions after the six activities; both parts use the six only.
  const names = [...text.matchAll(/^\s*(\d+)\s+(\S+)/gm)].slice(0, CLASSES.length).map((match) => match[2] as string);
  return names.length === CLASSES.length ? names : CLASSES;
}

async function readArrayPart(folder: string, part: string, context: LoadContext): Promise<RawPart> {
  const file = path.join(folder, `${part}_x_i16.npy`);
  const source = await readNpy(file, context.options.signal);
  const n = source.shape[0] as number;
  if (source.dtype !== '<i2' || source.shape.length !== 3 || source.shape[1] !== CHANNELS || source.shape[2] !== STEPS) {
    throw fileError(file, `expected <i2 (n, ${CHANNELS}, ${STEPS}), found ${source.dtype} (${source.shape.join(', ')})`);
  }
  const x = new Float32Array(n * STEPS * CHANNELS);
  for (let i = 0, from = 0; i < n; i++) {
    for (let c = 0; c < CHANNELS; c++) {
      const counts = COUNTS[c] as number;
      for (let t = 0; t < STEPS; t++) x[(i * STEPS + t) * CHANNELS + c] = (source.data[from++] as number) / counts;
    }
  }
  const labelFile = path.join(folder, `${part}_y.npy`);
  const y = await readNpy(labelFile, context.options.signal);
  if (y.shape.length !== 1 || y.shape[0] !== n) throw fileError(labelFile, `expected ${n} labels, found (${y.shape.join(', ')})`);
  return { n, x, labels: Uint32Array.from(y.data as ArrayLike<number | bigint>, (label) => checkLabel(labelFile, Number(label), 0)) };
}

async function readTextPart(folder: string, part: string, context: LoadContext): Promise<RawPart> {
  const signal = context.options.signal;
  const labelFile = path.join(folder, part, `y_${part}.txt`);
  const labels: number[] = [];
  for await (const line of fileLines(labelFile, signal)) {
    if (line.trim() !== '') labels.push(checkLabel(labelFile, Number(line), 1));
  }
  const n = labels.length;
  const x = new Float32Array(n * STEPS * CHANNELS);
  for (const [channel, name] of SIGNALS.entries()) {
    const file = path.join(folder, part, 'Inertial Signals', `${name}_${part}.txt`);
    let row = 0;
    for await (const line of fileLines(file, signal)) {
      if (line.trim() === '') continue;
      if (row < n) fillRow(file, line, row, x, channel);
      row++;
    }
    if (row !== n) throw fileError(file, `expected ${n} rows (as many as labels), found ${row}`, { expected: n, found: row });
  }
  return { n, x, labels: Uint32Array.from(labels) };
}

function fillRow(file: string, line: string, row: number, x: Float32Array, channel: number): void {
  const values = line.trim().split(/\s+/);
  if (values.length !== STEPS) throw fileError(file, `row ${row + 1}: expected ${STEPS} numbers, found ${values.length}`, { line: row + 1 });
  for (let t = 0; t < STEPS; t++) {
    const value = Number(values[t]);
    if (!Number.isFinite(value)) throw fileError(file, `row ${row + 1}, column ${t + 1}: expected a number, found '${values[t]}'`, { line: row + 1 });
    x[(row * STEPS + t) * CHANNELS + channel] = value;
  }
}

function checkLabel(file: string, label: number, first: number): number {
  if (Number.isInteger(label) && label >= first && label < first + CLASSES.length) return label - first;
  throw codedFileError('ERR_TINYPROP_LABEL', file, `expected labels from ${first} to ${first + CLASSES.length - 1}, found ${label}`, { found: label });
}
