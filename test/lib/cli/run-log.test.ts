// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { json, scratch, tinyprop } from './harness';

const at = scratch();
const train = ['train', '--data', 'digits', '--model', 'mlp:64-32-10', '--epochs', '3', '--limit', '300', '-q'];
const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => spawnSync(name, ['--version']).error === undefined);

describe('train --metrics', () => {
  it('writes the run, every epoch and the result, each a line', async () => {
    const file = at('metrics.jsonl');
    const { accuracy } = await json<{ accuracy: number }>([...train, '--metrics', file]);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => line['type'])).toEqual(['run', 'epoch', 'epoch', 'epoch', 'result']);
    expect(lines[0]).toMatchObject({ model: 'mlp:64-32-10', policy: 'tinypropv2', seed: 1, epochs: 3, layers: ['fc1', 'fc2'] });
    const k = lines[3]?.['k'] as number[];
    expect(k).toHaveLength(2);
    expect(k[0]).toBeGreaterThan(0);
    expect(k[0]).toBeLessThan(1);
    expect(k[1]).toBe(1);
    expect(lines[4]).toMatchObject({ accuracy, epochs: 3 });
  });

  it('goes on in the same file when the run is resumed', async () => {
    const [file, model] = [at('resumed.jsonl'), at('resumed.tpm')];
    const controller = tinyprop([...train.filter((flag) => flag !== '-q'), '--epochs', '400', '--metrics', file, '--out', model], (text) => {
      if (text.includes('epoch') || text.includes('accuracy')) process.emit('SIGINT');
    });
    expect((await controller).code).toBe(130);
    const before = readFileSync(file, 'utf8').trimEnd().split('\n').length;
    await tinyprop(['train', '--data', 'digits', '--resume', model, '--metrics', file, '-q']);
    const types = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types.slice(before)[0]).toBe('run');
    expect(types.filter((type) => type === 'epoch').length).toBe(400);
    expect(types.at(-1)).toBe('result');
  });

  it('refuses a place that cannot be written before anything is trained', async () => {
    const { code, err } = await tinyprop([...train, '--metrics', at('no/such/folder.jsonl')]);
    expect(code).toBe(2);
    expect(err).toContain('--metrics');
  });
});

describe('train --tensorboard', () => {
  it('writes a file of curves', async () => {
    await tinyprop([...train, '--tensorboard', at('board')]);
    const [file, ...more] = readdirSync(at('board'));
    expect(more).toEqual([]);
    expect(file).toMatch(/^events\.out\.tfevents\.\d{10}\./);
    const text = readFileSync(at(`board/${file}`), 'latin1');
    for (const tag of ['loss/train', 'accuracy/test', 'effort/backward', 'k/fc1', 'k/fc2']) expect(text.split(tag)).toHaveLength(4);
  });
});

describe('train --report', () => {
  it('writes one page without script or network, with every chart', async () => {
    const file = at('report.html');
    const { code, err } = await tinyprop([...train.slice(0, -1), '--report', file]);
    expect(code).toBe(0);
    expect(err).toContain(`report: ${file}`);
    const html = readFileSync(file, 'utf8');
    expect(html.match(/<figure>/g)).toHaveLength(5);
    expect(html.match(/<svg /g)).toHaveLength(5);
    expect(html.replace(/<pre>.*?<\/pre>/gs, '')).not.toMatch(/<script|<link|<img|@import|https?:|javascript:| on[a-z]+=|NaN|undefined/i);
    for (const name of ['Accuracy', 'Loss', 'Work', 'Rows chosen', 'Confusion']) expect(html).toContain(`<figcaption>${name}</figcaption>`);
  });

  it('escapes what data and paths bring along', async () => {
    const csv = at('evil.csv');
    writeFileSync(csv, `a,b,label\n${Array.from({ length: 40 }, (_, i) => `${i % 7},${i % 3},${i % 2 ? '<script>x</script>' : '"a ""b"" & c"'}`).join('\n')}\n`);
    const file = at('evil.html');
    const { code, err } = await tinyprop(['train', '--data', `csv:${csv}`, '--model', 'mlp:2-4-2', '--epochs', '2', '--report', file, '-q']);
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(readFileSync(file, 'utf8')).not.toContain('<script');
  });

  // Drawn by a browser as a reader sees it: every chart has ink of its own inside its frame.
  it.skipIf(chromium === undefined)('is drawn by a browser', { timeout: 60_000 }, async () => {
    const [file, picture] = [at('browser.html'), at('browser.png')];
    await tinyprop([...train, '--report', file]);
    const run = spawnSync(chromium as string, ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--enable-logging=stderr', '--window-size=1000,1700', `--screenshot=${picture}`, `file://${file}`], { encoding: 'utf8', timeout: 50_000 });
    expect(run.stderr).not.toMatch(/CONSOLE/); // a refused style or a broken picture would be told here
    const { data, info } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    let blue = 0;
    for (let i = 0; i < data.length; i += info.channels) if ((data[i] as number) < 40 && (data[i + 2] as number) > 150) blue++;
    expect(blue).toBeGreaterThan(5000); // the diagonal of the confusion matrix and the last layer's rows, in the first colour
  });
});
