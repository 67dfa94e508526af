// SPDX-License-Identifier: Apache-2.0
// The report of a reproduction: one HTML file from its numbers; what is said of differences; notes; drawn by a browser.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { methods, type Notes, parseNotes, type Summary, TrialStore } from '../../../lib/reproduce';
import { markdown } from '../../../lib/reproduce/page';
import { overview } from '../../../lib/reproduce/tables';
import type { MethodSummary, RunSummary, SetSummary } from '../../../lib/reproduce/summary';
import { average, difference, unbeaten, verdicts } from '../../../lib/reproduce/verdict';
import { renderReproduction } from '../../../lib/report/reproduction';
import { scratch, tinyprop } from '../cli/harness';

const at = scratch();
const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => spawnSync(name, ['--version']).error === undefined);
const names = methods.map(({ name }) => name).filter((name) => name !== 'dense');
const command = ['reproduce', '--only', 'digits', '--seeds', '2', '--out', at('out')];

function runsOf(...accuracies: (number | null)[]): RunSummary[] {
  return accuracies.map((accuracy, i) => ({ seed: i + 1, trial: `t${i}`, accuracy, effortBackward: 0.08, effortTotal: 0.4 }));
}

function method(name: string, runs: RunSummary[], more: Partial<MethodSummary> = {}): MethodSummary {
  const { title } = methods.find((m) => m.name === name) as { title: string };
  const none = { accuracyMean: 0.9, accuracyStd: 0, effortBackward: 0.08, effortTotal: 0.4, trainedFraction: 0.3, rowsWorked: 0.05, difference: null, differenceError: null, paper: null, matched: null };
  return { name, title, runs, ...none, ...more };
}

function set(name: string, rows: MethodSummary[]): SetSummary {
  const protocol = { epochs: 1, warmup: 0, batch: 1, lr: 0.1 };
  return { name, title: name, remark: '', model: 'mlp:1-2', source: 'abc', data: { train: 10, test: 5, classes: 2 }, protocol, methods: rows };
}

const matched = { what: 'effortBackward' as const, target: 0.08, x: 0.1, within: true };

describe('a difference', () => {
  it('is of the seeds that both have, with the standard error of their mean', () => {
    const found = difference(runsOf(0.9, 0.92, null, 0.5), runsOf(0.88, 0.88, 0.9));
    expect(found).toMatchObject({ seeds: 2, certain: false });
    expect(found?.mean).toBeCloseTo(0.03, 12);
    expect(found?.error).toBeCloseTo(0.01, 12);
    expect(difference(runsOf(null), runsOf(0.5))).toBeNull();
    expect(difference(runsOf(0.6), runsOf(0.5))).toMatchObject({ error: null, certain: false });
  });

  it.each([
    // Mean 2, standard error 1 of 3 pairs: t is 4.30; of 20 pairs with the same ratio: 2.09.
    [3, 4.2, false],
    [3, 4.4, true],
    [20, 2.05, false],
    [20, 2.15, true],
  ])('of %i pairs is certain or not at %f standard errors', (pairs, errors, certain) => {
    const spread = Array.from({ length: pairs }, (_, i) => (i - (pairs - 1) / 2) / 1000);
    const deviation = Math.sqrt(spread.reduce((sum, v) => sum + v * v, 0) / (pairs - 1));
    const centre = (errors * deviation) / Math.sqrt(pairs);
    const found = difference(runsOf(...spread.map((v) => 0.5 + centre + v)), runsOf(...spread.map(() => 0.5)));
    expect(found?.certain).toBe(certain);
  });
});

