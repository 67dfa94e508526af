// SPDX-License-Identifier: Apache-2.0
// Small data sets and models for tests: clusters around seeded centres, easy to learn.
import type { Dataset } from '../../lib/data/dataset';
import { dense, relu } from '../../lib/layers';
import { Model } from '../../lib/model';
import { TinypropError, type ErrorCode } from '../../lib/errors';
import { expect } from 'vitest';

/** A small linear congruential generator: tests need numbers, not good ones. */
export function numbers(seed: number): () => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

export function toyData(n: number, { classes = 4, size = 12, seed = 1, noise = 0.6 } = {}): Dataset {
  const centre = numbers(99);
  const centres = Array.from({ length: classes * size }, () => 2 * centre() - 1);
  const next = numbers(seed);
  const x = new Float32Array(n * size);
  const labels = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    labels[i] = Math.floor(next() * classes);
    for (let j = 0; j < size; j++) x[i * size + j] = centres[labels[i]! * size + j]! + noise * (2 * next() - 1);
  }
  return { name: 'toy', x, n, inputShape: [size], labels };
}

export function toyModel({ classes = 4, size = 12, hidden = 16 } = {}): Model {
  return Model.sequential({ input: [size], layers: [dense(hidden), relu(), dense(hidden), relu(), dense(classes)] });
}

/** The error that `body` throws or rejects with, which must have that code. */
export async function failure(code: ErrorCode, body: () => unknown): Promise<TinypropError> {
  let error: unknown;
  try {
    await body();
  } catch (caught) {
    error = caught;
  }
  expect(error, 'an error').toBeInstanceOf(TinypropError);
  expect((error as TinypropError).code).toBe(code);
  return error as TinypropError;
}
