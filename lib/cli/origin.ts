// SPDX-License-Identifier: Apache-2.0
import { describe } from '../describe';

/** What made a report: the command, quoted for a shell, and the program. */
export function originOf(argv: readonly string[]): { command: string; program: string } {
  const { version, sourceId, kernels } = describe();
  const quoted = argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`));
  return { command: `tinyprop ${quoted.join(' ')}`, program: `tinyprop ${version}, source ${sourceId.slice(0, 16)}, kernels ${kernels}` };
}
