// SPDX-License-Identifier: Apache-2.0
import { fileError } from './io';

/** Sound as read from a WAV file. */
export interface WavSound {
  /** Samples per second. */
  readonly sampleRate: number;
  /** One channel (the mean of all), full scale +-1. */
  readonly samples: Float32Array;
}

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

interface Format {
  readonly tag: number;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bits: number;
}

/**
 * Decodes a RIFF/WAVE file: PCM of 8, 16, 24 or 32 bits or 32-bit float, any number of channels. Chunk
 * sizes are checked against the file.
 *
 * @throws TinypropError ERR_TINYPROP_FILE naming position, expected and found
 */
export function parseWav(bytes: Uint8Array, file: string): WavSound {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tagAt = (at: number) => Buffer.from(bytes.subarray(at, at + 4)).toString('latin1');
  if (bytes.length < 12 || tagAt(0) !== 'RIFF' || tagAt(8) !== 'WAVE') {
    throw fileError(file, `expected a RIFF/WAVE file, found '${tagAt(0).replace(/[^\x20-\x7e]/g, '?')}' at byte 0`, { position: 0 });
  }
  let format: Format | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const tag = tagAt(at);
    const size = view.getUint32(at + 4, true);
    const body = at + 8;
    if (tag === 'fmt ') format = parseFormat(view, body, size, file);
    if (body + size > bytes.length) throw fileError(file, `chunk '${tag}' at byte ${at} has ${size} bytes, but the file ends after ${bytes.length - body}`, { position: at });
    if (tag === 'data') {
      if (!format) throw fileError(file, `the data chunk at byte ${at} comes before the format`, { position: at });
      return { sampleRate: format.sampleRate, samples: decode(view, body, size, format, file) };
    }
    at = body + size + (size & 1);
  }
  throw fileError(file, 'no data chunk');
}

function parseFormat(view: DataView, at: number, size: number, file: string): Format {
  if (size < 16 || at + size > view.byteLength) throw fileError(file, `format chunk at byte ${at - 8} has ${size} bytes, expected at least 16`, { position: at - 8 });
  let tag = view.getUint16(at, true);
  if (tag === EXTENSIBLE && size >= 26) tag = view.getUint16(at + 24, true);
  const format = { tag, channels: view.getUint16(at + 2, true), sampleRate: view.getUint32(at + 4, true), bits: view.getUint16(at + 14, true) };
  const known = (tag === PCM && [8, 16, 24, 32].includes(format.bits)) || (tag === FLOAT && format.bits === 32);
  if (!known || format.channels < 1) {
    throw fileError(file, `expected PCM of 8, 16, 24 or 32 bits or 32-bit float, found format ${tag} with ${format.bits} bits and ${format.channels} channels`, {
      position: at,
    });
  }
  return format;
}

function decode(view: DataView, at: number, size: number, format: Format, file: string): Float32Array {
  const width = format.bits / 8;
  const frame = width * format.channels;
  const n = Math.floor(size / frame);
  const samples = new Float32Array(n);
  const read = reader(view, format);
  for (let i = 0, from = at; i < n; i++) {
    let sum = 0;
    for (let c = 0; c < format.channels; c++, from += width) sum += read(from);
    samples[i] = sum / format.channels;
    if (!Number.isFinite(samples[i])) throw fileError(file, `sample ${i} is not a number`, { position: from - frame });
  }
  return samples;
}

function reader(view: DataView, { tag, bits }: Format): (at: number) => number {
  if (tag === FLOAT) return (at) => view.getFloat32(at, true);
  if (bits === 8) return (at) => (view.getUint8(at) - 128) / 128;
  if (bits === 16) return (at) => view.getInt16(at, true) / 32768;
  if (bits === 24) return (at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608;
  return (at) => view.getInt32(at, true) / 2147483648;
}
