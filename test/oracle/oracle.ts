// SPDX-License-Identifier: Apache-2.0
// The oracle: one training step as docs/ALGORITHM.md section 4 prints it. It is given the core's float32 deltas, makes
// every decision of the controller from them itself, and demands the same bits; gradients and weights are computed
// in float64 and compared to a tolerance. A disagreement is thrown as an Error that says where.
import type { FixtureModel, Tensors } from '../fixtures/torch';
import { Controller, keptElements, type PolicyParams } from './controller';
import { f32 } from './f32';
import { choosesChannels, graphOf, type GraphNode, sizeOf } from './graph';
import { backward, forward, kinkMargin, lossOf, type Params, type Target, type Values } from './ops';

/** What the core did in one weight layer of one trained sample. */
export interface LayerTrace {
  node: string;
  /** 1 .. L from the input. */
  layer: number;
  n: number;
  k: number;
  l1: number;
  ymax: number;
  /** delta_z before the selection. */
  delta: Float32Array;
  /** The same with everything that is not propagated set to 0. */
  kept: Float32Array;
}

export interface Macs {
  forward: number;
  dw: number;
  dx: number;
}

/** What the core reports of one step. */
export interface StepTrace {
  /** Mean over the samples. */
  loss: number;
  /** sum |delta^L| of the last sample. */
  alpha: number;
  trained: number;
  /** Multiply-accumulates of the step as docs/ALGORITHM.md section 6 counts them. */
  macs?: Macs;
  /** The layers of each trained sample, from L down. */
  samples: LayerTrace[][];
}

export interface Sample {
  x: Float32Array;
  target: Target;
}

/** The implementation under test. */
export interface Core {
  epochBegin(): void;
  /** One optimizer step on at most `recipe.batch` samples. */
  step(samples: Sample[]): StepTrace;
  /** Copies of all parameters. */
  tensors(): Tensors;
}

export interface OracleRecipe extends PolicyParams {
  select: 'element' | 'channel' | 'auto';
  batch: number;
  lr: number;
  /** 0: plain SGD. */
  momentum: number;
  weightDecay: number;
}

/** Closer to a kink than this, float32 may rightly take the other side: values are then not compared. */
const KINK_MARGIN = 1e-5;

interface RowState {
  velocity: Values;
  last: number;
}

/** Gradient of a step, summed over its samples, and which rows (tensor, index) the step updates. */
interface Gradients {
  sum: Params;
  touched: Map<string, Set<number>>;
  /** Size of the errors behind the sums: the unit of their rounding errors. */
  scale: number;
  macs: Macs;
}

export const toF64 = (tensors: Tensors): Params =>
  Object.fromEntries(Object.entries(tensors).map(([name, values]) => [name, Float64Array.from(values)]));

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((m, v) => Math.max(m, Math.abs(v)), 0);

/** Values of one forward pass. */
export interface Pass {
  input: Values;
  /** Outputs of the nodes. */
  values: Values[];
}

export function inputsOf(g: GraphNode, pass: Pass): Values[] {
  return g.inputs.map((i) => (i < 0 ? pass.input : pass.values[i]!));
}

/** Forward pass of one sample. */
export function run(graph: GraphNode[], params: Params, x: Float32Array): Pass {
  const pass: Pass = { input: Float64Array.from(x), values: [] };
  for (const g of graph) pass.values.push(forward(g, params, inputsOf(g, pass)));
  return pass;
}

/** Multiply-accumulates of one output of a weight layer. */
function macsOf(g: GraphNode): number {
  return g.window ? (g.window.c / g.window.groups) * g.window.kh * g.window.kw : sizeOf(g.in);
}

function must(ok: boolean, message: () => string): void {
  if (!ok) throw new Error(`oracle: ${message()}`);
}

/** Follows a core step by step; holds the controller's and the optimizer's state. */
export class Oracle {
  /** Counters of what was seen, so that a test can show that it saw something. */
  readonly seen = { trained: 0, skipped: 0, sparse: 0, ties: 0, nearKink: 0, diverged: 0 };
  private readonly graph: GraphNode[];
  private readonly controller: Controller;
  private readonly rows = new Map<string, RowState>();
  private updates = 0;

