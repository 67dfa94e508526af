// SPDX-License-Identifier: Apache-2.0
import { dataKinds } from '../data';
import { datasets } from '../data/catalog';
import { dataCacheDir, findDataset, getDataset, isDatasetCached, specOf, verifyDataset } from '../data/registry';
import { bytes, percent } from '../report/format';
import type { CommandResult, Context } from './context';
import { exitCodes } from './exit';
import { textTable } from './table';

/** `data list`: what can be downloaded, what is in the cache, and the forms of `--data`. */
export async function dataListCommand({ out }: Context): CommandResult {
  const cache = dataCacheDir();
  const rows = datasets.map((entry) => {
    const size = entry.files.reduce((sum, file) => sum + (file.size ?? 0), 0);
    const { name, about, licence, homepage } = entry;
    return { name, about, licence, homepage, bytes: size || null, cached: isDatasetCached(name), spec: specOf(entry, `${cache}/${name}`) };
  });
  out.document({ cache, datasets: rows, specs: dataKinds });
  for (const row of rows) out.event({ type: 'dataset', ...row });
  const columns = [{ head: 'name' }, { head: 'cached' }, { head: 'download', number: true }, { head: 'about' }];
  out.text(textTable(columns, rows.map((row) => [row.name, row.cached ? 'yes' : 'no', row.bytes === null ? '?' : bytes(row.bytes), row.about])));
  out.text(`\ncache: ${cache} (TINYPROP_DATA overrides it)\nlicences: tinyprop data list --json; download: tinyprop data get NAME\n\nforms of --data:`);
  out.text(textTable([{ head: 'form' }, { head: 'reads' }], dataKinds.map(({ form, about }) => [form, about])));
  return exitCodes.ok;
}

/** `data get NAME`: downloads into the cache, resuming what an earlier attempt left. */
export async function dataGetCommand(name: string, flags: { mirror?: string }, { out, signal }: Context): CommandResult {
  const entry = findDataset(name);
  out.note(`${entry.name}: ${entry.about}\nlicence: ${entry.licence}\nsource: ${entry.homepage}`);
  let last = '';
  const location = await getDataset(name, {
    signal,
    ...(flags.mirror !== undefined && { baseUrl: flags.mirror }),
    onProgress: (event) => {
      const { file, phase, received, total } = event;
      out.event({ type: 'progress', ...event });
      const done = phase === 'download' ? `${bytes(received)}${total === undefined ? '' : ` of ${bytes(total)}, ${percent(received / total, 0)}`}` : phase;
      if (out.animated) out.status(`${file}: ${done}`);
      else if (last !== `${file} ${phase}`) out.note(`${file}: ${phase}`);
      last = `${file} ${phase}`;
    },
  });
  const { dir, spec, cached, sources } = location;
  out.document({ name, dir, spec, cached, sources });
  out.event({ type: 'result', name, dir, spec, cached, sources });
  for (const source of sources) if (source.published.length === 0) out.note(`note: ${source.name} has no published checksum; its own was recorded`);
  out.note(cached ? `${name} was complete in ${dir}` : `${name} is complete in ${dir}`);
  out.text(spec);
  return exitCodes.ok;
}

/** `data verify NAME`: reads every file again and compares checksums. */
export async function dataVerifyCommand(name: string, { out, signal }: Context): CommandResult {
  findDataset(name);
  const report = await verifyDataset(name, { signal });
  out.document(report);
  out.event({ type: 'result', ...report });
  for (const { path, status, expected, found } of report.files) {
    out.text(status === 'ok' ? `ok       ${path}` : `${status.padEnd(8)} ${path}: expected ${expected}, found ${found ?? 'no file'}`);
  }
  for (const { file, note } of report.published) out.note(`${file}: ${note}`);
  return report.ok ? exitCodes.ok : exitCodes.mismatch;
}
