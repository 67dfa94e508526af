// SPDX-License-Identifier: Apache-2.0
import { errorCodes, TinypropError, type ErrorCode } from './errors';
import { loadNative } from './native';

/** A node as `tp_node` has it. @internal */
export interface NativeNode {
  name: string;
  op: number;
  in: number[];
  flags: number;
  units: number;
  kernel: number[];
  stride: number[];
  padding: number;
  pad: number[];
  groups: number;
  init: number;
  param: number;
  scale: number;
  zero: number;
}

/** A model as `tp_model` has it; `input` is h, w, c, rank. @internal */
export interface NativeModel {
  nodes: NativeNode[];
  input: number[];
  loss: number;
  /** Samples are int8 already, as `quantize` would make them: on a device. */
  int8Input?: boolean;
}

/** A recipe as `tp_recipe` has it, flat. @internal */
export interface NativeRecipe {
  policy: number;
  optimizer: number;
  batch: number;
  numerics: number;
  lr: number;
  momentum: number;
  weightDecay: number;
  int8: number;
  seed: number;
  scheduleKind: number;
  scheduleWarmup: number;
  scheduleTotal: number;
  scheduleEvery: number;
  scheduleGamma: number;
  sMin: number;
  sMax: number;
  zeta: number;
  ymaxMode: number;
  ymaxDecay: number;
  ymaxFixed: number;
  outputDense: number;
  select: number;
  dMin: number;
  dMax: number;
  tau: number;
  beta: number;
  alphaMode: number;
  alphaDecay: number;
  alphaFixed: number;
  rate: number;
  steer: number;
  gain: number;
  history: number;
  stale: number;
  weightShare: number;
  deltaShare: number;
  revisit: number;
}

/** One row of the plan. @internal */
export interface NativePlanNode {
  name: string;
  op: number;
  in: number[];
  out: number[];
  outputs: number;
  paramBytes: number;
  scratchBytes: number;
  layer: number;
  select: number;
  selectable: number;
  trainable: number;
  needsDx: number;
  rows: number;
  rowLength: number;
  macsRow: number;
  macsForward: number;
  macsDw: number;
  macsDx: number;
}

/** The plan. @internal */
export interface NativePlan {
  planBytes: number;
  training: number;
  warnings: number;
  arenaBytes: number;
  paramBytes: number;
  stateBytes: number;
  gradBytes: number;
  actBytes: number;
  scratchBytes: number;
  layers: number;
  parameters: number;
  inputs: number;
  outputs: number;
  firstTrainable: number;
  macsForward: number;
  macsBackward: number;
  theta: number;
  statsBytes: number;
  nodes: NativePlanNode[];
  /** Where the frozen part ends: its last node, bytes and multiply-accumulates of a sample; undefined: nothing to remember. */
  cut?: { node: string; bytes: number; macs: number };
}

/** What a job leaves; `totals` is decoded by {@link Totals}. @internal */
export interface NativeResult {
  /** Samples done. */
  done: number;
  /** Frozen parts computed, for the cache and where it has no room; 0 without one. */
  computed: number;
  /** Why it ended early: the code of the step that failed. */
  code: string | null;
  /** The node at fault, if one is. */
  node?: string;
  totals: Float64Array;
  outputs: Float32Array;
  /** A record for every step, where asked for. */
  log: Uint8Array;
}

/** What the trace callback of a step sees. @internal */
export interface NativeTrace {
  node: string;
  /** Its number since the start of training. */
  sample: number;
  layer: number;
  n: number;
  k: number;
  l1: number;
  ymax: number;
  delta: Float32Array | null;
  kept: Float32Array | null;
}

/** Counters of the training state. @internal */
export interface NativeProgress {
  samples: number;
  batches: number;
  updates: number;
  epochs: number;
  lr: number;
}

/** What a training job knows of samples, by their numbers, and keeps up to date. @internal */
export interface NativeRecall {
  /** A byte a sample: which to pass over (`tp_revisit_due`). */
  visits?: Uint8Array | undefined;
  /** Last loss of every sample. */
  losses?: Float32Array | undefined;
  /** Samples of the only batch that are not in it: replay. */
  passed?: number;
  /** What the frozen part gives for the first samples: `cut.bytes` a sample, and a byte each that says whether they are there. */
  cut?: { values: Uint8Array; known: Uint8Array } | undefined;
}

type Targets = Uint32Array | Float32Array | null;

/** A batch-1 step of one net; errors as those of {@link NativeNet}. @internal */
export type NativeStep = (x: Float32Array, y: number | Float32Array) => void;

