// SPDX-License-Identifier: Apache-2.0

/** Exponent of a positive number: `value = m * 2^exponent`, m in [1/2, 1). */
function exponentOf(value: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return (view.getUint32(0) >>> 20) - 1022;
}

/**
 * A positive factor as TensorFlow Lite's fixed point (its QuantizeMultiplier): `factor ~ multiplier * 2^(shift - 31)`,
 * multiplier in [2^30, 2^31); a positive shift goes left. Factors below about 2^-32 become 0.
 *
 * @param factor above 0, not denormal
 * @internal
 */
export function quantizeMultiplier(factor: number): { multiplier: number; shift: number } {
  let shift = exponentOf(factor);
  // Scaling by powers of two is exact; adding a half to less than 2^31 is, too.
  let multiplier = Math.floor((factor / 2 ** shift) * 2 ** 31 + 0.5);
  if (multiplier === 2 ** 31) {
    multiplier /= 2;
    shift++;
  }
  return shift < -31 ? { multiplier: 0, shift: 0 } : { multiplier, shift };
}

/**
 * The `.requant` tensor of an int8 layer, multipliers and then shifts: what takes a sum of products, whose unit is
 * `x * weight[o]`, to the output's scale.
 *
 * @param x scale of the input
 * @param weight scale of every output's weights
 * @param y scale of the output
 * @param floatProduct round `x * weight` to float32 first, as TensorFlow Lite does where a fully connected layer has one scale
 *   for all of its weights
 * @returns null if a factor is too large for fixed point (2^31 or more)
 * @internal
 */
export function requantOf(x: number, weight: Float32Array, y: number, floatProduct: boolean): Int32Array | null {
  const n = weight.length;
  const table = new Int32Array(2 * n);
  for (const [o, scale] of weight.entries()) {
    const product = floatProduct ? Math.fround(x * scale) : x * scale;
    const { multiplier, shift } = product > 0 ? quantizeMultiplier(product / y) : { multiplier: 0, shift: 0 };
    if (shift > 30) return null;
    table[o] = multiplier;
    table[n + o] = shift;
  }
  return table;
}
