// SPDX-License-Identifier: Apache-2.0
import type { DataSplit } from '../data';
import type { FitResult } from '../events';
import { writeFileAtomic } from '../file';
import type { Model } from '../model';
import { count, duration, loss, percent } from '../report/format';
import { renderTrainReport } from '../report/train';
import type { Context } from './context';
import { describeData } from './data-source';
import { originOf } from './origin';
import { describeFlags } from './recipe';
import type { RunFacts } from './run-log';
import type { TrainFlags } from './train';

/** What a training works on. */
export interface Training {
  flags: TrainFlags;
  split: DataSplit;
  model: Model;
}

function layersOf(model: Model): string[] {
  return model.plan().nodes.flatMap(({ layer, name }) => (layer === null ? [] : [name]));
}

/** The first line of `--metrics`. */
export function runFacts({ flags, split, model }: Training, context: Context): RunFacts {
  const { policy, seed, epochs } = flags;
  return {
    ...originOf(context.argv),
    data: describeData(split),
    model: flags.model ?? flags.init ?? flags.resume,
    parameters: model.parameterCount,
    policy,
    seed,
    epochs,
    recipe: describeFlags(flags),
    layers: layersOf(model),
  };
}

/** `--report`: one page about this training. A run that was stopped is not evaluated again. */
export async function writeTrainReport(path: string, result: FitResult, { flags, split, model }: Training, { out, argv }: Context): Promise<void> {
  const counts = split.test && !result.aborted ? (await model.evaluate(split.test)).confusion : undefined;
  const html = await renderTrainReport({
    title: 'tinyprop: a training',
    facts: [
      ['Data', describeData(split)],
      ['Model', `${flags.model ?? flags.init ?? flags.resume}: ${count(model.parameterCount)} parameters`],
      ['Training', `${flags.policy}, ${describeFlags(flags)}, seed ${flags.seed}${result.aborted ? '; stopped early' : ''}`],
      ['Result', `${model.loss === 'mse' ? '' : `accuracy ${percent(result.accuracy, 2)}, `}loss ${loss(result.loss)}, ${duration(result.seconds)}`],
      ['Effort', `backward ${percent(result.effortBackward)}, total ${percent(result.effortTotal)} of dense training; ${percent(result.trainedFraction)} of the samples trained`],
    ],
    history: result.history,
    layers: layersOf(model),
    confusion: counts && { counts, classes: split.train.classes ?? counts.map((_, i) => String(i)) },
    warnings: result.warnings.map((w) => w.message),
    ...originOf(argv),
  });
  await writeFileAtomic(path, Buffer.from(html));
  out.note(`report: ${path}`);
}
