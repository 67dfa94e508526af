// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { addon, constant, facts, guard, type NativeNet } from './addon';
import type { Dataset } from './data/dataset';
import { TinypropError } from './errors';
import { LogReader, logFlags, logMarks, type LogHead, type LogStep } from './log';
import { ModelCore, identityOrder } from './model-core';

/** Options of {@link replay}. */
export interface ReplayOptions {
  /** The samples that the log numbers, prepared as they were for the training. A log that holds its samples needs none. */
  data?: Dataset;
  /** Replay a log of other sources too: a difference then may be one of the arithmetic. Default false. */
  otherSource?: boolean;
  /** Ends the replay. */
  signal?: AbortSignal;
  /** Called now and then with the number of steps taken. */
  onProgress?: (steps: number) => void;
}

/** The first step that differs. */
export interface ReplayDifference {
  /** From 1, counted from the beginning of the log. */
  readonly step: number;
  /**
   * `result`: the status (0 is ok) of the step; `stats`: the hash of its record (loss, decision, rows of every layer); `weights`: the hash of weights and
   * training state after it.
   */
  readonly what: 'result' | 'stats' | 'weights';
  /** What the log says. */
  readonly expected: string;
  /** What this machine has. */
  readonly found: string;
  /** Numbers of the step's samples, or null if the log holds the samples themselves. */
  readonly samples: readonly number[] | null;
}

/** What {@link replay} found. */
export interface ReplayResult {
  /** Steps replayed, the differing one included. */
  readonly steps: number;
  /** Steps whose weights were compared too; the others are compared by their records. */
  readonly hashed: number;
  /** No step differs. */
  readonly identical: boolean;
  /** The first step that differs, or null. */
  readonly difference: ReplayDifference | null;
  /** What lies behind the last whole record; null: nothing. */
  readonly rest: {
    /** Bytes that were not replayed. */
    readonly bytes: number;
    /** The log was cut off, or its next record is damaged. */
    readonly reason: 'truncated' | 'damaged';
  } | null;
  /** Source ids. */
  readonly source: {
    /** Of the library that wrote the log. */
    readonly log: string;
    /** Of this build. */
    readonly here: string;
  };
}

const yieldMs = 50;

async function bytesOf(input: string | Uint8Array): Promise<Uint8Array> {
  if (typeof input !== 'string') return input;
  try {
    return await readFile(input);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `cannot read ${input}: ${(cause as Error).message}`, { path: input }, cause);
  }
}

const hex = (hash: bigint): string => hash.toString(16).padStart(16, '0');

function headOf(net: NativeNet, flags: number): LogHead {
  return new LogReader(guard('replay', () => net.log(logMarks.head, flags))).head;
}

/**
 * Brings the net to where the log begins: the model file with its training state, its weights with a new one, or the initial weights
 * of the recipe's seed. Hashes tell which.
 */
function begin(net: NativeNet, model: Uint8Array, hasState: boolean, head: LogHead): void {
  if (headOf(net, head.flags).model !== head.model) {
    throw new TinypropError('ERR_TINYPROP_MISMATCH', 'replay: the log is of another model (its graph, shapes or frozen nodes are not those of the model file)');
  }
  const { weights, state } = { weights: constant('blob', 'weights'), state: constant('blob', 'state') };
  const starts = [
    () => net.init(),
    () => void net.load(model, weights),
    ...(hasState ? [() => void net.load(model, weights | state)] : []),
  ];
  for (const start of starts) {
    try {
      start();
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ERR_TINYPROP_MISMATCH') continue;
      throw error;
    }
    if (headOf(net, head.flags).start === head.start) return;
  }
  const { samples } = head.progress;
  const when = samples === 0 ? 'from its first sample' : `after ${samples} samples`;
  throw new TinypropError(
    'ERR_TINYPROP_MISMATCH',
    `replay: the log begins ${when} with other weights or another training state than the model file holds; pass the file that the device started from`,
    { samples },
  );
}

/** The inputs of a step. */
function inputsOf(step: LogStep, head: LogHead, data: Dataset | undefined, number: number): Float32Array {
  if (step.x !== null) return step.x;
  const { x, n } = data as Dataset;
  const { inputs } = head;
  const out = new Float32Array(step.n * inputs);
  step.index?.forEach((sample, i) => {
    if (sample >= n) throw new TinypropError('ERR_TINYPROP_MISMATCH', `replay: step ${number}: sample ${sample} of the log; the data have ${n}`, { step: number, sample });
    out.set(x.subarray(sample * inputs, (sample + 1) * inputs), i * inputs);
  });
  return out;
}

