// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { writeFileAtomic } from '../file';
import { markdown } from './page';
import { type Missing, type ReproduceOptions, runUnits } from './run';
import { summarise, type Summary } from './summary';
import { jsonBytes } from './trial';

export { defaultMethods, methods, type ReproductionMethod } from './methods';
export { type Notes, parseNotes } from './page';
export type { ReproduceOptions } from './run';
export { type Budget, budgets, type ReproductionSet, sets } from './sets';
export type { Summary } from './summary';
export { type Trial, TrialStore } from './trial';

/**
 * Repeats the paper's experiments (docs/reproduce.md): what is finished in the folder stays, the rest is run, and `summary.json` and `summary.md` are written
 * from all that is there. The same options give the same bytes, in one run, in several, or in shards.
 *
 * @throws TinypropError `ERR_TINYPROP_ABORTED` after an abort (finished runs are kept), `ERR_TINYPROP_FILE`, and those of `loadData`
 */
export async function reproduce(options: ReproduceOptions): Promise<Summary> {
  return collect(options, await runUnits(options));
}

/** Writes `summary.json` and `summary.md` from what is in the folder, whichever sources made it; trains nothing and reads no data. */
export async function collect(options: ReproduceOptions, missing: Missing[] = []): Promise<Summary> {
  const summary = summarise(options, missing);
  await writeFileAtomic(join(options.out, 'summary.json'), jsonBytes(summary));
  await writeFileAtomic(join(options.out, 'summary.md'), Buffer.from(markdown(summary, options.notes), 'utf8'));
  return summary;
}
