// SPDX-License-Identifier: Apache-2.0
export { type AugmentOptions, Augmenter, augment } from './augment';
export { applyNormalization, computeNormalization, type DataSplit, type Dataset, type Normalization, type NormalizeMode } from './dataset';
export { loadData } from './load';
export { type NpyArray, type NpyData, parseNpy, readNpy, readNpz } from './npy';
export type { LoadOptions } from './raw';
export { type DataKind, type DataSpec, dataKinds, parseDataSpec } from './spec';
export { type IndexSplit, stratifiedSplit } from './split';
export { type DatasetEntry, datasets, type RemoteFile } from './catalog';
export { type Checksum, type DownloadOptions, type DownloadProgress, type DownloadResult, downloadFile } from './download';
export {
  type DatasetLocation,
  type DatasetProgress,
  dataCacheDir,
  type FileRecord,
  findDataset,
  type GetDatasetOptions,
  getDataset,
  isDatasetCached,
  type PublishedNote,
  type SourceRecord,
  specOf,
  type VerifiedFile,
  type VerifyReport,
  verifyDataset,
} from './registry';
