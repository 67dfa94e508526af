// SPDX-License-Identifier: Apache-2.0
import { guard } from './addon';
import { GraphBuilder, type TensorRef } from './builder';
import type { Dataset } from './data/dataset';
import { TinypropError } from './errors';
import { evaluateModel } from './evaluate';
import { readBytes, writeFileAtomic } from './file';
import { foldedTensors } from './fold';
import { frozen, unfrozen } from './freeze';
import { onDevice, planOf, type LossName, type ModelJson } from './graph';
import { replaceHead } from './head';
import { fill, importModel, type ImportOptions, weightsBeside } from './import';
import type { LayerSpec } from './layers';
import { learnStream, type LearnOptions, type LearnSummary, type StreamSample } from './learn';
import { blobFlags, coreFromJson, ModelCore } from './model-core';
import { decodeModel, encodeModel } from './model-file';
import { planReport, storePlan, type PlanReport, type StoreOptions } from './plan';
import { predictSamples } from './predict';
import { nativeRecipe, type RecipeOptions } from './recipe';
import type { Evaluation, Prediction, StepResult } from './results';
import { stepperOf } from './step';
import { readTensor, tensorInfos, weightHash, writeTensor, type TensorData, type TensorInfo } from './tensor';

export type { LossName, ModelJson, NodeJson } from './graph';
export type { TensorData, TensorInfo } from './tensor';

/** What {@link Model.save} and {@link Model.toBytes} write. */
export interface SaveOptions {
  /** Also recipe and training state, so that training resumes to the same bits; default false. */
  state?: boolean;
  /** Entries that override {@link Model.meta} in this file. */
  meta?: Record<string, unknown>;
}

/**
 * A network: description, weights and, once configured, training state. Weights live in native memory;
 * `close()` gives it back at once, else the garbage collector does.
 */
export class Model {
  /** @internal */
  readonly core: ModelCore;

  /**
   * Free JSON beside the weights, saved in the section META: class names, normalisation, kind of data.
   * Only JSON values; keys are sorted when written.
   */
  meta: Record<string, unknown> = {};

  private constructor(core: ModelCore) {
    this.core = core;
  }

  /**
   * A chain of layers.
   *
   * @param options input: shape of one sample, `[features]`, `[time, channels]` or `[height, width, channels]`;
   *   loss: default `softmaxCrossEntropy`; layers: from the input on
   * @throws TinypropError `ERR_TINYPROP_MODEL`, `ERR_TINYPROP_SHAPE` naming the node
   */
  static sequential(options: { input: number[]; loss?: LossName; layers: LayerSpec[] }): Model {
    const { input, loss = 'softmaxCrossEntropy', layers } = options;
    return Model.graph(input, (g, x) => layers.reduce((tensor, layer) => g.add(layer, tensor), x), { loss });
  }

  /**
   * Any directed acyclic graph: `Model.graph([8, 8, 1], (g, x) => g.add(dense(10), g.add(flatten(), x)))`.
   *
   * @param build places layers with {@link GraphBuilder.add} and returns the output, which must be added last
   * @throws TinypropError `ERR_TINYPROP_MODEL`, `ERR_TINYPROP_SHAPE` naming the node
   */
  static graph(
    input: number[],
    build: (g: GraphBuilder, input: TensorRef) => TensorRef,
    options: { loss?: LossName } = {},
  ): Model {
    const builder = new GraphBuilder();
    const output = build(builder, { name: 'input' });
    return Model.fromJSON(builder.finish(input, options.loss ?? 'softmaxCrossEntropy', output));
  }

  /**
   * A model of a description, with initial weights.
   *
   * @throws TinypropError `ERR_TINYPROP_MODEL`, `ERR_TINYPROP_SHAPE` naming the node, `ERR_TINYPROP_LIMIT`
   */
  static fromJSON(json: ModelJson): Model {
    return new Model(coreFromJson(json));
  }

