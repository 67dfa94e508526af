// SPDX-License-Identifier: Apache-2.0
import type { Dataset } from './data/dataset';
import { TinypropError } from './errors';
import type { LossName } from './graph';

/** What a model wants to learn from a data set: labels or targets, one row a sample. @internal */
export type Targets = Uint32Array | Float32Array;

/** The facts of a model that its targets depend on. @internal */
export interface TargetSpec {
  inputs: number;
  outputs: number;
  inputShape: readonly number[];
  loss: LossName;
}

function shapeError(data: Dataset, message: string, expected: unknown, found: unknown): TinypropError {
  return new TinypropError('ERR_TINYPROP_SHAPE', `data "${data.name}": ${message}: expected ${String(expected)}, found ${String(found)}`, {
    expected,
    found,
  });
}

/** Samples of as many numbers, in the same order of extents unless one side is flat: 49x10 is 49x10x1, not 10x49. @internal */
export function fitsInput(found: readonly number[], expected: readonly number[]): boolean {
  const [a, b] = [found, expected].map((shape) => shape.filter((extent) => extent !== 1)) as [number[], number[]];
  const size = (shape: number[]): number => shape.reduce((product, extent) => product * extent, 1);
  return size(a) === size(b) && (a.length < 2 || b.length < 2 || a.join() === b.join());
}

function checkInputs(data: Dataset, spec: TargetSpec): void {
  if (!(data.x instanceof Float32Array)) throw new TinypropError('ERR_TINYPROP_ARG', `data "${data.name}": x: expected a Float32Array`);
  const size = data.inputShape.reduce((product, extent) => product * extent, 1);
  if (!fitsInput(data.inputShape, spec.inputShape)) throw shapeError(data, 'shape of a sample', spec.inputShape.join('x'), data.inputShape.join('x'));
  if (!Number.isInteger(data.n) || data.n < 1) throw shapeError(data, 'number of samples', 'at least 1', data.n);
  if (data.x.length !== data.n * size) throw shapeError(data, `length of x for ${data.n} samples`, data.n * size, data.x.length);
}

function checkLabels(data: Dataset, labels: Uint32Array, classes: number): void {
  if (!(labels instanceof Uint32Array)) throw new TinypropError('ERR_TINYPROP_ARG', `data "${data.name}": labels: expected a Uint32Array`);
  if (labels.length !== data.n) throw shapeError(data, 'number of labels', data.n, labels.length);
  for (let i = 0; i < labels.length; i++) {
    if ((labels[i] as number) >= classes) {
      throw new TinypropError(
        'ERR_TINYPROP_LABEL',
        `data "${data.name}": sample ${i} has the label ${labels[i]}, but the model has ${classes} classes (labels 0 to ${classes - 1})`,
        { sample: i, label: labels[i], classes },
      );
    }
  }
}

/** One output: the label itself; several: 1 at the label, 0 elsewhere. */
function labelTargets(labels: Uint32Array, outputs: number): Float32Array {
  if (outputs === 1) return Float32Array.from(labels);
  const targets = new Float32Array(labels.length * outputs);
  for (let i = 0; i < labels.length; i++) targets[i * outputs + (labels[i] as number)] = 1;
  return targets;
}

function checkTargets(data: Dataset, targets: Float32Array, spec: TargetSpec): Float32Array {
  if (!(targets instanceof Float32Array)) throw new TinypropError('ERR_TINYPROP_ARG', `data "${data.name}": targets: expected a Float32Array`);
  const size = data.targetSize ?? targets.length / data.n;
  if (size !== spec.outputs) throw shapeError(data, 'numbers per target', `${spec.outputs}, the outputs of the model`, size);
  if (targets.length !== data.n * size) throw shapeError(data, 'length of targets', data.n * size, targets.length);
  return targets;
}

/**
 * Checks a data set against a model and gives what the core trains on. Labels serve `bce` and `mse` too:
 * with one output as the target 0 or 1, with several one-hot; an `mse` model with as many outputs as inputs
 * and data without targets is an auto-encoder and learns its input.
 *
 * @throws TinypropError `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_LABEL` naming the sample, `ERR_TINYPROP_ARG`
 * @internal
 */
export function targetsOf(data: Dataset, spec: TargetSpec): Targets {
  checkInputs(data, spec);
  const { labels, targets } = data;
  if (spec.loss === 'softmaxCrossEntropy') {
    if (labels === undefined) throw shapeError(data, 'the loss softmaxCrossEntropy', 'class labels', 'none');
    checkLabels(data, labels, spec.outputs);
    return labels;
  }
  if (targets !== undefined) return checkTargets(data, targets, spec);
  if (spec.loss === 'mse' && spec.outputs === spec.inputs) return data.x;
  if (labels === undefined) throw shapeError(data, `the loss ${spec.loss}`, 'targets or labels', 'neither');
  checkLabels(data, labels, spec.outputs === 1 && spec.loss === 'bce' ? 2 : spec.outputs === 1 ? 0x100000000 : spec.outputs);
  return labelTargets(labels, spec.outputs);
}

/**
 * Loss of the best constant prediction: what a model that learns nothing reaches. Over at most 10,000 samples; fewer, but 1,000, of targets of more than 104 numbers.
 * @internal
 */
export function constantLoss(targets: Targets, spec: TargetSpec): { loss: number; majority: number } {
  const { outputs } = spec;
  if (targets instanceof Uint32Array) {
    const counts = new Float64Array(outputs);
    for (const label of targets) counts[label] = (counts[label] as number) + 1;
    let loss = 0;
    let majority = 0;
    for (const count of counts) {
      const share = count / targets.length;
      if (share > 0) loss += share * Math.log(1 / share);
      majority = Math.max(majority, share);
    }
    return { loss, majority };
  }
  const n = Math.min(Math.max(1000, Math.floor(2 ** 20 / outputs)), 10000, targets.length / outputs);
  const stride = Math.floor(targets.length / outputs / n);
  const sums = new Float64Array(outputs);
  const squares = new Float64Array(outputs);
  // Row by row, as they lie in memory
  for (let i = 0; i < n; i++) {
    const at = i * stride * outputs;
    for (let o = 0; o < outputs; o++) {
      const t = targets[at + o] as number;
      sums[o] = (sums[o] as number) + t;
      squares[o] = (squares[o] as number) + t * t;
    }
  }
  let loss = 0;
  for (let o = 0; o < outputs; o++) {
    const mean = (sums[o] as number) / n;
    if (spec.loss === 'mse') loss += Math.max(0, (squares[o] as number) / n - mean * mean) / outputs;
    else if (mean > 0 && mean < 1) loss -= mean * Math.log(mean) + (1 - mean) * Math.log(1 - mean);
  }
  return { loss, majority: 1 };
}
