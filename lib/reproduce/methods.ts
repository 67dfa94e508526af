// SPDX-License-Identifier: Apache-2.0
import { densePolicy, full, meProp, type PolicySpec, tinyProp, tinyPropV2 } from '../policy';

/** A method of the comparison. */
export interface ReproductionMethod {
  name: string;
  title: string;
  /** Its policy; `x` is the parameter that sets its effort, if it has one. */
  policy(x: number): PolicySpec;
  /** A rival: `x` is chosen so that its backward effort is that of TinyPropv2. First guess for an effort, and bounds. */
  effort?: { guess(target: number): number; least: number; most: number };
}

/** Every method, in the order of the tables; a new one is a row here. */
export const methods: readonly ReproductionMethod[] = [
  { name: 'full', title: 'Full training', policy: full },
  { name: 'dense', title: 'Full training, zeros worked on', policy: densePolicy },
  { name: 'meprop', title: 'meProp', policy: (s) => meProp({ s }), effort: { guess: (target) => target, least: 0.0005, most: 1 } },
  {
    name: 'tinyprop',
    title: 'TinyProp',
    // The bounds of the preset, both by the same factor.
    policy: (x) => tinyProp({ sMin: 0.1 * x, sMax: x }),
    effort: { guess: (target) => Math.min(1, 4 * target), least: 0.001, most: 1 },
  },
  { name: 'tinypropv2', title: 'TinyPropv2', policy: () => tinyPropV2() },
];

/** Whose effort the rivals get, and whose accuracy all are compared with. */
export const reference = { effort: 'tinypropv2', accuracy: 'full' } as const;

/** Those that run if nothing else is asked for: `dense` gives the bits of `full`. */
export const defaultMethods = methods.filter(({ name }) => name !== 'dense').map(({ name }) => name);

/** How far a rival's effort may be from TinyPropv2's. */
export const effortTolerance = 0.05;
const maxTries = 6;

/**
 * The parameter at which a method has the wanted effort, by secants of the logarithms; `measure` runs it. Ends within the tolerance, at a bound, or after six runs
 * with the best of them.
 */
export async function matchEffort({ effort }: ReproductionMethod, target: number, measure: (x: number) => Promise<number>): Promise<number> {
  if (effort === undefined) return 1;
  // Few digits: x is part of what a trial is named by.
  const within = (x: number): number => Number(Math.min(effort.most, Math.max(effort.least, x)).toPrecision(4));
  const tried: { x: number; off: number }[] = [];
  let x = within(effort.guess(target));
  while (tried.length < maxTries && !tried.some((t) => t.x === x)) {
    const off = Math.log((await measure(x)) / target);
    const before = tried.at(-1);
    tried.push({ x, off });
    // Not a number: the training diverged.
    if (Math.abs(Math.exp(off) - 1) <= effortTolerance || !Number.isFinite(off)) break;
    const slope = before === undefined ? 1 : (off - before.off) / Math.log(x / before.x);
    // Effort grows with x; a step of the selection may hide that.
    x = within(x * Math.exp(-off / Math.min(3, Math.max(0.3, slope))));
  }
  return tried.reduce((best, t) => (Math.abs(t.off) < Math.abs(best.off) || Number.isNaN(best.off) ? t : best)).x;
}
