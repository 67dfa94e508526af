// SPDX-License-Identifier: Apache-2.0
import { mainC } from './program';
import type { Exporter } from './project';
import { under } from './sources';

/** An ESP-IDF project with tinyprop as a component. @internal */
export const espIdf: Exporter = {
  name: 'esp-idf',
  title: 'ESP-IDF project and component',
  forms: ['array', 'bin'],
  library: { form: 'csrc', folder: 'components/tinyprop', closed: true },
  app: 'main',
  files: (project) => ({
    'CMakeLists.txt': `# SPDX-License-Identifier: Apache-2.0
cmake_minimum_required(VERSION 3.18)
set(TINYPROP_CONFIG_HEADER "\${CMAKE_CURRENT_LIST_DIR}/main/tinyprop_config.h" CACHE STRING "Rows of the lists that this model needs")
include($ENV{IDF_PATH}/tools/cmake/project.cmake)
project(tinyprop_firmware)
`,
    'sdkconfig.defaults': `# SPDX-License-Identifier: Apache-2.0
CONFIG_COMPILER_OPTIMIZATION_PERF=y
${project.cmsisNn ? 'CONFIG_TINYPROP_CMSIS_NN=y\n' : ''}`,
    'main/CMakeLists.txt': `# SPDX-License-Identifier: Apache-2.0
idf_component_register(SRCS "main.c" "tinyprop_learn.c" "tinyprop_model.c" "tinyprop_samples.c" INCLUDE_DIRS "." PRIV_REQUIRES tinyprop)
${
  project.form === 'bin'
    ? `set_source_files_properties(tinyprop_model.c PROPERTIES
  OBJECT_DEPENDS "\${CMAKE_CURRENT_LIST_DIR}/model.tpm"
  COMPILE_DEFINITIONS TINYPROP_MODEL_FILE="\${CMAKE_CURRENT_LIST_DIR}/model.tpm")
`
    : ''
}`,
    'main/idf_component.yml': `# SPDX-License-Identifier: Apache-2.0
dependencies:
  idf:
    version: ">=5.0"
`,
    ...under('main', { ...project.config, ...project.model('main/model.tpm'), ...project.learn, ...project.samples }),
    'main/main.c': mainC(project.loss, 'void app_main(void);\n\nvoid app_main(void)', ''),
  }),
  build: `With ESP-IDF 5 or later in the environment:

    idf.py set-target esp32s3 && idf.py build flash monitor

The component is \`components/tinyprop\`. The Xtensa cores of ESP32 and ESP32-S3 have an FPU; chips without one train with exact, slow software floats.`,
};
