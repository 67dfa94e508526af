/* SPDX-License-Identifier: Apache-2.0 */
#include "semihosting.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

enum { OP_OPEN = 1, OP_CLOSE = 2, OP_WRITE = 5, OP_READ = 6, OP_SEEK = 10, OP_LENGTH = 12, OP_COMMAND_LINE = 21, OP_EXIT = 32 };

static intptr_t call(uintptr_t operation, const void *block) {
    register uintptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (intptr_t)r0;
}

static intptr_t open_file(const char *name, uintptr_t mode) {
    size_t length = 0;
    while (name[length] != 0) { length++; }
    const uintptr_t block[3] = {(uintptr_t)name, mode, length};
    return call(OP_OPEN, block);
}

/* Gives the bytes that were not written. */
static size_t write_file(intptr_t file, const char *from, size_t length) {
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)from, length};
    return (size_t)call(OP_WRITE, block);
}

/* ":tt" opened for writing is the terminal. */
static intptr_t console(void) {
    static intptr_t file = -1;
    if (file < 0) { file = open_file(":tt", 4); }
    return file;
}

void semihosting_write(const char *text, size_t length) { (void)write_file(console(), text, length); }

void semihosting_exit(int status) {
    const uintptr_t block[2] = {0x20026u, (uintptr_t)status}; /* the application has ended */
    for (;;) { (void)call(OP_EXIT, block); }
}

int semihosting_arguments(char *line, size_t bytes, char **argv, int most) {
    uintptr_t block[2] = {(uintptr_t)line, bytes};
    int argc = 0;
    if (call(OP_COMMAND_LINE, block) != 0) { return 0; }
    for (char *at = line; argc < most - 1;) {
        while (*at == ' ') { *at++ = 0; }
        if (*at == 0) { break; }
        argv[argc++] = at;
        while (*at != 0 && *at != ' ') { at++; }
    }
    argv[argc] = NULL;
    return argc;
}

/* --- what newlib wants; files are numbered as there, with the terminal as 0, 1 and 2 --- */

int _open(const char *name, int flags, int mode);
int _close(int file);
int _read(int file, char *to, int length);
int _write(int file, const char *from, int length);
int _lseek(int file, int offset, int whence);
int _fstat(int file, struct stat *status);
int _isatty(int file);
int _getpid(void);
int _kill(int process, int signal);
void *_sbrk(intptr_t more);
void _exit(int status);

int _open(const char *name, int flags, int mode) {
    (void)mode;
    intptr_t file = open_file(name, (flags & 3) == 0 ? 1u : 5u); /* "rb", "wb" */
    if (file < 0) { errno = ENOENT; }
    return file < 0 ? -1 : (int)file + 3;
}

int _close(int file) {
    const uintptr_t block[1] = {(uintptr_t)file - 3u};
    return file < 3 ? 0 : (int)call(OP_CLOSE, block);
}

int _read(int file, char *to, int length) {
    const uintptr_t block[3] = {(uintptr_t)file - 3u, (uintptr_t)to, (uintptr_t)length};
    return file < 3 ? 0 : length - (int)call(OP_READ, block);
}

int _write(int file, const char *from, int length) {
    return length - (int)write_file(file < 3 ? console() : file - 3, from, (size_t)length);
}

int _lseek(int file, int offset, int whence) {
    const uintptr_t handle[1] = {(uintptr_t)file - 3u};
    if (file < 3 || whence == 1) {
        errno = ESPIPE;
        return -1;
    }
    int at = whence == 2 ? (int)call(OP_LENGTH, handle) + offset : offset;
    const uintptr_t block[2] = {handle[0], (uintptr_t)at};
    return call(OP_SEEK, block) == 0 ? at : -1;
}

int _fstat(int file, struct stat *status) {
    status->st_mode = file < 3 ? S_IFCHR : S_IFREG;
    return 0;
}

int _isatty(int file) { return file < 3; }
int _getpid(void) { return 1; }

int _kill(int process, int signal) { /* abort() */
    (void)process;
    semihosting_exit(128 + signal);
}

void *_sbrk(intptr_t more) {
    extern uint8_t board_heap_begin[], board_heap_end[];
    static uint8_t *at = board_heap_begin;
    if (more > board_heap_end - at) {
        errno = ENOMEM;
        return (void *)-1;
    }
    uint8_t *block = at;
    at += more;
    return block;
}

void _exit(int status) { semihosting_exit(status); }
