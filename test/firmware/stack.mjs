// SPDX-License-Identifier: Apache-2.0
// The deepest stack of every public function, from the compiler's call graph (-fcallgraph-info=su, gcc 10 and later).
// Calls through pointers: the source line of the call names a field (`ops->forward(`); its targets are all functions that some
// table of the preprocessed library puts into a field of that name, and every kernel of that name. Recursion, frames of no
// constant size and calls that fit no field are errors. Counted as nothing: the caller's own hooks (trace, parallel.run), and
// memcpy and the compiler's helpers, which have no graph; FIRMWARE.md has a measured depth beside this one.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../tools/native.mjs';

const hooks = new Set(['run', 'trace']);
/** Calls of a variable: the fields it may hold. */
const variables = { op: ['forward', 'errors', 'bias'], hook: ['epoch_begin', 'epoch_end'], task: [] };

/** @param {string} flags of the CPU @returns {Record<string, number>} bytes by function */
export function worstStack(flags) {
  const folder = mkdtempSync(join(tmpdir(), 'tinyprop-stack-'));
  const gcc = (...args) => execFileSync('arm-none-eabi-gcc', ['-mthumb', ...flags.split(' '), '-std=c11', '-O2', ...args, join(root, 'csrc', 'tinyprop.c')], { encoding: 'utf8', cwd: folder, maxBuffer: 1 << 26 });
  try {
    const fields = {};
    const text = gcc('-E', '-P');
    for (const [, field] of text.matchAll(/\(\*(\w+)\)\(/g)) fields[field] = new Set(); // declared; maybe no table fills it
    for (const [, field, target] of text.matchAll(/\.(\w+) = (tp_\w+)\b(?!\()/g)) (fields[field] ??= new Set()).add(target);
    gcc('-c', '-fcallgraph-info=su', '-o', 'tinyprop.o');
    return deepest(readFileSync(join(folder, 'tinyprop.ci'), 'utf8'), fields);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function deepest(graph, fields) {
  const short = (title) => title.slice(title.lastIndexOf(':') + 1);
  const frames = {};
  const calls = {};
  for (const [, title, label] of graph.matchAll(/^node: \{ title: "([^"]*)" label: "([^"]*)"/gm)) {
    const frame = /(\d+) bytes \((\w+)\)/.exec(label);
    if (frame !== null && frame[2] !== 'static') throw new Error(`${title}: a ${frame[2]} frame`);
    if (frame !== null) frames[short(title)] = Number(frame[1]);
  }
  const sources = {};
  for (const [, from, to, label] of graph.matchAll(/^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"(?: label: "([^"]*)")?/gm)) {
    const targets = to === '__indirect_call' ? indirect(label, sources, fields, frames) : [short(to)];
    (calls[short(from)] ??= new Set());
    for (const target of targets) calls[short(from)].add(target);
  }
  const known = {};
  const depth = (name, above) => {
    if (above.includes(name)) throw new Error(`recursion: ${[...above, name].join(' > ')}`);
    known[name] ??= (frames[name] ?? 0) + Math.max(0, ...[...(calls[name] ?? [])].map((target) => depth(target, [...above, name])));
    return known[name];
  };
  return Object.fromEntries(Object.keys(frames).map((name) => [name, depth(name, [])]));
}

function indirect(label, sources, fields, frames) {
  const [, file, line, column] = /^(.*):(\d+):(\d+)$/.exec(label);
  sources[file] ??= readFileSync(file, 'utf8').split('\n');
  const text = sources[file][line - 1].slice(column - 1);
  const name = /(?:->|\.)(\w+)\(/.exec(text)?.[1] ?? /^(\w+)\(/.exec(text)?.[1] ?? '';
  if (hooks.has(name)) return [];
  const named = (field) => [...(fields[field] ?? []), ...Object.keys(frames).filter((f) => f.startsWith(`tp_${field}_`) && /_(soft|scalar)$/.test(f) && f.length <= field.length + 10)];
  const targets = (variables[name] ?? [name]).flatMap(named);
  if (targets.length === 0 && !(name in fields) && !(name in variables)) throw new Error(`${label}: no table has "${name}": ${text}`);
  return targets.filter((target) => target in frames);
}
