// SPDX-License-Identifier: Apache-2.0
// Forward and backward of every operation in float64, written for reading: plain loops, one definition each.
import { type GraphNode, sizeOf, type Window } from './graph';

export type Values = Float64Array;
export type Params = Record<string, Values>;

/** Errors of the inputs and gradients of the parameters. */
export interface Backward {
  dx: Values[];
  gradients: Params;
}

/** Calls `visit(weight, x)` with the flat indices of every real tap of output (oy, ox, o); padding is left out. */
function taps(g: Window, oy: number, ox: number, o: number, visit: (w: number, x: number) => void): void {
  const perGroup = g.c / g.groups;
  const c0 = Math.floor(o / (g.o / g.groups)) * perGroup;
  for (let ky = 0; ky < g.kh; ky++) {
    const y = oy * g.sh + ky - g.top;
    if (y < 0 || y >= g.h) continue;
    for (let kx = 0; kx < g.kw; kx++) {
      const x = ox * g.sw + kx - g.left;
      if (x < 0 || x >= g.w) continue;
      for (let c = 0; c < perGroup; c++) {
        visit(((o * g.kh + ky) * g.kw + kx) * perGroup + c, (y * g.w + x) * g.c + c0 + c);
      }
    }
  }
}

/** Calls `visit(output, o, oy, ox)` for every output of a window operation. */
function outputs(g: Window, visit: (i: number, o: number, oy: number, ox: number) => void): void {
  for (let i = 0; i < g.oh * g.ow * g.o; i++) {
    visit(i, i % g.o, Math.floor(i / (g.ow * g.o)), Math.floor(i / g.o) % g.ow);
  }
}

const activations: Record<string, { f: (z: number, slope: number) => number; df: (z: number, slope: number) => number }> = {
  relu: { f: (z) => Math.max(z, 0), df: (z) => (z > 0 ? 1 : 0) },
  relu6: { f: (z) => Math.min(Math.max(z, 0), 6), df: (z) => (z > 0 && z < 6 ? 1 : 0) },
  leakyRelu: { f: (z, s) => (z > 0 ? z : s * z), df: (z, s) => (z > 0 ? 1 : s) },
  sigmoid: { f: (z) => 1 / (1 + Math.exp(-z)), df: (z) => Math.exp(-Math.abs(z)) / (1 + Math.exp(-Math.abs(z))) ** 2 },
  tanh: { f: Math.tanh, df: (z) => 1 - Math.tanh(z) ** 2 },
};

const kinks: Record<string, number[]> = { relu: [0], relu6: [0, 6], leakyRelu: [0] };

/**
 * How far the nearest value is from the other side of a kink (or from another maximum of a pool): closer than
 * float32's error, core and oracle may rightly differ. That holds for exact hits, too: sums that cancel in float64
 * need not in float32. Only equal zeros in a pool (from a ReLU) are the same in both.
 */
export function kinkMargin(g: GraphNode, x: Values): number {
  let margin = Infinity;
  const look = (distance: number): void => void (margin = Math.min(margin, Math.abs(distance)));
  for (const kink of kinks[g.node.op] ?? []) x.forEach((z) => look(z - kink));
  if (g.node.op === 'maxPool2d') {
    outputs(g.window!, (_, o, oy, ox) => {
      const seen: number[] = [];
      taps(g.window!, oy, ox, o, (_, i) => seen.push(x[i]!));
      const [best, second] = seen.sort((a, b) => b - a);
      if (second !== undefined && !(best === 0 && second === 0)) look(best! - second);
    });
  }
  return margin;
}

const biasOf = (g: GraphNode, p: Params): Values | undefined => p[`${g.node.name}.bias`];
const weightOf = (g: GraphNode, p: Params): Values => p[`${g.node.name}.weight`]!;

/** Index of the first maximum of a pool window in (ky, kx) order. */
function argmax(g: Window, x: Values, oy: number, ox: number, o: number): number {
  let best = -1;
  taps(g, oy, ox, o, (_, i) => {
    if (best < 0 || x[i]! > x[best]!) best = i;
  });
  return best;
}

/** Output of one node. Dropout is that of evaluation: the identity. */
export function forward(g: GraphNode, params: Params, xs: Values[]): Values {
  const x = xs[0]!;
  const y = new Float64Array(sizeOf(g.out));
  const act = activations[g.node.op];
  if (act) return x.map((z) => act.f(z, g.node.slope ?? 0));
  switch (g.node.op) {
    case 'dense': {
      const w = weightOf(g, params);
      const b = biasOf(g, params);
      return y.map((_, i) => x.reduce((sum, v, j) => sum + v * w[i * x.length + j]!, b?.[i] ?? 0));
    }
    case 'conv2d':
    case 'conv1d':
    case 'depthwiseConv2d': {
      const w = weightOf(g, params);
      const b = biasOf(g, params);
      outputs(g.window!, (i, o, oy, ox) => {
        let sum = b?.[o] ?? 0;
        taps(g.window!, oy, ox, o, (t, j) => (sum += w[t]! * x[j]!));
        y[i] = sum;
      });
      return y;
    }
    case 'maxPool2d':
      outputs(g.window!, (i, o, oy, ox) => (y[i] = x[argmax(g.window!, x, oy, ox, o)]!));
      return y;
    case 'avgPool2d':
      outputs(g.window!, (i, o, oy, ox) => {
        let count = 0;
        taps(g.window!, oy, ox, o, (_, j) => ((y[i]! += x[j]!), count++));
        y[i]! /= count;
      });
      return y;
    case 'globalAvgPool':
      x.forEach((v, i) => (y[i % y.length]! += (v * y.length) / x.length));
      return y;
    case 'batchNorm': {
      const part = normParts(g, params);
      return x.map((v, i) => part.gamma[i % part.n]! * part.normal(v, i) + part.beta[i % part.n]!);
    }
    case 'add':
      return x.map((v, i) => v + xs[1]![i]!);
    case 'flatten':
    case 'dropout':
      return x.slice();
    default:
      throw new Error(`oracle: no operation ${g.node.op}`);
  }
}

