#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Stands where prebuildify expects node-gyp. Its arguments (--target, --devdir, --arch) mean nothing to CMake:
// what to build comes from tools/prebuilds.mjs.
import { buildNative } from './native.mjs';

const { arch, out, defines } = JSON.parse(process.env.TINYPROP_PREBUILD ?? '{}');
process.exitCode = buildNative({ out, defines, args: ['-a', arch] });
