// SPDX-License-Identifier: Apache-2.0
// @ts-check
// brain.js: dense nets, one sample a step, squared error in place of softmax cross-entropy.
import { load, lr, normal, samples, serve, shapes, uniform, version } from './serve.mjs';

const brain = load('brain.js');

/** @param {import('./serve.mjs').Request} request */
async function make({ what, model, batch }) {
  const dense = model.nodes.filter(({ op }) => op === 'dense');
  if (batch !== 1) return 'one sample a step only';
  if (model.nodes.some(({ op }) => op !== 'dense' && op !== 'relu')) return 'dense layers only';
  const sizes = [Number(model.input[0]), ...dense.map(({ units }) => Number(units))];
  const net = new brain.NeuralNetwork({ hiddenLayers: sizes.slice(1, -1), activation: 'relu', learningRate: lr });
  net.sizes = sizes;
  net.initialize();
  const outputs = Number(shapes(model).get(String(model.nodes.at(-1)?.name))?.[0]);
  const data = Array.from({ length: samples }, () => {
    const output = new Float32Array(outputs);
    if (model.loss === 'mse') output.forEach((_, i) => (output[i] = normal()));
    else output[Math.floor(uniform() * outputs)] = 1;
    return { input: Float32Array.from({ length: Number(sizes[0]) }, normal), output };
  });
  let next = 0;
  if (what === 'infer') return () => net.runInput(data[next++ % samples]?.input);
  return () => net.trainPattern(data[next++ % samples], false);
}

await serve(
  brain === undefined ? { skip: 'brain.js is not installed (npm install --no-save --ignore-scripts brain.js@1.6.1)' } : { version: version('brain.js'), make },
);
