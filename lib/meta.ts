// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from './errors';

/** Tag of the section of a model file that holds {@link Model.meta}. @internal */
export const metaTag = 'META';

/** Sorted keys at every depth, so that equal objects give equal bytes. */
function canonical(value: unknown, path: string): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item, i) => canonical(item, `${path}[${i}]`));
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item, `${path}.${key}`)]));
  }
  throw new TinypropError('ERR_TINYPROP_ARG', `${path}: not a JSON value`, { path });
}

/**
 * The bytes of a META section: UTF-8 JSON with sorted keys.
 *
 * @throws TinypropError `ERR_TINYPROP_ARG` naming the place of a value that JSON cannot hold
 * @internal
 */
export function encodeMeta(meta: Record<string, unknown>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(canonical(meta, 'meta')));
}

/** @throws TinypropError `ERR_TINYPROP_BLOB` if the bytes are not a JSON object. @internal */
export function decodeMeta(bytes: Uint8Array, tag = metaTag): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_BLOB', `model file: the section ${tag} is not JSON`, {}, cause);
  }
  throw new TinypropError('ERR_TINYPROP_BLOB', `model file: the section ${tag} is not a JSON object`);
}
