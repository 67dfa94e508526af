// SPDX-License-Identifier: Apache-2.0
import { addon, constant, guard, translate, type NativeModel, type NativeNet, type NativePlan, type NativeRecall, type NativeRecipe, type NativeResult, type NativeSection } from './addon';
import { TinypropError } from './errors';
import { fromNative, jsShape, lossOf, planOf, toNative, type ModelJson } from './graph';
import type { StepResult } from './results';
import type { TargetSpec, Targets } from './targets';

/** A job for the net's thread. @internal */
export interface JobRequest {
  kind: 'train' | 'evaluate' | 'predict' | 'forward';
  x: Float32Array;
  y: Targets | null;
  order: Uint32Array;
  from: number;
  to: number;
  keep?: boolean;
  /** Training: what a log holds of the samples (`logFlags`); 0 or none: no log. */
  record?: number;
  /** Training: what is known of the samples; evaluation: `cut` alone. */
  recall?: NativeRecall | undefined;
}

/** Takes steps of one sample while nobody else has the model. @internal */
export interface Steps {
  step(x: Float32Array, y: number | Float32Array): StepResult;
}

/** 0 .. n-1, for jobs that visit samples in storage order. @internal */
export function identityOrder(n: number): Uint32Array {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  return order;
}

/** `conv1` of `conv1.weight`. @internal */
export function nodeOf(tensor: string): string {
  return tensor.slice(0, tensor.lastIndexOf('.'));
}

/** What a model file holds: weights, and with `state` recipe and training state. @internal */
export function blobFlags(state: boolean): number {
  return constant('blob', 'weights') | (state ? constant('blob', 'state') : 0);
}

/** The model after an edit of the core's; `what` is also what errors say was being done. @internal */
export function edit(model: NativeModel, what: 'freeze' | 'freezeAllButLast' | 'replaceHead', argument: string | number): NativeModel {
  return guard(what, () => addon().editModel(model, what, argument));
}

function sameRecipe(a: NativeRecipe, b: NativeRecipe | null): boolean {
  return b !== null && (Object.keys(a) as (keyof NativeRecipe)[]).every((field) => a[field] === b[field]);
}

/** Runs a job on a net's own thread. @internal */
export async function runJob(net: NativeNet, job: JobRequest): Promise<NativeResult> {
  try {
    return await net.run(constant('job', job.kind), job.x, job.y, job.order, job.from, job.to, job.keep ?? false, job.record ?? 0, job.recall);
  } catch (error) {
    throw translate(error, job.kind);
  }
}

/**
 * The engine room of a Model: which native net is live, who is using it, and consistent copies of its weights.
 * A net does one thing at a time; whoever trains claims it, readers get a copy made between two chunks.
 * @internal
 */
export class ModelCore {
  native: NativeModel;
  net: NativeNet;
  /** Recipe of the net; null: inference only. */
  recipe: NativeRecipe | null;
  /** No weights were ever set: `configure` still initialises them from its seed. */
  fresh: boolean;
  /** Size of the training set whose order the training state follows; null: the state is not that of a fit. */
  fitSamples: number | null = null;
  /** What takes steps; null: to be made, when the model is free. */
  stepper: Steps | null = null;
  /** Sections of the model file that this version does not know; kept for the next save. */
  sections: NativeSection[] = [];

  /** Threads that share the work on a batch. */
  private threadCount = 1;
  private activity: string | null = null;
  private closedFlag = false;
  private running = false;
  private readonly waiting: (() => void)[] = [];
  private reader: NativeNet | null = null;
  private readerQueue: Promise<unknown> = Promise.resolve();
  private planCache: NativePlan | null = null;
  private specCache: TargetSpec | null = null;

  constructor(native: NativeModel, recipe: NativeRecipe | null, fresh: boolean) {
    this.native = native;
    this.recipe = recipe;
    this.fresh = fresh;
    this.net = ModelCore.open(native, recipe, this.threadCount);
    if (fresh) guard('model', () => this.net.init());
  }

  static open(native: NativeModel, recipe: NativeRecipe | null, threads: number): NativeNet {
    try {
      return new (addon().Net)(native, recipe, { threads });
    } catch (error) {
      planOf(native, recipe); // says more of what is wrong with a model
      throw translate(error, 'model');
    }
  }

  get threads(): number {
    return this.threadCount;
  }

  /** Another number of threads; weights and training state move to a net that has them. */
  set threads(n: number) {
    const most = constant('limit', 'threads');
    if (!Number.isInteger(n) || n < 1 || n > most) {
      throw new TinypropError('ERR_TINYPROP_ARG', `threads: expected an integer from 1 to ${most}, found ${String(n)}`, { threads: n });
    }
    this.free('threads');
    if (n === this.threadCount) return;
    const net = ModelCore.open(this.native, this.recipe, n);
    try {
      const flags = blobFlags(this.recipe !== null);
      guard('threads', () => net.load(this.net.save(flags, []), flags));
    } catch (error) {
      net.close();
      throw error;
    }
    this.replace(net);
    this.threadCount = n;
  }

