// SPDX-License-Identifier: Apache-2.0
import { reference } from '../reproduce/methods';
import type { MethodSummary, SetSummary } from '../reproduce/summary';
import type { TrialResult } from '../reproduce/trial';
import { mean, percent } from './format';
import { colour } from './html';
import { spread } from './svg';
import type { Chart, ChartSpec } from './vega';

/** A method of a set and what its trainings gave. */
export interface MethodRuns {
  method: MethodSummary;
  results: readonly TrialResult[];
}

type EpochResult = TrialResult['epochs'][number];

/** Methods that the charts tell apart, and their colours; the others are muted, and named where there is room. */
const highlighted: Readonly<Record<string, string>> = { full: 'var(--fg)', tinypropv2: `var(${colour(1)})`, tinyprop: `var(${colour(2)})`, random: `var(${colour(3)})` };
const muted = 'var(--soft)';
const others = 'the other methods';

const colourOf = ({ name }: MethodSummary): string => highlighted[name] ?? muted;
const isHighlighted = ({ method }: MethodRuns): boolean => method.name in highlighted;

/** The colours of methods; `rest` is what the muted ones are called in the legend. */
function colours(runs: readonly MethodRuns[], rest?: string): ChartSpec {
  const told = runs.filter(isHighlighted).map(({ method }) => method);
  const muting = rest !== undefined && told.length < runs.length ? [rest] : [];
  return { domain: [...told.map(({ title }) => title), ...muting], range: [...told.map(colourOf), ...muting.map(() => muted)] };
}

/** Mean, lowest and highest over the runs, by epoch; long trainings in columns of several epochs. */
export function byEpoch(results: readonly TrialResult[], of: (epoch: EpochResult) => number | null | undefined, columns = Infinity): { epoch: number; low: number; mid: number; high: number }[] {
  const length = Math.max(0, ...results.map(({ epochs }) => epochs.length));
  const step = Math.ceil(length / columns) || 1;
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => {
    const values = results.flatMap(({ epochs }) => mean(epochs.slice(i * step, (i + 1) * step).map((epoch) => of(epoch) ?? undefined)) ?? []);
    return { epoch: Math.min(length, (i + 1) * step), low: Math.min(...values), mid: mean(values) ?? NaN, high: Math.max(...values) };
  }).filter(({ mid }) => Number.isFinite(mid));
}

const epochAxis = { field: 'epoch', type: 'quantitative', axis: { tickMinStep: 1, grid: false, format: 'd', labelFlush: false }, scale: { nice: false } };

/** Test accuracy of all methods: those of interest in colour with the band of their seeds. */
export function curves(runs: readonly MethodRuns[]): Chart {
  const series = runs.map((of) => ({ of, points: byEpoch(of.results, ({ testAccuracy }) => testAccuracy) }));
  // The first epochs and what failed would squeeze the rest; what is below leaves the frame.
  const mids = series.flatMap(({ points }) => points.map(({ mid }) => mid)).sort((a, b) => a - b);
  const floor = Math.floor((mids[Math.floor(mids.length * 0.1)] ?? 0) * 50) / 50;
  const values = series.flatMap(({ of, points }) => points.map((point) => ({ ...point, method: of.method.title, told: isHighlighted(of) })));
  const ends = series.flatMap(({ of, points }) => (points.length > 0 ? [`${of.method.title} ${percent(points.at(-1)?.mid)}`] : []));
  const y = { type: 'quantitative', scale: { zero: false, nice: false, domainMin: floor }, axis: { format: '~%' } };
  const color = { type: 'nominal', scale: colours(runs, others), title: null, legend: { columns: 2, labelLimit: 0, symbolType: 'stroke', symbolOpacity: 1, symbolStrokeWidth: 2 } };
  const only = (told: boolean): ChartSpec => ({ transform: [{ filter: `datum.told === ${told}` }] });
  return {
    caption: 'Learning curves',
    label: `Test accuracy by epoch, mean over the seeds; at the end: ${ends.join(', ')}`,
    note: `Lines: mean over the seeds; bands: lowest to highest seed.${floor > 0 ? ' What is lower is not shown.' : ''}`,
    values,
    spec: {
      ...room(52, 38, 62, 40),
      width: 330,
      encoding: { x: epochAxis },
      layer: [
        { ...only(false), mark: { type: 'line', clip: true, strokeWidth: 1, opacity: 0.55 }, encoding: { y: { ...y, field: 'mid', title: 'test accuracy' }, detail: { field: 'method' }, color: { ...color, datum: others } } },
        { ...only(true), mark: { type: 'area', clip: true, opacity: 0.15 }, encoding: { y: { ...y, field: 'low', title: 'test accuracy' }, y2: { field: 'high' }, color: { ...color, field: 'method' } } },
        { ...only(true), mark: { type: 'line', clip: true, strokeWidth: 2 }, encoding: { y: { ...y, field: 'mid', title: 'test accuracy' }, color: { ...color, field: 'method' } } },
      ],
    },
  };
}

