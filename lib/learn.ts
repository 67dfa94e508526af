// SPDX-License-Identifier: Apache-2.0
import { guard, isErrorCode, translate } from './addon';
import { TinypropError } from './errors';
import type { ModelCore } from './model-core';
import { nativeRecipe } from './recipe';
import type { StepResult } from './results';

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

/** Steps between two looks at the schedule. */
const scheduleCheck = 1024;
/** How long a stream may hold the event loop. */
const sliceMs = 8;

function labelError(core: ModelCore, y: unknown): TinypropError {
  const classes = core.plan.outputs;
  return new TinypropError('ERR_TINYPROP_LABEL', `step: label: expected an integer from 0 to ${classes - 1}, found ${String(y)}`, {
    label: y,
    classes,
  });
}

/** What the core takes: a label (softmax cross-entropy) or targets. */
function targetOf(core: ModelCore, y: number | Float32Array): number | Float32Array {
  const { loss } = core.targetSpec;
  const classes = core.plan.outputs;
  if (loss === 'softmaxCrossEntropy') {
    if (typeof y !== 'number' || !Number.isInteger(y) || y < 0 || y >= classes) throw labelError(core, y);
    return y;
  }
  if (typeof y !== 'number') return y;
  if (classes === 1 && Number.isFinite(y)) return Float32Array.of(y);
  if (!Number.isInteger(y) || y < 0 || y >= classes) throw labelError(core, y);
  const target = new Float32Array(classes);
  target[y] = 1;
  return target;
}

function stepError(core: ModelCore, error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message?: string };
  if (code === 'ERR_TINYPROP_LOSS' || code === 'ERR_TINYPROP_DELTA') {
    const layer = code === 'ERR_TINYPROP_DELTA' && message ? ` of layer "${message}"` : '';
    const what = code === 'ERR_TINYPROP_LOSS' ? 'the loss' : `the error${layer}`;
    const lr = Number((core.recipe?.lr ?? 0).toPrecision(6));
    const kept = code === 'ERR_TINYPROP_LOSS' ? 'no weight was changed' : 'that layer and those below were not changed';
    return new TinypropError(code, `step: training diverged: ${what} is no longer finite (${kept}). The learning rate ${lr} is probably too high.`, {
      lr,
      ...(layer === '' ? {} : { node: message }),
    });
  }
  return isErrorCode(code) ? translate(error, 'step') : error;
}

/** A schedule that has ended (that of a cosine fit, mostly) would learn nothing, silently. */
function checkSchedule(core: ModelCore): void {
  const { lr, batches } = core.net.progress();
  if (lr > 0) return;
  throw new TinypropError('ERR_TINYPROP_RECIPE', `step: the recipe's schedule ended at batch ${core.recipe?.scheduleTotal} of ${batches} (learning rate 0): configure() the model for more steps`, {
    batches,
  });
}

/** One batch-1 step on the calling thread. @internal */
export function stepModel(core: ModelCore, x: Float32Array, y: number | Float32Array): StepResult {
  if (core.recipe === null) core.rebuild(core.native, nativeRecipe({}, null));
  if (core.recipe?.batch !== 1) {
    throw new TinypropError('ERR_TINYPROP_RECIPE', `step: trains one sample at a time, but the recipe has batch ${core.recipe?.batch}; configure({ batch: 1 })`);
  }
  if (core.steps % scheduleCheck === 0) checkSchedule(core);
  core.steps++;
  const record = core.stepRecord;
  const target = targetOf(core, y);
  try {
    core.net.step(x, target, record.bytes);
  } catch (error) {
    throw stepError(core, error);
  }
  core.fresh = false;
  core.fitSamples = null;
  return record.read();
}

/** Trains on a stream. @internal */
export async function learnStream(
  core: ModelCore,
  stream: AsyncIterable<StreamSample> | Iterable<StreamSample>,
  options: LearnOptions,
): Promise<LearnSummary> {
  const { signal, onStep } = options;
  core.claim('learn');
  let samples = 0;
  let trained = 0;
  let correct = 0;
  let loss = 0;
  let since = performance.now();
  try {
    if (!signal?.aborted) {
      for await (const sample of stream) {
        const result = positioned(samples, () => stepModel(core, sample.x, sample.y));
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
