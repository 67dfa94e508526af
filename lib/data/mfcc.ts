// SPDX-License-Identifier: Apache-2.0

/** The front end of MLPerf Tiny keyword spotting: one second at 16 kHz becomes 49 frames. */
export const speech = {
  sampleRate: 16000,
  samples: 16000,
  frameLength: 480,
  frameStep: 320,
  frames: 49,
  fftLength: 512,
  melBands: 40,
  lowestHz: 20,
  highestHz: 4000,
  coefficients: 10,
} as const;

const BINS = speech.fftLength / 2 + 1;

/** HTK's mel scale. */
function mel(hz: number): number {
  return 1127 * Math.log(1 + hz / 700);
}

/**
 * MFCC or log-mel features as in MLPerf Tiny's keyword spotting (`get_dataset.py` of the reference
 * benchmark, which uses tf.signal): the clip divided by its largest magnitude, frames of 480 samples every
 * 320, periodic Hann window, magnitude of a 512-point FFT, 40 triangular bands from 20 to 4000 Hz on the
 * HTK mel scale (DC left out), natural logarithm of the band plus 1e-6; MFCC: DCT-II (factor 2) times
 * 1/sqrt(80), first 10 coefficients. Computed in float64, stored as float32.
 */
export class SpeechFrontEnd {
  /** Features per frame: 10 for `mfcc`, 40 for `logmel`. */
  readonly features: number;
  private readonly window: Float64Array;
  private readonly weights: { first: number; values: Float64Array }[];
  private readonly dct: Float64Array;
  private readonly cosines: Float64Array;
  private readonly sines: Float64Array;
  private readonly real = new Float64Array(speech.fftLength);
  private readonly imag = new Float64Array(speech.fftLength);
  private readonly bands = new Float64Array(speech.melBands);
  private readonly magnitude = new Float64Array(BINS);

  constructor(readonly kind: 'mfcc' | 'logmel' = 'mfcc') {
    const { frameLength, fftLength, melBands, coefficients } = speech;
    this.features = kind === 'mfcc' ? coefficients : melBands;
    this.window = Float64Array.from({ length: frameLength }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / frameLength));
    this.cosines = Float64Array.from({ length: fftLength / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / fftLength));
    this.sines = Float64Array.from({ length: fftLength / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / fftLength));
    this.weights = melWeights();
    const scale = 2 / Math.sqrt(2 * melBands);
    this.dct = Float64Array.from({ length: coefficients * melBands }, (_, i) => {
      const k = Math.floor(i / melBands);
      return scale * Math.cos((Math.PI * k * (2 * (i % melBands) + 1)) / (2 * melBands));
    });
  }

  /**
   * Features of one clip.
   *
   * @param samples up to 16000 samples at 16 kHz; fewer are followed by zeros, more are left out
   * @param out 49 x {@link features} values, frame after frame
   */
  compute(samples: Float32Array, out: Float32Array): void {
    const n = Math.min(samples.length, speech.samples);
    let largest = 0;
    for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(samples[i] as number));
    const gain = largest > 0 ? 1 / largest : 0;
    // Two real frames share one complex transform: one as the real part, one as the imaginary part.
    for (let frame = 0; frame < speech.frames; frame += 2) {
      this.load(this.real, samples, n, frame, gain);
      this.load(this.imag, samples, n, frame + 1, gain);
      this.transform();
      this.emit(frame, 1, out);
      if (frame + 1 < speech.frames) this.emit(frame + 1, -1, out);
    }
  }

  private load(into: Float64Array, samples: Float32Array, n: number, frame: number, gain: number): void {
    const from = frame * speech.frameStep;
    into.fill(0);
    const count = Math.min(speech.frameLength, n - from);
    for (let i = 0; i < count; i++) into[i] = (samples[from + i] as number) * gain * (this.window[i] as number);
  }

  /** In-place radix-2 FFT (decimation in time). */
  private transform(): void {
    const { real, imag, cosines, sines } = this;
    const n = speech.fftLength;
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        swap(real, i, j);
        swap(imag, i, j);
      }
    }
    for (let half = 1; half < n; half *= 2) {
      const stride = n / (2 * half);
      for (let start = 0; start < n; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const cos = cosines[k * stride] as number;
          const sin = sines[k * stride] as number;
          const a = start + k;
          const b = a + half;
          const re = (real[b] as number) * cos - (imag[b] as number) * sin;
          const im = (real[b] as number) * sin + (imag[b] as number) * cos;
          real[b] = (real[a] as number) - re;
          imag[b] = (imag[a] as number) - im;
          real[a] = (real[a] as number) + re;
          imag[a] = (imag[a] as number) + im;
        }
      }
    }
  }

  /** Magnitudes of the frame in the real part (sign 1) or the imaginary part (-1), then its features. */
  private emit(frame: number, sign: 1 | -1, out: Float32Array): void {
    const { real, imag, magnitude } = this;
    const n = speech.fftLength;
    for (let k = 0; k < BINS; k++) {
      const mirror = (n - k) % n;
      const re = (real[k] as number) + sign * (real[mirror] as number);
      const im = (imag[k] as number) - sign * (imag[mirror] as number);
      magnitude[k] = Math.sqrt(re * re + im * im) / 2;
    }
    this.weights.forEach(({ first, values }, band) => {
      let sum = 0;
      for (let i = 0; i < values.length; i++) sum += (values[i] as number) * (magnitude[first + i] as number);
      this.bands[band] = Math.log(sum + 1e-6);
    });
    const at = frame * this.features;
    if (this.kind === 'logmel') {
      out.set(this.bands, at);
      return;
    }
    for (let k = 0; k < this.features; k++) {
      let sum = 0;
      for (let band = 0; band < speech.melBands; band++) sum += (this.dct[k * speech.melBands + band] as number) * (this.bands[band] as number);
      out[at + k] = sum;
    }
  }
}

/** Triangular bands, straight on the mel scale; only the bins that are not zero. */
function melWeights(): { first: number; values: Float64Array }[] {
  const { melBands, lowestHz, highestHz, sampleRate, fftLength } = speech;
  const low = mel(lowestHz);
  const step = (mel(highestHz) - low) / (melBands + 1);
  return Array.from({ length: melBands }, (_, band) => {
    const values: number[] = [];
    let first = 0;
    for (let bin = 1; bin < BINS; bin++) {
      const position = (mel((bin * sampleRate) / fftLength) - low) / step - band;
      const weight = Math.min(position, 2 - position);
      if (weight <= 0) continue;
      if (values.length === 0) first = bin;
      values.push(weight);
    }
    return { first, values: Float64Array.from(values) };
  });
}

function swap(values: Float64Array, i: number, j: number): void {
  const kept = values[i] as number;
  values[i] = values[j] as number;
  values[j] = kept;
}
