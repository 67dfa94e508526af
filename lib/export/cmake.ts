// SPDX-License-Identifier: Apache-2.0
import { mainC } from './program';
import type { Exporter } from './project';
import { under } from './sources';

/** Any CMake project: a PC, and microcontrollers with a toolchain file (STM32 and others). @internal */
export const cmake: Exporter = {
  name: 'cmake',
  title: 'CMake (PC, STM32 and other Cortex-M with a toolchain file)',
  forms: ['array', 'bin'],
  library: { form: 'csrc', folder: 'csrc', closed: true },
  app: 'src',
  files: (project) => ({
    'CMakeLists.txt': `# SPDX-License-Identifier: Apache-2.0
cmake_minimum_required(VERSION 3.18)
project(tinyprop_firmware LANGUAGES C)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

option(TINYPROP_CMSIS_NN "Use CMSIS-NN's int8 kernels: the target cmsis-nn, or headers and library in TINYPROP_CMSIS_NN_DIR" ${project.cmsisNn ? 'ON' : 'OFF'})
set(TINYPROP_CONFIG_HEADER "\${CMAKE_CURRENT_SOURCE_DIR}/src/tinyprop_config.h" CACHE STRING "Rows of the lists that this model needs")
add_subdirectory(csrc)
target_compile_options(tinyprop PRIVATE -ffunction-sections -fdata-sections $<$<CONFIG:Release>:-O2>)

# The model and the learning: link this to a firmware of your own. The program below only shows it.
add_library(tinyprop_app STATIC src/tinyprop_learn.c src/tinyprop_model.c)
target_include_directories(tinyprop_app PUBLIC src)
target_link_libraries(tinyprop_app PUBLIC tinyprop::tinyprop)
set_target_properties(tinyprop_app PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON)
${
  project.form === 'bin'
    ? `set_source_files_properties(src/tinyprop_model.c PROPERTIES
  OBJECT_DEPENDS "\${CMAKE_CURRENT_SOURCE_DIR}/src/model.tpm"
  COMPILE_DEFINITIONS TINYPROP_MODEL_FILE="\${CMAKE_CURRENT_SOURCE_DIR}/src/model.tpm")
`
    : ''
}
add_executable(train src/main.c src/tinyprop_samples.c)
target_link_libraries(train PRIVATE tinyprop_app)
target_link_options(train PRIVATE -Wl,--gc-sections)
set_target_properties(train PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON)
`,
    ...under('src', { ...project.config, ...project.model('src/model.tpm'), ...project.learn, ...project.samples }),
    'src/main.c': mainC(project.loss, 'int main(void)', '    return status == TP_OK ? 0 : 1;\n'),
  }),
  build: `    cmake -S . -B build && cmake --build build && ./build/train

For a microcontroller give your toolchain file, linker script and startup code, and link \`tinyprop_app\`:

    cmake -S . -B build-m4 -DCMAKE_TOOLCHAIN_FILE=your-toolchain.cmake && cmake --build build-m4 --target tinyprop_app

In a project of STM32CubeMX: \`add_subdirectory\` this folder, link \`tinyprop_app\`, and call \`learn_open\` and \`learn_sample\` from \`main.c\`.
\`train\` prints with \`printf\`: it needs a C library whose output goes somewhere (UART, semihosting).`,
};
