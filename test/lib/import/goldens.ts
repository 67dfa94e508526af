// SPDX-License-Identifier: Apache-2.0
// Reference values of interpreters (test/fixtures/tflite.py) and the inputs that they belong to.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sharedData } from '../data/helpers';

/** What an interpreter says of one model. */
export interface Golden {
  /** SHA-256 of the model file and of the inputs. */
  model: string;
  input: string;
  /** Index of the output tensor. */
  output: number;
  /** int8 models: SHA-256 of every computed int8 tensor over all samples, and over the first ones. */
  tensors?: Record<string, [all: string, first: string]>;
  /** float models: outputs of the first samples, float32 in base64. */
  f32?: string;
}

const fixtures = join(__dirname, '..', '..', 'fixtures');
const { samples, first, models } = JSON.parse(readFileSync(join(fixtures, 'tflite-goldens.json'), 'utf8')) as { samples: number; first: number; models: Record<string, Golden> };

export { first, samples };
/** Names of the models that have reference values. */
export const goldenModels = Object.keys(models);

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const bytesOf = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Path of a model: in the fixtures, else beside the repository; undefined, and says so, where it is not. */
export function modelPath(name: string): string | undefined {
  const own = join(fixtures, `${name}.tflite`);
  return existsSync(own) ? own : sharedData('models', `${name}.tflite`);
}

type Inputs = Int8Array | Float32Array;

export interface GoldenCase {
  golden: Golden;
  path: string;
  bytes: Uint8Array;
  inputs: Inputs;
}

/** A model with its reference values and inputs; undefined, and says so, where the model or its data are missing. */
export async function goldenCase(name: string): Promise<GoldenCase | undefined> {
  const golden = models[name] as Golden;
  const path = modelPath(name);
  const data = name.includes('/') ? sharedData('models') : fixtures;
  if (path === undefined || data === undefined) return undefined;
  const bytes = new Uint8Array(readFileSync(path));
  const { inputs } = await import('../../fixtures/tflite-inputs.mjs');
  let values: Inputs;
  try {
    values = await (inputs as Record<string, (data: string) => Inputs | Promise<Inputs>>)[name]!(join(data, '..'));
  } catch (error) {
    console.info(`skipped: ${name}: no inputs: ${(error as Error).message}`);
    return undefined;
  }
  // Other data or another image decoder: nothing to compare with.
  if (sha256(bytesOf(values)) !== golden.input || sha256(bytes) !== golden.model) {
    console.info(`skipped: ${name}: the model or its inputs are not those of the reference values`);
    return undefined;
  }
  return { golden, path, bytes, inputs: values };
}
