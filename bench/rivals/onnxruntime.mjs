// SPDX-License-Identifier: Apache-2.0
// @ts-check
// onnxruntime-node: inference, on ONNX files that are written here, byte by byte (protocol buffers), with random weights.
import { load, normal, samples, serve, shapes, version, weights } from './serve.mjs';

/** @typedef {import('./serve.mjs').Model} Model */
/** @typedef {import('./serve.mjs').Node} Node */

/** @param {number} n */
function varint(n) {
  const bytes = [];
  for (; n > 127; n = Math.floor(n / 128)) bytes.push((n % 128) + 128);
  return Buffer.from([...bytes, n]);
}

/**
 * A field: integers as varints, everything else with its length.
 * @param {number} number
 * @param {number | string | Buffer} value
 */
function field(number, value) {
  if (typeof value === 'number') return Buffer.concat([varint(number * 8), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

/**
 * @param {string} name
 * @param {number[]} dims
 * @param {Float32Array} data
 */
const tensor = (name, dims, data) =>
  field(5, Buffer.concat([...dims.map((n) => field(1, n)), field(2, 1), field(8, name), field(9, Buffer.from(data.buffer))]));

/**
 * @param {number} number input or output of the graph
 * @param {string} name
 * @param {number[]} shape
 */
function value(number, name, shape) {
  const dims = Buffer.concat(shape.map((n) => field(1, field(1, n))));
  return field(number, Buffer.concat([field(1, name), field(2, field(1, Buffer.concat([field(1, 1), field(2, dims)])))]));
}

/**
 * @param {string} op
 * @param {string[]} inputs
 * @param {string} output
 * @param {Record<string, number | number[]>} attributes integers
 */
function operation(op, inputs, output, attributes = {}) {
  const fields = Object.entries(attributes).map(([name, of]) =>
    field(5, Buffer.concat([field(1, name), ...(typeof of === 'number' ? [field(3, of), field(20, 2)] : [...of.map((n) => field(8, n)), field(20, 7)])])),
  );
  return field(1, Buffer.concat([...inputs.map((name) => field(1, name)), field(2, output), field(4, op), ...fields]));
}

/**
 * Nodes and weights of one operation; images are [n][c][h][w] here.
 * @param {Node} node
 * @param {number[]} shape of its input, channels last
 * @returns {Buffer[]}
 */
function translate(node, shape) {
  const { name, inputs } = node;
  const channels = Number(shape.at(-1));
  const units = node.units ?? channels;
  switch (node.op) {
    case 'relu':
      return [operation('Relu', inputs, name)];
    case 'relu6':
      return [tensor(`${name}.lo`, [], Float32Array.of(0)), tensor(`${name}.hi`, [], Float32Array.of(6)), operation('Clip', [...inputs, `${name}.lo`, `${name}.hi`], name)];
    case 'add':
      return [operation('Add', inputs, name)];
    case 'flatten':
      return [operation('Flatten', inputs, name)];
    case 'globalAvgPool':
      return [operation('GlobalAveragePool', inputs, `${name}.map`), operation('Flatten', [`${name}.map`], name)];
    case 'dense':
      return [
        tensor(`${name}.w`, [units, channels], weights(units * channels, channels)),
        tensor(`${name}.b`, [units], new Float32Array(units)),
        operation('Gemm', [...inputs, `${name}.w`, `${name}.b`], name, { transB: 1 }),
      ];
    default: {
      const kernel = [node.kernel].flat();
      const group = node.op === 'depthwiseConv2d' ? channels : 1;
      const fanIn = kernel.reduce((a, b) => a * b, channels / group);
      const padding = /** @type {number[]} */ (node.padding);
      return [
        tensor(`${name}.w`, [units, channels / group, ...kernel], weights(units * fanIn, fanIn)),
        tensor(`${name}.b`, [units], new Float32Array(units)),
        operation('Conv', [...inputs, `${name}.w`, `${name}.b`], name, {
          kernel_shape: kernel,
          strides: [node.stride].flat(),
          pads: [...padding.filter((_, i) => i % 2 === 0), ...padding.filter((_, i) => i % 2 === 1)],
          group,
        }),
      ];
    }
  }
}

/**
 * @param {Model} model
 * @param {number} batch
 */
function onnx(model, batch) {
  const found = shapes(model);
  const last = /** @type {Node} */ (model.nodes.at(-1));
  const graph = [
    ...model.nodes.flatMap((node) => translate(node, /** @type {number[]} */ (found.get(String(node.inputs[0]))))),
    field(2, 'workload'),
    value(11, 'input', [batch, ...model.input.slice(-1), ...model.input.slice(0, -1)]),
    value(12, last.name, [batch, .../** @type {number[]} */ (found.get(last.name))]),
  ];
  return Buffer.concat([field(1, 8), field(8, field(2, 13)), field(7, Buffer.concat(graph))]);
}

const ort = load('onnxruntime-node');

/** @param {import('./serve.mjs').Request} request */
async function make({ what, model, batch }) {
  if (what === 'step') return 'inference only';
  const session = await ort.InferenceSession.create(onnx(model, batch), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const shape = [batch, ...model.input.slice(-1), ...model.input.slice(0, -1)];
  const size = shape.reduce((a, b) => a * b, 1);
  const feeds = Array.from({ length: samples / batch }, () => ({ input: new ort.Tensor('float32', Float32Array.from({ length: size }, normal), shape) }));
  let next = 0;
  return () => session.run(feeds[next++ % feeds.length]);
}

await serve(
  ort === undefined
    ? { skip: 'onnxruntime-node is not installed (npm install --no-save --ignore-scripts onnxruntime-node)' }
    : { version: version('onnxruntime-node'), make },
);
