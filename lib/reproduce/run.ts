// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DataSplit, loadData } from '../data';
import { describe } from '../describe';
import { TinypropError } from '../errors';
import { writeFileAtomic } from '../file';
import { pretrainedModel } from '../load';
import { Model } from '../model';
import { duration, mean, percent } from '../report/format';
import { type ModelSpecContext, parseModelSpec, pretrainedSpec } from '../specs';
import { type Match, type ReproductionMethod, reference, search } from './methods';
import type { Notes } from './page';
import type { Budget, Protocol, ReproductionSet } from './sets';
import { hashData, jsonBytes, methodConfig, runTrial, type Trial, type TrialConfig, trialFormat, trialId, TrialStore } from './trial';

/** Options of {@link reproduce}. */
export interface ReproduceOptions {
  /** Folders in which the sets are looked for, in this order. */
  roots: readonly string[];
  /** safetensors file for the sets that start from trained weights. */
  weights?: string;
  /** Folder of the results; those that are there are kept. */
  out: string;
  budget: Budget;
  sets: readonly ReproductionSet[];
  methods: readonly ReproductionMethod[];
  /** Other than the protocol's. */
  seeds?: number;
  /** Trainings at the same time. */
  jobs: number;
  /** Part `index` (from 1) of `count` parts. */
  shard: { index: number; count: number };
  signal: AbortSignal;
  /** Texts for `summary.md`. */
  notes?: Notes;
  note(line: string): void;
}

/** One cell's worth of work: a set, a method, a seed. */
export interface Unit {
  set: ReproductionSet;
  method: ReproductionMethod;
  seed: number;
}

/** Which trial a unit turned out to be; a file of the folder `units`. */
export interface UnitRecord {
  trial: string;
  /** What was to be reached, of rivals TinyPropv2's mean, and the parameter that gives it. */
  matched?: { what: Match['what']; target: number; x: number };
}

/** All units, in a fixed order: the rivals' seeds, then those that only the references have. */
export function unitsOf({ sets, methods, budget, seeds }: Pick<ReproduceOptions, 'sets' | 'methods' | 'budget' | 'seeds'>): Unit[] {
  return sets.flatMap((set) => {
    const protocol = set.protocols[budget];
    const compared = seeds ?? protocol.seeds;
    const all = Math.max(compared, seeds ?? protocol.pairs ?? 0);
    const runs = ({ name }: ReproductionMethod, seed: number): boolean => seed <= compared || Object.values(reference).some((one) => one === name);
    return Array.from({ length: all }, (_, i) => i + 1).flatMap((seed) => methods.filter((method) => runs(method, seed)).map((method) => ({ set, method, seed })));
  });
}

/** Where the record of a unit stands. */
export function unitPath(out: string, budget: Budget, { set, method, seed }: Unit): string {
  return join(out, 'units', budget, `${set.name}.${method.name}.${seed}.json`);
}

/** A set that is not there and why. */
export interface Missing {
  set: string;
  reason: string;
}

/**
 * Runs what is not there yet of the units of a shard, set after set. Rivals need TinyPropv2's runs of all seeds: those that another shard has not left in the
 * folder are made here, with the same bits.
 *
 * @throws TinypropError `ERR_TINYPROP_ABORTED` after an abort: what was finished is kept
 */
export async function runUnits(options: ReproduceOptions): Promise<Missing[]> {
  const { budget, shard, sets, note } = options;
  mkdirSync(join(options.out, 'units', budget), { recursive: true });
  const mine = unitsOf(options).filter((_, i) => i % shard.count === shard.index - 1);
  const store = new TrialStore(options.out);
  const missing: Missing[] = [];
  for (const set of sets) {
    const units = mine.filter((unit) => unit.set === set);
    if (units.length === 0) continue;
    const reason = absent(set, options);
    if (reason !== undefined) {
      missing.push({ set: set.name, reason });
      note(`${set.name}: left out: ${reason}`);
      continue;
    }
    await new SetRun(set, await prepare(set, options), store, options).run(units);
  }
  return missing;
}

function absent(set: ReproductionSet, { roots, weights }: ReproduceOptions): string | undefined {
  if (set.locate(roots) === undefined) return `expected ${set.wanted} under ${roots.length === 0 ? '--data-root' : roots.join(' or ')}`;
  return set.weights && weights === undefined ? 'it starts from trained weights: --weights FILE.safetensors' : undefined;
}

/** What all runs of a set share. */
interface Prepared {
  split: DataSplit;
  protocol: Protocol;
  base: Omit<TrialConfig, keyof ReturnType<typeof methodConfig> | 'seed'>;
  open(seed: number): Model;
}

