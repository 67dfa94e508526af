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
  /** Backward effort really executed: of rows whose error is not exactly zero. */
  rowsWorked: number | null;
  /** Mean over the seeds of this method's accuracy minus that of full training with the same seed, and its standard error. */
  difference: number | null;
  differenceError: number | null;
  /** The paper's accuracy, as a share; null: not in its table. */
  paper: number | null;
  /** What a method was to have (rivals: what TinyPropv2 has), the parameter for it, and whether it has that within 5 %. */
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
  /** Classes: as the confusion matrix has them; null if every run diverged. */
  data: { train: number; test: number; classes: number | null };
  /** The published set, where it is larger. */
  complete?: { train: number; test: number; classes: number };
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
    const classes = found.map(({ trial }) => trial.result.confusion?.length).find((n) => n !== undefined) ?? null;
    const { name, title = name, remark, model, complete } = set;
    const data = { train: first.data.train, test: first.data.test, classes };
    sets.push({ name, title, remark, model, source: first.source, data, ...(complete && { complete }), protocol: first.protocol, methods });
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
    rowsWorked: average(({ result }) => result.rowsWorked),
    difference: named.name === reference.accuracy ? null : (mean(pairs) ?? null),
    differenceError: named.name === reference.accuracy || pairs.length < 2 ? null : (deviation(pairs) as number) / Math.sqrt(pairs.length),
    matched: matched ? { ...matched, within: Math.abs(({ effortBackward, trainedFraction }[matched.what] ?? NaN) / matched.target - 1) <= effortTolerance } : null,
  };
}
