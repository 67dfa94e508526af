// SPDX-License-Identifier: Apache-2.0
import { type CompareFlags, compareCommand } from './compare';
import type { CommandResult, Context } from './context';
import { comparedMethods } from './recipe';

/** Flags of `demo`. */
export interface DemoFlags {
  seeds: number;
  epochs: number;
  report: string | false;
}

/** `demo`: all methods on the digits that come with the package. */
export function demoCommand(flags: DemoFlags, context: Context): CommandResult {
  const compare: CompareFlags = {
    data: 'digits',
    model: 'mlp:64-128-64-32-10',
    methods: [...comparedMethods],
    seeds: flags.seeds,
    epochs: flags.epochs,
    batch: 1,
    lr: 0.01,
    schedule: 'cosine',
    warmup: 0,
    momentum: 0,
    weightDecay: 0,
    jobs: 1,
    threads: 1,
    cache: 0,
    ...(flags.report !== false && { report: flags.report }),
  };
  return compareCommand(compare, context, 'tinyprop: five ways to train on handwritten digits');
}
