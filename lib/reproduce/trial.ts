// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DataSplit } from '../data';
import { TinypropError } from '../errors';
import type { FitResult } from '../events';
import { writeFileAtomic } from '../file';
import { encodeMeta } from '../meta';
import type { Model } from '../model';
import { sgd } from '../optimizer';
import type { PolicySpec } from '../policy';
import { cosine } from '../schedule';
import { Trainer } from '../trainer';
import type { MethodRecipe, ReproductionMethod } from './methods';
import type { Protocol } from './sets';

/** Of a trial's content. */
export const trialFormat = 2;

/** Everything that a result depends on; its hash is the trial's name. */
export interface TrialConfig {
  /** Of this file's content. */
  format: typeof trialFormat;
  /** Source id of the C library. */
  source: string;
  set: string;
  /** SHA-256 of inputs and labels as they are trained on, and their numbers. */
  data: { hash: string; train: number; test: number };
  model: string;
  /** SHA-256 of the file of trained weights. */
  weights: string | null;
  /** The method, and a rival's parameter: they give the recipe, of which this is what JSON can hold. */
  method: string;
  x: number | null;
  policy: Pick<PolicySpec, 'policy' | 'preset' | 'params'>;
  revisit: number;
  protocol: Omit<Protocol, 'seeds' | 'pairs'>;
  seed: number;
}

/** What one training gave. No time: the same trial gives the same bytes on every machine. */
export interface TrialResult {
  /** On the test set; null if training diverged. */
  accuracy: number | null;
  loss: number | null;
  /** Efforts and shares: of the whole training; null if it diverged. */
  effortBackward: number | null;
  effortTotal: number | null;
  trainedFraction: number | null;
  rowsWorked: number | null;
  /** SHA-256 of all parameters at the end. */
  weights: string;
  /** Why there is no accuracy: the code of the error. */
  failed?: string;
  /** Codes of warnings. */
  warnings: string[];
  /** Share of the rows that was chosen, by weight layer, input to output. */
  layers: number[];
  /** Rows: true class. */
  confusion?: number[][];
  /** `k`: as `layers`, over the samples trained in the epoch. */
  epochs: { trainLoss: number; testAccuracy: number | null; testLoss: number | null; effortBackward: number; effortTotal: number; trainedFraction: number; k: number[] }[];
}

/** A file of the folder `trials`. */
export interface Trial {
  id: string;
  config: TrialConfig;
  result: TrialResult;
}

/** What names a method with its parameter in a {@link TrialConfig}. */
export function methodConfig({ name, recipe, match }: ReproductionMethod, x: number): Pick<TrialConfig, 'method' | 'x' | 'policy' | 'revisit'> {
  const { policy, revisit = 0 } = recipe(x);
  const { policy: id, preset, params } = policy;
  return { method: name, x: match ? x : null, policy: { policy: id, preset, params }, revisit };
}

/** Name of a trial: of the same content, the same. */
export function trialId(config: TrialConfig): string {
  return createHash('sha256').update(encodeMeta({ config })).digest('hex').slice(0, 24);
}

/** SHA-256 of a data set as it is trained on. */
export function hashData({ train, test }: DataSplit): string {
  const hash = createHash('sha256');
  for (const part of [train, test]) {
    for (const array of [part?.x, part?.labels, part?.targets]) {
      hash.update(`${array?.length ?? 'none'},`);
      if (array) hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    }
    hash.update(`${part?.inputShape.join() ?? ''};`);
  }
  return hash.digest('hex');
}

/** Finished trials in a folder: one file each, whole or not there. */
export class TrialStore {
  private readonly folder: string;

  constructor(root: string) {
    this.folder = join(root, 'trials');
    mkdirSync(this.folder, { recursive: true });
  }

