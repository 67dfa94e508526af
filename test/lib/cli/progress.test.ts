// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bar, epochLine, statusLine } from '../../../lib/cli/progress';

const progress = {
  type: 'progress',
  epoch: 3,
  epochs: 10,
  batch: 500,
  batches: 1000,
  samples: 2500,
  loss: 0.31234,
  accuracy: 0.891,
  trainedFraction: 0.29,
  effortBackward: 0.0791,
  effortTotal: 0.5,
  k: [],
  etaSeconds: 83,
  lr: 0.01,
} as unknown as Parameters<typeof statusLine>[0];

const epoch = {
  type: 'epoch',
  epoch: 3,
  trainLoss: 0.31234,
  trainAccuracy: 0.891,
  testLoss: 0.4,
  testAccuracy: 0.8805,
  effortBackward: 0.0791,
  effortTotal: 0.5,
  trainedFraction: 0.29,
  rowsWorked: 0.05,
  seconds: 4.2,
} as unknown as Parameters<typeof epochLine>[0];

describe('progress', () => {
  it('shows epoch, bar, loss, accuracy, effort, skipped samples and time left', () => {
    expect(statusLine(progress, 120)).toBe('epoch 3/10  ██████░░░░░░  loss 0.3123  acc 89.1 %  effort 7.9 %  skip 71 %  1:23 left');
  });

  it('never is wider than the terminal', () => {
    expect(statusLine(progress, 40, { prefix: 'a long prefix ' })).toHaveLength(39);
  });

  it('leaves a line an epoch', () => {
    expect(epochLine(epoch, 10)).toBe('epoch  3/10  loss 0.3123  acc 89.1 %  test 88.05 % (loss 0.4)  effort 7.9 %  skip 71 %  4.20 s');
    expect(epochLine(epoch, 10, { classified: false })).toBe('epoch  3/10  loss 0.3123  test loss 0.4  effort 7.9 %  skip 71 %  4.20 s');
  });

  it.each([[0, '░░░░'], [0.5, '██░░'], [0.53125, '██▏░'], [1, '████'], [7, '████'], [-1, '░░░░'], [0.999, '████']])('bar of %f', (fraction, text) => {
    expect(bar(fraction, 4)).toBe(text);
  });
});
