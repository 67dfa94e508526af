// SPDX-License-Identifier: Apache-2.0
import { constant } from './addon';

/** Multiply-accumulates. */
export interface StepMacs {
  /** Forward pass. */
  readonly forward: number;
  /** Weight gradients, counted by k (zeros included). */
  readonly dw: number;
  /** Input errors, counted by k. */
  readonly dx: number;
  /** Backward ones really executed: rows of non-zero error. */
  readonly worked: number;
}

/** What one training step did. Arrays have one entry per weight layer, from the input; all 0 when skipped. */
export interface StepResult {
  /** Loss before the update. */
  readonly loss: number;
  /** False: the decision skipped this sample; no weight changed. */
  readonly trained: boolean;
  /** The prediction before the update was right (softmax cross-entropy, bce; else false). */
  readonly correct: boolean;
  /** Rows that the policy chose. */
  readonly k: number[];
  /** Rows it chose from. */
  readonly n: number[];
  /** Chosen rows whose error was not zero. */
  readonly worked: number[];
  /** `sum|delta|`. */
  readonly l1: number[];
  /** Multiply-accumulates of this step. */
  readonly macs: StepMacs;
}

/** Reads the stats record of a step; the buffer is reused from step to step. @internal */
export class StepRecord {
  readonly bytes: Uint8Array;
  private readonly words: Uint32Array;
  private readonly floats: Float32Array;
  // Places in words of 4 bytes, fields of their own: looked up by name they cost more than the call of the addon.
  private readonly trained = place('stats', 'trained');
  private readonly correct = place('stats', 'correct');
  private readonly loss = place('stats', 'loss');
  private readonly macsForward = place('stats', 'macsForward');
  private readonly macsDw = place('stats', 'macsDw');
  private readonly macsDx = place('stats', 'macsDx');
  private readonly macsWorked = place('stats', 'macsWorked');
  private readonly first = place('stats', 'layers');
  private readonly distance = place('layerStats', 'bytes');
  private readonly n = place('layerStats', 'n');
  private readonly k = place('layerStats', 'k');
  private readonly worked = place('layerStats', 'worked');
  private readonly l1 = place('layerStats', 'l1');

  constructor(
    statsBytes: number,
    private readonly layers: number,
  ) {
    this.bytes = new Uint8Array(statsBytes);
    this.words = new Uint32Array(this.bytes.buffer);
    this.floats = new Float32Array(this.bytes.buffer);
  }

  /** The low word comes first. */
  private u64(at: number): number {
    return (this.words[at] as number) + (this.words[at + 1] as number) * 4294967296;
  }

  /** The record as plain numbers, independent of the buffer. */
  read(): StepResult {
    const { words, floats, layers, distance } = this;
    const k = new Array<number>(layers);
    const n = new Array<number>(layers);
    const worked = new Array<number>(layers);
    const l1 = new Array<number>(layers);
    for (let layer = 0, at = this.first; layer < layers; layer++, at += distance) {
      n[layer] = words[at + this.n] as number;
      k[layer] = words[at + this.k] as number;
      worked[layer] = words[at + this.worked] as number;
      l1[layer] = floats[at + this.l1] as number;
    }
    return {
      loss: floats[this.loss] as number,
      trained: words[this.trained] !== 0,
      correct: words[this.correct] !== 0,
      k,
      n,
      worked,
      l1,
      macs: { forward: this.u64(this.macsForward), dw: this.u64(this.macsDw), dx: this.u64(this.macsDx), worked: this.u64(this.macsWorked) },
    };
  }
}

/** Offset of a field of the record in words of 4 bytes. */
function place(group: string, name: string): number {
  return constant(group, name) / 4;
}

/** Sums over many samples of one weight layer. */
export interface LayerTotals {
  /** Rows to choose from. */
  readonly n: number;
  /** Rows chosen. */
  readonly k: number;
  /** Chosen rows whose error was not zero. */
  readonly worked: number;
  /** `sum|delta|`. */
  readonly l1: number;
}

const totalFields = ['samples', 'trained', 'correct', 'steps', 'macsForward', 'macsDw', 'macsDx', 'macsWorked', 'selected', 'macsDenseBackward', 'passed', 'macsDenseForward', 'macsPolicy', 'loss'] as const;
const layerFields = 6;

/** Sums over many steps, and what follows from them (docs/ALGORITHM.md section 6). */
export class Totals {
  private readonly sums: Float64Array;

  /** @internal */
  constructor(
    /** Number of weight layers. */
    readonly layers: number,
  ) {
    this.sums = new Float64Array(totalFields.length + layers * layerFields);
  }

  /** Adds what a job of the addon counted. @internal */
  add(sums: Float64Array): void {
    for (let i = 0; i < this.sums.length; i++) this.sums[i] = (this.sums[i] as number) + (sums[i] ?? 0);
  }

  /** Adds work of a policy that the core does not see. @internal */
  addPolicy(macs: number): void {
    const at = totalFields.indexOf('macsPolicy');
    this.sums[at] = (this.sums[at] as number) + macs;
  }

  private get(name: (typeof totalFields)[number]): number {
    return this.sums[totalFields.indexOf(name)] as number;
  }

