// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { batchNorm, clampS8, conv2d, conv2dS8, dense, denseS8, depthwiseConv2dS8, dequantize, flatten, quantize } from '../../lib/layers';
import { Model } from '../../lib/model';
import { failure } from './toy';

const as = { scale: 0.05, zero: -3 };

/** Int8 in the middle, floats and batch norms around it. */
function mixed(): Model {
  return Model.sequential({
    input: [6, 6, 2],
    layers: [
      conv2d({ units: 3, kernel: 3 }),
      batchNorm(),
      quantize(as),
      conv2dS8({ units: 4, kernel: 2, ...as }),
      depthwiseConv2dS8({ name: 'dw', kernel: 2, multiplier: 2, ...as }),
      clampS8({ max: 6 }),
      flatten(),
      denseS8(5, as),
      dequantize(),
      dense(3),
    ],
  });
}

describe('a model with int8 layers', () => {
  it('survives JSON and the model file, smaller than its numbers as floats', () => {
    const model = mixed();
    expect(model.toJSON().nodes.find(({ name }) => name === 'dw')).toMatchObject({ multiplier: 2, kernel: [2, 2], ...as });
    expect(Model.fromJSON(model.toJSON()).toJSON()).toEqual(model.toJSON());
    const wide = Model.sequential({ input: [300], layers: [quantize(as), denseS8(100, as), dequantize()] });
    for (const each of [model, wide]) {
      const again = Model.fromBytes(each.toBytes());
      expect(again.toJSON()).toEqual(each.toJSON());
      expect(again.weightHash()).toBe(each.weightHash());
    }
    expect(wide.toBytes().length).toBeLessThan(4 * wide.parameterCount);
  });

  it('folds the batch norms of its floats and keeps the bytes of the others', async () => {
    const model = mixed();
    model.setTensor('batchNorm1.gamma', Float32Array.of(2, 3, 4));
    const folded = model.foldBatchNorm();
    expect(folded.toJSON().nodes.map(({ op }) => op)).not.toContain('batchNorm');
    const weights = folded.getTensor('conv2d1.weight');
    expect(weights[0]).toBe(Math.fround((model.getTensor('conv2d1.weight')[0] as number) * (2 / Math.sqrt(1 + Math.fround(1e-5)))));
    const names = model.tensors().map(({ name }) => name).filter((name) => !/conv2d1|batchNorm1/.test(name));
    expect(names).toHaveLength(3 * 4 + 2);
    for (const name of names) expect(folded.getTensorData(name)).toEqual(model.getTensorData(name));
    await failure('ERR_TINYPROP_ARG', () => folded.getTensor('dw.weight'));
  });

  it('says which int8 node is wrong, and on what shape', async () => {
    const error = await failure('ERR_TINYPROP_SHAPE', () =>
      Model.sequential({ input: [4, 4, 1], layers: [quantize({ ...as, name: 'shown' }), flatten(), denseS8(4, as), conv2dS8({ name: 'late', units: 1, kernel: 3, ...as }), dequantize()] }),
    );
    expect(error.message).toMatch(/node "late" \(conv2dS8.* on 4:/);
  });
});
