// SPDX-License-Identifier: Apache-2.0

/** One epoch of one run, as far as the curves need it. */
export interface ReportEpoch {
  /** 1-based. */
  epoch: number;
  trainLoss: number;
  /** Fraction 0 to 1; absent if the epoch was not evaluated. */
  testAccuracy?: number;
  testLoss?: number;
}

/** One training run. Fractions are 0 to 1, times are seconds. */
export interface ReportRun {
  method: string;
  seed: number;
  /** Test accuracy; absent for losses that have none (mean squared error). */
  accuracy?: number | undefined;
  loss: number;
  /** Backward MACs of the rows kept, as a share of dense training (docs/ALGORITHM.md, Effort). */
  effortBackward: number;
  /** Forward and backward MACs done, as a share of dense training. */
  effortTotal: number;
  /** Share of the samples seen that were trained. */
  trainedFraction: number;
  /** Backward MACs really executed (rows that are not zero), as a share of dense training. */
  rowsWorked?: number | undefined;
  seconds: number;
  history: readonly ReportEpoch[];
}

/** Mean over the seeds of one method. */
export interface ReportSummary {
  method: string;
  accuracyMean?: number | undefined;
  /** Sample standard deviation (n - 1); 0 for a single seed. */
  accuracyStd?: number | undefined;
  lossMean: number;
  effortBackward: number;
  effortTotal: number;
  seconds: number;
}

/** What {@link renderReport} shows. All text is escaped. */
export interface ReportInput {
  title: string;
  /** Name and value pairs under the title: data, model, settings. */
  facts: readonly (readonly [string, string])[];
  /** In the order of the tables. */
  summary: readonly ReportSummary[];
  runs: readonly ReportRun[];
  /** The command that reproduces the report. */
  command: string;
  /** Version and source id of the program. */
  program: string;
}
