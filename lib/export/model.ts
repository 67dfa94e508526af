// SPDX-License-Identifier: Apache-2.0
import type { NativePlan } from '../addon';
import { TinypropError } from '../errors';
import { type FileTree, sha256 } from './sources';

/** How the model gets into the firmware: as a C array, or as a file that the assembler includes. */
export type ModelForm = 'array' | 'bin';

/** What the files of a model are made of. @internal */
export interface ModelParts {
  bytes: Uint8Array;
  plan: NativePlan;
  /** The plan itself, as it lies in flash. */
  planBytes: Uint8Array;
  /** C type of a number of a sample. */
  input: 'float' | 'int8_t';
  sourceId: string;
  version: string;
}

/** Shortest decimal that reads back as that f32. @internal */
export function floatLiteral(value: number): string {
  const exact = Math.fround(value);
  let text = '';
  for (let digits = 1; digits <= 9 && Math.fround(Number(text || 'x')) !== exact; digits++) text = Number(exact.toPrecision(digits)).toString();
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

function headerText({ bytes, plan, input, sourceId, version }: ModelParts): string {
  const constants: readonly (readonly [name: string, value: string, comment: string])[] = [
    ['TINYPROP_MODEL_BYTES', `${bytes.length}u`, 'of the model file'],
    ['TINYPROP_MODEL_NODES', `${plan.nodes.length}u`, ''],
    ['TINYPROP_MODEL_INPUTS', `${plan.inputs}u`, 'numbers of a sample'],
    ['TINYPROP_MODEL_OUTPUTS', `${plan.outputs}u`, 'numbers of a prediction'],
    ['TINYPROP_PLAN_BYTES', `${plan.planBytes}u`, ''],
    ['TINYPROP_ARENA_BYTES', `${plan.arenaBytes}u`, 'training, TP_ALIGN-aligned'],
    ['TINYPROP_STATS_BYTES', `${plan.statsBytes}u`, 'tp_stats, 8-byte aligned'],
    ['TINYPROP_MODEL_SHA256', `"${sha256(bytes)}"`, ''],
    ['TINYPROP_EXPORT_VERSION', `"${version}"`, ''],
    ['TINYPROP_EXPORT_SOURCE_ID', `"${sourceId}"`, 'tp_source_id() of the same sources says so too'],
  ];
  return `/* SPDX-License-Identifier: Apache-2.0 */
/* A model for tinyprop, and how it is trained; made by \`tinyprop firmware export\`: do not edit. */
#ifndef TINYPROP_MODEL_H
#define TINYPROP_MODEL_H

#include "tinyprop.h"

#ifdef __cplusplus
extern "C" {
#endif

${constants.map(([name, value, comment]) => `#define ${name} ${value}${comment === '' ? '' : ` /* ${comment} */`}`).join('\n')}

/* A number of a sample. */
typedef ${input} tinyprop_input;

/* The model file: description and weights. Both lie in flash, aligned to 8. */
extern const uint8_t tinyprop_model[TINYPROP_MODEL_BYTES];
/* A tp_plan: how it is trained (its recipe), and where everything lies in the arena. */
extern const uint8_t tinyprop_plan[TINYPROP_PLAN_BYTES];

#ifdef __cplusplus
}
#endif
#endif
`;
}

function arrayText(name: string, size: string, bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    rows.push(`    ${Array.from(bytes.subarray(at, at + 16), (byte) => `0x${byte.toString(16).padStart(2, '0')},`).join(' ')}`);
  }
  return `_Alignas(8) const uint8_t ${name}[${size}] = {\n${rows.join('\n')}\n};`;
}

/** `path`: where the compiler finds the file, from the folder it runs in. */
function includedText(path: string): string {
  return `#ifndef TINYPROP_MODEL_FILE
#define TINYPROP_MODEL_FILE "${path}"
#endif
__asm__(".section .rodata.tinyprop_model, \\"a\\", %progbits\\n"
        ".balign 8\\n"
        ".global tinyprop_model\\n"
        "tinyprop_model:\\n"
        ".incbin \\"" TINYPROP_MODEL_FILE "\\"\\n"
        ".previous\\n");`;
}

/** `tinyprop_model.h`, `tinyprop_model.c` and, as `bin`, `model.tpm`. @internal */
export function modelFiles(parts: ModelParts, form: ModelForm, binPath: string): FileTree {
  const data = form === 'array' ? arrayText('tinyprop_model', 'TINYPROP_MODEL_BYTES', parts.bytes) : includedText(binPath);
  return {
    'tinyprop_model.h': headerText(parts),
    'tinyprop_model.c': `/* SPDX-License-Identifier: Apache-2.0 */
/* Made by \`tinyprop firmware export\`: do not edit. */
#include "tinyprop_model.h"

${data}

${arrayText('tinyprop_plan', 'TINYPROP_PLAN_BYTES', parts.planBytes)}
`,
    ...(form === 'bin' && { 'model.tpm': parts.bytes }),
  };
}

/** The bytes of the array that {@link modelFiles} wrote. @internal */
export function arrayBytes(source: string, path: string): Uint8Array {
  const body = /tinyprop_model\[TINYPROP_MODEL_BYTES\] = \{\n([^}]*)\};/.exec(source)?.[1];
  if (body === undefined) throw new TinypropError('ERR_TINYPROP_FILE', `${path}: holds no array tinyprop_model`, { path });
  return Uint8Array.from(body.match(/0x[0-9a-f]{2}/g) ?? [], Number);
}
