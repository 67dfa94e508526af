// SPDX-License-Identifier: Apache-2.0
import type { NativePlan } from '../addon';
import type { Exporter } from './project';
import type { FirmwareRecord } from './record';

/** README.md of an export; `library`: its files. @internal */
export function readme(exporter: Exporter, record: FirmwareRecord, plan: NativePlan, library: readonly string[]): string {
  const { memory, model, recipe } = record;
  const at = (name: string): string => `\`${exporter.app === '' ? '' : `${exporter.app}/`}${name}\``;
  const shown = exporter.library.form === 'csrc' ? `\`${exporter.library.folder}/\`` : library.map((path) => `\`${path}\``).join(', ');
  return `# tinyprop firmware: ${exporter.title}

Made by \`tinyprop firmware export --for ${exporter.name}\`, version ${record.version}, sources ${record.sourceId}. It trains a model of ${plan.parameters} parameters
(${plan.inputs} inputs, ${plan.outputs} outputs) on the device with ${String(recipe['policy'])} and ${String(recipe['optimizer'])}, learning rate ${Number((recipe['lr'] as number).toPrecision(7))}, and gets the same bits as
the same samples in Node.

## Build

${exporter.build}

## What is what

| | |
|---|---|
| ${shown} | the library; do not change it |
| ${at('tinyprop_config.h')} | what of it is compiled: the rows that this model and recipe need |
| ${at('tinyprop_model.c')}, ${at('tinyprop_model.h')}${model.as === 'bin' ? `, ${at('model.tpm')}` : ''} | the model (${model.bytes} bytes in flash) and the plan of its training (${memory.plan} bytes in flash), its recipe included |
| \`tinyprop_learn.c\`, \`.h\` | one network in static memory: open, learn, predict. Yours |
| \`tinyprop_samples.c\`, \`.h\` | where samples come from: **put your sensor here** |
| the program that prints, the project files | yours |
| \`tinyprop.json\`, \`SHA256SUMS\` | what \`tinyprop firmware verify\` compares |

RAM: arena ${memory.arena} bytes, record of a step ${memory.stats}, a sample, a \`tp_net\`, the stack.
`;
}
