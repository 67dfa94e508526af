// SPDX-License-Identifier: Apache-2.0
import { addon, constant as headerConstant, constantName, guard, listId, listName, type NativeRecipe } from './addon';
import { TinypropError } from './errors';
import { sgd, type OptimizerSpec } from './optimizer';
import { tinyPropV2, type PolicySpec } from './policy';
import { constant, type ScheduleSpec } from './schedule';

/** How a model is trained. */
export interface RecipeOptions {
  /** Which rows and samples are trained; default `tinyPropV2()`. */
  policy?: PolicySpec;
  /** Default `sgd({ lr: 0.01 })`. */
  optimizer?: OptimizerSpec;
  /** Default: `cosine()` in a Trainer, `constant()` in `Model.configure`. */
  schedule?: ScheduleSpec;
  /** Samples per optimizer step, at least 1; default 1. */
  batch?: number;
  /** Seed of initial weights, dropout and order of samples, 0 to 2^53 - 1; default 1. */
  seed?: number;
  /**
   * `ieee` (default): denormals are kept, the bits are the same on every machine. `flush`: denormals are zero, the same bits on
   * all x86-64 machines, and on all Arm ones; for training only, predictions keep denormals.
   */
  numerics?: 'ieee' | 'flush';
  /** How int8 weights are updated. */
  int8?: Int8Update;
  /**
   * A sample that was not trained is not even looked at for its next 1, 2, 4, ... visits, at most for so many (1 to 64); once it trains, it
   * begins anew. 0 (default): every sample at every visit. `Trainer.fit` does so; `Model.step` does not.
   */
  revisit?: number;
  /** Epochs of `Trainer.fit` when its own options do not say. */
  epochs?: number;
}

/** How int8 weights, which move by whole steps, are updated (docs/INT8.md). */
export interface Int8Update {
  /**
   * `stochastic` (default; from the seed), `fraction` (the same to 1/256 of a step: a byte of training state a weight), `residual` (what
   * rounding leaves goes to the next weight of the row) or `nearest` (small updates are lost).
   */
  rounding?: 'stochastic' | 'fraction' | 'residual' | 'nearest';
  /** true (default): the gradient in units of each weight's scale; false: the plain one of the quantised weights, for comparison. */
  scaled?: boolean;
}

/** Length of a run, to convert epochs to batches. @internal */
export interface RunLength {
  epochs: number;
  batchesPerEpoch: number;
}

const maxU32 = 0xffffffff;
const numberParams = ['sMin', 'sMax', 'zeta', 'tau', 'beta', 'dMin', 'dMax', 'rate', 'gain', 'history', 'stale', 'weightShare', 'deltaShare'];

function recipeError(field: string, expected: string, found: unknown): TinypropError {
  return new TinypropError('ERR_TINYPROP_RECIPE', `recipe: ${field}: expected ${expected}, found ${String(found)}`, {
    field,
    expected,
    found,
  });
}

function inRange(field: string, value: unknown, test: (x: number) => boolean, expected: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || !test(value)) throw recipeError(field, expected, value);
  return value;
}

function mode(group: string, field: string, value: unknown): { kind: number; decay?: number; fixed?: number } {
  if (typeof value === 'string') return { kind: headerConstant(group, value) };
  if (typeof value === 'object' && value !== null) {
    if ('decay' in value) {
      return { kind: headerConstant(group, 'decay'), decay: inRange(`${field}.decay`, value.decay, (x) => x > 0 && x <= 1, 'a number above 0 to 1') };
    }
    if ('fixed' in value) {
      return { kind: headerConstant(group, 'fixed'), fixed: inRange(`${field}.fixed`, value.fixed, (x) => x > 0, 'a number above 0') };
    }
  }
  throw recipeError(field, 'a mode', JSON.stringify(value));
}

