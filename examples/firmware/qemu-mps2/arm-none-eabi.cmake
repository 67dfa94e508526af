# SPDX-License-Identifier: Apache-2.0
#
# Toolchain file: cmake -DCMAKE_TOOLCHAIN_FILE=arm-none-eabi.cmake -DTP_BOARD=mps2-an386 ...
# TP_BOARD is the name of a row of boards.json.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_EXECUTABLE_SUFFIX_C .elf)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