  /** @throws TinypropError `ERR_TINYPROP_FILE` if the file is there and is none of a trial of that name */
  read(id: string): Trial | undefined {
    const path = join(this.folder, `${id}.json`);
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new TinypropError('ERR_TINYPROP_FILE', `cannot read ${path}: ${(cause as Error).message}`, { path }, cause);
    }
    const trial = parsed(text);
    if (trial === undefined || trial.id !== id || trialId(trial.config) !== id) {
      throw new TinypropError('ERR_TINYPROP_FILE', `${path} does not hold the trial of its name; remove it, and it is made again`, { path });
    }
    // An older version's has other contents, and a name that this one gives to none.
    return trial.config.format === trialFormat ? trial : undefined;
  }

  /** A trial that must be there. @throws TinypropError `ERR_TINYPROP_FILE` */
  get(id: string): Trial {
    const trial = this.read(id);
    if (trial === undefined) throw new TinypropError('ERR_TINYPROP_FILE', `${join(this.folder, `${id}.json`)} is not there`, { id });
    return trial;
  }

  async write(trial: Trial): Promise<void> {
    await writeFileAtomic(join(this.folder, `${trial.id}.json`), jsonBytes(trial));
  }
}

function parsed(text: string): Trial | undefined {
  try {
    const trial = JSON.parse(text) as Partial<Trial> | null;
    return typeof trial?.config === 'object' && typeof trial.result === 'object' ? (trial as Trial) : undefined;
  } catch {
    return undefined;
  }
}

/** Indented JSON with sorted keys: equal values, equal bytes. */
export function jsonBytes(value: object): Buffer {
  const sorted: unknown = JSON.parse(Buffer.from(encodeMeta({ value })).toString('utf8'));
  return Buffer.from(`${JSON.stringify((sorted as { value: unknown }).value, null, 1)}\n`);
}

/**
 * Trains and evaluates. A training that diverges is a result, too.
 *
 * @param model with the weights that it starts from; the caller closes it
 * @throws TinypropError `ERR_TINYPROP_ABORTED` if the signal fired
 */
export async function runTrial(model: Model, recipe: MethodRecipe, { protocol, seed }: TrialConfig, { train, test }: DataSplit, signal: AbortSignal): Promise<{ result: TrialResult; seconds: number }> {
  const { epochs, warmup, batch, lr, trainable } = protocol;
  if (trainable !== undefined) model.freeze({ allButLast: trainable });
  const trainer = new Trainer(model, { ...recipe, optimizer: sgd({ lr }), schedule: cosine({ warmup }), batch, seed });
  const run = trainer.fit({ train, test }, { epochs, signal });
  let fit: FitResult;
  try {
    // Followed, warnings do not go to the process's own channel: they are in the result.
    for await (const event of run) void event;
    fit = await run.result;
  } catch (error) {
    const code = error instanceof TinypropError ? error.code : '';
    if (code !== 'ERR_TINYPROP_LOSS' && code !== 'ERR_TINYPROP_DELTA') throw error;
    return { result: diverged(code, model), seconds: 0 };
  }
  if (fit.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', 'stopped');
  const { confusion } = test ? await model.evaluate(test) : {};
  return { result: resultOf(fit, model, confusion), seconds: fit.seconds };
}

function resultOf(fit: FitResult, model: Model, confusion: Uint32Array[] | undefined): TrialResult {
  const { accuracy, loss, effortBackward, effortTotal, trainedFraction, rowsWorked, totals } = fit;
  const layers = Array.from({ length: totals.layers }, (_, i) => totals.layer(i));
  return {
    accuracy,
    loss: rounded(loss),
    effortBackward,
    effortTotal,
    trainedFraction,
    rowsWorked,
    weights: model.weightHash(),
    warnings: [...new Set(fit.warnings.map(({ code }) => code))].sort(),
    layers: layers.map(({ n, k }) => (n === 0 ? 0 : k / n)),
    ...(confusion && { confusion: confusion.map((row) => [...row]) }),
    epochs: fit.history.map((epoch) => ({
      trainLoss: rounded(epoch.trainLoss),
      testAccuracy: epoch.testAccuracy ?? null,
      testLoss: epoch.testLoss === undefined ? null : rounded(epoch.testLoss),
      effortBackward: epoch.effortBackward,
      effortTotal: epoch.effortTotal,
      trainedFraction: epoch.trainedFraction,
      k: [...epoch.k],
    })),
  };
}

/** Losses are added up in pieces that follow the machine's pace, which shows in the last of their 16 digits. Counts are exact. */
function rounded(loss: number): number {
  return Number(loss.toPrecision(6));
}

function diverged(failed: string, model: Model): TrialResult {
  const none = { accuracy: null, loss: null, effortBackward: null, effortTotal: null, trainedFraction: null, rowsWorked: null };
  return { ...none, weights: model.weightHash(), failed, warnings: [], layers: [], epochs: [] };
}
