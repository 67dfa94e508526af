// SPDX-License-Identifier: Apache-2.0
// @ts-check
// What the project promises to be, as ratios of times measured side by side: the floor holds in every rerun, the aim is what
// measurements say can be reached.

/**
 * @typedef {object} Target
 * @property {string} workload
 * @property {number} batch
 * @property {'step' | 'infer'} what
 * @property {string} ours a way of tinyprop to do it
 * @property {string} against a rival, or another way of tinyprop
 * @property {number} floor `against` takes at least that many times as long
 * @property {number} [aim]
 */

/** @type {[workload: string, batch: number, ours: string, against: string, floor: number, aim?: number][]} */
const steps = [
  ['W1', 1, 'dense', 'PyTorch', 9, 10.5],
  ['W1', 1, 'full', 'PyTorch', 12, 13.5],
  ['W1', 1, 'meprop 0.1', 'PyTorch', 16, 18],
  ['W1', 1, 'meprop 0.1', 'dense', 1.7],
  ['W1', 1, 'meprop 0.1', 'full', 1.3],
  ['W1', 1, 'dense', 'TensorFlow.js', 104],
  ['W1', 1, 'dense', 'brain.js', 116],
  ['W2', 32, 'dense', 'PyTorch', 1.8, 2.15],
  ['W3', 1, 'dense', 'PyTorch', 6, 8],
  ['W3', 32, 'dense', 'PyTorch', 1.3, 2],
  ['W4', 1, 'dense', 'PyTorch', 14, 18],
  ['W4', 32, 'dense', 'PyTorch', 2.1, 3],
  ['W5-32', 1, 'dense', 'PyTorch', 7, 11],
  ['W5-32', 32, 'dense', 'PyTorch', 3.5, 6],
  ['W5-96', 1, 'dense', 'PyTorch', 3, 4.7],
  ['W5-96', 32, 'dense', 'PyTorch', 1.5, 2.5],
  ['W6', 1, 'dense', 'PyTorch', 12, 14.5],
  ['W6', 32, 'dense', 'PyTorch', 2, 2.4],
];

/** Inference: not slower than onnxruntime; twice as fast on the dense nets at batch 1. @type {[string, number, number?][]} */
const inference = [
  ['W1', 1, 2],
  ['W2', 32],
  ['W3', 1],
  ['W3', 32],
  ['W4', 1],
  ['W4', 32],
  ['W5-32', 1],
  ['W5-32', 32],
  ['W5-96', 1],
  ['W5-96', 32],
  ['W6', 1, 2],
  ['W6', 32],
];

/** @type {Target[]} */
export const targets = [
  ...steps.map(([workload, batch, ours, against, floor, aim]) => ({ workload, batch, what: /** @type {const} */ ('step'), ours, against, floor, ...(aim && { aim }) })),
  ...inference.map(([workload, batch, aim]) => ({
    workload,
    batch,
    what: /** @type {const} */ ('infer'),
    ours: 'dense',
    against: 'onnxruntime',
    floor: batch === 1 ? 1 : 0.9,
    ...(aim && { aim }),
  })),
];

/** Wall time of an epoch of Fashion-MNIST, tinypropv2 against the others. @type {{ against: string, floor: number }[]} */
export const epochTargets = [
  { against: 'dense', floor: 1.8 },
  { against: 'full', floor: 1.15 },
  { against: 'PyTorch', floor: 15 },
];

/** Whole trainings of W1 on Fashion-MNIST with `revisit`: total effort and points of accuracy below full training; `time`: of dense training. @type {{ epochs: number, name: string, effortTotal: number, points: number, time?: number }[]} */
export const trainTargets = [
  { epochs: 20, name: 'tinypropv2, revisit 8', effortTotal: 0.26, points: 0.1, time: 0.33 },
  { epochs: 100, name: 'tinypropv2 sMin .3 tau .125, revisit 64', effortTotal: 0.12, points: 0.4 },
];
