// SPDX-License-Identifier: Apache-2.0
import { addon, constant, guard } from '../addon';
import type { Dataset } from '../data/dataset';
import { TinypropError } from '../errors';
import type { Model } from '../model';
import type { OptimizerSpec } from '../optimizer';
import { nativeRecipe } from '../recipe';

/** What trains of one weight layer. */
export interface LayerMask {
  /** Rows (outputs of dense layers, channels) whose weights train: one byte a row, not 0: it does; or all, or none. */
  readonly rows: Uint8Array | boolean;
  /** Biases that train: those of the rows that do (default), all, or none. */
  readonly bias?: 'rows' | 'all' | 'none';
}

/** By the names of weight layers; one that is missing does not train. All other rows pass errors on. */
export type Masks = Readonly<Record<string, LayerMask>>;

/** What a {@link MaskChooser} works with. */
export interface MaskContext {
  /** Epoch that is about to begin, from 0. */
  readonly epoch: number;
  /** A copy of the model as it is now; closed afterwards. */
  readonly model: Model;
  /** Training samples. */
  readonly data: Dataset;
  /** Seed of the recipe. */
  readonly seed: number;
  /** Batch size of the recipe. */
  readonly batch: number;
  /** Optimizer of the recipe. */
  readonly optimizer: OptimizerSpec;
}

/** What was chosen for an epoch. */
export interface ChosenMasks {
  /** What trains. */
  readonly masks: Masks;
  /** Multiply-accumulates that choosing took. */
  readonly macs: number;
  /** What the next choice depends on, for `begin` of a training that is resumed; it is saved with the model. */
  readonly memory?: Uint8Array;
}

/** Chooses masks before an epoch: what a method does offline, or once an epoch. */
export interface MaskChooser {
  /** Name of the method. */
  readonly method: string;
  /**
   * Starts anew, for another training, or goes on with the memory of the last choice. What is remembered from epoch to epoch is in the function returned,
   * which gives null to leave the masks as they are.
   */
  begin(memory?: Uint8Array): (context: MaskContext) => Promise<ChosenMasks | null>;
  /** Epochs at which it chooses: the first, or every one (then training can be resumed only if choices have a memory). */
  readonly when: 'once' | 'epoch';
}

/** How much may train. What is left out has no bound. */
export interface MaskBudget {
  /** Backward multiply-accumulates, as a share of those of dense training: E_bwd. */
  effort?: number;
  /** Bytes: inputs of layers whose weights train, kept for the backward pass, and gradients of what trains. */
  memory?: number;
}

/** A weight layer, as budgets see it. */
export interface MaskLayer {
  readonly name: string;
  /** Number of the weight layer, from the input. */
  readonly index: number;
  readonly rows: number;
  readonly rowLength: number;
  readonly bias: boolean;
  readonly trainable: boolean;
  /** Multiply-accumulates of dW of one row, and of dX of the layer. */
  readonly macsRow: number;
  readonly macsDx: number;
  /** Elements of its input. */
  readonly inputs: number;
}

/** The weight layers of a model and what masks cost. @internal */
export class MaskCosts {
  readonly layers: MaskLayer[];
  /** Multiply-accumulates of one sample. */
  readonly forward: number;
  readonly backward: number;
  private readonly upstream: Map<string, Set<string>>;

  constructor(model: Model) {
    const native = model.core.native;
    const plan = guard('masks', () => addon().planOf(native, nativeRecipe({}, null)));
    const json = model.toJSON();
    const notALayer = constant('node', 'notALayer');
    this.forward = plan.macsForward;
    this.backward = plan.macsBackward;
    this.layers = plan.nodes.flatMap((node, i) => {
      if (node.layer === notALayer) return [];
      const [h = 1, w = 1, c = 1] = node.in;
      return [
        {
          name: node.name,
          index: node.layer,
          rows: node.rows,
          rowLength: node.rowLength,
          bias: json.nodes[i]?.['bias'] !== false,
          trainable: node.trainable !== 0,
          macsRow: node.trainable === constant('trains', 'bias') ? 0 : (node.outputs / node.rows) * node.macsRow,
          macsDx: node.needsDx === 0 ? 0 : node.outputs * node.macsRow,
          inputs: h * w * c,
        },
      ];
    });
    this.upstream = new Map();
    for (const node of json.nodes) {
      const all = new Set(node.inputs.flatMap((name) => [name, ...(this.upstream.get(name) ?? [])]));
      this.upstream.set(node.name, all);
    }
  }

