// SPDX-License-Identifier: Apache-2.0
// The C core behind the oracle's interface, through the addon alone: this translation of a model shares no code with
// lib/model.ts. A step of one sample and its trace are read as the core wrote them.
import { addon, facts, type NativeModel, type NativeNet, type NativeNode, type NativeRecipe, type NativeTrace } from '../../lib/addon';
import { Totals } from '../../lib/results';
import type { FixtureModel, Tensors } from '../fixtures/torch';
import { graphOf, type GraphNode } from './graph';
import type { Core, LayerTrace, OracleRecipe, Sample, StepTrace } from './oracle';

/** `depthwiseConv2d` -> `depthwise_conv2d`, `maxPool2d` -> `max_pool2d` */
const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

function idOf(list: 'layer' | 'loss' | 'policy' | 'optimizer', name: string): number {
  const row = facts().lists[list].find((r) => r.name === snake(name));
  if (!row) throw new Error(`the core has no ${list} ${snake(name)}`);
  return row.id;
}

function constants(group: string): Record<string, number> {
  return facts().constants[group]!;
}

function nodeOf({ node, inputs, in: shape }: GraphNode): NativeNode {
  const pair = (v: number | number[] | undefined, other: number[]): number[] =>
    v === undefined ? other : typeof v === 'number' ? [1, v] : v;
  const window = node.kernel !== undefined;
  const kernel = pair(node.kernel, [0, 0]);
  const explicit = Array.isArray(node.padding) ? node.padding : undefined;
  const padding = constants('padding')[typeof node.padding === 'string' ? node.padding : explicit ? 'explicit' : 'valid']!;
  const channels = shape[shape.length - 1]!;
  return {
    name: node.name,
    op: idOf('layer', node.op),
    in: [inputs[0]!, inputs[1] ?? constants('node').none!].map((i) => (i === -1 ? constants('node').input! : i)),
    flags: (node.bias === false ? constants('flag').noBias! : 0) | (node.frozen ? constants('flag').frozen! : 0),
    units: node.op === 'depthwiseConv2d' ? channels * (node.multiplier ?? 1) : (node.units ?? 0),
    kernel,
    stride: window ? pair(node.stride, node.op.endsWith('Pool2d') ? kernel : [1, 1]) : [0, 0],
    padding: window ? padding : 0,
    pad: explicit ? (explicit.length === 2 ? [0, 0, ...explicit] : explicit) : [0, 0, 0, 0],
    groups: node.groups ?? 0,
    init: 0,
    param: node.slope ?? node.rate ?? node.epsilon ?? 0,
    scale: 0,
    zero: 0,
  };
}

/** A model description as the addon takes it. */
export function nativeModel(model: FixtureModel): NativeModel {
  const input = [...Array<number>(3 - model.input.length).fill(1), ...model.input, model.input.length];
  return { nodes: graphOf(model).map(nodeOf), input, loss: idOf('loss', model.loss) };
}

/** A recipe as the addon takes it: constant learning rate. */
export function nativeRecipe(recipe: OracleRecipe): NativeRecipe {
  const { policy, ymaxMode, alphaMode, select, outputDense, momentum, ...numbers } = recipe;
  return {
    ...addon().recipeDefault(),
    ...numbers,
    momentum,
    policy: idOf('policy', policy),
    optimizer: idOf('optimizer', momentum > 0 ? 'momentum' : 'sgd'),
    ymaxMode: constants('max')[ymaxMode]!,
    alphaMode: constants('max')[alphaMode]!,
    select: constants('select')[select]!,
    outputDense: outputDense ? 1 : 0,
  };
}

