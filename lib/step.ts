// SPDX-License-Identifier: Apache-2.0
import { guard, isErrorCode, translate, type NativeStep } from './addon';
import { TinypropError } from './errors';
import type { ModelCore, Steps } from './model-core';
import { nativeRecipe } from './recipe';
import { StepRecord, type StepResult } from './results';

/** Steps between two looks at the schedule. */
const scheduleCheck = 1024;

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

/**
 * Batch-1 steps on the calling thread. What each needs lies together: weights that fill the caches leave little else there, and a line
 * that has to be fetched costs more than what is done with it.
 * @internal
 */
export class Stepper implements Steps {
  /** Steps before the next look at the schedule. */
  private left = 0;
  private begun = false;
  private readonly labels: boolean;
  private readonly classes: number;
  private readonly native: NativeStep;
  private readonly record: StepRecord;

  constructor(private readonly core: ModelCore) {
    if (core.recipe === null) core.rebuild(core.native, nativeRecipe({}, null));
    if (core.recipe?.batch !== 1) {
      throw new TinypropError('ERR_TINYPROP_RECIPE', `step: trains one sample at a time, but the recipe has batch ${core.recipe?.batch}; configure({ batch: 1 })`);
    }
    const { outputs, statsBytes, layers } = core.plan;
    this.labels = core.targetSpec.loss === 'softmaxCrossEntropy';
    this.classes = outputs;
    this.record = new StepRecord(statsBytes, layers);
    this.native = guard('step', () => core.net.bindStep(this.record.bytes));
  }

  step(x: Float32Array, y: number | Float32Array): StepResult {
    if (this.left === 0) this.look();
    this.left--;
    const direct = typeof y === 'number' ? this.labels && this.isClass(y) : !this.labels;
    const target = direct ? y : this.targets(y);
    try {
      this.native(x, target);
    } catch (error) {
      throw stepError(this.core, error);
    }
    if (!this.begun) this.begin();
    return this.record.read();
  }

  private isClass(y: number): boolean {
    return Number.isInteger(y) && y >= 0 && y < this.classes;
  }

  /** Of a class, where the loss takes targets. */
  private targets(y: unknown): Float32Array {
    const { classes } = this;
    if (typeof y === 'number' && !this.labels) {
      if (classes === 1 && Number.isFinite(y)) return Float32Array.of(y);
      if (this.isClass(y)) return Float32Array.from({ length: classes }, (_, i) => (i === y ? 1 : 0));
    }
    throw new TinypropError('ERR_TINYPROP_LABEL', `step: label: expected an integer from 0 to ${classes - 1}, found ${String(y)}`, { label: y, classes });
  }

  private look(): void {
    checkSchedule(this.core);
    this.left = scheduleCheck;
  }

  /** A step was taken: weights are no longer initial ones, nor is the state that of a fit. */
  private begin(): void {
    this.begun = true;
    this.core.fresh = false;
    this.core.fitSamples = null;
  }
}

/** What takes the model's next step, made anew when somebody else has had the model. @internal */
export function stepperOf(core: ModelCore): Steps {
  if (core.stepper !== null) return core.stepper;
  core.free('step');
  const stepper = new Stepper(core);
  core.stepper = stepper;
  return stepper;
}
