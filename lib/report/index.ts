// SPDX-License-Identifier: Apache-2.0
import { curves, effortBars, scatter } from './charts';
import { duration, loss, mean, meanAndSpread, percent, points } from './format';
import { colour, escape, page, table } from './html';
import type { ReportInput } from './types';

export type { ReportEpoch, ReportInput, ReportRun, ReportSummary } from './types';

/**
 * Renders a comparison as one self-contained HTML file: tables and inline SVG, no script, no network; light or dark by
 * the reader's preference. Every text of the input is escaped. The same input gives the same bytes.
 */
export function renderReport(input: ReportInput): string {
  const hasAccuracy = input.runs.some((run) => run.accuracy !== undefined);
  const facts = input.facts.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('\n');
  const charts = [hasAccuracy ? scatter(input) : '', curves(input)].filter(Boolean).join('\n');
  return page(
    input.title,
    `<header><h1>${escape(input.title)}</h1>
<dl>${facts}</dl></header>
<main>
<h2>Result</h2>
${summaryTable(input)}
<h2>Charts</h2>
<div class="charts">
${charts}
</div>
<div class="charts bars">
${effortBars(input)}
</div>
<h2>How to read this</h2>
${explanation}
<details><summary>Every run</summary>
${runTable(input)}
</details>
</main>
<footer><p>Reproduce: <code>${escape(input.command)}</code></p><p>${escape(input.program)}</p></footer>`,
  );
}

const explanation = `<p><b>dense</b> computes every row of every layer, zeros included, as common frameworks do; all efforts are shares of it. <b>full</b> is
the same training with rows of exactly zero error skipped: the same weights, bit for bit. <b>meprop</b> keeps a fixed share of the error of each layer,
<b>tinyprop</b> adapts that share to the size of the error, <b>tinypropv2</b> also decides for every sample whether to train on it at all.</p>
<p><b>Rows worked</b> counts the rows whose error is not exactly zero: all that a method executes, except dense, which does the work of the others too.
Times depend on the machine and on what else it was doing; efforts do not.</p>`;

function summaryTable(input: ReportInput): string {
  const reference = input.summary.find((s) => s.method === 'full') ?? input.summary.find((s) => s.method === 'dense');
  const seeds = new Set(input.runs.map((run) => run.seed)).size;
  const rows = input.summary.map((s) => {
    const runs = input.runs.filter((run) => run.method === s.method);
    const difference = reference?.accuracyMean === undefined || s.accuracyMean === undefined ? undefined : s.accuracyMean - reference.accuracyMean;
    const accuracy = meanAndSpread(s, runs.length);
    return [
      s.method,
      accuracy,
      s.method === reference?.method ? '' : points(difference),
      loss(s.lossMean),
      percent(s.effortBackward),
      percent(mean(runs.map((run) => run.rowsWorked))),
      percent(s.effortTotal),
      percent(mean(runs.map((run) => run.trainedFraction))),
      duration(s.seconds),
    ];
  });
  const columns = [
    { head: 'Method' },
    { head: 'Test accuracy', number: true, title: 'Mean over the seeds and sample standard deviation, in percent' },
    { head: `Against ${reference?.method ?? 'full'}`, number: true, title: 'Difference of the means in percentage points' },
    { head: 'Test loss', number: true },
    { head: 'Backward effort', number: true, title: 'Backward multiply-accumulates of the rows kept, as a share of dense training' },
    { head: 'Rows worked', number: true, title: 'Backward multiply-accumulates really executed, as a share of dense training' },
    { head: 'Total effort', number: true, title: 'Forward and backward multiply-accumulates done, as a share of dense training' },
    { head: 'Samples trained', number: true, title: 'Share of the samples seen that were trained' },
    { head: 'Time', number: true, title: 'Training time of one run on this machine' },
  ];
  const caption = `Mean over ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}`;
  return table(caption, columns, rows, input.summary.map((_, i) => colour(i)));
}

function runTable(input: ReportInput): string {
  const columns = [
    { head: 'Method' },
    ...['Seed', 'Test accuracy', 'Test loss', 'Backward effort', 'Rows worked', 'Total effort', 'Samples trained', 'Time'].map((head) => ({ head, number: true })),
  ];
  const rows = input.runs.map((run) => [
    run.method,
    String(run.seed),
    percent(run.accuracy, 2),
    loss(run.loss),
    percent(run.effortBackward),
    percent(run.rowsWorked),
    percent(run.effortTotal),
    percent(run.trainedFraction),
    duration(run.seconds),
  ]);
  const order = input.summary.map((s) => s.method);
  return table('Every run', columns, rows, input.runs.map((run) => colour(Math.max(0, order.indexOf(run.method)))));
}
