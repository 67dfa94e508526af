// SPDX-License-Identifier: Apache-2.0
import * as path from 'node:path';
import { TinypropError } from '../errors';
import { type LabelledFile, labelsOf, listClassFolders } from './folders';
import { checkAbort, fileError, MAX_ARRAY } from './io';
import type { LoadContext, RawData, RawPart } from './raw';

const CHANNELS = 3;
const DEFAULT_SIZE = '96';

/** The part of sharp's interface used here; its own types need not be installed. */
interface SharpImage {
  rotate(): SharpImage;
  resize(width: number, height: number, options: { fit: 'cover'; kernel: 'cubic' }): SharpImage;
  flatten(options: { background: string }): SharpImage;
  toColourspace(space: 'srgb'): SharpImage;
  raw(): SharpImage;
  toBuffer(options: { resolveWithObject: true }): Promise<{ data: Buffer; info: { width: number; height: number; channels: number } }>;
}

type Sharp = (file: string, options: { limitInputPixels: number; failOn: 'error' }) => SharpImage;

/** `images:DIR[,SIZE]`: folders of JPEG or PNG files, scaled to SIZE x SIZE (or WxH), RGB. */
export async function readImageData(args: readonly string[], context: LoadContext): Promise<RawData> {
  const [folder, size = DEFAULT_SIZE] = args as [string, string?];
  const [width, height = width] = size.split('x').map(Number) as [number, number?];
  if (width < 1 || height < 1 || width > 4096 || height > 4096) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `images: expected a size from 1 to 4096, found ${size}`, { found: size });
  }
  const sharp = await loadSharp();
  const tree = await listClassFolders(folder, ['.jpg', '.jpeg', '.png'], context);
  const read = (files: LabelledFile[]) => readPart(files, sharp, width, height, context);
  return {
    name: `images:${path.basename(path.resolve(folder))}`,
    inputShape: [height, width, CHANNELS],
    classes: tree.classes,
    train: await read(tree.train),
    test: tree.test && (await read(tree.test)),
    scale: 1 / 255,
    defaultMode: 'mean',
  };
}

/** @throws TinypropError ERR_TINYPROP_PEER with the command that installs it */
async function loadSharp(): Promise<Sharp> {
  // A variable, so that compiling against this package does not need sharp's types.
  const name: string = 'sharp';
  try {
    const module = (await import(name)) as { default: Sharp };
    return module.default;
  } catch (error) {
    throw new TinypropError('ERR_TINYPROP_PEER', "images: need the package sharp, which is not installed; run 'npm install sharp'", { package: name }, error);
  }
}

async function readPart(files: LabelledFile[], sharp: Sharp, width: number, height: number, context: LoadContext): Promise<RawPart> {
  const size = width * height * CHANNELS;
  if (files.length * size >= MAX_ARRAY) {
    throw new TinypropError('ERR_TINYPROP_LIMIT', `images: ${files.length} images of ${width}x${height} are too many for memory; use a smaller size or a limit`);
  }
  const x = new Uint8Array(files.length * size);
  let next = 0;
  // Two at a time: decoding runs on libuv's threads, which others need as well.
  const worker = async () => {
    while (next < files.length) {
      checkAbort(context.options.signal);
      const i = next++;
      x.set(await decode((files[i] as LabelledFile).file, sharp, width, height), i * size);
    }
  };
  await Promise.all([worker(), worker()]);
  return { n: files.length, x, labels: labelsOf(files) };
}

async function decode(file: string, sharp: Sharp, width: number, height: number): Promise<Buffer> {
  try {
    const { data, info } = await sharp(file, { limitInputPixels: 1 << 28, failOn: 'error' })
      .rotate()
      .resize(width, height, { fit: 'cover', kernel: 'cubic' })
      .flatten({ background: '#000000' })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels === CHANNELS) return data;
    // Grey images stay one channel wide on some versions: repeat it.
    return Buffer.from(Uint8Array.from({ length: width * height * CHANNELS }, (_, i) => data[Math.floor(i / CHANNELS) * info.channels] as number));
  } catch (error) {
    throw fileError(file, `cannot be decoded: ${error instanceof Error ? error.message : String(error)}`, {}, error);
  }
}
