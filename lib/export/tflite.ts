// SPDX-License-Identifier: Apache-2.0
import { TinypropError } from '../errors';
import type { ModelJson, NodeJson } from '../graph';
import { type ImportedModel, readTflite, type TensorSource } from '../import';
import { plain } from '../import/tflite';
import { transposed } from '../import/tflite-ops';
import { Model } from '../model';
import type { TensorData } from '../tensor';

function mismatch(message: string, details: Record<string, unknown>): TinypropError {
  return new TinypropError('ERR_TINYPROP_MISMATCH', `tflite: not the file that this model came from: ${message}`, details);
}

/** What a training may change without making another model of it. */
const free = new Set(['frozen', 'init']);

function compareNodes(file: NodeJson, model: NodeJson): void {
  const keys = new Set([...Object.keys(file), ...Object.keys(model)].filter((key) => !free.has(key)));
  for (const key of keys) {
    const [expected, found] = [JSON.stringify(file[key]), JSON.stringify(model[key])];
    if (expected !== found) throw mismatch(`node "${file.name}": the file has ${key} ${expected}, the model ${found}`, { node: file.name, attribute: key, expected, found });
  }
}

function compareGraphs(file: ModelJson, model: ModelJson): void {
  if (file.input.join() !== model.input.join()) throw mismatch(`the file's input is ${file.input.join('x')}, the model's ${model.input.join('x')}`, { expected: file.input, found: model.input });
  if (file.nodes.length !== model.nodes.length) throw mismatch(`it makes ${file.nodes.length} nodes, the model has ${model.nodes.length}`, { expected: file.nodes.length, found: model.nodes.length });
  file.nodes.forEach((node, i) => compareNodes(node, model.nodes[i] as NodeJson));
}

/** The file as the core writes it down, so that defaults do not look like differences. */
function normalized(imported: ImportedModel): ModelJson {
  const model = Model.fromJSON(imported.json);
  try {
    return model.toJSON();
  } finally {
    model.close();
  }
}

/**
 * The .tflite file that a model was read from, with the model's weights and biases in place of its own: only those bytes differ, so that it
 * runs wherever the original runs.
 *
 * @param model read from `original` (`Model.load`) and then trained; also after saving it as .tpm
 * @param original bytes of that file; they are not changed
 * @throws TinypropError `ERR_TINYPROP_MISMATCH` naming the difference, if it is another model's file; `ERR_TINYPROP_BUSY`, and those of
 *   {@link Model.fromBytes}
 */
export function exportTflite(model: Model, original: Uint8Array): Uint8Array {
  const json = model.toJSON();
  const imported = readTflite(original, { loss: json.loss, softmax: json.nodes.some((node) => node.op === 'softmaxS8') });
  compareGraphs(normalized(imported), json);
  const out = plain(original).slice();
  const written = new Map<number, { name: string; bytes: Buffer }>();
  for (const [name, { data, source }] of imported.tensors) {
    const trained = model.getTensorData(name);
    if (trained.length !== data.length) throw mismatch(`"${name}": the file has ${data.length} numbers, the model ${trained.length}`, { tensor: name, expected: data.length, found: trained.length });
    if (source === undefined) checkSame(name, data, trained);
    else write(out, written, name, trained, source);
  }
  return out;
}

/** What the file does not hold cannot be written: scales, and biases that it leaves out. */
function checkSame(name: string, file: ArrayLike<number>, trained: ArrayLike<number>): void {
  for (let i = 0; i < file.length; i++) {
    if (file[i] === trained[i]) continue;
    throw mismatch(`"${name}" has no place in the file, and number ${i} is now ${trained[i]} instead of ${file[i]}; freeze its layer`, { tensor: name, index: i });
  }
}

function write(out: Uint8Array, written: Map<number, { name: string; bytes: Buffer }>, name: string, trained: TensorData, { at, columns }: TensorSource): void {
  const values = columns > 0 ? transposed(trained, trained.length / columns) : trained;
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const other = written.get(at);
  if (other && !other.bytes.equals(bytes)) throw mismatch(`"${name}" and "${other.name}" share their bytes in the file and are now different`, { tensor: name, other: other.name });
  written.set(at, { name, bytes });
  out.set(bytes, at);
}
