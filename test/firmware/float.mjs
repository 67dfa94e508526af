// SPDX-License-Identifier: Apache-2.0
// Float kernels on a board: the bytes that they give here, and the instructions they take for a multiply-accumulate. measured-float.json
// (by compiler) has those; `npm run firmware:measure -- --float` writes it and its table.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../tools/native.mjs';
import { emulate } from './boards.mjs';

export const floatFile = join(root, 'test', 'firmware', 'measured-float.json');
/** What it is, its multiply-accumulates (`back`: pairs of them, dX and dW), and how many instructions one was to take at most. */
const shapes = {
  dense_k144: ['dense 144 -> 16, forward', 2304, 1.5],
  dense_k256: ['dense 256 -> 16, forward', 4096, 1.5],
  conv_k72: ['conv 10x10x8, 3x3 -> 16, forward', 73728, 1.6],
  conv_k144: ['conv 10x10x16, 3x3 -> 16, forward', 147456, 1.6],
  pointwise_k72: ['conv 8x8x72, 1x1 -> 16, forward', 73728, 1.6],
  depthwise: ['depthwise 10x10x48, 3x3, forward', 27648, 1.9],
  back_k144: ['dense 144 -> 64, dX and update, 16 kept rows', 2304, 2.6],
  back_k256: ['dense 256 -> 64, dX and update, 16 kept rows', 4096, 2.6],
};

/** Lines `float SHAPE HASH ticks=N` as { shape: { hash, instructions } }. */
export function parseFloat(output) {
  const unit = Number(/^ticks_of_a_million (\S+)/m.exec(output)?.[1]) / 1e6;
  return Object.fromEntries([...output.matchAll(/^float (\S+) (\S+) ticks=(\d+)/gm)].map(([, shape, hash, ticks]) => [shape, { hash, instructions: unit > 0 ? Math.round(Number(ticks) / unit) : 0 }]));
}

export async function measureFloat(board, folder) {
  const { status, output } = await emulate(board, join(folder, 'float.elf'), [], { count: true });
  if (status !== 0) throw new Error(`${board.name} float: ${status}\n${output}`);
  return parseFloat(output);
}

/** Shapes whose bytes are not those of `host`. */
export const otherFloats = (host, found) => Object.keys(shapes).filter((shape) => host[shape] === undefined || found[shape]?.hash !== host[shape].hash);

export const known = () => (existsSync(floatFile) ? JSON.parse(readFileSync(floatFile, 'utf8')) : {});
/** For measured-float.json: instructions by shape. */
export const recordOf = (found) => Object.fromEntries(Object.entries(found).map(([shape, { instructions }]) => [shape, instructions]));

/** Head and rows of the table in docs/FIRMWARE.md; boards without an FPU emulate every operation. */
export function floatRows(measured, boards) {
  const there = boards.filter(({ name }) => name in measured);
  const rows = Object.entries(shapes).map(([shape, [text, macs, most]]) => [text, most.toFixed(1), ...there.map(({ name }) => (measured[name][shape] / macs).toFixed(2))]);
  return [['float', 'at most', ...there.map(({ cpu }) => cpu)], rows];
}
