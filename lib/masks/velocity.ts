// SPDX-License-Identifier: Apache-2.0
import { Activations } from '../activations';
import { addon } from '../addon';
import type { Dataset } from '../data/dataset';
import { TinypropError } from '../errors';
import type { Model } from '../model';
import { masked, type PolicySpec } from '../policy';
import { checkBudget, checkCount, type ChosenMasks, drawSamples, MaskCosts, type MaskBudget, type MaskContext, type MaskLayer, type Masks } from './mask';

/** Parameters of {@link velocity}. */
export interface VelocityOptions extends MaskBudget {
  /** Samples of the probe set; default 64. */
  samples?: number;
  /** Inertia of the velocity, 0 to below 1; default 0.5. */
  mu?: number;
}

/** Outputs of every weight layer for the probe set, by the layer's name. */
async function outputsOf(model: Model, probe: Dataset, names: readonly string[]): Promise<Map<string, Float32Array>> {
  const activations = new Activations(model);
  try {
    const all = await activations.run(probe.x);
    return new Map(names.map((name) => [name, all.get(name) as Float32Array]));
  } finally {
    activations.close();
  }
}

/** phi: 1 - cos of what a neuron gives for the whole probe set, and what it gave before. @internal */
export function turned(now: Float32Array, before: Float32Array, rows: number): number[] {
  return Array.from({ length: rows }, (_, row) => {
    let dot = 0;
    let a = 0;
    let b = 0;
    for (let at = row; at < now.length; at += rows) {
      const x = now[at] as number;
      const y = before[at] as number;
      dot += x * y;
      a += x * x;
      b += y * y;
    }
    return a > 0 && b > 0 ? 1 - dot / Math.sqrt(a * b) : a === b ? 0 : 1;
  });
}

/** What the choice of an epoch leaves for the next: by the layer's name, outputs of the probe set, phi and v. */
interface Memory {
  outputs: Map<string, Float32Array>;
  phi: Map<string, number[]>;
  v: Map<string, number[]>;
}

function zeros(layers: readonly MaskLayer[]): Map<string, number[]> {
  return new Map(layers.map(({ name, rows }) => [name, new Array<number>(rows).fill(0)]));
}

/** Layer by layer: phi and v as doubles, outputs as floats; little endian. */
function writeMemory({ outputs, phi, v }: Memory, layers: readonly MaskLayer[]): Uint8Array {
  const size = layers.reduce((sum, { name, rows }) => sum + 16 * rows + 4 * (outputs.get(name) as Float32Array).length, 0);
  const view = new DataView(new ArrayBuffer(size));
  let at = 0;
  for (const { name } of layers) {
    for (const values of [phi, v]) {
      for (const value of values.get(name) as number[]) view.setFloat64((at += 8) - 8, value, true);
    }
    for (const value of outputs.get(name) as Float32Array) view.setFloat32((at += 4) - 4, value, true);
  }
  return new Uint8Array(view.buffer);
}

/** @param like outputs of the same shapes */
function readMemory(bytes: Uint8Array, layers: readonly MaskLayer[], like: Map<string, Float32Array>): Memory {
  const memory: Memory = { outputs: new Map([...like].map(([name, { length }]) => [name, new Float32Array(length)])), phi: zeros(layers), v: zeros(layers) };
  const expected = writeMemory(memory, layers).length;
  if (bytes.length !== expected) {
    throw new TinypropError('ERR_TINYPROP_MISMATCH', `fit: resume: what velocity remembers has ${bytes.length} bytes, not ${expected}: another model, or other samples of the probe set`, { expected, found: bytes.length });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  for (const { name, rows } of layers) {
    for (const values of [memory.phi, memory.v]) values.set(name, Array.from({ length: rows }, () => view.getFloat64((at += 8) - 8, true)));
    const outputs = memory.outputs.get(name) as Float32Array;
    for (let i = 0; i < outputs.length; i++) outputs[i] = view.getFloat32((at += 4) - 4, true);
  }
  return memory;
}

/** Neurons in an order, as many as the budgets bear; one that does not fit is passed over. @internal */
export function fill(costs: MaskCosts, order: readonly { layer: string; row: number }[], budget: MaskBudget): Masks {
  const rows = new Map(costs.layers.map((layer) => [layer.name, new Uint8Array(layer.rows)]));
  const masks = Object.fromEntries([...rows].map(([name, mask]) => [name, { rows: mask }]));
  const refused = new Set<string>();
  for (const { layer, row } of order) {
    // What does not fit now never will: rows of a layer cost the same, and the rest only grows.
    if (refused.has(layer)) continue;
    const mask = rows.get(layer) as Uint8Array;
    mask[row] = 1;
    if (costs.within(masks, budget)) continue;
    mask[row] = 0;
    refused.add(layer);
  }
  return masks;
}

/**
 * Velocity (NEq, Bragagnolo et al. 2022, arXiv 2207.09455; with a budget, Quelennec et al. 2024, arXiv 2312.05282): before every epoch a
 * probe set tells how much every neuron's output turned, phi, and how that changes, v = (phi before - phi) - mu v. Neurons train in the order
 * of |v| / parameters, as many as the budgets bear; in the first epoch at random. The others pass errors on.
 *
 * @throws TinypropError `ERR_TINYPROP_RECIPE` for an option out of range
 */
export function velocity(options: VelocityOptions = {}): PolicySpec {
  const { samples = 64, mu = 0.5, ...budget } = options;
  checkBudget('velocity', budget);
  checkCount('velocity', 'samples', samples);
  const begin = (memory?: Uint8Array) => {
    let last: Memory | null = null;
    return async ({ model, data, seed }: MaskContext): Promise<ChosenMasks> => {
      const costs = new MaskCosts(model);
      const layers = costs.layers.filter(({ trainable }) => trainable);
      const probe = drawSamples(data, seed, samples);
      const outputs = await outputsOf(model, probe, layers.map(({ name }) => name));
      if (memory !== undefined) last = readMemory(memory, layers, outputs);
      memory = undefined;
      const neurons = layers.flatMap((layer) => Array.from({ length: layer.rows }, (_, row) => ({ layer: layer.name, row, parameters: layer.rowLength + (layer.bias ? 1 : 0) })));
      const macs = probe.n * costs.forward;
      if (last === null) {
        last = { outputs, phi: zeros(layers), v: zeros(layers) };
        const order = Array.from(addon().shuffle(seed, 0, neurons.length), (i) => neurons[i] as (typeof neurons)[number]);
        return { masks: fill(costs, order, budget), macs, memory: writeMemory(last, layers) };
      }
      const old = last;
      const phi = new Map(layers.map(({ name, rows }) => [name, turned(outputs.get(name) as Float32Array, old.outputs.get(name) as Float32Array, rows)]));
      const v = new Map([...phi].map(([name, turns]) => [name, turns.map((turn, row) => (old.phi.get(name)?.[row] as number) - turn - mu * (old.v.get(name)?.[row] as number))]));
      last = { outputs, phi, v };
      const rank = ({ layer, row, parameters }: (typeof neurons)[number]): number => Math.abs(v.get(layer)?.[row] as number) / parameters;
      const order = neurons.map((neuron, i) => ({ ...neuron, i, rank: rank(neuron) })).sort((a, b) => b.rank - a.rank || a.i - b.i);
      return { masks: fill(costs, order, budget), macs, memory: writeMemory(last, layers) };
    };
  };
  return masked({ chooser: { method: 'velocity', when: 'epoch', begin } });
}
