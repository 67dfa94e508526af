// SPDX-License-Identifier: Apache-2.0
import type { ActivationCache } from './activation-cache';
import { constant, isErrorCode, type NativeNet } from './addon';
import type { Dataset } from './data/dataset';
import { errorCodes, TinypropError } from './errors';
import { ChunkSize } from './chunk';
import { identityOrder, runJob, type ModelCore } from './model-core';
import { argmax, Totals, type Evaluation } from './results';
import { targetsOf, type Targets } from './targets';

/** Adds `confusion[label][prediction]` of the samples from `from` on. */
function count(confusion: Uint32Array[], outputs: Float32Array, size: number, labelAt: (i: number) => number, from: number): void {
  for (let i = 0; i * size < outputs.length; i++) {
    const predicted = size === 1 ? ((outputs[i] as number) > 0 ? 1 : 0) : argmax(outputs, i * size, size);
    const row = confusion[labelAt(from + i)] as Uint32Array;
    row[predicted] = (row[predicted] as number) + 1;
  }
}

async function evaluateOn(
  net: NativeNet,
  core: ModelCore,
  data: Dataset,
  y: Targets,
  signal: AbortSignal | undefined,
  cache: ActivationCache | null,
): Promise<Evaluation> {
  const { outputs, macsForward } = core.plan;
  const { loss } = core.targetSpec;
  const { labels } = data;
  const binary = loss === 'bce' && outputs === 1;
  const classes = binary ? 2 : outputs;
  const confusion = labels !== undefined && loss !== 'mse' ? Array.from({ length: classes }, () => new Uint32Array(classes)) : undefined;
  const totals = new Totals(core.plan.layers);
  const order = identityOrder(data.n);
  // In whole groups of the samples that the core adds up together: the loss must not depend on the machine's pace.
  const chunk = new ChunkSize(constant('job', 'together'), macsForward, 50);
  for (let from = 0; from < data.n; ) {
    if (signal?.aborted) throw new TinypropError('ERR_TINYPROP_ABORTED', 'evaluate: aborted', {}, signal.reason);
    const to = Math.min(data.n, from + chunk.size);
    const started = performance.now();
    const result = await runJob(net, { kind: 'evaluate', x: data.x, y, order, from, to, keep: confusion !== undefined, recall: cache === null ? undefined : { cut: cache.cut } });
    chunk.measured(to - from, performance.now() - started);
    core.use();
    if (result.code !== null) {
      const code = isErrorCode(result.code) ? result.code : 'ERR_TINYPROP_ARG';
      const sample = from + result.done;
      throw new TinypropError(code, `evaluate: data "${data.name}": sample ${sample}: ${errorCodes[code]}`, { sample });
    }
    totals.add(result.totals);
    if (confusion !== undefined && labels !== undefined) count(confusion, result.outputs, outputs, (i) => labels[i] as number, from);
    from = to;
  }
  const summary = { accuracy: totals.accuracy, loss: totals.loss, n: data.n };
  return confusion === undefined ? summary : { ...summary, confusion };
}

/** Evaluates a copy of the present weights; `cache`: of these data and this model. @internal */
export async function evaluateModel(core: ModelCore, data: Dataset, signal: AbortSignal | undefined, cache: ActivationCache | null = null): Promise<Evaluation> {
  core.use();
  const y = targetsOf(data, core.targetSpec);
  const net = await core.snapshot();
  try {
    return await evaluateOn(net, core, data, y, signal, cache);
  } finally {
    net.close();
  }
}
