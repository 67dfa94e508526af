// SPDX-License-Identifier: Apache-2.0
import type { NativePlan, NativeRecall } from './addon';
import { TinypropError } from './errors';

/** What a fit may use to remember activations by default: 256 MiB. @internal */
export const defaultCacheBytes = 2 ** 28;

/** What the frozen part of a model gave for the samples of a fit. */
export interface CacheUse {
  /** Last node of the frozen part: its output is what was remembered. */
  readonly node: string;
  /** Bytes that were reserved, training and test samples together. */
  readonly bytes: number;
  /**
   * Multiply-accumulates that training did less than {@link Totals.macsForward} counts. Below 0 where a policy has passed over samples before their
   * forward pass, and seldom looked at them again.
   */
  readonly macsSaved: number;
  /** Their share of {@link Totals.macsForward}. */
  readonly share: number;
}

/**
 * Remembers what the frozen lower part of a model gives for every sample of a data set, from its first visit on. The first samples have a place as
 * far as `limit` bytes reach. The bits of weights, state and counts are those of a run without it.
 * @internal
 */
export class ActivationCache {
  readonly cut: NonNullable<NativeRecall['cut']>;
  /** Frozen parts computed in training. */
  computed = 0;

  private constructor(samples: number, bytes: number) {
    try {
      this.cut = { values: new Uint8Array(samples * bytes), known: new Uint8Array(samples) };
    } catch (cause) {
      throw new TinypropError('ERR_TINYPROP_LIMIT', `fit: cacheBytes: no memory for activations of ${samples} samples of ${bytes} bytes`, { samples, bytes }, cause);
    }
  }

  /** For `n` samples; null where there is nothing to remember or no room. */
  static of({ cut }: NativePlan, n: number, limit: number): ActivationCache | null {
    const samples = cut === undefined ? 0 : Math.min(n, Math.floor(limit / (cut.bytes + 1)));
    return cut === undefined || samples === 0 ? null : new ActivationCache(samples, cut.bytes);
  }

  get bytes(): number {
    return this.cut.values.length + this.cut.known.length;
  }
}
