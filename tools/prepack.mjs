// SPDX-License-Identifier: Apache-2.0
// Before `npm pack`: the TypeScript and the prebuilt addons are made, so that the tarball runs nothing when installed.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './native.mjs';
import { buildTypeScript } from './prepare.mjs';

// Files of sources that are gone must not travel.
rmSync(join(root, 'dist'), { recursive: true, force: true });
process.exitCode =
  buildTypeScript() ||
  (spawnSync(process.execPath, [join(root, 'tools', 'prebuilds.mjs')], { cwd: root, stdio: 'inherit' }).status ?? 1);
