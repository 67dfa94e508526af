// SPDX-License-Identifier: Apache-2.0
import { policyKeys, type RecipeFlags } from './recipe';

/** What `train` writes into a model file beside the data's facts; resume and eval read it. */
export interface TrainingMeta {
  policy: string;
  seed: number;
  /** The recipe as given, defaults filled in. */
  flags: RecipeFlags;
  normalize?: string;
  augment?: string;
  limit?: number;
  /** Exact sums since the start, interruptions included. */
  totals: EffortTotals;
}

const totalKeys = ['samples', 'trained', 'macsForward', 'macsDw', 'macsDx', 'macsWorked', 'macsDenseBackward', 'passed', 'macsDenseForward', 'macsPolicy'] as const;

/** Counters that all effort numbers follow from; integers, so that a resumed run adds up to the same. */
export type EffortTotals = Record<(typeof totalKeys)[number], number>;

/** The efforts of docs/ALGORITHM.md section 6. */
export interface Effort {
  effortBackward: number;
  effortTotal: number;
  trainedFraction: number;
  rowsWorked: number;
}

/** Adds what a run counted to what earlier parts of it did. */
export function addTotals(before: EffortTotals | undefined, now: EffortTotals): EffortTotals {
  return Object.fromEntries(totalKeys.map((key) => [key, (before?.[key] ?? 0) + now[key]])) as EffortTotals;
}

/** Shares of dense training of the same samples. */
export function effortOf({ samples, trained, macsForward, macsDw, macsDx, macsWorked, macsDenseBackward, passed, macsDenseForward }: EffortTotals): Effort {
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  return {
    effortBackward: share(macsDw + macsDx, macsDenseBackward),
    effortTotal: share(macsForward + macsDw + macsDx, macsDenseForward + macsDenseBackward),
    trainedFraction: share(trained, samples + passed),
    rowsWorked: share(macsWorked, macsDenseBackward),
  };
}

const recipeKeys: readonly (keyof RecipeFlags)[] = ['epochs', 'batch', 'lr', 'schedule', 'warmup', 'stepEvery', 'stepGamma', 'momentum', 'weightDecay', 'revisit'];

/** Flags of a recipe, in a fixed order and without others. */
export const trainingKeys: readonly (keyof RecipeFlags)[] = [...recipeKeys, ...policyKeys];

/** The recipe among all flags of a command. */
export function pickRecipe(flags: RecipeFlags): RecipeFlags {
  return Object.fromEntries(trainingKeys.flatMap((key) => (flags[key] === undefined ? [] : [[key, flags[key]]]))) as unknown as RecipeFlags;
}

/** Reads what {@link TrainingMeta} wrote; `undefined` for a file of another origin. */
export function readTrainingMeta(meta: Readonly<Record<string, unknown>>): TrainingMeta | undefined {
  const training = meta['training'] as Partial<TrainingMeta> | undefined;
  if (typeof training !== 'object' || training === null) return undefined;
  const { policy, seed, flags } = training;
  // Files of versions whose policies looked at every sample.
  const totals = training.totals && ({ passed: 0, macsDenseForward: training.totals.macsForward, macsPolicy: 0, ...(training.totals as object) } as EffortTotals);
  const whole = typeof policy === 'string' && typeof seed === 'number' && typeof flags === 'object' && flags !== null;
  if (!whole || typeof totals !== 'object' || totals === null || totalKeys.some((key) => typeof totals[key] !== 'number')) return undefined;
  return { ...(training as TrainingMeta), totals };
}
