// SPDX-License-Identifier: Apache-2.0
import type { WarningCode, WarningEvent } from './events';
import type { Totals } from './results';

/** A weight layer that the watchdog looks at. @internal */
export interface WatchedLayer {
  readonly name: string;
  /** Number among the weight layers. */
  readonly layer: number;
}

/** What the watchdog compares training with. @internal */
export interface WatchdogOptions {
  /** Weight layers that should receive an error, input to output; the last one is the output layer. */
  layers: readonly WatchedLayer[];
  /** Loss of the best constant prediction. */
  constantLoss: number;
  /** Share of the most frequent class; 1 where accuracy says nothing. */
  majority: number;
  /** Learning rate, for advice. */
  lr: number;
  /** Bounded losses (cross-entropy) start near the constant one; mse may start anywhere. */
  bounded: boolean;
}

/** Trained samples without any error before a layer counts as dead. */
const deadSamples = 256;
/** Samples over which a loss is averaged before it is judged. */
const windowSamples = 512;

/**
 * Notices training that goes badly: layers that receive no error any more (all units behind them dead), a loss far
 * above that of a constant prediction, an epoch that has learnt nothing.
 * @internal
 */
export class Watchdog {
  private readonly silent: number[];
  private readonly warned = new Set<string>();
  private readonly lr: number;
  private windowLoss = 0;
  private windowCount = 0;
  private badWindows = 0;

  constructor(
    private readonly options: WatchdogOptions,
    private readonly emit: (event: WarningEvent) => void,
  ) {
    this.lr = Number(options.lr.toPrecision(6));
    this.silent = new Array<number>(options.layers.length).fill(0);
  }

  private warn(code: WarningCode, message: string, layer?: string): void {
    const key = `${code} ${layer ?? ''}`;
    if (this.warned.has(key)) return;
    this.warned.add(key);
    this.emit({ type: 'warning', code, message, ...(layer === undefined ? {} : { layer }) });
  }

  /** Looks at the sums of one chunk. */
  chunk(sums: Totals): void {
    this.checkDead(sums);
    this.checkLoss(sums);
  }

  private checkDead(sums: Totals): void {
    const { layers } = this.options;
    const { lr } = this;
    const output = layers.at(-1);
    // No error at the output is a sample learnt by heart, not a dead net.
    if (output === undefined || sums.trained === 0 || sums.layer(output.layer).worked === 0) return;
    for (const [i, { layer }] of layers.entries()) {
      this.silent[i] = sums.layer(layer).worked === 0 ? (this.silent[i] as number) + sums.trained : 0;
    }
    const dead = this.silent.findLastIndex((count) => count >= deadSamples);
    const name = layers[dead]?.name;
    if (dead < 0 || name === undefined) return;
    this.warn(
      'dead-units',
      `layer "${name}" has received no error for ${this.silent[dead]} trained samples: every unit behind it is dead, and nothing from there to the input ` +
        `learns any more. A lower learning rate than ${lr}, a warm-up or leakyRelu() helps; this model must be trained again.`,
      name,
    );
  }

  private checkLoss(sums: Totals): void {
    const { constantLoss, bounded } = this.options;
    const { lr } = this;
    this.windowLoss += sums.loss * sums.samples;
    this.windowCount += sums.samples;
    if (this.windowCount < windowSamples) return;
    const loss = this.windowLoss / this.windowCount;
    this.windowLoss = 0;
    this.windowCount = 0;
    this.badWindows = loss > (bounded ? 3 : 10) * constantLoss ? this.badWindows + 1 : 0;
    if (this.badWindows < 2) return;
    this.warn(
      'diverging',
      `the training loss is ${loss.toPrecision(3)}, far above the ${constantLoss.toPrecision(3)} of a constant prediction: training diverges. ` +
        `A lower learning rate than ${lr} or smaller inputs help.`,
    );
  }

  /** Looks at the sums of a whole epoch. */
  epoch(sums: Totals, epoch: number): void {
    const { constantLoss, majority } = this.options;
    const { lr } = this;
    // Random weights may guess a little better than the most frequent class: a fifth of the way up is still guessing.
    const guessing = majority >= 1 || sums.accuracy <= majority + 0.2 * (1 - majority);
    if (!guessing || !(sums.loss >= 0.95 * constantLoss) || constantLoss === 0) return;
    const accuracy = majority >= 1 ? '' : ` and accuracy ${(100 * sums.accuracy).toFixed(1)} % (the most frequent class alone: ${(100 * majority).toFixed(1)} %)`;
    this.warn(
      'not-learning',
      `after epoch ${epoch} the model is no better than a constant prediction: loss ${sums.loss.toPrecision(3)} (constant: ${constantLoss.toPrecision(3)})${accuracy}. ` +
        `Check the learning rate (${lr}), the normalisation of the inputs and the labels.`,
    );
  }
}
