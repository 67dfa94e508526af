#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
'use strict';

const { existsSync } = require('node:fs');
const { join } = require('node:path');

if (existsSync(join(__dirname, '..', 'dist', 'cli', 'index.js'))) {
  void require('../dist/cli').main(process.argv.slice(2)).then((status) => {
    // Not process.exit(): what is still being written to a pipe would be lost.
    process.exitCode = status;
  });
} else {
  process.stderr.write('tinyprop: the TypeScript is not built (dist/cli is missing). In a clone run: npm install\n');
  process.exitCode = 1;
}
