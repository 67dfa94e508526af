// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';

/** What a stream of numbers is for: part of the counter, so no two uses share numbers. The core uses 1 to 15. */
export const rngPurpose = { split: 16, augment: 17 } as const;

/** High 32 bits of an unsigned 32 x 32 bit product. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/**
 * One block of Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011): four 32-bit words from a 128-bit counter and a 64-bit key. `out` may be `counter`.
 */
export function philox4x32(counter: Uint32Array, key0: number, key1: number, out: Uint32Array): void {
  let c0 = counter[0] as number;
  let c1 = counter[1] as number;
  let c2 = counter[2] as number;
  let c3 = counter[3] as number;
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    const high1 = mulHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * The stream (seed, purpose, layer, n) of the core's generator: key = low and high half of the seed,
 * counter = (block, n low, n high, purpose << 24 | layer). The same on every machine.
 */
export class Rng {
  private readonly counter = new Uint32Array(4);
  private readonly block = new Uint32Array(4);
  private readonly key0: number;
  private readonly key1: number;
  private used = 4;

  /**
   * @param seed integer, 0 to 2^53 - 1
   * @throws TinypropError ERR_TINYPROP_ARG for any other seed
   */
  constructor(seed: number, purpose: number, layer = 0, n = 0) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new TinypropError('ERR_TINYPROP_ARG', `seed: expected an integer from 0 to 2^53 - 1, found ${seed}`, { seed });
    }
    this.key0 = seed >>> 0;
    this.key1 = Math.floor(seed / 0x100000000);
    this.seek(purpose, layer, n);
  }

  /** Jumps to the start of another stream of the same seed. */
  seek(purpose: number, layer: number, n: number): void {
    this.counter[0] = 0;
    this.counter[1] = n >>> 0;
    this.counter[2] = Math.floor(n / 0x100000000);
    this.counter[3] = ((purpose << 24) | (layer & 0xffffff)) >>> 0;
    this.used = 4;
  }

  /** Next word, 0 to 2^32 - 1. */
  next(): number {
    if (this.used === 4) {
      philox4x32(this.counter, this.key0, this.key1, this.block);
      this.counter[0] = (this.counter[0] as number) + 1;
      this.used = 0;
    }
    return this.block[this.used++] as number;
  }

  /** Uniform in [0, 1) with 24 bits. */
  unit(): number {
    return (this.next() >>> 8) / 16777216;
  }

  /** Uniform integer in 0 .. bound-1 without bias (bound 1 to 2^32). */
  below(bound: number): number {
    const limit = 0x100000000 - (0x100000000 % bound);
    let word = this.next();
    while (word >= limit) word = this.next();
    return word % bound;
  }

  /**
   * Nearly normal, mean 0, deviation 1: eight 16-bit halves of four words added up (Irwin-Hall). Additions
   * only, so the value is the same everywhere; never beyond +-4.9.
   */
  normal(): number {
    let sum = 0;
    for (let i = 0; i < 4; i++) {
      const word = this.next();
      sum += (word >>> 16) + (word & 0xffff);
    }
    return (sum - 8 * 32767.5) / NORMAL_DEVIATION;
  }
}

/** Deviation of a sum of eight independent uniform integers 0 .. 65535. */
const NORMAL_DEVIATION = Math.sqrt((8 * (65536 * 65536 - 1)) / 12);
