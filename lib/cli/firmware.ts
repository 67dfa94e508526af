// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import { exportFirmware, type FirmwareTarget, type ModelForm, verifyFirmware } from '../export';
import { Model } from '../model';
import { momentum, sgd } from '../optimizer';
import { bytes } from '../report/format';
import type { CommandResult, Context } from './context';
import { type DataFlags, loadWith, readDataMeta } from './data-source';
import { exitCodes } from './exit';
import { checkPolicyFlags, defined, type PolicyFlags, policyOf } from './recipe';

/** Flags of `firmware export`. */
export interface FirmwareExportFlags extends PolicyFlags, Partial<DataFlags> {
  model: string;
  for: FirmwareTarget;
  out: string;
  modelAs: ModelForm;
  policy: string;
  lr: number;
  momentum: number;
  weightDecay: number;
  seed: number;
  cmsisNn?: boolean;
  int8Samples?: boolean;
  strings: boolean;
  force?: boolean;
}

/** Samples that go into flash unless `--limit` says otherwise. */
const sampleLimit = 32;

/** `firmware export`: a model as a project of one ecosystem. */
export async function firmwareExportCommand(flags: FirmwareExportFlags, context: Context): CommandResult {
  const { out, signal } = context;
  checkPolicyFlags([flags.policy as never], flags);
  const optimizer = flags.momentum > 0 ? momentum({ lr: flags.lr, mu: flags.momentum, weightDecay: flags.weightDecay }) : sgd({ lr: flags.lr, weightDecay: flags.weightDecay });
  const recipe = { policy: policyOf(flags.policy, flags), optimizer, seed: flags.seed };
  const model = await Model.load(flags.model);
  try {
    const { files, record } = await exportFirmware(model, flags.out, {
      for: flags.for,
      recipe,
      modelAs: flags.modelAs,
      cmsisNn: flags.cmsisNn === true,
      int8Samples: flags.int8Samples === true,
      strings: flags.strings,
      force: flags.force === true,
      signal,
      ...defined({ samples: await samplesOf(flags, model, context) }),
    });
    out.document({ out: flags.out, files, ...record });
    out.text(`${flags.out}: ${files.length} files for ${record.for}, sources ${record.sourceId}, model ${bytes(record.model.bytes)}, arena ${bytes(record.memory.arena)}`);
    out.note(`how to build it: ${flags.out}/README.md`);
    return exitCodes.ok;
  } finally {
    model.close();
  }
}

/** Samples for the program: prepared as those of the model's training were. */
async function samplesOf(flags: FirmwareExportFlags, model: Model, context: Context) {
  if (flags.data === undefined) {
    if (flags.limit !== undefined) throw new TinypropError('ERR_TINYPROP_SPEC', '--limit is the number of samples of --data, which is not given');
    return undefined;
  }
  const split = await loadWith({ data: flags.data, limit: flags.limit ?? sampleLimit }, readDataMeta(model.meta).normalization, context);
  return split.test ?? split.train;
}

/** `firmware verify`: is this export still what it was? */
export async function firmwareVerifyCommand(folder: string, flags: { model?: string }, { out }: Context): CommandResult {
  const model = flags.model === undefined ? undefined : await Model.load(flags.model);
  try {
    const report = verifyFirmware(folder, defined({ model }));
    out.document({ folder, ...report });
    for (const path of report.changed) out.note(`changed, which is yours to do: ${path}`);
    for (const { kind, path, message } of report.problems) out.error(`${kind}: ${path === undefined ? '' : `${path}: `}${message}`);
    if (report.ok) out.text(`${folder}: as exported by tinyprop ${report.record.version}, sources ${report.record.sourceId}, for ${report.record.for}`);
    return report.ok ? exitCodes.ok : exitCodes.mismatch;
  } finally {
    model?.close();
  }
}
