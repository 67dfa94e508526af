// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bytes, count, deviation, duration, loss, mean, percent, points } from '../../../lib/report/format';
import { escape } from '../../../lib/report/html';
import { renderReport, type ReportInput } from '../../../lib/report/index';
import { linear, spread } from '../../../lib/report/svg';

const methods: Record<string, [accuracy: number, backward: number]> = { dense: [0.97, 1], full: [0.97, 1], meprop: [0.95, 0.13], tinypropv2: [0.969, 0.08] };

function sample(change: Partial<ReportInput> = {}): ReportInput {
  const runs = Object.entries(methods).flatMap(([method, [accuracy, effortBackward]]) =>
    [1, 2, 3].map((seed) => ({
      method,
      seed,
      accuracy: accuracy + (seed - 2) * 0.004,
      loss: 0.1,
      effortBackward,
      effortTotal: 0.33 + 0.67 * effortBackward,
      trainedFraction: 1,
      rowsWorked: effortBackward / 4,
      seconds: seed,
      history: [1, 2, 3].map((epoch) => ({ epoch, trainLoss: 1 / epoch, testAccuracy: accuracy - 0.1 / epoch })),
    })),
  );
  const summary = Object.entries(methods).map(([method, [accuracyMean, effortBackward]]) => ({
    method,
    accuracyMean,
    accuracyStd: 0.004,
    lossMean: 0.1,
    effortBackward,
    effortTotal: 0.33 + 0.67 * effortBackward,
    seconds: 2,
  }));
  return { title: 'A report', facts: [['Data', 'digits']], summary, runs, command: 'tinyprop demo', program: 'tinyprop 0.1.0', ...change };
}

/** Checks nesting of all tags, as a parser of well-formed markup would. */
function unclosed(html: string): string[] {
  const open: string[] = [];
  for (const [tag, closing, name] of html.replace(/<style>[\s\S]*<\/style>/, '').matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*>/g)) {
    if (tag.endsWith('/>') || name === 'meta') continue;
    if (!closing) open.push(name as string);
    else if (open.pop() !== name) return [`</${name}>`];
  }
  return open;
}

