// SPDX-License-Identifier: Apache-2.0
import { addon, constant, constantName, guard, listName, type NativeModel, type NativePlan, type NativeRecipe } from './addon';
import { TinypropError } from './errors';
import { jsName, jsShape, onDevice, planOf, toNative, type ModelJson } from './graph';

/** Bytes of RAM by use. */
export interface PlanRam {
  /** All of it: what the arena must hold, alignment included. */
  readonly arenaBytes: number;
  /** Weights. */
  readonly params: number;
  /** Training state: counters, policy, momentum. */
  readonly state: number;
  /** Gradients; 0 at batch 1. */
  readonly grad: number;
  /** Activations and errors, sharing memory where their lifetimes allow. */
  readonly acts: number;
  /** Working memory of one operation. */
  readonly scratch: number;
}

/** One node of the model. */
export interface PlanNode {
  /** Name in the model. */
  readonly name: string;
  /** What it is: `dense`, `conv2d`, `relu` ... */
  readonly op: string;
  /** Shape of its first input, without the batch. */
  readonly inputShape: number[];
  /** Shape of its output, without the batch. */
  readonly outputShape: number[];
  /** Bytes of its parameters. */
  readonly paramBytes: number;
  /** Number among the weight layers, 0 next to the input; null for other nodes. */
  readonly layer: number | null;
  /** Rows that the policy chooses from. */
  readonly selectable: number;
  /** What it selects: `element` or `channel`; null where there is nothing to select. */
  readonly select: string | null;
  /** Has parameters that train. */
  readonly trainable: boolean;
  /** Of those the bias alone. */
  readonly biasOnly: boolean;
  /** Multiply-accumulates of one sample, dense training. */
  readonly macs: {
    /** Forward pass. */
    readonly forward: number;
    /** Weight gradients. */
    readonly dw: number;
    /** Errors of the input. */
    readonly dx: number;
  };
}

/** Flash for `tp_store` (docs/store.md), and how often it is written. */
export interface StoreOptions {
  /** Bytes of an erase block: 2048 on an STM32L4, 4096 on SPI flash and ESP32, 131072 on an STM32H7. */
  readonly blockSize: number;
  /** Bytes of the area; default: what `slots` slots need. */
  readonly areaBytes?: number;
  /** Smallest unit that is programmed, 1 to 512 bytes; default 8. */
  readonly progSize?: number;
  /** At least 2; default: as many as the area has room for, at most 64; without an area 2. */
  readonly slots?: number;
  /** Erases that a block bears; default 10000. */
  readonly endurance?: number;
  /** Keep training state beside the weights; default true. */
  readonly state?: boolean;
  /** Commits a day. */
  readonly commitsPerDay?: number;
  /** Instead of `commitsPerDay`: training samples from one commit to the next. */
  readonly samplesPerCommit?: number;
  /** Samples that the device trains on in a day. */
  readonly samplesPerDay?: number;
  /** The life that is wanted, in years; default 10. */
  readonly years?: number;
}

/** Slots of `tp_store` for a model, and their life. */
export interface StorePlan {
  /** The slots have room in the area. */
  readonly fits: boolean;
  /** Bytes of the area, or of the slots if none was given. */
  readonly areaBytes: number;
  /** Slots that take turns. */
  readonly slots: number;
  /** Bytes of a slot, whole blocks. */
  readonly slotBytes: number;
  /** Bytes that a commit programs: header and payload. */
  readonly bytesPerCommit: number;
  /** Blocks that a commit erases. */
  readonly erasesPerCommit: number;
  /** Erases that a block bears. */
  readonly endurance: number;
  /** Commits until the first block has borne them: `endurance * slots`. */
  readonly commits: number;
  /** Training samples until then, if `samplesPerCommit` was given. */
  readonly samples?: number;
  /** Days until then, if the options say how often a commit happens. */
  readonly days?: number;
  /** The same in years of 365.25 days. */
  readonly years?: number;
  /** For the life that is wanted. */
  readonly goal: {
    /** Years. */
    readonly years: number;
    /** Most commits a day on average. */
    readonly commitsPerDay: number;
    /** Least `tp_store_policy.min_samples`, if `samplesPerDay` was given. */
    readonly minSamples?: number;
  };
}

