// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { Chain } from './chain';
import { TinypropError } from './errors';
import type { ModelJson } from './graph';
import { type Pretrained, readMobilenetV2 } from './import/mobilenet';
import { mobilenetV2 } from './mobilenet';

/** What the data say about a model whose spec leaves it open. */
export interface ModelSpecContext {
  /** Shape of one sample: [features], [time, channels] or [height, width, channels]. */
  inputShape?: readonly number[];
  /** Number of classes (softmax cross-entropy). */
  classes?: number;
  /** Labels that occur, where classes have no names: a model may have more outputs. */
  labels?: number;
  /** Numbers per target of data without labels: `mlp` then regresses (mean squared error). */
  targetSize?: number;
}

/** The forms {@link parseModelSpec} understands, for help texts and error messages. */
export const modelSpecs: readonly {
  /** Example of the spec. */
  spec: string;
  /** What it builds. */
  description: string;
}[] = [
  { spec: 'mlp:784-256-128-64-32-10', description: 'dense layers, ReLU between; one output: sigmoid and binary cross-entropy' },
  { spec: 'cnn-mnist', description: '3 convolutions 3x3 (8, 16, 32) and dense 64; image input, 28x28x1 unless the data say otherwise' },
  { spec: 'cnn1d-har', description: '3 convolutions over time (16, 32, 32) and dense 64; input 128x9 unless the data say otherwise' },
  { spec: 'cnn-kws', description: '4 convolutions 3x3 stride 2 (16, 32, 32, 32) and a dense layer; input 49x10x1 unless the data say otherwise' },
  { spec: 'mobilenetv2:0.35', description: 'MobileNetV2 of that width, batch norm folded; image input, 32x32x3 unless the data say otherwise' },
  { spec: 'mobilenetv2:0.35,FILE.safetensors', description: 'the same with trained weights, of MCUNet or torchvision; the classifier is new where the classes differ' },
  { spec: 'ae:640-128-8-128-640', description: 'auto-encoder of dense layers, mean squared error' },
  { spec: 'FILE.json', description: 'a model description, as Model.toJSON() writes it; or an int8 network of TinyEngine, with FILE.bin beside it (docs/import.md)' },
];

/**
 * Turns a model spec into a model description.
 *
 * @param spec one of {@link modelSpecs}
 * @param context input shape and classes of the data; without it the spec's own default is taken
 * @returns a description for `Model.fromJSON`
 * @throws TinypropError `ERR_TINYPROP_SPEC` (unknown spec, malformed number), `ERR_TINYPROP_SHAPE` (spec and data
 *   disagree), `ERR_TINYPROP_FILE` (JSON file missing or not a model description)
 */
export function parseModelSpec(spec: string, context: ModelSpecContext = {}): ModelJson {
  if (spec.toLowerCase().endsWith('.json')) return jsonModel(spec, context);
  const colon = spec.indexOf(':');
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const argument = colon < 0 ? undefined : spec.slice(colon + 1);
  switch (name) {
    case 'mlp':
      return mlp(spec, widths(spec, argument), context);
    case 'ae':
      return autoencoder(spec, widths(spec, argument), context);
    case 'mobilenetv2':
      return pretrainedSpec(spec, context)?.json ?? mobilenetV2(mobilenetOptions(spec, width(spec, argument), context));
    case 'cnn-mnist':
    case 'cnn-kws':
    case 'cnn1d-har':
      if (argument !== undefined) {
        throw new TinypropError('ERR_TINYPROP_SPEC', `model "${spec}": ${name} takes no argument`, { spec });
      }
      return { 'cnn-mnist': cnnMnist, 'cnn-kws': cnnKws, 'cnn1d-har': cnn1dHar }[name](spec, context);
    default:
      throw new TinypropError('ERR_TINYPROP_SPEC', `unknown model "${spec}"; valid: ${modelSpecs.map((m) => m.spec).join(', ')}`, {
        spec,
        valid: modelSpecs.map((m) => m.spec),
      });
  }
}

/**
 * The description and the weights of a spec that names a file with weights, `mobilenetv2:WIDTH,FILE`; undefined for other specs.
 *
 * @throws TinypropError `ERR_TINYPROP_SPEC`, `ERR_TINYPROP_FILE` (cannot be read), `ERR_TINYPROP_SHAPE`, and those of `readMobilenetV2`, naming the file
 * @internal
 */
