// SPDX-License-Identifier: Apache-2.0
import { identityNormalization } from '../data/dataset';
import type { TensorData, TensorInfo } from '../tensor';
import { TinypropError } from '../errors';
import { isSafetensors } from './safetensors';
import { readSafetensorsModel } from './safetensors-model';
import { readTflite } from './tflite';
import { isTflite } from './tflite-file';
import type { ImportedModel, ImportOptions } from './tflite-graph';

export type { ImportedModel, ImportOptions, TensorSource } from './tflite-graph';
export { readTflite } from './tflite';

/** Files of other frameworks, told by their content. A new one is a row here. */
const formats: readonly { is: (bytes: Uint8Array) => boolean; read: (bytes: Uint8Array, options: ImportOptions) => ImportedModel }[] = [
  { is: isTflite, read: readTflite },
  { is: isSafetensors, read: readSafetensorsModel },
];

/** Reads a model file of another framework; null: it is none of those. @internal */
export function importModel(bytes: Uint8Array, options: ImportOptions): ImportedModel | null {
  return formats.find((format) => format.is(bytes))?.read(bytes, options) ?? null;
}

/** What {@link fill} needs of a model. */
interface Fillable {
  meta: Record<string, unknown>;
  tensors(): TensorInfo[];
  setTensor(name: string, values: TensorData): void;
  close(): void;
}

/** Gives a model of the imported description its weights; closes it if they do not fit. @internal */
export function fill<M extends Fillable>(model: M, { json, input, tensors, meta }: ImportedModel): M {
  try {
    for (const [name, { data }] of tensors) model.setTensor(name, data);
    const missing = model.tensors().find(({ name }) => !tensors.has(name));
    if (missing !== undefined) throw new TinypropError('ERR_TINYPROP_BLOB', `the file lacks the tensor ${missing.name}`, { name: missing.name });
    model.meta = meta ?? { normalization: identityNormalization(json.input.at(-1) as number), ...(input && { input: 'int8' }) };
    return model;
  } catch (error) {
    model.close();
    throw error;
  }
}
