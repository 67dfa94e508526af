// SPDX-License-Identifier: Apache-2.0
import { loadModel } from '../load';
import type { Model } from '../model';
import { fitTraining, type Fitting, type PlanRam, type ProgramRam, type StoreOptions, type StorePlan } from '../plan';
import { nativeRecipe } from '../recipe';
import { TinypropError } from '../errors';
import { bytes, count } from '../report/format';
import type { CommandResult, Context } from './context';
import { exitCodes } from './exit';
import { checkPolicyFlags, defined, type PolicyFlags, policyOf, type Method } from './recipe';
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
  frozenInFlash?: boolean;
  int8Samples?: boolean;
  ram?: number;
  flash?: number;
  block?: number;
  store?: number;
  storeWeights?: boolean;
  prog?: number;
  slots?: number;
  endurance?: number;
  commitsPerDay?: number;
  samplesPerCommit?: number;
  samplesPerDay?: number;
  years?: number;
}

/** `plan`: what a model needs, and whether it fits a budget. */
export async function planCommand(flags: PlanFlags, { out }: Context): CommandResult {
  const model = await loadModel(flags.model, defined({ inputShape: flags.input, classes: flags.classes }));
  try {
    if (flags.freeze !== undefined) model.freeze(flags.freeze);
    const policy = policyOf(flags.policy, flags);
    checkPolicyFlags([flags.policy as Method], flags);
    const optimizer = flags.momentum > 0 ? momentum({ mu: flags.momentum }) : sgd();
    const store = storeOptions(flags);
    const wanted = { training: flags.inference !== true, recipe: { policy, optimizer, batch: flags.batch }, ...defined({ store, frozenInFlash: flags.frozenInFlash, int8Samples: flags.int8Samples }) };
    const plan = model.plan(wanted);
    const needed = plan.program.total;
    const flashNeeded = plan.flashBytes + plan.planBytes + (plan.store?.areaBytes ?? 0);
    const overRam = flags.ram !== undefined && needed > flags.ram;
    const overFlash = flags.flash !== undefined && flashNeeded > flags.flash;
    const overStore = plan.store?.fits === false;
    const fitting = overRam && wanted.training && flags.freeze === undefined ? fitTraining(model.toJSON(), nativeRecipe(wanted.recipe, null), flags.ram as number, flags.int8Samples === true) : undefined;
    const budget = { ram: flags.ram ?? null, flash: flags.flash ?? null, fits: !overRam && !overFlash && !overStore, ...defined({ fitting }) };
    out.document({ model: flags.model, input: model.inputShape, outputs: model.outputSize, policy: flags.policy, batch: flags.batch, ...plan, budget });
    out.text(nodeTable(plan.nodes));
    out.text(`\n${count(plan.parameters)} parameters, ${count(plan.macsForward)} multiply-accumulates forward and ${count(plan.macsBackward)} backward for a sample\n`);
    if (plan.cut) out.text(`frozen up to ${plan.cut.node}: its output, ${bytes(plan.cut.bytes)} a sample, stands for ${count(plan.cut.macs)} of them where it is kept (train --cache)\n`);
    out.text(ramTable(plan.inference, plan.training));
    out.text(programTable(plan.program));
    out.text(`\nflash: model file ${bytes(plan.flashBytes)}, plan ${bytes(plan.planBytes)} (code not counted)`);
    if (overRam) out.error(`does not fit: needs ${bytes(needed)} of RAM${flags.inference ? '' : ' for training'}, the budget is ${bytes(flags.ram as number)}`);
    if (fitting !== undefined) out.text(fittingText(fitting, flags.ram as number));
    if (plan.store) out.text(storeText(plan.store));
    if (overFlash) out.error(`does not fit: needs ${bytes(flashNeeded)} of flash${plan.store ? ' with its store' : ''}, the budget is ${bytes(flags.flash as number)}`);
    if (plan.store && overStore) {
      const { slots, slotBytes, areaBytes } = plan.store;
      out.error(`does not fit: ${slots} slots need ${bytes(slots * slotBytes)} of flash, the store has ${bytes(areaBytes)}`);
    }
    if (budget.fits && (flags.ram ?? flags.flash) !== undefined) out.text('fits the budget');
    return budget.fits ? exitCodes.ok : exitCodes.memory;
  } finally {
    model.close();
  }
}

