/* SPDX-License-Identifier: Apache-2.0 */
/* What a program on an emulated board (or under a debugger) asks of the machine it runs on. The C library's files, printf
 * and exit go through the same calls. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>

void semihosting_write(const char *text, size_t length);
/* Ends the emulator with this exit status. */
__attribute__((noreturn)) void semihosting_exit(int status);
/* Splits the command line (QEMU: arg=...) into argv, in place in line[]; gives argc, 0 if there is none. */
int semihosting_arguments(char *line, size_t bytes, char **argv, int most);

#endif
