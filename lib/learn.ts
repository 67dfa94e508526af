// SPDX-License-Identifier: Apache-2.0
import { guard } from './addon';
import { TinypropError } from './errors';
import type { ModelCore } from './model-core';
import type { StepResult } from './results';
import { Stepper } from './step';

/** One sample of a stream. */
export interface StreamSample {
  /** `prod(inputShape)` numbers. */
  readonly x: Float32Array;
  /** Class label, or targets. */
  readonly y: number | Float32Array;
}

/** Options of {@link Model.learn}. */
export interface LearnOptions {
  /** Ends learning after the sample at hand. */
  signal?: AbortSignal;
  /** Called after every sample. */
  onStep?: (result: StepResult) => void;
}

/** What {@link Model.learn} did. */
export interface LearnSummary {
  /** Samples seen. */
  readonly samples: number;
  /** Samples trained; the others were skipped. */
  readonly trained: number;
  /** Samples predicted rightly before their update. */
  readonly correct: number;
  /** Mean loss before the update. */
  readonly loss: number;
  /** The signal ended it. */
  readonly aborted: boolean;
}

/** How long a stream may hold the event loop. */
const sliceMs = 8;

/** Trains on a stream. @internal */
export async function learnStream(
  core: ModelCore,
  stream: AsyncIterable<StreamSample> | Iterable<StreamSample>,
  options: LearnOptions,
): Promise<LearnSummary> {
  const { signal, onStep } = options;
  core.claim('learn');
  let stepper: Stepper | undefined;
  let samples = 0;
  let trained = 0;
  let correct = 0;
  let loss = 0;
  let since = performance.now();
  try {
    if (!signal?.aborted) {
      for await (const sample of stream) {
        const result = positioned(samples, () => (stepper ??= new Stepper(core)).step(sample.x, sample.y));
        samples++;
        trained += result.trained ? 1 : 0;
        correct += result.correct ? 1 : 0;
        loss += result.loss;
        onStep?.(result);
        if (signal?.aborted) break;
        if (performance.now() - since > sliceMs) {
          await new Promise((resolve) => setImmediate(resolve));
          since = performance.now();
          if (signal?.aborted) break;
          core.use();
        }
      }
    }
  } finally {
    core.release();
  }
  return { samples, trained, correct, loss: samples === 0 ? 0 : loss / samples, aborted: signal?.aborted ?? false };
}

function positioned<T>(position: number, body: () => T): T {
  try {
    return guard('learn', body);
  } catch (error) {
    if (!(error instanceof TinypropError)) throw error;
    throw new TinypropError(error.code, `learn: sample ${position} of the stream: ${error.message}`, { ...error.details, sample: position }, error);
  }
}
