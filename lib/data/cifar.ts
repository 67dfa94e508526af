// SPDX-License-Identifier: Apache-2.0
import * as path from 'node:path';
import { TinypropError } from '../errors';
import { codedFileError, fileError, isFile, isFolder, readExactly, readSmallFile, withFile } from './io';
import type { LoadContext, RawData, RawPart } from './raw';

const SIDE = 32;
const PLANE = SIDE * SIDE;
const CHANNELS = 3;

interface CifarLayout {
  readonly kind: string;
  readonly folder: string;
  readonly train: readonly string[];
  readonly test: string;
  /** Label bytes before the pixels; the last of them is the class. */
  readonly labelBytes: number;
  readonly classCount: number;
  readonly namesFile: string;
  readonly names: readonly string[] | undefined;
}

const cifar10: CifarLayout = {
  kind: 'cifar10',
  folder: 'cifar-10-batches-bin',
  train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`),
  test: 'test_batch.bin',
  labelBytes: 1,
  classCount: 10,
  namesFile: 'batches.meta.txt',
  names: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
};

const cifar100: CifarLayout = {
  kind: 'cifar100',
  folder: 'cifar-100-binary',
  train: ['train.bin'],
  test: 'test.bin',
  labelBytes: 2,
  classCount: 100,
  namesFile: 'fine_label_names.txt',
  names: undefined,
};

/** CIFAR-10 in its binary version; missing batches are notices. */
export function readCifar10(args: readonly string[], context: LoadContext): Promise<RawData> {
  return readCifar(cifar10, args, context);
}

/** CIFAR-100 in its binary version, fine labels. */
export function readCifar100(args: readonly string[], context: LoadContext): Promise<RawData> {
  return readCifar(cifar100, args, context);
}

async function readCifar(layout: CifarLayout, args: readonly string[], context: LoadContext): Promise<RawData> {
  const [given, side = String(SIDE)] = args as [string, string?];
  const size = Number(side);
  if (size < SIDE || size > 512) throw new TinypropError('ERR_TINYPROP_SPEC', `${layout.kind}: expected a size from ${SIDE} to 512, found ${side}`, { found: side });
  const inner = path.join(given, layout.folder);
  const folder = isFolder(inner) ? inner : given;
  if (!isFolder(folder)) throw fileError(folder, 'no such folder');
  const present = layout.train.filter((name) => isFile(path.join(folder, name)));
  if (present.length === 0) {
    throw fileError(folder, `expected ${layout.train.join(', ')}; none of them is there`, { expected: layout.train });
  }
  if (present.length < layout.train.length) {
    const missing = layout.train.filter((name) => !present.includes(name));
    context.notice(`${folder}: ${missing.join(', ')} missing; training with ${present.join(', ')}`);
  }
  const hasTest = isFile(path.join(folder, layout.test));
  if (!hasTest) context.notice(`${folder}: ${layout.test} missing; a part of the training set will be held out`);
  return {
    name: layout.kind,
    inputShape: [size, size, CHANNELS],
    classes: await classNames(layout, folder, context),
    train: enlarged(await readBatches(layout, folder, present, context), size),
    test: hasTest ? enlarged(await readBatches(layout, folder, [layout.test], context), size) : undefined,
    scale: 1 / 255,
    defaultMode: 'mean',
  };
}

async function classNames(layout: CifarLayout, folder: string, context: LoadContext): Promise<readonly string[] | undefined> {
  const file = path.join(folder, layout.namesFile);
  if (!isFile(file)) return layout.names ?? Array.from({ length: layout.classCount }, (_, i) => String(i));
  const text = (await readSmallFile(file, 1 << 16, context.options.signal)).toString('utf8');
  const names = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '');
  if (names.length !== layout.classCount) throw fileError(file, `expected ${layout.classCount} names, found ${names.length}`);
  return names;
}

async function readBatches(layout: CifarLayout, folder: string, names: readonly string[], context: LoadContext): Promise<RawPart> {
  const batches: RawPart[] = [];
  for (const name of names) batches.push(await readBatch(layout, path.join(folder, name), context));
  const n = batches.reduce((sum, batch) => sum + batch.n, 0);
  const x = new Uint8Array(n * PLANE * CHANNELS);
  const labels = new Uint32Array(n);
  let row = 0;
  for (const batch of batches) {
    x.set(batch.x, row * PLANE * CHANNELS);
    labels.set(batch.labels as Uint32Array, row);
    row += batch.n;
  }
  return { n, x, labels };
}

/** Records of label byte(s) and 3 planes of 1024 pixels, turned into channels-last. */
async function readBatch(layout: CifarLayout, file: string, context: LoadContext): Promise<RawPart> {
  const record = layout.labelBytes + PLANE * CHANNELS;
  return withFile(file, async (handle, size) => {
    if (size === 0 || size % record !== 0 || size > record * 1e6) {
      throw fileError(file, `expected records of ${record} bytes, found ${size} bytes (${size % record} left over)`, { found: size });
    }
    const n = size / record;
    const bytes = new Uint8Array(size);
    await readExactly(handle, file, bytes, 0, context.options.signal);
    const x = new Uint8Array(n * PLANE * CHANNELS);
    const labels = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      const label = bytes[i * record + layout.labelBytes - 1] as number;
      if (label >= layout.classCount) {
        throw codedFileError('ERR_TINYPROP_LABEL', file, `record ${i}: expected a label from 0 to ${layout.classCount - 1}, found ${label}`, { record: i, found: label });
      }
      labels[i] = label;
      const from = i * record + layout.labelBytes;
      let to = i * PLANE * CHANNELS;
      for (let p = from; p < from + PLANE; p++) {
        x[to++] = bytes[p] as number;
        x[to++] = bytes[p + PLANE] as number;
        x[to++] = bytes[p + 2 * PLANE] as number;
      }
    }
    return { n, x, labels };
  });
}

/** Bilinear, centres of pixels on centres, rounded to bytes: for models that were trained on larger images. */
function enlarged(part: RawPart, size: number): RawPart {
  if (size === SIDE) return part;
  const places = Array.from({ length: size }, (_, i) => {
    const at = Math.min(SIDE - 1, Math.max(0, ((i + 0.5) * SIDE) / size - 0.5));
    const low = Math.min(SIDE - 2, Math.floor(at));
    return { low, share: at - low };
  });
  const row = SIDE * CHANNELS;
  const to = new Uint8Array(part.n * size * size * CHANNELS);
  let out = 0;
  for (let image = 0; image < part.n; image++) {
    for (const y of places) {
      for (const x of places) {
        const from = image * SIDE * row + y.low * row + x.low * CHANNELS;
        for (let p = from; p < from + CHANNELS; p++) {
          const mix = (at: number): number => (part.x[at] as number) * (1 - x.share) + (part.x[at + CHANNELS] as number) * x.share;
          to[out++] = Math.round(mix(p) * (1 - y.share) + mix(p + row) * y.share);
        }
      }
    }
  }
  return { ...part, x: to };
}