async function prepare(set: ReproductionSet, { roots, weights, budget, signal, note }: ReproduceOptions): Promise<Prepared> {
  const protocol = set.protocols[budget];
  const { seeds: _seeds, pairs: _pairs, limit, ...rest } = protocol;
  const file = set.weights ? weights : undefined;
  const spec = file === undefined ? set.model : `${set.model},${file}`;
  const stored = pretrainedSpec(spec, {})?.normalization;
  const split = await loadData(set.locate(roots) as string, {
    signal,
    onNotice: (message) => note(`note: ${message}`),
    ...(limit !== undefined && { limit }),
    ...(set.normalize !== undefined && { normalize: set.normalize }),
    ...(stored && { normalization: stored }),
  });
  const { inputShape, labels, classes } = split.train;
  const context: ModelSpecContext = { inputShape, ...(classes ? { classes: classes.length } : { labels: Math.max(...(labels ?? [])) + 1 }) };
  const pretrained = pretrainedSpec(spec, context);
  const json = pretrained?.json ?? parseModelSpec(spec, context);
  note(`${set.name}: ${split.train.n} training and ${split.test?.n ?? 0} test samples of ${inputShape.join('x')}, ${set.model}`);
  return {
    split,
    protocol,
    base: {
      format: trialFormat,
      source: describe().sourceId,
      set: set.name,
      data: { hash: hashData(split), train: split.train.n, test: split.test?.n ?? 0 },
      model: set.model,
      weights: file === undefined ? null : createHash('sha256').update(readFileSync(file)).digest('hex'),
      protocol: { ...rest, ...(limit !== undefined && { limit }) },
    },
    open: (seed) => (pretrained ? pretrainedModel(pretrained, seed) : Model.fromJSON(json)),
  };
}

class SetRun {
  private readonly running = new Map<string, Promise<Trial>>();
  private readonly matches = new Map<string, Promise<{ target: number; x: number }>>();
  private readonly waiting: (() => void)[] = [];
  private free: number;

  constructor(
    private readonly set: ReproductionSet,
    private readonly prepared: Prepared,
    private readonly store: TrialStore,
    private readonly options: ReproduceOptions,
  ) {
    this.free = options.jobs;
  }

  async run(units: readonly Unit[]): Promise<void> {
    const ended = await Promise.allSettled(units.map((unit) => this.unit(unit)));
    const failed = ended.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
  }

  private async unit(unit: Unit): Promise<void> {
    const { method, seed } = unit;
    const matched = method.match && { what: method.match.what, ...(await this.matching(method, method.match)) };
    const { id } = await this.trial(method, matched?.x ?? 1, seed);
    const record: UnitRecord = { trial: id, ...(matched && { matched }) };
    await writeFileAtomic(unitPath(this.options.out, this.options.budget, unit), jsonBytes(record));
  }

  /** Mean of the seeds that all methods have; undefined: all diverged. */
  private async mean(method: ReproductionMethod, x: number, what: Match['what']): Promise<number | undefined> {
    const seeds = this.options.seeds ?? this.prepared.protocol.seeds;
    const trials = await Promise.all(Array.from({ length: seeds }, (_, i) => this.trial(method, x, i + 1)));
    return mean(trials.map(({ result }) => result[what] ?? undefined));
  }

  /** A method's target and the parameter that gives it: searched for with seed 1, then with all of them. */
  private matching(method: ReproductionMethod, match: Match): Promise<{ target: number; x: number }> {
    let found = this.matches.get(method.name);
    if (found === undefined) {
      found = this.match(method, match);
      this.matches.set(method.name, found);
    }
    return found;
  }

  private async match(method: ReproductionMethod, match: Match): Promise<{ target: number; x: number }> {
    const { what } = match;
    const target = match.target ?? (await this.ofReference(what));
    const first = await search(match, target, match.guess(target), 6, async (x) => (await this.trial(method, x, 1)).result[what] ?? NaN);
    return { target, x: await search(match, target, first, 3, async (x) => (await this.mean(method, x, what)) ?? NaN) };
  }

  /** TinyPropv2's mean. All diverged: there is nothing to match, and rivals may do everything. */
  private async ofReference(what: Match['what']): Promise<number> {
    const model = this.options.methods.find(({ name }) => name === reference.effort);
    if (model === undefined) throw new TinypropError('ERR_TINYPROP_SPEC', `rivals get the effort of ${reference.effort}: it must be among the methods`);
    return (await this.mean(model, 1, what)) ?? 1;
  }

  /** The trial from the folder, or run now; never twice at the same time. */
  private trial(method: ReproductionMethod, x: number, seed: number): Promise<Trial> {
    const config: TrialConfig = { ...this.prepared.base, ...methodConfig(method, x), seed };
    const id = trialId(config);
    let trial = this.running.get(id);
    if (trial === undefined) {
      trial = this.make(id, config, method, x);
      this.running.set(id, trial);
    }
    return trial;
  }

  private async make(id: string, config: TrialConfig, method: ReproductionMethod, x: number): Promise<Trial> {
    const known = this.store.read(id);
    if (known !== undefined) return known;
    await this.enter();
    try {
      const { signal, note } = this.options;
      if (signal.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', 'stopped');
      const model = this.prepared.open(config.seed);
      try {
        const { result, seconds } = await runTrial(model, method.recipe(x), config, this.prepared.split, signal);
        const trial: Trial = { id, config, result };
        await this.store.write(trial);
        const { accuracy, effortBackward } = result;
        const found = accuracy === null ? 'diverged' : `accuracy ${percent(accuracy, 2)}, backward effort ${percent(effortBackward ?? undefined)}, ${duration(seconds)}`;
        note(`${this.set.name} ${method.name} seed ${config.seed}: ${found}`);
        return trial;
      } finally {
        model.close();
      }
    } finally {
      this.leave();
    }
  }

  private async enter(): Promise<void> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private leave(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free++;
  }
}
