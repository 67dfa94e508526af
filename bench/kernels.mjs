// SPDX-License-Identifier: Apache-2.0
// @ts-check
// The tables of `npm run bench -- --kernels`: layers by themselves.
import { percent, ratio, run, say, table, time } from './tools.mjs';

/** @typedef {Record<string, any>} Line a line of JSON of bench/kernels.c */

/** Speed-ups of one size in one row. @param {Line[]} lines @param {(line: Line) => string} cell */
const across = (lines, cell) => lines.map(cell);

/**
 * Lines of the same `key` together, in their order.
 * @param {Line[]} lines
 * @param {string} key
 * @returns {Line[][]}
 */
function groups(lines, key) {
  /** @type {Map<unknown, Line[]>} */
  const found = new Map();
  for (const line of lines) found.set(line[key], [...(found.get(line[key]) ?? []), line]);
  return [...found.values()];
}

const share = (/** @type {Line} */ { share: r }) => `r ${r}`;
const first = (/** @type {Line[]} */ lines) => /** @type {Line} */ (lines[0]);
const ofFirst = (/** @type {Line[][]} */ all) => all[0] ?? [];

/** @type {{ kind: string, title: string, print: (lines: Line[]) => [string[], string[][]] }[]} */
const tables = [
  {
    kind: 'dense',
    title: 'Dense layer of N to N, batch 1, backward: times faster with a share r of the rows than with all: the kernel / the layer / with the choice of rows (ideal)',
    print: (lines) => {
      const sizes = groups(lines, 'size');
      const head = ['N', 'forward us', 'all rows us', ...across(ofFirst(sizes).slice(1), share)];
      return [head, sizes.map((all) => [String(first(all).size), time(first(all).forwardUs), time(first(all).us), ...across(all.slice(1), (line) => `${ratio(line.kernelSpeedUp)} / ${ratio(line.speedUp)} / ${ratio(line.chosenSpeedUp)} (${line.ideal.toFixed(1)})`)])];
    },
  },
  {
    kind: 'dense batch',
    title: 'Dense layer of N to N, batch 32, backward: every sample its own share r of the rows, against the product over all (ideal)',
    print: (lines) => {
      const sizes = groups(lines, 'size');
      const head = ['N', 'product us', ...across(ofFirst(sizes), share)];
      return [head, sizes.map((all) => [String(first(all).size), time(first(all).denseUs), ...across(all, (line) => `${ratio(line.speedUp)} (${line.ideal.toFixed(1)})`)])];
    },
  },
  {
    kind: 'conv',
    title: 'Convolution, batch 1, backward: times faster than dense with a share r of the elements / of the channels',
    print: (lines) => {
      const shapes = groups(lines, 'shape');
      const head = ['layer', 'dense us', 'GFLOP/s', ...across(ofFirst(shapes), share)];
      const cell = (/** @type {Line} */ line) => (line.channelSpeedUp === undefined ? ratio(line.elementSpeedUp) : `${ratio(line.elementSpeedUp)} / ${ratio(line.channelSpeedUp)}`);
      return [head, shapes.map((all) => [first(all).shape, time(first(all).denseUs), first(all).denseGflops.toFixed(0), ...across(all, cell)])];
    },
  },
  {
    kind: 'select',
    title: 'Selection of the largest of n, nanoseconds an element',
    print: (lines) => {
      const lengths = groups(lines, 'n');
      const head = ['n', ...across(ofFirst(lengths), (line) => `${line.data}, r ${line.share}`)];
      return [head, lengths.map((all) => [String(first(all).n), ...across(all, (line) => line.nsPerElement.toFixed(3))])];
    },
  },
  {
    kind: 'skip',
    title: 'A sample that TinyPropv2 skips, against a forward pass',
    print: (lines) => [
      ['workload', 'skipped us', 'forward us', 'more'],
      lines.map(({ workload, skippedUs, forwardUs, ratio: r }) => [workload, time(skippedUs), time(forwardUs), percent(r - 1)]),
    ],
  },
];

/**
 * @param {string[]} command
 * @param {boolean} json the lines as they are
 */
export async function kernels(command, json) {
  if (json) return run(command, say);
  /** @type {Line[]} */
  const lines = [];
  await run(command, (line) => void lines.push(JSON.parse(line)));
  for (const { kind, title, print } of tables) {
    const [head, rows] = print(lines.filter((line) => line.kind === kind));
    say(`\n${title}; ${lines[0]?.isa}`);
    table(head, rows).forEach(say);
  }
}
