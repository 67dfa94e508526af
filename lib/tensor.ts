// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { constantName, guard } from './addon';
import { TinypropError } from './errors';
import type { ModelCore } from './model-core';

/** Numbers of a parameter tensor, by its {@link TensorInfo.dtype}. */
export type TensorData = Float32Array | Int8Array | Int32Array;

/** A parameter tensor, such as `dense1.weight`. */
export interface TensorInfo {
  /**
   * `<node>.weight`, `.bias`, or `.gamma`, `.beta`, `.mean`, `.variance` of batch normalisation. Int8 layers: `.weight` (s8), `.bias`
   * (s32), `.scale` of the weights of every output, `.requant`: multipliers, then shifts (s32; docs/INT8.md).
   */
  readonly name: string;
  /** Type of its numbers. */
  readonly dtype: 'f32' | 's8' | 's32';
  /** Dense `[out, in]`, convolution `[out, kh, kw, in / groups]`, others `[n]`. */
  readonly shape: number[];
  /** Numbers. */
  readonly size: number;
}

/** The array of every type. @internal */
export const arrays = { f32: Float32Array, s8: Int8Array, s32: Int32Array } as const;

/** All parameter tensors, in the order of the nodes. @internal */
export function tensorInfos(core: ModelCore): TensorInfo[] {
  core.free('tensors');
  return guard('tensors', () => core.net.tensors()).map(({ name, dtype, shape }) => ({
    name,
    dtype: constantName('dtype', dtype) as TensorInfo['dtype'],
    shape,
    size: shape.reduce((product, extent) => product * extent, 1),
  }));
}

function find(core: ModelCore, name: string): { index: number; info: TensorInfo } {
  const all = tensorInfos(core);
  const index = all.findIndex((tensor) => tensor.name === name);
  const info = all[index];
  if (info === undefined) {
    throw new TinypropError('ERR_TINYPROP_ARG', `no tensor "${name}"; there are ${all.map((tensor) => tensor.name).join(', ')}`, { name });
  }
  return { index, info };
}

/** A copy. @throws TinypropError `ERR_TINYPROP_ARG` @internal */
export function readTensor(core: ModelCore, name: string): TensorData {
  const { index, info } = find(core, name);
  return new arrays[info.dtype](guard('getTensor', () => core.net.readTensor(index)));
}

/** @throws TinypropError `ERR_TINYPROP_ARG`, `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_DATA` @internal */
export function writeTensor(core: ModelCore, name: string, values: TensorData): void {
  const { index, info } = find(core, name);
  const expected = arrays[info.dtype];
  if (!(values instanceof expected)) throw new TinypropError('ERR_TINYPROP_ARG', `setTensor "${name}": expected a ${expected.name}`);
  if (values.length !== info.size) {
    throw new TinypropError('ERR_TINYPROP_SHAPE', `setTensor "${name}": expected ${info.size} numbers (${info.shape.join('x')}), found ${values.length}`, { expected: info.size, found: values.length });
  }
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new TinypropError('ERR_TINYPROP_DATA', `setTensor "${name}": value ${bad} is ${values[bad]}`, { index: bad });
  guard('setTensor', () => core.net.writeTensor(index, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
  core.fresh = false;
}

/** SHA-256 of all parameters in hexadecimal. @internal */
export function weightHash(core: ModelCore): string {
  core.free('weightHash');
  const hash = createHash('sha256');
  for (const index of tensorInfos(core).keys()) hash.update(new Uint8Array(core.net.readTensor(index)));
  return hash.digest('hex');
}
