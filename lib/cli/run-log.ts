// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, writeFileSync } from 'node:fs';
import { TinypropError } from '../errors';
import type { EpochEvent, FitEvent } from '../events';
import { TensorBoardWriter } from '../tensorboard';
import { finite } from './output';

/** Where a run is written down while it goes on. */
export interface RunLogFlags {
  metrics?: string;
  tensorboard?: string;
}

/** What a run was: the first line of its metrics. */
export interface RunFacts {
  /** Names of the weight layers, in the order of every `k`. */
  layers: string[];
  [name: string]: unknown;
}

/** Follows a run into `--metrics` (one JSON object a line) and `--tensorboard`. */
export class RunLog {
  private readonly board: TensorBoardWriter | undefined;

  /** `resumed`: the metrics go on in the file that is there. */
  constructor(
    private readonly flags: RunLogFlags,
    private readonly facts: RunFacts,
    resumed: boolean,
  ) {
    if (flags.metrics !== undefined && !resumed) write(flags.metrics, () => writeFileSync(flags.metrics as string, ''));
    this.board = flags.tensorboard === undefined ? undefined : new TensorBoardWriter(flags.tensorboard);
    this.line({ type: 'run', ...facts });
    this.board?.text('run', 0, Object.entries(facts).map(([name, value]) => `* **${name}**: ${typeof value === 'string' ? value : JSON.stringify(value)}`).join('\n'));
  }

  /** An event of the run; what only tells of progress is not kept. */
  event(event: FitEvent): void {
    if (event.type === 'epoch') {
      this.line(event);
      this.curves(event);
    } else if (event.type === 'warning') {
      this.line(event);
      this.board?.text('warning', 0, event.message);
    }
  }

  /** The last line. */
  result(document: object): void {
    this.line({ type: 'result', ...document });
  }

  close(): void {
    this.board?.close();
  }

  private line(value: object): void {
    const { metrics } = this.flags;
    if (metrics !== undefined) write(metrics, () => appendFileSync(metrics, `${JSON.stringify(value, finite)}\n`));
  }

  private curves(e: EpochEvent): void {
    const curves: Record<string, number | undefined> = {
      'loss/train': e.trainLoss,
      'loss/test': e.testLoss,
      'accuracy/train': e.trainAccuracy,
      'accuracy/test': e.testAccuracy,
      'effort/backward': e.effortBackward,
      'effort/total': e.effortTotal,
      'effort/rows_worked': e.rowsWorked,
      'samples/trained': e.trainedFraction,
      'time/epoch_seconds': e.seconds,
      ...Object.fromEntries(e.k.map((k, i) => [`k/${this.facts.layers[i] ?? i}`, k])),
    };
    for (const [tag, value] of Object.entries(curves)) if (value !== undefined) this.board?.scalar(tag, e.epoch, value);
  }
}

function write(path: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw new TinypropError('ERR_TINYPROP_FILE', `--metrics ${path}: ${(cause as Error).message}`, { path }, cause);
  }
}
