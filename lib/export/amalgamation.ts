// SPDX-License-Identifier: Apache-2.0
import { mainC } from './program';
import type { Exporter } from './project';

/** The library in one file and a few beside it: any IDE and any build system. @internal */
export const amalgamation: Exporter = {
  name: 'amalgamation',
  title: 'the library in one file, for any build system',
  forms: ['array', 'bin'],
  library: { form: 'amalgamation', folder: '', closed: false },
  app: '',
  files: (project) => ({
    ...project.config,
    ...project.model('model.tpm'),
    ...project.learn,
    ...project.samples,
    'main.c': mainC(project.loss, 'int main(void)', '    return status == TP_OK ? 0 : 1;\n'),
  }),
  build: `    cc -std=c11 -O2 *.c -o train && ./train

Or add all files to a project of your IDE: C11, no include paths, no flags. The compiler must be gcc or clang. A model as \`.tpm\` is
taken in by the assembler from the folder in which the compiler runs; \`-DTINYPROP_MODEL_FILE='"path/model.tpm"'\` names another place.`,
};
