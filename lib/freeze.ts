// SPDX-License-Identifier: Apache-2.0
import { constant, type NativeModel } from './addon';
import { TinypropError } from './errors';
import { edit, nodeOf, type ModelCore } from './model-core';
import { tensorInfos } from './tensor';

function checkNames(core: ModelCore, names: readonly string[]): void {
  const tensors = tensorInfos(core).map(({ name }) => name);
  const known = [...new Set(tensors.map(nodeOf))];
  const weights = tensors.filter((name) => name.endsWith('.weight') && tensors.includes(`${nodeOf(name)}.bias`));
  const unknown = names.find((name) => !known.includes(name) && !weights.includes(name));
  if (unknown === undefined) return;
  const code = tensors.includes(unknown) || core.json.nodes.some(({ name }) => name === unknown) ? 'ERR_TINYPROP_MODEL' : 'ERR_TINYPROP_ARG';
  throw new TinypropError(code, `freeze: "${unknown}" is no node with parameters, nor the weights of one with a bias; nodes are ${known.join(', ')}`, { found: unknown, expected: known });
}

/**
 * The model in which those parameters do not train.
 *
 * @throws TinypropError `ERR_TINYPROP_ARG`, `ERR_TINYPROP_MODEL`
 * @internal
 */
export function frozen(core: ModelCore, names: string[] | { allButLast: number }): NativeModel {
  if (typeof names !== 'object' || names === null) {
    throw new TinypropError('ERR_TINYPROP_ARG', `freeze: expected a list of names or { allButLast: n }, found ${JSON.stringify(names)}`);
  }
  if (!Array.isArray(names)) return edit(core.native, 'freezeAllButLast', names.allButLast);
  checkNames(core, names);
  return names.reduce((model, name) => edit(model, 'freeze', name), core.native);
}

/** The same model with all parameters trainable. @internal */
export function unfrozen(native: NativeModel): NativeModel {
  const flags = constant('flag', 'frozen') | constant('flag', 'biasTrains');
  return { ...native, nodes: native.nodes.map((node) => ({ ...node, flags: node.flags & ~flags })) };
}
