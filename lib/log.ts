// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { NativeRecipe } from './addon';
import { TinypropError } from './errors';

/** TP_LOG_INDEX and TP_LOG_SAMPLES of tinyprop_log.h. @internal */
export const logFlags = { index: 1, samples: 2 } as const;

/** What `Net.log` writes. @internal */
export const logMarks = { head: 0, epochBegin: 1, epochEnd: 2 } as const;

const magic = Buffer.from([0x54, 0x50, 0x4c, 0x8f, 0x0d, 0x0a, 0x1a, 0x0a]);
const major = 1;
/** Of version 1.0, whose recipe is shorter: what it lacks is 0. */
const headBytes = 224;
const recipeBytes = 152;
const entryBytes = 32;
/** Bytes of a record beside its data: tag, length, CRC. */
const frame = 12;

/** The head of a log (docs/format.md). @internal */
export interface LogHead {
  flags: number;
  sourceId: string;
  /** Hashes. */
  model: bigint;
  start: bigint;
  progress: { samples: number; batches: number };
  inputs: number;
  outputs: number;
  labels: boolean;
  statsBytes: number;
  recipe: NativeRecipe;
}

/** A step of a log. @internal */
export interface LogStep {
  kind: 'step';
  /** `tp_status` of the step. */
  result: number;
  n: number;
  /** Samples that were passed over. */
  passed: number;
  stats: bigint;
  /** Hash of weights and training state; null: not taken. */
  weights: bigint | null;
  y: Uint32Array | Float32Array;
  index: Uint32Array | null;
  x: Float32Array | null;
}

/** A record behind the head. @internal */
export type LogRecord = LogStep | { kind: 'epochBegin' } | { kind: 'epochEnd' };

function damaged(message: string, details: Record<string, unknown> = {}): TinypropError {
  return new TinypropError('ERR_TINYPROP_FILE', `log: ${message}`, details);
}

const recipeFields: readonly (readonly [keyof NativeRecipe, number, 'u' | 'f' | 'q'])[] = [
  ['policy', 0, 'u'], ['optimizer', 4, 'u'], ['batch', 8, 'u'], ['numerics', 12, 'u'], ['lr', 16, 'f'], ['momentum', 20, 'f'], ['weightDecay', 24, 'f'], ['int8', 28, 'u'],
  ['seed', 32, 'q'], ['scheduleKind', 40, 'u'], ['scheduleWarmup', 44, 'u'], ['scheduleTotal', 48, 'u'], ['scheduleEvery', 52, 'u'], ['scheduleGamma', 56, 'f'],
  ['sMin', 60, 'f'], ['sMax', 64, 'f'], ['zeta', 68, 'f'], ['ymaxMode', 72, 'u'], ['ymaxDecay', 76, 'f'], ['ymaxFixed', 80, 'f'], ['outputDense', 84, 'u'],
  ['select', 88, 'u'], ['dMin', 92, 'f'], ['dMax', 96, 'f'], ['tau', 100, 'f'], ['beta', 104, 'f'], ['alphaMode', 108, 'u'], ['alphaDecay', 112, 'f'], ['alphaFixed', 116, 'f'],
  ['rate', 120, 'f'], ['steer', 124, 'u'], ['gain', 128, 'f'], ['history', 132, 'u'], ['stale', 136, 'u'], ['weightShare', 140, 'f'], ['deltaShare', 144, 'f'], ['revisit', 148, 'u'],
];

function whole(value: bigint, what: string): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new TinypropError('ERR_TINYPROP_LIMIT', `log: the ${what} ${value} is above 2^53 - 1`);
}

function readRecipe(data: Buffer): NativeRecipe {
  const read = { u: (at: number) => data.readUInt32LE(at), f: (at: number) => data.readFloatLE(at), q: (at: number) => whole(data.readBigUInt64LE(at), 'seed') };
  return Object.fromEntries(recipeFields.map(([name, at, type]) => [name, read[type](at)])) as unknown as NativeRecipe;
}

function readHead(data: Buffer): LogHead {
  const source = data.subarray(8, 40);
  return {
    flags: data.readUInt32LE(4),
    sourceId: source.toString('latin1', 0, Math.max(source.indexOf(0), 0)),
    model: data.readBigUInt64LE(40),
    start: data.readBigUInt64LE(48),
    progress: { samples: whole(data.readBigUInt64LE(56), 'number of samples'), batches: whole(data.readBigUInt64LE(64), 'number of batches') },
    inputs: data.readUInt32LE(88),
    outputs: data.readUInt32LE(92),
    labels: data.readUInt32LE(96) !== 0,
    statsBytes: data.readUInt32LE(100),
    recipe: readRecipe(Buffer.concat([data.subarray(104), Buffer.alloc(recipeBytes)])),
  };
}

