// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import { FlatTable } from './flatbuffer';
import { operatorName, typeName } from './tflite-operators';

/** Real value of an int8 number q: `scale * (q - zero)`. @internal */
export interface Quantization {
  scale: number;
  zero: number;
}

/** A tensor of the file. @internal */
export interface TfliteTensor {
  index: number;
  name: string;
  /** `FLOAT32`, `INT8` ... */
  type: string;
  /** With the batch, which is 1. */
  shape: number[];
  /** One number, or one for every channel; empty: not quantised. */
  scales: number[];
  zeros: number[];
  /** Axis that the scales go along. */
  axis: number;
  buffer: number;
  /** Place of its constant in the file; null: computed by an operator, or an input. */
  data: { at: number; length: number } | null;
}

/** An operator of the file. @internal */
export interface TfliteOperator {
  index: number;
  /** `CONV_2D` ..., or the name of a custom operator. */
  name: string;
  /** Tensor indices; -1: left out. */
  inputs: number[];
  outputs: number[];
  /** Its options in the schema's table of that operator; null: all defaults. */
  options: FlatTable | null;
}

/** What this package reads of a .tflite file. @internal */
export interface TfliteFile {
  tensors: TfliteTensor[];
  operators: TfliteOperator[];
  input: number;
  output: number;
}

/** Bytes 4 to 7 of every .tflite file. */
const identifier = 'TFL3';

/** Far above what fits a microcontroller; keeps a hostile file from costing more than its bytes. */
const most = { tensors: 20_000, operators: 4096, rank: 8, operands: 1024, channels: 1 << 20 };

/** Is this a .tflite file? @internal */
export function isTflite(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && String.fromCharCode(...bytes.subarray(4, 8)) === identifier;
}

/** An operator or feature that this package does not have. @internal */
export function unsupported(message: string, details: Record<string, unknown> = {}): TinypropError {
  return new TinypropError('ERR_TINYPROP_MODEL', `tflite: ${message}`, details);
}

/**
 * Reads the tables of a .tflite file: one subgraph with one input and one output.
 *
 * @throws TinypropError `ERR_TINYPROP_BLOB` (truncated, damaged), `ERR_TINYPROP_MODEL` (not of this kind), `ERR_TINYPROP_LIMIT`
 * @internal
 */
export function readTfliteFile(bytes: Uint8Array): TfliteFile {
  const root = FlatTable.root(bytes, identifier, 'tflite');
  const version = root.u32(0);
  if (version !== 3) throw new TinypropError('ERR_TINYPROP_VERSION', `tflite: expected schema version 3, found ${version}`, { expected: 3, found: version });
  const graphs = root.tables(2, most.operators, 'subgraph');
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) throw unsupported(`expected one subgraph, found ${graphs.length}; tinyprop has no control flow`);
  const codes = root.tables(1, most.operators, 'operator code').map(codeName);
  const buffers = root.tables(4, most.tensors, 'buffer').map((buffer) => place(buffer, bytes.length));
  const tensors = graph.tables(0, most.tensors, 'tensor').map((table, index) => tensor(table, index, buffers));
  const operators = graph.tables(3, most.operators, 'operator').map((table, index) => operator(table, index, codes, tensors.length));
  const one = (field: number, name: string): number => {
    const list = graph.ints(field, most.operands, `${name}s`);
    const index = list[0];
    if (index === undefined || list.length > 1) throw unsupported(`expected one ${name}, found ${list.length}`);
    if (tensors[index] === undefined) throw new TinypropError('ERR_TINYPROP_BLOB', `tflite: the ${name} is tensor ${index} of ${tensors.length}`);
    return index;
  };
  return { tensors, operators, input: one(1, 'input'), output: one(2, 'output') };
}

/** Old files say the operator in one byte, new ones in four; the larger one is right. */
function codeName(table: FlatTable): string {
  const code = Math.max(table.i8(0), table.i32(3));
  const custom = table.string(1, 'custom code');
  return custom === '' ? operatorName(code) : `custom operator ${custom}`;
}

/** Bytes of a buffer: a vector of the FlatBuffer, or (large models) a place behind it. */
function place(buffer: FlatTable, length: number): TfliteTensor['data'] {
  const at = buffer.u64(1);
  const size = buffer.u64(2);
  if (at > 1) {
    if (at + size <= length) return { at, length: size };
    throw new TinypropError('ERR_TINYPROP_BLOB', `tflite: ${buffer.what}: truncated or damaged: bytes ${at} to ${at + size} of ${length}`);
  }
  const data = buffer.bytes(0, 'data');
  return data === null || data.length === 0 ? null : data;
}

function tensor(table: FlatTable, index: number, buffers: TfliteTensor['data'][]): TfliteTensor {
  const name = table.string(3, 'name');
  const buffer = table.u32(2);
  if (buffer >= buffers.length) throw new TinypropError('ERR_TINYPROP_BLOB', `tflite: tensor ${index} ("${name}"): buffer ${buffer} of ${buffers.length}`);
  if (table.has(6)) throw unsupported(`tensor ${index} ("${name}") is sparse; expected a dense one`, { tensor: name });
  const quantization = table.table(4, `tensor ${index}: quantization`);
  return {
    index,
    name,
    type: typeName(table.i8(1)),
    shape: table.ints(0, most.rank, 'shape'),
    scales: quantization?.floats(2, most.channels, 'scales') ?? [],
    zeros: quantization?.longs(3, most.channels, 'zero points') ?? [],
    axis: quantization?.i32(6) ?? 0,
    buffer,
    data: buffers[buffer] ?? null,
  };
}

function operator(table: FlatTable, index: number, codes: readonly string[], tensors: number): TfliteOperator {
  const code = table.u32(0);
  const name = codes[code];
  if (name === undefined) throw new TinypropError('ERR_TINYPROP_BLOB', `tflite: operator ${index}: code ${code} of ${codes.length}`);
  const operands = (field: number, what: string): number[] => {
    const list = table.ints(field, most.operands, what);
    const wrong = list.find((i) => i < -1 || i >= tensors);
    if (wrong !== undefined) throw new TinypropError('ERR_TINYPROP_BLOB', `tflite: operator ${index} (${name}): ${what}: tensor ${wrong} of ${tensors}`);
    return list;
  };
  return { index, name, inputs: operands(1, 'inputs'), outputs: operands(2, 'outputs'), options: table.table(4, `operator ${index} (${name}): options`) };
}
