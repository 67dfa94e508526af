// SPDX-License-Identifier: Apache-2.0
import { readTfliteFile, unsupported } from './tflite-file';
import { type ImportedModel, TfliteGraph, type ImportOptions } from './tflite-graph';
import { operators } from './tflite-ops';

/** A Buffer's slice() is no copy; a Uint8Array's is. @internal */
export function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Reads a float or int8 .tflite file as a model of this package; the bytes are not trusted.
 *
 * @throws TinypropError `ERR_TINYPROP_BLOB`, `ERR_TINYPROP_DATA` (truncated, damaged), `ERR_TINYPROP_MODEL` naming the operator or the
 *   feature that is not supported, `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_LIMIT`, `ERR_TINYPROP_VERSION`
 * @internal
 */
export function readTflite(bytes: Uint8Array, options: ImportOptions = {}): ImportedModel {
  if (options.inputShape !== undefined) throw unsupported('the input of a .tflite file has the shape that it has');
  const file = readTfliteFile(plain(bytes));
  const missing = [...new Set(file.operators.map((op) => op.name).filter((name) => !operators.has(name)))];
  if (missing.length > 0) {
    throw unsupported(`tinyprop does not have ${missing.length === 1 ? 'the operator' : 'the operators'} ${missing.join(', ')}; it reads ${[...operators.keys()].join(', ')}`, { operators: missing });
  }
  const graph = new TfliteGraph(plain(bytes), file, options);
  for (const op of file.operators) operators.get(op.name)?.(graph, op);
  const end = graph.end();
  if (end.quantization) graph.add('dequantize', 'dequantize', [end.node], {});
  const loss = options.loss ?? end.tail ?? 'mse';
  return {
    json: { format: 'tinyprop-model', version: 1, input: graph.input, loss, nodes: graph.nodes },
    input: graph.quantization,
    tensors: graph.tensors,
    nodeOf: graph.nodeOf,
  };
}