  /**
   * Reads a model file: `.tpm`, or one of another framework (docs/import.md), told by its content. If it holds training state,
   * `Trainer.fit` with `resume` continues it.
   *
   * @throws TinypropError `ERR_TINYPROP_FILE` (cannot be read), and those of {@link Model.fromBytes}
   */
  static async load(path: string, options: ImportOptions = {}): Promise<Model> {
    const bytes = await readBytes(path);
    const beside = options.weights === undefined ? weightsBeside(path, bytes) : undefined;
    const weights = beside === undefined ? options.weights : await readBytes(beside);
    try {
      return Model.fromBytes(bytes, { ...options, ...(weights && { weights }) });
    } catch (error) {
      if (!(error instanceof TinypropError)) throw error;
      throw new TinypropError(error.code, `${path}: ${error.message}`, { ...error.details, path }, error);
    }
  }

  /**
   * A model from the bytes of a model file, `.tpm`, `.tflite` or `.safetensors`; they are not trusted. One out of a `.tflite` takes its inputs in the units
   * that it was trained with: its `meta.normalization` leaves data as they are.
   *
   * @param options of `.tflite` files
   * @throws TinypropError `ERR_TINYPROP_BLOB`, `ERR_TINYPROP_CRC`, `ERR_TINYPROP_VERSION`, `ERR_TINYPROP_MODEL`; of a `.tflite` also
   *   `ERR_TINYPROP_MODEL` naming the operator or feature that is not supported, `ERR_TINYPROP_DATA`, `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_LIMIT`
   */
  static fromBytes(bytes: Uint8Array, options: ImportOptions = {}): Model {
    if (!(bytes instanceof Uint8Array)) throw new TinypropError('ERR_TINYPROP_ARG', 'model file: expected a Uint8Array');
    if (bytes.length === 0) throw new TinypropError('ERR_TINYPROP_BLOB', 'model file: it is empty');
    const imported = importModel(bytes, options);
    if (imported !== null) return fill(Model.fromJSON(imported.json), imported);
    const { core, meta } = decodeModel(bytes);
    const model = new Model(core);
    model.meta = meta;
    return model;
  }

  /** The description without weights; equal descriptions are equal JSON. */
  toJSON(): ModelJson {
    return this.core.json;
  }

  /**
   * Writes the model file: a temporary file, then a rename, so that the path never holds half of it. During a
   * fit it waits for the end of the running chunk.
   *
   * @throws TinypropError `ERR_TINYPROP_FILE`, `ERR_TINYPROP_MODE` (state of a model without recipe), `ERR_TINYPROP_ARG` (meta)
   */
  async save(path: string, options: SaveOptions = {}): Promise<void> {
    await writeFileAtomic(path, await this.core.between(() => this.encode(options)));
  }

  /**
   * The bytes of the model file. They depend on model, weights, recipe, state and meta alone: no date, path or machine.
   *
   * @throws TinypropError `ERR_TINYPROP_BUSY` during a fit (use {@link Model.save}), `ERR_TINYPROP_MODE`, `ERR_TINYPROP_ARG`
   */
  toBytes(options: SaveOptions = {}): Uint8Array {
    this.core.free('toBytes');
    return this.encode(options);
  }

  private encode(options: SaveOptions): Uint8Array {
    return encodeModel(this.core, { ...this.meta, ...options.meta }, options.state === true);
  }

  /** Shape of one sample. */
  get inputShape(): number[] {
    return [...this.core.targetSpec.inputShape];
  }

  /**
   * Threads that share the work on a batch and on the samples of an evaluation, 1 to 64; 1 at first. Results are the
   * same bits for any number. Small steps (a batch of 1 among them) stay on one thread.
   *
   * @throws TinypropError `ERR_TINYPROP_ARG`, `ERR_TINYPROP_BUSY` while the model is trained
   */
  get threads(): number {
    return this.core.threads;
  }

  /** Moves weights and training state to a net with that many threads. */
  set threads(n: number) {
    this.core.threads = n;
  }

  /** Numbers per prediction. */
  get outputSize(): number {
    return this.core.plan.outputs;
  }