export function pretrainedSpec(spec: string, context: ModelSpecContext): Pretrained | undefined {
  const [, argument, path] = /^mobilenetv2:([^,]*),(.*)$/s.exec(spec) ?? [];
  if (argument === undefined || path === undefined) return undefined;
  const { width: factor, input } = mobilenetOptions(spec, width(spec, argument), context);
  const bytes = readModelFile(path);
  const classes = context.classes ?? context.labels;
  try {
    return readMobilenetV2(bytes, { width: factor, input, ...(classes !== undefined && { classes }) });
  } catch (error) {
    if (!(error instanceof TinypropError)) throw error;
    throw new TinypropError(error.code, `${path}: ${error.message}`, { ...error.details, path }, error);
  }
}

// ------------------------------------------------------------------------------------------------ the specs

function mlp(spec: string, units: number[], context: ModelSpecContext): ModelJson {
  const outputs = units[units.length - 1] as number;
  const chain = new Chain(flatInput(spec, units[0] as number, context));
  denseStack(chain, units);
  if (context.classes === undefined && context.targetSize !== undefined) {
    checkOutputs(spec, outputs, context.targetSize, `${context.targetSize} numbers per target`);
    return chain.model('mse');
  }
  // One sigmoid output separates two classes.
  const binary = outputs === 1;
  if (!(binary && context.classes === 2)) checkOutputs(spec, outputs, context.classes, `${context.classes} classes`);
  if (context.labels !== undefined && context.labels > (binary ? 2 : outputs)) {
    checkOutputs(spec, outputs, context.labels, `labels up to ${context.labels - 1}`);
  }
  return chain.model(binary ? 'bce' : 'softmaxCrossEntropy');
}

function autoencoder(spec: string, units: number[], context: ModelSpecContext): ModelJson {
  const inputs = units[0] as number;
  const outputs = units[units.length - 1] as number;
  if (inputs !== outputs) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `model "${spec}": an auto-encoder must end with its input size ${inputs}, not ${outputs}`, {
      spec,
      expected: inputs,
      found: outputs,
    });
  }
  const chain = new Chain(flatInput(spec, inputs, context));
  denseStack(chain, units);
  return chain.model('mse');
}

function cnnMnist(spec: string, context: ModelSpecContext): ModelJson {
  const chain = new Chain(rankedInput(spec, [28, 28, 1], 'height x width x channels', context));
  for (const [i, [units, stride]] of ([[8, 1], [16, 2], [32, 2]] as const).entries()) {
    chain.conv(`conv${i + 1}`, units, 3, stride);
    chain.add(`relu${i + 1}`, 'relu');
  }
  return headWith64(chain, 4, classesOf(context, 10));
}

function cnn1dHar(spec: string, context: ModelSpecContext): ModelJson {
  const chain = new Chain(rankedInput(spec, [128, 9], 'time x channels', context));
  for (const [i, [units, kernel]] of ([[16, 5], [32, 5], [32, 3]] as const).entries()) {
    const pad = (kernel - 1) / 2;
    chain.add(`conv${i + 1}`, 'conv1d', { units, kernel, stride: 2, padding: [pad, pad] });
    chain.add(`relu${i + 1}`, 'relu');
  }
  return headWith64(chain, 4, classesOf(context, 6));
}

function cnnKws(spec: string, context: ModelSpecContext): ModelJson {
  const chain = new Chain(rankedInput(spec, [49, 10, 1], 'frames x coefficients x 1', context));
  for (const [i, units] of [16, 32, 32, 32].entries()) {
    chain.conv(`conv${i + 1}`, units, 3, 2);
    chain.add(`relu${i + 1}`, 'relu');
  }
  chain.add('flatten', 'flatten');
  chain.add('fc', 'dense', { units: classesOf(context, 12) });
  return chain.model('softmaxCrossEntropy');
}

function mobilenetOptions(spec: string, factor: number, context: ModelSpecContext): { width: number; input: readonly number[]; classes: number } {
  return { width: factor, input: rankedInput(spec, [32, 32, 3], 'height x width x channels', context), classes: classesOf(context, 10) };
}

// ---------------------------------------------------------------------------------------------- a JSON file

function readModelFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `model file "${path}" cannot be read: ${(cause as Error).message}`, { path }, cause);
  }
}

