#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
'use strict';

const { existsSync } = require('node:fs');
const { join } = require('node:path');

const cli = join(__dirname, '..', 'dist', 'cli.js');
if (!existsSync(cli) && !existsSync(join(__dirname, '..', 'dist', 'cli', 'index.js'))) {
  process.stderr.write('tinyprop: the TypeScript is not built (dist/cli is missing). In a clone run: npm install\n');
  process.exitCode = 1;
} else {
  void require('../dist/cli').main(process.argv.slice(2)).then((status) => {
    process.exitCode = status;
  });
}
