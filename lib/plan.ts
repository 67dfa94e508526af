// SPDX-License-Identifier: Apache-2.0
import { constant, constantName, listName, type NativePlan } from './addon';
import { jsName, jsShape } from './graph';

/** Bytes of RAM by use. */
export interface PlanRam {
  /** All of it: what the arena must hold, alignment included. */
  readonly arenaBytes: number;
  /** Weights. */
  readonly params: number;
  /** Training state: counters, policy, momentum. */
  readonly state: number;
  /** Gradients; 0 at batch 1. */
  readonly grad: number;
  /** Activations and errors, sharing memory where their lifetimes allow. */
  readonly acts: number;
  /** Working memory of one operation. */
  readonly scratch: number;
}

/** One node of the model. */
export interface PlanNode {
  /** Name in the model. */
  readonly name: string;
  /** What it is: `dense`, `conv2d`, `relu` ... */
  readonly op: string;
  /** Shape of its first input, without the batch. */
  readonly inputShape: number[];
  /** Shape of its output, without the batch. */
  readonly outputShape: number[];
  /** Bytes of its parameters. */
  readonly paramBytes: number;
  /** Number among the weight layers, 0 next to the input; null for other nodes. */
  readonly layer: number | null;
  /** Rows that the policy chooses from. */
  readonly selectable: number;
  /** What it selects: `element` or `channel`; null where there is nothing to select. */
  readonly select: string | null;
  /** Has parameters that train. */
  readonly trainable: boolean;
  /** Multiply-accumulates of one sample, dense training. */
  readonly macs: {
    /** Forward pass. */
    readonly forward: number;
    /** Weight gradients. */
    readonly dw: number;
    /** Errors of the input. */
    readonly dx: number;
  };
}

/** What a model needs, exact: the core's own plan, valid on every target. */
export interface PlanReport {
  /** RAM for inference alone. */
  readonly inference: PlanRam;
  /** RAM for training with the model's recipe (or the default one); absent if not asked for. */
  readonly training?: PlanRam;
  /** Bytes of the model file without state and metadata: weights and description; code is not counted. */
  readonly flashBytes: number;
  /** Number of parameters. */
  readonly parameters: number;
  /** Multiply-accumulates of the forward pass of one sample. */
  readonly macsForward: number;
  /** Multiply-accumulates of the backward pass of one sample, dense training. */
  readonly macsBackward: number;
  /** Every node, in topological order. */
  readonly nodes: PlanNode[];
}

function ram(plan: NativePlan): PlanRam {
  return {
    arenaBytes: plan.arenaBytes,
    params: plan.paramBytes,
    state: plan.stateBytes,
    grad: plan.gradBytes,
    acts: plan.actBytes,
    scratch: plan.scratchBytes,
  };
}

/** @internal */
export function planReport(inference: NativePlan, training: NativePlan | null, flashBytes: number): PlanReport {
  const detailed = training ?? inference;
  const notALayer = constant('node', 'notALayer');
  return {
    inference: ram(inference),
    ...(training === null ? {} : { training: ram(training) }),
    flashBytes,
    parameters: inference.parameters,
    macsForward: inference.macsForward,
    macsBackward: detailed.macsBackward,
    nodes: detailed.nodes.map((node) => ({
      name: node.name,
      op: jsName(listName('layer', node.op) ?? String(node.op)),
      inputShape: jsShape(node.in),
      outputShape: jsShape(node.out),
      paramBytes: node.paramBytes,
      layer: node.layer === notALayer ? null : node.layer,
      selectable: node.selectable,
      select: node.layer === notALayer || training === null ? null : (constantName('select', node.select) ?? null),
      trainable: node.trainable !== 0,
      macs: { forward: node.macsForward, dw: node.macsDw, dx: node.macsDx },
    })),
  };
}
