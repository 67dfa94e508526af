// SPDX-License-Identifier: Apache-2.0
import { type ErrorCode, TinypropError } from '../errors';

/** A tensor of a safetensors file. */
export interface SafeTensor {
  /** As the file says, such as `F32`, `BF16` or `I8`. */
  readonly dtype: string;
  /** Extents, the slowest first; empty for a single number. */
  readonly shape: readonly number[];
  /** Its numbers, little-endian. */
  readonly data: Uint8Array;
}

/** What a safetensors file holds. */
export interface Safetensors {
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  /** Free texts of the file, `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes of a number of each type; in the order of the reference library, whose files have the last type first. */
const sizes: ReadonlyMap<string, number> = new Map([
  ...['BOOL', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0'].map((name) => [name, 1] as const),
  ...['I16', 'U16', 'F16', 'BF16'].map((name) => [name, 2] as const),
  ...['I32', 'U32', 'F32'].map((name) => [name, 4] as const),
  ...['C64', 'F64', 'I64', 'U64'].map((name) => [name, 8] as const),
]);
const types = [...sizes.keys()];

/** The reference reader's own limit. */
const maxHeader = 100_000_000;
const maxRank = 8;
const metadataName = '__metadata__';

function fail(problem: string, details: Record<string, unknown> = {}, code: ErrorCode = 'ERR_TINYPROP_BLOB'): TinypropError {
  return new TinypropError(code, `safetensors: ${problem}`, details);
}

/** Looks like a safetensors file: a header of a possible length that begins with a brace. @internal */
export function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 10 || bytes[8] !== 0x7b) return false;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  return length >= 2n && length <= maxHeader;
}

/**
 * Reads a safetensors file; the bytes are not trusted. Every rule of the format holds: the tensors cover the bytes behind the
 * header without gap or overlap, each has the bytes that type and shape ask for, no name occurs twice.
 *
 * @param bytes the whole file; the tensors are views of it
 * @throws TinypropError `ERR_TINYPROP_BLOB` (truncated, malformed, offsets that do not fit), `ERR_TINYPROP_LIMIT` (a header above 100 MB, a rank
 *   above 8), `ERR_TINYPROP_MODEL` (a type that is not known)
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  if (bytes.length < 8) throw fail(`expected a header, found ${bytes.length} bytes`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
  if (length > maxHeader) throw fail(`a header of ${length} bytes; at most ${maxHeader} are read`, {}, 'ERR_TINYPROP_LIMIT');
  const start = 8 + Number(length);
  if (start > bytes.length) throw fail(`the header says it has ${length} bytes, the file has ${bytes.length - 8} behind its length`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(8, start));
  } catch {
    throw fail('the header is not UTF-8');
  }
  const { entries, metadata } = new Header(text).read();
  // A Buffer's slice() would be no copy; that of these views is.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
  return { tensors: placed(entries, data), metadata };
}

/** What the header says of one tensor. */
interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

/** The tensors in the order of their bytes; they must cover all of these, once. */
function placed(entries: Entry[], data: Uint8Array): Map<string, SafeTensor> {
  const tensors = new Map<string, SafeTensor>();
  let at = 0;
  for (const { name, dtype, shape, begin, end } of entries.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    const what = `tensor ${JSON.stringify(name.slice(0, 80))}`;
    const size = sizes.get(dtype);
    if (size === undefined) throw fail(`${what}: unknown type ${JSON.stringify(dtype.slice(0, 20))}; known are ${types.join(', ')}`, { name }, 'ERR_TINYPROP_MODEL');
    if (shape.length > maxRank) throw fail(`${what}: ${shape.length} dimensions; at most ${maxRank} are read`, { name }, 'ERR_TINYPROP_LIMIT');
    if (begin !== at) throw fail(`${what}: begins at byte ${begin} of the data, expected ${at} (${begin < at ? 'it overlaps another one' : 'nothing claims the bytes between'})`, { name });
    if (end < begin || end > data.length) throw fail(`${what}: ends at byte ${end} of ${data.length}`, { name });
    // Extents are at most 2^53; a product that rounds is far above any length.
    const needed = shape.reduce((product, n) => product * n, size);
    if (needed !== end - begin) throw fail(`${what}: ${dtype} [${shape.join(', ')}] takes ${needed} bytes, the file gives it ${end - begin}`, { name });
    tensors.set(name, { dtype, shape, data: data.subarray(begin, end) });
    at = end;
  }
  if (at !== data.length) throw fail(`the tensors end at byte ${at} of the data, the file has ${data.length}`);
  return tensors;
}