function fittingText({ trains, biases, of, freeze, frozenInFlash, ramBytes }: Fitting, ram: number): string {
  if (trains.length + biases.length === 0) return `\nwithin ${bytes(ram)} nothing of it can train: the cheapest layer alone, everything else in flash, needs ${bytes(ramBytes)}`;
  const biasText = biases.length === 0 ? '' : `\nand of ${biases.length} more the bias: ${biases.join(', ')}`;
  const flash = frozenInFlash ? ' --frozen-in-flash' : '';
  return `\nwithin ${bytes(ram)} ${trains.length} of ${of} layers can train${trains.length === 0 ? '' : `, from the last one down: ${trains.join(', ')}`}${biasText}\n--freeze ${freeze.join(',')}${flash} needs ${bytes(ramBytes)}`;
}

/** The store to plan: asked for by --block or --store. */
function storeOptions(flags: PlanFlags): StoreOptions | undefined {
  const { block, prog, slots, endurance, commitsPerDay, samplesPerCommit, samplesPerDay, years } = flags;
  const rest = defined({ areaBytes: flags.store, progSize: prog, slots, endurance, commitsPerDay, samplesPerCommit, samplesPerDay, years });
  if (block !== undefined) return { ...rest, blockSize: block, state: flags.storeWeights !== true };
  if (Object.keys(rest).length === 0 && flags.storeWeights !== true) return undefined;
  throw new TinypropError('ERR_TINYPROP_SPEC', 'a store needs --block SIZE, the erase block of the flash');
}

/** Not more than x, in at least two digits. */
function floor(x: number): string {
  const unit = 10 ** Math.min(Math.floor(Math.log10(x)) - 1, 0);
  return x >= 10 ? count(Math.floor(x)) : (Math.floor(x / unit) * unit).toPrecision(2);
}

function storeText(store: StorePlan): string {
  const { goal } = store;
  const rows = [
    ['slots', `${count(store.slots)} of ${bytes(store.slotBytes)}, area ${bytes(store.areaBytes)}`],
    ['a commit', `programs ${count(store.bytesPerCommit)} bytes, erases ${count(store.erasesPerCommit)} block${store.erasesPerCommit > 1 ? 's' : ''}`],
    ['life', `${count(store.commits)} commits at ${count(store.endurance)} erases a block`],
    ...(store.samples === undefined ? [] : [['', `${count(store.samples)} samples`]]),
    ...(store.days === undefined || store.years === undefined ? [] : [['', `${floor(store.days)} days, ${floor(store.years)} years`]]),
    [`for ${goal.years} years`, `at most ${floor(goal.commitsPerDay)} commits a day${goal.minSamples === undefined ? '' : `: min_samples ${count(goal.minSamples)}`}`],
  ];
  return `\n${textTable([{ head: 'store in flash' }, { head: '' }], rows)}`;
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
    node.select === null ? '' : `${node.select}${node.biasOnly ? ' (bias)' : node.trainable ? '' : ' (frozen)'}, ${node.selectable}`,
  ]);
  return textTable(columns, rows);
}

function programTable({ arena, sample, stats, net, stack, total }: ProgramRam): string {
  const rows = Object.entries({ arena, 'a sample': sample, 'record of a step': stats, tp_net: net, stack, 'in all': total });
  return `\n${textTable([{ head: 'RAM of a program' }, { head: '', number: true }], rows.map(([name, size]) => [name, bytes(size)]))}`;
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
