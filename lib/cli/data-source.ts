// SPDX-License-Identifier: Apache-2.0
import { type DataSplit, type Dataset, loadData, type Normalization, type NormalizeMode, parseDataSpec } from '../data';
import type { AugmentOptions } from '../data/augment';
import { TinypropError } from '../errors';
import type { Context } from './context';
import type { ModelSpecContext } from '../specs';
import { defined } from './recipe';

/** Flags that say which samples and how they are prepared. */
export interface DataFlags {
  data: string;
  limit?: number;
  normalize?: NormalizeMode;
}

/** What a model file remembers of its data: enough to treat new samples alike. No path, no date. */
export interface DataMeta {
  /** Kind of the data spec, such as `idx`. */
  data?: string;
  classes?: readonly string[];
  inputShape?: readonly number[];
  normalization?: Normalization;
}

/** Loads data for training: normalised by their own statistics, or as `stored` says if the flags do not. */
export async function loadForTraining(flags: DataFlags, context: Context, stored?: Normalization): Promise<DataSplit> {
  if (stored === undefined || flags.normalize !== undefined) return load(flags, flags.normalize, context);
  return loadWith(flags, stored, context);
}

/** Loads data normalised as a model file says. */
export async function loadWith(flags: DataFlags, stored: Normalization | undefined, context: Context): Promise<DataSplit> {
  if (stored === undefined) return load(flags, undefined, context);
  // The factor belongs to the files (1/255 for bytes); mean and deviation belong to the model.
  return load(flags, 'none', context, stored.mode === 'none' ? undefined : stored);
}

async function load(flags: DataFlags, normalize: NormalizeMode | undefined, { out, signal }: Context, normalization?: Normalization): Promise<DataSplit> {
  const seen = new Set<string>();
  const onNotice = (message: string): void => {
    if (!seen.has(message)) out.note(`note: ${message}`);
    seen.add(message);
  };
  return loadData(flags.data, { signal, onNotice, ...defined({ normalize, normalization, limit: flags.limit }) });
}

/** What to remember of the data in a model file. */
export function dataMeta(spec: string, split: DataSplit): DataMeta {
  const { classes, inputShape } = split.train;
  return { data: parseDataSpec(spec).kind, inputShape, normalization: split.normalization, ...(classes && { classes }) };
}

/** Reads back what {@link dataMeta} wrote; anything of another shape is ignored. */
export function readDataMeta(meta: Readonly<Record<string, unknown>>): DataMeta {
  const { data, classes, inputShape, normalization } = meta;
  const norm = normalization as Partial<Normalization> | undefined;
  const numbers = (value: unknown): value is number[] => Array.isArray(value) && value.every((v) => typeof v === 'number');
  const known = norm !== undefined && norm !== null && typeof norm.scale === 'number' && numbers(norm.mean) && numbers(norm.std);
  return {
    ...(typeof data === 'string' && { data }),
    ...(Array.isArray(classes) && { classes: classes.map(String) }),
    ...(numbers(inputShape) && { inputShape }),
    ...(known && { normalization: norm as Normalization }),
  };
}

/** `flip,shift:2,crop:.8,noise:.05` */
export function parseAugment(text: string): AugmentOptions {
  const options: Record<string, number | boolean> = {};
  for (const part of text.split(',')) {
    const [name, value, ...rest] = part.split(':') as [string, string | undefined, ...string[]];
    const number = value === undefined || value === '' ? NaN : Number(value);
    const valid = name === 'flip' ? value === undefined : ['shift', 'crop', 'noise'].includes(name) && Number.isFinite(number);
    if (!valid || rest.length > 0 || name in options) {
      throw new TinypropError('ERR_TINYPROP_SPEC', `--augment "${part}": expected flip, shift:PIXELS, crop:SMALLEST_SHARE or noise:SIGMA, each at most once`, {
        found: part,
      });
    }
    options[name] = name === 'flip' ? true : number;
  }
  return options;
}

/** One line about a data set: `digits: 1437 training and 360 test samples of 8x8x1, 10 classes`. */
export function describeData({ train, test }: DataSplit): string {
  const { labels } = train;
  const classes = train.classes ? `, ${train.classes.length} classes` : labels ? `, labels 0 to ${labelCount(labels) - 1}` : '';
  return `${train.name}: ${train.n} training${test ? ` and ${test.n} test` : ''} samples of ${train.inputShape.join('x')}${classes}`;
}

/** Highest label that occurs, plus one. */
export function labelCount(labels: Uint32Array): number {
  let highest = -1;
  for (const label of labels) if (label > highest) highest = label;
  return highest + 1;
}

/** What a model spec needs to know of the data. */
export function specContext(train: Dataset): ModelSpecContext {
  const { inputShape, classes, labels, targetSize } = train;
  if (labels === undefined) return { inputShape, ...(targetSize !== undefined && { targetSize }) };
  return { inputShape, ...(classes ? { classes: classes.length } : { labels: labelCount(labels) }) };
}
