// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { comparedMethods, policyFlags } from '../../../lib/cli/recipe';
import { describe as describeCore } from '../../../lib/describe';
import { json, scratch, tinyprop } from './harness';

const file = scratch();
const digits = ['--data', 'digits', '--model', 'mlp:64-32-10', '--epochs', '3'];

interface Result {
  accuracy: number;
  loss: number;
  effortBackward: number;
  effortTotal: number;
  seconds: number;
  trainedFraction: number;
  aborted: boolean;
  weights: string;
  history: { epoch: number; testAccuracy: number }[];
}

interface Comparison {
  runs: Record<string, number>[];
  summary: Record<string, number>[];
}

interface Failure {
  error: { code: string; message: string; exitCode: number };
}

/** An .npy file: 32-bit floats, or integers for labels. */
function npy(shape: number[], values: number[], type: 'f4' | 'i4' = 'f4'): Buffer {
  const header = `{'descr': '<${type}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const head = Buffer.from(`\x93NUMPY\x01\x00\0\0${padded}`, 'latin1');
  head.writeUInt16LE(padded.length, 8);
  return Buffer.concat([head, Buffer.from((type === 'f4' ? Float32Array : Int32Array).from(values).buffer)]);
}

describe('train', () => {
  it('prints the numbers of the contract and saves a file that eval confirms', async () => {
    const path = file('a.tpm');
    const trained = await json<Result>(['train', ...digits, '--out', path]);
    expect(trained.code).toBe(0);
    expect(trained.accuracy).toBeGreaterThan(0.85);
    for (const key of ['loss', 'effortBackward', 'effortTotal', 'seconds', 'trainedFraction'] as const) expect(trained[key]).toBeGreaterThan(0);
    expect(trained.effortBackward).toBeLessThan(1);
    expect(trained.history.map((e) => e.epoch)).toEqual([1, 2, 3]);
    const evaluated = await json<Result>(['eval', '--model', path, '--data', 'digits']);
    expect(evaluated.code).toBe(0);
    for (const key of ['accuracy', 'loss', 'effortBackward', 'effortTotal'] as const) expect(evaluated[key]).toBe(trained[key]);
  });

  it('writes the same bytes again, whatever the path', async () => {
    const [one, two] = [file('one.tpm'), file('two.tpm')];
    await tinyprop(['train', ...digits, '--out', one]);
    await tinyprop(['train', ...digits, '--out', two, '--quiet']);
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    expect(readFileSync(one).toString('latin1')).not.toContain('tinyprop-cli-');
  });

  it('treats new samples as the training did', async () => {
    const path = file('standard.tpm');
    const trained = await json<Result>(['train', ...digits, '--normalize', 'standard', '--out', path]);
    expect((await json<Result>(['eval', '--model', path, '--data', 'digits'])).accuracy).toBe(trained.accuracy);
  });

  it('puts data on stdout, everything else on stderr', async () => {
    const { out, err } = await tinyprop(['train', ...digits]);
    expect(out).toMatch(/^accuracy .* backward effort .* total effort .*\n$/);
    expect(err.match(/^epoch /gm)).toHaveLength(3);
    expect((await tinyprop(['train', ...digits, '--quiet'])).err).toBe('');
  });

  it('follows with --jsonl', async () => {
    const { out } = await tinyprop(['train', ...digits, '--jsonl']);
    const events = out.trim().split('\n').map((line) => JSON.parse(line) as { type: string });
    expect(events.filter((e) => e.type === 'epoch')).toHaveLength(3);
    expect(events.at(-1)).toMatchObject({ type: 'result', epochs: 3 });
  });

  it('takes every policy and refuses parameters of others', async () => {
    for (const policy of Object.keys(policyFlags)) expect((await json<Result>(['train', ...digits, '--policy', policy])).code).toBe(0);
    const wrong = await json<Failure>(['train', ...digits, '--policy', 'meprop', '--tau', '.2']);
    expect(wrong.error).toMatchObject({ code: 'ERR_TINYPROP_SPEC', exitCode: 2 });
    expect(wrong.error.message).toContain('policy meprop has --s, --select');
  });

  it('gives equal bits for dense and full', async () => {
    const weights = async (policy: string): Promise<string> => (await json<Result>(['train', ...digits, '--policy', policy])).weights;
    expect(await weights('dense')).toBe(await weights('full'));
  });

  it('augments, and differently so for another seed', async () => {
    const run = async (...more: string[]): Promise<Result> => json<Result>(['train', ...digits, '--augment', 'shift:1', ...more]);
    const [first, again, other] = [await run(), await run(), await run('--seed', '2')];
    expect(first.weights).toBe(again.weights);
    expect(first.weights).not.toBe(other.weights);
    expect(first.weights).not.toBe((await json<Result>(['train', ...digits])).weights);
  });
});

describe('interruption', () => {
  const long = ['--data', 'digits', '--model', 'mlp:64-128-10', '--epochs', '6', '--policy', 'tinypropv2', '--momentum', '0.9', '--lr', '0.002'];

  it('saves at Ctrl-C, and resuming gives the bytes of never having stopped', async () => {
    const [whole, part] = [file('whole.tpm'), file('part.tpm')];
    expect((await tinyprop(['train', ...long, '--out', whole])).code).toBe(0);
    let interrupted = false;
    const stopped = await tinyprop(['train', ...long, '--out', part], (text) => {
      if (!interrupted && text.startsWith('epoch 2/')) interrupted = process.emit('SIGINT');
    });
    expect(stopped.code).toBe(130);
    expect(stopped.err).toContain(`saved weights and training state in ${part}`);
    expect(readFileSync(part).equals(readFileSync(whole))).toBe(false);
    const refused = await json<Failure>(['train', '--resume', part, '--data', 'digits', '--lr', '0.1']);
    expect(refused.error.message).toContain('lr was 0.002, now 0.1');
    expect((await tinyprop(['train', '--resume', part, '--data', 'digits'])).code).toBe(0);
    expect(readFileSync(part).equals(readFileSync(whole))).toBe(true);
  });

  it('says that nothing was saved without --out', async () => {
    const stopped = await tinyprop(['train', ...long], (text) => {
      if (text.startsWith('epoch 1/')) process.emit('SIGINT');
    });
    expect(stopped.code).toBe(130);
    expect(stopped.err).toContain('nothing was saved');
    expect(process.listenerCount('SIGINT')).toBe(0);
  });

  it('ends a comparison', async () => {
    const stopped = await tinyprop(['compare', ...digits, '--seeds', '9'], (text) => {
      if (text.startsWith(' 1/45')) process.emit('SIGINT');
    });
    expect(stopped.code).toBe(130);
  });
});

describe('fine-tuning', () => {
  it('freezes, replaces the head and keeps the other weights', async () => {
    const [base, tuned] = [file('base.tpm'), file('tuned.tpm')];
    await tinyprop(['train', '--data', 'digits', '--model', 'mlp:64-32-16-10', '--epochs', '2', '--out', base]);
    writeFileSync(file('x.npy'), npy([6, 8, 8, 1], Array.from({ length: 384 }, (_, i) => (i * 7) % 16)));
    writeFileSync(file('y.npy'), npy([6], [0, 1, 11, 0, 1, 11], 'i4'));
    const data = ['--data', `npy:${file('x.npy')},${file('y.npy')}`];
    const wrong = await json<Failure>(['train', ...data, '--init', base]);
    expect(wrong.error.message).toContain('--replace-head 12');
    const result = await json<Result>(['train', ...data, '--init', base, '--replace-head', '12', '--freeze', 'all-but-last:1', '--epochs', '2', '--out', tuned]);
    expect(result.code).toBe(0);
    const info = async (path: string): Promise<{ outputs: number; model: { nodes: { name: string; frozen?: boolean }[] } }> => json(['info', path]);
    const after = await info(tuned);
    expect(after.outputs).toBe(12);
    expect(after.model.nodes.filter((n) => n.frozen).map((n) => n.name)).toEqual(['fc1', 'fc2']);
    const plan = await json<{ cut: unknown }>(['plan', '--model', tuned]);
    expect(plan.cut).toEqual({ node: 'relu2', bytes: 64, macs: 64 * 32 + 32 * 16 });
    expect((await tinyprop(['plan', '--model', tuned])).out).toMatch(/frozen up to relu2: its output, 64 B a sample, stands for 2.560 of them/);
    const unknown = await json<Failure>(['train', '--data', 'digits', '--init', base, '--freeze', 'fc9']);
    expect(unknown.error).toMatchObject({ exitCode: 2 });
    expect(unknown.error.message).toContain('fc9');
  });

  it('computes a frozen part once a sample, up to --cache', async () => {
    const base = file('frozen.tpm');
    await tinyprop(['train', '--data', 'digits', '--limit', '200', '--model', 'mlp:64-32-16-10', '--epochs', '1', '--out', base]);
    const command = (...more: string[]): string[] => ['train', '--data', 'digits', '--limit', '200', '--init', base, '--freeze', 'all-but-last:1', '--epochs', '3', '--policy', 'full', ...more];
    type Cached = Result & { cache: unknown; effortTotal: number };
    const [kept, some, none] = [await json<Cached>(command()), await json<Cached>(command('--cache', '1K')), await json<Cached>(command('--cache', '0'))];
    expect(kept.cache).toMatchObject({ node: 'relu2', bytes: 400 * 65, macsSaved: 2 * 200 * 2560 });
    expect(some.cache).toMatchObject({ bytes: 15 * 65, macsSaved: 2 * 15 * 2560 });
    expect(none.cache).toBeNull();
    expect([kept.weights, some.weights]).toEqual([none.weights, none.weights]);
    expect(kept.effortTotal).toBe(none.effortTotal);
    expect((await tinyprop(command())).err).toContain('frozen up to relu2: computed once a sample, 62.7 % of the forward work');
    expect((await json<Failure>(command('--cache', 'x'))).error).toMatchObject({ exitCode: 2 });
    const compare = ['compare', '--data', 'digits', '--limit', '200', '--model', base, '--methods', 'full', '--seeds', '1', '--epochs', '2', '--cache', '64K'];
    expect((await json<Result>(compare)).code).toBe(0);
  });

  it('refuses a --model that is not in the file', async () => {
    const base = file('base2.tpm');
    await tinyprop(['train', ...digits, '--out', base]);
    expect((await json(['train', '--data', 'digits', '--init', base, '--model', 'mlp:64-32-10', '--epochs', '1'])).code).toBe(0);
    expect((await json<Failure>(['train', '--data', 'digits', '--init', base, '--model', 'mlp:64-31-10'])).error).toMatchObject({ code: 'ERR_TINYPROP_MISMATCH', exitCode: 5 });
  });
});

describe('predict', () => {
  it('answers for a data spec and for an .npy file alike', async () => {
    const path = file('p.tpm');
    await tinyprop(['train', ...digits, '--out', path]);
    interface Answers {
      predictions: { index: number; label: number; class: string; probability: number; expected?: number; outputs: number[] }[];
    }
    const answers = await json<Answers>(['predict', '--model', path, '--data', 'digits', '--limit', '50']);
    expect(answers.predictions).toHaveLength(50);
    const right = answers.predictions.filter((p) => p.label === p.expected).length;
    expect(right).toBeGreaterThan(40);
    for (const p of answers.predictions) {
      expect(p.outputs.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
      expect(p.probability).toBe(Math.max(...p.outputs));
      expect(p.class).toBe(String(p.label));
    }
    // A zero as the writer's form shows it: raw pixels 0 to 16, one sample without a leading extent.
    const zero = [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0, 0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0];
    writeFileSync(file('zero.npy'), npy([8, 8, 1], zero));
    const { out } = await tinyprop(['predict', '--model', path, '--input', file('zero.npy')]);
    expect(out).toMatch(/^0\t0\t\d/);
    writeFileSync(file('bad.npy'), npy([65], new Array<number>(65).fill(0)));
    expect((await json<Failure>(['predict', '--model', path, '--input', file('bad.npy')])).error.code).toBe('ERR_TINYPROP_SHAPE');
    expect((await json<Failure>(['predict', '--model', path])).error.message).toContain('--data SPEC or --input');
  });

  it('prints values of an auto-encoder', async () => {
    const path = file('ae.tpm');
    const trained = await json<Result>(['train', '--data', 'digits', '--model', 'ae:64-16-64', '--epochs', '2', '--out', path]);
    expect(trained.accuracy).toBeNull();
    const { out } = await tinyprop(['predict', '--model', path, '--data', 'digits', '--limit', '1', '--jsonl']);
    const answer = JSON.parse(out) as { outputs: number[]; label?: number };
    expect(answer.outputs).toHaveLength(64);
    expect(answer.label).toBeUndefined();
  });
});

describe('compare', () => {
  it('has the shape of the contract', async () => {
    const found = await json<Comparison>(['compare', ...digits, '--methods', 'full,meprop,tinyprop,tinypropv2', '--seeds', '2']);
    expect(found.code).toBe(0);
    expect(found.runs.map((r) => [r['method'], r['seed']])).toEqual(['full', 'meprop', 'tinyprop', 'tinypropv2'].flatMap((m) => [[m, 1], [m, 2]]));
    for (const run of found.runs) {
      expect(Object.keys(run)).toEqual(expect.arrayContaining(['method', 'seed', 'accuracy', 'loss', 'effortBackward', 'effortTotal', 'trainedFraction', 'seconds']));
      expect(run['accuracy']).toBeGreaterThan(0.5);
      expect(run['accuracy']).toBeLessThanOrEqual(1);
    }
    const [full] = found.summary;
    expect(Object.keys(full ?? {})).toEqual(expect.arrayContaining(['method', 'accuracyMean', 'accuracyStd', 'effortBackward', 'effortTotal', 'seconds']));
    const own = found.runs.filter((r) => (r['method'] as unknown) === 'full').map((r) => r['accuracy'] as number) as [number, number];
    expect(full?.['accuracyMean']).toBeCloseTo((own[0] + own[1]) / 2, 12);
    expect(full?.['accuracyStd']).toBeCloseTo(Math.abs(own[0] - own[1]) / Math.SQRT2, 12);
    expect(full?.['effortBackward']).toBe(1);
  });

  it('gives the same numbers with two jobs, and those of train', async () => {
    const numbers = ({ runs }: Comparison): unknown[] => runs.map(({ seconds: _, ...rest }) => rest);
    const args = ['compare', ...digits, '--methods', 'tinyprop,tinypropv2', '--seeds', '2'];
    const [one, two] = [await json<Comparison>(args), await json<Comparison>([...args, '--jobs', '2'])];
    expect(numbers(two)).toEqual(numbers(one));
    const trained = await json<Result>(['train', ...digits, '--seed', '2']);
    expect(one.runs.at(-1)).toMatchObject({ accuracy: trained.accuracy, effortBackward: trained.effortBackward });
  });

  it('writes a report', async () => {
    const path = file('report.html');
    const { code, out, err } = await tinyprop(['compare', ...digits, '--seeds', '1', '--report', path]);
    expect(code).toBe(0);
    expect(out.split('\n')[0]).toMatch(/method +accuracy +vs full/);
    expect(err).toContain(`report: ${path}`);
    const html = readFileSync(path, 'utf8');
    for (const method of comparedMethods) expect(html).toContain(`>${method}</th>`);
    expect(html).not.toMatch(/NaN|undefined/);
  });

  it('refuses unknown methods and places that cannot be written, before any work', async () => {
    expect((await json<Failure>(['compare', ...digits, '--methods', 'full,fool'])).error.message).toContain('valid: dense, full, meprop, tinyprop, tinypropv2');
    const started = Date.now();
    const failed = await json<Failure>(['compare', '--data', 'digits', '--model', 'mlp:64-1024-10', '--epochs', '1000', '--report', file('no/such/report.html')]);
    expect(failed.error.exitCode).toBe(2);
    expect(Date.now() - started).toBeLessThan(5000);
  });
});

describe('demo', () => {
  it('compares all methods on the digits', async () => {
    const path = file('demo.html');
    const found = await json<Comparison>(['demo', '--epochs', '2', '--report', path]);
    expect(found.code).toBe(0);
    expect(found.summary.map((s) => s['method'])).toEqual(['dense', 'full', 'meprop', 'tinyprop', 'tinypropv2']);
    expect(new Set(found.runs.map((r) => r['seed'])).size).toBe(5);
    expect(readFileSync(path, 'utf8')).toContain('<svg');
  });
});

describe('plan', () => {
  it('says whether a budget is kept', async () => {
    interface Plan {
      flashBytes: number;
      training: { arenaBytes: number };
      program: { total: number };
      budget: { fits: boolean };
    }
    const plan = await json<Plan>(['plan', '--model', 'mlp:64-32-10']);
    expect(plan.code).toBe(0);
    const need = plan.program.total;
    expect(plan.program).toMatchObject({ arena: plan.training.arenaBytes, sample: 256, stack: 4096 });
    expect((await json<Plan>(['plan', '--model', 'mlp:64-32-10', '--ram', String(need)])).budget.fits).toBe(true);
    expect(await json<Plan>(['plan', '--model', 'mlp:64-32-10', '--ram', String(need - 1)])).toMatchObject({ code: 4, budget: { fits: false } });
    expect(await json<Plan>(['plan', '--model', 'mlp:64-32-10', '--flash', '1K'])).toMatchObject({ code: 4 });
    const batch = await json<Plan>(['plan', '--model', 'mlp:64-32-10', '--batch', '8']);
    expect(batch.training.arenaBytes).toBeGreaterThan(plan.training.arenaBytes);
  });

  it('says what can train within a budget: layers, and biases of others', async () => {
    interface Plan {
      program: { total: number };
      nodes: { name: string; biasOnly: boolean }[];
      budget: { fits: boolean; fitting: { trains: string[]; biases: string[]; freeze: string[]; ramBytes: number } };
    }
    const plan = ['plan', '--model', 'mlp:64-32-10'];
    const [first, , last] = (await json<Plan>(plan)).nodes.map(({ name }) => name) as [string, string, string];
    const part = await json<Plan>([...plan, '--freeze', `${first}.weight`, '--frozen-in-flash']);
    expect(part.nodes.map(({ biasOnly }) => biasOnly)).toEqual([true, false, false]);
    const within = await json<Plan>([...plan, '--ram', String(part.program.total + 4096)]); // 4 KiB are the program's own
    expect(within).toMatchObject({ code: 4, budget: { fits: false, fitting: { trains: [last], biases: [first], freeze: [`${first}.weight`], ramBytes: part.program.total } } });
    const less = await json<Plan>([...plan, '--ram', String(part.program.total + 4095)]);
    expect(less.budget.fitting).toMatchObject({ trains: [last], biases: [], freeze: [first] });
  });

  it('plans a store and its life', async () => {
    interface Plan {
      flashBytes: number;
      planBytes: number;
      store: { slots: number; commits: number; days: number; areaBytes: number; goal: { minSamples: number } };
      budget: { fits: boolean };
    }
    const store = ['plan', '--model', 'mlp:64-32-10', '--block', '2K'];
    const plan = await json<Plan>([...store, '--store', '64K', '--commits-per-day', '24', '--samples-per-day', '86400']);
    expect(plan).toMatchObject({ code: 0, store: { slots: 6, commits: 60000, days: 2500, goal: { minSamples: 5260 } } });
    const text = await tinyprop([...store, '--store', '64K', '--samples-per-day', '86400', '--samples-per-commit', '3600']);
    expect(text.out.replace(/\u00a0/g, ' ')).toMatch(/6 of 10\.0 KiB[^]*9 760 bytes, erases 5 blocks[^]*2 500 days, 6\.8 years[^]*at most 16 commits a day: min_samples 5 260/);
    const two = await json<Plan>(store);
    expect(two.store).toMatchObject({ slots: 2, areaBytes: 20480 });
    const need = two.flashBytes + two.planBytes + two.store.areaBytes;
    expect(await json<Plan>([...store, '--flash', String(need)])).toMatchObject({ code: 0, budget: { fits: true } });
    expect(await json<Plan>([...store, '--flash', String(need - 1)])).toMatchObject({ code: 4, budget: { fits: false } });
    const small = await tinyprop([...store, '--store', '18K']);
    expect(small).toMatchObject({ code: 4, err: expect.stringMatching(/2 slots need 20\.0 KiB of flash, the store has 18\.0 KiB/) });
  });

  it('takes shapes for specs that leave them open, and model files', async () => {
    const path = file('plan.tpm');
    await tinyprop(['train', ...digits, '--out', path]);
    expect((await tinyprop(['plan', '--model', path])).code).toBe(0);
    const found = await json<{ input: number[]; outputs: number }>(['plan', '--model', 'mobilenetv2:0.35', '--input', '96x96x3', '--classes', '2']);
    expect(found).toMatchObject({ code: 0, input: [96, 96, 3], outputs: 2 });
  });
});

describe('info', () => {
  it('shows the build', async () => {
    const core = describeCore();
    const found = await json<{ version: string; policies: { name: string }[] }>(['info']);
    expect(found.version).toBe(core.version);
    const choosers = ['sparse-update', 'tinytrain', 'velocity'];
    expect(found.policies.map((p) => p.name).sort()).toEqual([...Object.keys(policyFlags).filter((name) => !choosers.includes(name)), 'masked'].sort());
  });

  it('shows a file', async () => {
    const path = file('info.tpm');
    const trained = await json<Result>(['train', ...digits, '--out', path]);
    const found = await json<Record<string, unknown>>(['info', path]);
    expect(found).toMatchObject({ parameters: 2410, outputs: 10, weights: trained.weights, progress: { epochs: 3, samples: 4314 } });
    expect(found['meta']).toMatchObject({ data: 'digits', inputShape: [8, 8, 1], normalization: { mode: 'mean' } });
    expect((await tinyprop(['info', path])).out).toContain('fc1.weight');
  });
});

describe('mistakes', () => {
  it.each([
    [['tran'], 2, /unknown command 'tran'[\s\S]*train/],
    [['train', ...digits, '--polcy', 'full'], 2, /unknown option '--polcy'[\s\S]*--policy/],
    [['train', ...digits, '--policy', 'ful'], 2, /unknown policy "ful"; valid: dense/],
    [['train', ...digits, '--lr', '-1'], 2, /number above 0/],
    [['train', ...digits, '--json', '--jsonl'], 2, /jsonl/],
    [['train', '--data', 'digits'], 2, /--model SPEC/],
    [['train', '--model', 'mlp:64-10'], 2, /--data/],
    [['train', '--data', 'digts', '--model', 'mlp:64-10'], 2, /digits, idx:DIR/],
    [['train', '--data', 'digits', '--model', 'mlp:63-10'], 2, /64 \(8x8x1\)/],
    [['train', '--data', 'digits', '--model', 'resnet'], 2, /unknown model "resnet"; valid/],
    [['train', ...digits, '--tau', '1'], 2, /no sample would ever be trained/],
    [['train', ...digits, '--augment', 'spin'], 2, /--augment "spin"/],
    [['train', '--resume', 'nothing.tpm', '--data', 'digits'], 2, /nothing\.tpm/],
    [['eval', '--model', 'nothing.tpm', '--data', 'digits'], 2, /nothing\.tpm/],
    [['plan', '--model', 'mlp:64-10', '--ram', 'much'], 2, /64K/],
    [['plan', '--model', 'mlp:64-10', '--store', '64K'], 2, /--block/],
    [['plan', '--model', 'mlp:64-10', '--block', '4K', '--prog', '1K'], 2, /progSize: expected an integer from 1 to 512, found 1024/],
    [['plan', '--model', 'mlp:64-10', '--block', '4K', '--slots', '1'], 2, /at least 2/],
    [['plan', '--model', 'mlp:64-10', '--block', '4K', '--commits-per-day', '1', '--samples-per-commit', '1'], 2, /cannot be used with/],
    [['data', 'get', 'mnits'], 2, /mnist, fashion-mnist/],
    [['data', 'verify', 'mnits'], 2, /mnist, fashion-mnist/],
    [['eval', '--data', 'digits'], 2, /--model/],
  ])('%j: exit code %i', async (args, code, message) => {
    const plain = await tinyprop(args);
    expect(plain.code).toBe(code);
    expect(plain.err).toMatch(message);
    expect(plain.err).toMatch(/^tinyprop: /m);
    expect(plain.err).not.toMatch(/^\s+at /m);
    if (args.includes('--json')) return;
    expect(plain.out).toBe('');
    const programs = await json<Failure>(args);
    expect(programs.error).toMatchObject({ exitCode: code });
    expect(programs.error.message).toMatch(message);
  });

  it('tells a damaged file by its code', async () => {
    const path = file('damaged.tpm');
    await tinyprop(['train', ...digits, '--out', path]);
    const bytes = readFileSync(path);
    writeFileSync(file('short.tpm'), bytes.subarray(0, 300));
    bytes[bytes.length - 40] = (bytes[bytes.length - 40] as number) ^ 1;
    writeFileSync(path, bytes);
    expect((await json<Failure>(['eval', '--model', path, '--data', 'digits'])).error).toMatchObject({ exitCode: 6 });
    expect((await json<Failure>(['info', file('short.tpm')])).error).toMatchObject({ exitCode: 6 });
  });

  it('prints help and version on stdout', async () => {
    for (const args of [[], ['--help'], ['help', 'train'], ['train', '--help']]) {
      const { code, out, err } = await tinyprop(args);
      expect([code, err]).toEqual([0, '']);
      expect(out).toMatch(/^Usage: tinyprop/);
    }
    expect((await tinyprop(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('data', () => {
  it('lists what can be downloaded and the forms of specs', async () => {
    const found = await json<{ datasets: { name: string; licence: string }[]; specs: { kind: string }[] }>(['data', 'list']);
    expect(found.datasets.map((d) => d.name)).toContain('mnist');
    expect(found.datasets.every((d) => d.licence.length > 0)).toBe(true);
    expect(found.specs.map((s) => s.kind)).toContain('digits');
    expect((await tinyprop(['data', 'list'])).out).toContain('npy:X,Y[,XT,YT | ,INDEX.csv]');
  });
});
