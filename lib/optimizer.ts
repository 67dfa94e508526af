// SPDX-License-Identifier: Apache-2.0

/** How gradients become steps. */
export interface OptimizerSpec {
  /** Name in the core's list of optimizers. */
  readonly optimizer: 'sgd' | 'momentum';
  /** Learning rate before the schedule, above 0. */
  readonly lr: number;
  /** Momentum, 0 to below 1. */
  readonly mu: number;
  /** Decoupled weight decay per step, 0 or more; biases have none, rows only when they are updated. */
  readonly weightDecay: number;
}

/**
 * Stochastic gradient descent: `w -= lr * g`. The paper's protocol.
 *
 * @param options lr: default 0.01; weightDecay: default 0
 */
export function sgd(options: { lr?: number; weightDecay?: number } = {}): OptimizerSpec {
  return { optimizer: 'sgd', lr: options.lr ?? 0.01, mu: 0, weightDecay: options.weightDecay ?? 0 };
}

/**
 * Momentum, `v = mu * v + g; w -= lr * v`, lazy: a row that is not selected does not move, and its velocity
 * decays when it is selected again (docs/ALGORITHM.md section 4).
 *
 * @param options lr: default 0.01; mu: default 0.9; weightDecay: default 0
 */
export function momentum(options: { lr?: number; mu?: number; weightDecay?: number } = {}): OptimizerSpec {
  return {
    optimizer: 'momentum',
    lr: options.lr ?? 0.01,
    mu: options.mu ?? 0.9,
    weightDecay: options.weightDecay ?? 0,
  };
}
