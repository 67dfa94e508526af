// SPDX-License-Identifier: Apache-2.0
// The manifests of every ecosystem against its published rules, and their build branches with stand-ins of the tools: what the
// stand-ins compile is run and compared with Node. The tools themselves are not here.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { exportFirmware, type FirmwareTarget, firmwareTargets, sgd } from '../../../lib/index';
import { filesBelow } from '../../../lib/export/sources';
import { packageVersion } from '../../../lib/package';
import { missing, mlp, root, run, said, scratch, trainInNode } from './projects';

vi.setConfig({ testTimeout: 180_000 }); // compilers, on a machine that may be busy

const at = scratch();
const recipe = { optimizer: sgd({ lr: 0.05 }) };
const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');
const csrc = join(root, 'csrc');
const semver = /^\d+\.\d+\.\d+$/;
const fast = ['-O1', '-DTP_STATIC_ISA=scalar'];
const noCmake = missing('cmake');
let expected: string[];

beforeAll(async () => {
  const model = mlp();
  model.configure(recipe);
  for (const target of firmwareTargets) await exportFirmware(model, at(target), { for: target, recipe, cmsisNn: false });
  expected = said(trainInNode(model, recipe));
}, 60_000);

/** The program's two lines are those of Node. */
function checkOutput(out: string): void {
  for (const line of expected) expect(out).toContain(line);
}

