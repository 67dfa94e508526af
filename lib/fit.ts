// SPDX-License-Identifier: Apache-2.0
import { ActivationCache, type CacheUse } from './activation-cache';
import { addon, constant, guard, isErrorCode, type NativeRecipe, type NativeResult } from './addon';
import { ChunkSize } from './chunk';
import { Augmenter, type AugmentOptions } from './data/augment';
import type { Dataset } from './data/dataset';
import { errorCodes, TinypropError } from './errors';
import { evaluateModel } from './evaluate';
import type { EpochEvent, EventHub, FitResult, WarningEvent } from './events';
import { LogFile, logFlags, logMarks } from './log';
import { identityOrder, type JobRequest, type ModelCore } from './model-core';
import { nativeRecipe, recipeDifferences, type RecipeOptions } from './recipe';
import { Masker } from './masks/masker';
import { Recall } from './recall';
import { Totals, type Evaluation } from './results';
import { cosine } from './schedule';
import { constantLoss, targetsOf, type Targets } from './targets';
import { Watchdog } from './watchdog';

/** What `fit` works on, resolved. @internal */
export interface FitJob {
  core: ModelCore;
  recipe: RecipeOptions;
  train: Dataset;
  test: Dataset | undefined;
  epochs: number;
  resume: boolean;
  chunkMs: number;
  evaluateEvery: 'epoch' | 'end' | 'never';
  signal: AbortSignal | undefined;
  augment: AugmentOptions | undefined;
  /** Memory for activations of the frozen part; 0: none. */
  cacheBytes: number;
  /** File of the log. */
  record: string | undefined;
  /** Writes a checkpoint; called between chunks. */
  checkpoint: { every: number; save: () => Promise<void> } | undefined;
}

/** One call of `fit`, from the claimed model to the result. @internal */
export class Fit {
  private readonly core: ModelCore;
  private readonly y: Targets;
  private readonly native: NativeRecipe;
  private readonly batchesPerEpoch: number;
  private readonly totals: Totals;
  private readonly augmenter: Augmenter | null;
  private readonly chunk: ChunkSize;
  private readonly watchdog: Watchdog;
  private readonly recall: Recall;
  private readonly masker: Masker;
  /** Of training and test samples; null: nothing to remember. */
  private readonly cache: ActivationCache | null;
  private readonly testCache: ActivationCache | null;
  private readonly history: EpochEvent[] = [];
  private readonly warnings: WarningEvent[] = [];
  private msPerSample = 0;
  private trainingMs = 0;
  private last: { loss: number; accuracy: number } | null = null;
  private log: LogFile | null = null;

  /** Checks everything before the first weight changes. */
  constructor(
    private readonly job: FitJob,
    private readonly hub: EventHub,
  ) {
    const { core, train, test, recipe } = job;
    this.core = core;
    this.y = targetsOf(train, core.targetSpec);
    if (test !== undefined) targetsOf(test, core.targetSpec);
    const batch = recipe.batch ?? 1;
    this.batchesPerEpoch = Math.ceil(train.n / batch);
    const run = { epochs: job.epochs, batchesPerEpoch: this.batchesPerEpoch };
    this.native = nativeRecipe({ ...recipe, schedule: recipe.schedule ?? cosine() }, run);
    this.augmenter = job.augment === undefined ? null : new Augmenter(job.augment, train.inputShape, this.native.seed);
    if (job.resume) this.checkResume();
    else core.rebuild(core.native, this.native);
    core.fitSamples = train.n;
    this.recall = new Recall(core, this.native, train.n, { resume: job.resume, record: job.record !== undefined });
    this.masker = new Masker(core, recipe, { train, seed: this.native.seed, resume: job.resume, record: job.record !== undefined });
    const { plan } = core;
    this.totals = new Totals(plan.layers);
    this.chunk = new ChunkSize(batch, plan.macsForward + plan.macsBackward, job.chunkMs);
    this.cache = this.remember(train.n, job.cacheBytes);
    const left = job.cacheBytes - (this.cache?.bytes ?? 0);
    this.testCache = test !== undefined && job.evaluateEvery === 'epoch' ? this.remember(test.n, left) : null;
    const { loss, majority } = constantLoss(this.y, core.targetSpec);
    const notALayer = constant('node', 'notALayer');
    // Under masks layers that train nothing get no error: they are not dead.
    const masks = recipe.policy?.policy === 'masked';
    const layers = plan.nodes
      .filter(() => !masks)
      .filter((node, i) => node.layer !== notALayer && i >= plan.firstTrainable)
      .map(({ name, layer }) => ({ name, layer }));
    this.watchdog = new Watchdog(
      { layers, constantLoss: loss, majority, lr: this.native.lr, bounded: core.targetSpec.loss !== 'mse' },
      (event) => this.warn(event),
    );
  }

