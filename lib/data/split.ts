// SPDX-License-Identifier: Apache-2.0
import { Rng, rngPurpose } from './rng';

/** Sample indices, both lists ascending. */
export interface IndexSplit {
  /** Samples to train with. */
  readonly train: Uint32Array;
  /** Samples held out. */
  readonly test: Uint32Array;
}

/** Part of the samples that becomes the test set when the data come without one. */
export const TEST_FRACTION = 0.2;

/**
 * A stratified split: within every class the samples are shuffled (Fisher-Yates, stream (seed, split, class))
 * and the first `round(fraction * size)` of them become test samples; a class with at least two samples
 * gives at least one to each side. Without labels all samples are one class. Depends on (labels, n, seed) only.
 */
export function stratifiedSplit(labels: Uint32Array | undefined, n: number, seed: number, fraction = TEST_FRACTION): IndexSplit {
  const isTest = new Uint8Array(n);
  for (const [label, members] of groups(labels, n)) {
    shuffle(members, seed, label);
    const count = members.length < 2 ? 0 : clamp(Math.round(members.length * fraction), 1, members.length - 1);
    for (let i = 0; i < count; i++) isTest[members[i] as number] = 1;
  }
  return { train: pick(isTest, 0), test: pick(isTest, 1) };
}

/**
 * At most `limit` of n samples, the classes in their proportions (largest remainders, ties to the lower
 * class), chosen by (labels, n, limit, seed); ascending indices.
 */
export function stratifiedSubset(labels: Uint32Array | undefined, n: number, limit: number, seed: number): Uint32Array {
  if (limit >= n) return Uint32Array.from({ length: n }, (_, i) => i);
  const classes = [...groups(labels, n)].map(([label, members]) => {
    const exact = (members.length * limit) / n;
    return { label, members, count: Math.floor(exact), rest: exact - Math.floor(exact) };
  });
  let missing = limit - classes.reduce((sum, group) => sum + group.count, 0);
  for (const group of [...classes].sort((a, b) => b.rest - a.rest || a.label - b.label)) {
    if (missing-- <= 0) break;
    group.count++;
  }
  const chosen = new Uint8Array(n);
  for (const { label, members, count } of classes) {
    shuffle(members, seed, label);
    for (let i = 0; i < count; i++) chosen[members[i] as number] = 1;
  }
  return pick(chosen, 1);
}

/** Members of every class in ascending order of the class; one group 0 without labels. */
function groups(labels: Uint32Array | undefined, n: number): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (let i = 0; i < n; i++) {
    const label = labels ? (labels[i] as number) : 0;
    const members = found.get(label);
    if (members) members.push(i);
    else found.set(label, [i]);
  }
  return new Map([...found].sort((a, b) => a[0] - b[0]));
}

function shuffle(members: number[], seed: number, label: number): void {
  const rng = new Rng(seed, rngPurpose.split, 0, label);
  for (let i = members.length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    const kept = members[i] as number;
    members[i] = members[j] as number;
    members[j] = kept;
  }
}

function pick(flags: Uint8Array, wanted: number): Uint32Array {
  const indices: number[] = [];
  for (let i = 0; i < flags.length; i++) if (flags[i] === wanted) indices.push(i);
  return Uint32Array.from(indices);
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
