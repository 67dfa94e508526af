// SPDX-License-Identifier: Apache-2.0
import { sketch } from './program';
import type { Exporter } from './project';
import { under } from './sources';

/** An Arduino library with the model inside, and a sketch. @internal */
export const arduino: Exporter = {
  name: 'arduino',
  title: 'Arduino library with an example sketch',
  forms: ['array'],
  library: { form: 'amalgamation', folder: 'src', closed: true },
  app: 'src',
  files: (project) => ({
    'library.properties': `name=tinyprop
version=${project.version}
author=tinyprop contributors
maintainer=tinyprop contributors
sentence=Trains small neural networks on the board.
paragraph=Sparse back-propagation (TinyPropv2, TinyProp, meProp) without malloc or libm, with the same bits as on a PC. Holds one exported model.
category=Data Processing
url=https://arxiv.org/abs/2409.07109
architectures=*
includes=tinyprop_learn.h
`,
    ...under('src', { ...project.config, ...project.model(''), ...project.learn }),
    ...under('examples/Train', project.samples),
    'examples/Train/Train.ino': sketch(project.loss),
  }),
  build: `Copy this folder to \`libraries/\` of the sketchbook (or zip it, and *Sketch > Include Library > Add .ZIP Library*), open
*File > Examples > tinyprop > Train*, choose a board with enough memory, upload, and open the serial monitor at 115200 baud.

    arduino-cli compile --library . --fqbn VENDOR:ARCH:BOARD examples/Train

8-bit AVR boards are too small and not supported: the library wants 32-bit integers and IEEE floats.`,
};
