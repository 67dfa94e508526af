// SPDX-License-Identifier: Apache-2.0
import { duration, mean, percent } from './format';
import { colour, escape } from './html';
import { axes, type Frame, linear, px, spread, svg } from './svg';
import type { ReportInput, ReportRun, ReportSummary } from './types';

const frame: Frame = { width: 420, height: 290, left: 48, right: 408, top: 26, bottom: 246 };

const runsOf = (input: ReportInput, method: string): ReportRun[] => input.runs.filter((run) => run.method === method);

function figure(caption: string, content: string, note: string): string {
  return `<figure><figcaption>${escape(caption)}</figcaption>
${content}
<p>${escape(note)}</p></figure>`;
}

function legend(names: readonly string[]): string {
  const items = names.map((name, i) => `<li><span class="dot" style="background:var(${colour(i)})"></span>${escape(name)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** Ticks in percent with as many digits as their distance needs. */
function percentTicks(ticks: readonly number[]): (v: number) => string {
  const step = ticks.length > 1 ? ((ticks[1] as number) - (ticks[0] as number)) * 100 : 1;
  const digits = Math.max(0, Math.min(3, -Math.floor(Math.log10(step) + 1e-9)));
  return (v) => `${(v * 100).toFixed(digits)}`;
}

/** Accuracy against backward effort: a small dot for every seed, a large one with its spread for the mean. */
export function scatter(input: ReportInput): string {
  const accuracies = input.runs.flatMap((run) => (run.accuracy === undefined ? [] : [run.accuracy]));
  const x = linear(0, 1, frame.left, frame.right, 5, [0, 1]);
  const y = linear(Math.min(...accuracies), Math.max(...accuracies), frame.bottom, frame.top, 5, [0, 1]);
  const marks: string[] = [];
  const means = input.summary.filter((s) => s.accuracyMean !== undefined);
  for (const [i, s] of input.summary.entries()) {
    if (s.accuracyMean === undefined) continue;
    marks.push(point(input, s, i, x, y));
  }
  const label = `Test accuracy against backward effort. ${means.map((s) => `${s.method}: ${percent(s.accuracyMean, 2)} at ${percent(s.effortBackward)}`).join('; ')}`;
  const ticks = { x: 'backward effort, % of dense training', y: 'test accuracy, %', xTick: percentTicks(x.ticks), yTick: percentTicks(y.ticks) };
  const picture = svg(frame.width, frame.height, label, [axes(frame, x, y, ticks), ...marks, meanLabels(means, x, y)].join('\n'));
  return figure('Accuracy against backward effort', picture, 'Top left is better. Small dots: single seeds; large dots: the mean, the bar is one standard deviation.');
}

function point(input: ReportInput, s: ReportSummary, index: number, x: (v: number) => number, y: (v: number) => number): string {
  const fill = `var(${colour(index)})`;
  const seeds = runsOf(input, s.method).filter((run) => run.accuracy !== undefined);
  const dots = seeds.map(
    (run) => `<circle cx="${px(x(run.effortBackward))}" cy="${px(y(run.accuracy as number))}" r="2.5" fill="${fill}" opacity=".55"/>`,
  );
  const centre = s.accuracyMean as number;
  const spreadOf = s.accuracyStd ?? 0;
  const [top, bottom] = [Math.max(y(centre + spreadOf), frame.top), Math.min(y(centre - spreadOf), frame.bottom)];
  const title = `${s.method}: ${percent(centre, 2)} \u00b1 ${(spreadOf * 100).toFixed(2)}, backward effort ${percent(s.effortBackward)}, total effort ${percent(s.effortTotal)}`;
  return `<g>${dots.join('')}<path d="M${px(x(s.effortBackward))} ${px(top)}V${px(bottom)}" stroke="${fill}" stroke-width="1.5"/>
<circle cx="${px(x(s.effortBackward))}" cy="${px(y(centre))}" r="5.5" fill="${fill}"><title>${escape(title)}</title></circle></g>`;
}

/** Names beside the means; means that coincide (dense and full have the same bits) share one label. */
function meanLabels(means: readonly ReportSummary[], x: (v: number) => number, y: (v: number) => number): string {
  const groups: { name: string; x: number; y: number }[] = [];
  for (const s of means) {
    const [atX, atY] = [x(s.effortBackward), y(s.accuracyMean as number)];
    const same = groups.find((g) => Math.abs(g.x - atX) < 6 && Math.abs(g.y - atY) < 6);
    if (same) same.name += `, ${s.method}`;
    else groups.push({ name: s.method, x: atX, y: atY });
  }
  const half = (frame.left + frame.right) / 2;
  const sides = [groups.filter((g) => g.x <= half), groups.filter((g) => g.x > half)];
  return sides
    .flatMap((side, right) => {
      const placed = spread(side.map((g) => g.y), 14, frame.top + 6, frame.bottom - 8);
      return side.map((g, i) => {
        const at = right ? g.x - 10 : g.x + 10;
        return `<text x="${px(at)}" y="${px(placed[i] as number)}" dy=".35em" text-anchor="${right ? 'end' : 'start'}">${escape(g.name)}</text>`;
      });
    })
    .join('\n');
}

/** What the curves show: test accuracy where it exists, else the training loss. */
function curveValue(input: ReportInput): { name: string; of: (epoch: ReportRun['history'][number]) => number | undefined; fraction: boolean } {
  const accuracy = input.runs.some((run) => run.history.some((e) => e.testAccuracy !== undefined));
  return accuracy
    ? { name: 'test accuracy, %', of: (e) => e.testAccuracy, fraction: true }
    : { name: 'training loss', of: (e) => e.trainLoss, fraction: false };
}

/** One line per method: the mean over the seeds; the band spans the lowest and the highest seed. */
export function curves(input: ReportInput): string {
  const value = curveValue(input);
  const series = input.summary.map((s) => perEpoch(runsOf(input, s.method), value.of));
  const all = series.flat();
  if (all.length === 0) return '';
  const epochs = Math.max(...all.map((p) => p.epoch));
  // The first epochs would squeeze the interesting part; what is cut off leaves the frame visibly at its edge.
  const lows = all.map((p) => p.low).sort((a, b) => a - b);
  const floor = value.fraction ? (lows[Math.floor(lows.length * 0.1)] as number) : (lows[0] as number);
  const bounds: [number, number] = value.fraction ? [0, 1] : [0, Infinity];
  const x = linear(1, Math.max(2, epochs), frame.left, frame.right, Math.min(6, epochs), [1, Math.max(2, epochs)]);
  const y = linear(floor, Math.max(...all.map((p) => p.high)), frame.bottom, frame.top, 5, bounds);
  const lines = series.map((points, i) => curve(points, colour(i), x, y, input.summary[i]?.method ?? '')).reverse();
  const yTick = value.fraction ? percentTicks(y.ticks) : (v: number): string => String(v);
  const whole = Object.assign((v: number) => x(v), { ticks: x.ticks.filter(Number.isInteger) });
  const clip = `<clipPath id="area"><rect x="${frame.left}" y="${frame.top - 4}" width="${frame.right - frame.left}" height="${frame.bottom - frame.top + 4}"/></clipPath>`;
  const label = `Learning curves: ${value.name} by epoch for ${input.summary.map((s) => s.method).join(', ')}`;
  const picture = svg(frame.width, frame.height, label, [
    clip,
    axes(frame, whole, y, { x: 'epoch', y: value.name, xTick: String, yTick }),
    `<g clip-path="url(#area)">${lines.join('\n')}</g>`,
  ].join('\n'));
  return figure('Learning curves', legend(input.summary.map((s) => s.method)) + picture, 'Lines: mean over the seeds; bands: lowest to highest seed.');
}

interface CurvePoint {
  epoch: number;
  low: number;
  mid: number;
  high: number;
}

function perEpoch(runs: readonly ReportRun[], of: (e: ReportRun['history'][number]) => number | undefined): CurvePoint[] {
  const byEpoch = new Map<number, number[]>();
  for (const entry of runs.flatMap((run) => run.history)) {
    const v = of(entry);
    if (v === undefined || !Number.isFinite(v)) continue;
    byEpoch.set(entry.epoch, [...(byEpoch.get(entry.epoch) ?? []), v]);
  }
  return [...byEpoch]
    .sort((a, b) => a[0] - b[0])
    .map(([epoch, v]) => ({ epoch, low: Math.min(...v), mid: mean(v) as number, high: Math.max(...v) }));
}

function curve(points: readonly CurvePoint[], variable: string, x: (v: number) => number, y: (v: number) => number, name: string): string {
  if (points.length === 0) return '';
  const path = (list: readonly CurvePoint[], of: (p: CurvePoint) => number): string => list.map((p) => `${px(x(p.epoch))} ${px(y(of(p)))}`).join('L');
  const band = `M${path(points, (p) => p.high)}L${path([...points].reverse(), (p) => p.low)}Z`;
  const dot = points.length === 1 ? `<circle cx="${px(x(points[0]?.epoch ?? 1))}" cy="${px(y(points[0]?.mid ?? 0))}" r="4" fill="var(${variable})"/>` : '';
  // dense and full have the same bits: dashes let the line below show.
  const dash = name === 'dense' ? ' stroke-dasharray="6 6"' : '';
  return `<g><title>${escape(name)}</title><path d="${band}" fill="var(${variable})" opacity=".15"/>
<path d="M${path(points, (p) => p.mid)}" fill="none" stroke="var(${variable})" stroke-width="2" stroke-linejoin="round"${dash}/>${dot}</g>`;
}

/** Horizontal bars of one quantity, one bar per method. */
function bars(caption: string, names: readonly string[], values: readonly number[], show: (v: number) => string, most: number, note: string): string {
  const [width, left, right, row] = [320, 74, 262, 26];
  const height = names.length * row + 8;
  const content = names.map((name, i) => {
    const value = values[i] as number;
    const length = Math.max(1, most > 0 && Number.isFinite(value) ? (value / most) * (right - left) : 0);
    const middle = i * row + row / 2 + 4;
    return `<text x="${left - 8}" y="${middle}" dy=".35em" text-anchor="end">${escape(name)}</text>
<rect x="${left}" y="${middle - 8}" width="${px(length)}" height="16" rx="2" fill="var(${colour(i)})"><title>${escape(`${name}: ${show(value)}`)}</title></rect>
<text x="${px(left + length + 6)}" y="${middle}" dy=".35em">${escape(show(value))}</text>`;
  });
  const label = `${caption}. ${names.map((name, i) => `${name}: ${show(values[i] as number)}`).join('; ')}`;
  return figure(caption, svg(width, height, label, content.join('\n')), note);
}

/** Bars for backward effort, total effort and time. */
export function effortBars(input: ReportInput): string {
  const names = input.summary.map((s) => s.method);
  const seconds = input.summary.map((s) => s.seconds);
  return [
    bars('Backward effort', names, input.summary.map((s) => s.effortBackward), (v) => percent(v), 1, 'Backward multiply-accumulates of the rows kept; dense training is 100 %.'),
    bars('Total effort', names, input.summary.map((s) => s.effortTotal), (v) => percent(v), 1, 'Forward and backward. The forward pass is always paid: this is the honest total.'),
    bars('Training time', names, seconds, duration, Math.max(...seconds), 'Measured on this machine, mean over the seeds, evaluation not included.'),
  ].join('\n');
}
