// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { addon, guard } from '../addon';
import { describe } from '../describe';
import { isImported } from '../load';
import { Model } from '../model';
import { describeRecipe } from '../recipe';
import { bytes, count } from '../report/format';
import type { CommandResult, Context } from './context';
import { exitCodes } from './exit';
import { textTable } from './table';

/** `info`: what this build contains. */
export async function infoCommand({ out }: Context): CommandResult {
  const facts = describe();
  const names = (rows: readonly { name: string }[]): string => rows.map((row) => row.name).join(', ');
  out.document({ ...facts, node: process.version, platform: `${process.platform}-${process.arch}` });
  out.text(`tinyprop ${facts.version}`);
  out.text(`source id     ${facts.sourceId}`);
  out.text(`kernels       ${facts.kernels} (of ${names(facts.isas)})`);
  out.text(`node          ${process.version} ${process.platform}-${process.arch}`);
  for (const [title, rows] of [
    ['layers', facts.layers],
    ['losses', facts.losses],
    ['policies', facts.policies],
    ['optimizers', facts.optimizers],
    ['presets', facts.presets],
  ] as const) {
    out.text(`${title.padEnd(13)} ${names(rows)}`);
  }
  return exitCodes.ok;
}

/** `info FILE.tpm`: what a model file contains. */
export async function fileInfoCommand(path: string, { out }: Context): CommandResult {
  const model = await Model.load(path);
  try {
    const contents = new Uint8Array(await readFile(path));
    // A file of another framework has no sections.
    const blob = isImported(path) ? { sections: [], recipe: null, hasState: false } : guard('model file', () => addon().readBlob(contents));
    const tensors = model.tensors();
    const recipe = blob.recipe === null ? null : describeRecipe(blob.recipe);
    const progress = blob.hasState ? model.core.net.progress() : null;
    const weights = model.weightHash();
    out.document({
      path,
      bytes: contents.length,
      input: model.inputShape,
      outputs: model.outputSize,
      loss: model.loss,
      parameters: model.parameterCount,
      weights,
      sections: blob.sections.map(({ tag, data }) => ({ tag, bytes: data.length })),
      tensors,
      recipe,
      progress,
      meta: model.meta,
      model: model.toJSON(),
    });
    out.text(`${path}: ${bytes(contents.length)}, input ${model.inputShape.join('x')}, ${model.outputSize} outputs, loss ${model.loss}, ${count(model.parameterCount)} parameters`);
    out.text(`weights   sha256 ${weights}`);
    if (blob.sections.length > 0) out.text(`sections  ${blob.sections.map(({ tag, data }) => `${tag} (${bytes(data.length)})`).join(', ')}`);
    out.text(`\n${textTable([{ head: 'tensor' }, { head: 'type' }, { head: 'shape' }, { head: 'numbers', number: true }], tensors.map((t) => [t.name, t.dtype, t.shape.join('x'), count(t.size)]))}`);
    // The file holds f32: seven digits are all there is.
    const short = (value: string | number | boolean): string => String(typeof value === 'number' ? Number(value.toPrecision(7)) : value);
    if (recipe) out.text(`\nrecipe    ${Object.entries(recipe).map(([key, value]) => `${key} ${short(value)}`).join(', ')}`);
    if (progress) out.text(`progress  ${Object.entries(progress).map(([key, value]) => `${key} ${short(value)}`).join(', ')}`);
    out.text(`meta      ${JSON.stringify(model.meta)}`);
    return exitCodes.ok;
  } finally {
    model.close();
  }
}
