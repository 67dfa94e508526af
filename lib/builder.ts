// SPDX-License-Identifier: Apache-2.0
import type { LossName, ModelJson, NodeJson } from './graph';
import { TinypropError } from './errors';
import type { LayerSpec } from './layers';

/** The output of a node while a graph is being built. */
export interface TensorRef {
  /** Name of the node, or `input`. */
  readonly name: string;
}

/** Places layers in a graph; see {@link Model.graph}. */
export class GraphBuilder {
  private readonly nodes: NodeJson[] = [];
  private readonly counters = new Map<string, number>();
  private readonly names = new Set<string>(['input']);

  /**
   * Adds a layer behind one tensor (or two, for `add()`).
   *
   * @returns its output
   * @throws TinypropError `ERR_TINYPROP_MODEL` if the name is taken or a tensor is of another graph
   */
  add(layer: LayerSpec, ...inputs: TensorRef[]): TensorRef {
    const { op, name: wanted, ...attributes } = layer;
    const name = wanted ?? this.freeName(op);
    if (this.names.has(name)) {
      throw new TinypropError('ERR_TINYPROP_MODEL', `model: the name "${name}" is used twice`, { node: name });
    }
    for (const input of inputs) {
      if (!this.names.has(input?.name)) {
        throw new TinypropError('ERR_TINYPROP_MODEL', `model: node "${name}": its input "${String(input?.name)}" is not of this graph`, { node: name });
      }
    }
    this.names.add(name);
    this.nodes.push({ name, op, inputs: inputs.map((input) => input.name), ...attributes });
    return { name };
  }

  private freeName(op: string): string {
    for (;;) {
      const count = (this.counters.get(op) ?? 0) + 1;
      this.counters.set(op, count);
      if (!this.names.has(`${op}${count}`)) return `${op}${count}`;
    }
  }

  /** The description; `output` must be the node added last. @internal */
  finish(input: readonly number[], loss: LossName, output: TensorRef): ModelJson {
    const last = this.nodes.at(-1)?.name;
    if (output?.name !== last) {
      throw new TinypropError('ERR_TINYPROP_MODEL', `model: the output "${String(output?.name)}" is not the node added last, "${String(last)}"`, {
        output: output?.name,
        last,
      });
    }
    return { format: 'tinyprop-model', version: 1, input: [...input], loss, nodes: this.nodes };
  }
}
