// SPDX-License-Identifier: Apache-2.0
import { Activations } from '../activations';
import { guard, type NativeTrace } from '../addon';
import type { Dataset } from '../data/dataset';
import { ModelCore } from '../model-core';
import type { Model } from '../model';
import { full, masked, type PolicySpec } from '../policy';
import { nativeRecipe } from '../recipe';
import { cosine } from '../schedule';
import { targetsOf } from '../targets';
import { checkBudget, checkCount, drawSamples, MaskCosts, topRows, type LayerMask, type MaskBudget, type MaskContext, type Masks } from './mask';

/** Parameters of {@link tinyTrain}. */
export interface TinyTrainOptions extends MaskBudget {
  /** Training samples of the Fisher pass; default 64. */
  samples?: number;
}

/**
 * Errors of every weight layer for every sample, by the layer's name: a net that learns nothing, because its schedule has ended, is
 * traced. Its first step, which has a learning rate, is undone.
 */
function* errorsOf(model: Model, data: Dataset): Generator<Map<string, Float32Array>> {
  const recipe = nativeRecipe({ policy: full(), schedule: cosine({ total: 1, unit: 'batches' }) }, null);
  const net = ModelCore.open(model.core.native, recipe, 1);
  try {
    const y = targetsOf(data, model.core.targetSpec);
    const size = data.x.length / data.n;
    const width = y.length / data.n;
    const train = net.bindStep(new Uint8Array(net.plan().statsBytes));
    const seen = new Map<string, Float32Array>();
    const step = (i: number): void => {
      seen.clear();
      const target = y instanceof Uint32Array ? (y[i] as number) : y.subarray(i * width, (i + 1) * width);
      guard('tinyTrain', () => train(data.x.subarray(i * size, (i + 1) * size), target));
    };
    guard('tinyTrain', () => net.copyParamsFrom(model.core.net));
    step(0);
    guard('tinyTrain', () => net.copyParamsFrom(model.core.net));
    net.setTrace(({ node, delta }: NativeTrace) => void (delta && seen.set(node, delta)));
    for (let i = 0; i < data.n; i++) {
      step(i);
      yield seen;
    }
  } finally {
    net.close();
  }
}

/** Fisher information of every row: Delta_o = 1 / (2 N) sum over samples of (sum over positions of a g) ** 2. @internal */
export async function fisher(model: Model, data: Dataset): Promise<Map<string, Float64Array>> {
  const found = new Map(new MaskCosts(model).layers.map(({ name, rows }) => [name, new Float64Array(rows)]));
  const activations = new Activations(model);
  try {
    const size = data.x.length / data.n;
    let i = 0;
    for (const errors of errorsOf(model, data)) {
      const outputs = await activations.run(data.x.subarray(i * size, (i + 1) * size));
      for (const [name, delta] of errors) {
        const information = found.get(name) as Float64Array;
        const a = outputs.get(name) as Float32Array;
        const rows = information.length;
        for (let row = 0; row < rows; row++) {
          let sum = 0;
          for (let at = row; at < delta.length; at += rows) sum += (a[at] as number) * (delta[at] as number);
          information[row] = (information[row] as number) + (sum * sum) / (2 * data.n);
        }
      }
      i++;
    }
    return found;
  } finally {
    activations.close();
  }
}

/**
 * Layers by s = P / (their share of the largest parameters * their share of the largest forward work), each with as many of its rows of most
 * information as the budgets bear; the last layer always trains whole. @internal
 */
export function tinyTrainMasks(costs: MaskCosts, information: ReadonlyMap<string, Float64Array>, budget: MaskBudget): Masks {
  const { layers } = costs;
  const last = layers.at(-1);
  const most = (of: (layer: (typeof layers)[number]) => number): number => Math.max(...layers.map(of), 1);
  const parameters = most((l) => l.rows * l.rowLength);
  const work = most((l) => l.rows * l.macsRow);
  const score = (layer: (typeof layers)[number]): number => {
    const p = (information.get(layer.name) as Float64Array).reduce((sum, x) => sum + x, 0);
    return p / (((layer.rows * layer.rowLength) / parameters) * ((layer.rows * layer.macsRow) / work));
  };
  const masks: Record<string, LayerMask> = last ? { [last.name]: { rows: true } } : {};
  const candidates = layers.filter((layer) => layer !== last && layer.trainable).map((layer) => ({ layer, s: score(layer) }));
  candidates.sort((a, b) => b.s - a.s || b.layer.index - a.layer.index);
  for (const { layer } of candidates) {
    const scores = Array.from(information.get(layer.name) as Float64Array);
    for (let n = layer.rows; n > 0; n--) {
      const mask = { rows: topRows(scores, n) };
      if (!costs.within({ ...masks, [layer.name]: mask }, budget)) continue;
      masks[layer.name] = mask;
      break;
    }
  }
  return masks;
}

/**
 * TinyTrain (Kwon et al. 2024, arXiv 2307.09988): before training, one backward pass over some samples measures the Fisher information of
 * every layer and row; those of most information for their size and work train, while the budgets hold.
 *
 * @throws TinypropError `ERR_TINYPROP_RECIPE` for an option out of range
 */
export function tinyTrain(options: TinyTrainOptions = {}): PolicySpec {
  const { samples = 64, ...budget } = options;
  checkBudget('tinyTrain', budget);
  checkCount('tinyTrain', 'samples', samples);
  const choose = async ({ model, data, seed }: MaskContext): Promise<{ masks: Masks; macs: number }> => {
    const costs = new MaskCosts(model);
    const probe = drawSamples(data, seed, samples);
    const masks = tinyTrainMasks(costs, await fisher(model, probe), budget);
    return { masks, macs: probe.n * (costs.forward + costs.backward) };
  };
  return masked({ chooser: { method: 'tinyTrain', when: 'once', begin: () => choose } });
}
