// SPDX-License-Identifier: Apache-2.0
// @ts-check
// The built package (dist/), as a program that depends on it would use it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../tools/native.mjs';

/** @typedef {typeof import('../lib/index')} Tinyprop */
/** @typedef {import('../lib/index').Model} Model */

/**
 * The package, or why it cannot be compared.
 *
 * @param {string} sourceId of the C sources that it must be built from
 * @returns {Promise<Tinyprop | string>}
 */
export async function openPackage(sourceId) {
  const path = join(root, 'dist', 'esm.mjs');
  if (!existsSync(path)) return 'dist/ is not built (npm run build)';
  /** @type {Tinyprop} */
  const tinyprop = await import(pathToFileURL(path).href);
  if (tinyprop.describe().sourceId !== sourceId) return 'the addon is built from other C sources than the benchmark (npm run build)';
  return tinyprop;
}

/**
 * The policy of that name, as its presets have it.
 * @param {Tinyprop} tinyprop
 * @param {string} name
 */
export function policyOf(tinyprop, name) {
  const makers = { dense: tinyprop.densePolicy, full: tinyprop.full, meprop: tinyprop.meProp, tinyprop: tinyprop.tinyProp, tinypropv2: tinyprop.tinyPropV2 };
  return makers[/** @type {keyof typeof makers} */ (name)]();
}

/**
 * Trains and takes the time of day and of the processor, evaluation not included.
 * @param {Tinyprop} tinyprop
 * @param {Model} model
 * @param {import('../lib/index').Dataset} train
 * @param {{ policy: string, lr: number, epochs: number, batch?: number, constant?: boolean, chunkMs?: number }} how constant: no schedule
 */
export async function fit(tinyprop, model, train, { policy, lr, epochs, batch = 1, constant = false, ...options }) {
  const recipe = {
    policy: policyOf(tinyprop, policy),
    optimizer: tinyprop.sgd({ lr }),
    batch,
    ...(constant ? { schedule: tinyprop.constant() } : {}),
  };
  const trainer = new tinyprop.Trainer(model, recipe);
  const begin = performance.now();
  const before = process.cpuUsage();
  const result = await trainer.fit({ train }, { epochs, evaluateEvery: 'never', ...options });
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - begin) / 1000, cpuSeconds: (user + system) / 1e6, result };
}