/** Stand-ins for a tool of another ecosystem. */
function standIn(folder: string, files: Record<string, string>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

/** Keys of the top level of a simple YAML file. */
const yamlKeys = (text: string): string[] => [...text.matchAll(/^([\w-]+):/gm)].map(([, key]) => key as string);

/** Symbols that a Kconfig file defines, and what sourcing it needs. */
const kconfigSymbols = (text: string): string[] => [...text.matchAll(/^(?:menu)?config (\w+)$/gm)].map(([, name]) => name as string);

describe('one version', () => {
  it('in package.json, the header and every manifest', () => {
    const version = packageVersion();
    expect(JSON.parse(read(csrc, 'library.json'))).toMatchObject({ version });
    expect(read(csrc, 'idf_component.yml')).toContain(`\nversion: "${version}"\n`);
    expect(read(at('arduino'), 'library.properties')).toContain(`\nversion=${version}\n`);
    expect(read(at('cmsis-pack'), 'tinyprop.tinyprop.pdsc')).toContain(`Cversion="${version}"`);
  });
});

describe('Arduino', () => {
  // The library specification, and the registry's rules for names and versions.
  it('has a library.properties and a layout that the specification allows', () => {
    const folder = at('arduino');
    const lines = read(folder, 'library.properties').trimEnd().split('\n');
    const properties = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
    for (const key of ['name', 'version', 'author', 'maintainer', 'sentence', 'paragraph', 'category', 'url', 'architectures']) expect(properties[key], key).toBeTruthy();
    expect(Object.keys(properties)).toHaveLength(lines.length);
    expect(properties['version']).toMatch(semver);
    expect(properties['name']).toMatch(/^(?!arduino)[\w][\w .-]{0,62}$/i);
    const categories = ['Display', 'Communication', 'Signal Input/Output', 'Sensors', 'Device Control', 'Timing', 'Data Storage', 'Data Processing', 'Other'];
    expect(categories).toContain(properties['category']);
    expect(properties['paragraph']?.startsWith(properties['sentence'] as string)).toBe(false);
    for (const header of (properties['includes'] as string).split(',')) expect(existsSync(join(folder, 'src', header))).toBe(true);
    for (const example of readdirSync(join(folder, 'examples'))) expect(existsSync(join(folder, 'examples', example, `${example}.ino`))).toBe(true);
    expect(filesBelow(folder).filter((path) => /\.(exe|a|o)$|\.development$/.test(path))).toEqual([]);
    // Every .c below src is compiled, and only src is on the include path.
    for (const path of filesBelow(join(folder, 'src'))) {
      for (const [, name] of read(folder, 'src', path).matchAll(/^#include "([^"]+)"/gm)) expect(existsSync(join(folder, 'src', name as string)), `${path}: ${name}`).toBe(true);
    }
  });

  it('has a sketch that compiles as C++17, runs, and gets the bits of Node', { timeout: 180_000 }, () => {
    const folder = at('arduino');
    const arduino = standIn(at('arduino-stand-in'), {
      'Arduino.h': `#include <stdint.h>
#include <stdio.h>
#define HEX 16
struct Printer {
  void begin(unsigned long) {}
  void print(const char *s) { fputs(s, stdout); }
  void print(unsigned long n, int base = 10) { printf(base == HEX ? "%lX" : "%lu", n); }
  void println(const char *s) { puts(s); }
  void println(unsigned long n, int base = 10) { print(n, base); putchar('\\n'); }
};
extern Printer Serial;
void setup();
void loop();
`,
      'board.cpp': '#include <Arduino.h>\nPrinter Serial;\nint main() { setup(); for (int i = 0; i < 300; i++) { loop(); } }\n',
    });
    const build = at('arduino-build');
    mkdirSync(build);
    const include = [`-I${join(folder, 'src')}`, `-I${arduino}`];
    const c = [join(folder, 'src'), join(folder, 'examples', 'Train')].flatMap((f) => readdirSync(f).filter((n) => n.endsWith('.c')).map((n) => join(f, n)));
    run('gcc', ['-std=gnu11', ...fast, ...include, '-c', ...c], build);
    const cpp = ['-std=c++17', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-O1', ...include];
    run('g++', [...cpp, '-x', 'c++', join(folder, 'examples', 'Train', 'Train.ino'), '-x', 'none', join(arduino, 'board.cpp'), ...readdirSync(build), '-o', 'sketch'], build);
    const out = run(join(build, 'sketch'), [], build).split('\n');
    expect(out[0]).toBe(expected[0]);
    expect(out[1]?.replace(/weights 0*/, '').toLowerCase()).toBe(/^weights 0*(\w+)/.exec(expected[1] as string)?.[1]);
  });
});

describe('PlatformIO', () => {
  // platformio/assets/schema/library.json of platformio-core
  it('has a library.json of the schema', () => {
    const manifest = JSON.parse(read(csrc, 'library.json')) as Record<string, string> & { keywords: string[]; build: Record<string, unknown> };
    const allowed = ['$schema', 'name', 'version', 'description', 'keywords', 'homepage', 'repository', 'authors', 'license', 'frameworks', 'platforms', 'headers', 'examples', 'dependencies', 'export', 'scripts', 'build'];
    expect(Object.keys(manifest).filter((key) => !allowed.includes(key))).toEqual([]);
    expect(manifest['name']).toMatch(/^[a-z0-9](-?[a-z0-9])*$/);
    expect(manifest['version']).toMatch(semver);
    expect((manifest['description'] as string).length).toBeLessThanOrEqual(255);
    for (const keyword of manifest.keywords) expect(keyword).toMatch(/^[a-z0-9](-?[a-z0-9])*$/);
    const build = ['flags', 'unflags', 'includeDir', 'srcDir', 'srcFilter', 'extraScript', 'libArchive', 'libLDFMode', 'libCompatMode', 'builder'];
    expect(Object.keys(manifest.build).filter((key) => !build.includes(key))).toEqual([]);
    expect(existsSync(join(csrc, manifest.build['includeDir'] as string, manifest['headers'] as string))).toBe(true);
    expect(manifest.build['srcFilter']).toEqual(['+<tinyprop.c>']);
    expect(existsSync(join(csrc, manifest.build['srcDir'] as string, 'tinyprop.c'))).toBe(true);
  });

  it('compiles with the flags of platformio.ini as its native environment does, and gets the bits of Node', { timeout: 180_000 }, () => {
    const folder = at('platformio');
    const ini = read(folder, 'platformio.ini');
    const flags = (/^build_flags = (.*)$/m.exec(ini)?.[1] as string).split(' ');
    expect(flags).toContain('-include');
    expect(ini).toMatch(/\[env:native\]\nplatform = native\n/);
    const manifest = JSON.parse(read(folder, 'lib', 'tinyprop', 'library.json')) as { build: { flags: string[] } };
    const include = ['-Ilib/tinyprop/include', '-Isrc'];
    const build = at('platformio-build');
    mkdirSync(build);
    const object = (source: string): string => join(build, `${source.replace(/\//g, '_')}.o`);
    const c = ['lib/tinyprop/tinyprop.c', ...readdirSync(join(folder, 'src')).filter((n) => n.endsWith('.c')).map((n) => `src/${n}`)];
    for (const source of c) run('gcc', [...flags, ...manifest.build.flags, ...fast, ...include, '-c', source, '-o', object(source)], folder);
    run('g++', ['-std=gnu++17', '-Wall', '-Wextra', ...flags, ...include, 'src/main.cpp', ...c.map(object), '-o', join(build, 'program')], folder);
    checkOutput(run(join(build, 'program'), [], folder));
  });
});

describe('Zephyr', () => {
  it('has a module.yml, Kconfig and prj.conf that agree', () => {
    const module = read(csrc, 'zephyr', 'module.yml');
    expect(yamlKeys(module)).toEqual(['name', 'build']);
    expect(module).toMatch(/^name: [a-z][a-z0-9-]*$/m);
    const cmake = /^ {2}cmake: (.*)$/m.exec(module)?.[1] as string;
    const kconfig = /^ {2}kconfig: (.*)$/m.exec(module)?.[1] as string;
    expect(existsSync(join(csrc, cmake, 'CMakeLists.txt'))).toBe(true);
    const symbols = [...kconfigSymbols(read(csrc, kconfig)), ...kconfigSymbols(read(csrc, 'Kconfig'))];
    expect(read(csrc, kconfig)).toContain('rsource "../Kconfig"');
    expect(symbols).toEqual(['TINYPROP', 'TINYPROP_CONFIG_HEADER', 'TINYPROP_NO_STRINGS', 'TINYPROP_CMSIS_NN']);
    for (const text of [read(csrc, kconfig), read(csrc, 'Kconfig')]) {
      expect((text.match(/^menu /gm) ?? []).length).toBe((text.match(/^endmenu/gm) ?? []).length);
      expect((text.match(/^if /gm) ?? []).length).toBe((text.match(/^endif/gm) ?? []).length);
      // Attributes with a tab, help texts with a tab and two blanks: what kconfiglib and Zephyr's checker want.
      expect(text.split('\n').filter((line) => line !== '' && !/^(#|(menu)?config |menu |endmenu|if |endif|rsource |\t(bool|string|default|help|depends on)|\t {2}\S)/.test(line))).toEqual([]);
    }
    const used = [...read(at('zephyr'), 'prj.conf').matchAll(/^CONFIG_(TINYPROP\w*)=/gm)].map(([, name]) => name);
    expect(used).toContain('TINYPROP');
    for (const name of used) expect(symbols).toContain(name);
    expect(yamlKeys(read(at('zephyr'), 'sample.yaml'))).toEqual(['sample', 'tests']);
  });

  it.skipIf(noCmake)('builds as application and module with stand-ins of its functions', { timeout: 180_000 }, () => {
    const zephyr = standIn(at('zephyr-stand-in'), {
      'ZephyrConfig.cmake': `file(STRINGS "\${CMAKE_CURRENT_SOURCE_DIR}/prj.conf" rows REGEX "^CONFIG_")
foreach(row IN LISTS rows)
  string(REGEX MATCH "^([^=]+)=(.*)$" whole "\${row}")
  set(\${CMAKE_MATCH_1} "\${CMAKE_MATCH_2}")
endforeach()
project(Zephyr-Kernel LANGUAGES C)
add_executable(app)
macro(zephyr_library)
endmacro()
macro(zephyr_library_named name)
  add_library(\${name} STATIC "")
  set(ZEPHYR_CURRENT_LIBRARY \${name})
  target_link_libraries(app PRIVATE \${name})
endmacro()
function(zephyr_library_sources)
  target_sources(\${ZEPHYR_CURRENT_LIBRARY} PRIVATE \${ARGN})
endfunction()
function(zephyr_include_directories)
  foreach(folder IN LISTS ARGN)
    target_include_directories(app PRIVATE "\${CMAKE_CURRENT_SOURCE_DIR}/\${folder}")
  endforeach()
endfunction()
foreach(module IN LISTS ZEPHYR_EXTRA_MODULES)
  add_subdirectory("\${module}" "\${CMAKE_BINARY_DIR}/module")
endforeach()
`,
    });
    const build = at('zephyr-build');
    run('cmake', ['-S', at('zephyr'), '-B', build, `-DZephyr_DIR=${zephyr}`, `-DCMAKE_C_FLAGS=${fast.join(' ')}`, '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON'], at('zephyr'));
    run('cmake', ['--build', build], build);
    checkOutput(run(join(build, 'app'), [], build));
    expect(read(build, 'compile_commands.json')).toMatch(/TP_CONFIG_HEADER=.*src\/tinyprop_config\.h/);
    // Switched off, the module adds nothing.
    writeFileSync(join(at('zephyr'), 'prj.conf'), '# none\n');
    const off = run('cmake', ['-S', at('zephyr'), '-B', at('zephyr-off'), `-DZephyr_DIR=${zephyr}`], at('zephyr'));
    expect(off).not.toContain('tinyprop source id');
  });
});

describe('ESP-IDF', () => {
  // docs.espressif.com, idf_component.yml manifest file
  it('has component manifests of the allowed keys', () => {
    const own = read(csrc, 'idf_component.yml');
    const allowed = ['version', 'targets', 'maintainers', 'description', 'license', 'tags', 'files', 'examples', 'dependencies', 'url', 'repository', 'documentation', 'issues', 'discussion'];
    for (const text of [own, read(at('esp-idf'), 'main', 'idf_component.yml')]) {
      expect(yamlKeys(text).filter((key) => !allowed.includes(key))).toEqual([]);
      expect(text).toMatch(/^dependencies:\n {2}idf:\n {4}version: ">=\d+\.\d+"$/m);
    }
    expect(own).toMatch(/^license: "Apache-2\.0"$/m);
    expect(/^version: "(.*)"$/m.exec(own)?.[1]).toMatch(semver);
  });

  it.skipIf(noCmake)('says its requirements in script mode, before there are targets', () => {
    const script = join(standIn(at('idf-early'), {
      'early.cmake': `set(ESP_PLATFORM 1)
macro(idf_component_register)
  message(STATUS "component \${ARGV}")
  return()
endmacro()
include("${csrc}/CMakeLists.txt")
`,
    }), 'early.cmake');
    expect(run('cmake', ['-P', script], at('idf-early'))).toContain('component SRCS;tinyprop.c;INCLUDE_DIRS;include');
  });

  it.skipIf(noCmake)('builds as project and component with stand-ins of its functions', { timeout: 180_000 }, () => {
    const idf = standIn(at('idf-stand-in'), {
      'tools/cmake/project.cmake': `set(ESP_PLATFORM 1)
function(idf_component_register)
  cmake_parse_arguments(arg "" "" "SRCS;INCLUDE_DIRS;PRIV_REQUIRES" \${ARGN})
  get_filename_component(name "\${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  add_library(__idf_\${name} STATIC \${arg_SRCS})
  target_include_directories(__idf_\${name} PUBLIC \${arg_INCLUDE_DIRS})
  foreach(other IN LISTS arg_PRIV_REQUIRES)
    target_link_libraries(__idf_\${name} PRIVATE __idf_\${other})
  endforeach()
  set(COMPONENT_LIB __idf_\${name} PARENT_SCOPE)
endfunction()
macro(project name)
  _project(\${name} LANGUAGES C)
  add_subdirectory(components/tinyprop)
  add_subdirectory(main)
  add_executable(image "$ENV{IDF_PATH}/start.c")
  target_link_libraries(image PRIVATE __idf_main)
endmacro()
`,
      'start.c': 'void app_main(void);\nint main(void) { app_main(); return 0; }\n',
    });
    const build = at('idf-build');
    const cmake = (...args: string[]): string => run('env', [`IDF_PATH=${idf}`, 'cmake', ...args], at('esp-idf'));
    cmake('-S', at('esp-idf'), '-B', build, `-DCMAKE_C_FLAGS=${fast.join(' ')}`, '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON');
    cmake('--build', build);
    checkOutput(run(join(build, 'image'), [], build));
    expect(read(build, 'compile_commands.json')).toMatch(/TP_CONFIG_HEADER=.*main\/tinyprop_config\.h/);
  });
});

describe('CMSIS-Pack', () => {
  // PACK.xsd 1.7.36; the export was valid against it when these rules were written.
  it('has a .pdsc that names files that exist, and all of them', () => {
    const folder = at('cmsis-pack');
    const name = readdirSync(folder).find((path) => path.endsWith('.pdsc')) as string;
    const pdsc = read(folder, name);
    const tag = (key: string): string => new RegExp(`<${key}>([^<]*)</${key}>`).exec(pdsc)?.[1] as string;
    expect(name).toBe(`${tag('vendor')}.${tag('name')}.pdsc`);
    expect(/<release version="([^"]*)"/.exec(pdsc)?.[1]).toMatch(semver);
    const named = [...pdsc.matchAll(/<file category="(\w+)" name="([^"]+)"([^>]*)\/>/g)];
    for (const [, category, path, rest] of named) {
      expect(['doc', 'header', 'include', 'source']).toContain(category);
      expect(existsSync(join(folder, path as string)), path).toBe(true);
      expect((path as string).endsWith('/')).toBe(category === 'include');
      if ((rest as string).includes('attr="template"')) expect(rest).toContain('select="');
    }
    const files = named.map(([, , path]) => path).filter((path) => !(path as string).endsWith('/'));
    expect(files.sort()).toEqual(filesBelow(folder).filter((path) => path.includes('/')));
    const conditions = [...pdsc.matchAll(/<condition id="([^"]+)"/g)].map(([, id]) => id);
    for (const [, id] of pdsc.matchAll(/ condition="([^"]+)"/g)) expect(conditions).toContain(id);
    // Well-formed: every element that opens closes in order.
    const open: string[] = [];
    for (const [, close, element, self] of pdsc.replace(/<\?.*?\?>|<!--[^]*?-->/g, '').matchAll(/<(\/?)([\w:]+)[^>]*?(\/?)>/g)) {
      if (close === '/') expect(open.pop()).toBe(element);
      else if (self !== '/') open.push(element as string);
    }
    expect(open).toEqual([]);
  });

  it('compiles with its folders on the include path, and gets the bits of Node', { timeout: 180_000 }, () => {
    const folder = at('cmsis-pack');
    const sources = filesBelow(folder).filter((path) => path.endsWith('.c'));
    const build = at('pack-build');
    run('gcc', ['-std=c11', ...fast, '-Ilibrary', '-Imodel', '-Itemplate', ...sources, '-o', build], folder);
    checkOutput(run(build, [], folder));
  });
});

describe.skipIf(noCmake)('TINYPROP_CMSIS_NN', () => {
  const configure = (name: string, ...args: string[]): (() => string) => () => run('cmake', ['-S', at(`nn-${name}`), '-B', at(`nn-${name}-build`), ...args], root);
  const project = (name: string, before = ''): void => void standIn(at(`nn-${name}`), {
    'CMakeLists.txt': `cmake_minimum_required(VERSION 3.18)\nproject(nn C)\n${before}\nadd_subdirectory("${csrc}" tinyprop)\nget_target_property(d tinyprop COMPILE_DEFINITIONS)\nget_target_property(l tinyprop LINK_LIBRARIES)\nmessage(STATUS "has \${d} \${l}")\n`,
  });

  it('is off, and without CMSIS-NN an error', () => {
    project('off');
    expect(configure('off')()).not.toContain('TP_CMSIS_NN');
    project('none');
    expect(configure('none', '-DTINYPROP_CMSIS_NN=ON')).toThrow(/no target cmsis-nn\s+and\s+TINYPROP_CMSIS_NN_DIR/);
    project('empty');
    expect(configure('empty', '-DTINYPROP_CMSIS_NN=ON', `-DTINYPROP_CMSIS_NN_DIR=${at('nn-empty')}`)).toThrow(/expected\s+arm_nnfunctions\.h/);
  });

  it('links the target of the project', () => {
    project('target', 'add_library(cmsis-nn INTERFACE)');
    expect(configure('target', '-DTINYPROP_CMSIS_NN=ON')()).toMatch(/has .*TP_CMSIS_NN=1.* cmsis-nn/);
  });

  it('links a folder of headers and library', () => {
    project('folder');
    const folder = standIn(at('nn-built'), { 'Include/arm_nnfunctions.h': '', 'lib/libcmsis-nn.a': '!<arch>\n' });
    expect(configure('folder', '-DTINYPROP_CMSIS_NN=ON', `-DTINYPROP_CMSIS_NN_DIR=${folder}`)()).toMatch(/has .*TP_CMSIS_NN=1.* .*nn-built\/lib\/libcmsis-nn\.a/);
  });
});

describe.skipIf(noCmake)('TINYPROP_NO_STRINGS', () => {
  const definitions = (name: string, ...args: string[]): string => {
    standIn(at(name), { 'CMakeLists.txt': `cmake_minimum_required(VERSION 3.18)\nproject(s C)\nadd_subdirectory("${csrc}" tinyprop)\nget_target_property(d tinyprop COMPILE_DEFINITIONS)\nmessage(STATUS "has \${d}")\n` });
    return run('cmake', ['-S', at(name), '-B', at(`${name}-build`), ...args], root);
  };

  it('is off, and a definition of the library', () => {
    expect(definitions('strings')).not.toContain('TP_NO_STRINGS');
    expect(definitions('no-strings', '-DTINYPROP_NO_STRINGS=ON')).toMatch(/has .*TP_NO_STRINGS=1/);
    expect(definitions('no-strings-kconfig', '-DCONFIG_TINYPROP_NO_STRINGS=y')).toMatch(/has .*TP_NO_STRINGS=1/);
  });
});

describe('the targets', () => {
  it('all have a test above', () => {
    const tested: FirmwareTarget[] = ['arduino', 'platformio', 'zephyr', 'esp-idf', 'cmsis-pack', 'cmake', 'amalgamation']; // the last two: build.test.ts
    expect([...firmwareTargets].sort()).toEqual(tested.sort());
  });
});