/** Vega guesses widths of texts, and too large: names beside a chart get room that was measured. All pictures are about as wide, as they are scaled to the page. */
function room(left: number, right: number, top: number, bottom: number): ChartSpec {
  return { autosize: { type: 'none' }, padding: { left, right, top, bottom } };
}

const plot = { width: 220, height: 250 };

/** Accuracy against an effort: seeds, mean and standard deviation; the names stand in a column of their own. */
export function pareto(runs: readonly MethodRuns[], effort: 'effortBackward' | 'effortTotal'): Chart {
  const name = effort === 'effortBackward' ? 'backward effort' : 'total effort';
  const points = runs.flatMap(({ method, results }) => {
    const { accuracyMean: y, accuracyStd: deviation, title } = method;
    const x = method[effort];
    if (y === null || x === null || x <= 0) return [];
    const seeds = results.flatMap((result) => (result.accuracy === null || !result[effort] ? [] : [{ x: result[effort], y: result.accuracy }]));
    return [{ method: title, fill: colourOf(method), x, y, low: y - (deviation ?? 0), high: y + (deviation ?? 0), seeds }];
  });
  const sorted = points.map(({ y }) => y).sort((a, b) => a - b);
  const [best, median] = [sorted.at(-1) ?? 1, sorted[Math.floor(sorted.length / 2)] ?? 0];
  // One method of many that fails must not squeeze the others: it stands at the lower edge.
  const floor = Math.max(points.length < 6 ? 0 : best - Math.max(0.02, 6 * (best - median)), Math.min(...points.flatMap(({ low, seeds }) => [low, ...seeds.map(({ y }) => y)])));
  const top = Math.max(...points.flatMap(({ high, seeds }) => [high, ...seeds.map(({ y }) => y)]));
  const margin = Math.max(0.001, top - floor) * 0.04;
  const [low, high] = [floor - margin, top + margin];
  const toPixel = (value: number): number => ((high - Math.max(value, floor)) / (high - low)) * plot.height;
  const places = spread(points.map(({ y }) => toPixel(y)), 14, 4, plot.height - 4);
  const edge = (value: number): number => Math.max(value, floor);
  const values = points.flatMap(({ seeds, ...point }, i) => [
    ...seeds.filter(({ y }) => y >= floor).map(({ x, y }) => ({ kind: 'seed', fill: point.fill, x, y })),
    { ...point, kind: 'mean', y: edge(point.y), low: edge(point.low), high: edge(point.high), at: high - ((places[i] as number) / plot.height) * (high - low), text: `${point.method}${point.y < floor ? ` (${percent(point.y, 0)})` : ''}` },
  ]);
  const least = Math.min(1, ...points.map(({ x }) => x)) / 1.3;
  const x = { field: 'x', type: 'quantitative', title: `${name} (logarithmic)`, scale: { type: 'log', domain: [least, 1], nice: false }, axis: { grid: false, format: '~%', values: [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].filter((tick) => tick >= least) } };
  const y = { field: 'y', type: 'quantitative', title: 'test accuracy', scale: { domain: [low, high], nice: false, zero: false }, axis: { format: '~%', tickCount: 6, grid: false, domain: true } };
  const fill = { field: 'fill', type: 'nominal', scale: null };
  const only = (kind: string): ChartSpec => ({ transform: [{ filter: `datum.kind === '${kind}'` }] });
  const edgeOfNames = { value: plot.width + 8 };
  return {
    caption: `Accuracy against ${name}`,
    label: `Test accuracy against ${name}: ${points.map((p) => `${p.method} ${percent(p.y, 2)} at ${percent(p.x)}`).join('; ')}`,
    note: `Top left is better. Large dots: mean over the seeds, with one standard deviation; small dots: seeds.${points.some((p) => p.y < floor) ? ' A number in parentheses: the accuracy of a method that is below the frame.' : ''}`,
    values,
    spec: {
      ...room(52, 184, 8, 40),
      ...plot,
      layer: [
        { ...only('mean'), mark: { type: 'rule', stroke: muted, opacity: 0.45 }, encoding: { x, x2: edgeOfNames, y, y2: { field: 'at' } } },
        { ...only('seed'), mark: { type: 'circle', size: 9, opacity: 0.45 }, encoding: { x, y, color: fill } },
        { ...only('mean'), mark: { type: 'rule', strokeWidth: 1.5 }, encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color: fill } },
        { ...only('mean'), mark: { type: 'circle', size: 60, opacity: 1 }, encoding: { x, y, color: fill } },
        { ...only('mean'), mark: { type: 'text', align: 'left', dx: 4, fontSize: 11 }, encoding: { x: edgeOfNames, y: { ...y, field: 'at' }, text: { field: 'text' }, color: fill } },
      ],
    },
  };
}

