// SPDX-License-Identifier: Apache-2.0
import type { Output } from './output';

/** What every command gets beside its options. */
export interface Context {
  out: Output;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
  /** The arguments as typed, for the line that reproduces a report. */
  argv: readonly string[];
}

/** What a command returns: its exit code. */
export type CommandResult = Promise<number>;
