// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { deviation, mean } from '../report/format';
import { effortTolerance, type Match, reference } from './methods';
import { type Missing, type ReproduceOptions, type UnitRecord, unitPath, unitsOf } from './run';
import { type Trial, TrialStore } from './trial';

/** One run of a method. */
export interface RunSummary {
  seed: number;
  /** Name of its file in the folder `trials`. */
  trial: string;
  /** Null: diverged. */
  accuracy: number | null;
  effortBackward: number | null;
  effortTotal: number | null;
}

/** A method on a set. */
export interface MethodSummary {
  name: string;
  title: string;
  runs: RunSummary[];
  /** Of the runs that did not diverge. */
  accuracyMean: number | null;
  /** Sample standard deviation (n - 1). */
  accuracyStd: number | null;
  effortBackward: number | null;
  effortTotal: number | null;
  trainedFraction: number | null;
  /** Mean over the seeds of this method's accuracy minus that of full training with the same seed, and its standard error. */
  difference: number | null;
  differenceError: number | null;
  /** The paper's accuracy, as a share; null: not in its table. */
  paper: number | null;
  /** Rivals: what of TinyPropv2 they were to have, the parameter for it, and whether they have it within 5 %. */
  matched: { what: Match['what']; target: number; x: number; within: boolean } | null;
}

/** A set of the reproduction. */
export interface SetSummary {
  name: string;
  title: string;
  remark: string;
  model: string;
  /** Source id of the C library; folders copied together may hold sets of several. */
  source: string;
  data: { train: number; test: number };
  protocol: Trial['config']['protocol'];
  methods: MethodSummary[];
}

/** What `summary.json` holds. */
export interface Summary {
  format: 2;
  budget: string;
  sets: SetSummary[];
  /** Units that no run has finished yet, such as those of other shards. */
  unfinished: number;
  missing: Missing[];
}

/** Reads what all shards have left in the folder. */
export function summarise(options: ReproduceOptions, missing: Missing[]): Summary {
  const store = new TrialStore(options.out);
  const present = options.sets.filter(({ name }) => !missing.some(({ set }) => set === name));
  let unfinished = 0;
  const sets: SetSummary[] = [];
  for (const set of present) {
    const found: { method: string; record: UnitRecord; trial: Trial }[] = [];
    for (const unit of unitsOf({ ...options, sets: [set] })) {
      const record = readRecord(unitPath(options.out, options.budget, unit));
      const trial = record && store.read(record.trial);
      if (record && trial) found.push({ method: unit.method.name, record, trial });
      else unfinished++;
    }
    const first = found[0]?.trial.config;
    if (first === undefined) continue;
    const full = found.filter(({ method }) => method === reference.accuracy).map(({ trial }) => trial);
    const methods = options.methods.flatMap(({ name, title }) => {
      const own = found.filter(({ method }) => method === name);
      if (own.length === 0) return [];
      const paper = set.paper[name];
      return [methodSummary({ name, title, paper: paper === undefined ? null : paper / 100 }, own, full)];
    });
    sets.push({ name: set.name, title: set.title ?? set.name, remark: set.remark, model: set.model, source: first.source, data: { train: first.data.train, test: first.data.test }, protocol: first.protocol, methods });
  }
  return { format: 2, budget: options.budget, sets, unfinished, missing };
}

function readRecord(path: string): UnitRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as UnitRecord;
  } catch {
    return undefined;
  }
}

type Named = Pick<MethodSummary, 'name' | 'title' | 'paper'>;

function methodSummary(named: Named, own: readonly { record: UnitRecord; trial: Trial }[], full: readonly Trial[]): MethodSummary {
  const accuracies = own.map(({ trial }) => trial.result.accuracy ?? undefined);
  const average = (of: (trial: Trial) => number | null): number | null => mean(own.map(({ trial }) => of(trial) ?? undefined)) ?? null;
  const effortBackward = average(({ result }) => result.effortBackward);
  const trainedFraction = average(({ result }) => result.trainedFraction);
  const pairs = own.flatMap(({ trial: { config, result } }) => {
    const base = full.find((trial) => trial.config.seed === config.seed)?.result.accuracy ?? null;
    return base === null || result.accuracy === null ? [] : [result.accuracy - base];
  });
  const matched = own[0]?.record.matched;
  return {
    ...named,
    runs: own.map(({ trial: { id, config, result } }) => ({ seed: config.seed, trial: id, accuracy: result.accuracy, effortBackward: result.effortBackward, effortTotal: result.effortTotal })),
    accuracyMean: mean(accuracies) ?? null,
    accuracyStd: deviation(accuracies) ?? null,
    effortBackward,
    effortTotal: average(({ result }) => result.effortTotal),
    trainedFraction,
    difference: named.name === reference.accuracy ? null : (mean(pairs) ?? null),
    differenceError: named.name === reference.accuracy || pairs.length < 2 ? null : (deviation(pairs) as number) / Math.sqrt(pairs.length),
    matched: matched ? { ...matched, within: Math.abs(({ effortBackward, trainedFraction }[matched.what] ?? NaN) / matched.target - 1) <= effortTolerance } : null,
  };
}

const percent = (share: number | null | undefined, digits = 2): string => (share === null || share === undefined ? '-' : (share * 100).toFixed(digits));
const signed = (share: number | null): string => (share === null ? '' : `${share > 0 ? '+' : ''}${(share * 100).toFixed(2)}`);