  private checkResume(): void {
    const { recipe } = this.core;
    if (recipe === null) {
      throw new TinypropError('ERR_TINYPROP_MODE', 'fit: resume: the model has no training state; save it with { state: true }');
    }
    const differences = recipeDifferences(recipe, this.native);
    if (differences.length > 0) {
      throw new TinypropError('ERR_TINYPROP_RECIPE', `fit: resume: the recipe is not that of the saved state (${differences.join('; ')})`, { differences });
    }
    const { fitSamples } = this.core;
    const { n } = this.job.train;
    if (fitSamples !== n) {
      const made = fitSamples === null ? 'by step(), not by fit' : `on ${fitSamples} samples`;
      throw new TinypropError('ERR_TINYPROP_MISMATCH', `fit: resume: the training state was made ${made}, the data have ${n}`, {
        expected: fitSamples,
        found: n,
      });
    }
  }

  /** A cache for samples that are visited more than once and the same each time. */
  private remember(n: number, limit: number): ActivationCache | null {
    const { core, job } = this;
    const { batches } = guard('fit', () => core.net.progress());
    const visits = job.epochs - Math.floor(batches / this.batchesPerEpoch);
    return visits < 2 || job.augment !== undefined ? null : ActivationCache.of(core.plan, n, limit);
  }

  private warn(event: WarningEvent): void {
    this.warnings.push(event);
    this.hub.emit(event);
  }

  private get aborted(): boolean {
    return this.job.signal?.aborted ?? false;
  }

  async run(): Promise<FitResult> {
    if ((this.core.plan.warnings & constant('warning', 'thetaNegative')) !== 0) {
      this.warn({ type: 'warning', code: 'theta-negative', message: 'tau / beta is below dMin: every sample is trained, the decision of TinyPropv2 skips none' });
    }
    const stop = (): void => this.core.net.stop();
    this.job.signal?.addEventListener('abort', stop);
    try {
      this.log = this.job.record === undefined ? null : new LogFile(this.job.record);
      this.mark('head');
      const epochs = await this.epochs();
      if (this.aborted && this.job.checkpoint !== undefined) await this.job.checkpoint.save();
      return await this.result(epochs);
    } finally {
      this.job.signal?.removeEventListener('abort', stop);
      this.log?.close();
    }
  }

  /** What the log holds of the samples; 0: there is no log. */
  private get record(): number {
    if (this.log === null) return 0;
    return this.augmenter === null ? logFlags.index : logFlags.samples;
  }

  private mark(what: keyof typeof logMarks): void {
    this.log?.append(guard('fit', () => this.core.net.log(logMarks[what], this.record)));
  }

  /** Trains from where the state is; gives the number of epochs that are complete. */
  private async epochs(): Promise<number> {
    const { core, job } = this;
    const { batches } = guard('fit', () => core.net.progress());
    let epoch = Math.floor(batches / this.batchesPerEpoch);
    for (; epoch < job.epochs && !this.aborted; epoch++) {
      const sums = await this.epoch(epoch);
      if (sums === null) return epoch;
      await this.epochDone(epoch, sums.totals, sums.ms, sums.whole);
    }
    return epoch;
  }

