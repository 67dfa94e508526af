// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import { momentum, type OptimizerSpec, sgd } from '../optimizer';
import { sparseUpdate } from '../masks/sparse-update';
import { tinyTrain } from '../masks/tiny-train';
import { velocity } from '../masks/velocity';
import { type AlphaMode, densePolicy, eif, emp, full, meProp, type PolicySpec, type PresetName, randomSkip, type SelectMode, selectiveBackprop, steered, tinyProp, tinyPropV2, type YmaxMode } from '../policy';
import type { RecipeOptions } from '../recipe';
import { constant, cosine, type ScheduleSpec, step } from '../schedule';

/** Policy parameters as given; undefined: not given. */
export interface PolicyFlags {
  /** `tuned`: to be chosen by a search first. */
  preset?: PresetName | 'tuned';
  s?: number;
  sMin?: number;
  sMax?: number;
  zeta?: number;
  ymax?: string;
  tau?: number;
  beta?: number;
  dMin?: number;
  dMax?: number;
  alpha?: string;
  select?: SelectMode;
  outputDense?: boolean;
  rate?: number;
  steer?: 'samples' | 'effort';
  gain?: number;
  history?: number;
  stale?: number;
  weightShare?: number;
  deltaShare?: number;
  effort?: number;
  memory?: number;
  probe?: number;
}

/** The other flags of a recipe; defaults are filled in. */
export interface RecipeFlags extends PolicyFlags {
  epochs: number;
  batch: number;
  lr: number;
  schedule: 'cosine' | 'step' | 'constant';
  warmup: number;
  stepEvery?: number;
  stepGamma?: number;
  momentum: number;
  weightDecay: number;
  revisit?: number;
}

const adaptive = ['preset', 'sMin', 'sMax', 'zeta', 'ymax', 'select', 'outputDense'] as const;
const decision = ['tau', 'beta', 'dMin', 'dMax', 'alpha'] as const;

/** Values of `--policy` and `--methods`: the policies, and those who choose the masks of `masked`. */
export type Method = Exclude<PolicySpec['policy'], 'masked'> | 'sparse-update' | 'tinytrain' | 'velocity';

const budgets = ['effort', 'memory', 'probe'] as const;

/** Which parameters each method has. */
export const policyFlags: Readonly<Record<Method, readonly (keyof PolicyFlags)[]>> = {
  dense: [],
  full: [],
  meprop: ['s', 'select'],
  tinyprop: adaptive,
  tinypropv2: [...adaptive, ...decision],
  random: ['rate'],
  selective: ['beta', 'history', 'stale'],
  steered: [...adaptive, ...decision, 'rate', 'steer', 'gain'],
  emp: ['s', 'weightShare', 'deltaShare'],
  eif: ['rate', 'gain'],
  'sparse-update': budgets,
  tinytrain: budgets,
  velocity: budgets,
};

/** Names of all policies. */
export const policyNames = Object.keys(policyFlags) as Method[];

/** What `compare` and `demo` compare unless told otherwise. */
export const comparedMethods: readonly Method[] = ['dense', 'full', 'meprop', 'tinyprop', 'tinypropv2'];