/** Places of the weight layers that were trained; frozen ones choose no rows. */
export function trained(results: readonly TrialResult[]): number[] {
  const count = Math.max(0, ...results.map(({ layers }) => layers.length));
  return Array.from({ length: count }, (_, i) => i).filter((i) => results.some(({ layers }) => (layers[i] ?? 0) > 0));
}

/** Share of each layer's rows that TinyPropv2 chose, mean over the seeds. */
export function heatMap(results: readonly TrialResult[]): Chart {
  const layers = trained(results);
  const names = layers.map((i) => `layer ${i + 1}`);
  const rows = layers.map((i) => byEpoch(results, ({ k }) => k[i], 40));
  const values = rows.flatMap((row, i) => row.map(({ epoch, mid }) => ({ epoch, layer: names[i], k: mid })));
  return {
    caption: 'Rows that TinyPropv2 chose',
    label: `Share of rows that TinyPropv2 chose by layer and epoch; at the end: ${rows.map((row, i) => `${names[i]} ${percent(row.at(-1)?.mid)}`).join(', ')}`,
    note: 'Share of each layer\'s rows that were propagated, over the samples trained, mean over the seeds. Weight layers that train, from the input (top) to the output.',
    values,
    spec: {
      height: { step: Math.max(14, Math.min(34, 220 / Math.max(1, layers.length))) },
      mark: { type: 'rect', fill: `var(${colour(1)})` },
      encoding: {
        x: { field: 'epoch', type: 'ordinal', axis: { labelOverlap: true, labelAngle: 0, ticks: false } },
        y: { field: 'layer', type: 'ordinal', sort: names, title: null, axis: { ticks: false, domain: false } },
        opacity: { field: 'k', type: 'quantitative', title: 'k / n', scale: { domain: [0, 1], range: [0.04, 1] }, legend: { format: '~%', values: [0, 0.1, 0.25, 0.5, 1], symbolFillColor: `var(${colour(1)})`, symbolType: 'square' } },
      },
    },
  };
}

/** What TinyPropv2 leaves out, by epoch. */
export function skipping(results: readonly TrialResult[]): Chart {
  const series = { 'samples skipped': (e: EpochResult) => 1 - e.trainedFraction, 'backward effort': (e: EpochResult) => e.effortBackward };
  const found = Object.entries(series).map(([name, of]) => ({ name, points: byEpoch(results, of) }));
  const y = { field: 'mid', type: 'quantitative', title: 'share', axis: { format: '~%' }, scale: { domain: [0, 1] } };
  const color = { field: 'series', type: 'nominal', sort: Object.keys(series), title: null, legend: { symbolType: 'stroke', symbolOpacity: 1, symbolStrokeWidth: 2 } };
  return {
    caption: 'Skip rate and effort of TinyPropv2',
    label: `Share of samples that TinyPropv2 skipped, and its backward effort, by epoch; at the end: ${found.map(({ name, points }) => `${name} ${percent(points.at(-1)?.mid)}`).join(', ')}`,
    note: 'A sample is skipped after its forward pass if its error is small. Lines: mean over the seeds; bands: lowest to highest seed.',
    values: found.flatMap(({ name, points }) => points.map((point) => ({ ...point, series: name }))),
    spec: {
      encoding: { x: epochAxis, color },
      layer: [
        { mark: { type: 'area', opacity: 0.15 }, encoding: { y: { ...y, field: 'low' }, y2: { field: 'high' } } },
        { mark: { type: 'line', point: (found[0]?.points.length ?? 0) < 2 }, encoding: { y } },
      ],
    },
  };
}

