// SPDX-License-Identifier: Apache-2.0
import type { FitEvent } from '../events';
import type { FitResult, FitRun } from '../trainer';
import type { Output } from './output';
import { Progress, type LineOptions } from './progress';

/** Shows a run's events (stderr, and stdout under `--jsonl`) and gives its result. */
export async function follow(
  run: FitRun,
  epochs: number,
  out: Output,
  options: LineOptions & { epochLines?: boolean; tag?: Record<string, unknown>; onWarning?: (message: string) => void; onEvent?: (event: FitEvent) => void } = {},
): Promise<FitResult> {
  const progress = new Progress(out, epochs, options);
  try {
    for await (const event of run) {
      // The result has a line of its own.
      if (event.type !== 'end') out.event({ ...options.tag, ...event });
      options.onEvent?.(event);
      if (event.type === 'progress') progress.progress(event);
      else if (event.type === 'epoch') progress.epoch(event);
      else if (event.type === 'warning') {
        progress.warning(event.message);
        options.onWarning?.(event.message);
      }
    }
    return await run.result;
  } finally {
    progress.done();
  }
}
