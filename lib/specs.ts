// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { TinypropError } from './errors';
import type { LossName, ModelJson, NodeJson } from './graph';

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
      return mobilenetV2(spec, width(spec, argument), context);
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

/** MobileNetV2's channel rule: the nearest multiple of 8, never more than 10 % below the wanted number. */
export function divisibleBy8(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
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
    conv(chain, `conv${i + 1}`, units, 3, stride);
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
    conv(chain, `conv${i + 1}`, units, 3, 2);
    chain.add(`relu${i + 1}`, 'relu');
  }
  chain.add('flatten', 'flatten');
  chain.add('fc', 'dense', { units: classesOf(context, 12) });
  return chain.model('softmaxCrossEntropy');
}

/** Inverted residual blocks of MobileNetV2 (Sandler 2018, table 2): expansion, channels, repeats, first stride. */
const mobilenetBlocks = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

function mobilenetV2(spec: string, alpha: number, context: ModelSpecContext): ModelJson {
  const chain = new Chain(rankedInput(spec, [32, 32, 3], 'height x width x channels', context));
  let channels = divisibleBy8(32 * alpha);
  conv(chain, 'stem', channels, 3, 2);
  chain.add('stem_act', 'relu6');
  let block = 0;
  for (const [expansion, base, repeats, firstStride] of mobilenetBlocks) {
    const units = divisibleBy8(base * alpha);
    for (let i = 0; i < repeats; i++) {
      invertedResidual(chain, `block${block++}`, channels, units, expansion, i === 0 ? firstStride : 1);
      channels = units;
    }
  }
  conv(chain, 'head', divisibleBy8(1280 * Math.max(1, alpha)), 1, 1);
  chain.add('head_act', 'relu6');
  chain.add('pool', 'globalAvgPool');
  chain.add('fc', 'dense', { units: classesOf(context, 10) });
  return chain.model('softmaxCrossEntropy');
}

function invertedResidual(chain: Chain, name: string, channels: number, units: number, expansion: number, stride: number): void {
  const shortcut = chain.last;
  if (expansion !== 1) {
    conv(chain, `${name}_expand`, channels * expansion, 1, 1);
    chain.add(`${name}_expand_act`, 'relu6');
  }
  chain.add(`${name}_depthwise`, 'depthwiseConv2d', { multiplier: 1, kernel: [3, 3], stride: [stride, stride], padding: [1, 1, 1, 1] });
  chain.add(`${name}_depthwise_act`, 'relu6');
  conv(chain, `${name}_project`, units, 1, 1);
  if (stride === 1 && channels === units) chain.add(`${name}_add`, 'add', {}, [chain.last, shortcut]);
}

// ---------------------------------------------------------------------------------------------- a JSON file

function jsonModel(path: string, context: ModelSpecContext): ModelJson {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `model file "${path}" cannot be read: ${(cause as Error).message}`, { path }, cause);
  }
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

/** Builds a chain of nodes; `add` also takes explicit inputs for the one branch a residual block has. */
class Chain {
  readonly nodes: NodeJson[] = [];
  last = 'input';

  constructor(readonly input: readonly number[]) {}

  add(name: string, op: string, attributes: Record<string, unknown> = {}, inputs: string[] = [this.last]): void {
    this.nodes.push({ name, op, inputs, ...attributes });
    this.last = name;
  }

  model(loss: LossName): ModelJson {
    return { format: 'tinyprop-model', version: 1, input: [...this.input], loss, nodes: this.nodes };
  }
}

function conv(chain: Chain, name: string, units: number, kernel: number, stride: number): void {
  const pad = (kernel - 1) / 2;
  chain.add(name, 'conv2d', { units, kernel: [kernel, kernel], stride: [stride, stride], padding: [pad, pad, pad, pad] });
}

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
    throw new TinypropError('ERR_TINYPROP_SPEC', `model "${spec}": expected mobilenetv2:WIDTH with 0 < WIDTH <= 4, for example mobilenetv2:0.35`, { spec });
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
