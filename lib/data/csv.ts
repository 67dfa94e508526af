// SPDX-License-Identifier: Apache-2.0
import * as path from 'node:path';
import { TinypropError } from '../errors';
import { codedFileError, fileError, filePieces, MAX_ARRAY } from './io';
import type { LoadContext, RawData } from './raw';

/** A field longer than this means a quote that was never closed. */
const MAX_FIELD = 1 << 16;
const MAX_COLUMNS = 1 << 20;

/**
 * Splits CSV text (RFC 4180: quoted fields, doubled quotes, line ends within quotes) into records as it
 * arrives; nothing but the current record is kept.
 */
export class CsvParser {
  /** Line on which the current record began, from 1. */
  line = 1;
  private nextLine = 1;
  private field = '';
  private fields: string[] = [];
  private state: 'start' | 'plain' | 'quoted' | 'closing' = 'start';
  private delimiter: string | undefined;

  constructor(
    private readonly file: string,
    private readonly onRecord: (fields: string[], line: number) => void,
  ) {}

  /** Takes the next piece of text; the first piece must hold the first line's delimiter to detect it. */
  push(text: string): void {
    this.delimiter ??= detectDelimiter(text);
    for (let i = 0; i < text.length; i++) {
      const char = text[i] as string;
      if (char === '\n') this.nextLine++;
      if (this.state === 'quoted') {
        if (char === '"') this.state = 'closing';
        else this.append(char);
      } else if (char === '"' && this.state === 'closing') {
        this.append(char);
        this.state = 'quoted';
      } else if (char === '"' && this.state === 'start') {
        this.state = 'quoted';
      } else if (char === this.delimiter) {
        this.endField();
      } else if (char === '\n') {
        this.endRecord();
      } else if (char !== '\r') {
        if (this.state === 'closing') throw this.error(`expected a delimiter after the closing quote, found '${char}'`);
        this.state = 'plain';
        i = this.appendPlain(text, i);
      }
    }
  }

  /** End of the file: the last record may lack its line end. */
  end(): void {
    if (this.state === 'quoted') throw this.error('a quoted field is never closed');
    this.endRecord();
  }

  /** Appends up to the next special character; returns the index of the last one taken. */
  private appendPlain(text: string, from: number): number {
    let to = from + 1;
    while (to < text.length && text[to] !== this.delimiter && text[to] !== '\n' && text[to] !== '\r') to++;
    this.append(text.slice(from, to));
    return to - 1;
  }

  private append(text: string): void {
    this.field += text;
    if (this.field.length > MAX_FIELD) throw this.error(`a field is longer than ${MAX_FIELD} characters (an open quote?)`);
  }

  private endField(): void {
    this.fields.push(this.field);
    this.field = '';
    this.state = 'start';
    if (this.fields.length > MAX_COLUMNS) throw this.error(`more than ${MAX_COLUMNS} columns`);
  }

  private endRecord(): void {
    const blank = this.fields.length === 0 && this.field.trim() === '' && this.state !== 'closing';
    this.endField();
    const { fields, line } = this;
    this.fields = [];
    this.line = this.nextLine;
    if (!blank) this.onRecord(fields, line);
  }

  private error(problem: string): Error {
    return fileError(this.file, `line ${this.line}, column ${this.fields.length + 1}: ${problem}`, { line: this.line });
  }
}

/** Tab or semicolon if the first line has one outside quotes, else the comma. */
function detectDelimiter(text: string): string {
  const line = (text.split('\n', 1)[0] as string).replace(/"[^"]*"/g, '');
  return line.includes('\t') ? '\t' : line.includes(';') ? ';' : ',';
}

/** A float32 array that grows, up to the limit an array has here. */
class Floats {
  private values = new Float32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      if (this.length * 2 > MAX_ARRAY) throw new TinypropError('ERR_TINYPROP_LIMIT', `more than ${this.length} numbers`);
      const larger = new Float32Array(this.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  take(): Float32Array {
    return this.values.slice(0, this.length);
  }
}

/** Gathers records: numbers, then the label column. */
class Table {
  readonly x = new Floats();
  readonly labelIds: number[] = [];
  readonly labelNames = new Map<string, number>();
  columns = 0;

