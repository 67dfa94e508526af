// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { main } from '../../../lib/cli/index';

/** What a command left behind. */
export interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** Runs a command in this process. `onErr` sees what goes to stderr as it comes. */
export async function tinyprop(args: readonly string[], onErr: (text: string) => void = () => undefined): Promise<Outcome> {
  const text = { out: '', err: '' };
  const code = await main(args, {
    stdout: { write: (s: string) => (text.out += s) },
    stderr: {
      write: (s: string) => {
        text.err += s;
        onErr(s);
      },
    },
  });
  return { code, ...text };
}

/** The document a command prints under `--json`. */
export async function json<T = Record<string, never>>(args: readonly string[]): Promise<T & { code: number }> {
  const { code, out, err } = await tinyprop([...args, '--json']);
  try {
    return { ...(JSON.parse(out) as T), code };
  } catch {
    throw new Error(`no JSON on stdout, exit code ${code}\nstdout: ${out}\nstderr: ${err}`);
  }
}

/** A folder that is gone after the tests of the file. */
export function scratch(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'tinyprop-cli-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  return (name) => join(folder, name);
}
