// SPDX-License-Identifier: Apache-2.0
import { readCifar10, readCifar100 } from './cifar';
import { readCsv } from './csv';
import type { DataSplit } from './dataset';
import { readDigits } from './digits';
import { readHar } from './har';
import { readIdxFolder } from './idx';
import { readImageData } from './images';
import { checkAbort } from './io';
import { readNpyData } from './npy-data';
import { finish, type LoadContext, type LoadOptions, makeContext, type RawData } from './raw';
import { parseDataSpec } from './spec';
import { readWavData } from './wav-data';

type Reader = (args: readonly string[], context: LoadContext) => Promise<RawData>;

/** One row per kind of {@link dataKinds}. */
const readers: Readonly<Record<string, Reader>> = {
  digits: (_args, context) => readDigits(context),
  idx: ([folder], context) => readIdxFolder(folder as string, context),
  cifar10: readCifar10,
  cifar100: readCifar100,
  har: ([folder], context) => readHar(folder as string, context),
  npy: readNpyData,
  csv: ([file], context) => readCsv(file as string, context),
  wav: readWavData,
  images: readImageData,
};

/**
 * Loads, splits and normalises the data a specification names (docs/data.md lists the forms and the
 * default normalisation of each).
 *
 * The result depends on the files, the specification and the options only. Values are float32; images are
 * channels-last; labels are class indices from 0.
 *
 * @param spec such as `digits`, `idx:DIR` or `npy:X,Y`
 * @throws TinypropError ERR_TINYPROP_SPEC for an unknown form; ERR_TINYPROP_FILE, _SHAPE, _LABEL, _DATA,
 *   _LIMIT for bad files (naming file, position, expected and found); ERR_TINYPROP_ARG for bad options;
 *   ERR_TINYPROP_PEER if `images:` lacks sharp; ERR_TINYPROP_ABORTED
 */
export async function loadData(spec: string, options: LoadOptions = {}): Promise<DataSplit> {
  const { kind, args } = parseDataSpec(spec);
  const context = makeContext(options);
  checkAbort(options.signal);
  const raw = await (readers[kind] as Reader)(args, context);
  checkAbort(options.signal);
  return finish(raw, context);
}
