// SPDX-License-Identifier: Apache-2.0
import type { Dataset, DataSplit } from '../data';
import { TinypropError } from '../errors';
import { isModelFile, loadModel, specNormalization } from '../load';
import { Model } from '../model';
import { duration, loss, percent } from '../report/format';
import { tune, type TuneResult, type TuneTrial } from '../tune';
import type { CommandResult, Context } from './context';
import { type DataFlags, describeData, loadForTraining, readDataMeta, specContext } from './data-source';
import { feedSplit } from './model-file';
import { defined, describeFlags, type RecipeFlags, recipeOf } from './recipe';
import { textTable } from './table';

/** Points of accuracy that a choice may cost. */
export const defaultTolerance = 0.5;

/** Flags of `tune`. */
export interface TuneFlags extends DataFlags, RecipeFlags {
  model: string;
  seed: number;
  tolerance: number;
  threads: number;
}

/** `tune`: prints what it tried, and the flags that are best. */
export async function tuneCommand(flags: TuneFlags, context: Context): CommandResult {
  const { out } = context;
  let start = isModelFile(flags.model) ? await Model.load(flags.model) : undefined;
  try {
    const split = await loadForTraining(flags, context, start ? readDataMeta(start.meta).normalization : specNormalization(flags.model));
    start ??= await loadModel(flags.model, specContext(split.train), { seed: flags.seed });
    feedSplit(split, start, out);
    out.note(`${describeData(split)}\nmodel ${flags.model}, ${describeFlags(flags)}, seed ${flags.seed}; the test samples are not looked at`);
    const result = await search(start, split.train, flags, context);
    const { best, found, tried } = result;
    out.document({ best: best.params, flags: flagsOf(result), found, tolerance: flags.tolerance / 100, tried });
    out.event({ type: 'result', best: best.params, flags: flagsOf(result), found });
    out.text(trialTable(tried, best));
    out.text(found ? `\n${flagsOf(result)}` : `\nnone is within ${flags.tolerance} points of full training; the most accurate: ${flagsOf(result)}`);
    return 0;
  } finally {
    start?.close();
  }
}

/** The search from the weights of `start` with the recipe of some flags; tells of every trial. */
function search(start: Model, train: Dataset, flags: Omit<TuneFlags, 'model' | keyof DataFlags>, { out, signal }: Context): Promise<TuneResult> {
  const weights = start.toBytes();
  const open = (): Model => Object.assign(Model.fromBytes(weights), { threads: flags.threads });
  const { policy: _, ...recipe } = recipeOf('full', flags, flags.seed);
  return tune(open, train, {
    recipe,
    epochs: flags.epochs,
    tolerance: flags.tolerance / 100,
    signal,
    onTrial: (trial) => {
      out.event({ type: 'trial', ...trial });
      out.note(`${describeTrial(trial)}: accuracy ${percent(trial.accuracy, 2)}, loss ${loss(trial.loss)}, backward effort ${percent(trial.effortBackward)}, ${duration(trial.seconds)}`);
    },
  });
}

/** `train --preset tuned` sets what its search chooses. */
export function checkTuned(flags: RecipeFlags & { policy: string }): void {
  const own = (['tau', 'beta', 'sMin', 'sMax'] as const).filter((key) => flags[key] !== undefined);
  if (flags.policy === 'tinypropv2' && own.length === 0) return;
  throw new TinypropError('ERR_TINYPROP_SPEC', '--preset tuned: for --policy tinypropv2, without --tau, --beta, --s-min and --s-max, which it chooses', { policy: flags.policy, own });
}

/** The flags of a training after the search over its first epochs, at most 3. */
export async function tuneFlags<F extends RecipeFlags & { seed: number; threads: number }>(flags: F, model: Model, split: DataSplit, context: Context): Promise<F> {
  const { preset: _, ...rest } = flags as RecipeFlags & { seed: number; threads: number };
  const result = await search(model, split.train, { ...rest, epochs: Math.min(3, flags.epochs), tolerance: defaultTolerance }, context);
  context.out.note(`tuned: ${flagsOf(result)}${result.found ? '' : ` (none was within ${defaultTolerance} points of full training)`}`);
  return { ...flags, preset: undefined, ...defined(result.best.params) };
}

/** What the training command takes. */
function flagsOf({ best: { params } }: TuneResult): string {
  const { tau, sMin, sMax } = params;
  const parts = Object.entries(defined({ '--tau': tau, '--s-min': sMin, '--s-max': sMax }));
  return `--policy tinypropv2 ${parts.map(([name, value]) => `${name} ${String(value)}`).join(' ')}`;
}

function describeTrial({ params }: TuneTrial): string {
  if (params === null) return 'full';
  const bounds = params.sMin === undefined ? '' : `, S ${params.sMin} to ${String(params.sMax)}`;
  return `tau ${String(params.tau)}${bounds}`;
}

function trialTable(tried: readonly TuneTrial[], best: TuneTrial): string {
  const columns = [{ head: 'trial' }, ...['accuracy', 'loss', 'backward effort', 'total effort', 'time', 'within'].map((head) => ({ head, number: true }))];
  const rows = tried.map((trial) => [
    describeTrial(trial),
    percent(trial.accuracy, 2),
    loss(trial.loss),
    percent(trial.effortBackward),
    percent(trial.effortTotal),
    duration(trial.seconds),
    trial === best ? 'best' : trial.good ? 'yes' : 'no',
  ]);
  return textTable(columns, rows);
}