/**
 * Reads the header, which is JSON of one form: names to `{dtype, shape, data_offsets}`, and `__metadata__` to texts. Not by JSON.parse,
 * which lets the last of two equal names win and builds whatever else a file holds.
 */
class Header {
  private at = 0;

  constructor(private readonly text: string) {}

  read(): { entries: Entry[]; metadata: Record<string, string> } {
    const entries: Entry[] = [];
    let metadata: Record<string, string> = {};
    this.object('the header', (name) => {
      if (name !== metadataName) return void entries.push(this.entry(name));
      const texts: [string, string][] = [];
      this.object(metadataName, (key) => texts.push([key, this.string(metadataName)]));
      // A null prototype would not be a plain object; `__proto__` as an own key is one here.
      metadata = Object.fromEntries(texts);
    });
    this.space();
    if (this.at !== this.text.length) throw this.unexpected('the end of the header');
    return { entries, metadata };
  }

  private entry(name: string): Entry {
    const what = `tensor ${JSON.stringify(name.slice(0, 80))}`;
    let dtype: string | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    this.object(what, (key) => {
      if (key === 'dtype') dtype = this.string(what);
      else if (key === 'shape') shape = this.integers(what);
      else if (key === 'data_offsets') offsets = this.integers(what);
      else throw fail(`${what}: unknown field ${JSON.stringify(key.slice(0, 80))}`, { name });
    });
    if (dtype === undefined || shape === undefined || offsets?.length !== 2) throw fail(`${what}: expected dtype, shape and two data_offsets`, { name });
    return { name, dtype, shape, begin: offsets[0] as number, end: offsets[1] as number };
  }

  /** `{"key": value, ...}`; `value` reads what follows the colon. */
  private object(what: string, value: (key: string) => void): void {
    const seen = new Set<string>();
    this.sequence('{', '}', () => {
      const key = this.string(what);
      if (seen.has(key)) throw fail(`${what}: the name ${JSON.stringify(key.slice(0, 80))} occurs twice`, { name: key });
      seen.add(key);
      this.token(':');
      value(key);
    });
  }

  private integers(what: string): number[] {
    const numbers: number[] = [];
    this.sequence('[', ']', () => {
      this.space();
      const digits = /^(?:0|[1-9][0-9]{0,15})(?![0-9.eE])/.exec(this.text.slice(this.at, this.at + 18))?.[0];
      const value = Number(digits ?? NaN);
      this.at += digits?.length ?? 0;
      if (!Number.isSafeInteger(value)) throw fail(`${what}: expected integers from 0 to 2^53 - 1 in its lists, at character ${this.at} of the header`);
      numbers.push(value);
    });
    return numbers;
  }

  private string(what: string): string {
    this.space();
    const from = this.at;
    let end = this.text[from] === '"' ? this.text.indexOf('"', from + 1) : -1;
    while (end >= 0 && this.escaped(end)) end = this.text.indexOf('"', end + 1);
    try {
      this.at = end + 1;
      return JSON.parse(this.text.slice(from, end + 1)) as string;
    } catch {
      throw fail(`${what}: expected a text at character ${from} of the header`);
    }
  }

  /** Is the character behind an odd number of backslashes? */
  private escaped(end: number): boolean {
    let before = end;
    while (this.text[before - 1] === '\\') before--;
    return (end - before) % 2 === 1;
  }

