// SPDX-License-Identifier: Apache-2.0
import { constant, guard } from '../addon';
import type { Dataset } from '../data/dataset';
import { TinypropError } from '../errors';
import { Model } from '../model';
import type { ModelCore } from '../model-core';
import { sgd } from '../optimizer';
import type { RecipeOptions } from '../recipe';
import type { LayerMask, MaskChooser, MaskContext, Masks } from './mask';

/** Section of the model file that holds the memory of what chooses masks. */
const memoryTag = 'CHSR';

function refused(message: string, details: Record<string, unknown> = {}): TinypropError {
  return new TinypropError('ERR_TINYPROP_RECIPE', `fit: ${message}`, details);
}

/** Tells the core what trains. @throws TinypropError `ERR_TINYPROP_RECIPE` (no such layer, another number of rows) */
function setMasks(core: ModelCore, masks: Masks): void {
  const notALayer = constant('node', 'notALayer');
  const layers = core.plan.nodes.filter(({ layer }) => layer !== notALayer);
  const unknown = Object.keys(masks).find((name) => !layers.some((layer) => layer.name === name));
  if (unknown !== undefined) throw refused(`masks: "${unknown}" is no weight layer of the model`, { layer: unknown, valid: layers.map(({ name }) => name) });
  for (const { name, layer, rows } of layers) {
    const { rows: trains, bias = 'rows' }: LayerMask = masks[name] ?? { rows: false, bias: 'none' };
    const bytes = typeof trains === 'boolean' ? new Uint8Array(rows).fill(trains ? 1 : 0) : trains;
    if (bytes.length !== rows) throw refused(`masks: "${name}" has ${rows} rows, not ${bytes.length}`, { layer: name, expected: rows, found: bytes.length });
    guard('fit', () => core.net.mask(layer, bytes, constant('bias', bias)));
  }
}

/** The masks of a fit. @internal */
export class Masker {
  private readonly masks: Masks | undefined;
  private readonly chooser: MaskChooser | undefined;
  private readonly choose: ReturnType<MaskChooser['begin']> | undefined;

  constructor(
    private readonly core: ModelCore,
    private readonly recipe: RecipeOptions,
    private readonly run: { train: Dataset; seed: number; resume: boolean; record: boolean },
  ) {
    const { masks, chooser } = recipe.policy ?? {};
    const memory = core.sections.find(({ tag }) => tag === memoryTag)?.data;
    if (!run.resume) this.remember(undefined);
    if (masks === undefined && chooser === undefined) return;
    const method = chooser?.method ?? 'masked';
    if (run.record) throw refused(`record: a log does not hold the masks of ${method}`);
    if (run.resume && chooser?.when === 'epoch' && memory === undefined) throw refused(`resume: the model holds nothing of what ${method} remembers from epoch to epoch (section ${memoryTag})`);
    this.masks = masks;
    this.chooser = chooser;
    this.choose = chooser?.begin(run.resume ? memory : undefined);
  }

  /** Before an epoch; gives what choosing has cost, in multiply-accumulates. After a resume masks are in the training state. */
  async before(epoch: number): Promise<number> {
    const { core, recipe, run } = this;
    if (epoch === 0 && this.masks !== undefined) setMasks(core, this.masks);
    if (this.choose === undefined || (epoch > 0 && this.chooser?.when === 'once')) return 0;
    const model = Model.fromBytes(guard('fit', () => core.net.save(constant('blob', 'weights'), [])));
    try {
      const context: MaskContext = { epoch, model, data: run.train, seed: run.seed, batch: recipe.batch ?? 1, optimizer: recipe.optimizer ?? sgd() };
      const choice = await this.choose(context);
      if (choice !== null) setMasks(core, choice.masks);
      this.remember(choice?.memory);
      return choice?.macs ?? 0;
    } finally {
      model.close();
    }
  }
  private remember(memory: Uint8Array | undefined): void {
    const { core } = this;
    core.sections = core.sections.filter(({ tag }) => tag !== memoryTag);
    if (memory !== undefined) core.sections.push({ tag: memoryTag, data: memory });
  }
}
