// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadData, readNpy } from '../../../lib/data';
import { SpeechFrontEnd } from '../../../lib/data/mfcc';
import { parseWav } from '../../../lib/data/wav';
import { failure, scratchFolder, sharedData } from './helpers';

const scratch = scratchFolder();

interface WavOptions {
  tag?: number;
  bits?: number;
  channels?: number;
  rate?: number;
  extra?: Buffer;
}

function wavBytes(data: Buffer, { tag = 1, bits = 16, channels = 1, rate = 16000, extra = Buffer.alloc(0) }: WavOptions = {}): Buffer {
  const head = Buffer.alloc(36);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(36 + extra.length + data.length, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(tag, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE((rate * channels * bits) / 8, 28);
  head.writeUInt16LE((channels * bits) / 8, 32);
  head.writeUInt16LE(bits, 34);
  const size = Buffer.alloc(8);
  size.write('data', 0, 'latin1');
  size.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, extra, size, data]);
}

function tone(hz: number, n = 16000): Int16Array {
  return Int16Array.from({ length: n }, (_, i) => 12000 * Math.sin((2 * Math.PI * hz * i) / 16000));
}

function writeClip(name: string, hz: number, options: WavOptions = {}): void {
  const file = path.join(scratch, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, wavBytes(Buffer.from(tone(hz).buffer), options));
}

describe('parseWav', () => {
  it('decodes 8, 16, 24 and 32 bits, float, stereo and skips odd chunks', () => {
    const odd = Buffer.concat([Buffer.from('LIST'), Buffer.from([3, 0, 0, 0, 1, 2, 3, 0])]);
    expect([...parseWav(wavBytes(Buffer.from(Int16Array.of(-32768, 16384).buffer), { extra: odd }), 'a').samples]).toEqual([-1, 0.5]);
    expect([...parseWav(wavBytes(Buffer.from([0, 192]), { bits: 8 }), 'a').samples]).toEqual([-1, 0.5]);
    expect([...parseWav(wavBytes(Buffer.from([0, 0, 0x80, 0, 0, 0x40]), { bits: 24 }), 'a').samples]).toEqual([-1, 0.5]);
    expect([...parseWav(wavBytes(Buffer.from(Int32Array.of(-(2 ** 31), 2 ** 30).buffer), { bits: 32 }), 'a').samples]).toEqual([-1, 0.5]);
    expect([...parseWav(wavBytes(Buffer.from(Float32Array.of(-1, 0.5).buffer), { tag: 3, bits: 32 }), 'a').samples]).toEqual([-1, 0.5]);
    expect([...parseWav(wavBytes(Buffer.from(Int16Array.of(-32768, 16384).buffer), { channels: 2 }), 'a').samples]).toEqual([-0.25]);
  });

  it.each([
    ['another file', Buffer.from('ID3 not a wave file'), /expected a RIFF\/WAVE file/],
    ['nothing', Buffer.alloc(0), /expected a RIFF\/WAVE file/],
    ['a compressed format', wavBytes(Buffer.alloc(4), { tag: 17, bits: 4 }), /found format 17 with 4 bits/],
    ['no channels', wavBytes(Buffer.alloc(4), { channels: 0 }), /0 channels/],
    ['data that are cut off', wavBytes(Buffer.alloc(100)).subarray(0, 90), /chunk 'data' at byte 36 has 100 bytes/],
    ['no data chunk', wavBytes(Buffer.alloc(0)).subarray(0, 36), /no data chunk/],
    ['NaN', wavBytes(Buffer.from(Float32Array.of(0, Number.NaN).buffer), { tag: 3, bits: 32 }), /sample 1/],
  ])('refuses %s', async (_what, bytes, message) => {
    expect((await failure(() => parseWav(bytes, 'bad.wav'), 'ERR_TINYPROP_FILE')).message).toMatch(message);
  });
});

