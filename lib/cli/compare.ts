// SPDX-License-Identifier: Apache-2.0
import { writeFileAtomic } from '../file';
import type { DataSplit } from '../data';
import { TinypropError } from '../errors';
import { isModelFile, pretrainedModel, specNormalization } from '../load';
import { Model } from '../model';
import { count, deviation, duration, loss, mean, meanAndSpread, percent, points } from '../report/format';
import { renderReport, type ReportRun, type ReportSummary } from '../report/index';
import { parseModelSpec, pretrainedSpec } from '../specs';
import { Trainer } from '../trainer';
import type { CommandResult, Context } from './context';
import { type DataFlags, describeData, loadForTraining, parseAugment, readDataMeta, specContext } from './data-source';
import { feedSplit } from './model-file';
import { originOf } from './origin';
import { checkPolicyFlags, defined, describeFlags, policyNames, type RecipeFlags, recipeOf } from './recipe';
import { follow } from './run';
import { textTable } from './table';
import { checkWritable } from './writable';

/** Flags of `compare`. */
export interface CompareFlags extends DataFlags, RecipeFlags {
  model: string;
  methods: string[];
  seeds: number;
  augment?: string;
  report?: string;
  jobs: number;
  threads: number;
  cache: number;
}

/** One run as printed under `--json`. */
interface Run extends ReportRun {
  effortPolicy: number;
  warnings: string[];
}

/** `compare`: every method with every seed on the same data, model and recipe. */
export async function compareCommand(flags: CompareFlags, context: Context, title = 'tinyprop: a comparison'): CommandResult {
  const unknown = flags.methods.find((name) => !(policyNames as string[]).includes(name));
  if (unknown !== undefined) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `unknown method "${unknown}"; valid: ${policyNames.join(', ')}`, { method: unknown, valid: policyNames });
  }
  if (flags.report !== undefined) checkWritable('--report', flags.report);
  checkPolicyFlags(flags.methods as never, flags);
  for (const name of flags.methods) recipeOf(name, flags, 1);
  const start = isModelFile(flags.model) ? await Model.load(flags.model) : undefined;
  try {
    return await compareFrom(start, flags, context, title);
  } finally {
    start?.close();
  }
}

/** `start`: the model whose weights every run begins with; without it each begins with those of its seed. */
async function compareFrom(start: Model | undefined, flags: CompareFlags, context: Context, title: string): CommandResult {
  const { out } = context;
  const split = await loadForTraining(flags, context, start ? readDataMeta(start.meta).normalization : specNormalization(flags.model));
  if (start) feedSplit(split, start, out);
  const open = opener(start, flags.model, split);
  out.note(`${describeData(split)}\nmodel ${flags.model}, ${describeFlags(flags)}, ${flags.seeds} ${flags.seeds === 1 ? 'seed' : 'seeds'}`);
  const runs = await runAll(flags, split, open, context);
  const summary = summarise(flags.methods, runs);
  const document = { runs: runs.map(publicRun), summary: summary.map(publicSummary) };
  out.document(document);
  for (const row of document.summary) out.event({ type: 'summary', ...row });
  out.text(summaryTable(summary, runs));
  if (flags.report !== undefined) await writeReport(flags, flags.report, { split, open, runs, summary, title }, context);
  return 0;
}