  constructor(
    private readonly model: FixtureModel,
    private readonly recipe: OracleRecipe,
  ) {
    this.graph = graphOf(model);
    const last = this.graph[this.graph.length - 1]!;
    const layers = Math.max(...this.graph.map((g) => g.layer));
    must(last.layer === layers, () => 'the last node must be a weight layer');
    this.controller = new Controller(recipe, layers, model.loss, sizeOf(last.out));
  }

  epochBegin(): void {
    this.controller.epochBegin();
  }

  /** Checks one step of the core against its parameters before and after. */
  check(before: Tensors, samples: Sample[], trace: StepTrace, after: Tensors): void {
    const params = toF64(before);
    const sums: Gradients = { sum: {}, touched: new Map(), scale: 0, macs: { forward: 0, dw: 0, dx: 0 } };
    let loss = 0;
    let worst = 0;
    let group = 0;
    let sharp = true;
    for (const [index, sample] of samples.entries()) {
      const pass = run(this.graph, params, sample.x);
      const margin = this.margin(pass);
      const output = lossOf(this.model.loss, pass.values[this.graph.length - 1]!, sample.target);
      loss += output.loss;
      for (const g of this.graph) sums.macs.forward += g.layer > 0 ? macsOf(g) * sizeOf(g.out) : 0;
      const layers = trace.samples[group];
      // Logits as large as 2^6 have steps of 2^-17: no loss or probability made of them is better. In a net that
      // explodes (high learning rates are part of the search), differences of huge numbers are compared no more.
      const exploding = pass.values.some((v) => largest(v) > 1000);
      const unit = exploding ? Infinity : 2e-6 + 6e-7 * largest(pass.values[this.graph.length - 1]!);
      worst = Math.max(worst, unit);
      const alpha = samples.length === 1 ? trace.alpha : this.alphaOf(output.delta, layers);
      this.compare('alpha', [alpha], [output.delta.reduce((s, d) => s + Math.abs(d), 0)], 1e-5, 2 * unit);
      if (!this.controller.decide(alpha)) {
        this.seen.skipped++;
        continue;
      }
      this.seen.trained++;
      must(layers !== undefined, () => `sample ${index} must be trained (alpha ${alpha}) but was skipped`);
      const near = margin < KINK_MARGIN;
      if (near) this.seen.nearKink++;
      if (near || exploding) sharp = false;
      this.backward(params, pass, output.delta, layers!, near ? Infinity : unit, sums);
      group++;
    }
    must(group === trace.samples.length && group === trace.trained, () => `${trace.trained} samples trained, not ${group}`);
    this.compare('loss', [trace.loss], [loss / samples.length], 1e-5, worst);
    for (const part of ['forward', 'dw', 'dx'] as const) {
      const core = trace.macs?.[part] ?? sums.macs[part];
      must(core === sums.macs[part], () => `MACs of ${part} are ${core}, must be ${sums.macs[part]}`);
    }
    if (group > 0) this.updates++;
    this.update(params, sums, before, after, sharp);
  }

  /** The core calls the loss not finite: it must be beyond float32 (or next to it), and no bit may have changed. */
  checkRefusal(before: Tensors, samples: Sample[], after: Tensors): void {
    this.seen.diverged++;
    const params = toF64(before);
    const worst = samples.map(({ x, target }) => {
      const pass = run(this.graph, params, x);
      return lossOf(this.model.loss, pass.values[this.graph.length - 1]!, target).loss;
    });
    must(worst.some((loss) => !(loss < 1e36)), () => `a loss of at most ${Math.max(...worst)} was called not finite`);
    for (const [name, old] of Object.entries(before)) {
      must(after[name]!.every((v, i) => Object.is(v, old[i])), () => `${name} changed in a step that was refused`);
    }
  }

  private margin(pass: Pass): number {
    return Math.min(...this.graph.map((g) => kinkMargin(g, inputsOf(g, pass)[0]!)));
  }

