// SPDX-License-Identifier: Apache-2.0
export { errorCodes, TinypropError, type ErrorCode } from './errors';
export { describe, type DescribedRow, type Description } from './describe';
export { GraphBuilder, type TensorRef } from './builder';
export { Model, type LossName, type ModelJson, type NodeJson, type SaveOptions, type TensorData, type TensorInfo } from './model';
export type { ImportOptions } from './import';
export type { LearnOptions, LearnSummary, StreamSample } from './learn';
export type { PlanCut, PlanNode, PlanRam, PlanReport, ProgramRam, StoreOptions, StorePlan } from './plan';
export { TensorBoardWriter } from './tensorboard';
export { Prediction, Totals, type Evaluation, type LayerTotals, type StepMacs, type StepResult } from './results';
export {
  add,
  addS8,
  avgPool2d,
  avgPool2dS8,
  batchNorm,
  conv1d,
  clampS8,
  conv2d,
  conv2dS8,
  dense,
  denseS8,
  depthwiseConv2d,
  depthwiseConv2dS8,
  dequantize,
  dropout,
  flatten,
  globalAvgPool,
  leakyRelu,
  maxPool2d,
  maxPool2dS8,
  quantize,
  relu,
  relu6,
  sigmoid,
  softmaxS8,
  tanh,
  type Conv1dOptions,
  type Conv2dOptions,
  type DepthwiseConv2dOptions,
  type Init,
  type LayerOp,
  type LayerOptions,
  type LayerSpec,
  type Padding1d,
  type Padding2d,
  type Pool2dOptions,
  type Quantization,
  type WeightOptions,
  type WeightOptionsS8,
} from './layers';
export {
  densePolicy,
  eif,
  emp,
  full,
  masked,
  meProp,
  randomSkip,
  selectiveBackprop,
  steered,
  tinyProp,
  tinyPropV2,
  type AlphaMode,
  type PolicyParams,
  type PolicySpec,
  type PresetName,
  type SelectMode,
  type SteeredOptions,
  type TinyPropOptions,
  type TinyPropV2Options,
  type YmaxMode,
} from './policy';
export { sparseUpdate, type SparseUpdateOptions } from './masks/sparse-update';
export { tinyTrain, type TinyTrainOptions } from './masks/tiny-train';
export { velocity, type VelocityOptions } from './masks/velocity';
export type { ChosenMasks, LayerMask, MaskBudget, MaskChooser, MaskContext, Masks } from './masks/mask';
export { momentum, sgd, type OptimizerSpec } from './optimizer';
export { constant, cosine, step, type ScheduleOptions, type ScheduleSpec, type ScheduleUnit } from './schedule';
export type { Int8Update, RecipeOptions } from './recipe';
export { tune, type TuneOptions, type TuneResult, type TunedTrial, type TuneTrial } from './tune';
export { quantizeModel, type QuantizedLayer, type QuantizeOptions, type QuantizeResult } from './quantize';
export {
  Trainer,
  type EndEvent,
  type EpochEvent,
  type FitData,
  type FitEvent,
  type FitOptions,
  type FitResult,
  type FitRun,
  type ProgressEvent,
  type WarningCode,
  type WarningEvent,
} from './trainer';
export type { CacheUse } from './activation-cache';
export { replay, type ReplayDifference, type ReplayOptions, type ReplayResult } from './replay';
export { loadModel, type LoadModelOptions } from './load';
export { mobilenetV2, type MobilenetV2Options } from './mobilenet';
export { parseModelSpec, modelSpecs, type ModelSpecContext } from './specs';
export {
  exportFirmware,
  firmwareTargets,
  verifyFirmware,
  type FirmwareExport,
  type FirmwareOptions,
  type FirmwareProblem,
  type FirmwareRecord,
  type FirmwareReport,
  type FirmwareTarget,
  type ModelForm,
  type VerifyOptions,
} from './export';
export { exportSafetensors } from './export/safetensors';
export { exportTflite } from './export/tflite';
export { readSafetensors, writeSafetensors, type Safetensors, type SafeTensor } from './import/safetensors';
export * from './data';
