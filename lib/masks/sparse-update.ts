// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { addon } from '../addon';
import type { Dataset } from '../data/dataset';
import { Model } from '../model';
import { masked, type PolicySpec } from '../policy';
import { constant } from '../schedule';
import { Trainer } from '../trainer';
import { checkBudget, checkCount, MaskCosts, subset, topRows, type LayerMask, type MaskBudget, type MaskContext, type MaskLayer, type Masks } from './mask';

/** Parameters of {@link sparseUpdate}. */
export interface SparseUpdateOptions extends MaskBudget {
  /** Training samples of one short run; default 1000. */
  samples?: number;
  /** Other training samples that measure its accuracy; default 500. */
  held?: number;
}

const ratios = [0, 1 / 8, 1 / 4, 1 / 2, 1] as const;
/** Layers whose schemes are all tried. */
const exhaustive = 5;
const population = 64;
const generations = 60;

/** A scheme: biases of the last `biases` layers, and a ratio (its number) for the weights of each layer but the last. @internal */
export interface Scheme {
  readonly biases: number;
  readonly ratios: readonly number[];
}

/** What the short runs measured: accuracy over that of training the last layer alone. @internal */
export interface Contributions {
  /** Of the biases of the last 1, 2, ... layers. */
  readonly bias: readonly number[];
  /** Of the weights of each layer but the last, by the number of the ratio. */
  readonly weight: readonly (readonly number[])[];
}

/** The last layer trains whole in every scheme; of the others the rows of the largest L2 norm. @internal */
export function schemeMasks(layers: readonly MaskLayer[], norms: readonly (readonly number[])[], scheme: Scheme): Masks {
  return Object.fromEntries(
    layers.map((layer, i): [string, LayerMask] => {
      if (i === layers.length - 1) return [layer.name, { rows: true, bias: 'all' }];
      const n = Math.round(layer.rows * (ratios[scheme.ratios[i] ?? 0] as number));
      return [layer.name, { rows: topRows(norms[i] as number[], n), bias: i >= layers.length - scheme.biases ? 'all' : 'none' }];
    }),
  );
}

const valueOf = (found: Contributions, { biases, ratios: of }: Scheme): number =>
  (found.bias[biases - 1] ?? 0) + of.reduce((sum, ratio, i) => sum + (found.weight[i]?.[ratio] ?? 0), 0);

