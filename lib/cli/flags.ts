// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError, Option } from 'commander';
import { defaultCacheBytes } from '../activation-cache';

type Parser<T> = (text: string) => T;

/** A number; `test` narrows the range. */
export function numberFlag(expected: string, test: (value: number) => boolean): Parser<number> {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (!Number.isFinite(value) || !test(value)) throw new InvalidArgumentError(`Expected ${expected}.`);
    return value;
  };
}

/** An integer of at least `least`. */
export function integerFlag(least: number): Parser<number> {
  return numberFlag(`an integer of at least ${least}`, (v) => Number.isSafeInteger(v) && v >= least);
}

/** Names or numbers separated by commas, none empty, none twice. */
export function listFlag(expected: string, allowed?: readonly string[]): Parser<string[]> {
  return (text) => {
    const parts = text.split(',').map((part) => part.trim());
    const wrong = parts.find((part, i) => part === '' || parts.indexOf(part) !== i || (allowed && !allowed.includes(part)));
    if (wrong !== undefined) throw new InvalidArgumentError(`Expected ${expected}${wrong ? `; "${wrong}" is not allowed or repeated` : ''}.`);
    return parts;
  };
}

/** `--cache`: what the frozen part of a model gives for the samples. */
export function addCacheFlag(command: Command): Command {
  const parser = (text: string): number => (text.trim() === '0' ? 0 : bytesFlag(text));
  const option = new Option('--cache <size>', 'memory for activations of a frozen lower part, computed once a sample (0: none); results do not depend on it');
  return command.addOption(option.argParser(parser).default(defaultCacheBytes, '256M'));
}

/** Bytes: `65536`, `64K`, `1.5M`, `64KiB`; K and M are powers of 1024. */
export function bytesFlag(text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)\s*(?:([KMG])(?:i?B)?|B)?$/i.exec(text.trim());
  const unit = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[(match?.[2] ?? '').toUpperCase()] ?? 1;
  const value = Math.floor(Number(match?.[1] ?? NaN) * unit);
  if (!match || !(value > 0)) throw new InvalidArgumentError('Expected a size such as 65536, 64K or 1M.');
  return value;
}

/** A shape: `28x28x1`. */
export function shapeFlag(text: string): number[] {
  const shape = text.split('x').map((part) => (/^[1-9][0-9]{0,8}$/.test(part) ? Number(part) : NaN));
  if (shape.length > 3 || shape.some(Number.isNaN)) throw new InvalidArgumentError('Expected a shape such as 784, 128x9 or 28x28x1.');
  return shape;
}

/** `--shard`: `2/4`. */
export function shardFlag(text: string): { index: number; count: number } {
  const [, index = 0, count = 0] = (/^([1-9][0-9]{0,3})\/([1-9][0-9]{0,3})$/.exec(text) ?? []).map(Number);
  if (!(index >= 1 && index <= count)) throw new InvalidArgumentError('Expected I/N with I from 1 to N, such as 2/4.');
  return { index, count };
}

/** `--freeze`: names of nodes, or `all-but-last:N`. */
export function freezeFlag(text: string): string[] | { allButLast: number } {
  if (!text.startsWith('all-but-last')) return listFlag('names of nodes separated by commas, or all-but-last:N')(text);
  const n = /^all-but-last:([1-9][0-9]{0,4})$/.exec(text)?.[1];
  if (n === undefined) throw new InvalidArgumentError('Expected all-but-last:N with N of at least 1.');
  return { allButLast: Number(n) };
}

/** `--threads`: shared by the samples of a batch or of an evaluation. */
export function addThreadsFlag(command: Command): Command {
  const parser = numberFlag('an integer from 1 to 64', (v) => Number.isInteger(v) && v >= 1 && v <= 64);
  return command.option('--threads <n>', 'threads that share a batch or an evaluation; results do not depend on it', parser, 1);
}

/** The options every command has. */
export function addOutputFlags(command: Command, events: boolean): Command {
  const json = new Option('--json', 'print one JSON document on stdout');
  command.addOption(events ? json.conflicts('jsonl') : json);
  if (events) command.option('--jsonl', 'print one JSON object a line on stdout, as things happen');
  return command.option('-q, --quiet', 'nothing on stderr but errors');
}

/** Where the samples come from. */
export function addDataFlags(command: Command, required: boolean): Command {
  const spec = 'digits, idx:DIR, cifar10:DIR[,SIZE], cifar100:DIR[,SIZE], har:DIR, npy:X,Y[,XT,YT], csv:FILE, wav:DIR, images:DIR';
  if (required) command.requiredOption('--data <spec>', spec);
  else command.option('--data <spec>', spec);
  return command.option('--limit <n>', 'at most n training and n test samples', integerFlag(1));
}

/** How inputs are prepared; only commands that start from data have these. */
export function addPreparationFlags(command: Command): Command {
  return command
    .addOption(new Option('--normalize <mode>', 'none, mean (images: the default) or standard').choices(['none', 'mean', 'standard']))
    .option('--augment <list>', 'flip, shift:PIXELS, crop:SMALLEST_SHARE, noise:SIGMA, separated by commas');
}

const share = numberFlag('a number above 0 to 1', (v) => v > 0 && v <= 1);
const fraction = numberFlag('a number from 0 to 1', (v) => v >= 0 && v <= 1);
const positive = numberFlag('a number above 0', (v) => v > 0);
const notNegative = numberFlag('a number of at least 0', (v) => v >= 0);
const any = numberFlag('a number', () => true);

