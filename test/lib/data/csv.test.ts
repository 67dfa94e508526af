// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadData } from '../../../lib/data';
import { CsvParser } from '../../../lib/data/csv';
import { failure, scratchFolder } from './helpers';

const scratch = scratchFolder();

function write(text: string): string {
  const file = path.join(scratch, 'data.csv');
  fs.writeFileSync(file, text);
  return `csv:${file}`;
}

function parse(pieces: string[]): string[][] {
  const records: string[][] = [];
  const parser = new CsvParser('test.csv', (fields) => records.push(fields));
  for (const piece of pieces) parser.push(piece);
  parser.end();
  return records;
}

describe('CsvParser', () => {
  it('reads quotes, doubled quotes, line ends within quotes, CRLF and a last line without end', () => {
    expect(parse(['a,"b, c","d ""e"""\r\n1,,"x\ny"\r\n\r\n2,3,""'])).toEqual([
      ['a', 'b, c', 'd "e"'],
      ['1', '', 'x\ny'],
      ['2', '3', ''],
    ]);
  });

  it('gives the same records however the text is cut', () => {
    const field = fc.string({ unit: fc.constantFrom('a', '1', ',', '"', '\n', ' '), maxLength: 6 });
    const table = fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(table, fc.array(fc.nat(60), { maxLength: 5 }), (rows, cuts) => {
        const text = rows.map((row) => row.map((value) => `"${value.replaceAll('"', '""')}"`).join(',')).join('\n');
        const at = [4, ...cuts.map((cut) => Math.min(cut + 4, text.length)), text.length].sort((a, b) => a - b);
        const pieces = at.map((end, i) => text.slice(i === 0 ? 0 : at[i - 1], end));
        // The first piece must show the delimiter; quoted text never does, so it is found as a comma.
        expect(parse(pieces)).toEqual(rows);
      }),
    );
  });
});

describe('csv:FILE', () => {
  it('reads class names in sorted order, with a header, standardised per column', async () => {
    const { train, test, normalization } = await loadData(write('len,width,kind\n1,10,rose\n3,30,"lily, white"\n1,10,rose\n3,30,"lily, white"\n'));
    expect(train.classes).toEqual(['lily, white', 'rose']);
    expect([train.n, test?.n, train.inputShape]).toEqual([2, 2, [2]]);
    expect(normalization).toEqual({ mode: 'standard', scale: 1, mean: [2, 20], std: [1, 10] });
    for (let i = 0; i < 2; i++) expect(train.x[2 * i]).toBe(train.labels?.[i] === 1 ? -1 : 1);
  });

  it('takes integers as class indices and fractions as a regression target', async () => {
    const classes = await loadData(write('1;2;0\n3;4;2\n5;6;0\n7;8;2\n'), { normalize: 'none' });
    expect(new Set(classes.train.labels)).toEqual(new Set([0, 2]));
    expect(classes.notices.join()).toMatch(/only 2 of these 3 classes/);
    const regression = await loadData(write('1,2,0.5\n3,4,1\n5,6,2\n'), { normalize: 'none' });
    expect(regression.train.targetSize).toBe(1);
    expect(regression.train.labels).toBeUndefined();
  });

  it('sees a BOM, tabs and negative labels as names', async () => {
    const { train } = await loadData(write('\ufeff1\t-1\n2\t1\n3\t-1\n4\t1\n'));
    expect(train.classes).toEqual(['-1', '1']);
  });

  it.each([
    ['a ragged line', '1,2,0\n1,2\n', 'ERR_TINYPROP_FILE', /line 2: expected 3 fields, found 2/],
    ['a word among numbers', '1,2,0\n1,two,1\n', 'ERR_TINYPROP_FILE', /line 2, column 2: expected a number, found 'two'/],
    ['a missing value', 'a,b,y\n1,,0\n', 'ERR_TINYPROP_FILE', /line 2, column 2/],
    ['NaN', '1,2,0\nnan,2,1\n', 'ERR_TINYPROP_FILE', /line 2, column 1.*nan/],
    ['a number beyond float32', '1,2,0\n1e39,2,1\n', 'ERR_TINYPROP_FILE', /1e39/],
    ['an empty label', '1,2,0\n1,2,\n', 'ERR_TINYPROP_LABEL', /line 2: the label/],
    ['an open quote', '1,2,"a\n1,2,b\n', 'ERR_TINYPROP_FILE', /line 1, column 3: a quoted field is never closed/],
    ['text after a quote', '1,2,"a"b\n', 'ERR_TINYPROP_FILE', /closing quote/],
    ['one column', '1\n2\n', 'ERR_TINYPROP_FILE', /line 1: expected at least one number and a label/],
    ['no samples', 'a,b\n', 'ERR_TINYPROP_FILE', /no samples/],
    ['nothing', '', 'ERR_TINYPROP_FILE', /no samples/],
  ] as const)('refuses %s', async (_what, text, code, message) => {
    expect((await failure(() => loadData(write(text)), code)).message).toMatch(message);
  });

  it('gives up on an open quote before it has read everything', async () => {
    expect((await failure(() => loadData(write(`1,"${'x'.repeat(100000)}`)), 'ERR_TINYPROP_FILE')).message).toMatch(/longer than 65536/);
  });

  it('counts lines through quoted line ends', async () => {
    const error = await failure(() => loadData(write('1,"a\nb"\n2,"c"\nx,"d"\n')), 'ERR_TINYPROP_FILE');
    expect(error.message).toMatch(/line 4, column 1/);
  });
});