const flagName = (key: string): string => `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/** All parameters, in the order of help and messages. */
export const policyKeys: readonly (keyof PolicyFlags)[] = ['preset', 's', 'sMin', 'sMax', 'zeta', 'ymax', 'tau', 'beta', 'dMin', 'dMax', 'alpha', 'select', 'outputDense', 'rate', 'steer', 'gain', 'history', 'stale', 'weightShare', 'deltaShare', 'effort', 'memory', 'probe'];

function given(flags: PolicyFlags): (keyof PolicyFlags)[] {
  return policyKeys.filter((key) => flags[key] !== undefined);
}

/**
 * Refuses parameters that none of the chosen policies has.
 *
 * @throws TinypropError `ERR_TINYPROP_SPEC` naming those it has
 */
export function checkPolicyFlags(policies: readonly Method[], flags: PolicyFlags): void {
  const has = new Set(policies.flatMap((name) => policyFlags[name]));
  const wrong = given(flags).filter((key) => !has.has(key));
  if (wrong.length === 0) return;
  const own = has.size === 0 ? 'no parameters' : policyKeys.filter((key) => has.has(key)).map(flagName).join(', ');
  const who = policies.length === 1 ? `policy ${policies[0]} has` : `policies ${policies.join(', ')} have`;
  throw new TinypropError('ERR_TINYPROP_SPEC', `${wrong.map(flagName).join(', ')}: ${who} ${own}`, { policies, wrong });
}

/** The policy of that name with the parameters that it has; call {@link checkPolicyFlags} first. */
export function policyOf(name: string, flags: PolicyFlags): PolicySpec {
  const { preset, s, sMin, sMax, zeta, tau, beta, dMin, dMax, select, outputDense, rate, steer, gain, history, stale, weightShare, deltaShare, effort, memory, probe } = flags;
  const ymax = flags.ymax === undefined ? undefined : maximum('--ymax', flags.ymax, ['running', 'epoch', 'analytic']);
  if (preset === 'tuned') throw new TinypropError('ERR_TINYPROP_SPEC', '--preset tuned: only train takes it; tinyprop tune prints the flags that it would choose', { preset });
  const alpha = flags.alpha === undefined ? undefined : maximum('--alpha', flags.alpha, ['auto', 'analytic', 'running']);
  const common = defined({ preset, sMin, sMax, zeta, select, outputDense, ymax: ymax as YmaxMode | undefined });
  const budget = defined({ effort, memory, samples: probe });
  const decides = defined({ tau, beta, dMin, dMax, alpha: alpha as AlphaMode | undefined });
  switch (name) {
    case 'dense':
      return densePolicy();
    case 'full':
      return full();
    case 'meprop':
      return meProp(defined({ s, select }));
    case 'tinyprop':
      return tinyProp(common);
    case 'tinypropv2':
      return tinyPropV2({ ...common, ...decides });
    case 'random':
      return randomSkip(defined({ rate }));
    case 'selective':
      return selectiveBackprop(defined({ beta, history, stale }));
    case 'steered':
      return steered({ ...common, ...decides, ...defined({ rate, steer, gain }) });
    case 'emp':
      return emp(defined({ s, weightShare, deltaShare }));
    case 'eif':
      return eif(defined({ rate, gain }));
    case 'sparse-update':
      return sparseUpdate(budget);
    case 'tinytrain':
      return tinyTrain(budget);
    case 'velocity':
      return velocity(budget);
    default:
      throw new TinypropError('ERR_TINYPROP_SPEC', `unknown policy "${name}"; valid: ${policyNames.join(', ')}`, { policy: name, valid: policyNames });
  }
}

/** `running`, `decay:0.9995`, `fixed:3`: a mode of a running maximum. */
function maximum(flag: string, text: string, names: readonly string[]): string | { decay: number } | { fixed: number } {
  if (names.includes(text)) return text;
  const [, kind, number] = /^(decay|fixed):(.+)$/.exec(text) ?? [];
  const value = Number(number);
  if (kind === 'decay' && value > 0 && value <= 1) return { decay: value };
  if (kind === 'fixed' && value > 0 && Number.isFinite(value)) return { fixed: value };
  throw new TinypropError('ERR_TINYPROP_SPEC', `${flag} "${text}": expected ${names.join(', ')}, decay:G with 0 < G <= 1 or fixed:X with X above 0`, {
    flag,
    found: text,
  });
}

/** The recipe of one run. */
export function recipeOf(policy: string, flags: RecipeFlags, seed: number): RecipeOptions {
  return {
    policy: policyOf(policy, flags),
    optimizer: optimizerOf(flags),
    schedule: scheduleOf(flags),
    batch: flags.batch,
    seed,
    epochs: flags.epochs,
    ...defined({ revisit: flags.revisit }),
  };
}

function optimizerOf({ lr, momentum: mu, weightDecay }: RecipeFlags): OptimizerSpec {
  return mu > 0 ? momentum({ lr, mu, weightDecay }) : sgd({ lr, weightDecay });
}

function scheduleOf({ schedule, warmup, stepEvery, stepGamma }: RecipeFlags): ScheduleSpec {
  if (schedule !== 'step' && (stepEvery !== undefined || stepGamma !== undefined)) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `--step-every and --step-gamma belong to --schedule step, not to ${schedule}`, { schedule });
  }
  if (schedule === 'cosine') return cosine({ warmup });
  if (schedule === 'constant') return constant({ warmup });
  if (stepEvery === undefined) {
    throw new TinypropError('ERR_TINYPROP_SPEC', '--schedule step needs --step-every EPOCHS', { schedule });
  }
  return step({ warmup, every: stepEvery, ...defined({ gamma: stepGamma }) });
}

/** The object without its undefined values. */
export function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** A recipe in a few words, for tables and reports. */
export function describeFlags(flags: RecipeFlags): string {
  const parts = [
    `${flags.epochs} ${flags.epochs === 1 ? 'epoch' : 'epochs'}`,
    `batch ${flags.batch}`,
    `learning rate ${flags.lr} (${flags.schedule}${flags.warmup > 0 ? `, ${flags.warmup} epochs warm-up` : ''})`,
  ];
  if (flags.momentum > 0) parts.push(`momentum ${flags.momentum}`);
  if (flags.weightDecay > 0) parts.push(`weight decay ${flags.weightDecay}`);
  if (flags.revisit !== undefined && flags.revisit > 0) parts.push(`revisit ${flags.revisit}`);
  for (const key of given(flags)) parts.push(`${flagName(key).slice(2)} ${String(flags[key])}`);
  return parts.join(', ');
}