describe('SpeechFrontEnd', () => {
  it('finds a tone in its mel band', () => {
    const frontEnd = new SpeechFrontEnd('logmel');
    const out = new Float32Array(49 * 40);
    frontEnd.compute(Float32Array.from(tone(1000)), out);
    const mel = (hz: number) => 1127 * Math.log(1 + hz / 700);
    const band = (mel(1000) - mel(20)) / ((mel(4000) - mel(20)) / 41) - 1;
    for (const frame of [0, 7, 48]) {
      const bands = [...out.subarray(frame * 40, frame * 40 + 40)];
      expect(Math.abs(bands.indexOf(Math.max(...bands)) - band)).toBeLessThanOrEqual(0.5);
    }
  });

  it('agrees with the formulas written down directly', () => {
    const samples = Float32Array.from({ length: 16000 }, (_, i) => Math.sin(i * i * 1e-4) * ((i % 700) / 700));
    const out = new Float32Array(490);
    new SpeechFrontEnd().compute(samples, out);
    for (const frame of [0, 1, 48]) {
      const expected = plainMfcc(samples, frame);
      expected.forEach((value, k) => expect(Math.abs((out[frame * 10 + k] as number) - value)).toBeLessThan(1e-4));
    }
  });

  it('gives silence and short clips finite features', () => {
    const out = new Float32Array(490);
    new SpeechFrontEnd().compute(new Float32Array(100), out);
    expect(out[0]).toBeCloseTo((Math.log(1e-6) * 80) / Math.sqrt(80), 3);
    expect(out.every(Number.isFinite)).toBe(true);
  });
});

/** The recipe of MLPerf Tiny with a plain DFT. */
function plainMfcc(samples: Float32Array, frame: number): number[] {
  const largest = samples.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const mel = (hz: number) => 1127 * Math.log(1 + hz / 700);
  const edges = Array.from({ length: 42 }, (_, i) => mel(20) + ((mel(4000) - mel(20)) * i) / 41);
  const magnitude = Array.from({ length: 257 }, (_, bin) => {
    let re = 0;
    let im = 0;
    for (let i = 0; i < 480; i++) {
      const value = ((samples[frame * 320 + i] as number) / largest) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / 480));
      re += value * Math.cos((2 * Math.PI * i * bin) / 512);
      im -= value * Math.sin((2 * Math.PI * i * bin) / 512);
    }
    return Math.hypot(re, im);
  });
  const bands = Array.from({ length: 40 }, (_, band) => {
    const [low, centre, high] = edges.slice(band, band + 3) as [number, number, number];
    let sum = 0;
    for (let bin = 1; bin < 257; bin++) {
      const at = mel((bin * 16000) / 512);
      sum += Math.max(0, Math.min((at - low) / (centre - low), (high - at) / (high - centre))) * (magnitude[bin] as number);
    }
    return Math.log(sum + 1e-6);
  });
  return Array.from({ length: 10 }, (_, k) => bands.reduce((sum, value, i) => sum + 2 * value * Math.cos((Math.PI * k * (2 * i + 1)) / 80), 0) / Math.sqrt(80));
}

