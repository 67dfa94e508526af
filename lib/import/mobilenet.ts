// SPDX-License-Identifier: Apache-2.0
import type { Normalization } from '../data/dataset';
import { TinypropError } from '../errors';
import { foldedTensors } from '../fold';
import type { ModelJson, NodeJson } from '../graph';
import { type MobilenetV2Options, mobilenetV2 } from '../mobilenet';
import { floatsOf, readSafetensors, type Safetensors } from './safetensors';

/** A description and trained weights for it. @internal */
export interface Pretrained {
  json: ModelJson;
  /** By name, `<node>.weight` ...; without those of a classifier that is new. */
  tensors: Map<string, Float32Array>;
  /** What the weights expect of bytes of images. */
  normalization: Normalization;
}

/** How a framework names the tensors of a MobileNetV2; weights are `[out][in / groups][kh][kw]` in all of them. */
interface Naming {
  /** Prefix of a node's tensors. */
  of(node: string): string;
  /** Prefix of the batch normalisation behind it; absent: folded already. */
  normOf?(node: string): string;
  /** Tensors that training needs and nobody else. */
  ignored?: RegExp;
  mean: number[];
  std: number[];
}

/** `block3_expand` to its block and its place in it; undefined for `stem`, `head` and `fc`. */
function inBlock(node: string): { block: number; part: 'expand' | 'depthwise' | 'project' } | undefined {
  const [, block, part] = /^block(\d+)_(.+)$/.exec(node) ?? [];
  return block === undefined ? undefined : { block: Number(block), part: part as 'expand' };
}

const mcunetParts = { expand: 'pointwise1', depthwise: 'depthwise', project: 'pointwise2' } as const;
const torchEnds: Readonly<Record<string, string>> = { stem: 'features.0.0', head: 'features.18.0', fc: 'classifier.1' };

/** A new one is a row here. */
const namings: readonly Naming[] = [
  {
    // MIT's MCUNet and tiny-training: inputs from -1 to 1.
    of(node) {
      const place = inBlock(node);
      if (place) return `blocks.${place.block}.${mcunetParts[place.part]}`;
      return { stem: 'first_conv', head: 'feature_mix_layer', fc: 'classifier' }[node] as string;
    },
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  },
  {
    // torchvision: a block is conv.0.0 (expansion), conv.1.0 (depthwise), conv.2; the first one has no expansion.
    of(node) {
      const place = inBlock(node);
      if (!place) return torchEnds[node] as string;
      const first = place.block === 0 ? 1 : 0;
      const index = { expand: '0.0', depthwise: `${1 - first}.0`, project: `${2 - first}` }[place.part];
      return `features.${place.block + 1}.conv.${index}`;
    },
    normOf(node) {
      return this.of(node).replace(/\d+$/, (last) => String(Number(last) + 1));
    },
    ignored: /\.num_batches_tracked$/,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  },
];

/**
 * Weights of a MobileNetV2 out of a safetensors file, named as MCUNet's (folded) or torchvision's (batch normalisations are folded here, in
 * float64). Without `classes`, or with as many as the file has, its classifier is kept; else the classifier is new.
 *
 * @throws TinypropError those of `readSafetensors`; `ERR_TINYPROP_MISMATCH` naming the tensor that is missing, too many or of another shape,
 *   `ERR_TINYPROP_DATA`, `ERR_TINYPROP_MODEL` (a tensor of other numbers than floats)
 * @internal
 */
export function readMobilenetV2(bytes: Uint8Array, options: Omit<MobilenetV2Options, 'head' | 'batchNorm'>): Pretrained {
  const file = readSafetensors(bytes);
  const naming = namings.find(({ of }) => file.tensors.has(`${of('stem')}.weight`));
  if (naming === undefined) {
    throw mismatch(`the file holds no MobileNetV2: none of ${namings.map(({ of }) => `${of('stem')}.weight`).join(', ')} is there, but ${[...file.tensors.keys()].slice(0, 3).join(', ')}`);
  }
  const own = file.tensors.get(`${naming.of('fc')}.weight`)?.shape[0];
  const classes = options.classes ?? own;
  if (classes === undefined) throw mismatch(`the file has no classifier, ${naming.of('fc')}.weight; say how many classes there are`);
  const head = file.tensors.has(`${naming.of('head')}.weight`);
  const json = mobilenetV2({ ...options, classes, head, batchNorm: naming.normOf !== undefined });
  const reader = new Reader(file, naming);
  const tensors = reader.read(json, classes === own);
  const folded = foldedTensors(json, [...tensors.keys()], (name) => tensors.get(name) as Float32Array);
  const scale = Math.fround(1 / 255);
  return {
    json: folded.json,
    tensors: folded.tensors as Map<string, Float32Array>,
    normalization: { mode: 'standard', scale, mean: naming.mean.map(Math.fround), std: naming.std.map(Math.fround) },
  };
}

