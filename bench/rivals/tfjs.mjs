// SPDX-License-Identifier: Apache-2.0
// @ts-check
// TensorFlow.js on its WebAssembly backend with SIMD. It trains dense nets only: the gradient of a convolution's filter is not there.
import { dirname, join } from 'node:path';
import { load, lr, normal, samples, serve, shapes, uniform, version, weights, where } from './serve.mjs';

/** @typedef {import('./serve.mjs').Node} Node */

const core = '@tensorflow/tfjs'; // the whole: tfjs-core alone has no gradients
const backend = '@tensorflow/tfjs-backend-wasm';
const tf = load(core);
const wasm = tf && load(backend);

/**
 * A function from the value of a node's input to its own.
 * @param {Node} node
 * @param {number[]} shape of its input
 * @returns {(x: any, other: any) => any}
 */
function translate(node, shape) {
  const channels = Number(shape.at(-1));
  const units = node.units ?? channels;
  const bias = () => tf.variable(tf.zeros([units]));
  /** @param {number[]} dims @param {number} fanIn */
  const filter = (dims, fanIn) => tf.variable(tf.tensor(weights(dims.reduce((a, b) => a * b, 1), fanIn), dims));
  switch (node.op) {
    case 'relu':
      return (x) => tf.relu(x);
    case 'relu6':
      return (x) => tf.relu6(x);
    case 'add':
      return (x, other) => tf.add(x, other);
    case 'flatten':
      return (x) => tf.reshape(x, [x.shape[0], -1]);
    case 'globalAvgPool':
      return (x) => tf.mean(x, [1, 2]);
    case 'dense': {
      const w = filter([channels, units], channels);
      const b = bias();
      return (x) => tf.add(tf.matMul(x, w), b);
    }
    case 'conv1d': {
      const w = filter([node.kernel, channels, units], node.kernel * channels);
      const b = bias();
      return (x) => tf.add(tf.conv1d(x, w, node.stride, 'same'), b);
    }
    default: {
      const [kh, kw] = node.kernel;
      const deep = node.op === 'depthwiseConv2d';
      const w = filter([kh, kw, channels, deep ? 1 : units], kh * kw * (deep ? 1 : channels));
      const b = bias();
      return (x) => tf.add(deep ? tf.depthwiseConv2d(x, w, node.stride, 'same') : tf.conv2d(x, w, node.stride, 'same'), b);
    }
  }
}

/** @param {import('./serve.mjs').Request} request */
async function make({ what, model, batch }) {
  if (what === 'step' && model.nodes.some(({ op }) => /conv/i.test(op))) return 'its WebAssembly backend cannot train convolutions';
  tf.disposeVariables();
  const found = shapes(model);
  const operations = model.nodes.map((node) => ({ node, run: translate(node, /** @type {number[]} */ (found.get(String(node.inputs[0])))) }));
  /** @param {any} x */
  const forward = (x) => {
    const values = new Map([['input', x]]);
    for (const { node, run } of operations) values.set(node.name, run(values.get(String(node.inputs[0])), values.get(String(node.inputs[1]))));
    return values.get(String(model.nodes.at(-1)?.name));
  };
  const outputs = Number(found.get(String(model.nodes.at(-1)?.name))?.[0]);
  const size = model.input.reduce((a, b) => a * b, batch);
  const data = Array.from({ length: samples / batch }, () => ({
    x: tf.tensor(Float32Array.from({ length: size }, normal), [batch, ...model.input]),
    y:
      model.loss === 'mse'
        ? tf.tensor(Float32Array.from({ length: batch * outputs }, normal), [batch, outputs])
        : tf.oneHot(tf.tensor1d(Int32Array.from({ length: batch }, () => Math.floor(uniform() * outputs)), 'int32'), outputs),
  }));
  const sgd = tf.train.sgd(lr);
  let next = 0;
  if (what === 'infer') return () => void tf.tidy(() => forward(data[next++ % data.length]?.x).dataSync());
  return () => {
    const { x, y } = /** @type {any} */ (data[next++ % data.length]);
    tf.tidy(() => {
      sgd.minimize(() => {
        const z = forward(x);
        return model.loss === 'mse' ? tf.losses.meanSquaredError(y, z) : tf.losses.softmaxCrossEntropy(y, z);
      });
    });
  };
}

async function start() {
  if (wasm === undefined) return { skip: `TensorFlow.js is not installed (npm install --no-save ${core} ${backend})` };
  console.warn = console.log = () => {}; // the protocol owns the output
  wasm.setWasmPaths(join(dirname(where(backend)), '/'));
  wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  return { version: `${version(core)} wasm`, make };
}

await serve(await start());
