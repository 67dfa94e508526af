// SPDX-License-Identifier: Apache-2.0
import type { TensorData } from './tensor';

/** What {@link widen} needs of a model. */
interface Weights {
  tensors(): { name: string }[];
  getTensorData(name: string): TensorData;
  setTensor(name: string, values: TensorData): void;
}

/** Binary digits by which trained weights may outgrow the initial ones. */
const room = 2;

/**
 * Initial int8 weights of a layer take all of -127 to 127, so that its largest could only shrink: a scale four times as large, weights of
 * a quarter. A layer of floats stays as it is.
 * @internal
 */
export function widen(model: Weights, node: string): void {
  if (!model.tensors().some(({ name }) => name === `${node}.requant`)) return;
  const part = <T extends TensorData>(name: string, change: (value: number, i: number, all: T) => number): void => {
    const values = model.getTensorData(`${node}.${name}`) as T;
    model.setTensor(`${node}.${name}`, (values as Float32Array).map((value, i) => change(value, i, values)) as T);
  };
  part('weight', (w) => Math.round(w / 2 ** room));
  part('scale', (scale) => scale * 2 ** room);
  part('requant', (value, i, all) => (i < all.length / 2 ? value : Math.min(30, value + room))); // multipliers, then shifts
}
