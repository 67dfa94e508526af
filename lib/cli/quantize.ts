// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import type { Dataset } from '../data';
import { sizeOf } from '../data/dataset';
import { stratifiedSubset } from '../data/split';
import { TinypropError } from '../errors';
import { Model } from '../model';
import { quantizeModel, type QuantizedLayer } from '../quantize';
import { bytes, count, loss, percent, points } from '../report/format';
import type { Evaluation } from '../results';
import type { CommandResult, Context } from './context';
import { type DataFlags, loadWith, readDataMeta } from './data-source';
import { exitCodes } from './exit';
import { defined } from './recipe';
import { textTable } from './table';
import { checkWritable } from './writable';

/** Flags of `quantize`. */
export interface QuantizeFlags extends DataFlags {
  model: string;
  out: string;
  samples: number;
  percentile?: number;
  threads: number;
}

/** `quantize`: the int8 model of a trained one, calibrated with training samples and judged by the test samples. */
export async function quantizeCommand(flags: QuantizeFlags, context: Context): CommandResult {
  const { out, signal } = context;
  checkWritable('--out', flags.out);
  if (resolve(flags.out) === resolve(flags.model)) throw new TinypropError('ERR_TINYPROP_SPEC', `--out ${flags.out}: that is the model of floats, which would be lost`, { path: flags.out });
  const model = await Model.load(flags.model);
  let int8: Model | undefined;
  try {
    const { train, test } = await loadWith(flags, readDataMeta(model.meta).normalization, context);
    const result = await quantizeModel(model, some(train, flags.samples), { signal, ...defined({ percentile: flags.percentile }) });
    int8 = result.model;
    const judged: { before: Evaluation; after: Evaluation } | undefined = test && { before: await evaluate(model, test, flags, signal), after: await evaluate(int8, test, flags, signal) };
    const sizes = { before: sizesOf(model), after: sizesOf(int8) };
    await int8.save(flags.out);
    const classified = model.loss !== 'mse';
    const figures = (e: Evaluation | undefined): object => ({ accuracy: classified && e ? e.accuracy : null, loss: e?.loss ?? null });
    const document = {
      before: { ...figures(judged?.before), ...sizes.before },
      after: { ...figures(judged?.after), ...sizes.after },
      calibrated: result.samples,
      tested: test?.n ?? 0,
      layers: result.layers,
      weights: int8.weightHash(),
      out: flags.out,
    };
    out.document(document);
    out.event({ type: 'result', ...document });
    out.text(layerTable(result.layers));
    out.text(`\n${summaryTable(judged, sizes, classified)}`);
    out.note(`calibrated with ${count(result.samples)} training samples${test ? `, judged by ${count(test.n)} test samples` : ''}; saved ${flags.out}`);
    return exitCodes.ok;
  } finally {
    model.close();
    int8?.close();
  }
}

/** At most n samples, the classes in their proportions. */
function some(data: Dataset, n: number): Dataset {
  if (n >= data.n) return data;
  const size = sizeOf(data.inputShape);
  const x = new Float32Array(n * size);
  stratifiedSubset(data.labels, data.n, n, 1).forEach((row, i) => x.set(data.x.subarray(row * size, (row + 1) * size), i * size));
  return { name: data.name, inputShape: data.inputShape, x, n };
}

function evaluate(model: Model, data: Dataset, { threads }: QuantizeFlags, signal: AbortSignal): Promise<Evaluation> {
  model.threads = threads;
  return model.evaluate(data, { signal });
}

interface Sizes {
  /** Model file without state and metadata. */
  flashBytes: number;
  /** Arena for inference. */
  ramBytes: number;
}

function sizesOf(model: Model): Sizes {
  const { flashBytes, inference } = model.plan({ training: false });
  return { flashBytes, ramBytes: inference.arenaBytes };
}

function layerTable(layers: readonly QuantizedLayer[]): string {
  const columns = [{ head: 'node' }, { head: 'op' }, { head: 'range at' }, ...['min', 'max', 'scale', 'zero', 'SQNR dB'].map((head) => ({ head, number: true }))];
  const short = (value: number): string => String(Number(value.toPrecision(5)));
  const rows = layers.map((l) => [l.node, l.op, l.output, short(l.min), short(l.max), short(l.scale), String(l.zero), Number.isFinite(l.sqnr) ? l.sqnr.toFixed(1) : '']);
  return textTable(columns, rows);
}

function summaryTable(judged: { before: Evaluation; after: Evaluation } | undefined, { before, after }: { before: Sizes; after: Sizes }, classified: boolean): string {
  const share = (a: number, b: number): string => percent(b / a);
  const rows = [
    ...(judged && classified ? [['accuracy', percent(judged.before.accuracy, 2), percent(judged.after.accuracy, 2), points(judged.after.accuracy - judged.before.accuracy)]] : []),
    ...(judged ? [['loss', loss(judged.before.loss), loss(judged.after.loss), '']] : []),
    ['model file', bytes(before.flashBytes), bytes(after.flashBytes), share(before.flashBytes, after.flashBytes)],
    ['RAM for inference', bytes(before.ramBytes), bytes(after.ramBytes), share(before.ramBytes, after.ramBytes)],
  ];
  return textTable([{ head: '' }, ...['f32', 'int8', ''].map((head) => ({ head, number: true }))], rows);
}
