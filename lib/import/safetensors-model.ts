// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import { type ModelJson, planOf, toNative } from '../graph';
import { arrays, type TensorInfo } from '../tensor';
import { readSafetensors, type SafeTensor } from './safetensors';
import type { ImportedModel, ImportedTensor, ImportOptions } from './tflite-graph';

/** Key of the metadata that holds graph and meta of a model of this package. @internal */
export const modelKey = 'tinyprop';

/** Types of the format for those of parameter tensors. @internal */
export const safeTypes: Readonly<Record<TensorInfo['dtype'], string>> = { f32: 'F32', s8: 'I8', s32: 'I32' };

/**
 * Reads what `exportSafetensors` has written; the bytes are not trusted.
 *
 * @throws TinypropError `ERR_TINYPROP_MODEL` for a file of weights alone, and those of `readSafetensors` and `Model.fromJSON`
 * @internal
 */
export function readSafetensorsModel(bytes: Uint8Array, options: ImportOptions = {}): ImportedModel {
  const { tensors, metadata } = readSafetensors(bytes);
  const text = Object.hasOwn(metadata, modelKey) ? metadata[modelKey] : undefined;
  if (text === undefined) {
    throw new TinypropError('ERR_TINYPROP_MODEL', 'safetensors: the file holds weights alone; name the network that they are of, such as mobilenetv2:WIDTH,FILE.safetensors');
  }
  const { model, meta } = parsed(text);
  const json: ModelJson = options.loss === undefined ? model : { ...model, loss: options.loss };
  const { nodes, parameters } = planOf(toNative(json), null);
  if (nodes.reduce((sum, node) => sum + node.paramBytes, 0) > bytes.length) {
    throw new TinypropError('ERR_TINYPROP_BLOB', `safetensors: its graph has ${parameters} parameters, more than ${bytes.length} bytes can hold`, { parameters });
  }
  const read = [...tensors].map(([name, tensor]): [string, ImportedTensor] => [name, { data: numbersOf(name, tensor) }]);
  return { json, input: null, tensors: new Map(read), nodeOf: new Map(), meta };
}

function parsed(text: string): { model: ModelJson; meta: Record<string, unknown> } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_BLOB', `safetensors: its ${modelKey} metadata are not JSON`, {}, cause);
  }
  const { model, meta } = Object(value) as { model?: unknown; meta?: unknown };
  // toNative checks the description, whatever it is.
  return { model: model as ModelJson, meta: typeof meta === 'object' && meta !== null && !Array.isArray(meta) ? (meta as Record<string, unknown>) : {} };
}

/** A copy: tensors may stand at any byte. */
function numbersOf(name: string, { dtype, data }: SafeTensor): Float32Array | Int8Array | Int32Array {
  const type = (Object.keys(safeTypes) as TensorInfo['dtype'][]).find((key) => safeTypes[key] === dtype);
  if (type === undefined) throw new TinypropError('ERR_TINYPROP_MODEL', `safetensors: tensor "${name}": expected ${Object.values(safeTypes).join(', ')}, found ${dtype}`, { name });
  return new arrays[type](data.slice().buffer);
}
