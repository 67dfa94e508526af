// SPDX-License-Identifier: Apache-2.0
import { deviation, mean } from '../report/format';
import { methods, reference } from './methods';
import type { MethodSummary, RunSummary, SetSummary, Summary } from './summary';

/** How much more accurate one method is than another, seed by seed. */
export interface Difference {
  /** Mean over the seeds that both have, as a share. */
  mean: number;
  /** Its standard error; null of a single seed. */
  error: number | null;
  seeds: number;
  /** It is beyond what seeds alone make of two equal methods 19 times in 20 (Student's t, two-sided). */
  certain: boolean;
}

/** What was promised of TinyPropv2: points below full training on a set and on average, backward effort, standard error of the difference. */
export const promised = { points: 0.01, average: 0.007, effort: 0.1, error: 0.003 };

/** Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom; beyond them 1.96 + 2.6 / n is within 0.01. */
const quantiles = [12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];

/** Compares runs of the same seeds; null: there are none that both finished. */
export function difference(a: readonly RunSummary[], b: readonly RunSummary[]): Difference | null {
  const pairs = a.flatMap(({ seed, accuracy }) => {
    const other = b.find((run) => run.seed === seed)?.accuracy ?? null;
    return accuracy === null || other === null ? [] : [accuracy - other];
  });
  const centre = mean(pairs);
  if (centre === undefined) return null;
  const error = pairs.length < 2 ? null : (deviation(pairs) as number) / Math.sqrt(pairs.length);
  const t = quantiles[pairs.length - 2] ?? 1.96 + 2.6 / (pairs.length - 1);
  return { mean: centre, error, seeds: pairs.length, certain: error !== null && Math.abs(centre) > t * error };
}

/** Those with a target of their own; all others that are matched get what TinyPropv2 has. */
const ownTarget = new Set(methods.flatMap(({ name, match }) => (match?.target === undefined ? [] : [name])));

/** Was its effort (or rate) to be TinyPropv2's? */
export function isRival({ name, matched }: MethodSummary): boolean {
  return matched !== null && !ownTarget.has(name);
}

/** A rival at TinyPropv2's effort. */
export interface Rivalry {
  rival: MethodSummary;
  /** TinyPropv2 minus the rival; null: all runs of one of them diverged. */
  lead: Difference | null;
}

/** What a set says of TinyPropv2. */
export interface Verdict {
  set: SetSummary;
  own: MethodSummary;
  /** Against full training. */
  against: Difference;
  /** The same of the paper's accuracies. */
  paper: number | null;
  missed: string[];
  rivals: Rivalry[];
  /** Those whose effort is not TinyPropv2's: they are shown, and not counted. */
  unmatched: Rivalry[];
  /** Random skip that trains as many samples. */
  atRate: Rivalry | undefined;
}

/** Points of percent: `-0.0123` gives `-1.23`. */
const points = (share: number, digits = 2): string => (share * 100).toFixed(digits);

/** One for every set that has full training and TinyPropv2, or another method in its place. */
export function verdicts(sets: readonly SetSummary[], of: string = reference.effort): Verdict[] {
  return sets.flatMap((set) => {
    const [own, full] = [of, reference.accuracy].map((name) => set.methods.find((method) => method.name === name));
    const against = own && full && difference(own.runs, full.runs);
    if (!against) return [];
    const rivalry = (rival: MethodSummary): Rivalry => ({ rival, lead: difference(own.runs, rival.runs) });
    const atEffort = set.methods.filter((method) => isRival(method) && method.matched?.what === 'effortBackward');
    const effort = own.effortBackward ?? 1;
    const atRate = set.methods.find(({ matched }) => matched?.what === 'trainedFraction');
    return {
      set,
      own,
      against,
      paper: own.paper === null || full.paper === null ? null : own.paper - full.paper,
      missed: [
        ...(against.mean < -promised.points ? [`accuracy by ${points(-against.mean - promised.points)}`] : []),
        ...(effort > promised.effort ? [`effort by ${points(effort - promised.effort, 1)}`] : []),
        ...(against.error === null || against.error > promised.error ? [`standard error${against.error === null ? '' : ` by ${points(against.error - promised.error)}`}`] : []),
      ],
      rivals: atEffort.filter(({ matched }) => matched?.within).map(rivalry),
      unmatched: atEffort.filter(({ matched }) => !matched?.within).map(rivalry),
      atRate: atRate && rivalry(atRate),
    };
  });
}

/** Mean over sets of TinyPropv2's difference from full training, and its standard error. */
export function average(found: readonly Verdict[]): Pick<Difference, 'mean' | 'error'> & { paper: number | null; effort: number } {
  const errors = found.map(({ against }) => against.error);
  const papers = found.flatMap(({ paper }) => (paper === null ? [] : [paper]));
  return {
    mean: mean(found.map(({ against }) => against.mean)) as number,
    error: errors.includes(null) ? null : Math.sqrt(errors.reduce((sum: number, error) => sum + (error as number) ** 2, 0)) / errors.length,
    paper: papers.length === found.length ? (mean(papers) as number) : null,
    effort: mean(found.map(({ own }) => own.effortBackward ?? undefined)) ?? NaN,
  };
}

/** Sets on which no rival at equal effort is ahead: by the plain means, and beyond noise. */
export function unbeaten(found: readonly Verdict[]): { plainly: number; certainly: number } {
  const compared = found.filter(({ rivals }) => rivals.length > 0);
  return {
    plainly: compared.filter(({ rivals }) => rivals.every(({ lead }) => lead === null || lead.mean >= 0)).length,
    certainly: compared.filter(({ rivals }) => !rivals.some(({ lead }) => lead?.certain && lead.mean < 0)).length,
  };
}

/** Names of a summary's methods and their titles, in its order. */
export function methodsOf({ sets }: Pick<Summary, 'sets'>): Map<string, string> {
  return new Map(sets.flatMap(({ methods }) => methods.map(({ name, title }) => [name, title] as const)));
}
