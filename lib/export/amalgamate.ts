// SPDX-License-Identifier: Apache-2.0
import { posix } from 'node:path';
import { TinypropError } from '../errors';
import { type FileTree, pathsOf } from './sources';

/** Headers that programs include; the porting header is the library's own. */
const isPublic = (path: string): boolean => path.startsWith('include/') && path !== 'include/tinyprop_port.h';

/** Names of the public headers. @internal */
export function publicHeaders(core: FileTree): string[] {
  return pathsOf(core).filter(isPublic).map((path) => posix.basename(path));
}

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
 * The library as `tinyprop.c` and its public headers: `csrc/tinyprop.c` with every `#include "..."` replaced by the file. Files with an
 * include guard appear once, lists and kernels as often as they are included. Beside these files,
 * or on the include path, lies `tinyprop_config.h`.
 *
 * @internal
 */
export function amalgamate(core: FileTree): FileTree {
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
      return isPublic(target) ? [`${indent ?? ''}#include "${posix.basename(target)}"`] : expand(target);
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
  const headers = publicHeaders(core).map((name) => [name, text(`include/${name}`)] as const);
  return { 'tinyprop.c': `${lines.join('\n')}\n`, ...Object.fromEntries(headers) };
}
