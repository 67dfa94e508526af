// SPDX-License-Identifier: Apache-2.0
// The core against the oracle, step by step over random nets, recipes and data.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { run } from '../oracle/arbitrary';
import { NativeCore } from '../oracle/native-core';
import { follow, Oracle } from '../oracle/oracle';

// A longer search: TINYPROP_ORACLE_RUNS=5000 TINYPROP_ORACLE_SEED=7
const numRuns = Number(process.env['TINYPROP_ORACLE_RUNS'] ?? 400);
const seed = Number(process.env['TINYPROP_ORACLE_SEED'] ?? 1);

describe('core against the oracle', () => {
  it('makes the same decisions bit for bit, and the same weights to the tolerance', () => {
    const seen = { trained: 0, skipped: 0, sparse: 0, ties: 0, nearKink: 0, diverged: 0 };
    fc.assert(
      fc.property(run, ({ model, recipe, tensors, epochs }) => {
        const core = new NativeCore(model, recipe, tensors);
        const oracle = new Oracle(model, recipe);
        follow(core, oracle, epochs);
        for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += oracle.seen[key];
        core.net.close();
      }),
      { seed, numRuns },
    );
    expect(seen.trained).toBeGreaterThan(6 * numRuns);
    expect(seen.skipped).toBeGreaterThan(numRuns);
    expect(seen.sparse).toBeGreaterThan(6 * numRuns);
    expect(seen.ties).toBeGreaterThan(numRuns / 2);
    expect(seen.nearKink).toBeLessThan(seen.trained / 6);
  }, 120_000);
});