/** Writes the parameters of those names; all of them must exist and fit. */
export function writeTensors(net: NativeNet, tensors: Tensors): void {
  const rows = net.tensors();
  for (const [name, values] of Object.entries(tensors)) {
    const index = rows.findIndex((row) => row.name === name);
    if (index < 0) throw new Error(`the net has no tensor ${name}, but ${rows.map((row) => row.name)}`);
    net.writeTensor(index, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
}

export function readTensors(net: NativeNet): Tensors {
  return Object.fromEntries(net.tensors().map((row, i) => [row.name, new Float32Array(net.readTensor(i))]));
}

export class NativeCore implements Core {
  readonly net: NativeNet;
  private readonly outputs: number;
  private readonly inputs: number;
  private readonly stats: Uint8Array;
  private events: { sample: number; trace: LayerTrace }[] = [];

  constructor(model: FixtureModel, recipe: OracleRecipe, tensors: Tensors, kernels?: string) {
    this.net = new (addon().Net)(nativeModel(model), nativeRecipe(recipe), ...(kernels === undefined ? [] : [{ kernels }]));
    this.net.init();
    writeTensors(this.net, tensors);
    const plan = this.net.plan();
    this.inputs = plan.inputs;
    this.outputs = plan.outputs;
    this.stats = new Uint8Array(plan.statsBytes);
    this.net.setTrace((event) => this.onTrace(event));
  }

  private onTrace(event: NativeTrace): void {
    if (event.delta) {
      const { node: name, sample, n, k, l1, ymax, delta } = event;
      this.events.push({ sample, trace: { node: name, layer: event.layer + 1, n, k, l1, ymax, delta, kept: new Float32Array() } });
    } else {
      this.events[this.events.length - 1]!.trace.kept = event.kept!;
    }
  }

  epochBegin(): void {
    this.net.epochBegin();
  }

  tensors(): Tensors {
    return readTensors(this.net);
  }

  step(samples: Sample[]): StepTrace {
    this.events = [];
    const summary = this.net.recipe()!.batch === 1 ? this.single(samples[0]!) : this.batch(samples);
    return { ...summary, samples: this.bySample() };
  }

  private single({ x, target }: Sample): Omit<StepTrace, 'samples'> {
    this.net.bindStep(this.stats)(x, target);
    const at = constants('stats') as Record<'loss' | 'trained' | 'macsForward' | 'macsDw' | 'macsDx', number>;
    const view = new DataView(this.stats.buffer);
    const u64 = (offset: number): number => Number(view.getBigUint64(offset, true));
    return {
      loss: view.getFloat32(at.loss, true),
      alpha: view.getFloat32(at.loss + 4, true), // tp_stats: `float loss, alpha`
      trained: view.getUint32(at.trained, true),
      macs: { forward: u64(at.macsForward), dw: u64(at.macsDw), dx: u64(at.macsDx) },
    };
  }

  private batch(samples: Sample[]): Omit<StepTrace, 'samples'> {
    const x = new Float32Array(samples.length * this.inputs);
    samples.forEach((s, i) => x.set(s.x, i * this.inputs));
    const labels = Uint32Array.from(samples, (s) => (typeof s.target === 'number' ? s.target : 0));
    const targets = new Float32Array(samples.length * this.outputs);
    samples.forEach((s, i) => typeof s.target === 'number' || targets.set(s.target, i * this.outputs));
    const y = typeof samples[0]!.target === 'number' ? labels : targets;
    const order = Uint32Array.from(samples.keys());
    const result = this.net.runNow(constants('job').train!, x, y, order, 0, samples.length, false);
    if (result.code !== null) throw Object.assign(new Error('the core refused the batch'), { code: result.code });
    const totals = new Totals(0);
    totals.add(result.totals);
    return { loss: totals.loss, alpha: NaN, trained: totals.trained, macs: { forward: totals.macsForward, dw: totals.macsDw, dx: totals.macsDx } };
  }

  /** Samples of a batch may go through the layers together. */
  private bySample(): LayerTrace[][] {
    const samples = new Map<number, LayerTrace[]>();
    for (const { sample, trace } of this.events) samples.set(sample, [...(samples.get(sample) ?? []), trace]);
    return [...samples.keys()].sort((a, b) => a - b).map((sample) => samples.get(sample)!);
  }
}