  /** One epoch, or what is left of it; null if it was aborted. */
  private async epoch(epoch: number): Promise<{ totals: Totals; ms: number; whole: boolean } | null> {
    const { core, job, native } = this;
    const { n } = job.train;
    const totals = new Totals(core.plan.layers);
    const order = guard('fit', () => addon().shuffle(native.seed, epoch, n));
    const { batches, epochs: begun } = guard('fit', () => core.net.progress());
    const first = (batches - epoch * this.batchesPerEpoch) * native.batch;
    if (begun <= epoch) {
      const macs = await this.masker.before(epoch);
      totals.addPolicy(macs);
      this.totals.addPolicy(macs);
      guard('fit', () => core.net.epochBegin());
      this.mark('epochBegin');
    }
    let ms = 0;
    for (let at = first; at < n; ) {
      if (this.aborted) return null;
      const to = Math.min(n, at + this.chunk.size);
      const started = performance.now();
      const request = this.request(order, at, to, epoch);
      const result = await core.run(request);
      if (this.cache !== null) this.cache.computed += result.computed;
      if (this.augmenter !== null) this.recall.take(request.recall, order.subarray(at, to));
      const took = performance.now() - started;
      core.use();
      core.fresh = false;
      this.log?.append(result.log);
      ms += took;
      this.trainingMs += took;
      const sums = new Totals(core.plan.layers);
      sums.add(result.totals);
      totals.add(result.totals);
      this.totals.add(result.totals);
      if (result.code !== null) throw this.stepError(result, order, at + result.done, epoch);
      if (result.done > 0) {
        this.chunk.measured(result.done, took);
        at += result.done;
        this.last = { loss: totals.loss, accuracy: totals.accuracy };
        this.watchdog.chunk(sums);
        this.progress(epoch, at, totals, sums, took / result.done);
      }
    }
    // In the same turn as the last step, so that no abort can fall between them.
    guard('fit', () => core.net.epochEnd());
    this.mark('epochEnd');
    return { totals, ms, whole: first === 0 };
  }

  /** The chunk as stored, or an augmented copy of it. */
  private request(order: Uint32Array, from: number, to: number, epoch: number): JobRequest {
    const { x } = this.job.train;
    const { y, augmenter, record } = this;
    if (augmenter === null) return { kind: 'train', x, y, order, from, to, record, recall: { ...this.recall.all(), cut: this.cache?.cut } };
    const { inputs, outputs } = this.core.plan;
    const n = to - from;
    const width = y instanceof Uint32Array ? 1 : outputs;
    const chunkX = new Float32Array(n * inputs);
    const chunkY = y instanceof Uint32Array ? new Uint32Array(n) : new Float32Array(n * width);
    for (let i = 0; i < n; i++) {
      const sample = order[from + i] as number;
      augmenter.apply(x.subarray(sample * inputs, (sample + 1) * inputs), chunkX.subarray(i * inputs, (i + 1) * inputs), epoch, sample);
      chunkY.set(y.subarray(sample * width, (sample + 1) * width), i * width);
    }
    return { kind: 'train', x: chunkX, y: chunkY, order: identityOrder(n), from: 0, to: n, record, recall: this.recall.of(order.subarray(from, to)) };
  }

  private progress(epoch: number, at: number, totals: Totals, chunk: Totals, msPerSample: number): void {
    const { job } = this;
    const { n } = job.train;
    this.msPerSample = this.msPerSample === 0 ? msPerSample : 0.9 * this.msPerSample + 0.1 * msPerSample;
    const left = (job.epochs - epoch) * n - at;
    this.hub.emit({
      type: 'progress',
      epoch: epoch + 1,
      epochs: job.epochs,
      batch: Math.ceil(at / this.native.batch),
      batches: this.batchesPerEpoch,
      samples: at,
      loss: totals.loss,
      accuracy: totals.accuracy,
      trainedFraction: totals.trainedFraction,
      effortBackward: totals.effortBackward,
      effortTotal: totals.effortTotal,
      k: chunk.k,
      etaSeconds: (left * this.msPerSample) / 1000,
      lr: guard('fit', () => this.core.net.progress()).lr,
    });
  }

