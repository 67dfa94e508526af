// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import { exporters } from './list';
import type { ModelForm } from './model';
import type { FirmwareTarget } from './project';
import { type FileTree, pathsOf, sha256 } from './sources';

/** Name of the record that an export holds. @internal */
export const recordName = 'tinyprop.json';
/** Name of the list of checksums, in the form of `sha256sum`. @internal */
export const sumsName = 'SHA256SUMS';

/** What an export says of itself. */
export interface FirmwareRecord {
  /** `tinyprop-firmware`. */
  readonly format: 'tinyprop-firmware';
  /** Of this record; 1. */
  readonly formatVersion: number;
  /** Of the package that made it. */
  readonly version: string;
  /** Id of the C sources: `tp_source_id()` on the device, `describe().sourceId` on the host. */
  readonly sourceId: string;
  /** The ecosystem. */
  readonly for: FirmwareTarget;
  /** The model. */
  readonly model: {
    /** As a C array or as a file. */
    readonly as: ModelForm;
    /** SHA-256 of the model file's bytes. */
    readonly sha256: string;
    /** Length of the model file. */
    readonly bytes: number;
    /** SHA-256 of the weights, as `Model.weightHash()` gives it. */
    readonly weights: string;
  };
  /** The recipe that the program trains with, in the core's fields. */
  readonly recipe: Readonly<Record<string, string | number | boolean>>;
  /** Memory of the program, in bytes. */
  readonly memory: {
    /** The arena for training. */
    readonly arena: number;
    /** The plan, in flash. */
    readonly plan: number;
    /** The record of a step. */
    readonly stats: number;
  };
  /** Files made for this model that must stay as they are; all others but the library are yours to change. */
  readonly guarded: readonly string[];
}

/** A path that stays in its folder. */
const inside = (path: unknown): boolean => typeof path === 'string' && !/(^|\/)\.\.?(\/|$)|^\/|\\|\0/.test(path);

/** @throws TinypropError `ERR_TINYPROP_FILE` if it is no record. @internal */
export function parseRecord(text: string, path: string): FirmwareRecord {
  const wrong = (why: string, cause?: unknown): TinypropError =>
    new TinypropError('ERR_TINYPROP_FILE', `${path}: ${why}: not an export of \`tinyprop firmware export\`, or damaged`, { path }, cause);
  let value: Partial<FirmwareRecord> | null;
  try {
    value = JSON.parse(text) as Partial<FirmwareRecord> | null;
  } catch (cause) {
    throw wrong('not JSON', cause);
  }
  if (value?.format !== 'tinyprop-firmware') throw wrong('expected "format": "tinyprop-firmware"');
  if (value.formatVersion !== 1) throw new TinypropError('ERR_TINYPROP_VERSION', `${path}: format version ${String(value.formatVersion)}, this version knows 1`, { path });
  const { model, guarded } = value;
  const strings = typeof value.version === 'string' && typeof value.sourceId === 'string' && typeof model?.sha256 === 'string';
  const known = typeof value.for === 'string' && Object.hasOwn(exporters, value.for);
  const lists = Array.isArray(guarded) && guarded.every(inside);
  if (!strings || !known || !lists || (model.as !== 'array' && model.as !== 'bin')) throw wrong('incomplete');
  return value as FirmwareRecord;
}

/** The checksums of a tree. @internal */
export function sumsOf(tree: FileTree): string {
  return pathsOf(tree).map((path) => `${sha256(tree[path] as string | Uint8Array)}  ${path}\n`).join('');
}

/** Path to digest; undefined: the text is no such list. @internal */
export function parseSums(text: string): Map<string, string> | undefined {
  const sums = new Map<string, string>();
  for (const line of text.split('\n').slice(0, -1)) {
    const [, digest, path] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (digest === undefined || path === undefined || !inside(path) || sums.has(path)) return undefined;
    sums.set(path, digest);
  }
  return text.endsWith('\n') ? sums : undefined;
}
