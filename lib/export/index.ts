// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addon, constant, guard, type NativeModel } from '../addon';
import type { Dataset } from '../data/dataset';
import { TinypropError } from '../errors';
import { inputQuantization, onDevice, planOf } from '../graph';
import type { Quantization } from '../layers';
import type { Model } from '../model';
import { ModelCore } from '../model-core';
import { packageRoot, packageVersion } from '../package';
import { quantized } from '../quantize';
import { describeRecipe, nativeRecipe, type RecipeOptions } from '../recipe';
import { targetsOf } from '../targets';
import { publicHeaders } from './amalgamate';
import { configHeader } from './config';
import { libraryFiles } from './library';
import { exporters } from './list';
import { type ModelForm, modelFiles } from './model';
import { type EmbeddedSamples, programFiles } from './program';
import type { Exporter, FirmwareTarget, Project } from './project';
import { readme } from './readme';
import { type FirmwareRecord, recordName, sumsName, sumsOf } from './record';
import { coreSources, type FileTree, pathsOf, sha256, sourceIdOf, under } from './sources';
import { writeTree } from './write';

export type { ModelForm } from './model';
export type { FirmwareTarget } from './project';
export type { FirmwareRecord } from './record';
export { verifyFirmware, type FirmwareProblem, type FirmwareReport, type VerifyOptions } from './verify';

/** Names of the ecosystems that {@link exportFirmware} writes for. */
export const firmwareTargets: readonly FirmwareTarget[] = Object.keys(exporters) as FirmwareTarget[];

/** What {@link exportFirmware} writes. */
export interface FirmwareOptions {
  /** The ecosystem. */
  for: FirmwareTarget;
  /** How the firmware trains; batch must be 1, lengths of the schedule in batches. Default: `tinyPropV2()`, `sgd({ lr: 0.01 })`, constant. */
  recipe?: RecipeOptions;
  /** Form of the model: `array`, a C array, or `bin`, a file that the assembler includes (not for arduino and cmsis-pack). Default `array`. */
  modelAs?: ModelForm;
  /** Samples for the program, in flash, instead of made-up ones: prepared as for training. */
  samples?: Dataset;
  /** Samples reach the program as int8, a quarter of the RAM, for a model that begins with `quantize`: what that makes of the reals. Default false. */
  int8Samples?: boolean;
  /** Switches the build option TINYPROP_CMSIS_NN on: CMSIS-NN, which the project must have, is linked and serves int8 layers on a Cortex-M. */
  cmsisNn?: boolean;
  /** The names of errors in the image (some 350 bytes); false: `tp_status_name` says `TP_E_?` of every error. Default true. */
  strings?: boolean;
  /** Replace an earlier export, with all that lies in its folder; default false. */
  force?: boolean;
  /** Ends the export; nothing is written then. */
  signal?: AbortSignal;
}

/** What {@link exportFirmware} wrote. */
export interface FirmwareExport {
  /** Every file, relative to the folder, in ascending order. */
  readonly files: readonly string[];
  /** The content of `tinyprop.json`. */
  readonly record: FirmwareRecord;
}

/** Checked as training data are; labels become targets where the loss wants those. */
function samplesOf(samples: Dataset, model: Model, int8Samples: boolean | undefined): EmbeddedSamples {
  const y = targetsOf(samples, model.core.targetSpec);
  const { x, n: count, inputShape } = samples;
  const bad = x.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const sample = Math.floor((bad * count) / x.length);
    throw new TinypropError('ERR_TINYPROP_DATA', `data "${samples.name}": sample ${sample} (${inputShape.join('x')}) holds NaN or infinity`, { sample });
  }
  const quantization = int8Samples === true ? (inputQuantization(model.toJSON()) as Quantization) : undefined;
  return { x: quantization === undefined ? x : quantized(x, quantization), y, count };
}

/** The model file without state and metadata: what a device needs. */
function deviceBytes(model: Model, native: NativeModel): Uint8Array {
  const { core } = model;
  core.free('exportFirmware');
  const net = ModelCore.open(native, null, 1);
  try {
    return guard('export', () => net.copyParamsFrom(core.net) ?? net.save(constant('blob', 'weights'), []));
  } finally {
    net.close();
  }
}

