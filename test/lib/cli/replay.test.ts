// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { json, scratch, tinyprop } from './harness';

const file = scratch();
const digits = ['--data', 'digits', '--limit', '200'];

describe('replay', () => {
  it('finds a recorded training identical, and the step that is not', async () => {
    const [log, model] = [file('a.log'), file('a.tpm')];
    const trained = await tinyprop(['train', ...digits, '--model', 'mlp:64-16-10', '--epochs', '2', '--batch', '3', '--out', model, '--record', log]);
    expect(trained.code).toBe(0);
    const same = await tinyprop(['replay', log, '--model', model, ...digits]);
    expect(same).toMatchObject({ code: 0, err: '' });
    expect(same.out).toContain('134 steps identical');
    expect(await json(['replay', log, '--model', model, ...digits])).toMatchObject({ code: 0, steps: 134, hashed: 134, identical: true, difference: null, rest: null });

    const other = await tinyprop(['replay', log, '--model', model, '--data', 'digits', '--normalize', 'standard']);
    expect(other.code).toBe(2);

    const bytes = readFileSync(log);
    writeFileSync(log, bytes.subarray(0, bytes.length - 30));
    const cut = await tinyprop(['replay', log, '--model', model, ...digits]);
    expect(cut.code).toBe(0);
    expect(cut.out).toContain('133 steps identical');
    expect(cut.err).toContain('the log was cut off');

    bytes.writeUInt8(bytes.readUInt8(3000) ^ 1, 3000);
    writeFileSync(log, bytes);
    expect(await tinyprop(['replay', log, '--model', model, ...digits])).toMatchObject({ code: 6 });

    const wrong = file('b.tpm');
    await tinyprop(['train', ...digits, '--model', 'mlp:64-17-10', '--epochs', '1', '--out', wrong, '-q']);
    expect(await json(['replay', log, '--model', wrong, ...digits])).toMatchObject({ code: 5, error: { code: 'ERR_TINYPROP_MISMATCH' } });
    expect(await json(['replay', log, '--model', model])).toMatchObject({ code: 2, error: { code: 'ERR_TINYPROP_ARG' } });
  });

  it('names the first step when the data are others', async () => {
    const [log, model] = [file('c.log'), file('c.tpm')];
    await tinyprop(['train', ...digits, '--model', 'mlp:64-16-10', '--epochs', '1', '--normalize', 'none', '--out', model, '--record', log, '-q']);
    const elsewhere = await tinyprop(['replay', log, '--model', model, '--data', 'digits', '--limit', '359', '--split', 'test']);
    expect(elsewhere.code).toBe(5);
    expect(elsewhere.out).toMatch(/^step 1 differs: stats: the log has [0-9a-f]{16}, this machine [0-9a-f]{16}, sample \d+; 0 steps before it are identical\n$/);
  });

  it('records the samples themselves with --augment, and nothing that no file could start', async () => {
    const [log, model] = [file('d.log'), file('d.tpm')];
    await tinyprop(['train', ...digits, '--model', 'mlp:64-16-10', '--epochs', '1', '--augment', 'noise:.1', '--out', model, '--record', log, '-q']);
    expect((await tinyprop(['replay', log, '--model', model])).out).toContain('200 steps identical');
    const refused = await json(['train', ...digits, '--init', model, '--replace-head', '10', '--epochs', '1', '--record', log]);
    expect(refused).toMatchObject({ code: 2, error: { code: 'ERR_TINYPROP_SPEC' } });
  });
});
