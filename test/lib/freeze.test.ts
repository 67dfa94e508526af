// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Model } from '../../lib/model';
import { Trainer } from '../../lib/trainer';
import { failure, toyData, toyModel } from './toy';

const data = toyData(300);

describe('frozen weights', () => {
  it('stay but for the bias', async () => {
    const model = toyModel();
    model.freeze(['dense1', 'dense2.weight']);
    expect(model.toJSON().nodes.map((node) => node.frozen)).toEqual([true, undefined, 'weights', undefined, undefined]);
    const [weights, bias] = [model.getTensor('dense2.weight'), model.getTensor('dense2.bias')];
    await new Trainer(model).fit({ train: data }, { epochs: 1 });
    expect(model.getTensor('dense2.weight')).toEqual(weights);
    expect(model.getTensor('dense2.bias')).not.toEqual(bias);
    const again = Model.fromBytes(model.toBytes());
    expect(again.toJSON()).toEqual(model.toJSON());
    expect(again.plan().nodes.map((node) => [node.trainable, node.biasOnly])).toEqual([[false, false], [false, false], [true, true], [false, false], [true, false]]);
    again.freeze(['dense2']);
    expect(again.toJSON().nodes[2]?.frozen).toBe(true);
    again.unfreeze();
    expect(again.toJSON()).toEqual(toyModel().toJSON());
    await failure('ERR_TINYPROP_MODEL', () => again.freeze(['dense2.bias']));
    await failure('ERR_TINYPROP_ARG', () => again.freeze(['nobody.weight']));
    await failure('ERR_TINYPROP_ARG', () => again.freeze(null as never));
  });
});