/** A page of Markdown: Table I, backward effort, what is missed, and every set in detail. docs/REPRODUCTION.md is one. */
export function markdown({ sets, budget, unfinished, missing }: Summary): string {
  const sources = [...new Set(sets.map(({ source }) => source))];
  const names = [...new Map(sets.flatMap(({ methods }) => methods.map(({ name, title }) => [name, title] as const)))];
  const cell = (set: SetSummary, name: string, of: (method: MethodSummary) => string): string => {
    const method = set.methods.find((m) => m.name === name);
    return method ? of(method) : '';
  };
  const wide = (of: (method: MethodSummary) => string): string[] => [
    row('method', ...sets.map(({ title }) => title)),
    rule(sets.length + 1),
    ...names.map(([name, title]) => row(title, ...sets.map((set) => cell(set, name, of)))),
  ];
  const open = [
    ...(unfinished > 0 ? [`**${unfinished} runs are not finished**; run the command again, or the other shards.`, ''] : []),
    ...missing.map(({ set, reason }) => `* ${set} is left out: ${reason}`),
  ];
  return [
    '# The experiments of arXiv 2409.07109, repeated',
    '',
    `\`tinyprop reproduce --budget ${budget}\` with the C sources ${sources.map((id) => `\`${id.slice(0, 16)}\``).join(', ')}. Numbers are percent. Data, networks, protocols and what the paper leaves open: docs/reproduce.md. Networks and`,
    'protocols are ours, so the paper\'s accuracies are no target: what is compared is each method with full training on the same data. Effort is backward multiply-accumulates as a share of dense training.',
    '',
    ...open,
    ...(missing.length > 0 ? [''] : []),
    '### Accuracy on the test set, the paper\'s in parentheses',
    '',
    ...wide(({ accuracyMean, paper }) => `${percent(accuracyMean)}${paper === null ? '' : ` (${percent(paper)})`}`),
    '',
    '### Backward effort',
    '',
    ...wide(({ effortBackward, matched }) => `${percent(effortBackward, 1)}${matched?.within === false ? ' (not matched)' : ''}`),
    '',
    ...verdict(sets),
    ...sets.flatMap(details),
  ].join('\n');
}

/** What issue and paper promise of TinyPropv2: at most so many points below full training, at most so much backward effort. */
const promised = { points: 0.01, effort: 0.1 };

/** Where TinyPropv2 keeps what it promises and where not, and which rivals are better at its effort. */
function verdict(sets: readonly SetSummary[]): string[] {
  const own = sets.flatMap((set) => {
    const method = set.methods.find(({ name }) => name === reference.effort);
    return method === undefined || method.difference === null ? [] : [{ set, method, difference: method.difference }];
  });
  if (own.length === 0) return [];
  const lines = own.map(({ set, method, difference }) => {
    const better = set.methods.filter((m) => m.matched?.within && (m.accuracyMean ?? 0) > (method.accuracyMean ?? 0)).map((m) => m.title);
    const missed = [
      ...(difference < -promised.points ? [`accuracy by ${percent(-difference - promised.points)} points`] : []),
      ...((method.effortBackward ?? 1) > promised.effort ? [`effort by ${percent((method.effortBackward ?? 1) - promised.effort, 1)} points`] : []),
    ];
    const error = method.differenceError === null ? '' : ` \u00b1 ${percent(method.differenceError)}`;
    return row(set.title, signed(difference) + error, percent(method.effortBackward, 1), missed.join(', ') || 'nothing', better.join(', ') || 'none');
  });
  return [
    `### TinyPropv2: at most ${percent(promised.points, 1)} points below full training at ${percent(promised.effort, 0)} % backward effort?`,
    '',
    row('set', 'against full, standard error', 'backward effort', 'missed', 'rivals above it at its effort'),
    rule(5),
    ...lines,
    row('mean', signed(mean(own.map(({ difference }) => difference)) as number), percent(mean(own.map(({ method }) => method.effortBackward ?? undefined)), 1), '', ''),
    '',
  ];
}

function details({ title, model, remark, data, protocol, methods }: SetSummary): string[] {
  const { epochs, warmup, batch, lr, trainable } = protocol;
  return [
    `### ${title}`,
    '',
    `\`${model}\`, ${data.train} training and ${data.test} test samples (${remark}); ${epochs} epochs, warm-up ${warmup}, batch ${batch}, learning rate ${lr}, cosine${trainable === undefined ? '' : `; the last ${trainable} weight layers are trained`}.`,
    '',
    row('method', 'seeds', 'accuracy', 'spread', 'against full', 'standard error', 'backward effort', 'total effort', 'samples trained'),
    rule(9),
    ...methods.map((m) =>
      row(
        m.title,
        String(m.runs.length) + (m.runs.some((run) => run.accuracy === null) ? `, ${m.runs.filter((run) => run.accuracy === null).length} diverged` : ''),
        percent(m.accuracyMean),
        percent(m.accuracyStd),
        signed(m.difference),
        m.differenceError === null ? '' : percent(m.differenceError),
        percent(m.effortBackward, 1),
        percent(m.effortTotal, 1),
        percent(m.trainedFraction, 1),
      ),
    ),
    '',
  ];
}

const row = (...cells: string[]): string => `| ${cells.join(' | ')} |`;
const rule = (columns: number): string => `|${'---|'.repeat(columns)}`;