function applyPolicy(recipe: NativeRecipe, spec: PolicySpec): NativeRecipe {
  const id = listId('policy', spec.policy);
  if (id === undefined) throw recipeError('policy', 'a policy of describe()', spec.policy);
  const out = { ...guard('recipe', () => addon().recipePreset(recipe, spec.preset)), policy: id };
  const { ymax, alpha, outputDense, select, steer, ...numbers } = spec.params;
  for (const [field, value] of Object.entries(numbers)) {
    if (value === undefined) continue;
    if (!numberParams.includes(field)) throw recipeError('policy', 'a known parameter', field);
    (out as unknown as Record<string, number>)[field] = inRange(`policy.${field}`, value, () => true, 'a finite number');
  }
  inRange('policy.sMin', out.sMin, (x) => x >= 0 && (spec.policy === 'meprop' || spec.policy === 'emp' || x <= out.sMax), 'a share from 0 to sMax');
  inRange('policy.sMax', out.sMax, (x) => x > 0 && x <= 1, 'a share above 0 to 1');
  inRange('policy.zeta', out.zeta, (x) => x > 0 && x <= 1, 'a factor above 0 to 1');
  inRange('policy.rate', out.rate, (x) => x > 0 && x <= 1, 'a share above 0 to 1');
  inRange('policy.gain', out.gain, (x) => x > 0 && x <= 1, 'a number above 0 to 1');
  inRange('policy.history', out.history, (x) => Number.isInteger(x) && x >= 1 && x <= headerConstant('limit', 'history'), 'an integer from 1 to 65536');
  inRange('policy.stale', out.stale, (x) => Number.isInteger(x) && x >= 1 && x <= maxU32, 'an integer of at least 1');
  if (spec.policy === 'tinypropv2' || spec.policy === 'steered') checkDecision(out);
  inRange('policy.weightShare', out.weightShare, (x) => x >= 0, 'a number of at least 0');
  inRange('policy.deltaShare', out.deltaShare, (x) => x >= 0 && (spec.policy !== 'emp' || x + out.weightShare > 0), 'a number of at least 0, and above 0 with weightShare 0');
  if (spec.policy === 'selective') inRange('policy.beta', out.beta, (x) => x > 0, 'a number above 0');
  if (spec.policy === 'steered') inRange('policy.tau', out.tau, (x) => x > out.dMin * out.beta, 'a threshold above dMin * beta, for theta to start from');
  if (steer !== undefined) out.steer = headerConstant('steer', steer);
  if (ymax !== undefined) {
    const { kind, decay, fixed } = mode('max', 'policy.ymax', ymax);
    out.ymaxMode = kind;
    out.ymaxDecay = decay ?? out.ymaxDecay;
    out.ymaxFixed = fixed ?? out.ymaxFixed;
  }
  if (alpha !== undefined) {
    const { kind, decay, fixed } = mode('max', 'policy.alpha', alpha);
    out.alphaMode = kind;
    out.alphaDecay = decay ?? out.alphaDecay;
    out.alphaFixed = fixed ?? out.alphaFixed;
  }
  if (outputDense !== undefined) out.outputDense = outputDense ? 1 : 0;
  if (select !== undefined) out.select = headerConstant('select', select);
  return out;
}

/** theta = (tau / beta - dMin) / (dMax - dMin) must stay below 1, or nothing would ever train. */
function checkDecision(recipe: NativeRecipe): void {
  inRange('policy.beta', recipe.beta, (x) => x > 0, 'a number above 0');
  inRange('policy.dMax', recipe.dMax, (x) => x > recipe.dMin, `a number above dMin = ${recipe.dMin}`);
  const theta = (recipe.tau / recipe.beta - recipe.dMin) / (recipe.dMax - recipe.dMin);
  if (!(theta < 1)) {
    throw new TinypropError(
      'ERR_TINYPROP_RECIPE',
      `recipe: no sample would ever be trained: theta = (tau / beta - dMin) / (dMax - dMin) = ${theta}, expected below 1`,
      { theta },
    );
  }
}

function batches(spec: ScheduleSpec, field: 'warmup' | 'every' | 'total', run: RunLength | null): number {
  const value = inRange(`schedule.${field}`, spec[field] ?? 0, (x) => x >= 0, 'a number of at least 0');
  if (spec.unit === 'epochs' && value > 0 && run === null) {
    throw recipeError(`schedule.${field}`, "batches (unit: 'batches'): only a Trainer knows how many batches an epoch has", `${value} epochs`);
  }
  const count = Math.round(spec.unit === 'epochs' ? value * (run?.batchesPerEpoch ?? 0) : value);
  return inRange(`schedule.${field}`, count, (x) => x <= maxU32, 'at most 2^32 - 1 batches');
}

