// SPDX-License-Identifier: Apache-2.0
// A plain implementation of a training step: every tensor float32, every sum in float64. The oracle is proven on it
// (and on damaged copies of it) without the C core; it is no model of the core's bits.
import type { FixtureModel, Tensors } from '../fixtures/torch';
import { Controller, keptElements } from './controller';
import { choosesChannels, graphOf, type GraphNode, sizeOf } from './graph';
import { backward, lossOf, type Params } from './ops';
import { type Core, inputsOf, type LayerTrace, type OracleRecipe, run, type Sample, type StepTrace, toF64 } from './oracle';

export class ReferenceCore implements Core {
  private readonly graph: GraphNode[];
  private readonly controller: Controller;
  private readonly velocity = new Map<string, { v: Float32Array; last: number }>();
  private updates = 0;

  constructor(
    model: FixtureModel,
    private readonly recipe: OracleRecipe,
    private readonly params: Tensors,
  ) {
    this.graph = graphOf(model);
    const last = this.graph[this.graph.length - 1]!;
    this.controller = new Controller(recipe, last.layer, model.loss, sizeOf(last.out));
    this.loss = model.loss;
  }

  private readonly loss: FixtureModel['loss'];

  epochBegin(): void {
    this.controller.epochBegin();
  }

  tensors(): Tensors {
    return Object.fromEntries(Object.entries(this.params).map(([name, values]) => [name, values.slice()]));
  }

  step(samples: Sample[]): StepTrace {
    const trace: StepTrace = { loss: 0, alpha: 0, trained: 0, samples: [] };
    const sums: Params = {};
    const rows = new Map<string, Set<number>>();
    for (const sample of samples) {
      const params = toF64(this.params);
      const pass = run(this.graph, params, sample.x);
      const { loss, delta } = lossOf(this.loss, pass.values[this.graph.length - 1]!, sample.target);
      trace.loss += loss / samples.length;
      const top = Float32Array.from(delta);
      trace.alpha = this.controller.l1(top);
      if (!this.controller.decide(trace.alpha)) continue;
      trace.trained++;
      trace.samples.push(this.learn(params, pass, top, sums, rows));
    }
    if (trace.trained > 0) this.update(sums, rows);
    trace.loss = Math.fround(trace.loss);
    return trace;
  }

  private learn(
    params: Params,
    pass: ReturnType<typeof run>,
    top: Float32Array,
    sums: Params,
    rows: Map<string, Set<number>>,
  ): LayerTrace[] {
    const layers: LayerTrace[] = [];
    const errors: (Float32Array | undefined)[] = [];
    errors[this.graph.length - 1] = top;
    for (let i = this.graph.length - 1; i >= 0; i--) {
      const g = this.graph[i]!;
      const delta = errors[i];
      if (!delta || !g.learns) continue;
      const kept = g.layer > 0 ? this.select(g, delta, layers) : delta;
      const result = backward(g, params, inputsOf(g, pass), Float64Array.from(delta), Float64Array.from(kept));
      for (const [name, gradient] of g.trainable ? Object.entries(result.gradients) : []) {
        sums[name] = sums[name]?.map((v, j) => v + gradient[j]!) ?? gradient;
        const marked = rows.get(name) ?? new Set<number>();
        rows.set(name, marked);
        if (name.endsWith('.bias')) delta.forEach((d) => d !== 0 && marked.add(0));
        else kept.forEach((d, j) => d !== 0 && marked.add(j % g.tensors[name]![0]!));
      }
      g.inputs.forEach((input, n) => {
        if (input < 0 || !this.graph[input]!.learns) return;
        errors[input] = Float32Array.from(result.dx[n]!, (v, j) => v + (errors[input]?.[j] ?? 0));
      });
    }
    return layers;
  }

  private select(g: GraphNode, delta: Float32Array, layers: LayerTrace[]): Float32Array {
    const channels = choosesChannels(g, this.recipe.select) ? g.window!.o : 0;
    const n = channels || delta.length;
    const { y, ymax, k } = this.controller.budget(g.layer, n, delta);
    const mask = keptElements(delta, k, channels);
    const kept = delta.map((d, i) => (mask[i] ? d : 0));
    layers.push({ node: g.node.name, layer: g.layer, n, k, l1: y, ymax, delta: delta.slice(), kept });
    return kept;
  }

  private update(sums: Params, rows: Map<string, Set<number>>): void {
    const { lr, momentum, weightDecay, batch } = this.recipe;
    this.updates++;
    for (const [name, sum] of Object.entries(sums)) {
      const w = this.params[name]!;
      const isWeight = name.endsWith('.weight');
      const length = isWeight ? w.length / this.graph.find((g) => name in g.tensors)!.tensors[name]![0]! : w.length;
      for (const row of rows.get(name)!) {
        const key = `${name} ${row}`;
        const state = this.velocity.get(key) ?? { v: new Float32Array(length), last: this.updates };
        const decay = momentum ** (this.updates - state.last);
        state.last = this.updates;
        this.velocity.set(key, state);
        for (let i = 0; i < length; i++) {
          state.v[i] = decay * state.v[i]! * (momentum > 0 ? 1 : 0) + sum[row * length + i]! / batch;
          w[row * length + i] = w[row * length + i]! * (isWeight ? 1 - lr * weightDecay : 1) - lr * state.v[i]!;
        }
      }
    }
  }
}
