// SPDX-License-Identifier: Apache-2.0
import { mainC, sketch } from './program';
import type { Exporter } from './project';
import { under } from './sources';

/** A PlatformIO project: `native` runs here, any other environment on a board. @internal */
export const platformio: Exporter = {
  name: 'platformio',
  title: 'PlatformIO project',
  forms: ['array', 'bin'],
  library: { form: 'csrc', folder: 'lib/tinyprop', closed: true },
  app: 'src',
  files: (project) => ({
    'platformio.ini': `; SPDX-License-Identifier: Apache-2.0
[platformio]
default_envs = native

[env]
; The configuration is read before everything else; paths are relative to this folder.
build_flags = -include src/tinyprop_config.h -O2 -ffunction-sections -fdata-sections
build_unflags = -Os

[env:native]
platform = native

; One section a board, such as
[env:nucleo_f446re]
platform = ststm32
board = nucleo_f446re
framework = arduino
monitor_speed = 115200
`,
    ...under('src', { ...project.config, ...project.model('src/model.tpm'), ...project.learn, ...project.samples }),
    'src/main.cpp': `/* SPDX-License-Identifier: Apache-2.0 */
#ifdef ARDUINO
${sketch(project.loss).split('\n').slice(1).join('\n').replace('<tinyprop_learn.h>', '"tinyprop_learn.h"')}
#else
${mainC(project.loss, 'int main(void)', '    return status == TP_OK ? 0 : 1;\n').split('\n').slice(1).join('\n')}
#endif
`,
  }),
  build: `    pio run -e native && .pio/build/native/program
    pio run -e nucleo_f446re -t upload && pio device monitor

The library is \`lib/tinyprop\`; its \`library.json\` compiles \`tinyprop.c\` alone.`,
};