  /** Rows that train. */
  static count(mask: LayerMask | undefined, layer: MaskLayer): number {
    if (!mask || !layer.trainable) return 0;
    if (typeof mask.rows === 'boolean') return mask.rows ? layer.rows : 0;
    return mask.rows.reduce((sum, row) => sum + (row === 0 ? 0 : 1), 0);
  }

  /** Share of dense training's backward work: what the core counts. */
  effort(masks: Masks): number {
    const live = this.layers.filter((layer) => MaskCosts.count(masks[layer.name], layer) > 0 || (layer.trainable && layer.bias && masks[layer.name]?.bias === 'all'));
    const macs = this.layers.reduce((sum, layer) => {
      const above = live.some(({ name }) => name !== layer.name && this.upstream.get(layer.name)?.has(name));
      const reached = above || live.includes(layer) || live.some(({ name }) => this.upstream.get(layer.name)?.has(name));
      return sum + (reached ? MaskCosts.count(masks[layer.name], layer) * layer.macsRow : 0) + (above ? layer.macsDx : 0);
    }, 0);
    return this.backward === 0 ? 0 : macs / this.backward;
  }

  memory(masks: Masks): number {
    return this.layers.reduce((sum, layer) => {
      const mask = masks[layer.name];
      const rows = MaskCosts.count(mask, layer);
      const biases = !layer.bias || !mask || mask.bias === 'none' ? 0 : mask.bias === 'all' ? layer.rows : rows;
      return sum + 4 * ((rows > 0 ? layer.inputs : 0) + rows * layer.rowLength + biases);
    }, 0);
  }

  within(masks: Masks, { effort = Infinity, memory = Infinity }: MaskBudget): boolean {
    return this.effort(masks) <= effort && this.memory(masks) <= memory;
  }
}

/** The n rows of the largest score; of equal ones the first. @internal */
export function topRows(scores: readonly number[], n: number): Uint8Array {
  const rows = new Uint8Array(scores.length);
  const order = scores.map((score, row) => ({ score, row })).sort((a, b) => b.score - a.score || a.row - b.row);
  for (const { row } of order.slice(0, n)) rows[row] = 1;
  return rows;
}

/** @throws TinypropError `ERR_TINYPROP_RECIPE` @internal */
export function checkBudget(method: string, { effort, memory }: MaskBudget): void {
  const wrong = (field: string, value: unknown, expected: string): TinypropError =>
    new TinypropError('ERR_TINYPROP_RECIPE', `${method}: ${field}: expected ${expected}, found ${String(value)}`, { [field]: value });
  if (effort !== undefined && !(effort > 0 && effort <= 1)) throw wrong('effort', effort, 'a share above 0 to 1');
  if (memory !== undefined && !(memory > 0)) throw wrong('memory', memory, 'bytes above 0');
}

/** An integer option of a method. @internal */
export function checkCount(method: string, field: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new TinypropError('ERR_TINYPROP_RECIPE', `${method}: ${field}: expected an integer of at least 1, found ${String(value)}`, { [field]: value });
}

/** Some samples of a data set, by their numbers. @internal */
export function subset(data: Dataset, samples: ArrayLike<number>): Dataset {
  const size = data.x.length / data.n;
  const pick = (from: Float32Array, width: number): Float32Array => {
    const out = new Float32Array(samples.length * width);
    for (let i = 0; i < samples.length; i++) out.set(from.subarray((samples[i] as number) * width, ((samples[i] as number) + 1) * width), i * width);
    return out;
  };
  const { labels, targets, targetSize } = data;
  return {
    ...data,
    n: samples.length,
    x: pick(data.x, size),
    ...(labels && { labels: Uint32Array.from(samples, (i) => labels[i] as number) }),
    ...(targets && { targets: pick(targets, targetSize ?? targets.length / data.n) }),
  };
}

/** The first n samples of an order of the data set that depends on the seed alone. @internal */
export function drawSamples(data: Dataset, seed: number, n: number): Dataset {
  return subset(data, addon().shuffle(seed, 1e9, data.n).subarray(0, n));
}
