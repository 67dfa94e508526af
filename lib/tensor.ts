// SPDX-License-Identifier: Apache-2.0

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