function exporterOf(options: FirmwareOptions): Exporter {
  if (!Object.hasOwn(exporters, options.for)) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `unknown firmware target "${String(options.for)}"; valid: ${firmwareTargets.join(', ')}`, { valid: firmwareTargets });
  }
  const exporter = exporters[options.for];
  const form = options.modelAs ?? 'array';
  if (!exporter.forms.includes(form)) {
    throw new TinypropError('ERR_TINYPROP_SPEC', `${options.for} cannot build a model as ${form}; it takes: ${exporter.forms.join(', ')}`, { valid: exporter.forms });
  }
  return exporter;
}

/** Every file of an export and its record: the same bytes for the same model, options and package. */
function firmwareTree(model: Model, options: FirmwareOptions): { tree: FileTree; record: FirmwareRecord } {
  const exporter = exporterOf(options);
  const form = options.modelAs ?? 'array';
  const recipe = nativeRecipe(options.recipe ?? {}, null);
  if (recipe.batch !== 1) throw new TinypropError('ERR_TINYPROP_RECIPE', `recipe: batch: the exported program trains sample by sample: expected 1, found ${recipe.batch}`, { field: 'batch' });
  const native = onDevice(model.core.native, options.int8Samples);
  const bytes = deviceBytes(model, native);
  const plan = planOf(native, recipe, true);
  const core = coreSources();
  const [version, sourceId, cmsisNn] = [packageVersion(), sourceIdOf(core), options.cmsisNn === true];
  const samples = options.samples === undefined ? null : samplesOf(options.samples, model, options.int8Samples);
  const input = options.int8Samples === true ? 'int8_t' : 'float';
  const program = programFiles({ loss: model.loss, inputs: plan.inputs, outputs: plan.outputs, samples, input });
  const pick = (word: string): FileTree => Object.fromEntries(Object.entries(program).filter(([path]) => path.includes(word)));
  const config: FileTree = { 'tinyprop_config.h': configHeader(native, recipe, { sourceId, cmsisNn, strings: options.strings !== false }) };
  const parts = { bytes, plan, planBytes: guard('plan', () => addon().planBytes(native, recipe)), input, sourceId, version } as const;
  const project: Project = {
    version, form, cmsisNn, config, headers: publicHeaders(core), loss: model.loss, learn: pick('_learn'), samples: pick('_samples'),
    model: (binPath) => modelFiles(parts, form, binPath),
  };
  const guarded = pathsOf(under(exporter.app, { ...config, ...project.model('') }));
  const record: FirmwareRecord = {
    format: 'tinyprop-firmware',
    formatVersion: 1,
    version,
    sourceId,
    for: exporter.name,
    model: { as: form, sha256: sha256(bytes), bytes: bytes.length, weights: model.weightHash() },
    recipe: describeRecipe(recipe),
    memory: { arena: plan.arenaBytes, plan: plan.planBytes, stats: plan.statsBytes },
    guarded,
  };
  const library = libraryFiles(exporter.library, core);
  const tree: FileTree = {
    ...library,
    ...exporter.files(project),
    LICENSE: readFileSync(join(packageRoot(), 'LICENSE')),
    'README.md': readme(exporter, record, plan, pathsOf(library)),
    [recordName]: `${JSON.stringify(record, null, 2)}\n`,
  };
  tree[sumsName] = sumsOf(tree);
  return { tree, record };
}

/**
 * Writes a firmware project that trains this model on the device: the C sources of this package, the model, the configuration
 * that leaves out what it does not need, a program that learns from a stream of samples, the manifests of the ecosystem,
 * `tinyprop.json` and `SHA256SUMS`. The bytes depend on model, options and package alone. The folder appears whole or not at all.
 *
 * @param folder must be absent or empty, or with `force` hold an earlier export
 * @throws TinypropError `ERR_TINYPROP_SPEC` (target, form, folder not empty), `ERR_TINYPROP_RECIPE`, `ERR_TINYPROP_SHAPE`, `ERR_TINYPROP_LABEL`
 *   and `ERR_TINYPROP_DATA` (samples), `ERR_TINYPROP_FILE`, `ERR_TINYPROP_ABORTED`, `ERR_TINYPROP_BUSY`, `ERR_TINYPROP_CLOSED`
 */
export async function exportFirmware(model: Model, folder: string, options: FirmwareOptions): Promise<FirmwareExport> {
  const { tree, record } = firmwareTree(model, options);
  await writeTree(folder, tree, { force: options.force === true, signal: options.signal });
  return { files: pathsOf(tree), record };
}
