// SPDX-License-Identifier: Apache-2.0
import { addon, guard, type NativeModel, type NativeSection } from './addon';
import { TinypropError } from './errors';
import { planOf } from './graph';
import { decodeMeta, encodeMeta, metaTag } from './meta';
import { blobFlags, ModelCore } from './model-core';

/** Section that says which fit the training state belongs to. */
const fitTag = 'FITS';

/** A small file may describe a huge graph: no memory is taken for more parameters than it holds. */
function checkSize(model: NativeModel, length: number): void {
  const { parameters, nodes } = planOf(model, null);
  if (nodes.reduce((sum, node) => sum + node.paramBytes, 0) <= length) return;
  throw new TinypropError('ERR_TINYPROP_BLOB', `model file: its graph has ${parameters} parameters, more than ${length} bytes can hold`, { parameters });
}

/** The core refuses its own tags as extra sections; what it takes is somebody else's and is kept. */
function isCoreSection(core: ModelCore, tag: string): boolean {
  try {
    core.net.save(blobFlags(false), [{ tag, data: new Uint8Array(0) }]);
    return false;
  } catch {
    return true;
  }
}

/**
 * Model and meta of a `.tpm` file, whose bytes are not trusted. The caller closes the core.
 *
 * @throws TinypropError `ERR_TINYPROP_BLOB`, `ERR_TINYPROP_CRC`, `ERR_TINYPROP_VERSION`, `ERR_TINYPROP_MODEL`
 * @internal
 */
export function decodeModel(bytes: Uint8Array): { core: ModelCore; meta: Record<string, unknown> } {
  const { model, recipe, hasState, sections } = guard('model file', () => addon().readBlob(bytes));
  checkSize(model, bytes.length);
  const core = new ModelCore(model, hasState ? recipe : null, false);
  const json = (tag: string): Record<string, unknown> => {
    const section = sections.find((candidate) => candidate.tag === tag);
    return section === undefined ? {} : decodeMeta(section.data, tag);
  };
  try {
    guard('model file', () => core.net.load(bytes, blobFlags(hasState)));
    const meta = json(metaTag);
    const samples = hasState ? json(fitTag)['samples'] : null;
    core.fitSamples = typeof samples === 'number' ? samples : null;
    core.sections = sections.filter(({ tag }) => tag !== metaTag && tag !== fitTag && !isCoreSection(core, tag));
    return { core, meta };
  } catch (error) {
    core.close();
    throw error;
  }
}

/**
 * The bytes of a `.tpm` file.
 *
 * @param state also recipe and training state
 * @throws TinypropError `ERR_TINYPROP_MODE`, `ERR_TINYPROP_ARG` (meta), `ERR_TINYPROP_CLOSED`
 * @internal
 */
export function encodeModel(core: ModelCore, meta: Record<string, unknown>, state: boolean): Uint8Array {
  core.use();
  const own: NativeSection[] = [];
  if (state && core.fitSamples !== null) own.push({ tag: fitTag, data: encodeMeta({ samples: core.fitSamples }) });
  if (Object.keys(meta).length > 0) own.push({ tag: metaTag, data: encodeMeta(meta) });
  if (state && core.recipe === null) throw new TinypropError('ERR_TINYPROP_MODE', 'save: the model has no training state: configure or train it first');
  return guard('save', () => core.net.save(blobFlags(state), [...own, ...core.sections]));
}
