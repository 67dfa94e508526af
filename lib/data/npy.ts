// SPDX-License-Identifier: Apache-2.0
import { unzipSync } from 'fflate';
import { TinypropError } from '../errors';
import { codedFileError, fileError, MAX_ARRAY, MAX_INFLATE_RATIO, readExactly, readSmallFile, withFile } from './io';

/** Typed arrays an .npy file may turn into. */
export type NpyData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** An array as NumPy saved it, C order. */
export interface NpyArray {
  /** NumPy's type string, such as `<f4`. */
  readonly dtype: string;
  /** Extents, the slowest first; empty for a scalar. */
  readonly shape: readonly number[];
  /** All values, the last axis fastest; bools are bytes 0 and 1. */
  readonly data: NpyData;
}

interface DtypeInfo {
  readonly bytes: number;
  readonly make: (buffer: ArrayBuffer) => NpyData;
}

const dtypes: Readonly<Record<string, DtypeInfo>> = {
  '<f4': { bytes: 4, make: (b) => new Float32Array(b) },
  '<f8': { bytes: 8, make: (b) => new Float64Array(b) },
  '<i2': { bytes: 2, make: (b) => new Int16Array(b) },
  '<i4': { bytes: 4, make: (b) => new Int32Array(b) },
  '<i8': { bytes: 8, make: (b) => new BigInt64Array(b) },
  '<u2': { bytes: 2, make: (b) => new Uint16Array(b) },
  '<u4': { bytes: 4, make: (b) => new Uint32Array(b) },
  '<u8': { bytes: 8, make: (b) => new BigUint64Array(b) },
  '|u1': { bytes: 1, make: (b) => new Uint8Array(b) },
  '|i1': { bytes: 1, make: (b) => new Int8Array(b) },
  '|b1': { bytes: 1, make: (b) => new Uint8Array(b) },
};

/** NumPy's own headers are below 1 KiB; nothing longer is read. */
const MAX_HEADER = 1 << 16;
const MAX_RANK = 8;

/** A parsed .npy header; the data begin at byte `offset`. */
export interface NpyHeader {
  readonly dtype: string;
  readonly shape: number[];
  readonly count: number;
  readonly offset: number;
}

/**
 * Parses the header of an .npy file (format 1.0 to 3.0, NumPy NEP 1). The input is treated as hostile.
 *
 * @param bytes the beginning of the file, at least the whole header
 * @param file name for messages
 * @throws TinypropError ERR_TINYPROP_FILE naming position, expected and found
 */
export function parseNpyHeader(bytes: Uint8Array, file: string): NpyHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = Buffer.from(bytes.subarray(0, 6)).toString('latin1');
  if (magic !== '\x93NUMPY') throw fileError(file, `expected an .npy file, found '${printable(magic)}' at byte 0`, { position: 0 });
  const major = bytes[6] ?? 0;
  const lengthBytes = major === 1 ? 2 : 4;
  if (major < 1 || major > 3 || bytes.length < 8 + lengthBytes) {
    throw fileError(file, `expected .npy format 1 to 3 at byte 6, found ${major}`, { position: 6, found: major });
  }
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const offset = 8 + lengthBytes + length;
  if (length > MAX_HEADER || offset > bytes.length) {
    throw fileError(file, `header of ${length} bytes is longer than the file or the limit of ${MAX_HEADER}`, { position: 8, found: length });
  }
  const text = Buffer.from(bytes.subarray(8 + lengthBytes, offset)).toString('latin1');
  const fields = parseDict(text, file);
  return { ...checkFields(fields, file), offset };
}

/** The Python dict literal NumPy writes: exactly the keys descr, fortran_order and shape. */
function parseDict(text: string, file: string): Map<string, string> {
  const body = /^\s*\{([^]*)\}\s*$/.exec(text)?.[1];
  const entry = /\s*'(\w{1,20})'\s*:\s*('[^']*'|True|False|\([\d\s,L]*\)|\[[^\]]*\])\s*(?:,|$)/y;
  const fields = new Map<string, string>();
  let end = 0;
  while (body !== undefined && end < body.trimEnd().length) {
    const match = entry.exec(body);
    if (!match || fields.has(match[1] as string)) break;
    fields.set(match[1] as string, match[2] as string);
    end = entry.lastIndex;
  }
  if (body === undefined || end < body.trimEnd().length || [...fields.keys()].sort().join() !== 'descr,fortran_order,shape') {
    throw fileError(file, `malformed .npy header: '${printable(text.trim())}'`, { position: 10 });
  }
  return fields;
}

