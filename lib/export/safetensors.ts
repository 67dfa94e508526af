// SPDX-License-Identifier: Apache-2.0
import { type SafeTensor, writeSafetensors } from '../import/safetensors';
import { modelKey, safeTypes } from '../import/safetensors-model';
import { encodeMeta } from '../meta';
import type { Model } from '../model';

/**
 * The model as a safetensors file: every parameter tensor under its name, with its shape and type, graph and meta in the metadata. Other tools
 * read the weights; `Model.load` reads the model. Convolutions are `[out, kh, kw, in / groups]`; training state is not part of it.
 *
 * @returns bytes that depend on graph, weights and meta alone
 * @throws TinypropError `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`, `ERR_TINYPROP_ARG` (meta that is no JSON)
 */
export function exportSafetensors(model: Model): Uint8Array {
  const tensors = model.tensors().map(({ name, dtype, shape }): [string, SafeTensor] => {
    const { buffer, byteOffset, byteLength } = model.getTensorData(name);
    return [name, { dtype: safeTypes[dtype], shape, data: new Uint8Array(buffer, byteOffset, byteLength) }];
  });
  const text = new TextDecoder().decode(encodeMeta({ model: model.toJSON(), meta: model.meta }));
  return writeSafetensors(new Map(tensors), { [modelKey]: text });
}