/** Reads a log record by record; every length is checked before it is used. @internal */
export class LogReader {
  readonly head: LogHead;
  /** Why the records end before the file does; null: they do not. Known when all have been read. */
  rest: { bytes: number; reason: 'truncated' | 'damaged' } | null = null;
  private readonly bytes: Buffer;
  private at = magic.length;
  private steps = 0;

  /** @throws TinypropError `ERR_TINYPROP_FILE` (no log, or its head is damaged), `ERR_TINYPROP_VERSION`, `ERR_TINYPROP_LIMIT` */
  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!this.bytes.subarray(0, magic.length).equals(magic)) throw damaged('this is no log of a training (its first bytes are others)');
    const record = this.record();
    if (record === null) throw damaged(`its head is ${this.rest?.reason ?? 'missing'}: nothing can be replayed`);
    if (record.tag !== 'HEAD' || record.data.length < headBytes) throw damaged('it does not begin with a head');
    const version = record.data.readUInt32LE(0);
    if (version >>> 16 !== major) throw new TinypropError('ERR_TINYPROP_VERSION', `log: version ${version >>> 16}.${version & 0xffff}, this program reads ${major}.x`, { version });
    this.head = readHead(record.data);
    const { flags, inputs, outputs } = this.head;
    if ((flags !== logFlags.index && flags !== logFlags.samples) || inputs === 0 || outputs === 0) throw damaged('its head makes no sense');
  }

  /** The record at hand; null at the end, or where what follows is not whole. */
  private record(): { tag: string; data: Buffer } | null {
    const left = this.bytes.length - this.at;
    if (left === 0) return null;
    const length = left < frame ? Infinity : this.bytes.readUInt32LE(this.at + 4);
    if (length > left - frame) {
      this.rest = { bytes: left, reason: 'truncated' };
      return null;
    }
    const end = this.at + 8 + length;
    if (crc32(this.bytes.subarray(this.at, end)) !== this.bytes.readUInt32LE(end)) {
      this.rest = { bytes: left, reason: 'damaged' };
      return null;
    }
    const record = { tag: this.bytes.toString('latin1', this.at, this.at + 4), data: this.bytes.subarray(this.at + 8, end) };
    this.at = end + 4;
    return record;
  }

  /** @throws TinypropError `ERR_TINYPROP_FILE` at a record whose checksum is right and whose content is not */
  *records(): Generator<LogRecord, void> {
    for (let record = this.record(); record !== null; record = this.record()) {
      if (record.tag === 'STEP') yield this.step(record.data, ++this.steps);
      else if (record.tag === 'EPOB') yield { kind: 'epochBegin' };
      else if (record.tag === 'EPOE') yield { kind: 'epochEnd' };
    }
  }

  /** A step's record that this machine wrote in the form of this log; null: it wrote none. */
  own(bytes: Uint8Array): LogStep | null {
    return bytes.length === 0 ? null : this.step(Buffer.from(bytes.buffer, bytes.byteOffset + 8, bytes.length - frame), 0);
  }

  private step(data: Buffer, number: number): LogStep {
    const { inputs, outputs, labels, flags, recipe } = this.head;
    const n = data.length < entryBytes ? 0 : data.readUInt32LE(4);
    const truth = labels ? 1 : outputs;
    const sample = flags === logFlags.samples ? inputs : 1;
    const passed = data.length < entryBytes ? 0 : data.readUInt32LE(12);
    if (n + passed < 1 || n + passed > recipe.batch || data.length !== entryBytes + 4 * n * (truth + sample)) {
      throw damaged(`step ${number}: its record of ${data.length} bytes does not hold 1 to ${recipe.batch} samples`, { step: number });
    }
    // A copy: records begin anywhere, typed arrays do not.
    const words = data.buffer.slice(data.byteOffset + entryBytes, data.byteOffset + data.length);
    const samples = 4 * n * truth;
    return {
      kind: 'step',
      result: data.readInt32LE(0),
      n,
      passed,
      stats: data.readBigUInt64LE(16),
      weights: (data.readUInt32LE(8) & 1) === 0 ? null : data.readBigUInt64LE(24),
      y: labels ? new Uint32Array(words, 0, n) : new Float32Array(words, 0, n * truth),
      index: flags === logFlags.index ? new Uint32Array(words, samples, n) : null,
      x: flags === logFlags.samples ? new Float32Array(words, samples, n * inputs) : null,
    };
  }
}

/** A log that grows with the training, so that an interrupted one is good up to its last whole record. @internal */
export class LogFile {
  private readonly file: number;

  constructor(private readonly path: string) {
    this.file = this.attempt(() => openSync(path, 'w'));
  }

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += this.attempt(() => writeSync(this.file, bytes, at));
  }

  close(): void {
    this.attempt(() => closeSync(this.file));
  }

  private attempt<T>(body: () => T): T {
    try {
      return body();
    } catch (cause) {
      throw new TinypropError('ERR_TINYPROP_FILE', `cannot write ${this.path}: ${(cause as Error).message}`, { path: this.path }, cause);
    }
  }
}
