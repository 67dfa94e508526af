// SPDX-License-Identifier: Apache-2.0
import { Chain } from './chain';
import type { LossName, ModelJson } from './graph';

/** Options of {@link mobilenetV2}. */
export interface MobilenetV2Options {
  /** Factor of all channel numbers, above 0. */
  width: number;
  /** Height, width, channels; default 224, 224, 3. */
  input?: readonly number[];
  /** Outputs; default 1000, those of ImageNet. */
  classes?: number;
  /** Loss; default `softmaxCrossEntropy`. */
  loss?: LossName;
  /** The 1x1 convolution with at least 1280 channels in front of the pooling; default true. Models for microcontrollers leave it out. */
  head?: boolean;
  /** Batch normalisations as nodes of their own, behind convolutions without bias; default false: folded. */
  batchNorm?: boolean;
}

/** MobileNetV2's channel rule: the nearest multiple of 8, never more than 10 % below the wanted number. @internal */
export function divisibleBy8(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

/** Inverted residual blocks of MobileNetV2 (Sandler 2018, table 2): expansion, channels, repeats, first stride. */
const blocks = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/**
 * The description of a MobileNetV2 (Sandler 2018) at any width, channels rounded as torchvision does. Nodes: `stem`, `block0_depthwise`,
 * `block0_project`, `block1_expand` ... `block16_project`, `head`, `pool`, `fc`; activations are `.._act`, batch normalisations `.._norm`.
 *
 * @returns a description for `Model.fromJSON`; `loadModel('mobilenetv2:WIDTH,FILE.safetensors')` gives it trained weights
 */
export function mobilenetV2(options: MobilenetV2Options): ModelJson {
  const { width, input = [224, 224, 3], classes = 1000, loss = 'softmaxCrossEntropy', head = true, batchNorm = false } = options;
  const net = new Mobilenet(input, batchNorm);
  let channels = divisibleBy8(32 * width);
  net.unit('stem', { units: channels, kernel: 3, stride: 2 });
  let block = 0;
  for (const [expansion, base, repeats, firstStride] of blocks) {
    const units = divisibleBy8(base * width);
    for (let i = 0; i < repeats; i++) {
      net.block(`block${block++}`, { channels, units, expansion, stride: i === 0 ? firstStride : 1 });
      channels = units;
    }
  }
  if (head) net.unit('head', { units: divisibleBy8(1280 * Math.max(1, width)), kernel: 1, stride: 1 });
  net.chain.add('pool', 'globalAvgPool');
  net.chain.add('fc', 'dense', { units: classes });
  return net.chain.model(loss);
}

class Mobilenet {
  readonly chain: Chain;

  constructor(
    input: readonly number[],
    private readonly batchNorm: boolean,
  ) {
    this.chain = new Chain(input);
  }

  /** Convolution, batch normalisation, activation. */
  unit(name: string, { units, kernel, stride, linear = false }: { units: number; kernel: number; stride: number; linear?: boolean }): void {
    this.chain.conv(name, units, kernel, stride, this.batchNorm ? { bias: false } : {});
    this.finish(name, linear);
  }

  block(name: string, { channels, units, expansion, stride }: { channels: number; units: number; expansion: number; stride: number }): void {
    const { chain } = this;
    const shortcut = chain.last;
    if (expansion !== 1) this.unit(`${name}_expand`, { units: channels * expansion, kernel: 1, stride: 1 });
    chain.add(`${name}_depthwise`, 'depthwiseConv2d', { multiplier: 1, kernel: [3, 3], stride: [stride, stride], padding: [1, 1, 1, 1], ...(this.batchNorm && { bias: false }) });
    this.finish(`${name}_depthwise`, false);
    this.unit(`${name}_project`, { units, kernel: 1, stride: 1, linear: true });
    if (stride === 1 && channels === units) chain.add(`${name}_add`, 'add', {}, [chain.last, shortcut]);
  }

  private finish(name: string, linear: boolean): void {
    if (this.batchNorm) this.chain.add(`${name}_norm`, 'batchNorm');
    if (!linear) this.chain.add(`${name}_act`, 'relu6');
  }
}