  private sequence(open: string, close: string, item: () => void): void {
    this.token(open);
    this.space();
    if (this.text[this.at] === close) return void this.at++;
    for (;;) {
      item();
      this.space();
      if (this.text[this.at] === close) return void this.at++;
      this.token(',');
    }
  }

  private token(wanted: string): void {
    this.space();
    if (this.text[this.at] !== wanted) throw this.unexpected(wanted);
    this.at++;
  }

  private space(): void {
    while (' \n\r\t'.includes(this.text[this.at] ?? 'x')) this.at++;
  }

  private unexpected(wanted: string): TinypropError {
    return fail(`expected ${wanted} at character ${this.at} of the header, found ${JSON.stringify(this.text.slice(this.at, this.at + 20))}`, { position: this.at });
  }
}

/**
 * The bytes of a safetensors file, laid out as the reference library does: wider types first, then by name; header padded with
 * spaces so that the data begin at a multiple of 8. They depend on names, numbers and texts alone.
 *
 * @param metadata free texts, kept as `__metadata__`; keys are sorted
 * @throws TinypropError `ERR_TINYPROP_ARG` (a reserved name, an unknown type, data of another length than type and shape ask for)
 */
export function writeSafetensors(tensors: ReadonlyMap<string, SafeTensor>, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const order = [...tensors].sort(([a, { dtype: s }], [b, { dtype: t }]) => types.indexOf(t) - types.indexOf(s) || (a < b ? -1 : 1));
  const texts = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = texts.length > 0 ? [`"${metadataName}":{${texts.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`).join()}}`] : [];
  let end = 0;
  for (const [name, { dtype, shape, data }] of order) {
    const needed = shape.reduce((product, n) => product * n, sizes.get(dtype) ?? NaN);
    if (name === metadataName || needed !== data.length) {
      throw fail(`tensor ${JSON.stringify(name)}: expected another name or ${needed} bytes for ${dtype} [${shape.join(', ')}], found ${data.length}`, { name }, 'ERR_TINYPROP_ARG');
    }
    parts.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join()}],"data_offsets":[${end},${(end += data.length)}]}`);
  }
  const header = new TextEncoder().encode(`{${parts.join()}}`);
  const padded = Math.ceil(header.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + end).fill(0x20, 8, 8 + padded);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(header, 8);
  let at = 8 + padded;
  for (const [, { data }] of order) {
    bytes.set(data, at);
    at += data.length;
  }
  return bytes;
}

/**
 * The numbers of a tensor of floats.
 *
 * @throws TinypropError `ERR_TINYPROP_MODEL` (of another type than F32, F64, F16 and BF16), `ERR_TINYPROP_DATA` (NaN or infinity)
 */
export function floatsOf({ dtype, data }: SafeTensor, name: string): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const read = floatReaders.get(dtype);
  if (read === undefined) throw fail(`tensor "${name}": expected floats (${[...floatReaders.keys()].join(', ')}), found ${dtype}`, { name }, 'ERR_TINYPROP_MODEL');
  const size = sizes.get(dtype) as number;
  const values = Float32Array.from({ length: data.length / size }, (_, i) => read(view, i * size));
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw fail(`tensor "${name}": value ${bad} is ${values[bad]}`, { name, index: bad }, 'ERR_TINYPROP_DATA');
  return values;
}

const floatReaders: ReadonlyMap<string, (view: DataView, at: number) => number> = new Map([
  ['F32', (view: DataView, at: number) => view.getFloat32(at, true)],
  ['F64', (view: DataView, at: number) => view.getFloat64(at, true)],
  ['F16', (view: DataView, at: number) => half(view.getUint16(at, true))],
  ['BF16', (view: DataView, at: number) => bfloat(view.getUint16(at, true))],
]);

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** The upper half of a float32. */
function bfloat(bits: number): number {
  const word = new DataView(new ArrayBuffer(4));
  word.setUint32(0, bits * 0x10000);
  return word.getFloat32(0);
}