/** RAM of a program that runs a model on a device, in bytes: all but what it has of its own. Model and plan lie in flash. */
export interface ProgramRam {
  /** `arenaBytes` for training, without a training plan those for inference. */
  readonly arena: number;
  /** One sample, as it comes from a sensor: floats, or int8. */
  readonly sample: number;
  /** Record of a step; 0 without a training plan. */
  readonly stats: number;
  /** `tp_net` (on a 64-bit machine; a microcontroller's is smaller). */
  readonly net: number;
  /** Reserved for the stack: the longest path of the library takes less than 2,400 bytes (docs/FIRMWARE.md). */
  readonly stack: number;
  /** Their sum. */
  readonly total: number;
}

/** The end of the frozen lower part: what its last node gives for a sample may be kept (`cacheBytes` of a fit, `tp_recall.cut` on a device). */
export interface PlanCut {
  /** That node; all that lies higher reads nothing else from below. */
  readonly node: string;
  /** Bytes of its output for one sample. */
  readonly bytes: number;
  /** Multiply-accumulates of the forward pass that they stand for. */
  readonly macs: number;
}

/** What a model needs, exact: the core's own plan, valid on every target. */
export interface PlanReport {
  /** RAM for inference alone. */
  readonly inference: PlanRam;
  /** RAM for training with the model's recipe (or the default one); absent if not asked for. */
  readonly training?: PlanRam;
  /** RAM in all: what a budget has to cover. */
  readonly program: ProgramRam;
  /** Bytes of the model file without state and metadata: weights and description; code is not counted. */
  readonly flashBytes: number;
  /** Bytes of the plan, which an exported program has in flash beside the model file. */
  readonly planBytes: number;
  /** Slots in flash for the trained weights, and how long they last; absent if not asked for. */
  readonly store?: StorePlan;
  /** Number of parameters. */
  readonly parameters: number;
  /** Multiply-accumulates of the forward pass of one sample. */
  readonly macsForward: number;
  /** Multiply-accumulates of the backward pass of one sample, dense training. */
  readonly macsBackward: number;
  /** Where the frozen lower part ends; absent if there is no such part. */
  readonly cut?: PlanCut;
  /** Every node, in topological order. */
  readonly nodes: PlanNode[];
}

function ram(plan: NativePlan): PlanRam {
  return {
    arenaBytes: plan.arenaBytes,
    params: plan.paramBytes,
    state: plan.stateBytes,
    grad: plan.gradBytes,
    acts: plan.actBytes,
    scratch: plan.scratchBytes,
  };
}

const stackBytes = 4096;
const ownBytes = 4096; // of the program itself: its C library, its drivers

/** RAM in all. @internal */
export function programRam(plan: NativePlan, int8Samples: boolean): ProgramRam {
  const arena = plan.arenaBytes;
  const sample = plan.inputs * (int8Samples ? 1 : 4);
  const stats = plan.training === 0 ? 0 : plan.statsBytes;
  const net = constant('size', 'net');
  return { arena, sample, stats, net, stack: stackBytes, total: arena + sample + stats + net + stackBytes };
}

const mostSlots = 64; // each is looked at on every boot and commit

/** An option that is a number of at least `least` (an integer where that is one), at most `most`. */
function checked(options: StoreOptions, name: keyof StoreOptions, least: number, most = Number.MAX_SAFE_INTEGER): void {
  const value = options[name];
  const whole = Number.isInteger(least);
  if (value === undefined) return;
  if (typeof value === 'number' && (whole ? Number.isSafeInteger(value) : Number.isFinite(value)) && value >= least && value <= most) return;
  const expected = whole ? `an integer from ${least} to ${most}` : 'a number above 0';
  throw new TinypropError('ERR_TINYPROP_ARG', `store: ${name}: expected ${expected}, found ${String(value)}`, { name, found: value });
}

