// SPDX-License-Identifier: Apache-2.0

/** Where a command writes; `process` fits. */
export interface Streams {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown; isTTY?: boolean | undefined; columns?: number | undefined };
}

/** The options every command has. */
export interface OutputOptions {
  /** One JSON document on stdout. */
  json?: boolean | undefined;
  /** One JSON object a line on stdout, as things happen. */
  jsonl?: boolean | undefined;
  /** Nothing on stderr but errors. */
  quiet?: boolean | undefined;
}

/** The one door to the terminal: data go to stdout, everything else to stderr. */
export class Output {
  readonly json: boolean;
  readonly jsonl: boolean;
  readonly quiet: boolean;
  private live = false;

  constructor(
    readonly streams: Streams,
    options: OutputOptions,
  ) {
    this.json = options.json ?? false;
    this.jsonl = options.jsonl ?? false;
    this.quiet = options.quiet ?? false;
  }

  /** True if a line that changes in place makes sense. */
  get animated(): boolean {
    return this.streams.stderr.isTTY === true && !this.quiet;
  }

  /** Columns of the terminal. */
  get columns(): number {
    // A terminal that does not know its width says 0.
    return this.streams.stderr.columns || 80;
  }

  /** Data for people; not printed when a program reads. */
  text(line: string): void {
    if (this.json || this.jsonl) return;
    this.clear();
    this.streams.stdout.write(`${line}\n`);
  }

  /** The result of the command, for programs. */
  document(value: unknown): void {
    if (!this.json) return;
    this.clear();
    this.streams.stdout.write(`${JSON.stringify(value, finite, 2)}\n`);
  }

  /** Something that happened, for programs that follow. */
  event(value: unknown): void {
    if (this.jsonl) this.streams.stdout.write(`${JSON.stringify(value, finite)}\n`);
  }

  /** A remark for people. */
  note(line: string): void {
    if (this.quiet) return;
    this.clear();
    this.streams.stderr.write(`${line}\n`);
  }

  /** An error: printed even under `--quiet`. */
  error(line: string): void {
    this.clear();
    this.streams.stderr.write(`${line}\n`);
  }

  /** A line that the next one replaces; nothing unless stderr is a terminal. */
  status(line: string): void {
    if (!this.animated) return;
    this.streams.stderr.write(`\r\x1b[2K${line}`);
    this.live = true;
  }

  /** Removes the status line. */
  clear(): void {
    if (!this.live) return;
    this.streams.stderr.write('\r\x1b[2K');
    this.live = false;
  }
}

/** JSON has no NaN or infinity, and typed arrays print as objects. */
export function finite(_key: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return null;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as unknown as ArrayLike<number>);
  return value;
}
