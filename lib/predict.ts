// SPDX-License-Identifier: Apache-2.0
import { constant, guard, isErrorCode } from './addon';
import { errorCodes, TinypropError } from './errors';
import { identityOrder, runJob, type ModelCore } from './model-core';
import { Prediction } from './results';

/** Work (multiply-accumulates) below which starting a thread costs more than it frees. */
const smallWork = 2e6;

function joined(core: ModelCore, x: Float32Array | Float32Array[]): Float32Array {
  const { inputs } = core.plan;
  const shape = core.targetSpec.inputShape.join('x');
  const list = Array.isArray(x) ? x : [x];
  if (!list.every((sample) => sample instanceof Float32Array)) {
    throw new TinypropError('ERR_TINYPROP_ARG', 'predict: expected a Float32Array or a list of them');
  }
  for (const [i, sample] of list.entries()) {
    const fits = Array.isArray(x) ? sample.length === inputs : sample.length > 0 && sample.length % inputs === 0;
    if (!fits) {
      const where = Array.isArray(x) ? `sample ${i}` : 'x';
      const many = Array.isArray(x) ? '' : ' or a multiple';
      throw new TinypropError('ERR_TINYPROP_SHAPE', `predict: ${where}: expected ${inputs} numbers (${shape})${many}, found ${sample.length}`, {
        expected: inputs,
        found: sample.length,
      });
    }
  }
  if (!Array.isArray(x)) return x;
  const all = new Float32Array(list.length * inputs);
  for (const [i, sample] of list.entries()) all.set(sample, i * inputs);
  return all;
}

function checkResult(code: string | null, sample: number): void {
  if (code === null) return;
  const known = isErrorCode(code) ? code : 'ERR_TINYPROP_ARG';
  throw new TinypropError(known, `predict: sample ${sample}: ${errorCodes[known]}`, { sample });
}

/** @internal */
export async function predictSamples(core: ModelCore, x: Float32Array | Float32Array[]): Promise<Prediction> {
  core.use();
  const all = joined(core, x);
  const { inputs, outputs, macsForward } = core.plan;
  const n = all.length / inputs;
  const job = { kind: 'predict', x: all, y: null, order: identityOrder(n), from: 0, to: n, keep: true } as const;
  const small = n * macsForward <= smallWork;
  if (small && core.holder === null) {
    const kind = constant('job', 'predict');
    const result = guard('predict', () => core.net.runNow(kind, all, null, job.order, 0, n, true));
    checkResult(result.code, result.done);
    return new Prediction(result.outputs, n, outputs);
  }
  // A copy: the caller may reuse the array before its turn comes.
  const queued = { ...job, x: Array.isArray(x) ? all : all.slice() };
  const result = await core.read((net) => runJob(net, queued));
  core.use();
  checkResult(result.code, result.done);
  return new Prediction(result.outputs, n, outputs);
}