/** Everything of the recipe but the policy's name and the seeds. */
export function addRecipeFlags(command: Command, epochs = 10): Command {
  command
    .option('--epochs <n>', 'passes over the training samples', integerFlag(1), epochs)
    .option('--batch <n>', 'samples per optimizer step', integerFlag(1), 1)
    .addOption(new Option('--schedule <name>', 'learning rate over time').choices(['cosine', 'step', 'constant']).default('cosine'))
    .option('--warmup <epochs>', 'epochs of rising learning rate', notNegative, 0)
    .option('--revisit <most>', 'do not look at untrained samples for their next 1, 2, 4 ... visits, at most so many (0: always look)', numberFlag('an integer from 0 to 64', (v) => Number.isInteger(v) && v >= 0 && v <= 64))
    .option('--step-every <epochs>', 'schedule step: distance between reductions', positive)
    .option('--step-gamma <x>', 'schedule step: factor of a reduction', numberFlag('a number above 0 to 1', (v) => v > 0 && v <= 1));
  return addOptimizerFlags(command);
}

/** The optimizer alone. */
export function addOptimizerFlags(command: Command): Command {
  return command
    .option('--lr <x>', 'learning rate', positive, 0.01)
    .option('--momentum <mu>', 'momentum (0: plain SGD, the paper\'s protocol)', numberFlag('a number from 0 to below 1', (v) => v >= 0 && v < 1), 0)
    .option('--weight-decay <x>', 'decoupled weight decay', notNegative, 0);
}

/** Flash for trained weights (docs/store.md) and how often it is written. */
export function addStoreFlags(command: Command): Command {
  return command
    .option('--block <size>', 'plan a store for trained weights: erase block of the flash, such as 4K', bytesFlag)
    .option('--store <size>', 'store: flash reserved for it (what its slots need)', bytesFlag)
    .option('--slots <n>', 'store: slots that take turns (as many as --store has room for, at most 64; else 2)', integerFlag(2))
    .option('--prog <bytes>', 'store: smallest unit that is programmed (8)', bytesFlag)
    .option('--endurance <n>', 'store: erases that a block bears (10000)', integerFlag(1))
    .option('--store-weights', 'store: weights alone, without training state')
    .addOption(new Option('--commits-per-day <x>', 'store: how often it is written').argParser(positive).conflicts('samplesPerCommit'))
    .option('--samples-per-commit <n>', 'store: training samples from one commit to the next', integerFlag(1))
    .option('--samples-per-day <x>', 'store: samples the device trains on in a day', positive)
    .option('--years <x>', 'store: the life that is wanted (10)', positive);
}

/** Parameters of the policies; which policy has which is checked later. */
export function addPolicyFlags(command: Command): Command {
  return command
    .addOption(new Option('--preset <name>', 'accurate (the default), paper, or tuned: search tau and S first (train)').choices(['accurate', 'paper', 'tuned']))
    .option('--s <x>', 'meprop, emp: share of the rows or channels that is kept (0.1)', numberFlag('a number above 0 to 1', (v) => v > 0 && v <= 1))
    .option('--s-min <x>', 'smallest share of the rows', fraction)
    .option('--s-max <x>', 'largest share of the rows', fraction)
    .option('--zeta <x>', 'damping per layer', numberFlag('a number above 0 to 1', (v) => v > 0 && v <= 1))
    .option('--ymax <mode>', 'running, epoch, analytic, decay:G or fixed:X')
    .option('--tau <x>', 'tinypropv2: train a sample if its decision value exceeds tau', any)
    .option('--beta <x>', 'tinypropv2: factor of the decision value; selective: exponent of the loss\' rank (1)', positive)
    .option('--d-min <x>', 'tinypropv2: decision value of no error', any)
    .option('--d-max <x>', 'tinypropv2: decision value of the largest error', any)
    .option('--alpha <mode>', 'tinypropv2: auto, analytic, running, decay:G or fixed:X')
    .addOption(new Option('--select <mode>', 'what convolutions keep').choices(['element', 'channel', 'auto']))
    .option('--output-dense', 'keep every row of the last layer (preset accurate)')
    .option('--no-output-dense', 'select rows of the last layer too (preset paper)')
    .option('--rate <x>', 'random: chance of a sample to train; steered, eif: wanted share (0.2)', share)
    .addOption(new Option('--steer <what>', 'steered: the share is of samples or of backward effort').choices(['samples', 'effort']))
    .option('--gain <x>', 'steered, eif: how fast the threshold follows (0.01)', share)
    .option('--history <n>', 'selective: losses that are remembered (1024)', integerFlag(1))
    .option('--stale <epochs>', 'selective: epochs that a loss is used for (1)', integerFlag(1))
    .option('--weight-share <x>', 'emp: weight of a channel\'s weights (1)', notNegative)
    .option('--delta-share <x>', 'emp: weight of a channel\'s error (1)', notNegative)
    .option('--effort <x>', 'sparse-update, tinytrain, velocity: most backward effort', share)
    .option('--memory <size>', 'sparse-update, tinytrain, velocity: most memory for inputs and gradients, such as 64K', bytesFlag)
    .option('--probe <n>', 'sparse-update: samples of a short run (1000); tinytrain, velocity: samples looked at (64)', integerFlag(1));
}
