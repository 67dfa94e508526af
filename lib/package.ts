// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TinypropError } from './errors';

interface Manifest {
  readonly name: string;
  readonly version: string;
}

function manifestOf(folder: string): Manifest | null {
  const file = join(folder, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Manifest) : null;
}

/** The folder of this package; `lib/` (tests) and `dist/` (the package) lie at different depths below it. @internal */
export function packageRoot(): string {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    if (manifestOf(folder)?.name === 'tinyprop') return folder;
    if (dirname(folder) === folder) {
      const message = `${__dirname}: no package.json of tinyprop above it; the installation is incomplete`;
      throw new TinypropError('ERR_TINYPROP_FILE', message, { path: __dirname });
    }
  }
}

/** Version in the package.json of that folder. @internal */
export function packageVersion(root = packageRoot()): string {
  return manifestOf(root)?.version ?? 'unknown';
}
