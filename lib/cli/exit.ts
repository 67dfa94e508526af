// SPDX-License-Identifier: Apache-2.0
import { CommanderError } from 'commander';
import { type ErrorCode, TinypropError } from '../errors';

/** Exit codes of the command line: stable, documented in docs/cli.md. */
export const exitCodes = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  unsupported: 3,
  memory: 4,
  mismatch: 5,
  corrupt: 6,
  interrupted: 130,
} as const;

const byCode: Readonly<Record<ErrorCode, number>> = {
  ERR_TINYPROP_ARG: exitCodes.usage,
  ERR_TINYPROP_MODEL: exitCodes.unsupported,
  ERR_TINYPROP_SHAPE: exitCodes.usage,
  ERR_TINYPROP_RECIPE: exitCodes.usage,
  ERR_TINYPROP_ARENA: exitCodes.memory,
  ERR_TINYPROP_LABEL: exitCodes.corrupt,
  ERR_TINYPROP_DATA: exitCodes.corrupt,
  ERR_TINYPROP_LOSS: exitCodes.unexpected,
  ERR_TINYPROP_DELTA: exitCodes.unexpected,
  ERR_TINYPROP_BLOB: exitCodes.corrupt,
  ERR_TINYPROP_CRC: exitCodes.corrupt,
  ERR_TINYPROP_VERSION: exitCodes.unsupported,
  ERR_TINYPROP_MISMATCH: exitCodes.mismatch,
  ERR_TINYPROP_LIMIT: exitCodes.unsupported,
  ERR_TINYPROP_BUFFER: exitCodes.unexpected,
  ERR_TINYPROP_MODE: exitCodes.usage,
  ERR_TINYPROP_ABSENT: exitCodes.unsupported,
  ERR_TINYPROP_FLASH: exitCodes.unexpected,
  ERR_TINYPROP_EMPTY: exitCodes.corrupt,
  ERR_TINYPROP_BUSY: exitCodes.unexpected,
  ERR_TINYPROP_STOPPED: exitCodes.unexpected,
  ERR_TINYPROP_ABORTED: exitCodes.interrupted,
  ERR_TINYPROP_CLOSED: exitCodes.unexpected,
  ERR_TINYPROP_NATIVE: exitCodes.unexpected,
  ERR_TINYPROP_FILE: exitCodes.corrupt,
  ERR_TINYPROP_SPEC: exitCodes.usage,
  ERR_TINYPROP_NETWORK: exitCodes.unexpected,
  ERR_TINYPROP_PEER: exitCodes.unsupported,
  ERR_TINYPROP_STARVED: exitCodes.unexpected,
};

/** Exit code of an error. A file that is not there is a mistake of the caller, a damaged one is not. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (!(error instanceof TinypropError)) return exitCodes.unexpected;
  const system = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  if (error.code === 'ERR_TINYPROP_FILE' && system !== undefined && /^E[A-Z]+$/.test(system)) return exitCodes.usage;
  return byCode[error.code];
}

/** The stable code printed under `--json`. */
export function errorCodeOf(error: unknown): string {
  if (error instanceof TinypropError) return error.code;
  return error instanceof CommanderError ? 'ERR_TINYPROP_ARG' : 'ERR_TINYPROP_UNEXPECTED';
}
