// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const folder = join(__dirname, '..', '..', 'examples', 'node');

/** What the last line of each example must say; an example without a row fails. */
const expected: Readonly<Record<string, RegExp>> = {
  'train.mjs': /^accuracy 9\d\.\d %; the first test image is a \d$/,
  'stream.mjs': /^after 4314 samples of the stream, \d{2,4} of them trained: (8[5-9]|9\d)\.\d %$/,
  'finetune.mjs': /^10 classes: 9\d\.\d %/,
  'resume.mjs': /^the same bits$/,
};

describe('examples/node', () => {
  it.each(readdirSync(folder).filter((name) => !name.startsWith('.')))('%s runs', (name) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, name)], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.trim().split('\n').at(-1)).toMatch(expected[name] ?? /no expectation for this example/);
  });
});
