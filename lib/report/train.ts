// SPDX-License-Identifier: Apache-2.0
import type { EpochEvent } from '../events';
import { count, duration, loss, percent } from './format';
import { escape, page, table } from './html';
import { type Chart, renderCharts } from './vega';

/** What {@link renderTrainReport} shows. All text is escaped. */
export interface TrainReportInput {
  title: string;
  /** Name and value pairs under the title: data, model, settings, result. */
  facts: readonly (readonly [string, string])[];
  history: readonly EpochEvent[];
  /** Names of the weight layers, in the order of every `k`. */
  layers: readonly string[];
  /** `confusion[label][prediction]` on the test data, and the names of the classes. */
  confusion?: { counts: readonly ArrayLike<number>[]; classes: readonly string[] } | undefined;
  warnings: readonly string[];
  /** The command that reproduces the report. */
  command: string;
  /** Version and source id of the program. */
  program: string;
}

const epochAxis = { field: 'epoch', type: 'quantitative', axis: { tickMinStep: 1, grid: false, format: 'd' }, scale: { nice: false } };

/**
 * Renders one training as a self-contained HTML file: tables and inline SVG, no script, no network; light or dark by the reader's
 * preference. The same input gives the same bytes.
 *
 * @throws TinypropError `ERR_TINYPROP_PEER` if vega or vega-lite is not installed
 */
export async function renderTrainReport(input: TrainReportInput): Promise<string> {
  const charts = await renderCharts([...curves(input), work(input), heatMap(input), ...confusion(input)]);
  const facts = input.facts.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('\n');
  const warnings = input.warnings.map((text) => `<li>${escape(text)}</li>`).join('\n');
  return page(
    input.title,
    `<header><h1>${escape(input.title)}</h1>
<dl>${facts}</dl></header>
<main>
${warnings && `<h2>Warnings</h2>\n<ul>${warnings}</ul>`}
<h2>Charts</h2>
<div class="charts">
${charts.join('\n')}
</div>
<details open><summary>Every epoch</summary>
${epochs(input)}
</details>
</main>
<footer><p>Reproduce: <code>${escape(input.command)}</code></p><p>${escape(input.program)}</p></footer>`,
  );
}

/** Lines over the epochs, one a series. */
function lines(caption: string, note: string, y: { title: string; format: string; zero?: boolean }, series: Record<string, (e: EpochEvent) => number | undefined>, history: readonly EpochEvent[]): Chart {
  const values = Object.entries(series).flatMap(([name, of]) => history.map((e) => ({ epoch: e.epoch, series: name, value: of(e) })).filter((row) => row.value !== undefined));
  const names = Object.keys(series).filter((name) => values.some((row) => row.series === name));
  const last = names.map((name) => `${name} ${values.filter((row) => row.series === name).at(-1)?.value?.toPrecision(4) ?? '-'}`);
  return {
    caption,
    note,
    label: `${caption} by epoch; at the end: ${last.join(', ')}`,
    values,
    spec: {
      mark: { type: 'line', point: history.length < 2 },
      encoding: {
        x: epochAxis,
        y: { field: 'value', type: 'quantitative', title: y.title, axis: { format: y.format }, scale: { zero: y.zero ?? false } },
        color: { field: 'series', type: 'nominal', sort: names, title: null },
      },
    },
  };
}

function curves({ history }: TrainReportInput): Chart[] {
  const classified = history.some((e) => e.trainAccuracy > 0);
  const before = 'On the training data each sample counts as it was before its own update.';
  return [
    ...(classified ? [lines('Accuracy', before, { title: 'share predicted rightly', format: '~%' }, { test: (e) => e.testAccuracy, training: (e) => e.trainAccuracy }, history)] : []),
    lines('Loss', before, { title: 'mean loss of a sample', format: '~g' }, { test: (e) => e.testLoss, training: (e) => e.trainLoss }, history),
  ];
}

function work({ history }: TrainReportInput): Chart {
  const series = { 'samples trained': (e: EpochEvent) => e.trainedFraction, 'backward effort': (e: EpochEvent) => e.effortBackward, 'total effort': (e: EpochEvent) => e.effortTotal };
  return lines('Work', 'Efforts are shares of dense training; a sample that is not trained was skipped after its forward pass.', { title: 'share', format: '~%', zero: true }, series, history);
}

