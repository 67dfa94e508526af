// SPDX-License-Identifier: Apache-2.0
import { sizeOf } from './data/dataset';
import { TinypropError } from './errors';
import type { ModelJson, NodeJson } from './graph';
import type { Quantization } from './layers';
import { Model } from './model';

/** Activations of a chunk of samples stay below that many numbers. */
const chunkNumbers = 1 << 22;

/** Scale and zero of every tensor of int8, by the name of its node. @internal */
export function quantizations(json: ModelJson): Map<string, Quantization> {
  const known = new Map<string, Quantization>();
  for (const node of json.nodes) {
    const { scale, zero } = node as Partial<Quantization>;
    const inherited = known.get(node.inputs[0] as string);
    if (scale !== undefined && zero !== undefined) known.set(node.name, { scale, zero });
    else if (inherited !== undefined && node.op !== 'dequantize') known.set(node.name, inherited);
  }
  return known;
}

/**
 * A model node by node, so that every activation can be looked at; the numbers are those of the whole model. Int8 activations are
 * shown as the reals they stand for, which quantise to the same bytes again.
 * @internal
 */
export class Activations {
  private readonly json: ModelJson;
  private readonly shapes: Map<string, number[]>;
  private readonly steps: { node: NodeJson; model: Model }[] = [];

  constructor(model: Model) {
    this.json = model.toJSON();
    this.shapes = new Map([['input', model.inputShape], ...model.plan({ training: false }).nodes.map((node) => [node.name, node.outputShape] as const)]);
    const quantized = quantizations(this.json);
    const tensors = model.tensors();
    for (const node of this.json.nodes) {
      const alone = Model.fromJSON(this.alone(node, quantized));
      this.steps.push({ node, model: alone });
      if (node.inputs.length === 2) for (const i of [0, 1]) alone.setTensor(`take${i}.weight`, Float32Array.of(1 - i, i));
      for (const { name } of tensors) {
        const dot = name.lastIndexOf('.');
        if (name.slice(0, dot) === node.name) alone.setTensor(`node${name.slice(dot)}`, model.getTensorData(name));
      }
    }
  }

  /** Samples that are looked at together. */
  get chunk(): number {
    const numbers = [...this.shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
    return Math.min(256, Math.max(1, Math.floor(chunkNumbers / numbers)));
  }

  /** The node as a model. Of two inputs: [2, n, 1], which convolutions with 1 and 0 take apart. */
  private alone(node: NodeJson, quantized: ReadonlyMap<string, Quantization>): ModelJson {
    const nodes: NodeJson[] = [];
    const pair = node.inputs.length === 2;
    const inputs = node.inputs.map((name, i) => {
      const as = quantized.get(name);
      if (pair) nodes.push({ name: `take${i}`, op: 'conv2d', inputs: ['input'], units: 1, kernel: [2, 1], stride: [1, 1], bias: false });
      const real = pair ? `take${i}` : 'input';
      if (as === undefined) return real;
      nodes.push({ name: `quantize${i}`, op: 'quantize', inputs: [real], ...as });
      return `quantize${i}`;
    });
    nodes.push({ ...node, name: 'node', inputs });
    if (quantized.has(node.name)) nodes.push({ name: 'real', op: 'dequantize', inputs: ['node'] });
    const shape = this.shapes.get(node.inputs[0] as string) as number[];
    return { ...this.json, input: pair ? [2, sizeOf(shape), 1] : shape, loss: 'mse', nodes };
  }

  /** Activations of `input` and of every node for samples that lie one after the other. */
  async run(x: Float32Array): Promise<Map<string, Float32Array>> {
    const all = new Map([['input', x]]);
    const n = x.length / sizeOf(this.shapes.get('input') as number[]);
    for (const { node, model } of this.steps) {
      const [a, b] = node.inputs.map((name) => all.get(name) as Float32Array) as [Float32Array, Float32Array | undefined];
      const { outputs } = await model.predict(b === undefined ? a : interleaved(a, b, n));
      all.set(node.name, outputs);
    }
    return all;
  }

  close(): void {
    for (const { model } of this.steps) model.close();
  }
}

/**
 * Calls `body` with the activations of one or more models for the same samples, chunk by chunk.
 * @internal
 */
export async function observe(
  models: readonly Model[],
  x: Float32Array,
  signal: AbortSignal | undefined,
  body: (...activations: Map<string, Float32Array>[]) => void,
): Promise<void> {
  const observed = models.map((model) => new Activations(model));
  try {
    const size = sizeOf((models[0] as Model).inputShape);
    const step = size * Math.min(...observed.map(({ chunk }) => chunk));
    for (let from = 0; from < x.length; from += step) {
      await new Promise<void>((resolve) => void setImmediate(resolve));
      if (signal?.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', 'quantizeModel: aborted', {}, signal.reason);
      const part = x.subarray(from, Math.min(from + step, x.length));
      const activations: Map<string, Float32Array>[] = [];
      for (const each of observed) activations.push(await each.run(part));
      body(...activations);
    }
  } finally {
    for (const each of observed) each.close();
  }
}

/** Sample by sample: of a, then of b. */
function interleaved(a: Float32Array, b: Float32Array, n: number): Float32Array {
  const size = a.length / n;
  const both = new Float32Array(2 * a.length);
  for (let i = 0; i < n; i++) {
    both.set(a.subarray(i * size, (i + 1) * size), 2 * i * size);
    both.set(b.subarray(i * size, (i + 1) * size), (2 * i + 1) * size);
  }
  return both;
}
