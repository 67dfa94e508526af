// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { firmwareTargets } from '../../lib/index';

const text = readFileSync(join(__dirname, '..', '..', 'examples', 'firmware', 'README.md'), 'utf8');

describe('examples/firmware', () => {
  it('shows every target that there is, and no other', () => {
    const shown = [...text.matchAll(/^\| [^|]+ \| `([a-z-]+)` \|/gm)].map(([, target]) => target as string);
    expect([...new Set(shown)].sort()).toEqual([...firmwareTargets].sort());
  });
});
