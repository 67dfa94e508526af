// SPDX-License-Identifier: Apache-2.0
import type { Output } from './output';

/**
 * Runs `work` with a signal that the first Ctrl-C aborts; the second one ends the process at once (exit 130).
 */
export async function withInterrupt<T>(out: Output, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onInterrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    out.note('stopping; press Ctrl-C again to end at once');
    controller.abort();
  };
  process.on('SIGINT', onInterrupt);
  try {
    return await work(controller.signal);
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}
