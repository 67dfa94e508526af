// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { NormalizeMode } from '../data';

/** How much work a reproduction takes: minutes, hours, the paper's 200 epochs. */
export const budgets = ['quick', 'standard', 'paper'] as const;
/** One of {@link budgets}. */
export type Budget = (typeof budgets)[number];

/** How the runs of one set are made; SGD without momentum or weight decay, cosine to 0 after the warm-up. */
export interface Protocol {
  epochs: number;
  warmup: number;
  /** Seeds 1 to this. */
  seeds: number;
  /** More seeds of full training and TinyPropv2, whose difference is what a set is about: so many that its standard error is small. */
  pairs?: number;
  batch: number;
  lr: number;
  /** Weight layers that are trained, from the last one; absent: all. */
  trainable?: number;
  /** At most so many training and so many test samples. */
  limit?: number;
}

/** A data set with the network and the protocol that go with it. */
export interface ReproductionSet {
  name: string;
  /** Its column in the paper's Table I; absent: not of the paper. */
  title?: string;
  /** Accuracies of Table I in percent, by method. */
  paper: Readonly<Record<string, number>>;
  /** The data spec if the set is under one of these folders. */
  locate(roots: readonly string[]): string | undefined;
  /** What is looked for, for messages. */
  wanted: string;
  /** A model spec; `weights`: with the trained weights of `--weights` behind a comma. */
  model: string;
  weights?: true;
  /** Instead of the default of the kind of data; the weights' own with `weights`. */
  normalize?: NormalizeMode;
  /** What differs from the paper's data. */
  remark: string;
  /** The published set, where a data root or a budget may have a part of it. */
  complete?: { train: number; test: number; classes: number };
  /** Short names of few classes, in the order of the data; absent: numbers. */
  classes?: readonly string[];
  protocols: Readonly<Record<Budget, Protocol>>;
}

/** The first of these folders and roots in which all of the files are. */
function find(roots: readonly string[], folders: readonly string[], ...files: string[]): string | undefined {
  const all = roots.flatMap((root) => folders.map((folder) => join(root, folder)));
  return all.find((folder) => files.every((file) => existsSync(join(folder, file)) || existsSync(join(folder, `${file}.gz`))));
}

function located(kind: string, folders: readonly string[], files: readonly string[], argument = ''): (roots: readonly string[]) => string | undefined {
  return (roots) => {
    const folder = find(roots, folders, ...files);
    return folder === undefined ? undefined : `${kind}:${folder}${argument}`;
  };
}

/** `npy:` of these files of one folder. */
function arrays(folder: string, ...files: string[]): (roots: readonly string[]) => string | undefined {
  return (roots) => {
    const found = find(roots, [folder], ...files);
    return found === undefined ? undefined : `npy:${files.map((file) => join(found, file)).join()}`;
  };
}

/** The paper's 200 epochs and 5 of warm-up; its learning rate .125 is for batches of 32. */
function protocols(base: { batch: number; lr: number; warmup: number; trainable?: number }, quick: Partial<Protocol>, standard: Partial<Protocol>): Record<Budget, Protocol> {
  return {
    quick: { ...base, epochs: 3, seeds: 3, ...quick },
    standard: { ...base, epochs: 10, seeds: 5, ...standard },
    paper: { ...base, epochs: 200, warmup: 5, seeds: standard.seeds ?? 5, lr: 0.125 * (base.batch / 32), ...(standard.pairs !== undefined && { pairs: standard.pairs }) },
  };
}

/** MobileNetV2 is most of the time: three seeds of every rival. */
const imagesSeeds = { seeds: 3, pairs: 36 };
const images = { batch: 1, lr: 0.001, warmup: 1, trainable: 16 };
const table = (full: number, sparseUpdate: number, velocity: number, tinyTrain: number, tinyprop: number, tinypropv2: number): Record<string, number> => ({ full, sparseUpdate, velocity, tinyTrain, tinyprop, tinypropv2 });

