// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import type { Normalization } from './data/dataset';
import type { LossName } from './graph';
import { isMcunet } from './import/mcunet';
import type { Pretrained } from './import/mobilenet';
import { Model } from './model';
import { type ModelSpecContext, parseModelSpec, pretrainedSpec } from './specs';

/** Options of {@link loadModel}. */
export interface LoadModelOptions {
  /** Seed of weights that no file gives; default 1. */
  seed?: number;
  /** Loss instead of the spec's own or the file's. */
  loss?: LossName;
}

/** Is it a file of another framework, with graph and weights, rather than a spec? A .json may be either. @internal */
export function isImported(model: string): boolean {
  if (/\.json$/i.test(model)) return existsSync(model) && isMcunet(readFileSync(model));
  return /\.(tflite|safetensors)$/i.test(model) && !model.startsWith('mobilenetv2:');
}

/** Is it a file with graph and weights of any kind? @internal */
export function isModelFile(model: string): boolean {
  return isImported(model) || model.endsWith('.tpm');
}

/**
 * The model that a spec or a file names: `mlp:784-64-10`, `mobilenetv2:0.35,weights.safetensors`, `model.tpm`, `model.tflite` ...
 *
 * Pretrained weights: the classifier is the file's if `context` asks for as many classes as it has, or for none; else it is new, from the seed.
 * `meta.normalization` of such a model says how bytes of images must be prepared.
 *
 * @param spec a file with weights, or one of `modelSpecs`
 * @param context input shape and classes of the data, for specs that leave them open
 * @throws TinypropError those of `parseModelSpec` and {@link Model.load}; `ERR_TINYPROP_MISMATCH` if the weights are of another model
 */
export async function loadModel(spec: string, context: ModelSpecContext = {}, options: LoadModelOptions = {}): Promise<Model> {
  const { seed, loss } = options;
  const { inputShape } = context;
  if (isModelFile(spec)) return Model.load(spec, { ...(loss !== undefined && { loss }), ...(inputShape !== undefined && spec.endsWith('.json') && { inputShape }) });
  const pretrained = pretrainedSpec(spec, context);
  const json = pretrained?.json ?? parseModelSpec(spec, context);
  const named = loss === undefined ? json : { ...json, loss };
  if (pretrained) return pretrainedModel({ ...pretrained, json: named }, seed);
  const model = Model.fromJSON(named);
  if (seed !== undefined) model.configure({ seed });
  return model;
}

/** @internal */
export function pretrainedModel({ json, tensors, normalization }: Pretrained, seed?: number): Model {
  const model = Model.fromJSON(json);
  try {
    if (seed !== undefined) model.configure({ seed });
    for (const [name, values] of tensors) model.setTensor(name, values);
    model.meta = { normalization };
    return model;
  } catch (error) {
    model.close();
    throw error;
  }
}

/** How a spec with weights wants its inputs; undefined: it has none, so the data decide. @internal */
export function specNormalization(spec: string): Normalization | undefined {
  return pretrainedSpec(spec, {})?.normalization;
}
