// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';

/**
 * Tables of a FlatBuffer (little-endian; https://flatbuffers.dev/internals), read where they stand. Nothing of the bytes is
 * trusted: every offset and length is checked before it is followed, vectors may not be longer than the caller says, and
 * nothing is recursive. Fields are counted from 0 in the order of the schema, as in its generated code.
 * @internal
 */
export class FlatTable {
  private constructor(
    private readonly view: DataView,
    private readonly at: number,
    private readonly vtable: number,
    private readonly fields: number,
    /** What it is, for messages. */
    readonly what: string,
  ) {}

  /** The root table of a file whose identifier, at byte 4, is `identifier`. */
  static root(bytes: Uint8Array, identifier: string, what: string): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found = String.fromCharCode(...bytes.subarray(4, 8));
    if (bytes.length < 8 || found !== identifier) throw damaged(what, `expected the identifier ${identifier} at byte 4, found ${JSON.stringify(found)}`);
    return FlatTable.open(view, offset(view, 0, what), what);
  }

  private static open(view: DataView, at: number, what: string): FlatTable {
    inside(view, at, 4, what);
    const vtable = at - view.getInt32(at, true);
    inside(view, vtable, 4, what);
    const length = view.getUint16(vtable, true);
    if (length < 4 || length % 2 !== 0) throw damaged(what, `a table of fields of ${length} bytes at byte ${vtable}`);
    inside(view, vtable, length, what);
    return new FlatTable(view, at, vtable, (length - 4) / 2, what);
  }

  /** Where the bytes of a field stand; -1: it is not there and has its default. */
  private field(index: number, bytes: number): number {
    const distance = index < this.fields ? this.view.getUint16(this.vtable + 4 + 2 * index, true) : 0;
    if (distance === 0) return -1;
    inside(this.view, this.at + distance, bytes, this.what);
    return this.at + distance;
  }

  u8(index: number, fallback = 0): number {
    const at = this.field(index, 1);
    return at < 0 ? fallback : this.view.getUint8(at);
  }

  i8(index: number, fallback = 0): number {
    const at = this.field(index, 1);
    return at < 0 ? fallback : this.view.getInt8(at);
  }

  i32(index: number, fallback = 0): number {
    const at = this.field(index, 4);
    return at < 0 ? fallback : this.view.getInt32(at, true);
  }

  u32(index: number, fallback = 0): number {
    const at = this.field(index, 4);
    return at < 0 ? fallback : this.view.getUint32(at, true);
  }

  /** As a double: exact below 2^53, which no file is long enough to reach. */
  u64(index: number): number {
    const at = this.field(index, 8);
    return at < 0 ? 0 : Number(this.view.getBigUint64(at, true));
  }

  f32(index: number, fallback = 0): number {
    const at = this.field(index, 4);
    return at < 0 ? fallback : this.view.getFloat32(at, true);
  }

  has(index: number): boolean {
    return this.field(index, 1) >= 0;
  }

  table(index: number, what: string): FlatTable | null {
    const at = this.field(index, 4);
    return at < 0 ? null : FlatTable.open(this.view, offset(this.view, at, what), what);
  }

  /** Start and length of a vector; null: not there. */
  private vector(index: number, size: number, most: number, name: string): { at: number; length: number } | null {
    const field = this.field(index, 4);
    if (field < 0) return null;
    const what = `${this.what}: ${name}`;
    const start = offset(this.view, field, what);
    inside(this.view, start, 4, what);
    const length = this.view.getUint32(start, true);
    inside(this.view, start + 4, length * size, what);
    if (length > most) throw new TinypropError('ERR_TINYPROP_LIMIT', `${what}: expected at most ${most} entries, found ${length}`, { expected: most, found: length });
    return { at: start + 4, length };
  }

  private list<T>(index: number, size: number, most: number, name: string, read: (at: number) => T): T[] {
    const found = this.vector(index, size, most, name);
    return found === null ? [] : Array.from({ length: found.length }, (_, i) => read(found.at + i * size));
  }

  tables(index: number, most: number, name: string): FlatTable[] {
    let i = 0;
    return this.list(index, 4, most, name, (at) => {
      const what = `${name} ${i++}`;
      return FlatTable.open(this.view, offset(this.view, at, what), what);
    });
  }

  ints(index: number, most: number, name: string): number[] {
    return this.list(index, 4, most, name, (at) => this.view.getInt32(at, true));
  }

  longs(index: number, most: number, name: string): number[] {
    return this.list(index, 8, most, name, (at) => Number(this.view.getBigInt64(at, true)));
  }

  floats(index: number, most: number, name: string): number[] {
    return this.list(index, 4, most, name, (at) => this.view.getFloat32(at, true));
  }

  /** Place of a vector of bytes in the file. */
  bytes(index: number, name: string): { at: number; length: number } | null {
    return this.vector(index, 1, 0xffffffff, name);
  }

  /** The first hundred bytes of a string. */
  string(index: number, name: string): string {
    const found = this.bytes(index, name);
    if (found === null) return '';
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset + found.at, Math.min(found.length, 100));
    return new TextDecoder().decode(bytes);
  }
}

function damaged(what: string, why: string): TinypropError {
  return new TinypropError('ERR_TINYPROP_BLOB', `${what}: truncated or damaged: ${why}`);
}

function inside(view: DataView, at: number, bytes: number, what: string): void {
  if (at >= 0 && at + bytes <= view.byteLength) return;
  throw damaged(what, `bytes ${at} to ${at + bytes} of ${view.byteLength}`);
}

/** Target of the offset at `at`, which counts from there and goes forward. */
function offset(view: DataView, at: number, what: string): number {
  inside(view, at, 4, what);
  return at + view.getUint32(at, true);
}
