// SPDX-License-Identifier: Apache-2.0
import { duration, loss, percent } from '../report/format';
import type { EpochEvent, ProgressEvent } from '../trainer';
import type { Output } from './output';

/** A bar of `width` cells, an eighth of a cell fine. */
export function bar(fraction: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8);
  const whole = Math.floor(eighths / 8);
  const part = eighths % 8;
  return ('\u2588'.repeat(whole) + (part > 0 ? (' \u258f\u258e\u258d\u258c\u258b\u258a\u2589'[part] as string) : '')).padEnd(width, '\u2591');
}

/** How lines are shown: what they begin with, and whether accuracy means anything (mean squared error: false). */
export interface LineOptions {
  prefix?: string;
  classified?: boolean;
}

/** The live line: epoch, bar, loss, accuracy, effort, skipped samples, time left; cut to the terminal. */
export function statusLine(event: ProgressEvent, columns: number, { prefix = '', classified = true }: LineOptions = {}): string {
  const done = event.batches > 0 ? event.batch / event.batches : 0;
  const parts = [
    `${prefix}epoch ${event.epoch}/${event.epochs}`,
    bar(done, 12),
    `loss ${loss(event.loss)}`,
    ...(classified ? [`acc ${percent(event.accuracy)}`] : []),
    `effort ${percent(event.effortBackward)}`,
    `skip ${percent(1 - event.trainedFraction, 0)}`,
    `${duration(event.etaSeconds)} left`,
  ];
  const line = parts.join('  ');
  return line.length < columns ? line : line.slice(0, Math.max(1, columns - 1));
}

/** The line that stays when an epoch is over. */
export function epochLine(event: EpochEvent, epochs: number, { prefix = '', classified = true }: LineOptions = {}): string {
  const { testAccuracy, testLoss } = event;
  const parts = [`${prefix}epoch ${String(event.epoch).padStart(String(epochs).length)}/${epochs}`, `loss ${loss(event.trainLoss)}`];
  if (classified) parts.push(`acc ${percent(event.trainAccuracy)}`);
  if (testAccuracy !== undefined && testLoss !== undefined) {
    parts.push(classified ? `test ${percent(testAccuracy, 2)} (loss ${loss(testLoss)})` : `test loss ${loss(testLoss)}`);
  }
  parts.push(`effort ${percent(event.effortBackward)}`, `skip ${percent(1 - event.trainedFraction, 0)}`, duration(event.seconds));
  return parts.join('  ');
}

/** Shows the events of a run on stderr, animated on a terminal, one line an epoch elsewhere. */
export class Progress {
  private last = 0;

  constructor(
    private readonly out: Output,
    private readonly epochs: number,
    private readonly options: LineOptions & { epochLines?: boolean } = {},
  ) {}

  progress(event: ProgressEvent): void {
    const now = Date.now();
    // Ten pictures a second are enough for people.
    if (now - this.last < 100) return;
    this.last = now;
    this.out.status(statusLine(event, this.out.columns, this.options));
  }

  epoch(event: EpochEvent): void {
    if (this.options.epochLines ?? true) this.out.note(epochLine(event, this.epochs, this.options));
  }

  warning(message: string): void {
    this.out.note(`${this.options.prefix ?? ''}warning: ${message}`);
  }

  done(): void {
    this.out.clear();
  }
}