describe('wav:DIR', () => {
  it('reads train and test folders, numbering classes by training folders', async () => {
    for (const [name, hz] of [['train/low/a.wav', 300], ['train/low/b.WAV', 310], ['train/mid/a.wav', 900], ['train/top/c.wav', 3000], ['test/top/d.wav', 2990], ['train/_noise_/x.wav', 1]] as const) writeClip(`tree/${name}`, hz);
    fs.writeFileSync(path.join(scratch, 'tree/train/low/notes.txt'), 'no sound');
    const { train, test, notices, normalization } = await loadData(`wav:${path.join(scratch, 'tree')}`);
    expect(train.classes).toEqual(['low', 'mid', 'top']);
    expect([...(train.labels as Uint32Array)]).toEqual([0, 0, 1, 2]);
    expect([...(test?.labels as Uint32Array)]).toEqual([2]);
    expect([train.inputShape, normalization.mode, normalization.std.length]).toEqual([[49, 10], 'standard', 10]);
    expect(notices.join()).toMatch(/_noise_: left out/);
    expect((await loadData(`wav:${path.join(scratch, 'tree')},logmel`)).train.inputShape).toEqual([49, 40]);
  });

  it('obeys the lists of Speech Commands, else splits', async () => {
    for (let i = 0; i < 5; i++) for (const word of ['no', 'yes']) writeClip(`flat/${word}/${i}.wav`, 200 + 100 * i);
    const spec = `wav:${path.join(scratch, 'flat')}`;
    const split = await loadData(spec);
    expect([split.train.n, split.test?.n, split.notices.length]).toEqual([8, 2, 1]);
    expect((await loadData(spec, { limit: 4 })).train.n).toBe(4);
    fs.writeFileSync(path.join(scratch, 'flat/testing_list.txt'), 'no/0.wav\nyes/1.wav\n');
    fs.writeFileSync(path.join(scratch, 'flat/validation_list.txt'), 'no/2.wav\n');
    const listed = await loadData(spec);
    expect([listed.train.n, listed.test?.n]).toEqual([7, 2]);
  });

  it('refuses another sampling rate, a test class without training, and a folder without classes', async () => {
    writeClip('rate/a/x.wav', 100, { rate: 8000 });
    expect((await failure(() => loadData(`wav:${path.join(scratch, 'rate')}`), 'ERR_TINYPROP_FILE')).message).toMatch(/expected 16000 samples a second, found 8000/);
    writeClip('extra/train/a/x.wav', 100);
    writeClip('extra/test/b/x.wav', 100);
    await failure(() => loadData(`wav:${path.join(scratch, 'extra')}`), 'ERR_TINYPROP_LABEL');
    fs.mkdirSync(path.join(scratch, 'void'));
    await failure(() => loadData(`wav:${path.join(scratch, 'void')}`), 'ERR_TINYPROP_FILE');
  });

  const speech = sharedData('speech_commands');
  it.skipIf(!speech)('agrees with the int8 MFCC made by the MLPerf Tiny front end', async () => {
    const features = path.join(speech as string, 'mfcc49x10');
    const meta = JSON.parse(fs.readFileSync(path.join(features, 'meta.json'), 'utf8')) as { scale: number[]; zero_point: number[] };
    const frontEnd = new SpeechFrontEnd();
    const out = new Float32Array(490);
    let files = 0;
    let exact = 0;
    let worst = 0;
    for (const set of ['kws12', 'words4']) {
      const { data } = await readNpy(path.join(features, `${set}_x_i8.npy`));
      const rows = fs.readFileSync(path.join(features, `${set}_index.csv`), 'utf8').trim().split('\n').slice(1);
      for (const [row, line] of rows.entries()) {
        const [word, name] = line.split(',') as [string, string];
        const clip = ['train', 'test'].map((part) => path.join(speech as string, 'wav', part, word, name)).find((at) => fs.existsSync(at));
        if (!clip) continue;
        files++;
        frontEnd.compute(parseWav(fs.readFileSync(clip), clip).samples, out);
        for (let i = 0; i < 490; i++) {
          const c = i % 10;
          const q = Math.round((out[i] as number) / (meta.scale[c] as number)) + (meta.zero_point[c] as number);
          const difference = Math.abs(Math.min(127, Math.max(-128, q)) - (data[row * 490 + i] as number));
          exact += difference === 0 ? 1 : 0;
          worst = Math.max(worst, difference);
        }
      }
    }
    const all = files * 490;
    console.info(`MFCC against MLPerf Tiny int8: ${files} clips, ${all - exact} of ${all} values differ, by at most ${worst} step(s)`);
    expect(files).toBeGreaterThan(100);
    expect((all - exact) / all).toBeLessThan(1e-4);
    expect(worst).toBeLessThanOrEqual(1);
  });
});
