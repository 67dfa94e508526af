// SPDX-License-Identifier: Apache-2.0
import type { Dataset } from './data/dataset';
import { stratifiedSplit } from './data/split';
import { TinypropError } from './errors';
import type { Model } from './model';
import { full, type TinyPropV2Options, tinyPropV2 } from './policy';
import type { RecipeOptions } from './recipe';
import { type FitResult, Trainer } from './trainer';

/** Options of {@link tune}. */
export interface TuneOptions {
  /** Everything but the policy; `seed` (default 1) also chooses the samples held out. Its schedule runs over `epochs`. */
  recipe?: Omit<RecipeOptions, 'policy'>;
  /** Epochs of every trial, at least 1; default 3. */
  epochs?: number;
  /** How much accuracy a choice may cost against full training, 0 to 1; of loss, for models without classes, the same as a share. Default 0.005. */
  tolerance?: number;
  /** Share of the training samples that is held out to judge the trials, above 0, below 1; default 0.2. */
  held?: number;
  /** Thresholds to try. */
  taus?: readonly number[];
  /** Bounds `[sMin, sMax]` to try. */
  bounds?: readonly (readonly [number, number])[];
  /** Ends the search with `ERR_TINYPROP_ABORTED`. */
  signal?: AbortSignal;
  /** Called after every trial. */
  onTrial?: (trial: TuneTrial) => void;
}

/** One training of {@link tune}. Fractions are 0 to 1. */
export interface TuneTrial {
  /** Parameters that differ from the preset; null: full training, that the others are measured against. */
  readonly params: Readonly<Pick<TinyPropV2Options, 'tau' | 'sMin' | 'sMax'>> | null;
  /** On the samples held out; 0 for mse. */
  readonly accuracy: number;
  /** On the samples held out. */
  readonly loss: number;
  /** E_bwd (docs/ALGORITHM.md section 6). */
  readonly effortBackward: number;
  /** E_tot. */
  readonly effortTotal: number;
  /** Training time. */
  readonly seconds: number;
  /** Costs no more than the tolerance. */
  readonly good: boolean;
}

/** The trial that {@link tune} chose. */
export interface TunedTrial extends TuneTrial {
  /** For {@link tinyPropV2}. */
  readonly params: Readonly<Pick<TinyPropV2Options, 'tau' | 'sMin' | 'sMax'>>;
}

/** What {@link tune} found. */
export interface TuneResult {
  /** The cheapest good one; if none was good, the most accurate. */
  readonly best: TunedTrial;
  /** `best` costs no more than the tolerance. */
  readonly found: boolean;
  /** Every trial in the order of their runs; full training first. */
  readonly tried: readonly TuneTrial[];
}

/** tau / beta is what decides (docs/ALGORITHM.md section 3), so beta stays 1. */
const defaultTaus = [0.02, 0.05, 0.1, 0.2, 0.4];
/** Beside the preset's 0.1 to 1, which the search for tau has used. */
const defaultBounds = [[0.05, 0.3], [0.1, 0.5], [0.3, 1]] as const;

/**
 * Chooses tau and the bounds of S for {@link tinyPropV2} by short trainings, judged on samples of the training set that no trial
 * trains on: first tau with the preset's bounds, then the bounds with the best tau. The test set is not looked at. The same model, data and
 * options give the same trials, bit for bit.
 *
 * @param open gives a new model, with the same weights every time; it is closed after its trial
 * @param train samples to choose from
 * @throws TinypropError `ERR_TINYPROP_SPEC` for options out of range or too few samples; `ERR_TINYPROP_ABORTED`; those of `fit`.
 *   A trial that diverges is no error but one that is not good; full training that diverges is.
 */
