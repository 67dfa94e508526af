// SPDX-License-Identifier: Apache-2.0
import * as path from 'node:path';
import { type LabelledFile, labelsOf, listClassFolders } from './folders';
import { checkAbort, fileError, readSmallFile } from './io';
import { SpeechFrontEnd, speech } from './mfcc';
import type { LoadContext, RawData, RawPart } from './raw';
import { parseWav } from './wav';

/** A clip longer than this (about half an hour) is no keyword. */
const MAX_BYTES = 1 << 26;

/** `wav:DIR[,logmel]`: folders of WAV files as 49 frames of 10 MFCC or 40 log-mel features. */
export async function readWavData(args: readonly string[], context: LoadContext): Promise<RawData> {
  const folder = args[0] as string;
  const frontEnd = new SpeechFrontEnd(args[1] === 'logmel' ? 'logmel' : 'mfcc');
  const tree = await listClassFolders(folder, ['.wav'], context);
  return {
    name: `wav:${path.basename(path.resolve(folder))}`,
    inputShape: [speech.frames, frontEnd.features],
    classes: tree.classes,
    train: await readPart(tree.train, frontEnd, context),
    test: tree.test && (await readPart(tree.test, frontEnd, context)),
    scale: 1,
    defaultMode: 'standard',
  };
}

async function readPart(files: LabelledFile[], frontEnd: SpeechFrontEnd, context: LoadContext): Promise<RawPart> {
  const size = speech.frames * frontEnd.features;
  const x = new Float32Array(files.length * size);
  for (const [i, { file }] of files.entries()) {
    checkAbort(context.options.signal);
    const sound = parseWav(await readSmallFile(file, MAX_BYTES, context.options.signal), file);
    if (sound.sampleRate !== speech.sampleRate) {
      throw fileError(file, `expected ${speech.sampleRate} samples a second, found ${sound.sampleRate}; resample it (for example: sox IN -r 16000 OUT)`, {
        expected: speech.sampleRate,
        found: sound.sampleRate,
      });
    }
    frontEnd.compute(sound.samples, x.subarray(i * size, (i + 1) * size));
  }
  return { n: files.length, x, labels: labelsOf(files) };
}
