// SPDX-License-Identifier: Apache-2.0
import type { CacheUse } from './activation-cache';
import type { Totals } from './results';

/** Comes after every chunk of about 50 ms. Sums are those of the epoch so far. */
export interface ProgressEvent {
  /** Tells the events apart. */
  readonly type: 'progress';
  /** Epoch at hand, from 1. */
  readonly epoch: number;
  /** Epochs of this fit. */
  readonly epochs: number;
  /** Batches of this epoch that are done, skipped ones included. */
  readonly batch: number;
  /** Batches of an epoch. */
  readonly batches: number;
  /** Samples of this epoch that are done. */
  readonly samples: number;
  /** Mean training loss, before each sample's update. */
  readonly loss: number;
  /** Training accuracy, before each sample's update, 0 to 1. */
  readonly accuracy: number;
  /** Share of samples trained; the others were skipped. */
  readonly trainedFraction: number;
  /** E_bwd (docs/ALGORITHM.md section 6). */
  readonly effortBackward: number;
  /** E_tot. */
  readonly effortTotal: number;
  /** Share of rows chosen, k / n, by weight layer, in the chunk just done. */
  readonly k: number[];
  /** Time left, seconds. */
  readonly etaSeconds: number;
  /** Learning rate of the next batch. */
  readonly lr: number;
}

/** Comes at the end of every epoch. */
export interface EpochEvent {
  /** Tells the events apart. */
  readonly type: 'epoch';
  /** The epoch that ended, from 1. */
  readonly epoch: number;
  /** Epochs of this fit. */
  readonly epochs: number;
  /** Mean training loss, before each sample's update. */
  readonly trainLoss: number;
  /** Training accuracy, before each sample's update, 0 to 1. */
  readonly trainAccuracy: number;
  /** Loss on the test data, if it was evaluated. */
  readonly testLoss?: number;
  /** Accuracy on the test data, if it was evaluated, 0 to 1. */
  readonly testAccuracy?: number;
  /** E_bwd of this epoch (docs/ALGORITHM.md section 6). */
  readonly effortBackward: number;
  /** E_tot of this epoch. */
  readonly effortTotal: number;
  /** Share of samples trained; the others were skipped. */
  readonly trainedFraction: number;
  /** Share of the dense backward work that was really executed. */
  readonly rowsWorked: number;
  /** Share of rows chosen, k / n, by weight layer, over the samples trained in this epoch. */
  readonly k: number[];
  /** Training time, evaluation not included. */
  readonly seconds: number;
}

/** What a {@link WarningEvent} is about. */
export type WarningCode = 'dead-units' | 'diverging' | 'not-learning' | 'theta-negative';

/** Training goes badly; comes once per cause and layer. */
export interface WarningEvent {
  /** Tells the events apart. */
  readonly type: 'warning';
  /** What is wrong; stable. */
  readonly code: WarningCode;
  /** The layer at fault, if one is. */
  readonly layer?: string;
  /** The same for people, with the layer, what was seen, and what helps. */
  readonly message: string;
}

/** The last event. */
export interface EndEvent {
  /** Tells the events apart. */
  readonly type: 'end';
  /** What `fit` resolves with. */
  readonly result: FitResult;
}

/** What a run of `fit` tells. */
export type FitEvent = ProgressEvent | EpochEvent | WarningEvent | EndEvent;

/** What `fit` did. Sums are over this call; after a resume they do not include what ran before. */
export interface FitResult {
  /** Epochs completed, those before a resume included. */
  readonly epochs: number;
  /** Loss of the last evaluation on the test data; without one the training loss of the last epoch. */
  readonly loss: number;
  /** Accuracy of the same, 0 to 1. */
  readonly accuracy: number;
  /** E_bwd (docs/ALGORITHM.md section 6). */
  readonly effortBackward: number;
  /** E_tot. */
  readonly effortTotal: number;
  /** Work of the policy itself, in units of {@link effortTotal} and not in it. */
  readonly effortPolicy: number;
  /** Share of samples trained; the others were skipped. */
  readonly trainedFraction: number;
  /** Share of the dense backward work that was really executed. */
  readonly rowsWorked: number;
  /** Training time, evaluations not included. */
  readonly seconds: number;
  /** The signal ended it; the model is usable and can be resumed. */
  readonly aborted: boolean;
  /** One event for every epoch of this call. */
  readonly history: EpochEvent[];
  /** Every warning of this call. */
  readonly warnings: WarningEvent[];
  /** What was remembered of the frozen part of the model; null: nothing, every pass began with the samples. */
  readonly cache: CacheUse | null;
  /** Samples, work and rows, summed over this call. */
  readonly totals: Totals;
}

interface Subscriber {
  queue: FitEvent[];
  wake: (() => void) | null;
}

/** Hands events to any number of iterators. An unread progress event is replaced by the next one. @internal */
export class EventHub {
  private readonly past: FitEvent[] = [];
  private readonly subscribers = new Set<Subscriber>();
  private state: { error?: unknown } | null = null;
  /** Some iterator has started. */
  followed = false;

  emit(event: FitEvent): void {
    if (event.type !== 'progress') this.past.push(event);
    for (const { queue, wake } of this.subscribers) {
      if (event.type === 'progress' && queue.at(-1)?.type === 'progress') queue.pop();
      queue.push(event);
      wake?.();
    }
  }

  /** No more events; `failure` is thrown by the iterators after the last one. */
  finish(failure?: { error: unknown }): void {
    this.state = failure ?? {};
    for (const { wake } of this.subscribers) wake?.();
  }

  async *iterate(): AsyncGenerator<FitEvent, void, undefined> {
    this.followed = true;
    const own: Subscriber = { queue: [...this.past], wake: null };
    this.subscribers.add(own);
    try {
      for (;;) {
        const event = own.queue.shift();
        if (event !== undefined) {
          yield event;
        } else if (this.state !== null) {
          if ('error' in this.state) throw this.state.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            own.wake = resolve;
          });
          own.wake = null;
        }
      }
    } finally {
      this.subscribers.delete(own);
    }
  }
}
