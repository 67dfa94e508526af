// SPDX-License-Identifier: Apache-2.0
import { mainC } from './program';
import type { Exporter } from './project';

/** The content of a CMSIS-Pack: the description and what it lists. @internal */
export const cmsisPack: Exporter = {
  name: 'cmsis-pack',
  title: 'CMSIS-Pack content (.pdsc and files) for Keil, IAR and CMSIS-Toolbox',
  forms: ['array'],
  library: { form: 'amalgamation', folder: 'library', closed: true },
  app: 'model',
  files: (project) => {
    const model = { ...project.config, ...project.model(''), ...project.learn };
    const row = (name: string): string => `        <file category="${name.endsWith('.h') ? 'header' : 'source'}" name="model/${name}"/>`;
    return {
      'tinyprop.tinyprop.pdsc': `<?xml version="1.0" encoding="UTF-8"?>
<!-- SPDX-License-Identifier: Apache-2.0 -->
<package schemaVersion="1.7.36" xmlns:xs="http://www.w3.org/2001/XMLSchema-instance" xs:noNamespaceSchemaLocation="https://raw.githubusercontent.com/Open-CMSIS-Pack/Open-CMSIS-Pack-Spec/v1.7.36/schema/PACK.xsd">
  <vendor>tinyprop</vendor>
  <name>tinyprop</name>
  <description overview="README.md">Trains small neural networks on the device: TinyPropv2, TinyProp and meProp without malloc or libm</description>
  <url>https://arxiv.org/abs/2409.07109</url>
  <licenseSets>
    <licenseSet id="all" default="true" gating="false">
      <license name="LICENSE" title="Apache License 2.0" spdx="Apache-2.0"/>
    </licenseSet>
  </licenseSets>
  <releases>
    <release version="${project.version}">Exported from tinyprop ${project.version}</release>
  </releases>
  <conditions>
    <condition id="Cortex-M with gcc or clang">
      <description>Cortex-M, and a compiler with GNU extensions</description>
      <require condition="gcc or clang"/>
      <accept Dcore="Cortex-M0+"/>
      <accept Dcore="Cortex-M3"/>
      <accept Dcore="Cortex-M4"/>
      <accept Dcore="Cortex-M7"/>
      <accept Dcore="Cortex-M33"/>
      <accept Dcore="Cortex-M55"/>
      <accept Dcore="Cortex-M85"/>
    </condition>
    <condition id="gcc or clang">
      <description>gcc, clang or Arm Compiler 6</description>
      <accept Tcompiler="GCC"/>
      <accept Tcompiler="CLANG"/>
      <accept Tcompiler="ARMCC" Toptions="AC6"/>
    </condition>
  </conditions>
  <components>
    <component Cclass="Machine Learning" Cgroup="tinyprop" Csub="Library" Cversion="${project.version}" condition="Cortex-M with gcc or clang">
      <description>On-device training</description>
      <files>
        <file category="include" name="library/"/>
${project.headers.map((name) => `        <file category="header" name="library/${name}"/>`).join('\n')}
        <file category="source" name="library/tinyprop.c"/>
        <file category="include" name="model/"/>
${Object.keys(model).sort().map(row).join('\n')}
        <file category="source" name="template/main.c" attr="template" select="Training on a stream of samples"/>
        <file category="source" name="template/tinyprop_samples.c" attr="template" select="Training on a stream of samples"/>
        <file category="header" name="template/tinyprop_samples.h" attr="template" select="Training on a stream of samples"/>
      </files>
    </component>
  </components>
</package>
`,
      ...Object.fromEntries(Object.entries(model).map(([path, data]) => [`model/${path}`, data])),
      ...Object.fromEntries(Object.entries(project.samples).map(([path, data]) => [`template/${path}`, data])),
      'template/main.c': mainC(project.loss, 'int main(void)', '    return status == TP_OK ? 0 : 1;\n'),
    };
  },
  build: `\`packchk tinyprop.tinyprop.pdsc\` checks the pack, \`cpackget add tinyprop.tinyprop.pdsc\` makes it known to CMSIS-Toolbox and Keil Studio. Select the
component *Machine Learning > tinyprop > Library*; *Training on a stream of samples* is its user code template.`,
};
