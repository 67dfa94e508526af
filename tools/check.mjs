// SPDX-License-Identifier: Apache-2.0
// The rules of CONTRIBUTING.md that a machine can see, over the files git knows. Prints every offence, exits 1 if any.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './native.mjs';

const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 }).split('\n').filter(Boolean);
const offences = [];

const generated = /^(dist|build|prebuilds|node_modules|coverage|docs\/api)\/|\.(node|o|a|so|tgz|tsbuildinfo|log|tmp)$/;
const code = /\.(ts|mts|mjs|cjs|js|c|h|cc|inc|cmake)$|(^|\/)CMakeLists\.txt$/;
const textual = /\.(ts|mts|mjs|cjs|js|c|h|cc|inc|cmake|md|json|txt|py|sh|yml)$|^\.ci\/run$/;
/** The one public header stays one file, and so does the table of kernel cases. */
const long = new Map([['csrc/include/tinyprop.h', 700], ['test/csrc/kernel/tp_kernel_test.c', 550]]);
const maxLines = (/** @type {string} */ path) => long.get(path) ?? (/^(test|tools)\//.test(path) ? 450 : 400);
const words = [
  [/\b(TO[D]O|FIX[M]E|X[X]X)\b/, 'a note to finish later: finish it or open an issue'],
  [/(^|[\s'"`(=])\/(work|home|root|farm)\//, 'a path of one machine'],
  [/registry\.npm[j]s|npmmirro[r]/, 'the host of a registry'],
];

function checkFile(path) {
  if (generated.test(path)) offences.push(`${path}: generated, must not be in git`);
  if (!textual.test(path)) return;
  const text = readFileSync(join(root, path), 'utf8');
  const lines = text.split('\n');
  if (code.test(path)) {
    if (!lines.slice(0, 2).some((line) => line.includes('SPDX-License-Identifier: Apache-2.0'))) {
      offences.push(`${path}:1: no line "SPDX-License-Identifier: Apache-2.0"`);
    }
    if (lines.length - 1 > maxLines(path)) offences.push(`${path}: ${lines.length - 1} lines, at most ${maxLines(path)}`);
  }
  lines.forEach((line, index) => {
    for (const [pattern, why] of words) if (pattern.test(line)) offences.push(`${path}:${index + 1}: ${why}: ${line.trim()}`);
  });
  if (text.includes('\r')) offences.push(`${path}: carriage returns`);
  if (text !== '' && !text.endsWith('\n')) offences.push(`${path}: no newline at the end`);
}

/** `area: Imperative subject`. Only a note: a subject that is in the history cannot be mended. */
function checkSubjects() {
  for (const line of git('log', '--no-merges', '--format=%h %s')) {
    const [, id, subject] = /^(\S+) (.*)$/.exec(line) ?? [];
    if (/^[a-z][a-z0-9.-]*: [A-Z]/.test(subject)) continue;
    process.stdout.write(`note: commit ${id}: "${subject}": expected "area: Imperative subject"\n`);
  }
}

/** One version everywhere: package.json says it, the C header and the manifests of csrc repeat it. */
function checkVersion() {
  const read = (path) => readFileSync(join(root, path), 'utf8');
  const { version } = JSON.parse(read('package.json'));
  const header = read('csrc/include/tinyprop.h');
  const part = (name) => new RegExp(`^#define TP_VERSION_${name} (\\d+)$`, 'm').exec(header)?.[1];
  const found = {
    'csrc/include/tinyprop.h': ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.'),
    'csrc/library.json': JSON.parse(read('csrc/library.json')).version,
    'csrc/idf_component.yml': /^version: "(.*)"$/m.exec(read('csrc/idf_component.yml'))?.[1],
  };
  for (const [path, its] of Object.entries(found)) if (its !== version) offences.push(`${path}: version ${its}, package.json has ${version}`);
}

if (!existsSync(join(root, '.git'))) {
  process.stdout.write('not a git checkout: the rules are not checked\n');
} else {
  for (const path of git('ls-files')) if (existsSync(join(root, path))) checkFile(path);
  checkSubjects();
  checkVersion();
}
for (const offence of offences) process.stdout.write(`${offence}\n`);
process.exitCode = offences.length === 0 ? 0 : 1;
