// SPDX-License-Identifier: Apache-2.0
import { Model } from '../model';
import { replay, type ReplayResult } from '../replay';
import { count } from '../report/format';
import type { CommandResult, Context } from './context';
import { type DataFlags, loadWith, readDataMeta } from './data-source';
import { partOf } from './eval';
import { exitCodes } from './exit';

/** Flags of `replay`. */
export interface ReplayFlags extends Partial<DataFlags> {
  model: string;
  split: 'test' | 'train';
  otherSource?: boolean;
}

/** `replay`: takes the steps of a log again; the first one that differs, if any. */
export async function replayCommand(log: string, flags: ReplayFlags, context: Context): CommandResult {
  const { out, signal } = context;
  const { data: spec, otherSource = false } = flags;
  const data = spec === undefined ? undefined : await samplesOf(spec, flags, context);
  const result = await replay(log, flags.model, { otherSource, signal, ...(data && { data }) });
  out.document(result);
  out.event({ type: 'result', ...result });
  out.text(summary(result));
  if (result.source.log !== result.source.here) out.note(`note: the log was written by sources ${result.source.log}, this build is of ${result.source.here}`);
  const { rest, identical } = result;
  if (rest?.reason === 'truncated') out.note(`note: the log was cut off; its last ${count(rest.bytes)} bytes are no whole record`);
  if (rest?.reason === 'damaged') out.note(`the record behind step ${result.steps} is damaged (checksum); it and the ${count(rest.bytes)} bytes from there on were not replayed`);
  if (!identical) return exitCodes.mismatch;
  return rest?.reason === 'damaged' ? exitCodes.corrupt : exitCodes.ok;
}

async function samplesOf(spec: string, flags: ReplayFlags, context: Context): Promise<ReturnType<typeof partOf>> {
  const model = await Model.load(flags.model);
  const { normalization } = readDataMeta(model.meta);
  model.close();
  return partOf(await loadWith({ ...flags, data: spec }, normalization, context), flags.split, spec);
}

function summary({ steps, hashed, difference }: ReplayResult): string {
  if (difference === null) return `${count(steps)} steps identical (records of all, weights of ${count(hashed)})`;
  const { step, what, expected, found, samples } = difference;
  const which = samples === null ? '' : `, sample${samples.length === 1 ? '' : 's'} ${samples.slice(0, 8).join(', ')}${samples.length > 8 ? ', ...' : ''}`;
  return `step ${count(step)} differs: ${what}: the log has ${expected}, this machine ${found}${which}; ${count(step - 1)} steps before it are identical`;
}
