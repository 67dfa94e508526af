// SPDX-License-Identifier: Apache-2.0
import type { Checksum } from './download';

/** A file of a public data set. */
export interface RemoteFile {
  /** Name in the cache. */
  readonly name: string;
  /** Addresses of the same bytes: the official one first, then mirrors. */
  readonly urls: readonly string[];
  /** Size in bytes, if published. */
  readonly size?: number;
  /** Published checksums; absent if nobody who distributes the file publishes one. */
  readonly checksums?: readonly Checksum[];
  /** The archive is unpacked and then removed. */
  readonly unpack?: 'tar' | 'zip';
}

/** A public data set that `tinyprop data get` can fetch. */
export interface DatasetEntry {
  /** Name for `tinyprop data get`, and of its folder in the cache. */
  readonly name: string;
  /** What it is: samples, shape, classes. */
  readonly about: string;
  /** Licence as its authors state it. */
  readonly licence: string;
  /** Page to read and cite. */
  readonly homepage: string;
  /** Everything to download. */
  readonly files: readonly RemoteFile[];
  /** Kind of the data specification that loads it. */
  readonly kind: string;
  /** Folder below the data set's own that the specification names; '' for the folder itself. */
  readonly folder: string;
}

const TFDS = 'TensorFlow Datasets';

function sums(source: string, values: { sha256?: string; md5?: string }): Checksum[] {
  return Object.entries(values).map(([kind, value]) => ({ kind: kind as Checksum['kind'], value, source }));
}

/** The four files of MNIST's layout. */
function idxFiles(bases: readonly string[], rows: readonly (readonly [name: string, size: number, checksums: Checksum[]])[]): RemoteFile[] {
  return rows.map(([name, size, checksums]) => ({ name, size, checksums, urls: bases.map((base) => base + name) }));
}

/** The public data sets this package knows. None of them is part of the package. */
export const datasets: readonly DatasetEntry[] = [
  {
    name: 'mnist',
    about: 'handwritten digits, 60,000 + 10,000 grey images of 28x28, 10 classes',
    licence: 'CC BY-SA 3.0 (as usually stated)',
    homepage: 'http://yann.lecun.com/exdb/mnist/',
    kind: 'idx',
    folder: '',
    files: idxFiles(
      ['https://ossci-datasets.s3.amazonaws.com/mnist/', 'https://storage.googleapis.com/cvdf-datasets/mnist/', 'http://yann.lecun.com/exdb/mnist/'],
      [
        ['train-images-idx3-ubyte.gz', 9912422, sums(TFDS, { sha256: '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609' })],
        ['train-labels-idx1-ubyte.gz', 28881, sums(TFDS, { sha256: '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c' })],
        ['t10k-images-idx3-ubyte.gz', 1648877, sums(TFDS, { sha256: '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6' })],
        ['t10k-labels-idx1-ubyte.gz', 4542, sums(TFDS, { sha256: 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6' })],
      ],
    ),
  },
  {
    name: 'fashion-mnist',
    about: 'articles of clothing, 60,000 + 10,000 grey images of 28x28, 10 classes',
    licence: 'MIT',
    homepage: 'https://github.com/zalandoresearch/fashion-mnist',
    kind: 'idx',
    folder: '',
    files: idxFiles(
      ['http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/', 'https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/'],
      [
        ['train-images-idx3-ubyte.gz', 26421880, sums('the authors', { md5: '8d4fb7e6c68d591d4c3dfef9ec88bf0d' })],
        ['train-labels-idx1-ubyte.gz', 29515, sums('the authors', { md5: '25c81989df183df01b3e8a0aad5dffbe' })],
        ['t10k-images-idx3-ubyte.gz', 4422102, sums('the authors', { md5: 'bef4ecab320f06d8554ea6380940ec79' })],
        ['t10k-labels-idx1-ubyte.gz', 5148, sums('the authors', { md5: 'bb300cfdad3c16e7a12a480ee83cd310' })],
      ],
    ),
  },
  {
    name: 'cifar10',
    about: '50,000 + 10,000 colour images of 32x32, 10 classes (binary version)',
    licence: 'none stated; cite A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009',
    homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
    kind: 'cifar10',
    folder: 'cifar-10-batches-bin',
    files: [
      {
        name: 'cifar-10-binary.tar.gz',
        urls: ['https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz'],
        size: 170052171,
        checksums: [
          ...sums('the author', { md5: 'c32a1d4ab5d03f1284b67883e8d87530' }),
          ...sums(TFDS, { sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd' }),
        ],
        unpack: 'tar',
      },
    ],
  },
  {
    name: 'cifar100',
    about: '50,000 + 10,000 colour images of 32x32, 100 classes (binary version)',
    licence: 'none stated; cite A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009',
    homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
    kind: 'cifar100',
    folder: 'cifar-100-binary',
    files: [
      {
        name: 'cifar-100-binary.tar.gz',
        urls: ['https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz'],
        size: 168513733,
        checksums: [
          ...sums('the author', { md5: '03b5dce01913d631647c71ecec9e9cb8' }),
          ...sums(TFDS, { sha256: '58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec' }),
        ],
        unpack: 'tar',
      },
    ],
  },
  {
    name: 'har',
    about: 'human activity recognition with smartphones, 7,352 + 2,947 windows of 128x9, 6 classes',
    licence: 'CC BY 4.0',
    homepage: 'https://archive.ics.uci.edu/dataset/240/human+activity+recognition+using+smartphones',
    kind: 'har',
    folder: 'UCI HAR Dataset',
    files: [
      {
        name: 'human+activity+recognition+using+smartphones.zip',
        urls: ['https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip'],
        unpack: 'zip',
      },
    ],
  },
  {
    name: 'speech-commands',
    about: 'Speech Commands 0.02, 105,829 one-second words at 16 kHz, 35 classes',
    licence: 'CC BY 4.0',
    homepage: 'https://arxiv.org/abs/1804.03209',
    kind: 'wav',
    folder: '',
    files: [
      {
        name: 'speech_commands_v0.02.tar.gz',
        urls: ['https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz'],
        size: 2428923189,
        checksums: sums(TFDS, { sha256: 'af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58' }),
        unpack: 'tar',
      },
    ],
  },
];