/** TinyPropv2's confusion matrix, added up over the seeds. */
export function confusion(results: readonly TrialResult[], known: readonly string[] | undefined): Chart[] {
  const matrices = results.flatMap((result) => (result.confusion ? [result.confusion] : []));
  const classes = matrices[0]?.length ?? 0;
  if (classes === 0) return [];
  const few = classes <= 13;
  const names = known?.length === classes ? known : undefined;
  const nameOf = (i: number): string => names?.[i] ?? String(i);
  const cells = Array.from({ length: classes }, (_, label) => {
    const row = Array.from({ length: classes }, (__, prediction) => matrices.reduce((sum, matrix) => sum + (matrix[label]?.[prediction] ?? 0), 0));
    const all = Math.max(1, row.reduce((sum, n) => sum + n, 0));
    return row.map((n, prediction) => ({ label: nameOf(label), prediction: nameOf(prediction), n, share: n / all }));
  }).flat();
  const worst = cells.filter((cell) => cell.label !== cell.prediction && cell.n > 0).sort((a, b) => b.share - a.share).slice(0, 3);
  // Each cell is a mark of the picture: of 100 classes only those that can be seen.
  const values = few ? cells : cells.filter(({ share }) => share >= 0.02);
  // Room for names; numbers need less.
  const [left, bottom] = names ? [84, 78] : [48, 40];
  const step = Math.min(60, (400 - left) / classes);
  const axis = { ticks: false, domain: false, grid: false, labels: few, labelLimit: 0 };
  const domain = Array.from({ length: classes }, (_, i) => nameOf(i));
  const encoding = {
    x: { field: 'prediction', type: 'ordinal', title: 'predicted class', axis: { ...axis, orient: 'bottom', labelAngle: names ? -50 : 0 }, scale: { domain } },
    y: { field: 'label', type: 'ordinal', title: 'true class', axis, scale: { domain } },
  };
  return [
    {
      caption: 'Confusion of TinyPropv2',
      label: `Confusion matrix of ${classes} classes on the test data, all seeds${worst.length > 0 ? `; most often confused: ${worst.map((cell) => `${cell.label} taken for ${cell.prediction} in ${percent(cell.share)}`).join(', ')}` : ''}`,
      note: `Test samples by true class (row) and prediction (column), added up over the seeds; the colour is the share of the row${few ? '' : ', from 2 % on'}.${names ? '' : ' Classes in the order of the data, from 0.'}`,
      values,
      spec: {
        ...room(left, 420 - left - step * classes, 4, bottom),
        view: { stroke: 'var(--line)' },
        width: { step },
        height: { step },
        encoding,
        layer: [
          { mark: { type: 'rect', fill: `var(${colour(1)})` }, encoding: { opacity: { field: 'share', type: 'quantitative', scale: { domain: [0, 1], range: [0.03, 0.8] }, legend: null } } },
          ...(few ? [{ transform: [{ filter: 'datum.n > 0' }], mark: { type: 'text', fontSize: 10 }, encoding: { text: { field: 'n', type: 'quantitative' } } }] : []),
        ],
      },
    },
  ];
}

/** Fig. 2: backward and total effort of every method. */
export function efforts({ title, methods }: SetSummary): Chart {
  const kinds = { 'backward effort': 'effortBackward', 'total effort': 'effortTotal' } as const;
  const values = methods.flatMap((method) => Object.entries(kinds).flatMap(([kind, field]) => (method[field] === null ? [] : [{ method: method.title, kind, effort: method[field], text: percent(method[field]) }])));
  const sort = methods.map((method) => method.title);
  const order = Object.keys(kinds);
  const encoding = {
    x: { field: 'effort', type: 'quantitative', title: null, scale: { domain: [0, 1] }, axis: { format: '~%', values: [0, 0.25, 0.5, 0.75, 1], labelFlush: false } },
    y: { field: 'method', type: 'nominal', sort, title: null, axis: { ticks: false, domain: false, labelLimit: 0 }, scale: { paddingInner: 0.25 } },
    yOffset: { field: 'kind', sort: order },
  };
  return {
    caption: title,
    label: `Effort on ${title}: ${methods.map((m) => `${m.title} backward ${percent(m.effortBackward ?? undefined)}, total ${percent(m.effortTotal ?? undefined)}`).join('; ')}`,
    note: 'Multiply-accumulates as a share of dense training, mean over the seeds.',
    values,
    spec: {
      ...room(165, 50, 34, 24),
      width: 225,
      height: { step: 12 },
      encoding,
      layer: [
        { mark: { type: 'bar' }, encoding: { color: { field: 'kind', type: 'nominal', sort: order, title: null, scale: { domain: order, range: [`var(${colour(1)})`, 'var(--soft)'] } } } },
        { mark: { type: 'text', align: 'left', dx: 3, fontSize: 10 }, encoding: { text: { field: 'text' } } },
      ],
    },
  };
}

/** Charts of one set, in the order of reading. */
export function setCharts(runs: readonly MethodRuns[], classes: readonly string[] | undefined): Chart[] {
  const own = (runs.find(({ method }) => method.name === reference.effort)?.results ?? []).filter(({ epochs }) => epochs.length > 0);
  const done = runs.some(({ method }) => method.accuracyMean !== null);
  return [...(done ? [curves(runs), pareto(runs, 'effortBackward'), pareto(runs, 'effortTotal')] : []), ...(own.length > 0 ? [heatMap(own), skipping(own), ...confusion(own, classes)] : [])];
}
