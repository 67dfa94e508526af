// SPDX-License-Identifier: Apache-2.0
import { edit, nodeOf, type ModelCore } from './model-core';
import { readTensor, tensorInfos, writeTensor, type TensorData } from './tensor';

/** Binary digits by which trained weights may outgrow the initial ones. */
const room = 2;

/**
 * Initial int8 weights of a layer take all of -127 to 127, so that its largest could only shrink: a scale four times as large, weights of
 * a quarter. A layer of floats stays as it is.
 */
function widen(core: ModelCore, node: string): void {
  if (!tensorInfos(core).some(({ name }) => name === `${node}.requant`)) return;
  const part = <T extends TensorData>(name: string, change: (value: number, i: number, all: T) => number): void => {
    const values = readTensor(core, `${node}.${name}`) as T;
    writeTensor(core, `${node}.${name}`, (values as Float32Array).map((value, i) => change(value, i, values)) as T);
  };
  part('weight', (w) => Math.round(w / 2 ** room));
  part('scale', (scale) => scale * 2 ** room);
  part('requant', (value, i, all) => (i < all.length / 2 ? value : Math.min(30, value + room))); // multipliers, then shifts
}

/** Gives the last weight layer another number of outputs, with weights anew; all others stay. @internal */
export function replaceHead(core: ModelCore, classes: number): void {
  const head = nodeOf(tensorInfos(core).findLast(({ name }) => name.endsWith('.weight'))?.name ?? ''); // norms have no weight
  core.rebuild(edit(core.native, 'replaceHead', classes), core.recipe, head);
  if (!core.fresh) widen(core, head);
}