  constructor(private readonly file: string) {}

  add(fields: string[], line: number): void {
    if (this.columns === 0) {
      if (fields.length < 2) throw fileError(this.file, `line ${line}: expected at least one number and a label, found ${fields.length} field`, { line });
      this.columns = fields.length;
      if (fields.slice(0, -1).some((field) => toNumber(field) === undefined && field.trim() !== '')) return; // a header
    }
    if (fields.length !== this.columns) {
      throw fileError(this.file, `line ${line}: expected ${this.columns} fields, found ${fields.length}`, { line, expected: this.columns, found: fields.length });
    }
    for (let column = 0; column < fields.length - 1; column++) {
      const value = toNumber(fields[column] as string);
      if (value === undefined) {
        throw fileError(this.file, `line ${line}, column ${column + 1}: expected a number, found '${(fields[column] as string).slice(0, 40)}'`, {
          line,
          column: column + 1,
        });
      }
      this.x.push(value);
    }
    this.labelIds.push(this.labelId((fields[fields.length - 1] as string).trim(), line));
  }

  private labelId(name: string, line: number): number {
    if (name === '') throw codedFileError('ERR_TINYPROP_LABEL', this.file, `line ${line}: the label (last column) is empty`, { line });
    let id = this.labelNames.get(name);
    if (id === undefined) {
      id = this.labelNames.size;
      this.labelNames.set(name, id);
    }
    return id;
  }
}

/** A finite number that float32 can hold, else undefined. */
function toNumber(field: string): number | undefined {
  const text = field.trim();
  const value = Number(text);
  return text !== '' && Number.isFinite(Math.fround(value)) ? value : undefined;
}

/**
 * A CSV file: numbers, last column the label. Integers from 0 up are class indices; other words are class
 * names, numbered in sorted order; numbers with a fraction make it a regression with one target.
 */
export async function readCsv(file: string, context: LoadContext): Promise<RawData> {
  const table = new Table(file);
  const parser = new CsvParser(file, (fields, line) => table.add(fields, line));
  const decoder = new TextDecoder('utf-8');
  for await (const piece of filePieces(file, context.options.signal)) parser.push(decoder.decode(piece, { stream: true }));
  parser.push(decoder.decode());
  parser.end();
  const n = table.labelIds.length;
  if (n === 0) throw fileError(file, 'no samples');
  const x = table.x.take();
  const base = { name: `csv:${path.basename(file)}`, inputShape: [table.columns - 1], scale: 1, defaultMode: 'standard' } as const;
  const names = [...table.labelNames.keys()];
  const numbers = names.map((name) => toNumber(name));
  if (numbers.every((value) => value !== undefined) && numbers.some((value) => !Number.isInteger(value))) {
    context.notice(`${file}: the last column holds fractions and is taken as a regression target`);
    const targets = Float32Array.from(table.labelIds, (id) => numbers[id] as number);
    return { ...base, train: { n, x, targets, targetSize: 1 } };
  }
  const { index, classes } = numberClasses(file, names, numbers, context);
  const labels = Uint32Array.from(table.labelIds, (id) => index[id] as number);
  return { ...base, ...(classes && { classes }), train: { n, x, labels } };
}

/** Class index of every distinct label in order of appearance. */
function numberClasses(file: string, names: string[], numbers: (number | undefined)[], context: LoadContext): { index: number[]; classes?: string[] } {
  if (numbers.every((value) => value !== undefined && value >= 0 && value <= 0xffffff)) {
    const index = numbers as number[];
    const most = index.reduce((a, b) => Math.max(a, b), 0);
    const distinct = new Set(index).size;
    if (distinct <= most) context.notice(`${file}: labels run from 0 to ${most}, but only ${distinct} of these ${most + 1} classes occur`);
    return { index };
  }
  const classes = [...names].sort((a, b) => (a < b ? -1 : 1));
  const rank = new Map(classes.map((name, i) => [name, i]));
  return { index: names.map((name) => rank.get(name) as number), classes };
}
