// SPDX-License-Identifier: Apache-2.0
import * as os from 'node:os';
import * as path from 'node:path';
import { TinypropError } from '../errors';

/** A data specification taken apart. */
export interface DataSpec {
  /** One of {@link dataKinds}. */
  readonly kind: string;
  /** File, folder or option arguments. */
  readonly args: string[];
}

/** One kind of data specification. */
export interface DataKind {
  /** The word before the colon. */
  readonly kind: string;
  /** How it is written, such as `idx:DIR`. */
  readonly form: string;
  /** What it reads, in one line. */
  readonly about: string;
}

/** Every kind of data specification, for help texts and error messages. */
export const dataKinds: readonly DataKind[] = [
  { kind: 'digits', form: 'digits', about: 'UCI optical digits, 8x8, shipped with the package' },
  { kind: 'idx', form: 'idx:DIR', about: 'MNIST layout: IDX files of images and labels, .gz or not' },
  { kind: 'cifar10', form: 'cifar10:DIR[,SIZE]', about: 'CIFAR-10, binary version, 32x32 or enlarged to SIZE x SIZE' },
  { kind: 'cifar100', form: 'cifar100:DIR[,SIZE]', about: 'CIFAR-100, binary version, fine labels' },
  { kind: 'har', form: 'har:DIR', about: 'human activity recognition: UCI text tree or int16 .npy' },
  { kind: 'npy', form: 'npy:X,Y[,XT,YT | ,INDEX.csv]', about: 'NumPy arrays (.npy, or FILE.npz, or FILE.npz#NAME); npy:X,X for an autoencoder; INDEX.csv: which row is training, which test' },
  { kind: 'csv', form: 'csv:FILE', about: 'numbers with the label in the last column' },
  { kind: 'wav', form: 'wav:DIR[,logmel]', about: 'one folder of 16 kHz WAV files per class, turned into 49x10 MFCC' },
  { kind: 'images', form: 'images:DIR[,SIZE]', about: 'one folder of JPEG or PNG files per class, scaled to SIZE (96); needs the package sharp' },
];

/** Arguments allowed per kind; kinds not listed take exactly one, commas included. */
const listKinds: Readonly<Record<string, { pattern: RegExp | null; counts: number[]; fits?: (args: readonly string[]) => boolean }>> = {
  npy: { pattern: null, counts: [1, 2, 3, 4], fits: (args) => args.length !== 3 || /\.csv$/i.test(args[2] as string) },
  cifar10: { pattern: /^(.*),(\d+)$/s, counts: [1, 2] },
  cifar100: { pattern: /^(.*),(\d+)$/s, counts: [1, 2] },
  wav: { pattern: /^(.*),(mfcc|logmel)$/s, counts: [1, 2] },
  images: { pattern: /^(.*),(\d+(?:x\d+)?)$/s, counts: [1, 2] },
};

/**
 * Takes a data specification apart: `digits`, or a kind, a colon and its arguments. A leading `~/` of an
 * argument becomes the home folder.
 *
 * @throws TinypropError ERR_TINYPROP_SPEC listing the known forms
 */
export function parseDataSpec(spec: string): DataSpec {
  const colon = spec.indexOf(':');
  const kind = colon < 0 ? spec : spec.slice(0, colon);
  const known = dataKinds.find((entry) => entry.kind === kind);
  if (!known) {
    const forms = dataKinds.map((entry) => entry.form).join(', ');
    throw new TinypropError('ERR_TINYPROP_SPEC', `unknown data specification '${spec}'; expected one of ${forms}`, { spec });
  }
  const rest = colon < 0 ? '' : spec.slice(colon + 1);
  if (kind === 'digits') {
    if (colon >= 0) throw wrongForm(spec, known.form);
    return { kind, args: [] };
  }
  const args = splitArgs(kind, rest);
  const { counts = [1], fits = () => true } = listKinds[kind] ?? {};
  if (!counts.includes(args.length) || args.some((arg) => arg === '') || !fits(args)) throw wrongForm(spec, known.form);
  return { kind, args: args.map(expandHome) };
}

function splitArgs(kind: string, rest: string): string[] {
  const rule = listKinds[kind];
  if (!rule) return [rest];
  if (!rule.pattern) return rest.split(',');
  const match = rule.pattern.exec(rest);
  return match ? [match[1] as string, match[2] as string] : [rest];
}

function expandHome(arg: string): string {
  return arg.startsWith('~/') ? path.join(os.homedir(), arg.slice(2)) : arg;
}

function wrongForm(spec: string, form: string): TinypropError {
  return new TinypropError('ERR_TINYPROP_SPEC', `data specification '${spec}': expected ${form}`, { spec, expected: form });
}
