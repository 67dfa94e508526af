// SPDX-License-Identifier: Apache-2.0
import type { LossName } from '../graph';
import type { ModelForm } from './model';
import { type FileTree } from './sources';

/** Names of the ecosystems: the values of `--for`. */
export type FirmwareTarget = 'cmake' | 'amalgamation' | 'arduino' | 'platformio' | 'zephyr' | 'esp-idf' | 'cmsis-pack';

/** Everything an exporter arranges. @internal */
export interface Project {
  readonly version: string;
  readonly loss: LossName;
  /** Names of the library's public headers. */
  readonly headers: readonly string[];
  /** Form of the model. */
  readonly form: ModelForm;
  /** CMSIS-NN is wanted. */
  readonly cmsisNn: boolean;
  /** `tinyprop_config.h`. */
  readonly config: FileTree;
  /** `tinyprop_model.*`, and `model.tpm` as `bin`; `binPath`: where the compiler finds that. */
  model(binPath: string): FileTree;
  /** `tinyprop_learn.*`. */
  readonly learn: FileTree;
  /** `tinyprop_samples.*`. */
  readonly samples: FileTree;
}

/** One ecosystem: a file of this folder, and a row of the list in `list.ts`. @internal */
export interface Exporter {
  readonly name: FirmwareTarget;
  /** For help texts. */
  readonly title: string;
  /** Forms of the model that it can build; the first is the default. */
  readonly forms: readonly ModelForm[];
  /** Where the library lies: `csrc` as it is, or as two files. */
  readonly library: { readonly form: 'csrc' | 'amalgamation'; readonly folder: string; /** No other file may lie there. */ readonly closed: boolean };
  /** Folder of `tinyprop_model.*` and `tinyprop_config.h`. */
  readonly app: string;
  /** All files but the library, LICENSE, README.md, the record and the checksums. */
  files(project: Project): FileTree;
  /** How to build and run it, Markdown. */
  readonly build: string;
}
