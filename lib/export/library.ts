// SPDX-License-Identifier: Apache-2.0
import { amalgamate } from './amalgamate';
import type { Exporter } from './project';
import { type FileTree, under } from './sources';

/** The library as an exporter lays it out: the same bytes for the same sources. @internal */
export function libraryFiles(library: Exporter['library'], core: FileTree): FileTree {
  return under(library.folder, library.form === 'csrc' ? core : amalgamate(core));
}
