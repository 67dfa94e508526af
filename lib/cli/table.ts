// SPDX-License-Identifier: Apache-2.0

/** A column of a terminal table. */
export interface TextColumn {
  head: string;
  /** Numbers are right-aligned. */
  number?: boolean;
}

/** Lines of a table: head, rule, rows; two spaces between columns, none at the end of a line. */
export function textTable(columns: readonly TextColumn[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, i) => Math.max(column.head.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]?.number ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)))
      .join('  ')
      .trimEnd();
  return [line(columns.map((c) => c.head)), widths.map((w) => '-'.repeat(w)).join('  '), ...rows.map(line)].join('\n');
}
