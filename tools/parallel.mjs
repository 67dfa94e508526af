// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';

/** Runs jobs, functions that return promises, in their order and as many at a time as there are cores. */
export async function inParallel(jobs) {
  const left = jobs.values(); // one for all workers: each takes the next job
  const work = async () => {
    for (const job of left) await job();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}