/** The native class. Methods throw plain errors with a `code`; use {@link guard}. @internal */
export interface NativeNet {
  init(): void;
  resetState(): void;
  epochBegin(): void;
  epochEnd(): void;
  /** A function that takes steps and leaves their statistics in `stats`, which is never detached. */
  bindStep(stats: Uint8Array): NativeStep;
  run(kind: number, x: Float32Array, y: Targets, order: Uint32Array, from: number, to: number, keep: boolean, record?: number, recall?: NativeRecall): Promise<NativeResult>;
  runNow(kind: number, x: Float32Array, y: Targets, order: Uint32Array, from: number, to: number, keep: boolean, record?: number, recall?: NativeRecall): NativeResult;
  log(what: number, record: number): Uint8Array;
  mask(layer: number, rows: Uint8Array | null, bias: number): void;
  tensors(): { name: string; dtype: number; shape: number[]; bytes: number }[];
  readTensor(index: number): ArrayBuffer;
  writeTensor(index: number, bytes: Uint8Array): void;
  save(flags: number, sections: readonly NativeSection[]): Uint8Array<ArrayBuffer>;
  load(bytes: Uint8Array, flags: number): number;
  plan(): NativePlan;
  recipe(): NativeRecipe | null;
  progress(): NativeProgress;
  setTrace(callback: ((event: NativeTrace) => void) | null): void;
  copyParamsFrom(net: NativeNet): void;
  kernels(): string;
  isBusy(): boolean;
  stop(): void;
  close(): void;
}

/** A section of the model file. @internal */
export interface NativeSection {
  tag: string;
  data: Uint8Array;
}

/** What the core says of itself. @internal */
export interface NativeFacts {
  lists: Record<'layer' | 'loss' | 'policy' | 'optimizer' | 'preset' | 'kernel' | 'isa' | 'status', { name: string; id: number }[]>;
  constants: Record<string, Record<string, number>>;
  version: string;
  sourceId: string;
  kernels: string;
}

/** How a net works; results do not depend on it. @internal */
export interface NativeOptions {
  /** Instruction set; default: TP_ISA of the environment, or the best. */
  kernels?: string;
  /** Samples of a batch worked on together; default: what pays. */
  samples?: number;
  /** Default 1. */
  threads?: number;
}

/** The addon's exports. @internal */
export interface NativeAddon {
  Net: new (model: NativeModel, recipe: NativeRecipe | null, options?: NativeOptions) => NativeNet;
  describe(): NativeFacts;
  recipeDefault(): NativeRecipe;
  recipePreset(recipe: NativeRecipe, preset: string): NativeRecipe;
  planOf(model: NativeModel, recipe: NativeRecipe | null, flash?: boolean): NativePlan;
  planBytes(model: NativeModel, recipe: NativeRecipe | null): Uint8Array;
  storeBytes(model: NativeModel, recipe: NativeRecipe | null, progSize: number): number;
  editModel(model: NativeModel, edit: 'freeze' | 'freezeAllButLast' | 'replaceHead', argument: string | number): NativeModel;
  shuffle(seed: number, epoch: number, n: number): Uint32Array;
  readBlob(bytes: Uint8Array): { model: NativeModel; recipe: NativeRecipe | null; hasState: boolean; sections: NativeSection[] };
}

let loaded: NativeAddon | undefined;
let known: NativeFacts | undefined;

/** The addon, loaded at first use so that a missing one is an error of the call, not of the import. @internal */
export function addon(): NativeAddon {
  return (loaded ??= loadNative() as NativeAddon);
}

/** `describe()` of the addon, asked once. @internal */
export function facts(): NativeFacts {
  return (known ??= addon().describe());
}

/** A number of the C header, such as `constant('blob', 'state')`. @internal */
export function constant(group: string, name: string): number {
  const value = facts().constants[group]?.[name];
  if (value === undefined) throw new TinypropError('ERR_TINYPROP_NATIVE', `the addon knows no constant ${group}.${name}`);
  return value;
}

/** The name in `group` whose value is `value`, or undefined. @internal */
export function constantName(group: string, value: number): string | undefined {
  const entry = Object.entries(facts().constants[group] ?? {}).find(([, number]) => number === value);
  return entry?.[0];
}

/** Wire id of a row of one of the core's lists; undefined: no such row. @internal */
export function listId(list: keyof NativeFacts['lists'], name: string): number | undefined {
  return facts().lists[list].find((row) => row.name === name)?.id;
}

/** Name of the row with that wire id. @internal */
export function listName(list: keyof NativeFacts['lists'], id: number): string | undefined {
  return facts().lists[list].find((row) => row.id === id)?.name;
}

/** True for a string that is one of our codes. @internal */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code);
}

/**
 * Turns an error of the addon into a {@link TinypropError}; `context` says what was being done.
 * @internal
 */
export function translate(error: unknown, context: string): unknown {
  if (error instanceof TinypropError || !(error instanceof Error)) return error;
  const { code } = error as Error & { code?: unknown };
  if (!isErrorCode(code)) return error;
  const detail = error.message === '' ? '' : ` (${error.message})`;
  return new TinypropError(code, `${context}: ${errorCodes[code]}${detail}`, {}, error);
}

/** Runs `body` and translates what it throws. @internal */
export function guard<T>(context: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw translate(error, context);
  }
}
