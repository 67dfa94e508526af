// SPDX-License-Identifier: Apache-2.0
// Exports are compiled as their users compile them, run, and compared with the same run in Node: the same weights.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { conv2d, dense, describe as describeCore, exportFirmware, flatten, full, globalAvgPool, loadData, meProp, Model, momentum, type RecipeOptions, relu, sgd, tinyPropV2, verifyFirmware } from '../../../lib/index';
import { cnn, cortexM4, int8, missing, mlp, multiLabel, root, run, said, scratch, strict, trainInNode, weightsHash } from './projects';

const at = scratch();
const cases: readonly [name: string, make: () => Model, recipe: RecipeOptions, int8Samples?: boolean][] = [
  ['mlp', mlp, { policy: tinyPropV2(), optimizer: sgd({ lr: 0.05 }) }],
  ['cnn', cnn, { policy: meProp({ s: 0.3 }), optimizer: momentum({ lr: 0.02, mu: 0.9, weightDecay: 0.001 }), seed: 7 }],
  ['int8', int8, { policy: tinyPropV2(), optimizer: sgd({ lr: 0.1 }) }],
  ['int8-samples', int8, { policy: full(), optimizer: sgd({ lr: 0.1 }) }, true],
  ['multi-label', multiLabel, { policy: tinyPropV2({ preset: 'paper' }), optimizer: sgd({ lr: 0.1 }) }],
];
const compilers = ['gcc', 'clang'].filter((compiler) => !missing(compiler));
const arm = 'arm-none-eabi-gcc';
const armReason = missing(arm) ? ` (${arm} is not installed)` : '';

/** Sources of a flat folder. */
const sourcesIn = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith('.c'));

describe('export for amalgamation', () => {
  it.each(cases)('%s compiles without warnings and trains to the bits of Node', { timeout: 180_000 }, async (name, make, recipe, int8Samples = false) => {
    const model = make();
    model.configure(recipe); // weights of its seed
    for (const modelAs of ['array', 'bin'] as const) {
      const folder = at(`amalgamation-${name}-${modelAs}`);
      await exportFirmware(model, folder, { for: 'amalgamation', recipe, modelAs, int8Samples });
      expect(verifyFirmware(folder, { model })).toMatchObject({ ok: true });
    }
    const expected = said(trainInNode(model, recipe, int8Samples ? { scale: Math.fround(0.02), zero: 3 } : undefined));
    for (const compiler of compilers) {
      for (const form of ['array', 'bin']) {
        if (form === 'bin' && compiler !== 'gcc' && name !== 'mlp') continue;
        const folder = at(`amalgamation-${name}-${form}`);
        const checked = form === 'array' ? ['-DTINYPROP_CHECK_PLAN'] : []; // the plan out of flash is this compiler's own
        run(compiler, [...strict, '-O1', '-DTP_STATIC_ISA=scalar', ...checked, ...sourcesIn(folder), '-o', 'train'], folder);
        const out = run(join(folder, 'train'), [], folder).split('\n');
        expect(out[0]).toBe(expected[0]);
        expect(out[1]).toContain(expected[1]);
      }
    }
  });

  it('refuses a plan of another model and one of another library', { timeout: 180_000 }, async () => {
    const [folder, other] = [at('stale'), at('stale-other')];
    const conv = (stride: number): Model => Model.sequential({ input: [4, 4, 1], layers: [conv2d({ units: 2, kernel: 1, stride, padding: 'same' }), globalAvgPool(), dense(2)] });
    await exportFirmware(conv(1), folder, { for: 'amalgamation' });
    await exportFirmware(conv(2), other, { for: 'amalgamation' }); // tensors of the same names and shapes
    const plan = (from: string): string => /tinyprop_plan\[TINYPROP_PLAN_BYTES\] = [^;]*;/.exec(readFileSync(join(from, 'tinyprop_model.c'), 'utf8'))?.[0] as string;
    const trained = (...flags: string[]): string => {
      run('gcc', [...strict, '-O1', '-DTP_STATIC_ISA=scalar', ...flags, ...sourcesIn(folder), '-o', 'train'], folder);
      return spawnSync(join(folder, 'train'), { encoding: 'utf8' }).stdout;
    };
    expect(trained()).toMatch(/^TP_OK/);
    expect(trained('-DTP_SOURCE_ID="another"')).toMatch(/^TP_E_VERSION/);
    const own = plan(folder);
    writeFileSync(join(folder, 'tinyprop_model.c'), readFileSync(join(folder, 'tinyprop_model.c'), 'utf8').replace(own, plan(other)));
    expect(plan(folder)).not.toBe(own);
    expect(trained()).toMatch(/^TP_E_MISMATCH/);
  });

  it.skipIf(missing(arm))(`compiles for a Cortex-M4F and an M0+${armReason}`, { timeout: 180_000 }, async () => {
    const folder = at('arm');
    await exportFirmware(mlp(), folder, { for: 'amalgamation', modelAs: 'bin' });
    for (const cpu of [cortexM4, ['-mcpu=cortex-m0plus', '-mthumb']]) {
      for (const source of sourcesIn(folder)) run(arm, [...strict, '-O2', ...cpu, '-c', source, '-o', `${source}.o`], folder);
    }
    // As Arduino and PlatformIO compile: GNU dialect, contraction allowed, for size.
    run(arm, ['-std=gnu11', '-Os', '-ffp-contract=fast', ...cortexM4, '-c', 'tinyprop.c', '-o', 'gnu.o'], folder);
  });

  it('puts real samples into flash', { timeout: 180_000 }, async () => {
    const { test } = await loadData('digits', { limit: 6 });
    const model = Model.sequential({ input: [8, 8, 1], layers: [flatten(), dense(12), relu(), dense(10)] });
    const folder = at('samples');
    await exportFirmware(model, folder, { for: 'amalgamation', samples: test as NonNullable<typeof test> });
    run('gcc', [...strict, '-O1', '-DTP_STATIC_ISA=scalar', ...sourcesIn(folder), '-o', 'train'], folder);
    model.configure({ policy: tinyPropV2() });
    for (let n = 0; n < 12; n++) model.step((test?.x as Float32Array).subarray((n % 6) * 64, ((n % 6) + 1) * 64), test?.labels?.[n % 6] as number);
    expect(run(join(folder, 'train'), [], folder)).toContain(`weights ${weightsHash(model)},`);
  });
});