describe('renderReport', () => {
  it('is one closed document without script, network or other files', () => {
    const html = renderReport(sample());
    expect(unclosed(html)).toEqual([]);
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/<script|<link|<img|@import|url\((?!#)|https?:|javascript:| on[a-z]+=/i);
  });

  it('prints no NaN, undefined or Infinity', () => {
    expect(renderReport(sample())).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('shows every method with accuracy, spread, difference and efforts', () => {
    const html = renderReport(sample());
    expect(html).toContain('96.90 % \u00b1 0.40');
    const row = html.slice(html.indexOf('>tinypropv2</th>'), html.indexOf('</tr>', html.indexOf('>tinypropv2</th>')));
    expect([...row.matchAll(/<td class="n">([^<]*)/g)].map((m) => m[1])).toEqual(['96.90 % \u00b1 0.40', '-0.10', '0.1', '8.0 %', '2.0 %', '38.4 %', '100.0 %', '2.00 s']);
  });

  it('labels coinciding means once', () => {
    expect(renderReport(sample())).toContain('>dense, full</text>');
  });

  it('places a point where its numbers say', () => {
    const html = renderReport(sample());
    // The area is 48 .. 408 wide for 0 .. 100 % effort: 8 % lies at 76.8.
    expect(html).toMatch(/<circle cx="76\.8" cy="[0-9.]+" r="5\.5"/);
  });

  it('escapes every text', () => {
    const evil = `<b onclick="x">&'`;
    const base = sample();
    const html = renderReport({
      title: evil,
      facts: [[evil, evil]],
      command: evil,
      program: evil,
      summary: base.summary.map((s) => ({ ...s, method: evil })),
      runs: base.runs.map((r) => ({ ...r, method: evil })),
    });
    expect(html).not.toContain('<b onclick');
    expect(html).toContain(escape(evil));
    expect(unclosed(html)).toEqual([]);
  });

  it('gives the same bytes for the same input', () => {
    expect(renderReport(sample())).toBe(renderReport(sample()));
  });

  it('shows losses where there is no accuracy', () => {
    const base = sample();
    const html = renderReport({
      ...base,
      summary: base.summary.map((s) => ({ ...s, accuracyMean: undefined, accuracyStd: undefined })),
      runs: base.runs.map((r) => ({ ...r, accuracy: undefined, history: r.history.map(({ epoch, trainLoss }) => ({ epoch, trainLoss })) })),
    });
    expect(html).not.toContain('Accuracy against backward effort');
    expect(html).toContain('training loss');
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });

  it.each([
    ['one run of one epoch', (i: ReportInput): ReportInput => ({ ...i, summary: i.summary.slice(0, 1), runs: i.runs.slice(0, 1).map((r) => ({ ...r, history: r.history.slice(0, 1) })) })],
    ['no history', (i: ReportInput): ReportInput => ({ ...i, runs: i.runs.map((r) => ({ ...r, history: [] })) })],
    ['equal accuracies', (i: ReportInput): ReportInput => ({ ...i, runs: i.runs.map((r) => ({ ...r, accuracy: 1 })), summary: i.summary.map((s) => ({ ...s, accuracyMean: 1, accuracyStd: 0 })) })],
    ['no time', (i: ReportInput): ReportInput => ({ ...i, summary: i.summary.map((s) => ({ ...s, seconds: 0 })) })],
  ])('survives %s', (_name, change) => {
    const html = renderReport(change(sample()));
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
    expect(unclosed(html)).toEqual([]);
  });
});

describe('format', () => {
  it.each([
    [percent(0.0761), '7.6 %'],
    [percent(undefined), '-'],
    [percent(Number.NaN), '-'],
    [points(-0.0009), '-0.09'],
    [points(0.00001), '0.00'],
    [points(-0.00001), '0.00'],
    [points(0.01), '+1.00'],
    [duration(0.25), '0.25 s'],
    [duration(59.96), '1:00'],
    [duration(3725), '1:02:05'],
    [duration(Number.NaN), '-'],
    [bytes(976), '976 B'],
    [bytes(12_600), '12.3 KiB'],
    [bytes(1_258_291), '1.20 MiB'],
    [count(1_437_000), '1\u00a0437\u00a0000'],
    [loss(0.123456), '0.1235'],
  ])('%s is %s', (found, expected) => expect(found).toBe(expected));

  it('takes mean and sample deviation of the finite values', () => {
    expect(mean([1, 2, undefined, 3, Number.NaN])).toBe(2);
    expect(mean([])).toBeUndefined();
    expect(deviation([1, 2, 3])).toBe(1);
    expect(deviation([5])).toBe(0);
  });
});

describe('linear', () => {
  it('widens to whole steps inside the bounds', () => {
    const scale = linear(0.955, 0.976, 0, 100, 5, [0, 1]);
    expect(scale.ticks).toEqual([0.955, 0.96, 0.965, 0.97, 0.975, 0.98]);
    expect(scale(0.955)).toBeCloseTo(0);
    expect(scale(0.98)).toBeCloseTo(100);
    expect(linear(0.9, 1, 0, 100, 5, [0, 1]).ticks.at(-1)).toBe(1);
  });

  it('handles a single value', () => {
    expect(Number.isFinite(linear(1, 1, 0, 100, 5)(1))).toBe(true);
  });
});

describe('spread', () => {
  it('separates labels, keeps their order and stays inside', () => {
    const placed = spread([50, 52, 51, 10], 14, 0, 100);
    const sorted = [...placed].sort((a, b) => a - b);
    for (let i = 1; i < sorted.length; i++) expect((sorted[i] as number) - (sorted[i - 1] as number)).toBeGreaterThanOrEqual(14 - 1e-9);
    expect(placed[0]).toBeLessThan(placed[2] as number);
    expect(placed[2]).toBeLessThan(placed[1] as number);
    expect(Math.max(...spread([99, 99, 99], 14, 0, 100))).toBeLessThanOrEqual(100);
  });
});