describe('the verdict', () => {
  const full = method('full', runsOf(0.95, 0.96, 0.97, 0.9), { effortBackward: 1, paper: 0.96 });
  const good = set('good', [full, method('velocity', runsOf(0.9, 0.91, 0.92), { matched }), method('emp', runsOf(0.5), { matched: { ...matched, within: false } }), method('tinypropv2', runsOf(0.95, 0.961, 0.97, 0.9), { paper: 0.95 })]);
  const bad = set('bad', [full, method('velocity', runsOf(0.95, 0.96, 0.971), { matched }), method('meprop', runsOf(0.93, 0.94, 0.95), { matched }), method('tinypropv2', runsOf(0.929, 0.942, 0.949, 0.88), { effortBackward: 0.13 })]);

  it('names what is missed and by how much', () => {
    const [first, second] = verdicts([good, bad]);
    expect(first?.missed).toEqual([]);
    expect(first?.paper).toBeCloseTo(-0.01, 12);
    // -2.1, -1.8, -2.1, -2 points: 2.00 on average.
    expect(second?.missed).toEqual(['accuracy by 1.00', 'effort by 3.0']);
    expect(average(verdicts([good, bad]))).toMatchObject({ mean: expect.closeTo((0.00025 - 0.02) / 2, 9), paper: null });
    expect(verdicts([set('none', [full])])).toEqual([]);
  });

  it('counts sets on which a rival is ahead, ties apart', () => {
    expect(unbeaten(verdicts([good, bad]))).toEqual({ plainly: 1, certainly: 1 });
    const sheet = overview({ format: 2, budget: 'quick', sets: [good, bad], unfinished: 0, missing: [] }).find(({ title }) => title.includes('rivals'));
    expect(sheet?.rows).toEqual([
      ['good', 'Velocity +5.03 \u00b1 0.03', 'none', 'none', 'EMP +45.00 with 8.0'],
      ['bad', 'none', 'meProp 0.00 \u00b1 0.10', 'Velocity -2.03 \u00b1 0.12', 'none'],
    ]);
  });
});

describe('notes', () => {
  it('are sections by set', () => {
    expect(parseNotes('# Title\nabove\n## summary\n\nAll.\n\n* one\n## digits\r\nText\n', ['digits'])).toEqual({ summary: 'All.\n\n* one', digits: 'Text' });
    expect(parseNotes('', ['digits'])).toEqual({});
  });
  it.each([
    ['## digit\nText', /unknown section "digit"; valid: summary, digits/],
    ['## digits\n## digits\n', /twice section "digits"/],
  ])('%j is refused', (text, message) => {
    expect(() => parseNotes(text, ['digits'])).toThrow(message);
  });
});