  /** In a batch, a trained sample shows its delta^L; of a skipped one only the float64 value is known. */
  private alphaOf(delta: Values, layers: LayerTrace[] | undefined): number {
    const approximate = f32(delta.reduce((s, d) => s + Math.abs(d), 0));
    const top = layers?.[0];
    if (!top || top.delta.length !== delta.length) return approximate;
    return delta.every((d, i) => Math.abs(d - top.delta[i]!) <= 1e-5) ? top.l1 : approximate;
  }

  /** `unit`: rounding error of delta^L; Infinity: too close to a kink for a comparison of values. */
  private backward(params: Params, pass: Pass, top: Values, layers: LayerTrace[], unit: number, sums: Gradients): void {
    const errors: (Values | undefined)[] = [];
    errors[this.graph.length - 1] = top;
    let scale = 0;
    let at = 0;
    for (let i = this.graph.length - 1; i >= 0; i--) {
      const g = this.graph[i]!;
      const error = errors[i];
      if (!g.learns || !error) continue;
      let delta = error;
      let kept = error;
      if (g.layer > 0) {
        const traced = layers[at++];
        must(traced?.node === g.node.name && traced.layer === g.layer, () => `${g.node.name} was not visited in its turn`);
        // Below the top, the core's own delta of the layer above was the start: its errors do not add up.
        const slack = unit === Infinity || at === 1 ? unit : 2e-6 * scale;
        this.compare(`${g.node.name}: delta`, traced!.delta, error, 1e-5, slack);
        kept = this.select(g, traced!);
        // k counts after the clamp, zeros included; a channel is all of its positions.
        const macs = macsOf(g) * traced!.k * (sizeOf(g.out) / traced!.n);
        if (g.trainable) sums.macs.dw += macs;
        if (g.inputs[0]! >= 0 && this.graph[g.inputs[0]!]!.learns) sums.macs.dx += macs;
        delta = traced!.k === 0 ? kept : Float64Array.from(traced!.delta);
      }
      scale = Math.max(scale, largest(delta));
      const result = backward(g, params, inputsOf(g, pass), delta, kept);
      if (g.trainable) this.collect(g, result.gradients, delta, kept, sums);
      g.inputs.forEach((input, n) => {
        if (input < 0 || !this.graph[input]!.learns) return;
        const sum = errors[input];
        errors[input] = sum ? sum.map((v, j) => v + result.dx[n]![j]!) : Float64Array.from(result.dx[n]!);
      });
    }
    must(at === layers.length, () => `${layers.length} layers visited, not ${at}`);
    sums.scale = Math.max(sums.scale, scale);
  }

  /** Repeats the controller on the core's delta and demands the same outcome; returns what is propagated. */
  private select(g: GraphNode, t: LayerTrace): Values {
    const where = (what: string, core: number, own: number) => (): string =>
      `${g.node.name}: ${what} is ${core}, must be ${own}`;
    const channels = choosesChannels(g, this.recipe.select) ? g.window!.o : 0;
    const n = channels || sizeOf(g.out);
    must(t.delta.length === sizeOf(g.out), where('length of delta', t.delta.length, sizeOf(g.out)));
    must(t.n === n, where('N', t.n, n));
    const own = this.controller.budget(g.layer, n, t.delta);
    must(t.l1 === own.y, where('sum |delta|', t.l1, own.y));
    must(t.ymax === own.ymax, where('Ymax', t.ymax, own.ymax));
    must(t.k === own.k, where('k', t.k, own.k));
    const kept = keptElements(t.delta, own.k, channels);
    kept.forEach((keep, i) => {
      const expected = keep ? t.delta[i]! : 0;
      must(t.kept[i] === expected, where(`kept delta[${i}]`, t.kept[i]!, expected));
    });
    if (own.k < n) this.seen.sparse++;
    const smallest = Math.min(...t.delta.map((d, i) => (kept[i] ? Math.abs(d) : Infinity)));
    if (channels === 0 && t.delta.some((d, i) => !kept[i] && Math.abs(d) === smallest)) this.seen.ties++;
    return Float64Array.from(t.delta, (d, i) => (kept[i] ? d : 0));
  }