/** Every set, in the order of Table I; a new one is a row here. */
export const sets: readonly ReproductionSet[] = [
  {
    name: 'cifar10',
    title: 'CIFAR10',
    paper: table(96.12, 95.13, 95.25, 94.91, 93.8, 95.3),
    locate: located('cifar10', ['cifar10', 'cifar-10-batches-bin', ''], ['data_batch_1.bin', 'test_batch.bin'], ',64'),
    wanted: 'cifar10/ or cifar-10-batches-bin/ with data_batch_1.bin and test_batch.bin',
    model: 'mobilenetv2:0.35',
    weights: true,
    remark: 'enlarged to 64x64; width 0.35 (the paper does not say)',
    complete: { train: 50_000, test: 10_000, classes: 10 },
    classes: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
    protocols: protocols(images, { limit: 500, epochs: 4 }, { limit: 4000, epochs: 40, ...imagesSeeds, pairs: 24 }),
  },
  {
    name: 'cifar100',
    title: 'CIFAR100',
    paper: table(80.9, 78.6, 79.46, 79.51, 78.6, 79.83),
    locate: located('cifar100', ['cifar100', 'cifar-100-binary', 'cifar-100-subset', ''], ['train.bin', 'test.bin'], ',64'),
    wanted: 'cifar100/, cifar-100-binary/ or cifar-100-subset/ with train.bin and test.bin',
    model: 'mobilenetv2:0.35',
    weights: true,
    remark: 'enlarged to 64x64; width 0.35 (the paper does not say)',
    complete: { train: 50_000, test: 10_000, classes: 100 },
    protocols: protocols(images, { limit: 1000, epochs: 4 }, { limit: 4000, epochs: 70, ...imagesSeeds, pairs: 20 }),
  },
  {
    name: 'flowers102',
    title: 'Flower',
    paper: table(94.01, 93.77, 93.03, 93.33, 91.6, 93.7),
    locate: located('images', ['flowers102'], ['train', 'test'], ',64'),
    wanted: 'flowers102/train/CLASS/*.jpg and flowers102/test/CLASS/*.jpg',
    model: 'mobilenetv2:0.35',
    weights: true,
    remark: 'images of 64x64; width 0.35',
    complete: { train: 1_020, test: 6_149, classes: 102 },
    protocols: protocols(images, { epochs: 4 }, { epochs: 40, ...imagesSeeds }),
  },
  {
    name: 'food101',
    title: 'Food',
    paper: table(80.4, 77.81, 79.16, 79.23, 78.3, 79.1),
    locate: located('images', ['food101'], ['train', 'test'], ',64'),
    wanted: 'food101/train/CLASS/*.jpg and food101/test/CLASS/*.jpg',
    model: 'mobilenetv2:0.35',
    weights: true,
    remark: 'images of 64x64; width 0.35',
    complete: { train: 75_750, test: 25_250, classes: 101 },
    protocols: protocols(images, { limit: 500, epochs: 4 }, { epochs: 40, ...imagesSeeds, pairs: 60 }),
  },
  {
    name: 'speech_commands',
    title: 'Speech',
    paper: table(96.4, 93.98, 94.51, 94.6, 93, 95.3),
    locate: arrays('speech_commands/mfcc49x10', 'kws12_x_i8.npy', 'kws12_y.npy', 'kws12_index.csv'),
    wanted: 'speech_commands/mfcc49x10/kws12_x_i8.npy, kws12_y.npy and kws12_index.csv',
    model: 'cnn-kws',
    normalize: 'standard',
    remark: '12 classes, 49x10 MFCC; the 4,890 clips of the official test set, divided by speakers',
    classes: ['down', 'go', 'left', 'no', 'off', 'on', 'right', 'stop', 'up', 'yes', 'silence', 'unknown'],
    protocols: protocols({ batch: 1, lr: 0.02, warmup: 1 }, { epochs: 8 }, { epochs: 65, lr: 0.017, pairs: 60 }),
  },
  {
    name: 'mnist',
    title: 'MNIST',
    paper: table(96.6, 96.41, 96.44, 96.53, 96.32, 96.53),
    locate: located('idx', ['mnist', 'MNIST/raw'], ['train-images-idx3-ubyte', 't10k-images-idx3-ubyte']),
    wanted: 'mnist/train-images-idx3-ubyte[.gz] and t10k-images-idx3-ubyte[.gz]',
    model: 'mlp:784-128-64-32-16-10',
    remark: '',
    complete: { train: 60_000, test: 10_000, classes: 10 },
    protocols: protocols({ batch: 1, lr: 0.01, warmup: 0 }, { limit: 10000 }, {}),
  },
  {
    name: 'har',
    title: 'HAR',
    paper: table(95.3, 94.3, 94.5, 95.1, 94.1, 95.2),
    locate: (roots) => located('har', ['har', 'UCI HAR Dataset'], ['train_x_i16.npy'])(roots) ?? located('har', ['har', 'UCI HAR Dataset', ''], ['train/Inertial Signals'])(roots),
    wanted: 'har/train_x_i16.npy or the text tree with train/Inertial Signals',
    model: 'cnn1d-har',
    remark: 'raw signals, official subjects',
    classes: ['walking', 'upstairs', 'downstairs', 'sitting', 'standing', 'laying'],
    protocols: protocols({ batch: 1, lr: 0.01, warmup: 0 }, { epochs: 4 }, { epochs: 20, pairs: 30 }),
  },
  {
    name: 'dcase_slider',
    title: 'DCASE',
    paper: table(98.88, 97.17, 97.96, 97.97, 97.55, 98.23),
    locate: arrays('dcase_slider', 'train_x.npy', 'train_y.npy', 'test_x.npy', 'test_y.npy'),
    wanted: 'dcase_slider/{train,test}_{x,y}.npy',
    model: 'mlp:2607-256-128-64-32-1',
    normalize: 'standard',
    remark: 'slide rail; 180 training samples where the authors have 1,780 in all; 180 test samples, one is 0.56 points',
    classes: ['normal', 'anomaly'],
    protocols: protocols({ batch: 1, lr: 0.02, warmup: 3 }, { epochs: 30 }, { epochs: 60, seeds: 10, pairs: 140 }),
  },
  {
    name: 'digits',
    paper: {},
    locate: () => 'digits',
    wanted: 'comes with the package',
    model: 'mlp:64-32-16-10',
    remark: 'not of the paper: to try this command without data',
    protocols: protocols({ batch: 1, lr: 0.02, warmup: 0 }, { epochs: 5 }, { epochs: 30 }),
  },
];
