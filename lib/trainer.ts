// SPDX-License-Identifier: Apache-2.0
import { defaultCacheBytes } from './activation-cache';
import type { AugmentOptions } from './data/augment';
import type { Dataset } from './data/dataset';
import { TinypropError } from './errors';
import { EventHub, type FitEvent, type FitResult } from './events';
import { Fit, type FitJob } from './fit';
import type { Model } from './model';
import type { RecipeOptions } from './recipe';

export type { EndEvent, EpochEvent, FitEvent, FitResult, ProgressEvent, WarningCode, WarningEvent } from './events';

/** What {@link Trainer.fit} trains on and tests with. Its arrays are read by another thread: leave them as they are meanwhile. */
export interface FitData {
  /** Samples to learn; labels for `softmaxCrossEntropy`, targets (or labels, made one-hot) for `bce` and `mse`. */
  readonly train: Dataset;
  /** Samples to evaluate on. */
  readonly test?: Dataset | undefined;
}

/** Options of {@link Trainer.fit}. */
export interface FitOptions {
  /** Epochs of the whole run, those before a resume included; at least 1. Default: the recipe's. */
  epochs?: number;
  /** Ends the run after the step at hand; the result then says `aborted`, and the model can be resumed. */
  signal?: AbortSignal;
  /** Seeded changes of the samples; the same for the same recipe, whatever the chunks. */
  augment?: AugmentOptions;
  /**
   * Bytes at most for what the frozen lower part of the model (`Model.freeze`) gives for the samples, training samples first, then test samples that are
   * evaluated at every epoch; default 268435456 (256 MiB), 0: none. It is computed at a sample's first visit; from then on steps and evaluations
   * begin behind it. Samples that have no room are computed as ever, all with `augment` and in a run of one epoch. No influence on results, nor on
   * the efforts, which count what the method does: what was saved is in {@link FitResult.cache}.
   */
  cacheBytes?: number;
  /** Wanted duration of a chunk, the distance of progress events, in ms; default 50. No influence on results. */
  chunkMs?: number;
  /** When to evaluate the test data; default `epoch`. */
  evaluateEvery?: 'epoch' | 'end' | 'never';
  /**
   * true: continue the model's training state (of a file saved with `state`, or of an aborted fit) at the exact
   * sample; recipe, epochs and data must be those of that run. The bits are those of a run that never stopped.
   * false (default): start a new training state from the present weights.
   */
  resume?: boolean;
  /**
   * Writes a log of every step to this file, for {@link replay}: numbers of the samples (the samples themselves with `augment`) and hashes of stats, weights
   * and training state. It grows while training goes on.
   */
  record?: string;
  /** Writes the model with its state to `path` every `every` (default 1) epochs, and when aborted. */
  checkpoint?: {
    /** File that is replaced, whole or not at all. */
    path: string;
    /** Epochs between two files, >= 1. */
    every?: number;
  };
}

/**
 * A running fit: await it for the result, iterate it for the events. Training goes on whether or not anyone
 * listens; leaving the loop early does not stop it (use the signal).
 */
export interface FitRun extends AsyncIterable<FitEvent>, PromiseLike<FitResult> {
  /** Resolves at the end, also when aborted; rejects with a TinypropError if training failed. */
  readonly result: Promise<FitResult>;
}

/** Trains a model on a data set with a recipe. */
export class Trainer {
  /**
   * @param model the model to train
   * @param recipe defaults: `tinyPropV2()` (preset accurate), `sgd({ lr: 0.01 })`, `cosine()` to 0 without warm-up, batch 1, seed 1
   */
  constructor(
    readonly model: Model,
    readonly recipe: RecipeOptions = {},
  ) {}

  /**
   * Starts training on a thread of its own; the event loop stays free. One fit at a time per model.
   *
   * Errors reject `result` and are thrown by the iterators: `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`, `ERR_TINYPROP_RECIPE`,
   * `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_LABEL`, `ERR_TINYPROP_DATA` (naming the sample), `ERR_TINYPROP_LOSS` and
   * `ERR_TINYPROP_DELTA` (training diverged), `ERR_TINYPROP_MODE` and `ERR_TINYPROP_MISMATCH` (nothing to resume).
   * After any of them the model holds the weights of the last good step.
   */
  fit(data: FitData, options: FitOptions = {}): FitRun {
    const hub = new EventHub();
    const result = this.start(data, options, hub);
    return {
      result,
      then: (onResult, onError) => result.then(onResult, onError),
      [Symbol.asyncIterator]: () => {
        // The iterator reports a failure, so the promise need not be handled as well.
        result.catch(() => undefined);
        return hub.iterate();
      },
    };
  }

  private async start(data: FitData, options: FitOptions, hub: EventHub): Promise<FitResult> {
    try {
      const { core } = this.model;
      core.claim('fit');
      try {
        const result = await new Fit(this.job(data, options), hub).run();
        // Nobody iterates the events, so the warnings would go unseen.
        if (!hub.followed) for (const { message, code } of result.warnings) process.emitWarning(message, { type: 'TinypropWarning', code });
        hub.emit({ type: 'end', result });
        hub.finish();
        return result;
      } finally {
        core.release();
      }
    } catch (error) {
      hub.finish({ error });
      throw error;
    }
  }

  private job(data: FitData, options: FitOptions): FitJob {
    const epochs = options.epochs ?? this.recipe.epochs;
    const { checkpoint, chunkMs = 50, cacheBytes = defaultCacheBytes } = options;
    positive('epochs', epochs, Number.isInteger(epochs));
    positive('chunkMs', chunkMs, true);
    positive('checkpoint.every', checkpoint?.every ?? 1, Number.isInteger(checkpoint?.every ?? 1));
    if (!(Number.isInteger(cacheBytes) && cacheBytes >= 0)) {
      throw new TinypropError('ERR_TINYPROP_ARG', `fit: cacheBytes: expected an integer of at least 0, found ${String(cacheBytes)}`, { cacheBytes });
    }
    return {
      core: this.model.core,
      recipe: this.recipe,
      train: data.train,
      test: data.test,
      epochs: epochs as number,
      resume: options.resume ?? false,
      chunkMs,
      evaluateEvery: options.evaluateEvery ?? 'epoch',
      signal: options.signal,
      augment: options.augment,
      cacheBytes,
      record: options.record,
      checkpoint: checkpoint && { every: checkpoint.every ?? 1, save: () => this.model.save(checkpoint.path, { state: true }) },
    };
  }
}

function positive(name: string, value: number | undefined, whole: boolean): void {
  if (typeof value === 'number' && value > 0 && Number.isFinite(value) && whole) return;
  throw new TinypropError('ERR_TINYPROP_ARG', `fit: ${name}: expected a positive ${name === 'chunkMs' ? 'number' : 'integer'}, found ${String(value)}`, {
    [name]: value,
  });
}
