// SPDX-License-Identifier: Apache-2.0
// float32 arithmetic, one rounding per operation. A sum, product or quotient of two float32 values computed in
// float64 and rounded once more is correctly rounded (53 >= 2 * 24 + 2 bits), so Math.fround is exact here.

/** Rounds to float32. */
export const f32 = Math.fround;

/**
 * Sum of |values| by rule 1 of docs/NUMERICS.md with P = 8: element r goes to partial r mod 8 in ascending r, then
 * the halving tree s[i] += s[i + h], h = 4, 2, 1.
 */
export function sumAbs(values: Float32Array): number {
  const s = new Float32Array(8);
  for (let r = 0; r < values.length; r++) s[r % 8] = f32(s[r % 8]! + Math.abs(values[r]!));
  for (let h = 4; h >= 1; h /= 2) for (let i = 0; i < h; i++) s[i] = f32(s[i]! + s[i + h]!);
  return s[0]!;
}

/** Score of a channel: sum of |delta| over its positions, P = 1, ascending. `delta` is [position][channel]. */
export function channelScores(delta: Float32Array, channels: number): Float32Array {
  const scores = new Float32Array(channels);
  for (let i = 0; i < delta.length; i++) {
    const c = i % channels;
    scores[c] = f32(scores[c]! + Math.abs(delta[i]!));
  }
  return scores;
}
