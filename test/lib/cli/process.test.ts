// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratch } from './harness';

const bin = join(__dirname, '..', '..', '..', 'bin', 'tinyprop.js');
const file = scratch();

/** Runs the installed program as a process of its own. */
function start(args: readonly string[], onErr: (text: string, kill: () => void) => void = () => undefined): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (text.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => {
    text.err += chunk.toString();
    onErr(text.err, () => child.kill('SIGINT'));
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...text }));
  });
}

describe('the program', () => {
  it('exits with the code of the command', async () => {
    expect(await start(['info', '--json'])).toMatchObject({ code: 0, err: '' });
    expect((await start(['tran'])).code).toBe(2);
  });

  it('stops at Ctrl-C with a file that can be resumed', async () => {
    const path = file('stopped.tpm');
    const args = ['train', '--data', 'digits', '--model', 'mlp:64-512-512-10', '--policy', 'dense', '--epochs', '500', '--out', path];
    let sent = false;
    const stopped = await start(args, (err, kill) => {
      if (!sent && err.includes('epoch ')) {
        sent = true;
        kill();
      }
    });
    expect(stopped.code).toBe(130);
    expect(stopped.err).toContain('continue with: tinyprop train --resume');
    expect(existsSync(path)).toBe(true);
    const info = await start(['info', path, '--json']);
    const { progress } = JSON.parse(info.out) as { progress: { samples: number } };
    expect(progress.samples).toBeGreaterThan(0);
    expect(progress.samples).toBeLessThan(500 * 1438);
  });

  it('stops a reproduction at Ctrl-C; the same command goes on', async () => {
    const args = ['reproduce', '--only', 'digits', '--budget', 'standard', '--seeds', '8', '--methods', 'full,tinypropv2', '--out', file('reproduction')];
    let sent = false;
    const stopped = await start(args, (err, kill) => {
      if (!sent && err.includes('accuracy')) {
        sent = true;
        kill();
      }
    });
    expect(stopped.code).toBe(130);
    expect(stopped.err).toContain('the same command goes on from there');
    const done = readdirSync(join(file('reproduction'), 'trials'));
    expect(done.length).toBeGreaterThanOrEqual(1);
    expect(done.length).toBeLessThan(16);
    const rest = await start(args);
    expect(rest.code).toBe(0);
    expect(rest.err.match(/accuracy/g)?.length).toBe(16 - done.length);
  });

  it('ends quietly when its reader has enough', async () => {
    const path = file('pipe.tpm');
    await start(['train', '--data', 'digits', '--model', 'mlp:64-10', '--epochs', '1', '--out', path]);
    const child = spawn(process.execPath, [bin, 'predict', '--model', path, '--data', 'digits', '--split', 'train', '--jsonl'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect([code, err]).toEqual([0, '']);
  });

  it('says in package.json where it is', () => {
    const manifest = JSON.parse(readFileSync(join(bin, '..', '..', 'package.json'), 'utf8')) as { bin: Record<string, string> };
    expect(manifest.bin['tinyprop']).toBe('bin/tinyprop.js');
  });
});
