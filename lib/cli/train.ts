// SPDX-License-Identifier: Apache-2.0
import type { DataSplit } from '../data';
import { TinypropError } from '../errors';
import type { ModelJson } from '../graph';
import { isImported, loadModel, specNormalization } from '../load';
import { Model } from '../model';
import { bytes, count, duration, loss, percent } from '../report/format';
import { checkCharts } from '../report/vega';
import { parseModelSpec } from '../specs';
import { type FitResult, Trainer } from '../trainer';
import type { CommandResult, Context } from './context';
import { dataMeta, type DataFlags, describeData, labelCount, loadForTraining, parseAugment, readDataMeta, specContext } from './data-source';
import { exitCodes } from './exit';
import { feedSplit } from './model-file';
import { checkPolicyFlags, defined, describeFlags, type RecipeFlags, recipeOf } from './recipe';
import { follow } from './run';
import { addTotals, effortOf, type EffortTotals, pickRecipe, readTrainingMeta, trainingKeys, type TrainingMeta } from './training-meta';
import { checkTuned, tuneFlags } from './tune';
import { RunLog, type RunLogFlags } from './run-log';
import { runFacts, writeTrainReport } from './train-report';
import { checkWritable } from './writable';

/** Flags of `train`. */
export interface TrainFlags extends DataFlags, RecipeFlags, RunLogFlags {
  model?: string;
  input?: number[];
  policy: string;
  seed: number;
  augment?: string;
  threads: number;
  cache: number;
  out?: string;
  init?: string;
  resume?: string;
  freeze?: string[] | { allButLast: number };
  replaceHead?: number;
  record?: string;
  report?: string;
}

/** `train`: trains, evaluates, saves. `explicit`: names of the flags that were typed. */
export async function trainCommand(typed: TrainFlags, explicit: ReadonlySet<string>, context: Context): CommandResult {
  const { out } = context;
  const start = await openStart(typed, explicit);
  try {
    let { flags } = start;
    const tuned = flags.preset === 'tuned';
    if (tuned) checkTuned(flags);
    if (flags.out !== undefined) checkWritable('--out', flags.out);
    if (flags.record !== undefined) checkRecord(flags);
    if (flags.report !== undefined) {
      checkWritable('--report', flags.report);
      await checkCharts();
    }
    if (flags.metrics !== undefined) checkWritable('--metrics', flags.metrics);
    checkPolicyFlags([flags.policy as never], flags);
    if (!tuned) recipeOf(flags.policy, flags, flags.seed); // refuses what is wrong before the data are read
    const augment = flags.augment === undefined ? undefined : parseAugment(flags.augment);
    const split = await loadForTraining(flags, context, start.model ? readDataMeta(start.model.meta).normalization : specNormalization(flags.model as string));
    const model = (start.model ??= await loadModel(flags.model as string, specContext(split.train), { seed: flags.seed }));
    feedSplit(split, model, out);
    adapt(model, flags, split);
    model.threads = flags.threads;
    if (tuned) flags = await tuneFlags(flags, model, split, context);
    const recipe = recipeOf(flags.policy, flags, flags.seed);
    model.meta = { ...model.meta, ...dataMeta(flags.data, split) };
    out.note(`${describeData(split)}\n${count(model.parameterCount)} parameters, policy ${flags.policy}, ${describeFlags(flags)}, seed ${flags.seed}`);
    const run = new Trainer(model, recipe).fit(split.test ? { train: split.train, test: split.test } : { train: split.train }, {
      epochs: flags.epochs,
      signal: context.signal,
      cacheBytes: flags.cache,
      ...(flags.resume !== undefined && { resume: true }),
      ...defined({ augment, record: flags.record }),
    });
    const training = { flags, split, model };
    const log = new RunLog(flags, runFacts(training, context), flags.resume !== undefined);
    const result = await follow(run, flags.epochs, out, { classified: model.loss !== 'mse', onEvent: (event) => log.event(event) }).finally(() => log.close());
    const totals = addTotals(flags.resume === undefined ? undefined : readTrainingMeta(model.meta)?.totals, result.totals);
    const saved = await save(model, flags, totals);
    log.result(report(result, totals, flags, model, saved, out));
    if (flags.report !== undefined) await writeTrainReport(flags.report, result, training, context);
    return result.aborted ? exitCodes.interrupted : exitCodes.ok;
  } finally {
    start.model?.close();
  }
}

/** A replay starts from a model file, or from the seed. */
function checkRecord({ record, init, freeze, replaceHead }: TrainFlags): void {
  checkWritable('--record', record as string);
  if (init === undefined || (freeze === undefined && replaceHead === undefined)) return;
  throw new TinypropError('ERR_TINYPROP_SPEC', '--record with --init and --freeze or --replace-head: no file would hold the model that the log begins with; save it first (Model.freeze, Model.replaceHead, Model.save)');
}

interface Start {
  flags: TrainFlags;
  model?: Model;
}

/** Opens the file that training starts from, if there is one; a resumed run takes its flags from there. */
async function openStart(typed: TrainFlags, explicit: ReadonlySet<string>): Promise<Start> {
  const { resume, init } = typed;
  if (typed.model !== undefined && isImported(typed.model) && (resume ?? init) !== undefined) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `--model ${typed.model} is where training starts from; leave it out with ${resume === undefined ? '--init' : '--resume'}`);
  }
  if (resume !== undefined) return resumed(resume, typed, explicit);
  if (init !== undefined) return { flags: typed, model: await Model.load(init) };
  if (typed.model !== undefined && isImported(typed.model)) return { flags: typed, model: await Model.load(typed.model, defined({ inputShape: typed.input })) };
  if (typed.model === undefined) throw new TinypropError('ERR_TINYPROP_SPEC', 'train needs --model SPEC, FILE.tflite, FILE.json or FILE.safetensors, or --init FILE or --resume FILE');
  return { flags: typed };
}