  /** Adds the gradients of a sample and marks the rows of it that will be updated. */
  private collect(g: GraphNode, gradients: Params, delta: Values, kept: Values, sums: Gradients): void {
    const mark = (tensor: string, row: number): void => {
      if (!sums.touched.has(tensor)) sums.touched.set(tensor, new Set());
      sums.touched.get(tensor)!.add(row);
    };
    for (const [name, gradient] of Object.entries(gradients)) {
      sums.sum[name] = sums.sum[name]?.map((v, i) => v + gradient[i]!) ?? gradient;
      if (name.endsWith('.weight')) {
        const rows = g.tensors[name]![0]!;
        kept.forEach((d, i) => d !== 0 && mark(name, i % rows));
      } else if (delta.some((d) => d !== 0)) {
        mark(name, 0);
      }
    }
  }

  /** The optimizer: expected parameters, row by row; rows that are not selected keep their bits. */
  private update(params: Params, sums: Gradients, before: Tensors, after: Tensors, sharp: boolean): void {
    const { lr, momentum, weightDecay, batch } = this.recipe;
    for (const [name, w] of Object.entries(params)) {
      const shape = this.graph.find((g) => name in g.tensors)!.tensors[name]!;
      const isWeight = name.endsWith('.weight');
      const rows = isWeight ? shape[0]! : 1;
      const length = w.length / rows;
      const sum = sums.sum[name];
      const worst = sum ? largest(sum) : 0;
      for (let r = 0; r < rows; r++) {
        const range = [r * length, (r + 1) * length] as const;
        const core = after[name]!.subarray(...range);
        if (!sums.touched.get(name)?.has(r)) {
          const old = before[name]!.subarray(...range);
          must(core.every((v, i) => Object.is(v, old[i])), () => `${name}: row ${r} was not selected, but changed`);
          continue;
        }
        const g = sum!.subarray(...range).map((v) => v / batch);
        const step = momentum > 0 ? this.velocity(`${name}#${r}`, g) : g;
        const decay = isWeight ? 1 - lr * weightDecay : 1;
        const expected = w.subarray(...range).map((v, i) => v * decay - lr * step[i]!);
        const unit = lr * (2e-5 * Math.max(worst / batch, largest(step)) + 2e-6 * sums.scale);
        if (sharp) this.compare(`${name}: row ${r}`, core, expected, 2.5e-7, unit);
      }
    }
  }

  /** v = mu^(t - t_r) v + g: a row's velocity decays for the steps that it was not selected. */
  private velocity(row: string, g: Values): Values {
    const state = this.rows.get(row) ?? { velocity: new Float64Array(g.length), last: 0 };
    const decay = this.recipe.momentum ** (this.updates - state.last);
    const velocity = g.map((v, i) => decay * state.velocity[i]! + v);
    this.rows.set(row, { velocity, last: this.updates });
    return velocity;
  }

  private compare(what: string, core: ArrayLike<number>, own: ArrayLike<number>, relative: number, absolute: number): void {
    const tolerance = relative * largest(own) + absolute + 1e-37; // denormals have absolute steps
    must(core.length === own.length, () => `${what}: ${core.length} values, must be ${own.length}`);
    for (let i = 0; i < own.length; i++) {
      must(Math.abs(core[i]! - own[i]!) <= tolerance, () => `${what}[${i}] is ${core[i]}, must be ${own[i]} +- ${tolerance}`);
    }
  }
}

/** undefined: the core refused the step because its loss is not finite. */
function stepOf(core: Core, samples: Sample[]): StepTrace | undefined {
  try {
    return core.step(samples);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_TINYPROP_LOSS') return undefined;
    throw error;
  }
}

/** Runs the core under the oracle's eyes, epoch by epoch and step by step; a run that diverges ends early. */
export function follow(core: Core, oracle: Oracle, epochs: Sample[][][]): void {
  for (const [e, steps] of epochs.entries()) {
    core.epochBegin();
    oracle.epochBegin();
    for (const [s, samples] of steps.entries()) {
      const before = core.tensors();
      try {
        const trace = stepOf(core, samples);
        if (!trace) return oracle.checkRefusal(before, samples, core.tensors());
        oracle.check(before, samples, trace, core.tensors());
      } catch (error) {
        throw new Error(`epoch ${e}, step ${s}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
}