function normParts(g: GraphNode, params: Params) {
  const [gamma, beta, mean, variance] = ['gamma', 'beta', 'mean', 'variance'].map(
    (part) => params[`${g.node.name}.${part}`]!,
  ) as [Values, Values, Values, Values];
  const n = gamma.length;
  const scale = (i: number): number => 1 / Math.sqrt(variance[i % n]! + g.node.epsilon!);
  return { gamma, beta, n, scale, normal: (v: number, i: number): number => (v - mean[i % n]!) * scale(i) };
}

/**
 * Backward of one node. `kept` is delta with everything that is not propagated set to 0: it makes dW and dX; the
 * bias gradient is that of the whole delta. Operations without selection get the same array twice.
 */
export function backward(g: GraphNode, params: Params, xs: Values[], delta: Values, kept: Values): Backward {
  const x = xs[0]!;
  const dx = new Float64Array(x.length);
  const gradients: Params = {};
  for (const [name, shape] of Object.entries(g.tensors)) gradients[name] = new Float64Array(sizeOf(shape));
  const dw = gradients[`${g.node.name}.weight`]!;
  const db = gradients[`${g.node.name}.bias`];
  if (db) delta.forEach((d, i) => (db[i % db.length]! += d));
  const act = activations[g.node.op];
  if (act) return { dx: [delta.map((d, i) => d * act.df(x[i]!, g.node.slope ?? 0))], gradients };
  switch (g.node.op) {
    case 'dense': {
      const w = weightOf(g, params);
      kept.forEach((d, i) => {
        for (let j = 0; j < x.length; j++) {
          dw[i * x.length + j]! += d * x[j]!;
          dx[j]! += d * w[i * x.length + j]!;
        }
      });
      return { dx: [dx], gradients };
    }
    case 'conv2d':
    case 'conv1d':
    case 'depthwiseConv2d': {
      const w = weightOf(g, params);
      outputs(g.window!, (i, o, oy, ox) => {
        const d = kept[i]!;
        if (d === 0) return;
        taps(g.window!, oy, ox, o, (t, j) => {
          dw[t]! += d * x[j]!;
          dx[j]! += d * w[t]!;
        });
      });
      return { dx: [dx], gradients };
    }
    case 'maxPool2d':
      outputs(g.window!, (i, o, oy, ox) => (dx[argmax(g.window!, x, oy, ox, o)]! += delta[i]!));
      return { dx: [dx], gradients };
    case 'avgPool2d':
      outputs(g.window!, (i, o, oy, ox) => {
        let count = 0;
        taps(g.window!, oy, ox, o, () => count++);
        taps(g.window!, oy, ox, o, (_, j) => (dx[j]! += delta[i]! / count));
      });
      return { dx: [dx], gradients };
    case 'globalAvgPool':
      return { dx: [dx.map((_, i) => (delta[i % delta.length]! * delta.length) / x.length)], gradients };
    case 'batchNorm': {
      const part = normParts(g, params);
      const dGamma = new Float64Array(part.n);
      const dBeta = new Float64Array(part.n);
      delta.forEach((d, i) => {
        dGamma[i % part.n]! += d * part.normal(x[i]!, i);
        dBeta[i % part.n]! += d;
        dx[i] = d * part.gamma[i % part.n]! * part.scale(i);
      });
      return { dx: [dx], gradients: { [`${g.node.name}.gamma`]: dGamma, [`${g.node.name}.beta`]: dBeta } };
    }
    default:
      return { dx: xs.map(() => delta), gradients };
  }
}

/** A class, or one value per output. */
export type Target = number | Float32Array;

/** Loss of one sample and dLoss/dz of the output. */
export function lossOf(loss: string, z: Values, target: Target): { loss: number; delta: Values } {
  if (loss === 'softmaxCrossEntropy') {
    const top = Math.max(...z);
    const sum = z.reduce((s, v) => s + Math.exp(v - top), 0);
    const label = target as number;
    const delta = z.map((v, i) => Math.exp(v - top) / sum - (i === label ? 1 : 0));
    return { loss: Math.log(sum) + top - z[label]!, delta };
  }
  const y = target as Float32Array;
  if (loss === 'bce') {
    const each = z.map((v, i) => Math.max(v, 0) - v * y[i]! + Math.log1p(Math.exp(-Math.abs(v))));
    return { loss: each.reduce((a, b) => a + b, 0), delta: z.map((v, i) => 1 / (1 + Math.exp(-v)) - y[i]!) };
  }
  const error = z.map((v, i) => v - y[i]!);
  return { loss: error.reduce((s, e) => s + e * e, 0) / z.length, delta: error.map((e) => (2 * e) / z.length) };
}