  private replace(net: NativeNet): void {
    this.net.close();
    this.net = net;
    this.stepper = null;
    this.reader?.close();
    this.reader = null;
  }

  get plan(): NativePlan {
    return (this.planCache ??= this.net.plan());
  }

  get json(): ModelJson {
    return fromNative(this.native);
  }

  get targetSpec(): TargetSpec {
    const { inputs, outputs } = this.plan;
    return (this.specCache ??= { inputs, outputs, inputShape: jsShape(this.native.input), loss: lossOf(this.native) });
  }

  get closed(): boolean {
    return this.closedFlag;
  }

  /** Name of what holds the model, or null. */
  get holder(): string | null {
    return this.activity;
  }

  /** Throws if the model is closed. */
  use(): void {
    if (this.closedFlag) throw new TinypropError('ERR_TINYPROP_CLOSED', 'the model was closed');
  }

  /** Throws if the model is closed or being trained by someone else. */
  free(what: string): void {
    this.use();
    if (this.activity !== null) {
      throw new TinypropError('ERR_TINYPROP_BUSY', `${what}: ${this.activity} is running on this model`, { activity: this.activity });
    }
  }

  /** Reserves the model for one activity until {@link release}. */
  claim(activity: string): void {
    this.free(activity);
    this.activity = activity;
    this.stepper = null;
  }

  release(): void {
    this.activity = null;
  }

  /** Another description or recipe; parameters of the same name and shape are kept but for those of node `anew`, training state starts anew. */
  rebuild(native: NativeModel, recipe: NativeRecipe | null, anew?: string): void {
    if (native === this.native && recipe !== null && sameRecipe(recipe, this.recipe)) {
      this.restart();
      return;
    }
    const net = ModelCore.open(native, recipe, this.threadCount);
    try {
      guard('model', () => net.init());
      if (!this.fresh && native === this.native) {
        guard('model', () => net.copyParamsFrom(this.net)); // every fit comes this way: a file of the weights takes ten times as long
      } else if (!this.fresh) {
        const flags = blobFlags(false);
        const bytes = guard('model', () => this.net.save(flags, []));
        const initial = guard('model', () => net.tensors()).flatMap(({ name }, i) => (nodeOf(name) === anew ? [{ i, values: net.readTensor(i) }] : []));
        guard('model', () => net.load(bytes, flags | constant('blob', 'partial')));
        guard('model', () => initial.forEach(({ i, values }) => net.writeTensor(i, new Uint8Array(values))));
      }
    } catch (error) {
      net.close();
      throw error;
    }
    this.replace(net);
    this.native = native;
    this.recipe = recipe;
    this.fitSamples = null;
    this.planCache = null;
    this.specCache = null;
  }

  /** The same with nothing changed: another net's memory would have to be fetched page by page, for some per cent of a short fit. */
  private restart(): void {
    guard('model', () => (this.fresh ? this.net.init() : this.net.resetState()));
    this.fitSamples = null;
    this.stepper = null;
  }

  /** Runs a job of the holder on the live net; between two jobs readers take their copies. */
  async run(job: JobRequest): Promise<NativeResult> {
    this.running = true;
    try {
      return await runJob(this.net, job);
    } finally {
      this.running = false;
      for (const resume of this.waiting.splice(0)) resume();
    }
  }

  /** Calls `body` while the live net is between two jobs. */
  async between<T>(body: () => T): Promise<T> {
    if (!this.running) return body();
    return new Promise<T>((resolve, reject) => {
      this.waiting.push(() => {
        try {
          resolve(body());
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }

  private copyInto(net: NativeNet): Promise<void> {
    return this.between(() => {
      this.use();
      guard('snapshot', () => net.copyParamsFrom(this.net));
    });
  }

  /** A net of its own with the present weights; the caller closes it. */
  async snapshot(): Promise<NativeNet> {
    this.use();
    const net = ModelCore.open(this.native, null, this.threadCount);
    try {
      await this.copyInto(net);
      return net;
    } catch (error) {
      net.close();
      throw error;
    }
  }

  /** Calls `body` with the cached inference net holding the present weights; callers queue. */
  async read<T>(body: (net: NativeNet) => Promise<T>): Promise<T> {
    const turn = this.readerQueue.then(async () => {
      this.use();
      this.reader ??= ModelCore.open(this.native, null, this.threadCount);
      const reader = this.reader;
      await this.copyInto(reader);
      return body(reader);
    });
    this.readerQueue = turn.catch(() => undefined);
    return turn;
  }

  close(): void {
    if (this.closedFlag) return;
    this.closedFlag = true;
    this.stepper = null;
    this.net.close();
    this.reader?.close();
    this.reader = null;
  }
}

/** The core of a description. @internal */
export function coreFromJson(json: ModelJson): ModelCore {
  return new ModelCore(toNative(json), null, true);
}
