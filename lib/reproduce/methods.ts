// SPDX-License-Identifier: Apache-2.0
import { sparseUpdate } from '../masks/sparse-update';
import { tinyTrain } from '../masks/tiny-train';
import { velocity } from '../masks/velocity';
import { densePolicy, eif, emp, full, meProp, randomSkip, selectiveBackprop, tinyProp, tinyPropV2 } from '../policy';
import type { RecipeOptions } from '../recipe';

/** What a method says of a recipe. */
export type MethodRecipe = Required<Pick<RecipeOptions, 'policy'>> & Pick<RecipeOptions, 'revisit'>;

/** A method of the comparison. */
export interface ReproductionMethod {
  name: string;
  title: string;
  /** `x` is the parameter that sets its effort, if it has one. */
  recipe(x: number): MethodRecipe;
  /** `x`, with which the effort grows, is chosen so that the method has `target` of `what`; absent: a rival, it gets what TinyPropv2 has. First guess for that, and bounds. */
  match?: { what: 'effortBackward' | 'trainedFraction'; target?: number; guess(target: number): number; least: number; most: number };
}

/** As in the papers: the default decides by whole channels where that is cheaper, and stands in a row of its own. */
const select = 'element';
const proportional = { what: 'effortBackward', guess: (target: number) => target, least: 0.0005, most: 1 } as const;

/** Every method, in the order of the tables; a new one is a row here. */
export const methods: readonly ReproductionMethod[] = [
  { name: 'full', title: 'Full training', recipe: () => ({ policy: full() }) },
  { name: 'dense', title: 'Full training, zeros worked on', recipe: () => ({ policy: densePolicy() }) },
  {
    name: 'sparseUpdate',
    title: 'Sparse Update',
    // A short run for every layer and ratio, before every training: few samples, or MobileNetV2 takes minutes.
    recipe: (effort) => ({ policy: sparseUpdate({ effort, samples: 300, held: 300 }) }),
    match: proportional,
  },
  { name: 'velocity', title: 'Velocity', recipe: (effort) => ({ policy: velocity({ effort }) }), match: proportional },
  { name: 'tinyTrain', title: 'TinyTrain', recipe: (effort) => ({ policy: tinyTrain({ effort }) }), match: proportional },
  // With equal factors the norms of the weights, which hardly change, choose nearly alone, and most channels never train: MNIST, 3 epochs at 1 %: 57 % against 90 %.
  { name: 'emp', title: 'EMP', recipe: (s) => ({ policy: emp({ s, weightShare: 0.01 }) }), match: proportional },
  { name: 'eif', title: 'EIF', recipe: (rate) => ({ policy: eif({ rate }) }), match: proportional },
  { name: 'meprop', title: 'meProp', recipe: (s) => ({ policy: meProp({ s, select }) }), match: proportional },
  { name: 'random', title: 'Random skip, same effort', recipe: (rate) => ({ policy: randomSkip({ rate }) }), match: proportional },
  { name: 'random-rate', title: 'Random skip, same rate', recipe: (rate) => ({ policy: randomSkip({ rate }) }), match: { ...proportional, what: 'trainedFraction' } },
  {
    name: 'selective',
    title: 'Selective-Backprop',
    // 1 / (1 + beta) of the samples train.
    recipe: (x) => ({ policy: selectiveBackprop({ beta: Number((1 / x - 1).toPrecision(4)) }) }),
    match: { ...proportional, least: 0.002, most: 0.999 },
  },
  {
    name: 'tinyprop',
    title: 'TinyProp',
    // The bounds of the preset, both by the same factor.
    recipe: (x) => ({ policy: tinyProp({ sMin: 0.1 * x, sMax: x, select }) }),
    match: { what: 'effortBackward', guess: (target) => Math.min(1, 4 * target), least: 0.001, most: 1 },
  },
  { name: 'tinypropv2', title: 'TinyPropv2', recipe: () => ({ policy: tinyPropV2({ select }) }) },
  {
    name: 'tinypropv2-tuned',
    title: 'TinyPropv2 with 9.5 % of the effort',
    // The preset's threshold and least share of rows, by the same factor: what it leaves of a tenth where a set is learned early. Only training decides.
    recipe: (x) => ({ policy: tinyPropV2({ select, tau: Number((0.1 / x).toPrecision(4)), sMin: Math.min(1, Number((0.1 * x).toPrecision(4))) }) }),
    match: { what: 'effortBackward', target: 0.095, guess: () => 1, least: 1, most: 100 },
  },
  { name: 'tinypropv2-auto', title: 'TinyPropv2, channels where cheaper', recipe: () => ({ policy: tinyPropV2() }) },
  { name: 'tinypropv2-revisit', title: 'TinyPropv2 with revisit 8', recipe: () => ({ policy: tinyPropV2({ select }), revisit: 8 }) },
];

/** Whose effort the rivals get, whose accuracy all are compared with, and who has the effort that was promised. */
export const reference = { effort: 'tinypropv2', accuracy: 'full', tuned: 'tinypropv2-tuned' } as const;

/** Those that run if nothing else is asked for: `dense` gives the bits of `full`. */
export const defaultMethods = methods.filter(({ name }) => name !== 'dense').map(({ name }) => name);

/** How far a rival's effort may be from TinyPropv2's. */
export const effortTolerance = 0.05;
/** What is searched for; see {@link ReproductionMethod.match}. */
export type Match = NonNullable<ReproductionMethod['match']>;

/**
 * The parameter at which `measure` gives the target, by secants of the logarithms from a first guess. Ends within the tolerance, at a bound, or
 * after so many tries with the best of them.
 */
export async function search({ least, most }: Match, target: number, guess: number, tries: number, measure: (x: number) => Promise<number>): Promise<number> {
  // Few digits: x is part of what a trial is named by.
  const within = (x: number): number => Number(Math.min(most, Math.max(least, x)).toPrecision(4));
  const tried: { x: number; off: number }[] = [];
  let x = within(guess);
  while (tried.length < tries && !tried.some((t) => t.x === x)) {
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
