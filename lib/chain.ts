// SPDX-License-Identifier: Apache-2.0
import type { LossName, ModelJson, NodeJson } from './graph';

/** Builds a chain of nodes; `add` also takes explicit inputs for the one branch a residual block has. @internal */
export class Chain {
  readonly nodes: NodeJson[] = [];
  last = 'input';

  constructor(readonly input: readonly number[]) {}

  add(name: string, op: string, attributes: Record<string, unknown> = {}, inputs: string[] = [this.last]): void {
    this.nodes.push({ name, op, inputs, ...attributes });
    this.last = name;
  }

  /** A square convolution, padded so that stride 1 keeps height and width. */
  conv(name: string, units: number, kernel: number, stride: number, attributes: Record<string, unknown> = {}): void {
    const pad = (kernel - 1) / 2;
    this.add(name, 'conv2d', { units, kernel: [kernel, kernel], stride: [stride, stride], padding: [pad, pad, pad, pad], ...attributes });
  }

  model(loss: LossName): ModelJson {
    return { format: 'tinyprop-model', version: 1, input: [...this.input], loss, nodes: this.nodes };
  }
}