function heatMap({ history, layers }: TrainReportInput): Chart {
  const values = history.flatMap((e) => e.k.map((k, i) => ({ epoch: e.epoch, layer: layers[i] ?? String(i), k })));
  return {
    caption: 'Rows chosen',
    label: `Share of rows chosen by layer and epoch; in the last epoch: ${(history.at(-1)?.k ?? []).map((k, i) => `${layers[i] ?? i} ${percent(k)}`).join(', ')}`,
    note: 'Share of each layer\'s rows that were propagated, over the samples trained. Layers from the input (top) to the output.',
    values,
    spec: {
      height: { step: Math.max(14, Math.min(34, 220 / Math.max(1, layers.length))) },
      mark: { type: 'rect', fill: 'var(--m1)' },
      encoding: {
        x: { field: 'epoch', type: 'ordinal', axis: { labelOverlap: true, labelAngle: 0, ticks: false } },
        y: { field: 'layer', type: 'ordinal', sort: layers, title: null, axis: { ticks: false, domain: false } },
        opacity: { field: 'k', type: 'quantitative', title: 'k / n', scale: { domain: [0, 1], range: [0.04, 1] }, legend: { format: '~%', values: [0, 0.1, 0.25, 0.5, 1], symbolFillColor: 'var(--m1)', symbolType: 'square' } },
      },
    },
  };
}

function confusion({ confusion: found }: TrainReportInput): Chart[] {
  if (found === undefined) return [];
  const { counts, classes } = found;
  const values = counts.flatMap((row, label) => {
    const all = Math.max(1, Array.from(row).reduce((a, b) => a + b, 0));
    return Array.from(row, (n, prediction) => ({ label: classes[label], prediction: classes[prediction], n, share: n / all }));
  });
  const few = classes.length <= 12;
  const step = few ? 26 : Math.max(3, 320 / classes.length);
  const axis = { ticks: false, domain: false, ...(few ? {} : { labels: classes.length <= 40 }) };
  const worst = values.filter((v) => v.label !== v.prediction && v.n > 0).sort((a, b) => b.n - a.n).slice(0, 3);
  const encoding = {
    x: { field: 'prediction', type: 'ordinal', sort: classes, title: 'predicted', axis: { ...axis, orient: 'bottom' } },
    y: { field: 'label', type: 'ordinal', sort: classes, title: 'true', axis },
  };
  return [
    {
      caption: 'Confusion',
      label: `Confusion matrix of ${classes.length} classes on the test data${worst.length > 0 ? `; most often confused: ${worst.map((v) => `${v.label} taken for ${v.prediction} ${v.n} times`).join(', ')}` : ''}`,
      note: 'Test samples by true class (row) and prediction (column); the colour is the share of the row.',
      values,
      spec: {
        width: { step },
        height: { step },
        encoding,
        layer: [
          { mark: { type: 'rect', fill: 'var(--m1)' }, encoding: { opacity: { field: 'share', type: 'quantitative', scale: { domain: [0, 1], range: [0.03, 0.8] }, legend: null } } },
          ...(few ? [{ transform: [{ filter: 'datum.n > 0' }], mark: { type: 'text', fontSize: 10 }, encoding: { text: { field: 'n', type: 'quantitative' } } }] : []),
        ],
      },
    },
  ];
}

function epochs({ history, layers }: TrainReportInput): string {
  const heads = ['Training loss', 'Test loss', 'Training accuracy', 'Test accuracy', 'Samples trained', 'Backward effort', 'Total effort', 'Time', ...layers.map((name) => `k ${name}`)];
  const rows = history.map((e) => [
    count(e.epoch),
    loss(e.trainLoss),
    loss(e.testLoss),
    percent(e.trainAccuracy, 2),
    percent(e.testAccuracy, 2),
    percent(e.trainedFraction),
    percent(e.effortBackward),
    percent(e.effortTotal),
    duration(e.seconds),
    ...e.k.map((k) => percent(k)),
  ]);
  return table('Every epoch', [{ head: 'Epoch' }, ...heads.map((head) => ({ head, number: true }))], rows);
}
