// SPDX-License-Identifier: Apache-2.0

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

/** What decides which rows of a layer's error are propagated, and whether a sample is trained at all. */
export interface PolicySpec {
  /** Name in the core's list of policies. */
  readonly policy: 'dense' | 'full' | 'meprop' | 'tinyprop' | 'tinypropv2';
  /** Preset that the parameters start from. */
  readonly preset: PresetName;
  /** Parameters that differ from the preset. */
  readonly params: Readonly<Omit<TinyPropV2Options, 'preset'>>;
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