/** Runs everything, `jobs` at a time; the results come in a fixed order whatever ends first. */
async function runAll(flags: CompareFlags, split: DataSplit, open: (seed: number) => Model, context: Context): Promise<Run[]> {
  const seeds = Array.from({ length: flags.seeds }, (_, i) => i + 1);
  // Methods change fastest: what slows the machine for a while slows all of them.
  const plan = seeds.flatMap((seed) => flags.methods.map((method) => ({ method, seed })));
  const done: Run[] = [];
  let next = 0;
  let finished = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < plan.length; at = next++) {
      const { method, seed } = plan[at] as { method: string; seed: number };
      const prefix = `${String(finished + 1).padStart(String(plan.length).length)}/${plan.length} ${method} seed ${seed}  `;
      const run = await runOne(flags, split, open, { method, seed, prefix }, context);
      done[at] = run;
      finished++;
      context.out.note(`${String(finished).padStart(String(plan.length).length)}/${plan.length} ${runLine(run)}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(flags.jobs, plan.length) }, worker));
  const order = (run: Run): number => flags.methods.indexOf(run.method) * flags.seeds + run.seed;
  return done.sort((a, b) => order(a) - order(b));
}

async function runOne(
  flags: CompareFlags,
  split: DataSplit,
  open: (seed: number) => Model,
  { method, seed, prefix }: { method: string; seed: number; prefix: string },
  { out, signal }: Context,
): Promise<Run> {
  const model = open(seed);
  const warnings: string[] = [];
  try {
    model.threads = flags.threads;
    const augment = flags.augment === undefined ? undefined : parseAugment(flags.augment);
    const run = new Trainer(model, recipeOf(method, flags, seed)).fit(split.test ? { train: split.train, test: split.test } : { train: split.train }, {
      epochs: flags.epochs,
      signal,
      cacheBytes: flags.cache,
      evaluateEvery: flags.report === undefined ? 'end' : 'epoch',
      ...defined({ augment }),
    });
    const result = await follow(run, flags.epochs, out, { prefix, classified: model.loss !== 'mse', epochLines: false, tag: { method, seed }, onWarning: (text) => warnings.push(text) });
    if (result.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', 'stopped; a comparison cannot be continued');
    return {
      method,
      seed,
      accuracy: model.loss === 'mse' ? undefined : result.accuracy,
      loss: result.loss,
      effortBackward: result.effortBackward,
      effortTotal: result.effortTotal,
      effortPolicy: result.effortPolicy,
      trainedFraction: result.trainedFraction,
      rowsWorked: result.rowsWorked,
      seconds: result.seconds,
      history: result.history,
      warnings,
    };
  } finally {
    model.close();
  }
}

function summarise(methods: readonly string[], runs: readonly Run[]): ReportSummary[] {
  return methods.map((method) => {
    const own = runs.filter((run) => run.method === method);
    const average = (of: (run: Run) => number | undefined): number => mean(own.map(of)) ?? NaN;
    return {
      method,
      accuracyMean: mean(own.map((run) => run.accuracy)),
      accuracyStd: deviation(own.map((run) => run.accuracy)),
      lossMean: average((run) => run.loss),
      effortBackward: average((run) => run.effortBackward),
      effortTotal: average((run) => run.effortTotal),
      seconds: average((run) => run.seconds),
    };
  });
}

function publicRun(run: Run): Record<string, unknown> {
  const { method, seed, accuracy, loss: value, effortBackward, effortTotal, effortPolicy, trainedFraction, rowsWorked, seconds, warnings } = run;
  return { method, seed, accuracy: accuracy ?? null, loss: value, effortBackward, effortTotal, effortPolicy, trainedFraction, rowsWorked, seconds, ...(warnings.length > 0 && { warnings }) };
}

function publicSummary({ method, accuracyMean, accuracyStd, lossMean, effortBackward, effortTotal, seconds }: ReportSummary): Record<string, unknown> {
  return { method, accuracyMean: accuracyMean ?? null, accuracyStd: accuracyStd ?? null, lossMean, effortBackward, effortTotal, seconds };
}

function runLine(run: Run): string {
  const accuracy = run.accuracy === undefined ? '' : `accuracy ${percent(run.accuracy, 2)}, `;
  return `${run.method} seed ${run.seed}: ${accuracy}loss ${loss(run.loss)}, backward effort ${percent(run.effortBackward)}, ${duration(run.seconds)}`;
}

function summaryTable(summary: readonly ReportSummary[], runs: readonly Run[]): string {
  const reference = summary.find((s) => s.method === 'full') ?? summary.find((s) => s.method === 'dense');
  const works = runs.some((run) => run.effortPolicy > 0);
  const columns = [
    { head: 'method' },
    ...['accuracy', `vs ${reference?.method ?? 'full'}`, 'loss', 'backward effort', 'rows worked', 'total effort', ...(works ? ["policy's own"] : []), 'samples trained', 'time'].map((head) => ({ head, number: true })),
  ];
  const rows = summary.map((s) => {
    const own = runs.filter((run) => run.method === s.method);
    const known = s.accuracyMean !== undefined && reference?.accuracyMean !== undefined;
    return [
      s.method,
      meanAndSpread(s, own.length),
      known && s !== reference ? points((s.accuracyMean as number) - (reference?.accuracyMean as number)) : '',
      loss(s.lossMean),
      percent(s.effortBackward),
      percent(mean(own.map((run) => run.rowsWorked))),
      percent(s.effortTotal),
      ...(works ? [percent(mean(own.map((run) => run.effortPolicy)))] : []),
      percent(mean(own.map((run) => run.trainedFraction))),
      duration(s.seconds),
    ];
  });
  return textTable(columns, rows);
}

/** Gives the model that a run with that seed starts from. */
function opener(start: Model | undefined, spec: string, { train }: DataSplit): (seed: number) => Model {
  const weights = start?.toBytes();
  if (weights) return () => Model.fromBytes(weights);
  const pretrained = pretrainedSpec(spec, specContext(train));
  if (pretrained) return (seed) => pretrainedModel(pretrained, seed);
  const json = parseModelSpec(spec, specContext(train));
  return () => Model.fromJSON(json);
}

async function writeReport(
  flags: CompareFlags,
  path: string,
  found: { split: DataSplit; open: (seed: number) => Model; runs: readonly Run[]; summary: readonly ReportSummary[]; title: string },
  { out, argv }: Context,
): Promise<void> {
  const model = found.open(1);
  const { parameterCount } = model;
  const { macsForward, macsBackward } = model.plan({ training: true });
  model.close();
  const html = renderReport({
    title: found.title,
    facts: [
      ['Data', describeData(found.split)],
      ['Model', `${flags.model}: ${count(parameterCount)} parameters, ${count(macsForward)} multiply-accumulates forward and ${count(macsBackward)} backward for a sample`],
      ['Training', describeFlags(flags)],
      ['Seeds', flags.seeds === 1 ? '1' : `1 to ${flags.seeds}`],
    ],
    runs: found.runs,
    summary: found.summary,
    ...originOf(argv),
  });
  await writeFileAtomic(path, Buffer.from(html, 'utf8'));
  out.note(`report: ${path}`);
}
