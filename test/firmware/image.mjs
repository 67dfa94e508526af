// SPDX-License-Identifier: Apache-2.0
// MobileNetV2-0.35 in int8, 96x96 pixels, that learns ten kinds of flowers in 256 KiB of RAM in all: `plan --ram` says which layers can train,
// `firmware export` writes the project, the linker is given no more RAM, and the weights afterwards are those of the package.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dropForeignCache, root } from '../../tools/native.mjs';
import { emulate, out, run } from './boards.mjs';
import { pick, shared } from './tasks.mjs';

export const budget = { ram: 256 * 1024, flash: 1024 * 1024 };
/** Boards of it: Cortex-M4F and M55. */
export const imageBoards = ['mps2-an386', 'mps3-an547'];
const classes = 10;
const files = { model: 'models/mobilenetv2_w035_imagenet/mbv2-w0.35.json', data: 'flowers102' };
const folder = join(out, 'image');

/** The first ten kinds, `each` of every one in turn; bytes as -128 .. 127. */
function partOf(data, each, inputs) {
  const rows = Array.from({ length: data.n }, (_, i) => i).filter((i) => data.labels[i] < classes);
  const place = new Map(); // the how manieth of its class
  const turn = rows.map((i) => (place.set(data.labels[i], (place.get(data.labels[i]) ?? 0) + 1), place.get(data.labels[i])));
  const order = rows.map((row, at) => ({ row, turn: turn[at] })).sort((a, b) => a.turn - b.turn || data.labels[a.row] - data.labels[b.row]);
  const part = pick(data, order.filter(({ turn }) => turn <= each).map(({ row }) => row));
  const q = Int8Array.from(part.x, (pixel) => Math.round(pixel * 255) - 128);
  return { q, part: { ...part, x: Float32Array.from(q, (value) => inputs.scale * (value - inputs.zero)), classes: part.classes?.slice(0, classes) } };
}

/** FNV-1a over all tensors, as learn_weights_hash. */
function weightsHash(model) {
  let hash = 0x811c9dc5;
  for (const { name } of model.tensors()) {
    const { buffer, byteOffset, byteLength } = model.getTensorData(name);
    for (const byte of new Uint8Array(buffer, byteOffset, byteLength)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, '0');
}

/** What `tinyprop plan` says of a model file. */
function planOf(path, ...flags) {
  const args = [join(root, 'bin', 'tinyprop.js'), 'plan', '--model', path, '--ram', '256K', '--flash', '1M', '--int8-samples', '--json', ...flags];
  try {
    return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 26 }));
  } catch (error) {
    if (error.status !== 4) throw error; // 4: over the budget, and it says what would fit
    return JSON.parse(error.stdout);
  }
}

/**
 * The export and what the package makes of the same samples.
 * @returns {Promise<{ skipped: string } | { expected: Record<string, string>, trains: string[], biases: string[], plan: object }>}
 */
export async function makeImage() {
  const missing = Object.values(files).find((path) => !existsSync(join(shared, path)));
  if (missing !== undefined) return { skipped: `no data at ${missing} (set TINYPROP_TEST_DATA)` };
  const tinyprop = await import('../../dist/esm.mjs');
  let data;
  try {
    data = await tinyprop.loadData(`images:${join(shared, files.data)}`);
  } catch (error) {
    return { skipped: error.message };
  }
  mkdirSync(folder, { recursive: true });
  const model = await tinyprop.Model.load(join(shared, files.model), { inputShape: [96, 96, 3] });
  const inputs = model.toJSON().nodes[0];
  const [train, test] = [partOf(data.train, 10, inputs), partOf(data.test, 4, inputs)];
  model.replaceHead(classes);
  const path = join(folder, 'model.tpm');
  await model.save(path);
  const { fitting } = planOf(path).budget;
  model.freeze(fitting.freeze);
  const recipe = { policy: tinyprop.tinyPropV2(), optimizer: tinyprop.sgd({ lr: 0.01 }) };
  model.configure(recipe);
  await model.save(path);
  const plan = planOf(path, '--frozen-in-flash');
  rmSync(join(folder, 'export'), { recursive: true, force: true });
  await tinyprop.exportFirmware(model, join(folder, 'export'), { for: 'cmake', recipe, modelAs: 'bin', int8Samples: true });
  const bytes = [Uint32Array.of(train.part.n, test.part.n), train.part.labels, test.part.labels, train.q, test.q].map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength));
  writeFileSync(join(folder, 'samples'), Buffer.concat(bytes));
  const right = async () => String(Math.round((await model.evaluate(test.part)).accuracy * test.part.n));
  const before = await right();
  let trained = 0;
  const size = train.q.length / train.part.n;
  for (let i = 0; i < train.part.n; i++) trained += model.step(train.part.x.subarray(i * size, (i + 1) * size), train.part.labels[i]).trained ? 1 : 0;
  const expected = { weights: weightsHash(model), seen: String(train.part.n), trained: String(trained), before, after: await right(), test: String(test.part.n) };
  model.close();
  return { expected, trains: fitting.trains, biases: fitting.biases, plan };
}

/** Builds the image for a board, or for this machine (null). */
async function build(board) {
  const into = join(folder, board?.name ?? 'host');
  const source = join(root, 'test', 'firmware', 'image');
  dropForeignCache(into, source);
  const cross = board === null ? [] : [`-DCMAKE_TOOLCHAIN_FILE=${join(root, 'examples', 'firmware', 'qemu-mps2', 'arm-none-eabi.cmake')}`, `-DTP_BOARD=${board.name}`];
  const steps = [['-S', source, '-B', into, `-DTP_EXPORT=${join(folder, 'export')}`, `-DTP_SAMPLES=${join(folder, 'samples')}`, ...cross], ['--build', into, '--target', 'image']];
  for (const args of steps) {
    const { status, output } = await run('cmake', args, { timeout: 600_000 });
    if (status !== 0) throw new Error(`cmake ${args.join(' ')}: ${status}\n${output}`);
  }
  return join(into, board === null ? 'image' : 'image.elf');
}

const linesOf = (output) => Object.fromEntries((/^image (.*?)\r?$/m.exec(output)?.[1] ?? '').split(' ').map((pair) => pair.split('=')));

/** What an image of this board takes and says. @returns {Promise<{ status: unknown, output: string, found: Record<string, string>, memory: object }>} */
export async function runImage(board, options = {}) {
  const image = await build(board);
  const { status, output } = board === null ? await run(image, []) : await emulate(board, image, [], { timeout: 600_000, ...options });
  const found = linesOf(output);
  if (board === null) return { status, output, found, memory: null };
  const sections = Object.fromEntries([...execFileSync('arm-none-eabi-size', ['-A', image], { encoding: 'utf8' }).matchAll(/^(\.\S+)\s+(\d+)/gm)].map(([, name, size]) => [name, Number(size)]));
  // Of a million instructions; thousands of the predictions before and of the training.
  const [, million, forward, training] = /^ticks (\d+) (\d+) (\d+)/m.exec(output) ?? [];
  const each = (ticks, n) => (options.count ? Math.round((1e9 * ticks) / million / Number(n)) : undefined); // instructions
  const stack = Number(/^stack (\d+)/m.exec(output)?.[1]);
  const flash = sections['.text'] + (sections['.ARM.exidx'] ?? 0) + sections['.data'];
  const memory = { data: sections['.data'], bss: sections['.bss'], stack, ram: sections['.data'] + sections['.bss'] + stack, flash, forward: each(forward, found.test), step: each(training, found.seen) };
  return { status, output, found, memory };
}
