// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import { applyNormalization, computeNormalization, type DataSplit, type Dataset, type Normalization, type NormalizeMode, sizeOf } from './dataset';
import { stratifiedSplit, stratifiedSubset, TEST_FRACTION } from './split';

/** Options of {@link loadData}. */
export interface LoadOptions {
  /** How to centre and scale the inputs; each kind of data has its own default (docs/data.md). */
  readonly normalize?: NormalizeMode;
  /** Centre and scale by these numbers, of other data, instead; the first factor stays that of the files. */
  readonly normalization?: Normalization;
  /** At most this many training and this many test samples, classes in proportion; an integer >= 1. */
  readonly limit?: number;
  /** Seed of a split made here and of the choice made by `limit`; 1 if not given. */
  readonly seed?: number;
  /** Stops loading with ERR_TINYPROP_ABORTED. */
  readonly signal?: AbortSignal;
  /** Hears every notice as it comes up. */
  readonly onNotice?: (message: string) => void;
}

/** What a reader hands over before normalisation: values as they lie in the file. */
export interface RawPart {
  readonly n: number;
  readonly x: Float32Array | Uint8Array;
  readonly labels?: Uint32Array | undefined;
  /** `'inputs'`: the targets are the (normalised) inputs themselves, as for an autoencoder. */
  readonly targets?: Float32Array | 'inputs' | undefined;
  readonly targetSize?: number | undefined;
}

/** A whole data set as read. */
export interface RawData {
  readonly name: string;
  readonly inputShape: readonly number[];
  readonly classes?: readonly string[] | undefined;
  readonly train: RawPart;
  readonly test?: RawPart | undefined;
  /** First factor of the normalisation. */
  readonly scale: number;
  readonly defaultMode: NormalizeMode;
  /** The inputs are int8 numbers as stored. */
  readonly int8?: boolean;
}

/** What a reader gets: the options, checked, and a place for notices. */
export interface LoadContext {
  readonly options: LoadOptions;
  readonly seed: number;
  readonly notices: string[];
  notice(message: string): void;
}

/** Checks the options. @throws TinypropError ERR_TINYPROP_ARG */
export function makeContext(options: LoadOptions): LoadContext {
  const { normalize, limit, seed = 1 } = options;
  if (normalize !== undefined && !['none', 'mean', 'standard'].includes(normalize)) {
    throw new TinypropError('ERR_TINYPROP_ARG', `normalize: expected none, mean or standard, found '${String(normalize)}'`);
  }
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw new TinypropError('ERR_TINYPROP_ARG', `limit: expected an integer of at least 1, found ${String(limit)}`);
  }
  const notices: string[] = [];
  return {
    options,
    seed,
    notices,
    notice(message) {
      notices.push(message);
      options.onNotice?.(message);
    },
  };
}

/** Splits if there is no test part, applies `limit`, converts to float32 and normalises. */
export function finish(raw: RawData, context: LoadContext): DataSplit {
  const { options, seed } = context;
  let trainRows: Uint32Array | undefined;
  let testRows: Uint32Array | undefined;
  let testPart = raw.test;
  if (raw.train.n < 1) throw new TinypropError('ERR_TINYPROP_FILE', `${raw.name}: no training samples`);
  if (!testPart && raw.train.n > 1) {
    const split = stratifiedSplit(raw.train.labels, raw.train.n, seed);
    context.notice(splitNotice(raw.name, split.train.length, split.test.length, seed));
    [trainRows, testRows, testPart] = [split.train, split.test, split.test.length > 0 ? raw.train : undefined];
  }
  if (options.limit !== undefined) {
    if ((trainRows?.length ?? raw.train.n) > options.limit) trainRows = subset(raw.train, trainRows, options.limit, seed);
    if (testPart && (testRows?.length ?? testPart.n) > options.limit) testRows = subset(testPart, testRows, options.limit, seed);
  }
  const channels = raw.inputShape[raw.inputShape.length - 1] as number;
  const mode = options.normalize ?? raw.defaultMode;
  const train = gather(raw, raw.train, trainRows);
  const test = testPart && gather(raw, testPart, testRows);
  const given = options.normalization;
  const normalization = given ? { ...given, scale: Math.fround(raw.scale) } : computeNormalization(train.x, channels, mode, raw.scale);
  applyNormalization(train.x, channels, normalization);
  // npy: may name the same file twice.
  if (test && test.x !== train.x) applyNormalization(test.x, channels, normalization);
  return { train, ...(test && { test }), normalization, notices: context.notices, ...(raw.int8 && { int8: true }) };
}

/** The sentence that tells a person about a split made here. */
export function splitNotice(name: string, train: number, test: number, seed: number): string {
  return `${name}: no test set given; ${test} of ${train + test} samples (${TEST_FRACTION * 100} % of each class, seed ${seed}) are held out as one`;
}

function subset(part: RawPart, rows: Uint32Array | undefined, limit: number, seed: number): Uint32Array {
  const labels = part.labels && (rows ? rows.map((row) => part.labels?.[row] as number) : part.labels);
  const chosen = stratifiedSubset(labels, rows?.length ?? part.n, limit, seed);
  return rows ? chosen.map((i) => rows[i] as number) : chosen;
}

/** The chosen rows (all without `rows`) as a data set of its own; checks lengths and labels. */
function gather(raw: RawData, part: RawPart, rows: Uint32Array | undefined): Dataset {
  const size = sizeOf(raw.inputShape);
  const n = rows?.length ?? part.n;
  checkPart(raw, part, size);
  const x = take(part.x, size, rows);
  const base = { name: raw.name, x, n, inputShape: raw.inputShape, ...(raw.classes && { classes: raw.classes }) };
  if (part.labels) {
    const labels = part.labels;
    return { ...base, labels: rows ? rows.map((row) => labels[row] as number) : labels };
  }
  if (part.targets === 'inputs') return { ...base, targets: x, targetSize: size };
  const targetSize = part.targetSize ?? 1;
  return { ...base, targets: take(part.targets as Float32Array, targetSize, rows), targetSize };
}

function take(from: Float32Array | Uint8Array, size: number, rows: Uint32Array | undefined): Float32Array {
  if (!rows) return from instanceof Float32Array ? from : new Float32Array(from);
  const out = new Float32Array(rows.length * size);
  rows.forEach((row, i) => out.set(from.subarray(row * size, (row + 1) * size), i * size));
  return out;
}

function checkPart(raw: RawData, part: RawPart, size: number): void {
  const { n, x, labels } = part;
  if (x.length !== n * size || (labels && labels.length !== n)) {
    throw new TinypropError('ERR_TINYPROP_SHAPE', `${raw.name}: ${n} samples of ${size} values do not fit ${x.length} values and ${labels?.length ?? 'no'} labels`);
  }
  const count = raw.classes?.length;
  if (!labels || count === undefined) return;
  const bad = labels.findIndex((label) => label >= count);
  if (bad >= 0) {
    throw new TinypropError('ERR_TINYPROP_LABEL', `${raw.name}: label of sample ${bad}: expected 0 to ${count - 1}, found ${labels[bad]}`, {
      sample: bad,
      found: labels[bad],
    });
  }
}