function jsonModel(path: string, context: ModelSpecContext): ModelJson {
  const text = readModelFile(path).toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `model file "${path}" is not JSON: ${(cause as Error).message}`, { path }, cause);
  }
  const model = json as Partial<ModelJson> | null;
  if (model === null || typeof model !== 'object' || model.format !== 'tinyprop-model' || !Array.isArray(model.input) || !Array.isArray(model.nodes)) {
    throw new TinypropError('ERR_TINYPROP_FILE', `"${path}" is no model description: expected {"format":"tinyprop-model","version":1,"input":[..],"loss":..,"nodes":[..]}`, {
      path,
    });
  }
  if (context.inputShape && elements(model.input) !== elements(context.inputShape)) throw sizeError(path, model.input, context.inputShape);
  return model as ModelJson;
}

// -------------------------------------------------------------------------------------------------- helpers

function denseStack(chain: Chain, units: number[]): void {
  if (chain.input.length > 1) chain.add('flatten', 'flatten');
  for (let i = 1; i < units.length; i++) {
    chain.add(`fc${i}`, 'dense', { units: units[i] });
    if (i < units.length - 1) chain.add(`relu${i}`, 'relu');
  }
}

function headWith64(chain: Chain, relu: number, classes: number): ModelJson {
  chain.add('flatten', 'flatten');
  chain.add('fc1', 'dense', { units: 64 });
  chain.add(`relu${relu}`, 'relu');
  chain.add('fc2', 'dense', { units: classes });
  return chain.model('softmaxCrossEntropy');
}

function widths(spec: string, argument: string | undefined): number[] {
  const parts = (argument ?? '').split('-');
  const units = parts.map((part) => (/^[1-9][0-9]{0,8}$/.test(part) ? Number(part) : NaN));
  if (units.length < 2 || units.some(Number.isNaN)) {
    const name = spec.split(':')[0];
    throw new TinypropError('ERR_TINYPROP_SPEC', `model "${spec}": expected ${name}:INPUT-HIDDEN-...-OUTPUT with positive integers, for example ${
      name === 'ae' ? 'ae:640-128-8-128-640' : 'mlp:64-32-10'
    }`, { spec });
  }
  return units;
}

function width(spec: string, argument: string | undefined): number {
  const value = argument === undefined || argument === '' ? NaN : Number(argument);
  if (!(value > 0 && value <= 4)) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `model "${spec}": expected mobilenetv2:WIDTH or mobilenetv2:WIDTH,FILE.safetensors with 0 < WIDTH <= 4, for example mobilenetv2:0.35`, { spec });
  }
  return value;
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function flatInput(spec: string, size: number, context: ModelSpecContext): readonly number[] {
  if (!context.inputShape) return [size];
  if (elements(context.inputShape) !== size) throw sizeError(spec, [size], context.inputShape);
  return context.inputShape;
}

function sizeError(spec: string, found: readonly number[], expected: readonly number[]): TinypropError {
  return new TinypropError('ERR_TINYPROP_SHAPE', `model "${spec}" takes ${elements(found)} inputs (${found.join('x')}), but a sample of the data has ${
    elements(expected)} (${expected.join('x')})`, { spec, expected: [...expected], found: [...found] });
}

function rankedInput(spec: string, fallback: readonly number[], meaning: string, context: ModelSpecContext): readonly number[] {
  const given = context.inputShape ?? fallback;
  // A grey image or a spectrogram may come without its channel.
  const shape = given.length === 2 && fallback.length === 3 ? [...given, 1] : given;
  if (shape.length !== fallback.length) {
    throw new TinypropError('ERR_TINYPROP_SHAPE', `model "${spec}" takes ${meaning}, but a sample of the data is ${shape.join('x')}`, { spec, found: [...shape] });
  }
  return shape;
}

function classesOf(context: ModelSpecContext, fallback: number): number {
  return context.classes ?? context.labels ?? fallback;
}

function checkOutputs(spec: string, outputs: number, expected: number | undefined, what: string): void {
  if (expected === undefined || expected === outputs) return;
  throw new TinypropError('ERR_TINYPROP_SHAPE', `model "${spec}" has ${outputs} ${outputs === 1 ? 'output' : 'outputs'}, but the data have ${what}`, {
    spec,
    expected,
    found: outputs,
  });
}