/** Takes one step as the log says; the record this machine writes of it, or the difference that shows before. */
function compare(net: NativeNet, step: LogStep, reader: LogReader, x: Float32Array, number: number): ReplayDifference | null {
  const samples = step.index && Array.from(step.index);
  const { flags } = reader.head;
  const { log, code } = guard(`replay: step ${number}`, () => net.runNow(constant('job', 'train'), x, step.y, identityOrder(step.n), 0, step.n, false, flags, { passed: step.passed }));
  const differs = (what: ReplayDifference['what'], expected: string, found: string): ReplayDifference => ({ step: number, what, expected, found, samples });
  const here = reader.own(log);
  // No record: the step was refused, which a logged one never was.
  if (here === null) return differs('result', String(step.result), `refused: ${code}`);
  if (here.result !== step.result) return differs('result', String(step.result), String(here.result));
  if (step.stats !== 0n && here.stats !== step.stats) return differs('stats', hex(step.stats), hex(here.stats));
  if (step.weights !== null && here.weights !== step.weights) return differs('weights', hex(step.weights), hex(here.weights as bigint));
  return null;
}

function checkHead(head: LogHead, options: ReplayOptions): void {
  const { sourceId } = facts();
  if (head.sourceId !== sourceId && options.otherSource !== true) {
    throw new TinypropError(
      'ERR_TINYPROP_MISMATCH',
      `replay: the log was written by sources ${head.sourceId}, this build is of ${sourceId}: bits need not agree. Use the version that the device runs, or go on all the same (otherSource, --other-source)`,
      { expected: head.sourceId, found: sourceId },
    );
  }
  if (head.flags === logFlags.samples) return;
  const { data } = options;
  if (data === undefined) throw new TinypropError('ERR_TINYPROP_ARG', 'replay: the log numbers its samples and does not hold them: it needs the data set (data, --data)');
  const found = data.inputShape.reduce((a, b) => a * b, 1);
  if (found !== head.inputs) throw new TinypropError('ERR_TINYPROP_SHAPE', `replay: a sample of the log has ${head.inputs} numbers, one of the data ${found}`, { expected: head.inputs, found });
}

/**
 * Takes the steps of a logged training again and compares: status, stats record, weights and training state, by hashes. The log is
 * written by `tp_log` in firmware or by the `record` of `Trainer.fit`; a log that was cut off is replayed up to its last whole record.
 *
 * @param log path or bytes of the log
 * @param model path or bytes of the model file that the training started from; where it started from initial weights, any file of that graph
 * @throws TinypropError `ERR_TINYPROP_FILE` (not a log, damaged head), `ERR_TINYPROP_VERSION`, `ERR_TINYPROP_MISMATCH` (other model, weights, sources
 *   or data), `ERR_TINYPROP_ARG` (data missing), `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_ABORTED`, and those of {@link Model.fromBytes}
 */
export async function replay(log: string | Uint8Array, model: string | Uint8Array, options: ReplayOptions = {}): Promise<ReplayResult> {
  const reader = new LogReader(await bytesOf(log));
  const { head } = reader;
  checkHead(head, options);
  const bytes = await bytesOf(model);
  const blob = guard('model file', () => addon().readBlob(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
  const net = ModelCore.open(blob.model, head.recipe, 1);
  let steps = 0;
  let hashed = 0;
  let difference: ReplayDifference | null = null;
  try {
    guard('model file', () => begin(net, bytes, blob.hasState, head));
    let since = performance.now();
    for (const record of reader.records()) {
      if (record.kind === 'epochBegin') net.epochBegin();
      else if (record.kind === 'epochEnd') net.epochEnd();
      else {
        steps++;
        difference = compare(net, record, reader, inputsOf(record, head, options.data, steps), steps);
        if (difference !== null) break;
        hashed += record.weights === null ? 0 : 1;
      }
      if (performance.now() - since < yieldMs) continue;
      options.onProgress?.(steps);
      await new Promise((resolve) => setImmediate(resolve));
      if (options.signal?.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', `replay: stopped after ${steps} steps`, { steps });
      since = performance.now();
    }
  } finally {
    net.close();
  }
  return { steps, hashed, identical: difference === null, difference, rest: reader.rest, source: { log: head.sourceId, here: facts().sourceId } };
}
