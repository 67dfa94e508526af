// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../../lib/cli/exit';
import { Output } from '../../../lib/cli/output';
import { textTable } from '../../../lib/cli/table';
import { errorCodes, TinypropError } from '../../../lib/errors';

function capture(isTTY = false): { streams: ConstructorParameters<typeof Output>[0]; text: { out: string; err: string } } {
  const text = { out: '', err: '' };
  return {
    text,
    streams: { stdout: { write: (s: string) => (text.out += s) }, stderr: { write: (s: string) => (text.err += s), isTTY, columns: 80 } },
  };
}

describe('Output', () => {
  it('keeps data and remarks apart', () => {
    const { streams, text } = capture();
    const out = new Output(streams, {});
    out.text('data');
    out.note('remark');
    out.document({ a: 1 });
    out.event({ b: 2 });
    expect(text).toEqual({ out: 'data\n', err: 'remark\n' });
  });

  it('prints one document under --json and only lines under --jsonl', () => {
    const one = capture();
    const json = new Output(one.streams, { json: true });
    json.text('table');
    json.event({ b: 2 });
    json.document({ accuracy: Number.NaN, row: Uint32Array.of(1, 2) });
    expect(JSON.parse(one.text.out)).toEqual({ accuracy: null, row: [1, 2] });
    const two = capture();
    const jsonl = new Output(two.streams, { jsonl: true });
    jsonl.event({ b: 2 });
    jsonl.text('table');
    jsonl.document({});
    expect(two.text.out).toBe('{"b":2}\n');
  });

  it('is silent but for errors under --quiet', () => {
    const { streams, text } = capture(true);
    const out = new Output(streams, { quiet: true });
    out.note('remark');
    out.status('50 %');
    out.error('broken');
    expect(text.err).toBe('broken\n');
  });

  it('animates on a terminal only, and clears the line before anything else', () => {
    const plain = capture(false);
    new Output(plain.streams, {}).status('50 %');
    expect(plain.text.err).toBe('');
    const terminal = capture(true);
    const out = new Output(terminal.streams, {});
    out.status('50 %');
    out.note('done');
    expect(terminal.text.err).toBe('\r\x1b[2K50 %\r\x1b[2Kdone\n');
  });
});

describe('columns', () => {
  it('is 80 where the terminal does not say', () => {
    const { streams } = capture(true);
    expect(new Output({ ...streams, stderr: { write: () => true, columns: 0 } }, {}).columns).toBe(80);
  });
});

describe('textTable', () => {
  it('aligns numbers to the right and leaves no trailing blanks', () => {
    expect(textTable([{ head: 'name' }, { head: 'n', number: true }, { head: 'x' }], [['a', '1', ''], ['long', '100', 'y']])).toBe(
      'name    n  x\n----  ---  -\na       1\nlong  100  y',
    );
  });
});

describe('exitCodeOf', () => {
  it('has a code for every error code', () => {
    for (const code of Object.keys(errorCodes) as (keyof typeof errorCodes)[]) {
      expect([1, 2, 3, 4, 5, 6, 130]).toContain(exitCodeOf(new TinypropError(code, '')));
    }
  });

  it('tells a missing file from a damaged one', () => {
    const missing = new TinypropError('ERR_TINYPROP_FILE', '', {}, Object.assign(new Error(), { code: 'ENOENT' }));
    expect(exitCodeOf(missing)).toBe(2);
    expect(exitCodeOf(new TinypropError('ERR_TINYPROP_FILE', ''))).toBe(6);
    expect(exitCodeOf(new Error('?'))).toBe(1);
  });
});
