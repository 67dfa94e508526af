// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import { Rng, rngPurpose } from './rng';

/** What an {@link Augmenter} may do to a sample, in this order. */
export interface AugmentOptions {
  /** Smallest part of each side a random window keeps, 0 < crop <= 1; the window is scaled back (bilinear). */
  readonly crop?: number;
  /** Largest move in pixels (steps) in each direction, an integer >= 0; what comes in is 0. */
  readonly shift?: number;
  /** Mirror left to right with probability 1/2; images only. */
  readonly flip?: boolean;
  /** Deviation of the noise added to every value, in units of the normalised inputs, >= 0. */
  readonly noise?: number;
}

/**
 * Seeded augmentation of one sample at a time. What happens to a sample depends on (seed, epoch, sample
 * index) only, not on the order of calls. Crop, shift and flip need a place axis: an image
 * `[height, width, channels]`, or `[time, channels]` (crop and shift along time).
 */
export class Augmenter {
  private readonly height: number;
  private readonly width: number;
  private readonly channels: number;
  private readonly rng: Rng;
  private readonly scratch: Float32Array;

  /**
   * @param inputShape shape of one sample, channels last
   * @param seed integer, 0 to 2^53 - 1
   * @throws TinypropError ERR_TINYPROP_ARG for options out of range or not possible with this shape
   */
  constructor(
    private readonly options: AugmentOptions,
    inputShape: readonly number[],
    seed: number,
  ) {
    const { crop = 1, shift = 0, flip = false, noise = 0 } = options;
    check(crop > 0 && crop <= 1, 'crop: expected a number from above 0 to 1', crop);
    check(Number.isInteger(shift) && shift >= 0, 'shift: expected an integer of at least 0', shift);
    check(noise >= 0 && Number.isFinite(noise), 'noise: expected a number of at least 0', noise);
    check(!flip || inputShape.length === 3, 'flip: expected images [height, width, channels]', inputShape);
    check(inputShape.length > 1 || (crop === 1 && shift === 0), 'crop, shift: expected images or [time, channels]', inputShape);
    // A time series is an image one step wide, so that time is the vertical axis and channels stay last.
    const extents = inputShape.length === 3 ? inputShape : [inputShape.length === 2 ? inputShape[0] : 1, 1, inputShape[inputShape.length - 1]];
    [this.height, this.width, this.channels] = extents as [number, number, number];
    this.rng = new Rng(seed, rngPurpose.augment);
    this.scratch = new Float32Array(this.height * this.width * this.channels);
  }

  /**
   * Writes the augmented form of one sample.
   *
   * @param x one sample, left as it is
   * @param out as long as `x`; may be `x` itself
   * @param epoch integer >= 0, below 2^24
   * @param sampleIndex index of the sample in its data set
   * @throws TinypropError ERR_TINYPROP_SHAPE if a length is wrong
   */
  apply(x: Float32Array, out: Float32Array, epoch: number, sampleIndex: number): void {
    const size = this.scratch.length;
    if (x.length !== size || out.length !== size) {
      throw new TinypropError('ERR_TINYPROP_SHAPE', `augmentation: expected ${size} values, found ${x.length} in and ${out.length} out`, { expected: size });
    }
    this.rng.seek(rngPurpose.augment, epoch, sampleIndex);
    const { crop = 1, shift = 0, flip = false, noise = 0 } = this.options;
    // The draws are made in a fixed order and number, so that one option never changes what another draws.
    const draws = Array.from({ length: 8 }, () => this.rng.unit()) as [number, number, number, number, number, number, number, number];
    if (crop < 1) this.crop(x, crop, draws[0], draws[1], draws[2], draws[3]);
    else this.scratch.set(x);
    const dy = this.height > 1 ? Math.floor(draws[4] * (2 * shift + 1)) - shift : 0;
    const dx = this.width > 1 ? Math.floor(draws[5] * (2 * shift + 1)) - shift : 0;
    this.place(out, dy, dx, flip && draws[6] < 0.5);
    if (noise > 0) for (let i = 0; i < size; i++) out[i] = (out[i] as number) + noise * this.rng.normal();
  }

  /** A window of random size and place, scaled to the full size, into scratch. */
  private crop(x: Float32Array, smallest: number, uHeight: number, uWidth: number, uTop: number, uLeft: number): void {
    const { height, width, channels, scratch } = this;
    const windowHeight = (smallest + (1 - smallest) * uHeight) * height;
    const windowWidth = (smallest + (1 - smallest) * uWidth) * width;
    const top = uTop * (height - windowHeight);
    const left = uLeft * (width - windowWidth);
    for (let row = 0, to = 0; row < height; row++) {
      const sy = clamp(top + ((row + 0.5) * windowHeight) / height - 0.5, height - 1);
      const y0 = Math.floor(sy);
      const y1 = Math.min(y0 + 1, height - 1);
      for (let column = 0; column < width; column++) {
        const sx = clamp(left + ((column + 0.5) * windowWidth) / width - 0.5, width - 1);
        const x0 = Math.floor(sx);
        const x1 = Math.min(x0 + 1, width - 1);
        for (let c = 0; c < channels; c++) {
          const at = (yy: number, xx: number) => x[(yy * width + xx) * channels + c] as number;
          const above = at(y0, x0) + (at(y0, x1) - at(y0, x0)) * (sx - x0);
          const below = at(y1, x0) + (at(y1, x1) - at(y1, x0)) * (sx - x0);
          scratch[to++] = above + (below - above) * (sy - y0);
        }
      }
    }
  }

  /** Scratch moved by (dy, dx), then mirrored if asked, into out. */
  private place(out: Float32Array, dy: number, dx: number, mirror: boolean): void {
    const { height, width, channels, scratch } = this;
    for (let row = 0, to = 0; row < height; row++) {
      const fromRow = row - dy;
      for (let column = 0; column < width; column++) {
        const fromColumn = (mirror ? width - 1 - column : column) - dx;
        const inside = fromRow >= 0 && fromRow < height && fromColumn >= 0 && fromColumn < width;
        const from = (fromRow * width + fromColumn) * channels;
        for (let c = 0; c < channels; c++) out[to++] = inside ? (scratch[from + c] as number) : 0;
      }
    }
  }
}

/** The same as `new Augmenter(options, inputShape, seed)`. */
export function augment(options: AugmentOptions, inputShape: readonly number[], seed: number): Augmenter {
  return new Augmenter(options, inputShape, seed);
}

function clamp(value: number, most: number): number {
  return Math.min(most, Math.max(0, value));
}

function check(ok: boolean, expected: string, found: unknown): void {
  if (!ok) throw new TinypropError('ERR_TINYPROP_ARG', `${expected}, found ${JSON.stringify(found)}`, { found });
}