/** Every scheme, or an evolutionary search from the seed. The best that the budgets bear; of equal ones the first found. @internal */
export function search(found: Contributions, fits: (scheme: Scheme) => boolean, seed: number): Scheme {
  const layers = found.weight.length;
  let best: Scheme = { biases: 1, ratios: new Array<number>(layers).fill(0) };
  let most = valueOf(found, best);
  const consider = (scheme: Scheme): void => {
    const value = valueOf(found, scheme);
    if (value > most && fits(scheme)) [best, most] = [scheme, value];
  };
  if (layers < exhaustive) {
    for (let code = 0; code < ratios.length ** layers; code++) {
      const digits = Array.from({ length: layers }, (_, i) => Math.floor(code / ratios.length ** i) % ratios.length);
      for (let biases = 1; biases <= layers + 1; biases++) consider({ biases, ratios: digits });
    }
    return best;
  }
  const random = generator(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const mutant = ({ biases, ratios: of }: Scheme): Scheme => ({
    biases: random() < 0.3 ? 1 + pick(layers + 1) : biases,
    ratios: of.map((ratio) => (random() < 1.5 / layers ? pick(ratios.length) : ratio)),
  });
  const child = (a: Scheme, b: Scheme): Scheme => mutant({ biases: random() < 0.5 ? a.biases : b.biases, ratios: a.ratios.map((ratio, i) => (random() < 0.5 ? ratio : (b.ratios[i] as number))) });
  let parents = [best];
  for (let generation = 0; generation < generations; generation++) {
    const born = Array.from({ length: population }, () => child(parents[pick(parents.length)] as Scheme, parents[pick(parents.length)] as Scheme)).filter(fits);
    born.forEach(consider);
    parents = [...parents, ...born].sort((a, b) => valueOf(found, b) - valueOf(found, a)).slice(0, population / 4);
  }
  return best;
}

/** Numbers in [0, 1) from the core's generator. */
function generator(seed: number): () => number {
  const size = 4096;
  let block: Uint32Array = new Uint32Array(0);
  let next = 0;
  let epoch = 0;
  return () => {
    if (next === block.length) [block, next] = [addon().shuffle(seed, 1e9 + epoch++, size), 0];
    return (block[next++] as number) / size;
  };
}

function normsOf(model: Model, layers: readonly MaskLayer[]): number[][] {
  return layers.map(({ name, rows, rowLength }) => {
    const w = model.getTensor(`${name}.weight`);
    return Array.from({ length: rows }, (_, row) => Math.sqrt(w.subarray(row * rowLength, (row + 1) * rowLength).reduce((sum, x) => sum + x * x, 0)));
  });
}

/** Contributions, one short run each, from the present weights. */
async function contributions(context: MaskContext, layers: readonly MaskLayer[], norms: number[][], train: Dataset, held: Dataset): Promise<{ found: Contributions; macs: number }> {
  const { model, seed, batch, optimizer } = context;
  const bytes = model.toBytes();
  let macs = 0;
  const run = async (scheme: Scheme): Promise<number> => {
    const short = Model.fromBytes(bytes);
    try {
      const policy = masked({ masks: schemeMasks(layers, norms, scheme) });
      const fit = new Trainer(short, { policy, optimizer, batch, seed, schedule: constant() }).fit({ train }, { epochs: 1, evaluateEvery: 'never' });
      for await (const event of fit) void event; // nobody else wants its warnings
      const { totals } = await fit;
      macs += totals.macsForward + totals.macsDw + totals.macsDx + held.n * short.core.plan.macsForward;
      const { accuracy, loss } = await short.evaluate(held);
      return short.loss === 'mse' ? -loss : accuracy;
    } finally {
      short.close();
    }
  };
  const inner = layers.length - 1;
  const none = new Array<number>(inner).fill(0);
  const alone = await run({ biases: 1, ratios: none });
  const bias = [0];
  for (let biases = 2; biases <= layers.length; biases++) bias.push((await run({ biases, ratios: none })) - alone);
  const weight: number[][] = [];
  for (let i = 0; i < inner; i++) {
    const gains = [0];
    for (let ratio = 1; ratio < ratios.length; ratio++) gains.push((await run({ biases: 1, ratios: none.map((r, j) => (j === i ? ratio : r)) })) - alone);
    weight.push(gains);
  }
  return { found: { bias, weight }, macs };
}

/** Of the numbers themselves: whoever owns them may have changed them. */
function hashOf(data: Dataset): string {
  const hash = createHash('sha256');
  for (const values of Object.values(data) as unknown[]) if (ArrayBuffer.isView(values)) hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return hash.digest('hex');
}

type Measured = ReturnType<typeof contributions>;
const measured = new WeakMap<Dataset, Map<string, Measured>>();

/** What was measured with the same samples before: trainings with other budgets begin with the same short runs, which take longer than they do. */
function once(data: Dataset, key: string, measure: () => Measured): Measured {
  const known = measured.get(data) ?? new Map<string, Measured>();
  measured.set(data, known);
  const found = known.get(key) ?? measure();
  known.set(key, found);
  found.catch(() => known.delete(key));
  return found;
}

/**
 * Sparse Update (Lin et al. 2022, arXiv 2206.15472): before training, short runs measure what the biases of the last n layers and the weights of
 * each layer at some ratios add to the accuracy of training the last layer alone; the scheme of the largest sum that the budgets bear trains,
 * the channels of the largest L2 norm. All schemes are tried for up to 5 layers, beyond by evolutionary search.
 *
 * @throws TinypropError `ERR_TINYPROP_RECIPE` for an option out of range
 */
export function sparseUpdate(options: SparseUpdateOptions = {}): PolicySpec {
  const { samples = 1000, held = 500, ...budget } = options;
  checkBudget('sparseUpdate', budget);
  checkCount('sparseUpdate', 'samples', samples);
  checkCount('sparseUpdate', 'held', held);
  const choose = async (context: MaskContext): Promise<{ masks: Masks; macs: number }> => {
    const { model, data, seed } = context;
    const costs = new MaskCosts(model);
    const order = addon().shuffle(seed, 1e9, data.n);
    const apart = Math.min(held, Math.floor(data.n / 3));
    const norms = normsOf(model, costs.layers);
    const [train, rest] = [subset(data, order.subarray(apart, apart + samples)), subset(data, order.subarray(0, apart))];
    const key = [model.weightHash(), model.toJSON(), seed, context.batch, context.optimizer, hashOf(train), hashOf(rest)];
    const { found, macs } = await once(data, JSON.stringify(key), () => contributions(context, costs.layers, norms, train, rest));
    const scheme = search(found, (candidate) => costs.within(schemeMasks(costs.layers, norms, candidate), budget), seed);
    return { masks: schemeMasks(costs.layers, norms, scheme), macs };
  };
  return masked({ chooser: { method: 'sparseUpdate', when: 'once', begin: () => choose } });
}
