// SPDX-License-Identifier: Apache-2.0

/**
 * Stable error codes. The first block mirrors the C statuses (`TP_E_*` in `tinyprop.h`; a test compares the
 * two lists), the second belongs to the Node side alone.
 *
 * @enum
 */
export const errorCodes = {
  ERR_TINYPROP_ARG: 'an argument has the wrong type or value',
  ERR_TINYPROP_MODEL: 'the model graph is invalid',
  ERR_TINYPROP_SHAPE: 'shapes do not fit together',
  ERR_TINYPROP_RECIPE: 'the training recipe is invalid',
  ERR_TINYPROP_ARENA: 'the arena is too small or misaligned',
  ERR_TINYPROP_LABEL: 'a label is out of range',
  ERR_TINYPROP_DATA: 'the data hold NaN or infinity',
  ERR_TINYPROP_LOSS: 'the loss is not finite (training diverged); no weight has changed',
  ERR_TINYPROP_DELTA: 'the error of a layer is not finite; that layer and those below are unchanged',
  ERR_TINYPROP_BLOB: 'the model file is truncated or malformed',
  ERR_TINYPROP_CRC: 'the model file is damaged (checksum differs)',
  ERR_TINYPROP_VERSION: 'the model file was written by a newer version',
  ERR_TINYPROP_MISMATCH: 'the model file does not fit this model',
  ERR_TINYPROP_LIMIT: 'a size exceeds a limit',
  ERR_TINYPROP_BUFFER: 'the output buffer is too small',
  ERR_TINYPROP_MODE: 'the net was opened for inference only',
  ERR_TINYPROP_BUSY: 'another fit is running on this model',
  ERR_TINYPROP_STOPPED: 'a step was stopped in the middle (firmware)',
  ERR_TINYPROP_ABSENT: 'a layer, loss, policy or optimizer that this build leaves out',
  ERR_TINYPROP_FLASH: 'the flash failed',
  ERR_TINYPROP_EMPTY: 'nothing is stored',

  ERR_TINYPROP_ABORTED: 'the operation was aborted',
  ERR_TINYPROP_CLOSED: 'the model was closed',
  ERR_TINYPROP_NATIVE: 'the native addon could not be loaded',
  ERR_TINYPROP_FILE: 'a file is missing, truncated or of another format',
  ERR_TINYPROP_SPEC: 'a data, model or option specification is invalid',
  ERR_TINYPROP_NETWORK: 'a download failed',
  ERR_TINYPROP_PEER: 'an optional package is not installed',
  ERR_TINYPROP_STARVED: 'training has stopped learning (dead units or divergence)',
} as const;

/** One of the stable codes of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;

/** The one error class of this package; `code` is stable, `message` is for people. */
export class TinypropError extends Error {
  /** Stable code, see {@link errorCodes}. */
  readonly code: ErrorCode;
  /** Facts a program may want: the offending index, the expected shape, the path. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TinypropError';
    this.code = code;
    this.details = details;
  }
}