export async function tune(open: () => Model, train: Dataset, options: TuneOptions = {}): Promise<TuneResult> {
  const { recipe = {}, epochs = 3, tolerance = 0.005, held = 0.2, taus = defaultTaus, bounds = defaultBounds, signal, onTrial } = options;
  check(epochs >= 1 && Number.isInteger(epochs), 'epochs', 'an integer of at least 1', epochs);
  check(tolerance >= 0 && tolerance <= 1, 'tolerance', '0 to 1', tolerance);
  check(held > 0 && held < 1, 'held', 'above 0, below 1', held);
  check(taus.length > 0 && bounds.length > 0, 'taus and bounds', 'at least one each', `${taus.length} and ${bounds.length}`);
  const parts = stratifiedSplit(train.labels, train.n, recipe.seed ?? 1, held);
  check(parts.train.length > 0 && parts.test.length > 0, 'train', 'enough samples to hold some out', train.n);
  const data = { train: pick(train, parts.train), test: pick(train, parts.test) };
  const tried: TuneTrial[] = [];

  const run = async (params: TuneTrial['params']): Promise<TuneTrial> => {
    const known = tried.find((trial) => same(trial.params, params));
    if (known) return known;
    const model = open();
    try {
      const policy = params === null ? full() : tinyPropV2(params);
      const fit = new Trainer(model, { ...recipe, policy }).fit(data, { epochs, evaluateEvery: 'end', ...(signal && { signal }) });
      const result = await fit.result.catch((error: unknown) => diverged(error, params));
      if (result?.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', 'tune: stopped');
      const trial = judge(params, result, tried[0], model.loss !== 'mse', tolerance);
      tried.push(trial);
      onTrial?.(trial);
      return trial;
    } finally {
      model.close();
    }
  };

  await run(null);
  const trials: TuneTrial[] = [];
  for (const tau of taus) trials.push(await run({ tau }));
  const tau = choose(trials).params?.tau as number;
  for (const [sMin, sMax] of bounds) trials.push(await run({ tau, sMin, sMax }));
  const best = choose(trials) as TunedTrial;
  return { best, found: best.good, tried };
}

/** A trial that diverges is an answer: not these parameters. Full training that diverges is an error. */
function diverged(error: unknown, params: TuneTrial['params']): null {
  const expected = error instanceof TinypropError && (error.code === 'ERR_TINYPROP_LOSS' || error.code === 'ERR_TINYPROP_DELTA');
  if (params === null || !expected) throw error;
  return null;
}

function check(good: boolean, name: string, expected: string, found: unknown): void {
  if (!good) throw new TinypropError('ERR_TINYPROP_SPEC', `tune: ${name}: expected ${expected}, found ${String(found)}`, { name, found });
}

/** `result` null: the trial diverged. */
function judge(params: TuneTrial['params'], result: FitResult | null, reference: TuneTrial | undefined, classified: boolean, tolerance: number): TuneTrial {
  if (result === null) return { params, accuracy: 0, loss: Infinity, effortBackward: 1, effortTotal: 1, seconds: 0, good: false };
  const { accuracy, loss, effortBackward, effortTotal, seconds } = result;
  const good = reference === undefined || (classified ? accuracy >= reference.accuracy - tolerance : loss <= reference.loss * (1 + tolerance));
  return { params, accuracy, loss, effortBackward, effortTotal, seconds, good };
}

/** The cheapest of the good; else the most accurate, then the one of least loss. */
function choose(trials: readonly TuneTrial[]): TuneTrial {
  const good = trials.filter((trial) => trial.good);
  const order = good.length > 0 ? (a: TuneTrial, b: TuneTrial) => a.effortBackward - b.effortBackward : (a: TuneTrial, b: TuneTrial) => b.accuracy - a.accuracy || a.loss - b.loss;
  return [...(good.length > 0 ? good : trials)].sort(order)[0] as TuneTrial;
}

function same(a: TuneTrial['params'], b: TuneTrial['params']): boolean {
  return a === b || (a !== null && b !== null && a.tau === b.tau && a.sMin === b.sMin && a.sMax === b.sMax);
}

/** Some samples of a data set, copied. */
function pick(data: Dataset, indices: Uint32Array): Dataset {
  const take = <T extends Float32Array | Uint32Array>(from: T, width: number): T => {
    const to = new (from.constructor as new (n: number) => T)(indices.length * width);
    indices.forEach((sample, i) => to.set(from.subarray(sample * width, (sample + 1) * width), i * width));
    return to;
  };
  return {
    ...data,
    n: indices.length,
    x: take(data.x, data.x.length / data.n),
    ...(data.labels && { labels: take(data.labels, 1) }),
    ...(data.targets && { targets: take(data.targets, data.targetSize ?? data.targets.length / data.n) }),
  };
}
