// SPDX-License-Identifier: Apache-2.0
// A log written by C alone, with other kernels than this machine's best, in slices: what firmware does. Replayed here.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { facts } from '../../lib/addon';
import { dense, loadData, Model, relu, replay, Trainer } from '../../lib/index';

const root = join(__dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'tinyprop-device-'));
afterAll(() => rmSync(folder, { recursive: true }));

const firmware = `
#include <stdio.h>
#include "tinyprop_log.h"

static _Alignas(TP_ALIGN) uint8_t arena[256 * 1024];
static _Alignas(8) uint8_t plan_bytes[16 * 1024];
static _Alignas(8) uint8_t stats[1024];
static uint8_t file[256 * 1024];

static bool to_file(void *user, const void *bytes, uint32_t length) { return fwrite(bytes, 1, length, (FILE *)user) == length; }

int main(int argc, char **argv) {
    FILE *in = fopen(argv[1], "rb");
    tp_log log = {.write = to_file, .user = fopen(argv[2], "wb"), .flags = TP_LOG_SAMPLES, .every = argc > 3 ? 0u : 10u};
    size_t length = fread(file, 1, sizeof file, in);
    tp_plan *plan = (tp_plan *)plan_bytes;
    tp_blob blob; tp_node nodes[16]; tp_model model; tp_net net;
    tp_recipe recipe = tp_recipe_default();
    recipe.batch = 3;
    recipe.optimizer = tp_list_id(TP_LIST_OPTIMIZER, "momentum");
    recipe.momentum = 0.5f;
    recipe.seed = 77;
    tp_status status = tp_blob_open(&blob, file, length);
    if (status == TP_OK) status = tp_blob_model(&blob, nodes, 16, &model);
    if (status == TP_OK) status = tp_plan_make(&model, &recipe, plan, sizeof plan_bytes, NULL);
    if (status == TP_OK) status = tp_net_open(&net, plan, arena, sizeof arena, NULL);
    if (status == TP_OK) status = tp_net_init(&net);
    if (status == TP_OK) status = tp_blob_load(&blob, &net, TP_BLOB_WEIGHTS, NULL);
    if (status == TP_OK) status = tp_log_begin(&log, &net);
    uint32_t random = 1;
    for (int step = 0; step < 105 && status == TP_OK; step++) {
        float x[3 * 64];
        uint32_t label[3];
        for (int i = 0; i < 3 * 64; i++) x[i] = (float)((random = random * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f;
        for (int i = 0; i < 3; i++) label[i] = (random = random * 1664525u + 1013904223u) >> 16 & 7u;
        tp_batch batch = {.x = x, .label = label, .n = 1u + (uint32_t)step % 3u};
        bool done = false;
        status = tp_step_begin(&net, &batch, (tp_stats *)stats);
        while (status == TP_OK && !done) status = tp_step_resume(&net, 500, &done);
        tp_status written = tp_log_step(&log, &net, &batch, NULL, (tp_stats *)stats, status);
        if (status == TP_OK) status = written;
    }
    fclose((FILE *)log.user);
    printf("%s %s\\n", tp_status_name(status), tp_kernels_name(tp_kernels_best()));
    return status != TP_OK;
}
`;

describe('a log written by C', () => {
  it('is identical here', async () => {
    const [main, source, file, log] = ['main', 'main.c', 'm.tpm', 'device.log'].map((name) => join(folder, name)) as [string, string, string, string];
    writeFileSync(source, firmware);
    const flags = ['-std=c11', '-O1', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-DTP_STATIC_ISA=soft', `-DTP_SOURCE_ID="${facts().sourceId}"`, `-I${join(root, 'csrc', 'include')}`];
    const built = spawnSync(process.env['CC'] ?? 'cc', [...flags, source, join(root, 'csrc', 'tinyprop.c'), '-o', main], { encoding: 'utf8' });
    expect([built.status, built.stderr]).toEqual([0, '']);

    const model = Model.sequential({ input: [64], layers: [dense(24), relu(), dense(16), relu(), dense(10)] });
    const { train } = await loadData('digits', { limit: 50 });
    await new Trainer(model).fit({ train: { ...train, inputShape: [64] } }, { epochs: 1 }).result;
    await model.save(file);
    model.close();
    const device = spawnSync(main, [file, log], { encoding: 'utf8' });
    expect([device.status, device.stdout]).toEqual([0, 'TP_OK soft\n']);
    expect(await replay(log, file)).toMatchObject({ steps: 105, hashed: 10, identical: true, rest: null });

    spawnSync(main, [file, log, 'no weights']);
    expect(await replay(log, file)).toMatchObject({ steps: 105, hashed: 0, identical: true });
  });
});
