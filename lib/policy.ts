// SPDX-License-Identifier: Apache-2.0
import type { MaskChooser, Masks } from './masks/mask';

/** How the maximum of a layer's error `sum|delta|` follows what is seen (docs/ALGORITHM.md section 2). */
export type YmaxMode =
  | 'running'
  | 'epoch'
  | 'analytic'
  | {
      /** Factor per sample, 0 to 1: the maximum forgets. */
      readonly decay: number;
    }
  | {
      /** The maximum itself, > 0. */
      readonly fixed: number;
    };
/** The same for the decision's maximum; `auto`: `analytic` where the loss bounds it, else `{decay: 0.9995}`. */
export type AlphaMode =
  | 'auto'
  | 'analytic'
  | 'running'
  | {
      /** Factor per sample, 0 to 1: the maximum forgets. */
      readonly decay: number;
    }
  | {
      /** The maximum itself, > 0. */
      readonly fixed: number;
    };
/** What a convolution selects: elements of the error map, whole channels, or by shape (section 5). */
export type SelectMode = 'element' | 'channel' | 'auto';
/** A named set of parameters. */
export type PresetName = 'accurate' | 'paper';

/** Parameters of {@link tinyProp}; what is left out comes from the preset. */
export interface TinyPropOptions {
  /** Where the other parameters come from; default `accurate`. */
  preset?: PresetName;
  /** Smallest share of rows, 0 to 1. */
  sMin?: number;
  /** Largest share of rows, `sMin` to 1. */
  sMax?: number;
  /** Damping per layer below the last, above 0 to 1. */
  zeta?: number;
  /** Maximum of `sum|delta|`. */
  ymax?: YmaxMode;
  /** Keep every row of the last weight layer. */
  outputDense?: boolean;
  /** What convolutions select. */
  select?: SelectMode;
}

/** Parameters of {@link tinyPropV2}. */
export interface TinyPropV2Options extends TinyPropOptions {
  /** Threshold of the decision: a sample trains iff `D > tau`. */
  tau?: number;
  /** Factor of the decision, above 0. */
  beta?: number;
  /** Decision value at no error. */
  dMin?: number;
  /** Decision value at the largest error, above `dMin`. */
  dMax?: number;
  /** Maximum of the output error. */
  alpha?: AlphaMode;
}

/** Parameters of {@link steered}. */
export interface SteeredOptions extends TinyPropV2Options {
  /** Wanted share, above 0 to 1; default 0.2. */
  rate?: number;
  /** Share of what: `samples` trained (default), or `effort`, E_bwd. */
  steer?: 'samples' | 'effort';
  /** How fast theta follows, above 0 to 1; default 0.01. */
  gain?: number;
}

/** Parameters of all policies; each has its own. */
export interface PolicyParams extends Omit<SteeredOptions, 'preset'> {
  /** Losses that a loss is ranked among ({@link selectiveBackprop}). */
  history?: number;
  /** Epochs that a loss is used for ({@link selectiveBackprop}). */
  stale?: number;
  /** Weight of `norm1(weights)` ({@link emp}). */
  weightShare?: number;
  /** Weight of `norm1(error)` ({@link emp}). */
  deltaShare?: number;
}

/** What decides which rows of a layer's error are propagated, and whether a sample is trained at all. */
export interface PolicySpec {
  /** Name in the core's list of policies. */
  readonly policy: 'dense' | 'full' | 'meprop' | 'tinyprop' | 'tinypropv2' | 'random' | 'selective' | 'steered' | 'masked' | 'emp' | 'eif';
  /** Preset that the parameters start from. */
  readonly preset: PresetName;
  /** Parameters that differ from the preset. */
  readonly params: Readonly<PolicyParams>;
  /** What trains ({@link masked}). */
  readonly masks?: Masks;
  /** Who chooses what trains, before training or before every epoch. */
  readonly chooser?: MaskChooser;
}

/** Full training that skips rows of exactly zero error: the bits of {@link densePolicy}, less work. */
export function full(): PolicySpec {
  return { policy: 'full', preset: 'accurate', params: {} };
}

/** Full training that works on every row, zeros included: the baseline of all effort numbers. */
export function densePolicy(): PolicySpec {
  return { policy: 'dense', preset: 'accurate', params: {} };
}

