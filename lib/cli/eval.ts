// SPDX-License-Identifier: Apache-2.0
import type { Dataset, DataSplit } from '../data';
import { TinypropError } from '../errors';
import { Model } from '../model';
import { count, duration, loss, percent } from '../report/format';
import type { Context, CommandResult } from './context';
import { type DataFlags, loadWith, readDataMeta } from './data-source';
import { feedSplit } from './model-file';
import { textTable } from './table';
import { effortOf, readTrainingMeta } from './training-meta';

/** Flags of `eval`. */
export interface EvalFlags extends DataFlags {
  model: string;
  split: 'test' | 'train';
  threads: number;
}

/** The part of the data that was asked for. */
export function partOf(split: DataSplit, name: 'test' | 'train', spec: string): Dataset {
  const part = split[name];
  if (!part) throw new TinypropError('ERR_TINYPROP_SPEC', `data "${spec}" have no ${name} part`, { spec });
  return part;
}

/** `eval`: accuracy, loss and confusion matrix of a saved model. */
export async function evalCommand(flags: EvalFlags, context: Context): CommandResult {
  const { out, signal } = context;
  const model = await Model.load(flags.model);
  try {
    const meta = readDataMeta(model.meta);
    const data = partOf(feedSplit(await loadWith(flags, meta.normalization, context), model, out), flags.split, flags.data);
    model.threads = flags.threads;
    const started = performance.now();
    const { accuracy, loss: value, confusion, n } = await model.evaluate(data, { signal });
    const seconds = (performance.now() - started) / 1000;
    const stored = readTrainingMeta(model.meta);
    const training = stored && effortOf(stored.totals);
    const classes = meta.classes ?? data.classes;
    const classified = model.loss !== 'mse';
    out.document({
      accuracy: classified ? accuracy : null,
      loss: value,
      effortBackward: training?.effortBackward ?? null,
      effortTotal: training?.effortTotal ?? null,
      seconds,
      samples: n,
      split: flags.split,
      classes: classes ?? null,
      confusion: confusion ? confusion.map((row) => Array.from(row)) : null,
    });
    out.event({ type: 'evaluation', accuracy: classified ? accuracy : null, loss: value, samples: n, seconds });
    out.text(`${data.name} (${flags.split}, ${count(n)} samples): ${classified ? `accuracy ${percent(accuracy, 2)}, ` : ''}loss ${loss(value)}, ${duration(seconds)}`);
    if (training) out.text(`trained at ${percent(training.effortBackward)} backward effort, ${percent(training.effortTotal)} total effort`);
    if (confusion && confusion.length <= 20) out.text(`\n${confusionTable(confusion, classes)}`);
    return 0;
  } finally {
    model.close();
  }
}

/** Rows: the true class; columns: the predicted one. */
function confusionTable(confusion: readonly Uint32Array[], classes: readonly string[] | undefined): string {
  const name = (i: number): string => (classes?.[i] ?? String(i)).slice(0, 12);
  const columns = [{ head: 'true \\ predicted' }, ...confusion.map((_, i) => ({ head: name(i), number: true }))];
  const rows = confusion.map((row, i) => [name(i), ...Array.from(row, (v) => (v === 0 ? '.' : String(v)))]);
  return textTable(columns, rows);
}
