// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileError, filePieces, listFolder, MAX_ARRAY, MAX_INFLATE_RATIO } from './io';
import type { LoadContext, RawData, RawPart } from './raw';

/** An IDX array of bytes. */
export interface IdxArray {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/**
 * Reads an IDX file of unsigned bytes (two zero bytes, type 8, number of dimensions, big-endian u32
 * extents, data), gunzipped on the fly if its name ends in `.gz`. The size in the header is compared with
 * what the file can hold before memory is taken, and reading stops at the first byte too many.
 *
 * @throws TinypropError ERR_TINYPROP_FILE naming file, position, expected and found
 */
export async function readIdx(file: string, signal?: AbortSignal): Promise<IdxArray> {
  let head: Buffer = Buffer.alloc(0);
  let array: { dims: number[]; data: Uint8Array } | undefined;
  let filled = 0;
  for await (const piece of filePieces(file, signal)) {
    let rest = piece;
    if (!array) {
      head = Buffer.concat([head, piece]);
      const header = parseHeader(head, file);
      if (!header) continue;
      checkSize(file, header);
      array = { dims: header.dims, data: new Uint8Array(header.count) };
      rest = head.subarray(header.bytes);
    }
    if (filled + rest.length > array.data.length) {
      throw fileError(file, `holds more than the ${array.data.length} values its header announces`, { expected: array.data.length });
    }
    array.data.set(rest, filled);
    filled += rest.length;
  }
  if (!array) throw fileError(file, `ends within the IDX header (${head.length} bytes)`, { found: head.length });
  if (filled !== array.data.length) {
    throw fileError(file, `ends after ${filled} values, expected ${array.data.length} (${array.dims.join(' x ')})`, {
      expected: array.data.length,
      found: filled,
    });
  }
  return array;
}

interface IdxHeader {
  readonly dims: number[];
  readonly count: number;
  readonly bytes: number;
}

function parseHeader(head: Buffer, file: string): IdxHeader | undefined {
  if (head.length < 4) return undefined;
  const magic = head.readUInt32BE(0);
  const rank = magic & 0xff;
  if (magic >>> 8 !== 0x000008 || rank < 1 || rank > 4) {
    throw fileError(file, `expected an IDX file of bytes (magic 0x0000080N, N = 1 to 4), found 0x${magic.toString(16).padStart(8, '0')}`, {
      position: 0,
      found: magic,
    });
  }
  const bytes = 4 + 4 * rank;
  if (head.length < bytes) return undefined;
  const dims = Array.from({ length: rank }, (_, i) => head.readUInt32BE(4 + 4 * i));
  let count = 1;
  dims.forEach((extent, i) => {
    count *= extent;
    if (extent < 1 || count >= MAX_ARRAY) {
      throw fileError(file, `extent ${i} of ${dims.join(' x ')} at byte ${4 + 4 * i} is zero or makes the array too large`, { dims });
    }
  });
  return { dims, count, bytes };
}

function checkSize(file: string, header: IdxHeader): void {
  const size = fs.statSync(file).size;
  const most = file.endsWith('.gz') ? size * MAX_INFLATE_RATIO : size - header.bytes;
  if (header.count > most) {
    throw fileError(file, `header announces ${header.count} values (${header.dims.join(' x ')}), but ${size} bytes cannot hold them`, {
      expected: header.count,
      found: size,
    });
  }
}

/** A folder in the layout of MNIST: train and t10k (or test) images and labels, `.gz` or not. */
export async function readIdxFolder(folder: string, context: LoadContext): Promise<RawData> {
  const names = (await listFolder(folder)).filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  const trainImages = find(folder, names, 'train', 'images');
  const trainLabels = find(folder, names, 'train', 'labels');
  if (!trainImages || !trainLabels) {
    throw fileError(folder, 'expected train-images-idx3-ubyte and train-labels-idx1-ubyte (each with or without .gz)', { found: names });
  }
  const train = await readPair(trainImages, trainLabels, context);
  const testImages = find(folder, names, '(?:t10k|test)', 'images');
  const testLabels = find(folder, names, '(?:t10k|test)', 'labels');
  let test: Pair | undefined;
  if (testImages && testLabels) {
    test = await readPair(testImages, testLabels, context);
    if (test.shape.join() !== train.shape.join()) {
      throw fileError(testImages, `images are ${test.shape.join(' x ')}, those for training ${train.shape.join(' x ')}`);
    }
  } else if (testImages || testLabels) {
    context.notice(`${folder}: the test set lacks its ${testImages ? 'labels' : 'images'} and is not used`);
  }
  return {
    name: `idx:${path.basename(path.resolve(folder))}`,
    inputShape: train.shape,
    train: train.part,
    test: test?.part,
    scale: 1 / 255,
    defaultMode: 'mean',
  };
}

interface Pair {
  readonly shape: number[];
  readonly part: RawPart;
}

async function readPair(imagesFile: string, labelsFile: string, context: LoadContext): Promise<Pair> {
  const images = await readIdx(imagesFile, context.options.signal);
  const labels = await readIdx(labelsFile, context.options.signal);
  const [n, ...extents] = images.dims as [number, ...number[]];
  if (images.dims.length < 2) throw fileError(imagesFile, `expected images (2 to 4 dimensions), found ${images.dims.length}`);
  if (labels.dims.length !== 1 || labels.dims[0] !== n) {
    throw fileError(labelsFile, `expected ${n} labels (as many as images), found ${labels.dims.join(' x ')}`, { expected: n, found: labels.dims });
  }
  const shape = extents.length === 2 ? [...extents, 1] : extents;
  return { shape, part: { n, x: images.data, labels: Uint32Array.from(labels.data) } };
}

/** The one file of this role; the plain form wins over .gz. */
function find(folder: string, names: string[], set: string, role: string): string | undefined {
  const pattern = new RegExp(`(?:^|[-_])${set}[-_]${role}[-_.]idx\\d-ubyte(?:\\.gz)?$`);
  const hits = names.filter((name) => pattern.test(name));
  const stems = new Set(hits.map((name) => name.replace(/\.gz$/, '')));
  if (stems.size > 1) throw fileError(folder, `several files for one role: ${hits.join(', ')}; keep one set in a folder`);
  return hits[0] === undefined ? undefined : path.join(folder, hits[0]);
}