async function resumed(path: string, typed: TrainFlags, explicit: ReadonlySet<string>): Promise<Start> {
  const model = await Model.load(path);
  const stored = readTrainingMeta(model.meta);
  if (!model.hasState || stored === undefined) {
    model.close();
    throw new TinypropError('ERR_TINYPROP_MODE', `${path} holds no training state of "tinyprop train"; --init ${path} starts a new training from its weights`, { path });
  }
  const before = { ...stored.flags, ...defined({ policy: stored.policy, seed: stored.seed, augment: stored.augment, normalize: stored.normalize, limit: stored.limit }) };
  const keys = [...trainingKeys, 'policy', 'seed', 'augment', 'normalize', 'limit'] as const;
  const clash = keys.find((key) => explicit.has(key) && typed[key] !== (before as Partial<TrainFlags>)[key]);
  if (clash !== undefined) {
    model.close();
    throw new TinypropError('ERR_TINYPROP_SPEC', `--resume continues the same run: ${clash} was ${String((before as Partial<TrainFlags>)[clash] ?? 'not given')}, now ${String(typed[clash])}`, {
      path,
      flag: clash,
    });
  }
  const { data, limit: _limit, normalize: _normalize, augment: _augment, ...rest } = typed;
  void [_limit, _normalize, _augment];
  const kept = Object.fromEntries(Object.entries(rest).filter(([key]) => !(trainingKeys as readonly string[]).includes(key)));
  return { model, flags: { ...kept, ...before, data, resume: path, out: typed.out ?? path } as TrainFlags };
}

function modelSpec(flags: TrainFlags, split: DataSplit): ModelJson {
  return parseModelSpec(flags.model as string, specContext(split.train));
}

/** Replaces the head, freezes, and checks that the model fits data and `--model`. */
function adapt(model: Model, flags: TrainFlags, split: DataSplit): void {
  if (flags.replaceHead !== undefined) model.replaceHead(flags.replaceHead);
  if (flags.freeze !== undefined) model.freeze(flags.freeze);
  checkClasses(model, split);
  if (flags.model === undefined || (flags.init === undefined && flags.resume === undefined)) return;
  const bare = (json: ModelJson): string => JSON.stringify(json.nodes.map(({ frozen: _, ...node }) => node));
  const named = Model.fromJSON(modelSpec(flags, split));
  const same = bare(named.toJSON()) === bare(model.toJSON());
  named.close();
  if (!same) {
    throw new TinypropError('ERR_TINYPROP_MISMATCH', `${flags.init ?? flags.resume} does not hold the model ${flags.model}; leave --model out to take the file's own`);
  }
}

/** Named classes must be as many as the outputs; labels alone must only fit. */
function checkClasses(model: Model, split: DataSplit): void {
  const { classes, labels } = split.train;
  if (model.loss !== 'softmaxCrossEntropy' || labels === undefined) return;
  const expected = classes?.length ?? labelCount(labels);
  if (classes ? expected === model.outputSize : expected <= model.outputSize) return;
  const has = classes ? `${expected} classes` : `labels up to ${expected - 1}`;
  throw new TinypropError('ERR_TINYPROP_SHAPE', `the model has ${model.outputSize} outputs, but the data have ${has}; --replace-head ${expected} gives it as many`, {
    expected,
    found: model.outputSize,
  });
}

async function save(model: Model, flags: TrainFlags, totals: EffortTotals): Promise<string | undefined> {
  if (flags.out === undefined) return undefined;
  const training: TrainingMeta = {
    policy: flags.policy,
    seed: flags.seed,
    flags: pickRecipe(flags),
    totals,
    ...defined({ normalize: flags.normalize, augment: flags.augment, limit: flags.limit }),
  };
  model.meta = { ...model.meta, training };
  await model.save(flags.out, { state: true });
  return flags.out;
}

function report(result: FitResult, totals: EffortTotals, flags: TrainFlags, model: Model, saved: string | undefined, out: Context['out']): object {
  const effort = effortOf(totals);
  const classified = model.loss !== 'mse';
  const document = {
    accuracy: classified ? result.accuracy : null,
    loss: result.loss,
    effortBackward: effort.effortBackward,
    effortTotal: effort.effortTotal,
    seconds: result.seconds,
    trainedFraction: effort.trainedFraction,
    rowsWorked: effort.rowsWorked,
    epochs: result.epochs,
    aborted: result.aborted,
    policy: flags.policy,
    seed: flags.seed,
    parameters: model.parameterCount,
    weights: model.weightHash(),
    out: saved ?? null,
    cache: result.cache,
    history: result.history,
  };
  out.document(document);
  out.event({ type: 'result', ...document });
  out.text(
    `${classified ? `accuracy ${percent(result.accuracy, 2)}  ` : ''}loss ${loss(result.loss)}  backward effort ${percent(effort.effortBackward)}  total effort ${percent(
      effort.effortTotal)}  ${duration(result.seconds)}`,
  );
  if (result.cache !== null) {
    const { node, bytes: size, share } = result.cache;
    out.note(`frozen up to ${node}: computed once a sample, ${percent(share)} of the forward work of the steps saved (cache of ${bytes(size)}); efforts count it all the same`);
  }
  if (saved !== undefined && !result.aborted) out.note(`saved ${saved}`);
  if (result.aborted) {
    out.note(
      saved === undefined
        ? 'stopped; nothing was saved (no --out)'
        : `stopped; saved weights and training state in ${saved}; continue with: tinyprop train --resume ${saved} --data ${flags.data}`,
    );
  }
  return document;
}
