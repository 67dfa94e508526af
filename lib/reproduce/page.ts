// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import type { SetSummary, Summary } from './summary';
import { type Cell, detail, overview, type Sheet } from './tables';

/** What people say about the numbers, by set; `summary` is about all of them. Paragraphs and lists of Markdown. */
export type Notes = Readonly<Record<string, string>>;

/**
 * Reads notes: sections under `## NAME`, where the name is a set's or `summary`. What stands above the first is not taken.
 *
 * @throws TinypropError `ERR_TINYPROP_SPEC` for a name that is none of these, or that is there twice
 */
export function parseNotes(text: string, sets: readonly string[]): Notes {
  const valid = ['summary', ...sets];
  const found = new Map<string, string>();
  for (const section of text.replace(/\r\n/g, '\n').split(/^## +/m).slice(1)) {
    const end = `${section}\n`.indexOf('\n');
    const name = section.slice(0, end).trim();
    if (!valid.includes(name) || found.has(name)) throw new TinypropError('ERR_TINYPROP_SPEC', `notes: ${found.has(name) ? 'twice' : 'unknown'} section "${name}"; valid: ${valid.join(', ')}`, { name, valid });
    found.set(name, section.slice(end).trim());
  }
  return Object.fromEntries(found);
}

/** How the numbers were made and what they mean, in paragraphs. */
export function preface({ budget, sets }: Summary): string[] {
  const sources = [...new Set(sets.map(({ source }) => source.slice(0, 16)))];
  return [
    `Made by \`tinyprop reproduce --budget ${budget}\` with the C sources ${sources.map((id) => `\`${id}\``).join(', ')}; no number is copied by hand. How the runs are made and what the paper leaves open: docs/reproduce.md.`,
    'Networks, protocols and partly the data are ours, so the paper\'s accuracies are no target. What can be compared is how much a method loses against full training on the same data, and that stands beside the same '
      + 'difference of the paper\'s. Spread and standard errors are over seeds (first weights, order of samples); the test set is the same for all, so they do not say how another test set would judge.',
  ];
}

/** What is not there and why. */
export function gaps({ unfinished, missing }: Summary): string[] {
  return [...(unfinished > 0 ? [`${unfinished} runs are not finished: run the command again, or the other shards.`] : []), ...missing.map(({ set, reason }) => `${set} is left out: ${reason}`)];
}

/** One line about the protocol of a set. */
export function protocolOf({ model, protocol: { epochs, warmup, batch, lr, trainable } }: SetSummary): string {
  const layers = trainable === undefined ? 'all layers' : `the last ${trainable} weight layers`;
  return `${model}: ${layers} trained for ${epochs} epochs, batch ${batch}, SGD without momentum or weight decay, learning rate ${lr}, ${warmup > 0 ? `warm-up of ${warmup}, ` : ''}cosine to 0.`;
}

/** A page of Markdown from the numbers alone: the same tables as the HTML report. docs/REPRODUCTION.md is one. */
export function markdown(summary: Summary, notes: Notes = {}): string {
  const list = gaps(summary);
  const lines = [
    '# The experiments of arXiv 2409.07109, repeated',
    ...(notes['summary'] ? [notes['summary']] : []),
    ...(list.length > 0 ? [list.map((gap) => `* ${gap}`).join('\n')] : []),
    '## How to read this',
    ...preface(summary),
    ...overview(summary).flatMap((sheet) => [`## ${sheet.title}`, ...sheet.notes, table(sheet)]),
    '## Set by set',
    ...summary.sets.flatMap((set) => [`### ${set.title}`, protocolOf(set), ...(notes[set.name] ? [notes[set.name] as string] : []), table(detail(set))]),
  ];
  return `${lines.join('\n\n')}\n`;
}

function table({ head, rows }: Sheet): string {
  return [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');
}

// Asterisks that mark a cell are no emphasis, and bars of names no columns.
const plain = (text: string): string => text.replace(/[|*]/g, '\\$&');
const inline = (cell: Cell): string => (typeof cell === 'string' ? plain(cell) : `${plain(cell[0])} (${plain(cell[1])})`);
const row = (cells: readonly Cell[]): string => `| ${cells.map(inline).join(' | ')} |`;
