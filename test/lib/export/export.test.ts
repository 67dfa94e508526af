// SPDX-License-Identifier: Apache-2.0
// What every export holds, that it appears whole or not at all, and what verify refuses.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { dense, describe as describeCore, exportFirmware, firmwareTargets, Model, momentum, TinypropError, verifyFirmware } from '../../../lib/index';
import { filesBelow } from '../../../lib/export/sources';
import { packageVersion } from '../../../lib/package';
import { floatLiteral } from '../../../lib/export/model';
import { cnn, mlp, root, scratch } from './projects';

vi.setConfig({ testTimeout: 180_000 }); // whole trees are written, on a machine that may be busy

const at = scratch();
const text = (folder: string, path: string): string => readFileSync(join(folder, path), 'utf8');
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const codeOf = (error: unknown): unknown => (error instanceof TinypropError ? error.code : error);

/** The bytes of every file. */
const contents = (folder: string): Record<string, string> => Object.fromEntries(filesBelow(folder).map((path) => [path, sha256(readFileSync(join(folder, path)))]));

describe.each(firmwareTargets)('export for %s', (target) => {
  const folder = at(`whole-${target}`);

  it('holds what it says, and verifies', async () => {
    const model = mlp();
    const { files, record } = await exportFirmware(model, folder, { for: target, cmsisNn: true });
    expect(filesBelow(folder)).toEqual(files);
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'SHA256SUMS', 'tinyprop.json']));
    expect(record).toMatchObject({ for: target, version: packageVersion(), sourceId: describeCore().sourceId });
    expect(record.model.weights).toBe(model.weightHash());
    expect(record.memory.arena).toBe(model.plan().training?.arenaBytes);
    expect(JSON.parse(text(folder, 'tinyprop.json'))).toEqual(record);
    const sums = text(folder, 'SHA256SUMS').trimEnd().split('\n').map((line) => line.split('  '));
    expect(sums.map(([, path]) => path)).toEqual(files.filter((path) => path !== 'SHA256SUMS'));
    for (const [digest, path] of sums) expect(sha256(readFileSync(join(folder, path as string)))).toBe(digest);
    expect(verifyFirmware(folder)).toMatchObject({ ok: true, problems: [], changed: [] });
    expect(verifyFirmware(folder, { model }).ok).toBe(true);
    const config = files.find((path) => path.endsWith('tinyprop_config.h')) as string;
    expect(text(folder, config)).toContain('#define TP_CMSIS_NN 1');
    expect(files.filter((path) => path.endsWith('.md') || path.endsWith('.c')).every((path) => !text(folder, path).includes(root))).toBe(true);
  });

  it('has the same bytes for the same model, and others for another', async () => {
    await exportFirmware(mlp(), at(`again-${target}`), { for: target, cmsisNn: true });
    expect(contents(at(`again-${target}`))).toEqual(contents(folder));
    await exportFirmware(cnn(), at(`other-${target}`), { for: target });
    const [a, b] = [contents(folder), contents(at(`other-${target}`))];
    const differing = Object.keys(a).filter((path) => a[path] !== b[path]);
    expect(differing.some((path) => path.endsWith('tinyprop_model.c'))).toBe(true);
    expect(differing.filter((path) => /\/(core|kernel|layer)\/|(^|\/)tinyprop\.[ch]$/.test(path))).toEqual([]);
  });
});

describe('the names of errors', () => {
  const config = (name: string): string => text(at(name), 'src/tinyprop_config.h');

  it('are in the image unless they are not wanted', async () => {
    await exportFirmware(mlp(), at('strings'), { for: 'cmake' });
    expect(config('strings')).not.toContain('TP_NO_STRINGS');
    await exportFirmware(mlp(), at('no-strings'), { for: 'cmake', strings: false });
    expect(config('no-strings')).toContain('#define TP_NO_STRINGS 1');
    expect(verifyFirmware(at('no-strings')).ok).toBe(true);
  });
});