  /** Samples that went forward. */
  get samples(): number {
    return this.get('samples');
  }
  /** Samples trained. */
  get trained(): number {
    return this.get('trained');
  }
  /** Samples that were predicted rightly, before their update. */
  get correct(): number {
    return this.get('correct');
  }
  /** Optimizer steps and skipped batches. */
  get steps(): number {
    return this.get('steps');
  }
  /** Multiply-accumulates of forward passes. */
  get macsForward(): number {
    return this.get('macsForward');
  }
  /** Multiply-accumulates of weight gradients, counted by k. */
  get macsDw(): number {
    return this.get('macsDw');
  }
  /** Multiply-accumulates of input errors, counted by k. */
  get macsDx(): number {
    return this.get('macsDx');
  }
  /** Backward multiply-accumulates really executed. */
  get macsWorked(): number {
    return this.get('macsWorked');
  }
  /** What dense training of the same samples would have done backward. */
  get macsDenseBackward(): number {
    return this.get('macsDenseBackward');
  }
  /** Samples that were seen and passed over, without a forward pass. */
  get passed(): number {
    return this.get('passed');
  }
  /** What forward passes of all samples would have done. */
  get macsDenseForward(): number {
    return this.get('macsDenseForward');
  }
  /** Multiply-accumulates of the policy itself: looking at samples, measuring, probing. In no other sum. */
  get macsPolicy(): number {
    return this.get('macsPolicy');
  }
  /** Elements that a selection looked at. */
  get selected(): number {
    return this.get('selected');
  }
  /** Mean loss per sample. */
  get loss(): number {
    return this.samples === 0 ? 0 : this.get('loss') / this.samples;
  }
  /** Share of samples predicted rightly before their update, 0 to 1. */
  get accuracy(): number {
    return this.samples === 0 ? 0 : this.correct / this.samples;
  }
  /** Share of samples seen that trained, 0 to 1. */
  get trainedFraction(): number {
    const seen = this.samples + this.passed;
    return seen === 0 ? 0 : this.trained / seen;
  }
  /** E_bwd: backward MACs by k over those of dense training of all samples, skipped ones included. */
  get effortBackward(): number {
    return this.macsDenseBackward === 0 ? 0 : (this.macsDw + this.macsDx) / this.macsDenseBackward;
  }
  /** E_tot: forward and backward MACs over those of dense training of all samples. */
  get effortTotal(): number {
    const dense = this.macsDenseForward + this.macsDenseBackward;
    return dense === 0 ? 0 : (this.macsForward + this.macsDw + this.macsDx) / dense;
  }
  /** Work of the policy itself over that of dense training of all samples; not in {@link effortTotal}. */
  get effortPolicy(): number {
    const dense = this.macsDenseForward + this.macsDenseBackward;
    return dense === 0 ? 0 : this.macsPolicy / dense;
  }
  /** Share of the dense backward MACs that was really executed (rows of non-zero error). */
  get rowsWorked(): number {
    return this.macsDenseBackward === 0 ? 0 : this.macsWorked / this.macsDenseBackward;
  }
  /** Sums of one weight layer, 0 next to the input. */
  layer(index: number): LayerTotals {
    const at = totalFields.length + index * layerFields;
    const [n = 0, k = 0, worked = 0, l1 = 0] = this.sums.subarray(at, at + 4);
    return { n, k, worked, l1 };
  }
  /** Share of rows chosen, k / n, of every weight layer; 0 where none trained. */
  get k(): number[] {
    return Array.from({ length: this.layers }, (_, i) => {
      const { n, k } = this.layer(i);
      return n === 0 ? 0 : k / n;
    });
  }
  /** Everything as a plain object, for JSON. */
  toJSON(): Record<string, number> {
    const names = ['samples', 'trained', 'correct', 'steps', 'macsForward', 'macsDw', 'macsDx', 'macsWorked', 'macsDenseBackward', 'selected', 'passed', 'macsDenseForward', 'macsPolicy', 'loss'] as const;
    return Object.fromEntries(names.map((name) => [name, this[name]]));
  }
}

/** Outputs of some samples. */
export class Prediction {
  /** @internal */
  constructor(
    /** `n * size` numbers: probabilities (softmax cross-entropy, bce) or values (mse). */
    readonly outputs: Float32Array,
    /** Samples. */
    readonly n: number,
    /** Numbers per sample. */
    readonly size: number,
  ) {}

  /** Index of the largest output of sample `i`; the lowest one wins a tie. */
  argmax(i = 0): number {
    return argmax(this.outputs, i * this.size, this.size);
  }
}

/** Index of the first largest of `size` values from `at`. @internal */
export function argmax(values: Float32Array, at: number, size: number): number {
  let best = 0;
  for (let i = 1; i < size; i++) {
    if ((values[at + i] as number) > (values[at + best] as number)) best = i;
  }
  return best;
}

/** How a model does on a data set. */
export interface Evaluation {
  /** Share of right predictions, 0 to 1; 0 for mse. */
  readonly accuracy: number;
  /** Mean loss per sample. */
  readonly loss: number;
  /** `confusion[label][prediction]`: counts; classification only. */
  readonly confusion?: Uint32Array[];
  /** Samples. */
  readonly n: number;
}