function checkStore(options: StoreOptions, progSize: number): void {
  checked(options, 'progSize', 1, 512);
  checked(options, 'blockSize', 1, 2 ** 31);
  checked(options, 'areaBytes', 1);
  checked(options, 'slots', 2, 2 ** 20);
  checked(options, 'endurance', 1);
  checked(options, 'samplesPerCommit', 1);
  for (const name of ['commitsPerDay', 'samplesPerDay', 'years'] as const) checked(options, name, Number.MIN_VALUE);
  const { blockSize, commitsPerDay, samplesPerCommit } = options;
  if (blockSize === undefined || blockSize < 64 || blockSize < progSize || blockSize % progSize !== 0) {
    throw new TinypropError('ERR_TINYPROP_ARG', `store: blockSize: expected a multiple of progSize (${progSize}) of at least 64, found ${String(blockSize)}`);
  }
  if (commitsPerDay !== undefined && samplesPerCommit !== undefined) {
    throw new TinypropError('ERR_TINYPROP_ARG', 'store: commitsPerDay and samplesPerCommit exclude each other');
  }
}

/**
 * Slots of `tp_store` and their life: each of `slots` slots bears `endurance` erases and they take turns.
 *
 * @param recipe whose training state is kept too; null: weights alone
 * @throws TinypropError `ERR_TINYPROP_ARG` naming the option, `ERR_TINYPROP_LIMIT`
 * @internal
 */
export function storePlan(model: NativeModel, recipe: NativeRecipe | null, options: StoreOptions): StorePlan {
  const { blockSize, progSize = 8, endurance = 10_000, samplesPerCommit, samplesPerDay, years = 10 } = options;
  checkStore(options, progSize);
  const bytesPerCommit = guard('store', () => addon().storeBytes(model, recipe, progSize));
  if (bytesPerCommit === 0) throw new TinypropError('ERR_TINYPROP_LIMIT', 'store: a slot would have 4 GiB or more');
  const erasesPerCommit = Math.ceil(bytesPerCommit / blockSize);
  const slotBytes = erasesPerCommit * blockSize;
  const room = options.areaBytes === undefined ? undefined : Math.floor(Math.floor(options.areaBytes / blockSize) / erasesPerCommit);
  const slots = options.slots ?? Math.min(Math.max(room ?? 2, 2), mostSlots);
  const commits = endurance * slots;
  const commitsPerDay = options.commitsPerDay ?? (samplesPerCommit && samplesPerDay ? samplesPerDay / samplesPerCommit : undefined);
  const daysWanted = years * 365.25;
  return {
    fits: room === undefined || slots <= room,
    areaBytes: options.areaBytes ?? slots * slotBytes,
    slots,
    slotBytes,
    bytesPerCommit,
    erasesPerCommit,
    endurance,
    commits,
    ...(samplesPerCommit === undefined ? {} : { samples: commits * samplesPerCommit }),
    ...(commitsPerDay === undefined ? {} : { days: commits / commitsPerDay, years: commits / commitsPerDay / 365.25 }),
    goal: {
      years,
      commitsPerDay: commits / daysWanted,
      ...(samplesPerDay === undefined ? {} : { minSamples: Math.ceil((samplesPerDay * daysWanted) / commits) }),
    },
  };
}

