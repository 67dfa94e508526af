// SPDX-License-Identifier: Apache-2.0
import { listId, type NativeRecall, type NativeRecipe } from './addon';
import { TinypropError } from './errors';
import type { ModelCore } from './model-core';

/** Sections of the model file that hold what is known of the samples of a fit. */
const visitsTag = 'VIST';
const lossesTag = 'LOSS';

/**
 * What a fit knows of its samples: when to look at each again, and its last loss. Only what the recipe asks for exists. It is saved with the
 * model, as sections of their own.
 * @internal
 */
export class Recall {
  private readonly visits: Uint8Array | undefined;
  private readonly losses: Float32Array | undefined;

  constructor(core: ModelCore, recipe: NativeRecipe, n: number, { resume, record }: { resume: boolean; record: boolean }) {
    const stale = recipe.policy === listId('policy', 'selective') && recipe.stale > 1;
    if (stale && record) {
      throw new TinypropError('ERR_TINYPROP_RECIPE', 'fit: record: a log does not hold the past losses that policy selective with stale above 1 decides by', { stale: recipe.stale });
    }
    const bytes = (tag: string, length: number): Uint8Array => {
      const stored = core.sections.find((section) => section.tag === tag)?.data;
      if (resume && stored?.length !== length) {
        throw new TinypropError('ERR_TINYPROP_MISMATCH', `fit: resume: the model holds no record of the ${n} samples (section ${tag} of ${length} bytes)`, { tag, expected: length, found: stored?.length ?? 0 });
      }
      return resume && stored !== undefined ? Uint8Array.from(stored) : new Uint8Array(length);
    };
    const visits = recipe.revisit > 0 ? bytes(visitsTag, n) : undefined;
    const losses = stale ? bytes(lossesTag, 4 * n) : undefined;
    core.sections = core.sections.filter(({ tag }) => tag !== visitsTag && tag !== lossesTag);
    // Views of what training changes: whoever saves the model between two chunks saves them as they are.
    if (visits) core.sections.push({ tag: visitsTag, data: visits });
    if (losses) core.sections.push({ tag: lossesTag, data: losses });
    this.visits = visits;
    this.losses = losses && new Float32Array(losses.buffer);
  }

  /** Of all samples, by their numbers. */
  all(): NativeRecall | undefined {
    const { visits, losses } = this;
    return visits || losses ? { visits, losses } : undefined;
  }

  /** A copy for the samples of a chunk, in its order. */
  of(chunk: Uint32Array): NativeRecall | undefined {
    const { visits, losses } = this;
    if (!visits && !losses) return undefined;
    return {
      visits: visits && Uint8Array.from(chunk, (sample) => visits[sample] as number),
      losses: losses && Float32Array.from(chunk, (sample) => losses[sample] as number),
    };
  }

  /** What became of such a copy. */
  take(copy: NativeRecall | undefined, chunk: Uint32Array): void {
    chunk.forEach((sample, i) => {
      if (this.visits && copy?.visits) this.visits[sample] = copy.visits[i] as number;
      if (this.losses && copy?.losses) this.losses[sample] = copy.losses[i] as number;
    });
  }
}