class Reader {
  private readonly tensors = new Map<string, Float32Array>();
  private readonly unused: Set<string>;

  constructor(
    private readonly file: Safetensors,
    private readonly naming: Naming,
  ) {
    this.unused = new Set([...file.tensors.keys()].filter((name) => !naming.ignored?.test(name)));
  }

  /** All tensors of the graph's nodes; those of the classifier only if it is kept. */
  read(json: ModelJson, keepClassifier: boolean): Map<string, Float32Array> {
    const channels = new Map([['input', json.input.at(-1) as number]]);
    for (const node of json.nodes) {
      const inputs = channels.get(node.inputs[0] as string) as number;
      channels.set(node.name, (node['units'] as number | undefined) ?? inputs);
      if (node.op === 'batchNorm') this.norm(node, inputs);
      else if (node.op === 'dense') this.classifier(node, inputs, keepClassifier);
      else if (node.op === 'conv2d') this.convolution(node, node['units'] as number, inputs);
      else if (node.op === 'depthwiseConv2d') this.convolution(node, inputs, 1);
    }
    const [extra] = this.unused;
    if (extra !== undefined) throw mismatch(`the file has a tensor that this MobileNetV2 does not have: ${extra}`, { name: extra });
    return this.tensors;
  }

  private convolution(node: NodeJson, units: number, inputs: number): void {
    const prefix = this.naming.of(node.name);
    const [kh, kw] = node['kernel'] as [number, number];
    this.tensors.set(`${node.name}.weight`, channelsLast(this.take(`${prefix}.weight`, [units, inputs, kh, kw]), inputs, kh * kw));
    if (node['bias'] !== false) this.tensors.set(`${node.name}.bias`, this.take(`${prefix}.bias`, [units]));
  }

  private norm(node: NodeJson, channels: number): void {
    const prefix = this.naming.normOf?.(node.inputs[0] as string) as string;
    for (const [part, name] of [['gamma', 'weight'], ['beta', 'bias'], ['mean', 'running_mean'], ['variance', 'running_var']]) {
      this.tensors.set(`${node.name}.${part}`, this.take(`${prefix}.${name}`, [channels]));
    }
  }

  private classifier(node: NodeJson, inputs: number, keep: boolean): void {
    const prefix = this.naming.of(node.name);
    if (!keep) return void [`${prefix}.weight`, `${prefix}.bias`].forEach((name) => this.unused.delete(name));
    this.tensors.set(`${node.name}.weight`, this.take(`${prefix}.weight`, [node['units'] as number, inputs]));
    this.tensors.set(`${node.name}.bias`, this.take(`${prefix}.bias`, [node['units'] as number]));
  }

  /** A tensor of that shape; extents of 1 at its end do not count. */
  private take(name: string, shape: number[]): Float32Array {
    const tensor = this.file.tensors.get(name);
    if (tensor === undefined) throw mismatch(`the file lacks ${name} [${shape.join(', ')}]`, { name });
    const bare = (extents: readonly number[]): string => extents.join().replace(/(,1)+$/, '');
    if (bare(tensor.shape) !== bare(shape)) {
      throw mismatch(`${name} is [${tensor.shape.join(', ')}] in the file, expected [${shape.join(', ')}]; is it of another width?`, { name, expected: shape, found: tensor.shape });
    }
    this.unused.delete(name);
    return floatsOf(tensor, name);
  }
}

/** `[out][in][taps]` to `[out][taps][in]`. */
function channelsLast(from: Float32Array, inputs: number, taps: number): Float32Array {
  const to = new Float32Array(from.length);
  for (let row = 0; row < from.length; row += inputs * taps) {
    for (let i = 0; i < inputs; i++) for (let t = 0; t < taps; t++) to[row + t * inputs + i] = from[row + i * taps + t] as number;
  }
  return to;
}

function mismatch(problem: string, details: Record<string, unknown> = {}): TinypropError {
  return new TinypropError('ERR_TINYPROP_MISMATCH', problem, details);
}
