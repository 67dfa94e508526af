// SPDX-License-Identifier: Apache-2.0
import { constant, facts, type NativeFacts, type NativeModel, type NativeRecipe } from '../addon';

/** The lists whose rows a build may leave out, and the word of their macros. */
const selectable = { layer: 'LAYER', loss: 'LOSS', policy: 'POLICY', optimizer: 'OPTIM' } as const;

/**
 * `tinyprop_config.h`: the rows that this model and recipe need and no others. A row that a later version adds is in until the
 * header is made anew.
 *
 * @internal
 */
export function configHeader(model: NativeModel, recipe: NativeRecipe, options: { sourceId: string; cmsisNn: boolean; strings: boolean }): string {
  const used: Record<keyof typeof selectable, readonly number[]> = {
    layer: model.nodes.map((node) => node.op),
    loss: [model.loss],
    policy: [recipe.policy],
    optimizer: [recipe.optimizer],
  };
  const lists: NativeFacts['lists'] = facts().lists;
  const lines = [
    '/* SPDX-License-Identifier: Apache-2.0 */',
    '/* TP_CONFIG_HEADER of tinyprop for one model and one recipe, made by `tinyprop firmware export`: do not edit. */',
    '#ifndef TINYPROP_CONFIG_H',
    '#define TINYPROP_CONFIG_H',
    '',
    '#ifndef TP_SOURCE_ID',
    `#define TP_SOURCE_ID "${options.sourceId}"`,
    '#endif',
    '',
    '/* One table of arithmetic: Cortex-M gets the one of its flags; a PC keeps all and asks its CPU. */',
    '#if !defined(TP_STATIC_ISA) && !defined(__x86_64__) && !defined(__aarch64__) && !defined(__ARM_ARCH_PROFILE)',
    '#ifdef __FP_FAST_FMAF',
    '#define TP_STATIC_ISA scalar',
    '#else',
    '#define TP_STATIC_ISA soft',
    '#endif',
    '#endif',
    ...(options.strings ? [] : ['', '/* tp_status_name says "TP_E_?" of every error. */', '#ifndef TP_NO_STRINGS', '#define TP_NO_STRINGS 1', '#endif']),
    ...(options.cmsisNn ? ['', '#ifndef TP_CMSIS_NN', '#define TP_CMSIS_NN 1', '#endif'] : []),
    '',
    '/* Rows that are not needed. What needs one of them gets TP_E_ABSENT. */',
  ];
  for (const list of Object.keys(selectable) as (keyof typeof selectable)[]) {
    const absent = lists[list].filter((row) => !used[list].includes(row.id));
    lines.push(...absent.map((row) => `#define TP_WITH_${selectable[list]}_${row.name} 0`));
  }
  if (!model.nodes.some((node) => (node.flags & constant('flag', 'biasTrains')) !== 0)) lines.push('#define TP_WITH_PART_bias_only 0');
  for (const part of ['cut', 'ahead']) {
    lines.push('', `/* What the program does not call: -DTP_WITH_PART_${part}=1 for one that does. */`, `#ifndef TP_WITH_PART_${part}`, `#define TP_WITH_PART_${part} 0`, '#endif');
  }
  return `${[...lines, '', '#endif'].join('\n')}\n`;
}