  /** The loss it is trained with. */
  get loss(): LossName {
    return this.core.targetSpec.loss;
  }

  /** Number of parameters. */
  get parameterCount(): number {
    return this.core.plan.parameters;
  }

  /** True if there is training state, so that `fit` can resume. */
  get hasState(): boolean {
    return this.core.recipe !== null;
  }

  /**
   * Plans the model for training with a recipe; training state starts anew. Weights are kept; those of a model
   * that has none yet are initialised from the recipe's seed. Needed before {@link Model.step}; a Trainer does it itself.
   *
   * @param recipe lengths of its schedule in batches (`unit: 'batches'`)
   * @throws TinypropError `ERR_TINYPROP_RECIPE` naming the field, `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
   */
  configure(recipe: RecipeOptions = {}): void {
    this.core.free('configure');
    this.core.rebuild(this.core.native, nativeRecipe(recipe, null));
  }

  /**
   * Keeps the parameters of the named nodes, or all but those of the last n weight layers, as they are. `NODE.weight` keeps the weights
   * alone: the bias of that layer trains. Training state starts anew.
   *
   * @throws TinypropError `ERR_TINYPROP_ARG` (no such node, n out of range), `ERR_TINYPROP_MODEL` (no parameters, no bias), `ERR_TINYPROP_BUSY`
   */
  freeze(names: string[] | { allButLast: number }): void {
    this.core.free('freeze');
    this.core.rebuild(frozen(this.core, names), this.core.recipe);
  }

  /** Lets all parameters train again. Training state starts anew. @throws TinypropError `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED` */
  unfreeze(): void {
    this.core.free('unfreeze');
    this.core.rebuild(unfrozen(this.core.native), this.core.recipe);
  }

  /**
   * Gives the last weight layer another number of outputs; its weights are initialised anew (int8: with room to grow), all others stay.
   *
   * @throws TinypropError `ERR_TINYPROP_ARG`, `ERR_TINYPROP_MODEL`, `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_BUSY`
   */
  replaceHead(classes: number): void {
    this.core.free('replaceHead');
    replaceHead(this.core, classes);
  }

  /**
   * A new model in which every batch normalisation that directly follows a dense layer or convolution (and is its
   * only consumer) is folded into that layer: `w' = w gamma / sqrt(variance + epsilon)`, in float64, rounded once.
   *
   * @throws TinypropError `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
   */
  foldBatchNorm(): Model {
    this.core.free('foldBatchNorm');
    const { json, tensors } = foldedTensors(this.toJSON(), this.tensors().map(({ name }) => name), (name) => this.getTensorData(name));
    const model = Model.fromJSON(json);
    for (const [name, values] of tensors) model.setTensor(name, values);
    model.meta = structuredClone(this.meta);
    return model;
  }

  /**
   * Trains on one sample at once, on this thread: about the time of a C call. The recipe's batch must be 1; a model
   * that was not configured takes the default recipe.
   *
   * @param x one sample, `prod(inputShape)` numbers
   * @param y class label (also 0 or 1 for a single output), or `outputSize` targets
   * @throws TinypropError `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_LABEL`, `ERR_TINYPROP_DATA` (nothing changed), `ERR_TINYPROP_LOSS`,
   *   `ERR_TINYPROP_DELTA` (diverged), `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
   */
  step(x: Float32Array, y: number | Float32Array): StepResult {
    return stepperOf(this.core).step(x, y);
  }

  /**
   * Trains on a stream, sample by sample, until it ends or the signal fires; gives way to other work every few
   * milliseconds.
   *
   * @throws TinypropError those of {@link Model.step}, with the position in the stream
   */
  learn(
    stream: AsyncIterable<StreamSample> | Iterable<StreamSample>,
    options: LearnOptions = {},
  ): Promise<LearnSummary> {
    return learnStream(this.core, stream, options);
  }

