// SPDX-License-Identifier: Apache-2.0
// The C code of docs/store.md is compiled as it stands there, and its port runs on a flash in memory.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyprop } from '../lib/cli/harness';

const root = join(__dirname, '..', '..');
const page = readFileSync(join(root, 'docs', 'store.md'), 'utf8');
const blocks = [...page.matchAll(/^```c\n([^]*?)^```$/gm)].map(([, code]) => code!);

// What the page's port wants of the vendor's library, with the flash of two banks as an array.
const hal = `#include <stdint.h>
#include <string.h>
typedef enum { HAL_OK, HAL_ERROR } HAL_StatusTypeDef;
typedef struct { uint32_t TypeErase, Banks, Page, NbPages; } FLASH_EraseInitTypeDef;
enum { FLASH_TYPEERASE_PAGES = 0, FLASH_BANK_2 = 2, FLASH_TYPEPROGRAM_DOUBLEWORD = 0 };
extern uint8_t hal_flash[1 << 20];
#define FLASH_BASE ((uintptr_t)hal_flash)
HAL_StatusTypeDef HAL_FLASH_Unlock(void);
HAL_StatusTypeDef HAL_FLASH_Lock(void);
HAL_StatusTypeDef HAL_FLASH_Program(uint32_t type, uintptr_t address, uint64_t data);
HAL_StatusTypeDef HAL_FLASHEx_Erase(FLASH_EraseInitTypeDef *init, uint32_t *error);
`;

const main = `#include <stdio.h>
uint8_t hal_flash[1 << 20];
HAL_StatusTypeDef HAL_FLASH_Unlock(void) { return HAL_OK; }
HAL_StatusTypeDef HAL_FLASH_Lock(void) { return HAL_OK; }
HAL_StatusTypeDef HAL_FLASH_Program(uint32_t type, uintptr_t address, uint64_t data) {
    uint64_t now;
    memcpy(&now, (void *)address, 8);
    if (type != FLASH_TYPEPROGRAM_DOUBLEWORD || address % 8 != 0 || now != UINT64_MAX) { return HAL_ERROR; }
    memcpy((void *)address, &data, 8);
    return HAL_OK;
}
HAL_StatusTypeDef HAL_FLASHEx_Erase(FLASH_EraseInitTypeDef *init, uint32_t *error) {
    *error = 0xffffffffu;
    if (init->Page >= 256 || init->NbPages != 1 || init->Banks != FLASH_BANK_2) { return HAL_ERROR; }
    memset(hal_flash + 0x80000 + init->Page * 2048, 0xff, 2048);
    return HAL_OK;
}
static _Alignas(8) uint8_t plan_bytes[4096];
static _Alignas(64) uint8_t arena[4096];
int main(void) {
    static const tp_node node = {.name = "out", .op = 1, .in = {TP_INPUT, TP_NONE}, .units = 2};
    static const tp_model model = {&node, 1, {1, 1, 2, 1}, TP_F32, 1};
    tp_plan *plan = (tp_plan *)(void *)plan_bytes;
    tp_recipe recipe = tp_recipe_default();
    tp_net net;
    tp_store_info info = {0};
    tp_status status = tp_plan_make(&model, &recipe, plan, sizeof plan_bytes, NULL);
    if (status == TP_OK) { status = tp_net_open(&net, plan, arena, sizeof arena, NULL); }
    if (status == TP_OK) { status = tp_net_init(&net); }
    if (status != TP_OK) { return 1; }
    printf("%s", tp_status_name(weights_begin(&net, &info)));
    for (uint32_t i = 0; i < 12000; i++) {
        float x[2] = {(float)(i % 7) - 3.0f, 1.0f};
        uint32_t label = i % 7 > 3;
        tp_batch batch = {.x = x, .label = &label, .n = 1};
        if (tp_train_step(&net, &batch, NULL) != TP_OK || weights_keep((float)i * 0.01f) != TP_OK) { return 2; }
    }
    status = weights_begin(&net, &info);
    printf(" %s sequence %u slot %u samples %u", tp_status_name(status), info.sequence, info.slot, (unsigned)info.samples);
    return 0;
}
`;

describe('docs/store.md', () => {
  let folder = '';
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'tinyprop-store-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('has code that compiles without a warning and keeps weights', () => {
    expect(blocks).toHaveLength(2);
    writeFileSync(join(folder, 'stm32l4xx_hal.h'), hal);
    writeFileSync(join(folder, 'main.c'), `${blocks[1]}\n${blocks[0]}\n${main}`);
    const program = join(folder, 'main');
    const flags = ['-std=c11', '-O1', '-Wall', '-Wextra', '-Wno-missing-prototypes', '-Werror', '-DTP_STATIC_ISA=soft', `-I${join(root, 'csrc/include')}`, `-I${folder}`];
    const build = spawnSync('cc', [...flags, join(folder, 'main.c'), join(root, 'csrc/tinyprop.c'), '-o', program], { encoding: 'utf8' });
    expect(build.stderr).toBe('');
    expect(spawnSync(program, { encoding: 'utf8' })).toMatchObject({ status: 0, stdout: 'TP_E_EMPTY TP_OK sequence 2 slot 1 samples 10520' });
  });

  it('shows what the command prints', async () => {
    const [, command, shown] = /^ {4}tinyprop (plan .*)\n\n((?: {4}.*\n)+)/m.exec(page)!;
    const { code, out } = await tinyprop(command!.split(' '));
    expect(code).toBe(0);
    const lines = (text: string): string => text.replace(/\u00a0/g, ' ').replace(/^ +/gm, '');
    expect(lines(out)).toContain(lines(shown!));
  });
});
