// SPDX-License-Identifier: Apache-2.0
// The public headers alone, under every compiler and language that firmware projects use.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const include = join(__dirname, '..', '..', 'csrc', 'include');
const flags = ['-fsyntax-only', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wold-style-cast', '-Wundef', '-Werror'];
const sources: Record<string, string> = {
  'tinyprop.h': `#include "tinyprop.h"
#include "tinyprop.h"
int main(void) { tp_recipe r = tp_recipe_default(); return r.batch == 1 && TP_OK == 0 ? 0 : 1; }
`,
  'tinyprop_log.h': `#include "tinyprop_log.h"
#include "tinyprop_log.h"
int main(void) { tp_log log; log.flags = TP_LOG_INDEX; return tp_log_begin(&log, NULL) == TP_E_ARG && log.flags != TP_LOG_SAMPLES ? 0 : 1; }
`,
  'tinyprop_store.h': `#include "tinyprop_store.h"
#include "tinyprop_store.h"
int main(void) { tp_store_policy p = {0, 0, 0.0f, 0}; return tp_store_due(NULL, &p, 0.0f) == TP_STORE_SOON ? 0 : 1; }
`,
};

const rows: [compiler: string, language: string, standard: string][] = [
  ['gcc', 'c', 'c11'],
  ['clang', 'c', 'c11'],
  ['g++', 'c++', 'c++17'],
  ['clang++', 'c++', 'c++17'],
  ['g++', 'c++', 'c++11'],
];

describe.each(Object.entries(sources))('csrc/include/%s', (_header, source) => {
  for (const [compiler, language, standard] of rows) {
    const missing = spawnSync(compiler, ['--version']).error !== undefined;
    const only = language === 'c' ? flags.filter((flag) => flag !== '-Wold-style-cast') : flags;
    it.skipIf(missing)(`compiles alone as ${standard} with ${compiler}${missing ? ' (not installed)' : ''}`, () => {
      const result = spawnSync(compiler, [...only, `-std=${standard}`, `-I${include}`, '-x', language, '-'], {
        input: source,
        encoding: 'utf8',
      });
      expect(result.stderr).toBe('');
      expect(result.status).toBe(0);
    });
  }

  it('does not compile without itself', () => {
    const result = spawnSync('cc', ['-fsyntax-only', '-std=c11', '-x', 'c', '-'], { input: source, encoding: 'utf8' });
    expect(result.status).not.toBe(0);
  });
});
