// SPDX-License-Identifier: Apache-2.0

// The ESM entry re-exports the CommonJS build, so both worlds share one set of classes.
export * from './index.js';