describe('the library in an export', () => {
  it('is csrc, byte for byte', async () => {
    const { files } = await exportFirmware(mlp(), at('exact'), { for: 'cmake' });
    const ours = filesBelow(join(root, 'csrc'));
    expect(files.filter((path) => path.startsWith('csrc/')).map((path) => path.slice(5))).toEqual(ours);
    for (const path of ours) expect(readFileSync(join(at('exact'), 'csrc', path)).equals(readFileSync(join(root, 'csrc', path))), path).toBe(true);
  });

  it('is configured for the model and the recipe alone', async () => {
    await exportFirmware(cnn(), at('rows'), { for: 'amalgamation', recipe: { optimizer: momentum({ mu: 0.5 }) } });
    const config = text(at('rows'), 'tinyprop_config.h');
    const absent = [...config.matchAll(/^#define TP_WITH_(\w+) 0$/gm)].map(([, name]) => name);
    const core = describeCore();
    const used = ['LAYER_conv2d', 'LAYER_relu', 'LAYER_max_pool2d', 'LAYER_flatten', 'LAYER_dropout', 'LAYER_dense', 'LOSS_softmax_cross_entropy', 'POLICY_tinypropv2', 'OPTIM_momentum'];
    const all = [
      ...core.layers.map(({ name }) => `LAYER_${name}`),
      ...core.losses.map(({ name }) => `LOSS_${name}`),
      ...core.policies.map(({ name }) => `POLICY_${name}`),
      ...core.optimizers.map(({ name }) => `OPTIM_${name}`),
      'PART_ahead',
      'PART_bias_only',
      'PART_cut',
    ];
    expect([...absent, ...used].sort()).toEqual(all.sort());
    const biased = cnn();
    biased.freeze([biased.tensors()[0]?.name ?? '']);
    await exportFirmware(biased, at('biased'), { for: 'amalgamation' });
    expect(text(at('biased'), 'tinyprop_config.h')).not.toContain('PART_bias_only');
  });
});

describe('numbers in C', () => {
  it.each([0, 1, -1, 0.1, 1 / 3, 1e-45, 3.4028234663852886e38, 0.9995, 16777217, -123456.789])('%d reads back as the same f32', (value) => {
    const literal = floatLiteral(value);
    expect(literal).toMatch(/^-?\d+(\.\d+)?(e[+-]?\d+)?f$/);
    expect(Math.fround(Number(literal.slice(0, -1)))).toBe(Math.fround(value));
  });
});

describe('exportFirmware', () => {
  it('leaves a folder that is not empty alone, and everything else too', async () => {
    const folder = at('mine');
    mkdirSync(folder);
    writeFileSync(join(folder, 'thesis.txt'), 'x');
    await expect(exportFirmware(mlp(), folder, { for: 'cmake' })).rejects.toMatchObject({ code: 'ERR_TINYPROP_SPEC' });
    await expect(exportFirmware(mlp(), folder, { for: 'cmake', force: true })).rejects.toThrow(/no earlier export/);
    expect(readdirSync(folder)).toEqual(['thesis.txt']);
    const file = at('file');
    writeFileSync(file, 'x');
    await expect(exportFirmware(mlp(), file, { for: 'cmake', force: true })).rejects.toMatchObject({ code: 'ERR_TINYPROP_FILE' });
    expect(readFileSync(file, 'utf8')).toBe('x');
  });

  it('takes an empty folder, and replaces an earlier export with force', async () => {
    const folder = at('twice');
    mkdirSync(folder);
    await exportFirmware(mlp(), folder, { for: 'cmake' });
    await expect(exportFirmware(mlp(), folder, { for: 'arduino' })).rejects.toThrow(/not empty/);
    expect(verifyFirmware(folder).record.for).toBe('cmake');
    const { files } = await exportFirmware(mlp(), folder, { for: 'arduino', force: true });
    expect(filesBelow(folder)).toEqual(files);
  });

  it('writes nothing when it is stopped', async () => {
    const folder = at('stopped');
    await exportFirmware(mlp(), join(folder, 'former'), { for: 'amalgamation' });
    // Fires after 20 files, when the temporary folder is there.
    let asked = 0;
    const seen: string[] = [];
    const signal = { get aborted() { if (++asked === 20) seen.push(...readdirSync(folder)); return asked > 20; } } as AbortSignal;
    for (const [name, force] of [['x', false], ['former', true]] as const) {
      asked = 0;
      await expect(exportFirmware(mlp(), join(folder, name), { for: 'cmake', force, signal })).rejects.toMatchObject({ code: 'ERR_TINYPROP_ABORTED' });
    }
    expect(seen.filter((name) => name.endsWith('.tmp'))).toHaveLength(2);
    expect(readdirSync(folder)).toEqual(['former']);
    expect(verifyFirmware(join(folder, 'former'))).toMatchObject({ ok: true, record: { for: 'amalgamation' } });
  });

  it('refuses what it cannot make', async () => {
    const model = mlp();
    const wrong = (options: object): Promise<unknown> => exportFirmware(model, at('wrong'), { for: 'cmake', ...options }).then(() => 'written', codeOf);
    expect(await wrong({ for: 'fortran' })).toBe('ERR_TINYPROP_SPEC');
    expect(await wrong({ for: 'arduino', modelAs: 'bin' })).toBe('ERR_TINYPROP_SPEC');
    expect(await wrong({ recipe: { batch: 4 } })).toBe('ERR_TINYPROP_RECIPE');
    const x = new Float32Array(24);
    const samples = { name: 'own', x, n: 2, inputShape: [12], labels: Uint32Array.of(0, 3) };
    expect(await wrong({ samples })).toBe('ERR_TINYPROP_LABEL');
    expect(await wrong({ samples: { ...samples, labels: Uint32Array.of(0, 1), x: new Float32Array(20), n: 2, inputShape: [10] } })).toBe('ERR_TINYPROP_SHAPE');
    x[13] = NaN;
    expect(await wrong({ samples: { ...samples, labels: Uint32Array.of(0, 1) } })).toBe('ERR_TINYPROP_DATA');
    model.close();
    expect(await wrong({})).toBe('ERR_TINYPROP_CLOSED');
    expect(existsSync(at('wrong'))).toBe(false);
  });
});

describe('verifyFirmware', () => {
  const fresh = async (name: string, target: (typeof firmwareTargets)[number] = 'cmake', modelAs: 'array' | 'bin' = 'array'): Promise<string> => {
    await exportFirmware(mlp(), at(name), { for: target, modelAs });
    return at(name);
  };
  const edit = (folder: string, path: string, change: (content: string) => string): void => writeFileSync(join(folder, path), change(text(folder, path)));
  const kinds = (folder: string): string[] => verifyFirmware(folder).problems.map(({ kind, path }) => (path === undefined ? kind : `${kind} ${path}`));

  it('refuses sources that were changed, lost or added', async () => {
    const folder = await fresh('sources');
    edit(folder, 'csrc/core/tp_train.c', (c) => `${c}\n`);
    rmSync(join(folder, 'csrc/core/tp_rng.h'));
    writeFileSync(join(folder, 'csrc/core/extra.c'), '');
    expect(kinds(folder)).toEqual(['sources csrc/core/tp_rng.h', 'sources csrc/core/tp_train.c', 'sources csrc/core/extra.c']);
    // A list of checksums that agrees changes nothing.
    const single = await fresh('single', 'amalgamation');
    edit(single, 'tinyprop.c', (c) => c.replace('float l1;', 'float l2;'));
    const digest = sha256(readFileSync(join(single, 'tinyprop.c')));
    edit(single, 'SHA256SUMS', (c) => c.replace(/^\w+(?= {2}tinyprop\.c$)/m, digest));
    expect(kinds(single)).toEqual(['sources tinyprop.c']);
    const sketchbook = await fresh('sketchbook', 'arduino');
    writeFileSync(join(sketchbook, 'src', 'mine.c'), '');
    expect(kinds(sketchbook)).toEqual(['sources src/mine.c']);
  });

  it('refuses another source id and another version', async () => {
    const folder = await fresh('ids');
    edit(folder, 'tinyprop.json', (c) => c.replace(/"sourceId": "\w+"/, '"sourceId": "0123456789abcdef"').replace(/"version": "[\d.]+"/, '"version": "0.0.9"'));
    expect(kinds(folder)).toEqual(['version', 'sources', 'files tinyprop.json']);
  });

  it.each(['array', 'bin'] as const)('refuses another model as %s', async (form) => {
    const folder = await fresh(`model-${form}`, 'cmake', form);
    const path = form === 'array' ? 'src/tinyprop_model.c' : 'src/model.tpm';
    const bytes = readFileSync(join(folder, path));
    if (form === 'bin') {
      const at = bytes.length - 8;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      writeFileSync(join(folder, path), bytes);
    } else edit(folder, path, (c) => c.replace(/0x([0-9a-f])[0-9a-f](?=,\n\};)/, (_, high: string) => `0x${high}${high === 'f' ? '1' : 'f'}`));
    expect(kinds(folder)).toEqual([`model ${path}`, `files ${path}`]);
    rmSync(join(folder, path));
    expect(kinds(folder)).toEqual([`model ${path}`, `files ${path}`]);
    const other = Model.sequential({ input: [12], layers: [dense(3)] });
    const whole = await fresh(`whole-model-${form}`, 'cmake', form);
    expect(verifyFirmware(whole, { model: other }).problems).toMatchObject([{ kind: 'model', path }]);
    // The model of another export, record and checksums as they were.
    await exportFirmware(other, at(`other-model-${form}`), { for: 'cmake', modelAs: form });
    copyFileSync(join(at(`other-model-${form}`), path), join(whole, path));
    expect(kinds(whole)).toEqual([`model ${path}`, `files ${path}`]);
  });

  it('refuses a changed configuration, and lists what is yours', async () => {
    const folder = await fresh('config');
    edit(folder, 'src/main.c', (c) => `${c}/* mine */\n`);
    rmSync(join(folder, 'src/tinyprop_samples.c'));
    mkdirSync(join(folder, 'build'));
    writeFileSync(join(folder, 'build', 'x.o'), '');
    expect(verifyFirmware(folder)).toMatchObject({ ok: true, changed: ['src/main.c', 'src/tinyprop_samples.c'] });
    edit(folder, 'src/tinyprop_config.h', (c) => c.replace('TP_WITH_POLICY_dense 0', 'TP_WITH_POLICY_dense 1'));
    expect(kinds(folder)).toEqual(['files src/tinyprop_config.h']);
    edit(folder, 'SHA256SUMS', (c) => c.split('\n').filter((line) => !line.endsWith('tinyprop_config.h')).join('\n'));
    expect(kinds(folder)).toEqual(['files src/tinyprop_config.h']);
    writeFileSync(join(folder, 'SHA256SUMS'), `${'0'.repeat(64)}  ../../secret\n`);
    expect(kinds(folder)).toEqual(['files SHA256SUMS']);
  });

  it('says what is no export', async () => {
    const attempt = (content: string | null): unknown => {
      const folder = at('none');
      mkdirSync(folder, { recursive: true });
      if (content !== null) writeFileSync(join(folder, 'tinyprop.json'), content);
      try {
        return verifyFirmware(folder);
      } catch (error) {
        return codeOf(error);
      }
    };
    expect(attempt(null)).toBe('ERR_TINYPROP_FILE');
    for (const content of ['', 'null', '[]', '{"format": "other"}', '{"format": "tinyprop-firmware", "formatVersion": 1}']) expect(attempt(content), content).toBe('ERR_TINYPROP_FILE');
    expect(attempt('{"format": "tinyprop-firmware", "formatVersion": 2}')).toBe('ERR_TINYPROP_VERSION');
    const forged = JSON.parse(text(await fresh('forged'), 'tinyprop.json')) as Record<string, unknown>;
    expect(attempt(JSON.stringify({ ...forged, for: '__proto__' }))).toBe('ERR_TINYPROP_FILE');
    for (const guarded of [[1], ['../x'], ['/etc/x'], 'x']) expect(attempt(JSON.stringify({ ...forged, guarded }))).toBe('ERR_TINYPROP_FILE');
  });
});
