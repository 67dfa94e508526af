// SPDX-License-Identifier: Apache-2.0

/** Multiply-accumulates a millisecond of a slow machine: where the first chunk starts. */
const slowMacsPerMs = 2e5;

/**
 * Number of samples that a thread works on before it reports: long enough that crossing into native code costs
 * nothing, short enough that progress, abort and predictions are prompt. Has no influence on results.
 * @internal
 */
export class ChunkSize {
  private samples: number;

  /**
   * @param batch samples per optimizer step: chunks hold whole batches
   * @param macsPerSample first guess of the work
   * @param targetMs wanted duration
   */
  constructor(
    private readonly batch: number,
    macsPerSample: number,
    private readonly targetMs: number,
  ) {
    this.samples = (slowMacsPerMs * targetMs) / Math.max(1, macsPerSample);
  }

  /** Samples of the next chunk, a multiple of the batch. */
  get size(): number {
    return Math.max(1, Math.round(this.samples / this.batch)) * this.batch;
  }

  /** Follows a measurement, at most fourfold at a time. */
  measured(samples: number, ms: number): void {
    const fitting = (samples * this.targetMs) / Math.max(ms, 0.01);
    this.samples = Math.min(Math.max(fitting, this.samples / 4), this.samples * 4, 1e7);
  }
}