function checkFields(fields: Map<string, string>, file: string): Omit<NpyHeader, 'offset'> {
  const dtype = (fields.get('descr') as string).replace(/^'|'$/g, '');
  const info = dtypeInfo(dtype);
  if (!info) {
    throw fileError(file, `expected one of the types ${Object.keys(dtypes).join(' ')}, found ${printable(dtype)}; convert it with x.astype('float32')`, {
      found: dtype,
    });
  }
  const shape = (fields.get('shape') as string)
    .slice(1, -1)
    .split(',')
    .map((part) => part.trim().replace(/L$/, ''))
    .filter((part) => part !== '')
    .map(Number);
  if (fields.get('fortran_order') !== 'False' && shape.length > 1) {
    throw fileError(file, 'the array is in Fortran order; save it with numpy.ascontiguousarray(x)');
  }
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (shape.length > MAX_RANK || shape.some((extent) => !Number.isSafeInteger(extent)) || count * info.bytes >= MAX_ARRAY * 4 || count >= MAX_ARRAY) {
    throw codedFileError('ERR_TINYPROP_LIMIT', file, `an array of shape (${shape.join(', ')}) is too large`, { shape });
  }
  return { dtype, shape, count };
}

function dtypeInfo(dtype: string): DtypeInfo | undefined {
  return Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
}

/**
 * Reads an .npy file; the size is checked before memory is taken.
 *
 * @throws TinypropError ERR_TINYPROP_FILE, ERR_TINYPROP_LIMIT, ERR_TINYPROP_ABORTED
 */
export async function readNpy(file: string, signal?: AbortSignal): Promise<NpyArray> {
  return withFile(file, async (handle, size) => {
    const head = new Uint8Array(Math.min(size, MAX_HEADER + 12));
    await readExactly(handle, file, head, 0, signal);
    const header = parseNpyHeader(head, file);
    const buffer = allocate(header, size, file);
    await readExactly(handle, file, new Uint8Array(buffer), header.offset, signal);
    return finishArray(header, buffer, file);
  });
}

/** The same from bytes in memory. */
export function parseNpy(bytes: Uint8Array, file: string): NpyArray {
  const header = parseNpyHeader(bytes, file);
  const buffer = allocate(header, bytes.length, file);
  new Uint8Array(buffer).set(bytes.subarray(header.offset));
  return finishArray(header, buffer, file);
}

function allocate(header: NpyHeader, size: number, file: string): ArrayBuffer {
  const bytes = header.count * (dtypeInfo(header.dtype) as DtypeInfo).bytes;
  if (size !== header.offset + bytes) {
    throw fileError(file, `expected ${header.offset + bytes} bytes for ${header.dtype} (${header.shape.join(', ')}), found ${size}`, {
      expected: header.offset + bytes,
      found: size,
    });
  }
  return new ArrayBuffer(bytes);
}

function finishArray(header: NpyHeader, buffer: ArrayBuffer, file: string): NpyArray {
  const data = (dtypeInfo(header.dtype) as DtypeInfo).make(buffer);
  if (header.dtype === '|b1') {
    const bad = (data as Uint8Array).findIndex((value) => value > 1);
    if (bad >= 0) throw fileError(file, `byte ${header.offset + bad}: expected a bool, found ${data[bad]}`, { position: header.offset + bad });
  }
  return { dtype: header.dtype, shape: header.shape, data };
}

/**
 * Reads the arrays of an .npz file (a ZIP of .npy files), by name without `.npy`.
 *
 * @param wanted which arrays; all if not given
 * @throws TinypropError ERR_TINYPROP_FILE, ERR_TINYPROP_LIMIT
 */
export async function readNpz(file: string, wanted?: (name: string) => boolean, signal?: AbortSignal): Promise<Map<string, NpyArray>> {
  const packed = await readSmallFile(file, MAX_ARRAY - 1, signal);
  const sizes = new Map<string, number>();
  let total = 0;
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(packed, {
      filter({ name, originalSize, size }) {
        if (!name.endsWith('.npy') || (wanted && !wanted(name.slice(0, -4)))) return false;
        total += originalSize;
        if (originalSize > size * MAX_INFLATE_RATIO + 64 || size > packed.length || total >= MAX_ARRAY * 4) {
          throw codedFileError('ERR_TINYPROP_LIMIT', file, `entry ${printable(name)} claims ${originalSize} bytes from ${size}`, { entry: name });
        }
        sizes.set(name, originalSize);
        return true;
      },
    });
  } catch (error) {
    if (error instanceof TinypropError) throw error;
    throw fileError(file, `not a readable .npz (ZIP) file: ${error instanceof Error ? error.message : String(error)}`, {}, error);
  }
  const arrays = new Map<string, NpyArray>();
  for (const [name, bytes] of Object.entries(entries)) {
    if (bytes.length !== sizes.get(name)) throw fileError(file, `entry ${name}: expected ${sizes.get(name)} bytes, found ${bytes.length}`);
    arrays.set(name.slice(0, -4), parseNpy(bytes, `${file}#${name}`));
  }
  return arrays;
}

function printable(text: string): string {
  return text.slice(0, 80).replace(/[^\x20-\x7e]/g, '?');
}