/** Emulated boards: the files that examples/firmware/qemu-mps2 has for them. */
const boards = join(root, 'examples', 'firmware', 'qemu-mps2');
const emulator = 'qemu-system-arm';
const boardReason = !existsSync(join(boards, 'boards.json')) ? 'examples/firmware/qemu-mps2 is not there' : [arm, emulator, 'cmake'].find(missing);

describe('export for cmake', () => {
  it.skipIf(missing('cmake'))('builds without warnings, runs, and says its source id', { timeout: 180_000 }, async () => {
    const recipe: RecipeOptions = { optimizer: sgd({ lr: 0.05 }) };
    const model = mlp();
    const folder = at('cmake');
    await exportFirmware(model, folder, { for: 'cmake', recipe, modelAs: 'bin' });
    const flags = `-DCMAKE_C_FLAGS=${strict.slice(1).join(' ')} -DTP_STATIC_ISA=scalar`;
    for (const compiler of compilers) {
      const build = at(`cmake-build-${compiler}`);
      const configured = run('cmake', ['-S', folder, '-B', build, `-DCMAKE_C_COMPILER=${compiler}`, flags], folder);
      expect(configured).toMatch(/tinyprop source id [0-9a-f]{16}/);
      run('cmake', ['--build', build], folder);
    }
    const expected = said(trainInNode(model, recipe));
    for (const compiler of compilers) {
      const out = run(join(at(`cmake-build-${compiler}`), 'train'), [], folder).split('\n');
      expect(out[0]).toBe(expected[0]);
      expect(out[1]).toContain(expected[1]);
      expect(out[1]).toContain(describeCore().sourceId);
    }
  });

  it.skipIf(missing('cmake') || missing(arm))(`builds its library for a Cortex-M4F${armReason}`, { timeout: 180_000 }, async () => {
    const folder = at('cmake-arm');
    await exportFirmware(cnn(), folder, { for: 'cmake' });
    const toolchain = at('m4.cmake');
    writeFileSync(toolchain, `set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER ${arm})
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "${[...cortexM4, ...strict.slice(1)].join(' ')}")
`);
    const build = at('cmake-arm-build');
    run('cmake', ['-S', folder, '-B', build, `-DCMAKE_TOOLCHAIN_FILE=${toolchain}`], folder);
    run('cmake', ['--build', build, '--target', 'tinyprop_app'], folder);
    // Nothing but memory functions and the compiler's own.
    const wanted = run('arm-none-eabi-nm', ['-u', join(build, 'csrc', 'libtinyprop.a')], folder).match(/(?<= U )\w+/g) ?? [];
    expect(wanted.filter((name) => !/^(mem(cpy|set|move)|__aeabi_\w+|__gnu_thumb1_case_\w+)$/.test(name))).toEqual([]);
  });

  it.skipIf(boardReason !== undefined).each(['mps2-an386', 'mps2-an385-v6m'])(
    `trains on the emulated board %s to the bits of Node${boardReason === undefined ? '' : ` (missing: ${boardReason})`}`,
    { timeout: 300_000 },
    async (board) => {
      const model = cnn();
      const recipe: RecipeOptions = { optimizer: sgd({ lr: 0.05 }) };
      model.configure(recipe);
      const folder = at(`qemu-${board}`);
      await exportFirmware(model, join(folder, 'export'), { for: 'cmake', recipe, modelAs: 'bin' });
      // What a user adds: the flags of the CPU, start-up code and a linker script.
      writeFileSync(join(folder, 'CMakeLists.txt'), `cmake_minimum_required(VERSION 3.19)
project(image C)
include("${boards}/board.cmake")
add_compile_options(\${tp_board_flags})
add_compile_definitions(TINYPROP_CHECK_PLAN) # the plan that this package made is the board's own, byte for byte
add_subdirectory(export)
tp_board_image(train)
`);
      run('cmake', ['-S', folder, '-B', join(folder, 'build'), `-DCMAKE_TOOLCHAIN_FILE=${join(boards, 'arm-none-eabi.cmake')}`, `-DTP_BOARD=${board}`], folder);
      run('cmake', ['--build', join(folder, 'build'), '--target', 'train'], folder);
      const rows = JSON.parse(readFileSync(join(boards, 'boards.json'), 'utf8')) as { name: string; machine: string }[];
      const { machine } = rows.find(({ name }) => name === board) as { machine: string };
      const quiet = ['-display', 'none', '-serial', 'none', '-monitor', 'none', '-semihosting-config', 'enable=on,target=native,arg=image'];
      const out = run(emulator, ['-M', machine, ...quiet, '-kernel', join(folder, 'build', 'export', 'train.elf')], folder);
      for (const line of said(trainInNode(model, recipe))) expect(out).toContain(line);
    },
  );
});
