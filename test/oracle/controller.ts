// SPDX-License-Identifier: Apache-2.0
// What a policy decides, transcribed from docs/ALGORITHM.md: which samples are trained and which rows of delta are
// kept. All arithmetic is float32, one rounding per operation, in exactly the printed order.
import { channelScores, f32, sumAbs } from './f32';

export type PolicyName = 'full' | 'dense' | 'meprop' | 'tinyprop' | 'tinypropv2';
export type MaxMode = 'running' | 'decay' | 'epoch' | 'fixed' | 'analytic';
export type LossName = 'softmaxCrossEntropy' | 'bce' | 'mse';

/** Parameters of a policy; the meaning and the names are those of docs/ALGORITHM.md. */
export interface PolicyParams {
  policy: PolicyName;
  sMin: number;
  /** meProp: the constant share S. */
  sMax: number;
  zeta: number;
  ymaxMode: MaxMode;
  ymaxDecay: number;
  ymaxFixed: number;
  outputDense: boolean;
  dMin: number;
  dMax: number;
  tau: number;
  beta: number;
  alphaMode: Exclude<MaxMode, 'epoch'>;
  alphaDecay: number;
  alphaFixed: number;
}

/** The outcome for one layer of one sample. */
export interface Budget {
  /** sum |delta|. */
  y: number;
  /** The layer's maximum after its update. */
  ymax: number;
  /** Rows to keep; 0: none, and zero error below. */
  k: number;
}

/** The largest alpha a loss over `n` outputs can give; 0: unbounded. */
export function analyticBound(loss: LossName, n: number): number {
  return loss === 'softmaxCrossEntropy' ? 2 : loss === 'bce' ? n : 0;
}

/** theta = ((tau / beta) - D_min) / (D_max - D_min), each operation rounded. */
export function thetaOf(p: Pick<PolicyParams, 'tau' | 'beta' | 'dMin' | 'dMax'>): number {
  const [tau, beta, dMin, dMax] = [f32(p.tau), f32(p.beta), f32(p.dMin), f32(p.dMax)];
  return f32(f32(f32(tau / beta) - dMin) / f32(dMax - dMin));
}

/** k = clamp(floor(S * N), 1, N). */
export function rowsOf(s: number, n: number): number {
  return Math.min(Math.max(Math.trunc(f32(s * f32(n))), 1), n);
}

/** S = clamp((S_min + (S_max - S_min) * (Y / Ymax)) * zeta^(L-l), 0, 1). */
export function shareOf(y: number, ymax: number, sMin: number, sMax: number, zpow: number): number {
  const q = f32(y / ymax);
  const s = f32(f32(sMin) + f32(f32(f32(sMax) - f32(sMin)) * q));
  return Math.min(Math.max(f32(s * zpow), 0), 1);
}

/** Indices of the k largest values, ties to the lower index, zeros never; ascending. */
export function topK(magnitude: Float32Array, k: number): number[] {
  return Array.from(magnitude.keys())
    .filter((i) => magnitude[i]! !== 0)
    .sort((a, b) => magnitude[b]! - magnitude[a]! || a - b)
    .slice(0, k)
    .sort((a, b) => a - b);
}

/** Which elements of delta are propagated; `channels` > 0 keeps or drops whole channels. */
export function keptElements(delta: Float32Array, k: number, channels: number): boolean[] {
  if (channels === 0) {
    const kept = new Set(topK(delta.map(Math.abs), k));
    return Array.from(delta, (_, i) => kept.has(i));
  }
  const kept = new Set(topK(channelScores(delta, channels), k));
  return Array.from(delta, (d, i) => kept.has(i % channels) && d !== 0);
}

/** The controller's state: one Ymax per weight layer, and alpha_max. Layers are numbered 1 .. L from the input. */
export class Controller {
  readonly ymax: Float32Array;
  alphaMax = 0;
  readonly theta: number;
  private readonly zpow: Float32Array;

  constructor(
    private readonly params: PolicyParams,
    private readonly layers: number,
    private readonly loss: LossName,
    private readonly outputs: number,
  ) {
    this.ymax = new Float32Array(layers + 1);
    this.theta = thetaOf(params);
    this.zpow = new Float32Array(layers + 1);
    this.zpow[layers] = 1;
    for (let l = layers - 1; l >= 1; l--) this.zpow[l] = f32(this.zpow[l + 1]! * f32(params.zeta));
  }

  /** alpha = sum |delta^L|. */
  l1(delta: Float32Array): number {
    return sumAbs(delta);
  }

  /** Ymax mode `epoch` starts again. */
  epochBegin(): void {
    if (this.params.ymaxMode === 'epoch') this.ymax.fill(0);
  }

  /** Train this sample? Every sample seen comes through here once, before any {@link budget}. */
  decide(alpha: number): boolean {
    const p = this.params;
    if (p.policy !== 'tinypropv2') return true;
    if (p.alphaMode === 'running') this.alphaMax = Math.max(this.alphaMax, alpha);
    else if (p.alphaMode === 'decay') this.alphaMax = Math.max(f32(f32(p.alphaDecay) * this.alphaMax), alpha);
    else if (p.alphaMode === 'fixed') this.alphaMax = f32(p.alphaFixed);
    else this.alphaMax = analyticBound(this.loss, this.outputs);
    return alpha > f32(this.theta * this.alphaMax);
  }

  /** Rows of layer `l` to keep out of `n`. */
  budget(l: number, n: number, delta: Float32Array): Budget {
    const p = this.params;
    const y = sumAbs(delta);
    if (p.policy === 'full' || p.policy === 'dense') return { y, ymax: 0, k: n };
    const isOutput = l === this.layers;
    if (p.policy === 'meprop') {
      return { y, ymax: 0, k: y === 0 ? 0 : isOutput ? n : rowsOf(f32(p.sMax), n) };
    }
    const ymax = this.updateYmax(l, y);
    if (y === 0) return { y, ymax, k: 0 };
    if (isOutput && p.outputDense) return { y, ymax, k: n };
    return { y, ymax, k: rowsOf(shareOf(y, ymax, p.sMin, p.sMax, this.zpow[l]!), n) };
  }

  private updateYmax(l: number, y: number): number {
    const p = this.params;
    const bound = l === this.layers ? analyticBound(this.loss, this.outputs) : 0;
    const old = this.ymax[l]!;
    let next = Math.max(old, y);
    if (p.ymaxMode === 'decay') next = Math.max(f32(f32(p.ymaxDecay) * old), y);
    if (p.ymaxMode === 'fixed') next = f32(p.ymaxFixed);
    if (p.ymaxMode === 'analytic' && bound > 0) next = bound;
    this.ymax[l] = next;
    return next;
  }
}
