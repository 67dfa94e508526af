// SPDX-License-Identifier: Apache-2.0
import { applyNormalization, type Dataset, readNpy } from '../data';
import { TinypropError } from '../errors';
import { Model } from '../model';
import { percent } from '../report/format';
import type { CommandResult, Context } from './context';
import { type DataFlags, loadWith, readDataMeta } from './data-source';
import { partOf } from './eval';
import { fitsInput } from '../targets';
import { feedInt8, feedSplit, noteRange } from './model-file';

/** Flags of `predict`: one of `data` and `input`. */
export interface PredictFlags extends Partial<DataFlags> {
  model: string;
  input?: string;
  split: 'test' | 'train';
}

/** One sample's answer. */
interface Answer {
  index: number;
  /** Index of the largest output; absent for losses without classes. */
  label?: number;
  class?: string;
  probability?: number;
  expected?: number;
  outputs: number[];
}

/** Samples handed to the addon at once: bounds memory, and Ctrl-C takes effect between two. */
const chunk = 1024;

/** `predict`: outputs for every sample. */
export async function predictCommand(flags: PredictFlags, context: Context): CommandResult {
  const { out, signal } = context;
  const model = await Model.load(flags.model);
  try {
    const samples = await readSamples(flags, model, context);
    const classes = readDataMeta(model.meta).classes ?? samples.classes;
    const answers: Answer[] = [];
    for (let from = 0; from < samples.n; from += chunk) {
      if (signal.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', `stopped after ${from} of ${samples.n} samples`);
      for (const answer of await answersFor(model, samples, from, classes)) {
        out.event(answer);
        out.text(line(answer));
        if (out.json) answers.push(answer);
      }
    }
    out.document({ classes: classes ?? null, predictions: answers });
    return 0;
  } finally {
    model.close();
  }
}

async function answersFor(model: Model, samples: Dataset, from: number, classes: readonly string[] | undefined): Promise<Answer[]> {
  const size = samples.x.length / samples.n;
  const to = Math.min(samples.n, from + chunk);
  const inputs = Array.from({ length: to - from }, (_, i) => samples.x.subarray((from + i) * size, (from + i + 1) * size));
  const prediction = await model.predict(inputs);
  return inputs.map((_, i) => {
    const outputs = Array.from(prediction.outputs.subarray(i * prediction.size, (i + 1) * prediction.size));
    const expected = samples.labels?.[from + i];
    const answer: Answer = { index: from + i, outputs, ...(expected !== undefined && { expected }) };
    if (model.loss === 'mse') return answer;
    const binary = model.loss === 'bce' && prediction.size === 1;
    const first = outputs[0] as number;
    const label = binary ? Number(first >= 0.5) : prediction.argmax(i);
    const probability = binary ? (label === 1 ? first : 1 - first) : (outputs[label] as number);
    const name = classes?.[label];
    return { ...answer, label, probability, ...(name !== undefined && { class: name }) };
  });
}

function line({ index, label, class: name, probability, expected, outputs }: Answer): string {
  if (label === undefined) return `${index}\t${outputs.map((v) => Number(v.toPrecision(6))).join(' ')}`;
  const wrong = expected !== undefined && expected !== label ? `\tlabel ${expected}` : '';
  return `${index}\t${name ?? label}\t${percent(probability)}${wrong}`;
}

async function readSamples(flags: PredictFlags, model: Model, context: Context): Promise<Dataset> {
  const { normalization } = readDataMeta(model.meta);
  if (flags.data !== undefined) {
    const split = await loadWith({ ...flags, data: flags.data }, normalization, context);
    const part = partOf(feedSplit(split, model, context.out), flags.split, flags.data);
    if (!fitsInput(part.inputShape, model.inputShape)) {
      throw new TinypropError('ERR_TINYPROP_SHAPE', `data "${part.name}": shape of a sample: expected ${model.inputShape.join('x')}, found ${part.inputShape.join('x')}`);
    }
    return part;
  }
  const path = flags.input as string;
  const { shape, data } = await readNpy(path);
  const size = model.inputShape.reduce((product, extent) => product * extent, 1);
  const x = Float32Array.from(data as ArrayLike<number | bigint>, Number);
  const n = x.length / size;
  const single = x.length === size;
  if (!(single && fitsInput(shape, model.inputShape)) && (shape[0] !== n || n < 1 || !fitsInput(shape.slice(1), model.inputShape))) {
    throw new TinypropError('ERR_TINYPROP_SHAPE', `${path}: shape ${shape.join('x')} does not fit the model's input ${model.inputShape.join('x')}; expected [n, ${model.inputShape.join(', ')}]`, {
      path,
      expected: [...model.inputShape],
      found: [...shape],
    });
  }
  if (normalization) applyNormalization(x, normalization.mean.length, normalization);
  if (data instanceof Int8Array && (normalization?.mode ?? 'none') === 'none') feedInt8(x, model);
  noteRange(x, model, context.out);
  const limited = Math.min(n, flags.limit ?? n);
  return { name: path, x: x.subarray(0, limited * size), n: limited, inputShape: model.inputShape };
}
