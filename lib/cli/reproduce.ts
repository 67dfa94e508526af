// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TinypropError } from '../errors';
import { readBytes, writeFileAtomic } from '../file';
import { type Budget, collect, methods, type Notes, parseNotes, reproduce, sets, type Summary, TrialStore } from '../reproduce';
import { meanAndSpread, percent, points } from '../report/format';
import { renderReproduction } from '../report/reproduction';
import { checkCharts } from '../report/vega';
import type { CommandResult, Context } from './context';
import { exitCodes } from './exit';
import { originOf } from './origin';
import { defined } from './recipe';
import { textTable } from './table';
import { checkWritable } from './writable';

/** Flags of `reproduce`. */
export interface ReproduceFlags {
  dataRoot: string[];
  weights?: string;
  budget: Budget;
  only?: string[];
  methods: string[];
  seeds?: number;
  out: string;
  report?: string;
  notes?: string;
  shard: { index: number; count: number };
  jobs: number;
  run: boolean;
}

/** Where the shared weights stand under a root, if nothing else is said. */
const usualWeights = join('models', 'mobilenetv2_w035_imagenet', 'mbv2-w0.35-f32.safetensors');

/** `reproduce`: the paper's table, as far as the data are there. */
export async function reproduceCommand(flags: ReproduceFlags, context: Context): CommandResult {
  const { out, signal } = context;
  const chosen = pick('set', sets, flags.only ?? sets.filter(({ title }) => title !== undefined).map(({ name }) => name));
  const compared = pick('method', methods, flags.methods);
  if (!flags.run && !existsSync(join(flags.out, 'units', flags.budget))) {
    throw new TinypropError('ERR_TINYPROP_FILE', `--no-run: ${flags.out} holds no results of --budget ${flags.budget}`, { path: flags.out });
  }
  try {
    mkdirSync(flags.out, { recursive: true });
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `--out ${flags.out}: ${(cause as Error).message}`, { path: flags.out }, cause);
  }
  if (flags.report !== undefined) {
    checkWritable('--report', flags.report);
    await checkCharts();
  }
  const notes = flags.notes === undefined ? {} : parseNotes(Buffer.from(await readBytes(flags.notes)).toString('utf8'), sets.map(({ name }) => name));
  const weights = flags.weights ?? flags.dataRoot.map((root) => join(root, usualWeights)).find((path) => existsSync(path));
  const { budget, shard, jobs } = flags;
  const note = (line: string): void => out.note(line);
  try {
    const options = { roots: flags.dataRoot, out: flags.out, budget, sets: chosen, methods: compared, jobs, shard, signal, notes, note, ...defined({ weights, seeds: flags.seeds }) };
    const summary = await (flags.run ? reproduce : collect)(options);
    const [none] = summary.missing;
    if (none && summary.missing.length === chosen.length) throw new TinypropError('ERR_TINYPROP_SPEC', `none of the sets is there; ${none.set}: ${none.reason}`, { missing: summary.missing });
    out.document(summary);
    out.event({ type: 'summary', ...summary });
    for (const set of summary.sets) out.text(`${setTable(set)}\n`);
    if (summary.unfinished > 0) out.note(`${summary.unfinished} runs are not finished: other shards, or the same command again`);
    out.note(`${join(flags.out, 'summary.json')}, ${join(flags.out, 'summary.md')}`);
    if (flags.report !== undefined) await writeReport(flags.report, flags.out, summary, notes, context);
    return exitCodes.ok;
  } catch (error) {
    if (!(error instanceof TinypropError) || error.code !== 'ERR_TINYPROP_ABORTED') throw error;
    throw new TinypropError('ERR_TINYPROP_ABORTED', `stopped; finished runs are in ${flags.out}, the same command goes on from there`, {}, error);
  }
}

/** `--report`: one page about all that is finished; curves come from the trials that the summary names. */
async function writeReport(path: string, folder: string, summary: Summary, notes: Notes, { out, argv }: Context): Promise<void> {
  const store = new TrialStore(folder);
  const html = await renderReproduction({ summary, notes, read: (id) => store.get(id), ...originOf(argv) });
  await writeFileAtomic(path, Buffer.from(html));
  out.note(`report: ${path}`);
}

/** The rows of these names. */
function pick<T extends { name: string }>(what: string, rows: readonly T[], names: readonly string[]): T[] {
  const unknown = names.find((name) => !rows.some((row) => row.name === name));
  if (unknown === undefined) return rows.filter(({ name }) => names.includes(name));
  const valid = rows.map(({ name }) => name);
  throw new TinypropError('ERR_TINYPROP_SPEC', `unknown ${what} "${unknown}"; valid: ${valid.join(', ')}`, { [what]: unknown, valid });
}

function setTable({ title, methods: rows }: Summary['sets'][number]): string {
  const columns = [{ head: title }, ...['accuracy', 'paper', 'against full', 'backward effort', 'total effort'].map((head) => ({ head, number: true }))];
  return textTable(
    columns,
    rows.map((m) => [
      m.title,
      meanAndSpread({ accuracyMean: m.accuracyMean ?? undefined, accuracyStd: m.accuracyStd ?? undefined }, m.runs.length),
      m.paper === null ? '' : percent(m.paper, 2),
      m.difference === null ? '' : points(m.difference),
      percent(m.effortBackward ?? undefined),
      percent(m.effortTotal ?? undefined),
    ]),
  );
}