/** @internal */
export function planReport(inference: NativePlan, training: NativePlan | null, int8Samples: boolean, flashBytes: number, store: StorePlan | undefined): PlanReport {
  const detailed = training ?? inference;
  const notALayer = constant('node', 'notALayer');
  return {
    inference: ram(inference),
    ...(training === null ? {} : { training: ram(training) }),
    program: programRam(detailed, int8Samples),
    flashBytes,
    planBytes: detailed.planBytes,
    ...(store === undefined ? {} : { store }),
    parameters: inference.parameters,
    macsForward: inference.macsForward,
    macsBackward: detailed.macsBackward,
    ...(detailed.cut === undefined ? {} : { cut: detailed.cut }),
    nodes: detailed.nodes.map((node) => ({
      name: node.name,
      op: jsName(listName('layer', node.op) ?? String(node.op)),
      inputShape: jsShape(node.in),
      outputShape: jsShape(node.out),
      paramBytes: node.paramBytes,
      layer: node.layer === notALayer ? null : node.layer,
      selectable: node.selectable,
      select: node.layer === notALayer || training === null ? null : (constantName('select', node.select) ?? null),
      trainable: node.trainable !== 0,
      biasOnly: node.trainable === constant('trains', 'bias'),
      macs: { forward: node.macsForward, dw: node.macsDw, dx: node.macsDx },
    })),
  };
}

/** What of a model can train within a budget of RAM. */
export interface Fitting {
  /** Layers that train, from the last one down. */
  readonly trains: string[];
  /** Layers of which the bias alone trains, from the last one down. */
  readonly biases: string[];
  /** Layers with parameters. */
  readonly of: number;
  /** The others, and the weights (`NODE.weight`) of those in `biases`: what `--freeze` is given. */
  readonly freeze: string[];
  /** Parameters of those have to stay in flash. */
  readonly frozenInFlash: boolean;
  /** RAM in all for training; where nothing fits, with the layer that needs least. */
  readonly ramBytes: number;
}

/**
 * What can train within `ram` bytes in all: from the last one down every layer that still fits beside those before it, so that a
 * large one is passed over, and errors go through it, for the sake of smaller ones below; then, in the same order, the biases of the
 * others, which need neither weights nor inputs in RAM. 4 KiB are left to the program itself.
 *
 * @throws TinypropError as a plan does
 * @internal
 */
export function fitTraining(json: ModelJson, recipe: NativeRecipe, ram: number, int8Samples: boolean): Fitting {
  const needed = (trains: readonly string[], biases: readonly string[], flash: boolean): number => {
    const frozen = (name: string): boolean | 'weights' => (biases.includes(name) ? 'weights' : !trains.includes(name));
    const nodes = json.nodes.map((node) => (layers.includes(node.name) ? { ...node, frozen: frozen(node.name) } : node));
    return programRam(planOf(onDevice(toNative({ ...json, nodes }), int8Samples), recipe, flash), int8Samples).total;
  };
  const withParameters = planOf(toNative(json), null).nodes.filter((node) => node.paramBytes > 0);
  const layers = withParameters.map((node) => node.name);
  const unbiased = new Set(json.nodes.filter((node) => node['bias'] === false).map(({ name }) => name));
  const biased = withParameters.filter(({ name, layer }) => layer !== constant('node', 'notALayer') && !unbiased.has(name)).map(({ name }) => name);
  const trains: string[] = [];
  for (const name of [...layers].reverse()) if (needed([...trains, name], [], true) <= ram - ownBytes) trains.push(name);
  const biases: string[] = [];
  for (const name of [...biased].reverse()) if (!trains.includes(name) && needed(trains, [...biases, name], true) <= ram - ownBytes) biases.push(name);
  const some = trains.length + biases.length > 0;
  const frozenInFlash = !some || needed(trains, biases, false) > ram - ownBytes;
  const ramBytes = some ? needed(trains, biases, frozenInFlash) : Math.min(...layers.map((name) => needed([name], [], true)));
  const freeze = layers.filter((name) => !trains.includes(name)).map((name) => (biases.includes(name) ? `${name}.weight` : name));
  return { trains, biases, of: layers.length, freeze, frozenInFlash, ramBytes };
}
