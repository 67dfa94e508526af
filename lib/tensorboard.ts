// SPDX-License-Identifier: Apache-2.0
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TinypropError } from './errors';

/** CRC-32C (Castagnoli), reflected polynomial. */
const crcTable = Uint32Array.from({ length: 256 }, (_, i) => {
  let c = i;
  for (let bit = 0; bit < 8; bit++) c = (c >>> 1) ^ (c & 1 ? 0x82f63b78 : 0);
  return c >>> 0;
});

/** @internal */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = (c >>> 8) ^ (crcTable[(c ^ byte) & 0xff] as number);
  return ~c >>> 0;
}

/** As TFRecord stores it, so that a checksum of data that hold checksums stays one. */
function maskedCrc(bytes: Uint8Array): Buffer {
  const crc = crc32c(bytes);
  const out = Buffer.alloc(4);
  out.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return out;
}

/** One record of a TFRecord file: length, its checksum, data, their checksum. */
function record(data: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

/** Wire types of protocol buffers. */
const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function varint(value: number): Buffer {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...out, rest]);
    out.push((rest % 128) | 128);
  }
}

const key = (field: number, type: number): Buffer => varint(field * 8 + type);
const integer = (field: number, value: number): Buffer => Buffer.concat([key(field, wire.varint), varint(value)]);
const bytes = (field: number, value: Uint8Array): Buffer => Buffer.concat([key(field, wire.bytes), varint(value.length), value]);
const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value));
const message = (field: number, ...parts: Buffer[]): Buffer => bytes(field, Buffer.concat(parts));

function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([key(field, wire.fixed64), out]);
}

function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([key(field, wire.fixed32), out]);
}

/** Field numbers of tensorflow/core/util/event.proto and framework/{summary,tensor}.proto. */
const eventField = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const valueField = { tag: 1, simpleValue: 2, tensor: 8, metadata: 9 } as const;
const stringTensor = (value: string): Buffer[] => [integer(1, 7), message(2, message(2, integer(1, 1))), text(8, value)];

/**
 * Writes scalars and texts that TensorBoard shows: one `events.out.tfevents.*` file in a folder of its own, every record on
 * disk as soon as it is written. Several writers of one folder (a resumed run) continue each other's curves.
 */
export class TensorBoardWriter {
  /** The file. */
  readonly path: string;
  private file: number | null;

  /**
   * @param folder made if it is not there; TensorBoard takes its name for the run's
   * @param now seconds since 1970, for tests
   * @throws TinypropError `ERR_TINYPROP_FILE`
   */
  constructor(
    folder: string,
    private readonly now: () => number = () => Date.now() / 1000,
  ) {
    // The name orders the files of a folder by time; the process tells those of one second apart.
    this.path = join(folder, `events.out.tfevents.${String(Math.floor(now())).padStart(10, '0')}.tinyprop.${process.pid}`);
    try {
      mkdirSync(folder, { recursive: true });
      this.file = openSync(this.path, 'a');
    } catch (cause) {
      throw new TinypropError('ERR_TINYPROP_FILE', `cannot write ${this.path}: ${(cause as Error).message}`, { path: this.path }, cause);
    }
    this.event(0, text(eventField.fileVersion, 'brain.Event:2'));
  }

  /** A point of the curve `tag` (`loss/test`) at `step`, an integer of at least 0. A value that is not finite leaves a gap. */
  scalar(tag: string, step: number, value: number): void {
    if (!Number.isFinite(value)) return;
    this.event(step, message(eventField.summary, message(1, text(valueField.tag, tag), float(valueField.simpleValue, value))));
  }

  /** A text in Markdown. */
  text(tag: string, step: number, markdown: string): void {
    const metadata = message(valueField.metadata, message(1, text(1, 'text')));
    this.event(step, message(eventField.summary, message(1, text(valueField.tag, tag), metadata, message(valueField.tensor, ...stringTensor(markdown)))));
  }

  /** Nothing can be written afterwards. */
  close(): void {
    if (this.file === null) return;
    fsyncSync(this.file);
    closeSync(this.file);
    this.file = null;
  }

  private event(step: number, what: Buffer): void {
    if (this.file === null) throw new TinypropError('ERR_TINYPROP_CLOSED', `${this.path} is closed`);
    const parts = [double(eventField.wallTime, this.now()), ...(step === 0 ? [] : [integer(eventField.step, step)]), what];
    try {
      writeSync(this.file, record(Buffer.concat(parts)));
    } catch (cause) {
      throw new TinypropError('ERR_TINYPROP_FILE', `cannot write ${this.path}: ${(cause as Error).message}`, { path: this.path }, cause);
    }
  }
}
