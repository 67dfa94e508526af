// SPDX-License-Identifier: Apache-2.0
import { identityNormalization } from '../data/dataset';
import type { TensorData } from '../tensor';
import { readTflite } from './tflite';
import { isTflite } from './tflite-file';
import type { ImportedModel, ImportOptions } from './tflite-graph';

export type { ImportedModel, ImportOptions, TensorSource } from './tflite-graph';
export { readTflite } from './tflite';

/** Files of other frameworks, told by their content. A new one is a row here. */
const formats: readonly { is: (bytes: Uint8Array) => boolean; read: (bytes: Uint8Array, options: ImportOptions) => ImportedModel }[] = [
  { is: isTflite, read: readTflite },
];

/** Reads a model file of another framework; null: it is none of those. @internal */
export function importModel(bytes: Uint8Array, options: ImportOptions): ImportedModel | null {
  return formats.find((format) => format.is(bytes))?.read(bytes, options) ?? null;
}

/** What {@link fill} needs of a model. */
interface Fillable {
  meta: Record<string, unknown>;
  setTensor(name: string, values: TensorData): void;
  close(): void;
}

/** Gives a model of the imported description its weights; closes it if they do not fit. @internal */
export function fill<M extends Fillable>(model: M, { json, input, tensors }: ImportedModel): M {
  try {
    for (const [name, { data }] of tensors) model.setTensor(name, data);
    model.meta = { normalization: identityNormalization(json.input.at(-1) as number), ...(input && { input: 'int8' }) };
    return model;
  } catch (error) {
    model.close();
    throw error;
  }
}