  /**
   * Outputs for one or more samples: probabilities (softmax, sigmoid) or values (mse). During a fit it answers with
   * the weights at the end of the running chunk.
   *
   * @param x samples one after the other, or a list of samples
   * @throws TinypropError `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_DATA` naming the sample, `ERR_TINYPROP_CLOSED`
   */
  predict(x: Float32Array | Float32Array[]): Promise<Prediction> {
    return predictSamples(this.core, x);
  }

  /**
   * Accuracy, loss and confusion matrix on a data set, from one consistent copy of the weights; during a fit those at
   * the end of the running chunk.
   *
   * @throws TinypropError `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_LABEL`, `ERR_TINYPROP_DATA` naming the sample, `ERR_TINYPROP_ABORTED`
   */
  evaluate(data: Dataset, options: { signal?: AbortSignal } = {}): Promise<Evaluation> {
    return evaluateModel(this.core, data, options.signal);
  }

  /**
   * RAM for inference and training, flash and work, exact and the same on every target; `program`: in all.
   *
   * @param options training: false leaves the training plan out; recipe: instead of the model's own (or the default); store: also
   *   plan slots in flash for the trained weights, with the training state unless there is no training plan or `state` is false;
   *   frozenInFlash: parameters that do not train (in an inference plan: all) stay in the model file in flash (`tp_net_flash`);
   *   int8Samples: samples are int8 already (a model that begins with `quantize`)
   * @throws TinypropError `ERR_TINYPROP_RECIPE`, `ERR_TINYPROP_ARG` naming the option of the store, `ERR_TINYPROP_LIMIT`
   */
  plan(options: { training?: boolean; recipe?: RecipeOptions; store?: StoreOptions; frozenInFlash?: boolean; int8Samples?: boolean } = {}): PlanReport {
    this.core.use();
    const native = onDevice(this.core.native, options.int8Samples);
    const recipe = options.recipe === undefined && this.core.recipe !== null ? this.core.recipe : nativeRecipe(options.recipe ?? {}, null);
    const net = ModelCore.open(native, null, 1);
    try {
      const file = guard('plan', () => net.init() ?? net.save(blobFlags(false), []));
      const training = options.training === false ? null : planOf(native, recipe, options.frozenInFlash);
      const store = options.store && storePlan(native, training !== null && options.store.state !== false ? recipe : null, options.store);
      return planReport(planOf(native, null, options.frozenInFlash), training, options.int8Samples === true, file.length, store);
    } finally {
      net.close();
    }
  }

  /** All parameter tensors, in the order of the nodes. */
  tensors(): TensorInfo[] {
    return tensorInfos(this.core);
  }

  /**
   * A copy of a parameter tensor of floats.
   *
   * @throws TinypropError `ERR_TINYPROP_ARG` (no such tensor, or not of floats), `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
   */
  getTensor(name: string): Float32Array {
    const data = this.getTensorData(name);
    if (!(data instanceof Float32Array)) throw new TinypropError('ERR_TINYPROP_ARG', `getTensor "${name}": its numbers are integers; take getTensorData`);
    return data;
  }

  /**
   * A copy of a parameter tensor of any type.
   *
   * @throws TinypropError `ERR_TINYPROP_ARG` (no such tensor), `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
   */
  getTensorData(name: string): TensorData {
    return readTensor(this.core, name);
  }

  /**
   * Replaces a parameter tensor.
   *
   * @param values as many numbers as it has, of its type, all finite
   * @throws TinypropError `ERR_TINYPROP_ARG`, `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_DATA`, `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
   */
  setTensor(name: string, values: TensorData): void {
    writeTensor(this.core, name, values);
  }

  /** SHA-256 of all parameters in hexadecimal: equal hashes, equal bits. */
  weightHash(): string {
    return weightHash(this.core);
  }

  /** Gives the native memory back and ends a running fit with `ERR_TINYPROP_CLOSED`; may be called twice. */
  close(): void {
    this.core.close();
  }

  /** `using model = ...` closes it at the end of the block. */
  [Symbol.dispose](): void {
    this.close();
  }
}
