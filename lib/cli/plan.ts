// SPDX-License-Identifier: Apache-2.0
import { Model } from '../model';
import type { PlanRam } from '../plan';
import { bytes, count } from '../report/format';
import { parseModelSpec } from '../specs';
import type { CommandResult, Context } from './context';
import { exitCodes } from './exit';
import { checkPolicyFlags, defined, type PolicyFlags, policyOf } from './recipe';
import { textTable } from './table';
import { momentum, sgd } from '../optimizer';

/** Flags of `plan`. */
export interface PlanFlags extends PolicyFlags {
  model: string;
  input?: number[];
  classes?: number;
  policy: string;
  batch: number;
  momentum: number;
  freeze?: string[] | { allButLast: number };
  inference?: boolean;
  ram?: number;
  flash?: number;
}

/** `plan`: what a model needs, and whether it fits a budget. */
export async function planCommand(flags: PlanFlags, { out }: Context): CommandResult {
  const model = await open(flags);
  try {
    if (flags.freeze !== undefined) model.freeze(flags.freeze);
    const policy = policyOf(flags.policy, flags);
    checkPolicyFlags([policy.policy], flags);
    const optimizer = flags.momentum > 0 ? momentum({ mu: flags.momentum }) : sgd();
    const plan = model.plan({ training: flags.inference !== true, recipe: { policy, optimizer, batch: flags.batch } });
    const needed = (plan.training ?? plan.inference).arenaBytes;
    const overRam = flags.ram !== undefined && needed > flags.ram;
    const overFlash = flags.flash !== undefined && plan.flashBytes > flags.flash;
    const budget = { ram: flags.ram ?? null, flash: flags.flash ?? null, fits: !overRam && !overFlash };
    out.document({ model: flags.model, input: model.inputShape, outputs: model.outputSize, policy: flags.policy, batch: flags.batch, ...plan, budget });
    out.text(nodeTable(plan.nodes));
    out.text(`\n${count(plan.parameters)} parameters, ${count(plan.macsForward)} multiply-accumulates forward and ${count(plan.macsBackward)} backward for a sample\n`);
    out.text(ramTable(plan.inference, plan.training));
    out.text(`\nflash for the model file: ${bytes(plan.flashBytes)} (code not counted)`);
    if (overRam) out.error(`does not fit: needs ${bytes(needed)} of RAM${flags.inference ? '' : ' for training'}, the budget is ${bytes(flags.ram as number)}`);
    if (overFlash) out.error(`does not fit: needs ${bytes(plan.flashBytes)} of flash, the budget is ${bytes(flags.flash as number)}`);
    if (budget.fits && (flags.ram ?? flags.flash) !== undefined) out.text('fits the budget');
    return budget.fits ? exitCodes.ok : exitCodes.memory;
  } finally {
    model.close();
  }
}

async function open(flags: PlanFlags): Promise<Model> {
  if (flags.model.endsWith('.tpm')) return Model.load(flags.model);
  return Model.fromJSON(parseModelSpec(flags.model, defined({ inputShape: flags.input, classes: flags.classes })));
}

function nodeTable(nodes: ReturnType<Model['plan']>['nodes']): string {
  const columns = [{ head: 'node' }, { head: 'op' }, { head: 'output' }, ...['parameters', 'forward MACs', 'dW MACs', 'dX MACs'].map((head) => ({ head, number: true })), { head: 'selects' }];
  const rows = nodes.map((node) => [
    node.name,
    node.op,
    node.outputShape.join('x'),
    node.paramBytes === 0 ? '' : bytes(node.paramBytes),
    node.macs.forward === 0 ? '' : count(node.macs.forward),
    node.macs.dw === 0 ? '' : count(node.macs.dw),
    node.macs.dx === 0 ? '' : count(node.macs.dx),
    node.select === null ? '' : `${node.select}${node.trainable ? '' : ' (frozen)'}, ${node.selectable}`,
  ]);
  return textTable(columns, rows);
}

function ramTable(inference: PlanRam, training: PlanRam | undefined): string {
  const regions = [
    ['weights', 'params'],
    ['training state', 'state'],
    ['gradients', 'grad'],
    ['activations and errors', 'acts'],
    ['scratch', 'scratch'],
    ['arena, in all', 'arenaBytes'],
  ] as const;
  const columns = [{ head: 'RAM' }, { head: 'inference', number: true }, ...(training ? [{ head: 'training', number: true }] : [])];
  return textTable(columns, regions.map(([name, key]) => [name, bytes(inference[key]), ...(training ? [bytes(training[key])] : [])]));
}
