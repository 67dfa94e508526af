/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what a board executes. Under `qemu -icount shift=6` every instruction takes 64 ns, so the system timer, which has the
 * CPU's clock, counts instructions in a unit of its own; a loop of known length says how large that is. Never call it cycles:
 * the emulator knows none. On the host all of it gives 0. */
#ifndef FIRMWARE_COUNTER_H
#define FIRMWARE_COUNTER_H

#include <stdint.h>

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define SYST_CSR (*(volatile uint32_t *)0xe000e010u)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014u)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018u)

static volatile uint32_t counter_wraps;

void board_tick(void);
void board_tick(void) { counter_wraps++; }

static uint64_t counter_now(void) {
    uint32_t wraps, value;
    do {
        wraps = counter_wraps;
        value = SYST_CVR;
    } while (wraps != counter_wraps);
    return ((uint64_t)wraps << 24) + (0xffffffu - value);
}

/* Ticks of a million instructions. */
static double counter_start(void) {
    SYST_RVR = 0xffffffu;
    SYST_CVR = 0;
    SYST_CSR = 7; /* the CPU's clock, interrupt, on */
    uint64_t from = counter_now();
    uint32_t n = 500000;
    __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(n) : : "cc");
    return (double)(counter_now() - from);
}

/* How deep the stack got below the caller of stack_paint(): what lies there is filled with a pattern first. */
extern uint32_t board_stack_limit[];
static uint32_t *stack_from;

__attribute__((noinline)) static void stack_paint(void) {
    uintptr_t here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    stack_from = (uint32_t *)(here - 64u); /* this function's own */
    for (volatile uint32_t *at = board_stack_limit; at < stack_from; at++) { *at = 0x5ac3a53cu; }
}

static uint32_t stack_used(void) {
    const uint32_t *at = board_stack_limit;
    while (at < stack_from && *at == 0x5ac3a53cu) { at++; }
    return (uint32_t)((uintptr_t)stack_from - (uintptr_t)at);
}
#else
static uint64_t counter_now(void) { return 0; }
static double counter_start(void) { return 0.0; }
static void stack_paint(void) {}
static uint32_t stack_used(void) { return 0; }
#endif

#endif
