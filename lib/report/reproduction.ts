// SPDX-License-Identifier: Apache-2.0
import { reference } from '../reproduce/methods';
import { gaps, type Notes, preface, protocolOf } from '../reproduce/page';
import { sets } from '../reproduce/sets';
import type { SetSummary, Summary } from '../reproduce/summary';
import { detail, overview, type Sheet } from '../reproduce/tables';
import type { Trial } from '../reproduce/trial';
import { percent } from './format';
import { escape, page, table } from './html';
import { byEpoch, efforts, type MethodRuns, setCharts, trained } from './reproduction-charts';
import { renderCharts } from './vega';

/** What {@link renderReproduction} shows. All text is escaped. */
export interface ReproductionReportInput {
  summary: Summary;
  notes: Notes;
  /** The trial of that name; the summary names them. */
  read(id: string): Trial;
  /** The command that reproduces the report. */
  command: string;
  /** Version and source id of the program. */
  program: string;
}

/**
 * Renders a reproduction as one self-contained HTML file: tables and inline SVG, no script, no network; light or dark by the reader's
 * preference. The same input gives the same bytes.
 *
 * @throws TinypropError `ERR_TINYPROP_PEER` if vega or vega-lite is not installed
 */
export async function renderReproduction(input: ReproductionReportInput): Promise<string> {
  const { summary, notes, command, program } = input;
  const title = 'The experiments of arXiv 2409.07109, repeated';
  const bars = await renderCharts(summary.sets.map(efforts), { specifications: false });
  const sections: string[] = [];
  for (const set of summary.sets) sections.push(await section(set, input));
  const list = gaps(summary).map((gap) => `<li>${escape(gap)}</li>`);
  const links = summary.sets.map((set) => `<a href="#${escape(set.name)}">${escape(set.title)}</a>`);
  return page(
    title,
    `<header><h1>${escape(title)}</h1>
${prose(notes['summary'] ?? '')}
${list.length > 0 ? `<ul>${list.join('')}</ul>` : ''}
<nav>Set by set: ${links.join(' ')}</nav></header>
<main>
<h2>How to read this</h2>
${preface(summary).map((text) => prose(text)).join('\n')}
${overview(summary).map(sheet).join('\n')}
<h2>Effort of every method (Fig. 2)</h2>
<div class="charts even">
${bars.join('\n')}
</div>
${sections.join('\n')}
</main>
<footer><p>Reproduce: <code>${escape(command)}</code></p><p>${escape(program)}</p></footer>`,
    { broad: true },
  );
}

/** Paragraphs and lists of the little Markdown that notes have. */
function prose(text: string): string {
  const inline = (line: string): string => escape(line).replace(/`([^`]+)`/g, '<code>$1</code>').replace(/\*\*([^*]+)\*\*/g, '<b>$1</b>');
  const blocks = text.split(/\n\s*\n/).map((block) => block.trim()).filter(Boolean);
  return blocks
    .map((block) => {
      if (!/^[*-] /.test(block)) return `<p>${inline(block)}</p>`;
      return `<ul>${block.split(/^[*-] /m).slice(1).map((item) => `<li>${inline(item.trim())}</li>`).join('')}</ul>`;
    })
    .join('\n');
}

/** A number, perhaps with its error, the whole that it is a part of, or a mark. */
const isNumber = (text: string): boolean => /^[-+]?[\d.,]*( (\u00b1|of) [\d.,]+)?( \*|, \d+ diverged)?$/.test(text);

/** Columns of numbers are right-aligned; long texts may break. */
function sheetTable({ title, head, rows }: Sheet): string {
  const texts = rows.map((row) => row.map((cell) => [cell].flat()[0] as string));
  const columns = head.map((text, i) => ({ head: text, number: texts.every((row) => isNumber(row[i] ?? '')) }));
  const long = texts.flat().some((text) => text.length > 60);
  return `<div class="sheet${long ? ' prose' : head.length > 8 ? ' wide' : ''}">${table(title, columns, rows)}</div>`;
}

function sheet(content: Sheet): string {
  return `<h2>${escape(content.title)}</h2>
${content.notes.map(prose).join('\n')}
${sheetTable(content)}`;
}

async function section(set: SetSummary, { notes, read }: ReproductionReportInput): Promise<string> {
  const runs = set.methods.map((method): MethodRuns => ({ method, results: method.runs.map(({ trial }) => read(trial).result) }));
  const charts = await renderCharts(setCharts(runs, sets.find(({ name }) => name === set.name)?.classes), { specifications: false });
  return `<section id="${escape(set.name)}"><h2>${escape(set.title)}</h2>
<p>${escape(protocolOf(set))}</p>
${prose(notes[set.name] ?? '')}
${sheetTable(detail(set))}
<div class="charts even">
${charts.join('\n')}
</div>
<details><summary>Epochs</summary>
${epochs(set, runs)}
</details></section>`;
}

/** The curves and the heat map in numbers, of at most 40 epochs. */
function epochs({ title }: SetSummary, runs: readonly MethodRuns[]): string {
  const own = runs.find(({ method }) => method.name === reference.effort)?.results ?? [];
  const columns = [
    ...runs.map(({ method, results }) => ({ head: method.title, digits: 2, points: byEpoch(results, ({ testAccuracy }) => testAccuracy, 40) })),
    { head: 'skipped by TinyPropv2', digits: 1, points: byEpoch(own, ({ trainedFraction }) => 1 - trainedFraction, 40) },
    { head: 'its backward effort', digits: 1, points: byEpoch(own, ({ effortBackward }) => effortBackward, 40) },
    ...trained(own).map((i) => ({ head: `its k, layer ${i + 1}`, digits: 1, points: byEpoch(own, ({ k }) => k[i], 40) })),
  ];
  const at = [...new Set(columns.flatMap(({ points }) => points.map(({ epoch }) => epoch)))].sort((a, b) => a - b);
  const rows = at.map((epoch) => [String(epoch), ...columns.map(({ points, digits }) => percent(points.find((point) => point.epoch === epoch)?.mid, digits))]);
  return table(`${title}: test accuracy of every method, and what TinyPropv2 did, by epoch (mean over the seeds)`, [{ head: 'Epoch' }, ...columns.map(({ head }) => ({ head, number: true }))], rows);
}
