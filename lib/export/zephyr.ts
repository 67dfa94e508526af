// SPDX-License-Identifier: Apache-2.0
import { mainC } from './program';
import type { Exporter } from './project';
import { under } from './sources';

/** A Zephyr application with tinyprop as a module beside it. @internal */
export const zephyr: Exporter = {
  name: 'zephyr',
  title: 'Zephyr application and module',
  forms: ['array', 'bin'],
  library: { form: 'csrc', folder: 'modules/tinyprop', closed: true },
  app: 'src',
  files: (project) => ({
    'CMakeLists.txt': `# SPDX-License-Identifier: Apache-2.0
cmake_minimum_required(VERSION 3.20.0)

list(APPEND ZEPHYR_EXTRA_MODULES "\${CMAKE_CURRENT_SOURCE_DIR}/modules/tinyprop")
set(TINYPROP_CONFIG_HEADER "\${CMAKE_CURRENT_SOURCE_DIR}/src/tinyprop_config.h" CACHE STRING "Rows of the lists that this model needs")

find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})
project(tinyprop_firmware LANGUAGES C)

target_sources(app PRIVATE src/main.c src/tinyprop_learn.c src/tinyprop_model.c src/tinyprop_samples.c)
target_include_directories(app PRIVATE src)
${
  project.form === 'bin'
    ? `set_source_files_properties(src/tinyprop_model.c PROPERTIES
  OBJECT_DEPENDS "\${CMAKE_CURRENT_SOURCE_DIR}/src/model.tpm"
  COMPILE_DEFINITIONS TINYPROP_MODEL_FILE="\${CMAKE_CURRENT_SOURCE_DIR}/src/model.tpm")
`
    : ''
}`,
    'prj.conf': `# SPDX-License-Identifier: Apache-2.0
CONFIG_TINYPROP=y
${project.cmsisNn ? 'CONFIG_TINYPROP_CMSIS_NN=y\n' : ''}CONFIG_FPU=y
CONFIG_SPEED_OPTIMIZATIONS=y
CONFIG_MAIN_STACK_SIZE=4096
`,
    'sample.yaml': `# SPDX-License-Identifier: Apache-2.0
sample:
  name: tinyprop on-device training
tests:
  sample.tinyprop.train:
    tags: tinyprop
    integration_platforms:
      - native_sim
    harness: console
    harness_config:
      type: one_line
      regex:
        - "weights [0-9a-f]{8}, arena"
`,
    ...under('src', { ...project.config, ...project.model('src/model.tpm'), ...project.learn, ...project.samples }),
    'src/main.c': mainC(project.loss, 'int main(void)', '    return 0;\n'),
  }),
  build: `In a Zephyr workspace (\`ZEPHYR_BASE\` set):

    west build -b native_sim . && west build -t run
    west build -b nucleo_f446re -p . && west flash

The module is \`modules/tinyprop\`; \`prj.conf\` switches it on. Boards without an FPU: remove \`CONFIG_FPU\`.`,
};
