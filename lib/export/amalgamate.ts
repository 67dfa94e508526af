// SPDX-License-Identifier: Apache-2.0
import { posix } from 'node:path';
import { TinypropError } from '../errors';
import type { FileTree } from './sources';

const header = 'include/tinyprop.h';

/** True if an include guard spans the file: its first directive opens what its last line closes. */
function isGuarded(source: string): boolean {
  const directives = source.split('\n').filter((line) => /^\s*#/.test(line));
  const [, name] = /^#ifndef (\w+)$/.exec(directives[0] ?? '') ?? [];
  if (name === undefined || directives[1] !== `#define ${name}`) return false;
  let depth = 0;
  const closes = directives.findIndex((line) => {
    if (/^\s*#\s*if/.test(line)) depth++;
    return /^\s*#\s*endif/.test(line) && --depth === 0;
  });
  return closes === directives.length - 1;
}

/**
 * The library as `tinyprop.c` and `tinyprop.h`: `csrc/tinyprop.c` with every `#include "..."` replaced by the file. Files with an
 * include guard appear once, lists and kernels as often as they are included. What `tinyprop.c` needs is two files and, beside them
 * or on the include path, `tinyprop_config.h`.
 *
 * @internal
 */
export function amalgamate(core: FileTree): { 'tinyprop.c': string; 'tinyprop.h': string } {
  const text = (path: string): string => {
    const bytes = core[path];
    if (bytes === undefined) throw new TinypropError('ERR_TINYPROP_FILE', `the C sources of this package are incomplete: ${path} is missing`, { path });
    return typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes);
  };
  const seen = new Set<string>();
  const expand = (path: string): string[] => {
    const source = text(path);
    if (isGuarded(source)) {
      if (seen.has(path)) return [];
      seen.add(path);
    }
    return source.trimEnd().split('\n').flatMap((line) => {
      const [, indent, name] = /^(\s*)#\s*include\s+"([^"]+)"/.exec(line) ?? [];
      if (name === undefined) return line.startsWith('/* SPDX-License-Identifier') ? [] : [line];
      const target = posix.join(posix.dirname(path), name);
      return target === header ? [`${indent ?? ''}#include "tinyprop.h"`] : expand(target);
    });
  };
  const lines = [
    '/* SPDX-License-Identifier: Apache-2.0 */',
    '/* tinyprop in one file, made from csrc/tinyprop.c by `tinyprop firmware export`: do not edit. */',
    '#ifndef TP_CONFIG_HEADER',
    '#define TP_CONFIG_HEADER "tinyprop_config.h"',
    '#endif',
    ...expand('tinyprop.c'),
  ];
  return { 'tinyprop.c': `${lines.join('\n')}\n`, 'tinyprop.h': text(header) };
}
