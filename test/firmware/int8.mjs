// SPDX-License-Identifier: Apache-2.0
// int8 kernels on a board: the bytes that they give here, through CMSIS-NN too where TINYPROP_CMSIS_NN_DIR names a checkout, and the
// instructions they take. measured-int8.json (by compiler) has those; `npm run firmware:measure -- --int8` writes it and its table.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../tools/native.mjs';
import { cmsisNn, emulate } from './boards.mjs';

export const int8File = join(root, 'test', 'firmware', 'measured-int8.json');
const shapes = {
  dense: 'dense 128 -> 64', conv: 'conv 16x16x8, 3x3 -> 16', pointwise: 'conv 8x8x64, 1x1 -> 64', depthwise: 'depthwise 8x8x64, 3x3', add: 'add 4,096',
  max_pool: 'max pool 16x16x16, 2x2', avg_pool: 'average pool 8x8x64, all', softmax: 'softmax of 10',
};

/** Lines `WHAT SHAPE HASH ticks=N` as { what: { shape: { hash, instructions } } }. */
export function parseInt8(output) {
  const unit = Number(/^ticks_of_a_million (\S+)/m.exec(output)?.[1]) / 1e6;
  const found = {};
  for (const [, what, shape, hash, ticks] of output.matchAll(/^(int8|direct|refused) (\S+) (\S+) ticks=(\d+)/gm)) {
    (found[what] ??= {})[shape] = { hash, instructions: unit > 0 ? Math.round(Number(ticks) / unit) : 0 };
  }
  return found;
}

/** ours: our kernels; cmsis: the same calls through CMSIS-NN; direct: CMSIS-NN itself. Each of instructions by shape. */
export async function measureInt8(board, folder) {
  const run = async (name) => {
    const { status, output } = await emulate(board, join(folder, `${name}.elf`), [], { count: true });
    if (status !== 0) throw new Error(`${board.name} ${name}: ${status}\n${output}`);
    return parseInt8(output);
  };
  const found = { ours: (await run('int8')).int8 };
  if (cmsisNn !== undefined) {
    const { int8, direct, refused } = await run('int8-cmsis');
    if (refused !== undefined) throw new Error(`${board.name}: CMSIS-NN refuses ${Object.keys(refused).join(', ')}`);
    Object.assign(found, { cmsis: int8, direct });
  }
  return found;
}

/** Where bytes are not those of `host`, { shape: { hash } }. */
export const otherBytes = (host, found) => Object.entries(found).flatMap(([what, rows]) => Object.keys(host).filter((shape) => rows[shape]?.hash !== host[shape].hash).map((shape) => `${what} ${shape}`));

const counts = (rows) => rows && Object.fromEntries(Object.entries(rows).map(([shape, { instructions }]) => [shape, instructions]));
export const known = () => (existsSync(int8File) ? JSON.parse(readFileSync(int8File, 'utf8')) : {});

/** For measured-int8.json; what CMSIS-NN took stays when it is not there. */
export const recordOf = (found, before) => ({ ours: counts(found.ours), cmsis: counts(found.cmsis) ?? before?.cmsis, direct: counts(found.direct) ?? before?.direct });

/** Lines and those over `slack`, as measure.mjs has them: instructions by shape, now and in the file. */
export function changeKernels(what, found, before, slack) {
  const lines = [];
  const bad = [];
  for (const [shape, { instructions }] of Object.entries(found)) {
    const was = before?.[shape];
    const more = was ? instructions / was - 1 : 0;
    lines.push(`${what} ${shape}: ${instructions}${was ? `, ${more >= 0 ? '+' : ''}${(100 * more).toFixed(1)} %` : ', not measured before with this compiler'}`);
    if (more > slack) bad.push(`${what} ${shape}: ${instructions}, before ${was}`);
  }
  return { lines, bad };
}

/** Head and rows of the table in docs/FIRMWARE.md. */
export function int8Rows(measured, boards) {
  const number = (value) => value?.toLocaleString('en-US') ?? '-';
  const ratio = (a, b, digits = 2) => (a && b ? (a / b).toFixed(digits) : '-');
  const rows = boards.filter(({ name }) => name in measured).flatMap(({ name, cpu }) => {
    const { ours, cmsis, direct } = measured[name];
    return Object.entries(shapes).map(([shape, text]) => [cpu, text, number(ours[shape]), number(direct?.[shape]), ratio(ours[shape], direct?.[shape]), number(cmsis?.[shape]), ratio(cmsis?.[shape], direct?.[shape], 3)]);
  });
  return [['CPU', 'int8', 'our kernels', 'CMSIS-NN called directly', 'ratio', 'tinyprop with CMSIS-NN', 'ratio'], rows];
}
