/* SPDX-License-Identifier: Apache-2.0 */
/* From reset to main() on any Cortex-M: vector table, floating-point unit, memory, faults. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"

extern uint8_t board_data_begin[], board_data_end[], board_data_load[], board_bss_begin[], board_bss_end[], board_stack_top[];

int main(int argc, char **argv);
void board_reset(void);

/* A system timer interrupt is a program's own business: it may define this function. */
__attribute__((weak)) void board_tick(void) {}

static void board_fault(void) {
    semihosting_write("fault: the program is stopped\n", 30);
    semihosting_exit(70);
}

#define SCB_CCR (*(volatile uint32_t *)0xe000ed14u)
#define SCB_CPACR (*(volatile uint32_t *)0xe000ed88u)

void board_reset(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    SCB_CPACR |= 0xfu << 20; /* coprocessors 10 and 11: the floating-point unit, and Helium */
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
#if !defined(__ARM_FEATURE_UNALIGNED)
    SCB_CCR |= 1u << 3; /* built for a core without unaligned access: where this one has it, it is a fault too */
#endif
    memcpy(board_data_begin, board_data_load, (size_t)(board_data_end - board_data_begin));
    memset(board_bss_begin, 0, (size_t)(board_bss_end - board_bss_begin));
    static char line[256];
    static char *argv[16];
    int argc = semihosting_arguments(line, sizeof line, argv, 16);
    semihosting_exit(main(argc, argv));
}

typedef void (*board_vector)(void);

__attribute__((section(".vectors"), used)) static const board_vector board_vectors[16] = {
    (board_vector)(uintptr_t)board_stack_top,
    board_reset,
    board_fault, board_fault, board_fault, board_fault, board_fault, board_fault, /* NMI, hard, memory, bus, usage, secure */
    0, 0, 0,
    board_fault, board_fault, 0, board_fault, /* SVC, debug, -, PendSV */
    board_tick,
};