function applySchedule(recipe: NativeRecipe, spec: ScheduleSpec, run: RunLength | null): void {
  recipe.scheduleKind = headerConstant('schedule', spec.schedule);
  recipe.scheduleWarmup = batches(spec, 'warmup', run);
  if (spec.schedule === 'cosine') {
    const end = run === null ? 0 : run.epochs * run.batchesPerEpoch;
    recipe.scheduleTotal = spec.total === undefined ? end : batches(spec, 'total', run);
    inRange('schedule.total', recipe.scheduleTotal, (x) => x >= 1 && x <= maxU32, 'at least 1 batch; give cosine() a total');
    inRange('schedule.warmup', recipe.scheduleWarmup, (x) => x <= recipe.scheduleTotal, `at most ${recipe.scheduleTotal} batches, the whole run`);
  }
  if (spec.schedule === 'step') {
    recipe.scheduleEvery = inRange('schedule.every', batches(spec, 'every', run), (x) => x >= 1, 'at least 1 batch');
    recipe.scheduleGamma = inRange('schedule.gamma', spec.gamma, (x) => x > 0 && x <= 1, 'a factor above 0 to 1');
  }
}

/**
 * The core's recipe for these options.
 *
 * @param run length of the run, or null when only batches are known
 * @throws TinypropError `ERR_TINYPROP_RECIPE` naming the field
 * @internal
 */
export function nativeRecipe(options: RecipeOptions, run: RunLength | null): NativeRecipe {
  const recipe = applyPolicy(addon().recipeDefault(), options.policy ?? tinyPropV2());
  const optimizer = options.optimizer ?? sgd();
  const id = listId('optimizer', optimizer.optimizer);
  if (id === undefined) throw recipeError('optimizer', 'an optimizer of describe()', optimizer.optimizer);
  recipe.optimizer = id;
  recipe.lr = inRange('optimizer.lr', optimizer.lr, (x) => x > 0, 'a number above 0');
  recipe.momentum = inRange('optimizer.mu', optimizer.mu, (x) => x >= 0 && x < 1, 'a number from 0 to below 1');
  recipe.weightDecay = inRange('optimizer.weightDecay', optimizer.weightDecay, (x) => x >= 0, 'a number of at least 0');
  recipe.batch = inRange('batch', options.batch ?? 1, (x) => Number.isInteger(x) && x >= 1 && x <= maxU32, 'an integer of at least 1');
  recipe.seed = inRange('seed', options.seed ?? 1, (x) => Number.isSafeInteger(x) && x >= 0, 'an integer from 0 to 2^53 - 1');
  const numerics = options.numerics ?? 'ieee';
  if (numerics !== 'ieee' && numerics !== 'flush') throw recipeError('numerics', 'ieee or flush', numerics);
  recipe.numerics = headerConstant('numerics', numerics);
  const { rounding = 'stochastic', scaled = true } = options.int8 ?? {};
  if (!['stochastic', 'fraction', 'residual', 'nearest'].includes(rounding)) throw recipeError('int8.rounding', 'stochastic, fraction, residual or nearest', rounding);
  recipe.int8 = (rounding === 'stochastic' ? 0 : headerConstant('int8', rounding)) | (scaled ? 0 : headerConstant('int8', 'unscaled'));
  recipe.revisit = inRange('revisit', options.revisit ?? 0, (x) => Number.isInteger(x) && x >= 0 && x <= headerConstant('limit', 'revisit'), 'an integer from 0 to 64');
  applySchedule(recipe, options.schedule ?? constant(), run);
  return recipe;
}

/** A recipe in names, for reports: the inverse of the wire ids. @internal */
export function describeRecipe(recipe: NativeRecipe): Record<string, string | number | boolean> {
  return {
    ...recipe,
    policy: listName('policy', recipe.policy) ?? recipe.policy,
    optimizer: listName('optimizer', recipe.optimizer) ?? recipe.optimizer,
    scheduleKind: constantName('schedule', recipe.scheduleKind) ?? recipe.scheduleKind,
    ymaxMode: constantName('max', recipe.ymaxMode) ?? recipe.ymaxMode,
    alphaMode: constantName('max', recipe.alphaMode) ?? recipe.alphaMode,
    select: constantName('select', recipe.select) ?? recipe.select,
    steer: constantName('steer', recipe.steer) ?? recipe.steer,
    numerics: constantName('numerics', recipe.numerics) ?? recipe.numerics,
    outputDense: recipe.outputDense !== 0,
  };
}

/** Fields in which two recipes differ, `name: a, not b`; f32 fields compare as f32. @internal */
export function recipeDifferences(stored: NativeRecipe, wanted: NativeRecipe): string[] {
  const same = (a: number, b: number): boolean => a === b || Math.fround(a) === Math.fround(b);
  return (Object.keys(stored) as (keyof NativeRecipe)[])
    .filter((key) => (key === 'seed' ? stored.seed !== wanted.seed : !same(stored[key], wanted[key])))
    .map((key) => `${key}: ${describeRecipe(stored)[key]}, not ${describeRecipe(wanted)[key]}`);
}