  private async epochDone(epoch: number, totals: Totals, ms: number, whole: boolean): Promise<void> {
    const { job, native } = this;
    if (whole && native.scheduleWarmup < (epoch + 1) * this.batchesPerEpoch) this.watchdog.epoch(totals, epoch + 1);
    const evaluation = job.evaluateEvery === 'epoch' ? await this.evaluate() : null;
    const event: EpochEvent = {
      type: 'epoch',
      epoch: epoch + 1,
      epochs: job.epochs,
      trainLoss: totals.loss,
      trainAccuracy: totals.accuracy,
      ...(evaluation === null ? {} : { testLoss: evaluation.loss, testAccuracy: evaluation.accuracy }),
      effortBackward: totals.effortBackward,
      effortTotal: totals.effortTotal,
      trainedFraction: totals.trainedFraction,
      rowsWorked: totals.rowsWorked,
      k: totals.k,
      seconds: ms / 1000,
    };
    this.history.push(event);
    this.hub.emit(event);
    if (job.checkpoint !== undefined && (epoch + 1) % job.checkpoint.every === 0) await job.checkpoint.save();
  }

  /** Null without test data, or when the signal fires meanwhile: the epoch is done all the same. */
  private async evaluate(): Promise<Evaluation | null> {
    const { core, job } = this;
    if (job.test === undefined || this.aborted) return null;
    try {
      const evaluation = await evaluateModel(core, job.test, job.signal, this.testCache);
      this.last = { loss: evaluation.loss, accuracy: evaluation.accuracy };
      return evaluation;
    } catch (error) {
      if (error instanceof TinypropError && error.code === 'ERR_TINYPROP_ABORTED') return null;
      throw error;
    }
  }

  private async result(epochs: number): Promise<FitResult> {
    const { totals, job } = this;
    const complete = epochs === job.epochs;
    const evaluated = job.evaluateEvery === 'epoch' && this.history.at(-1)?.epoch === epochs;
    if (complete && job.evaluateEvery !== 'never' && !evaluated) await this.evaluate();
    return {
      epochs,
      loss: this.last?.loss ?? 0,
      accuracy: this.last?.accuracy ?? 0,
      effortBackward: totals.effortBackward,
      effortTotal: totals.effortTotal,
      effortPolicy: totals.effortPolicy,
      trainedFraction: totals.trainedFraction,
      rowsWorked: totals.rowsWorked,
      seconds: this.trainingMs / 1000,
      aborted: this.aborted && !complete,
      history: this.history,
      warnings: this.warnings,
      cache: this.cacheUse(),
      totals,
    };
  }

  private cacheUse(): CacheUse | null {
    const { cache, totals } = this;
    const { cut } = this.core.plan;
    if (cache === null || cut === undefined) return null;
    const macsSaved = (totals.samples - cache.computed) * cut.macs;
    const share = totals.macsForward === 0 ? 0 : macsSaved / totals.macsForward;
    return { node: cut.node, bytes: cache.bytes + (this.testCache?.bytes ?? 0), macsSaved, share };
  }

  private stepError(result: NativeResult, order: Uint32Array, at: number, epoch: number): TinypropError {
    const code = isErrorCode(result.code) ? result.code : 'ERR_TINYPROP_ARG';
    const samples = Array.from(order.subarray(at, Math.min(order.length, at + this.native.batch)));
    const few = samples.length === 1 ? `sample ${samples[0]}` : `the batch of samples ${samples.slice(0, 4).join(', ')}${samples.length > 4 ? ', ...' : ''}`;
    const where = `fit: epoch ${epoch + 1}, position ${at}, ${few} of "${this.job.train.name}"`;
    const details = { epoch: epoch + 1, position: at, samples, ...(result.node === undefined ? {} : { node: result.node }) };
    if (code !== 'ERR_TINYPROP_LOSS' && code !== 'ERR_TINYPROP_DELTA') return new TinypropError(code, `${where}: ${errorCodes[code]}`, details);
    const what = code === 'ERR_TINYPROP_LOSS' ? 'the loss' : `the error of layer "${String(result.node)}"`;
    const kept = code === 'ERR_TINYPROP_LOSS' ? 'this step changed no weight' : 'that layer and those below were not changed';
    const { lr } = this.native;
    const advice = `The learning rate ${Number(lr.toPrecision(6))} is too high for this model, data and batch; try ${Number((lr / 10).toPrecision(3))} or a warm-up.`;
    return new TinypropError(
      code,
      `${where}: training diverged: ${what} is no longer finite (${kept}). ${advice}`,
      { ...details, lr },
    );
  }
}
