// SPDX-License-Identifier: Apache-2.0
// Nets that come and go must not keep memory, closed or merely dropped.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { constant } from '../../lib/addon';
import { toNative } from '../../lib/graph';
import { dense, relu } from '../../lib/layers';
import { Model } from '../../lib/model';
import { nativeRecipe } from '../../lib/recipe';

const addonPath = process.env['TINYPROP_NATIVE_PATH'] ?? join(__dirname, '../../build/Release/tinyprop.node');
const big = toNative(Model.sequential({ input: [256], layers: [dense(512), relu(), dense(4)] }).toJSON());

/** Its memory is a mapping of its own, in large pages where there are such. */
const huge = toNative(Model.sequential({ input: [256], layers: [dense(1024), relu(), dense(4)] }).toJSON());

/** Growth of the resident set in MiB over 200 rounds of `body`, after 100 to warm up. One net has about half a MiB, or a large page. */
function growth(body: string, model = big): number {
  const script = `
    const { Net } = require(${JSON.stringify(addonPath)});
    const native = ${JSON.stringify(model)}, recipe = ${JSON.stringify(nativeRecipe({}, null))};
    const x = new Float32Array(256), y = Uint32Array.of(1), order = new Uint32Array(4);
    const job = (net) => net.run(${constant('job', 'train')}, x, y, order, 0, 4, false);
    const round = async () => { ${body} };
    (async () => {
      let before = 0;
      for (let i = 0; i < 300; i++) {
        await round();
        if (i % 20 === 0) { globalThis.gc(); await new Promise((resolve) => setImmediate(resolve)); }
        if (i === 100) before = process.memoryUsage().rss;
      }
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
      console.log((process.memoryUsage().rss - before) / 1048576);
    })();`;
  const result = spawnSync(process.execPath, ['--expose-gc', '-e', script], { encoding: 'utf8', timeout: 25_000 });
  expect(result.stderr).toBe('');
  return Number(result.stdout);
}

describe('memory', () => {
  it('comes back from closed nets', () => {
    expect(growth('const net = new Net(native, recipe); net.init(); await job(net); net.close();')).toBeLessThan(30);
  });

  it('comes back from closed and dropped nets in large pages', () => {
    expect(growth('const net = new Net(native, recipe); net.init(); await job(net); net.close(); new Net(native, null).init();', huge)).toBeLessThan(30);
  });

  it('comes back from dropped nets', () => {
    expect(growth('const net = new Net(native, recipe); net.init(); await job(net);')).toBeLessThan(30);
  });

  it('comes back from dropped nets whose steps were bound; a step that is kept keeps its net', () => {
    expect(
      growth(`const net = new Net(native, recipe); net.init();
        const step = net.bindStep(new Uint8Array(1024)), last = globalThis.last ?? step;
        globalThis.last = step;
        last(x, 1);`),
    ).toBeLessThan(30);
  });

  it('does not grow with jobs, saves and errors', () => {
    expect(
      growth(`const net = (globalThis.kept ??= new Net(native, recipe)); net.init();
        for (let i = 0; i < 4; i++) await job(net);
        net.load(net.save(3, []), 3);
        try { net.load(new Uint8Array(9), 1); } catch {}
        try { new Net(native, { ...recipe, lr: -1 }); } catch {}`),
    ).toBeLessThan(30);
  });

  it('of dropped nets weighs on the garbage collector, which runs unasked', () => {
    const script = `
      const { Net } = require(${JSON.stringify(addonPath)});
      const native = ${JSON.stringify(big)};
      let most = 0;
      (async () => {
        for (let i = 0; i < 2000; i++) {
          new Net(native, null).init();
          if (i % 50 === 0) { most = Math.max(most, process.memoryUsage().rss); await new Promise((resolve) => setImmediate(resolve)); }
        }
        console.log(most / 1048576);
      })();`;
    const result = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 25_000 });
    expect(result.stderr).toBe('');
    // All of them together would be 1 GiB.
    expect(Number(result.stdout)).toBeLessThan(400);
  });
});
