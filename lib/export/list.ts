// SPDX-License-Identifier: Apache-2.0
import { amalgamation } from './amalgamation';
import { arduino } from './arduino';
import { cmake } from './cmake';
import { cmsisPack } from './cmsis-pack';
import { espIdf } from './esp-idf';
import { platformio } from './platformio';
import type { Exporter, FirmwareTarget } from './project';
import { zephyr } from './zephyr';

/** One row per ecosystem. @internal */
export const exporters: Readonly<Record<FirmwareTarget, Exporter>> = {
  cmake,
  amalgamation,
  arduino,
  platformio,
  zephyr,
  'esp-idf': espIdf,
  'cmsis-pack': cmsisPack,
};