describe('reproduce --report', () => {
  const notes: Notes = { summary: 'All & <sundry>.', digits: '* one `code`\n* **two**' };
  let html: string;
  let summary: Summary;
  const render = (change: Partial<Summary> = {}): Promise<string> => renderReproduction({ summary: { ...summary, ...change }, notes, read: (id) => new TrialStore(at('out')).get(id), command: 'tinyprop reproduce', program: 'tinyprop' });
  beforeAll(async () => {
    writeFileSync(at('notes.md'), '## summary\nAll & <sundry>.\n## digits\n* one `code`\n* **two**\n');
    expect(await tinyprop([...command, '--report', at('report.html'), '--notes', at('notes.md'), '-q'])).toMatchObject({ code: 0, err: '' });
    html = readFileSync(at('report.html'), 'utf8');
    summary = JSON.parse(readFileSync(at('out/summary.json'), 'utf8')) as Summary;
  });

  it('is one file without script, network or other files', () => {
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/<script|<link|<img|@import|url\((?!#c[0-9a-f]{12}-\d+\))|https?:|javascript:|\bon[a-z]+="|NaN|undefined|Infinity/i);
  });

  it('shows every method, the notes, all charts and the numbers behind them', () => {
    for (const { name, title } of methods) expect([name, html.includes(`>${title}</th>`)]).toEqual([name, names.includes(name)]);
    expect(html).toContain('<p>All &amp; &lt;sundry&gt;.</p>');
    expect(html).toContain('<ul><li>one <code>code</code></li><li><b>two</b></li></ul>');
    const captions = [...html.matchAll(/<figcaption>([^<]*)/g)].map(([, text]) => text);
    expect(captions).toEqual(['digits', 'Learning curves', 'Accuracy against backward effort', 'Accuracy against total effort', 'Rows that TinyPropv2 chose', 'Skip rate and effort of TinyPropv2', 'Confusion of TinyPropv2']);
    for (const [, label] of html.matchAll(/<svg [^>]*aria-label="([^"]*)"/g)) expect(label).toMatch(/\d %|classes/);
    const epochs = html.slice(html.indexOf('<summary>Epochs'));
    expect([...epochs.matchAll(/<th scope="row">(\d+)/g)].map(([, n]) => Number(n))).toEqual([1, 2, 3, 4, 5]);
  });

  it('frames of charts have names of their own', () => {
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of html.matchAll(/url\(#([^)]+)\)/g)) expect(ids).toContain(id);
  });

  it('gives the same bytes for the same input, and the same tables as the page of Markdown', async () => {
    const [once, twice] = [await render(), await render()];
    expect(once === twice).toBe(true); // toBe of the texts would print them
    const page = readFileSync(at('out/summary.md'), 'utf8');
    expect(page).toBe(markdown(summary, notes));
    for (const title of overview(summary).map((sheet) => sheet.title)) expect([title, html.includes(`<h2>${title}</h2>`), page.includes(`## ${title}\n`)]).toEqual([title, true, true]);
  });

  it('escapes names', async () => {
    const [first] = summary.sets as [SetSummary];
    const evil = '<script>&"\'|*';
    const page = await render({ sets: [{ ...first, title: evil, remark: evil }], missing: [{ set: evil, reason: evil }] });
    expect(page).not.toContain('<script');
    expect(page).toContain('&lt;script&gt;&amp;&quot;&#39;|*');
    expect(markdown({ ...summary, sets: [{ ...first, title: evil }] })).toContain('<script>&"\'\\|\\*');
  });

  it('says what is not finished, and shows a set of which every run failed', async () => {
    const [first] = summary.sets as [SetSummary];
    const lost = { accuracyMean: null, accuracyStd: null, effortBackward: null, effortTotal: null, trainedFraction: null, rowsWorked: null, difference: null };
    const failed = first.methods.map((m) => ({ ...m, ...lost, runs: m.runs.map((run) => ({ ...run, accuracy: null })) }));
    const page = await render({ sets: [{ ...first, methods: failed }], unfinished: 7 });
    expect(page).toContain('7 runs are not finished');
    expect(page).toContain('2, 2 diverged');
  });

  it.each([
    [['--report', at('no/folder.html')], /--report .*folder cannot be written/],
    [['--notes', at('none.md')], /cannot read .*none\.md/],
  ])('%j is refused before anything runs', async (args, message) => {
    const { code, err } = await tinyprop(['reproduce', '--only', 'digits', '--out', at('refused'), ...args]);
    expect([code, err]).toEqual([2, expect.stringMatching(message)]);
    expect(existsSync(at('refused/trials'))).toBe(false);
  });

  it('misses a trial that the summary names', async () => {
    const [id] = readdirSync(at('out/trials'));
    expect(() => new TrialStore(at('out')).get('0'.repeat(24))).toThrow(/is not there/);
    rmSync(join(at('out/trials'), id as string));
    expect((await tinyprop([...command, '--report', at('again.html'), '-q'])).code).toBe(0);
    expect(existsSync(join(at('out/trials'), id as string))).toBe(true);
  });

  // Drawn as a reader sees it: TinyPropv2's colour is in the bars, the curves, the heat map and the confusion matrix.
  it.skipIf(chromium === undefined)('is drawn by a browser', { timeout: 60_000 }, async () => {
    const picture = at('browser.png');
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--enable-logging=stderr', '--window-size=1040,8000'];
    const run = spawnSync(chromium as string, [...flags, `--screenshot=${picture}`, `file://${at('report.html')}`], { encoding: 'utf8', timeout: 50_000 });
    expect(run.stderr).not.toMatch(/CONSOLE/); // a refused style or a broken picture would be told here
    const { data, info } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const ink = { blue: 0, orange: 0, green: 0 };
    for (let i = 0; i < data.length; i += info.channels) {
      const [r, g, b] = [data[i] as number, data[i + 1] as number, data[i + 2] as number];
      if (r < 40 && b > 150) ink.blue++;
      if (r > 150 && g < 110 && b < 40) ink.orange++;
      if (r < 40 && g > 110 && b < 120) ink.green++;
    }
    expect(ink.blue).toBeGreaterThan(5000);
    expect(ink.orange).toBeGreaterThan(200); // TinyProp's curve and dots
    expect(ink.green).toBeGreaterThan(200); // random skip's
  });
});