/**
 * meProp (Sun et al. 2017): the same share of rows for every sample and layer; the last layer keeps all.
 *
 * @param options s: share of rows, above 0 to 1, default 0.1; select: what convolutions select, default `auto`
 */
export function meProp(options: { s?: number; select?: SelectMode } = {}): PolicySpec {
  const { s = 0.1, select } = options;
  return { policy: 'meprop', preset: 'accurate', params: { sMax: s, ...(select === undefined ? {} : { select }) } };
}

/** TinyProp (arXiv 2409.07109, eq. 9 to 13): the share of rows follows each layer's error. */
export function tinyProp(options: TinyPropOptions = {}): PolicySpec {
  const { preset = 'accurate', ...params } = options;
  return { policy: 'tinyprop', preset, params };
}

/** TinyPropv2 (arXiv 2409.07109, eq. 14): {@link tinyProp}, and samples whose error is small are not trained. */
export function tinyPropV2(options: TinyPropV2Options = {}): PolicySpec {
  const { preset = 'accurate', ...params } = options;
  return { policy: 'tinypropv2', preset, params };
}

/**
 * Random skip: every sample has the same chance to be looked at and trained in full; the others cost nothing. What any rule that
 * skips samples must beat.
 *
 * @param options rate: the chance, above 0 to 1, default 0.2
 */
export function randomSkip(options: { rate?: number } = {}): PolicySpec {
  return { policy: 'random', preset: 'accurate', params: { ...options } };
}

/**
 * Selective-Backprop (Jiang et al., arXiv 1910.00762): after the forward pass a sample is trained in full with probability
 * `P(loss) ** beta`, P being the share of the last losses that are not above its own. On average 1 / (1 + beta) of the samples train.
 *
 * @param options beta: above 0, default 1; history: losses that are remembered, 1 to 65536, default 1024 (4 bytes each); stale: epochs that a
 *   loss is used for, default 1: above it, only every stale-th epoch looks at all samples, the others at those that their last loss wins for
 */
export function selectiveBackprop(options: { beta?: number; history?: number; stale?: number } = {}): PolicySpec {
  return { policy: 'selective', preset: 'accurate', params: { ...options } };
}

/** {@link tinyPropV2} whose threshold follows a wanted share of trained samples or of backward work; it starts at that of tau. */
export function steered(options: SteeredOptions = {}): PolicySpec {
  const { preset = 'accurate', ...params } = options;
  return { policy: 'steered', preset, params };
}

/**
 * Static masks: which rows of which layers train. All rows pass errors on, down to the lowest layer that trains anything. `Trainer.fit` sets
 * them; with `Model.step` everything trains.
 *
 * @param options masks: by names of weight layers, or chooser: chooses them when training begins (`sparseUpdate`, `tinyTrain`) or before
 *   every epoch (`velocity`). Without either everything trains.
 */
export function masked(options: { masks?: Masks; chooser?: MaskChooser } = {}): PolicySpec {
  return { policy: 'masked', preset: 'accurate', params: {}, ...options };
}

/**
 * Error map pruning (EMP, Wu et al. 2020, arXiv 2007.03213): for every sample the share `s` of the channels (outputs of dense layers) with the
 * largest `weightShare norm1(weights) + deltaShare norm1(error)`; the last layer keeps all.
 *
 * @param options s: above 0 to 1, default 0.1; weightShare, deltaShare: at least 0, not both 0, default 1
 */
export function emp(options: { s?: number; weightShare?: number; deltaShare?: number } = {}): PolicySpec {
  const { s = 0.1, ...shares } = options;
  return { policy: 'emp', preset: 'accurate', params: { sMax: s, ...shares } };
}

/**
 * Early instance filtering (EIF, Wu et al. 2020, arXiv 2007.03213): a side net guesses before the forward pass whether a sample's loss will be high;
 * the others are passed over. Its threshold follows the wanted share of trained samples; its own work is `effortPolicy`.
 *
 * @param options rate: above 0 to 1, default 0.2; gain: how fast thresholds follow, above 0 to 1, default 0.01
 */
export function eif(options: { rate?: number; gain?: number } = {}): PolicySpec {
  return { policy: 'eif', preset: 'accurate', params: { ...options } };
}
