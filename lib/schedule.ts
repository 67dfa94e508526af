// SPDX-License-Identifier: Apache-2.0

/** What the lengths of a schedule count; a Trainer converts epochs to batches. */
export type ScheduleUnit = 'epochs' | 'batches';

/** Learning rate as a function of the batches seen, skipped ones included. */
export interface ScheduleSpec {
  /** Which curve. */
  readonly schedule: 'constant' | 'cosine' | 'step';
  /** What `warmup`, `total` and `every` count. */
  readonly unit: ScheduleUnit;
  /** Warm-up: the rate rises in equal steps to lr; 0: none. */
  readonly warmup: number;
  /** Cosine: where the rate reaches 0, warm-up included; undefined: at the end of `fit`. */
  readonly total?: number;
  /** Step: distance between two reductions. */
  readonly every?: number;
  /** Step: factor of a reduction. */
  readonly gamma?: number;
}

/** What every schedule takes. */
export interface ScheduleOptions {
  /** Length of the warm-up; default 0. */
  warmup?: number;
  /** What lengths count; default `epochs`. */
  unit?: ScheduleUnit;
}

/** The learning rate stays as it is, after the warm-up. */
export function constant(options: ScheduleOptions = {}): ScheduleSpec {
  return { schedule: 'constant', unit: options.unit ?? 'epochs', warmup: options.warmup ?? 0 };
}

/**
 * `lr / 2 * (1 + cos(pi * t))`, t from 0 after the warm-up to 1 at the end.
 *
 * @param options total: where the rate reaches 0; default the end of `fit` (`Model.configure` needs it)
 */
export function cosine(options: ScheduleOptions & { total?: number } = {}): ScheduleSpec {
  const spec = { schedule: 'cosine' as const, unit: options.unit ?? 'epochs', warmup: options.warmup ?? 0 };
  return options.total === undefined ? spec : { ...spec, total: options.total };
}

/**
 * `lr * gamma^floor(t / every)`, t counted after the warm-up.
 *
 * @param options every: above 0; gamma: above 0 to 1, default 0.1
 */
export function step(options: ScheduleOptions & { every: number; gamma?: number }): ScheduleSpec {
  return {
    schedule: 'step',
    unit: options.unit ?? 'epochs',
    warmup: options.warmup ?? 0,
    every: options.every,
    gamma: options.gamma ?? 0.1,
  };
}
