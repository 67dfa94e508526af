// SPDX-License-Identifier: Apache-2.0
// What the core contains against what TypeScript offers: nothing without a counterpart.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe as suite, expect, it } from 'vitest';
import { facts } from '../../lib/addon';
import { opAttributes } from '../../lib/attributes';
import { describe } from '../../lib/describe';
import { errorCodes } from '../../lib/errors';
import { coreName, jsName } from '../../lib/graph';
import * as layers from '../../lib/layers';
import { momentum, sgd } from '../../lib/optimizer';
import { densePolicy, eif, emp, full, masked, meProp, randomSkip, selectiveBackprop, steered, tinyProp, tinyPropV2, type PresetName } from '../../lib/policy';

const names = (rows: readonly { name: string }[]): string[] => rows.map((row) => row.name).sort();
const header = readFileSync(join(__dirname, '../../csrc/include/tinyprop.h'), 'utf8');

suite('describe()', () => {
  const core = describe();

  it('has a factory for every layer and a layer for every factory', () => {
    const factories = Object.keys(layers).filter((name) => typeof (layers as Record<string, unknown>)[name] === 'function');
    expect(factories.map(coreName).sort()).toEqual(names(core.layers));
    expect(Object.keys(opAttributes).map(coreName).sort()).toEqual(names(core.layers));
    for (const row of core.layers) expect(coreName(jsName(row.name))).toBe(row.name);
  });

  it('has the losses, policies, optimizers and presets of the API', () => {
    expect(names(core.losses)).toEqual(['bce', 'mse', 'softmax_cross_entropy']);
    expect([densePolicy(), full(), meProp(), tinyProp(), tinyPropV2(), randomSkip(), selectiveBackprop(), steered(), masked(), emp(), eif()].map((spec) => spec.policy).sort()).toEqual(names(core.policies));
    expect([sgd(), momentum()].map((spec) => spec.optimizer).sort()).toEqual(names(core.optimizers));
    const presets: Record<PresetName, true> = { accurate: true, paper: true };
    expect(Object.keys(presets).sort()).toEqual(names(core.presets));
  });

  it('has a code for every status', () => {
    const statuses = core.statuses.filter((row) => row.id !== 0);
    expect(statuses.length).toBeGreaterThan(10);
    for (const { name } of statuses) expect(Object.keys(errorCodes)).toContain(name.replace('TP_E_', 'ERR_TINYPROP_'));
    const inHeader = [...header.matchAll(/#define (TP_E_[A-Z]+) \((-\d+)\)/g)].map(([, name, id]) => ({ name, id: Number(id) }));
    expect(statuses).toEqual(inHeader);
    const ours = Object.keys(errorCodes).slice(0, statuses.length);
    expect(ours).toEqual(statuses.map(({ name }) => name.replace('TP_E_', 'ERR_TINYPROP_')));
  });

  it('knows every enumerator of the header', () => {
    const { constants } = facts();
    const groups: Record<string, RegExp> = { PAD: /padding/, INIT: /init/, SELECT: /select/, SCHEDULE: /schedule/ };
    for (const [prefix, group] of Object.entries(groups)) {
      const values = [...header.matchAll(new RegExp(`\\bTP_${prefix}_([A-Z_]+) = (\\d+)`, 'g'))];
      expect(values.length).toBeGreaterThan(1);
      const name = Object.keys(constants).find((key) => group.test(key))!;
      for (const [, enumerator, value] of values) expect(constants[name]![jsName(enumerator!.toLowerCase())]).toBe(Number(value));
      expect(Object.keys(constants[name]!).length).toBe(values.length);
    }
    for (const [, enumerator, value] of header.matchAll(/\bTP_MAX_(RUNNING|DECAY|EPOCH|FIXED|ANALYTIC|AUTO) = (\d)/g)) {
      expect(constants['max']![enumerator!.toLowerCase()]).toBe(Number(value));
    }
  });

  it('tells version, sources and kernels', () => {
    expect(core.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(core.sourceId).not.toBe('');
    expect(names(core.isas)).toContain(core.kernels);
    expect(core.limits.nameBytes).toBe(31);
  });
});
