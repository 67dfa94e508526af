// SPDX-License-Identifier: Apache-2.0
import type { LossName } from '../graph';
import { floatLiteral } from './model';
import type { FileTree } from './sources';

/** Samples to put into the firmware, for a program that runs before a sensor is there. @internal */
export interface EmbeddedSamples {
  x: Float32Array | Int8Array;
  /** One label a sample, or `outputs` targets a sample. */
  y: Uint32Array | Float32Array;
  count: number;
}

/** What the program is written for. @internal */
export interface ProgramParts {
  loss: LossName;
  inputs: number;
  outputs: number;
  samples: EmbeddedSamples | null;
  /** C type of a number of a sample. */
  input: 'float' | 'int8_t';
}

const labelled = (loss: LossName): boolean => loss === 'softmaxCrossEntropy';

/** Declaration of what a sample should have been. */
const truth = (loss: LossName): string => (labelled(loss) ? 'uint32_t label' : 'const float *target');

function learnHeader(loss: LossName): string {
  return `/* SPDX-License-Identifier: Apache-2.0 */
/* One network in static memory that learns sample by sample. Yours to change. */
#ifndef TINYPROP_LEARN_H
#define TINYPROP_LEARN_H

#include "tinyprop.h"
#include "tinyprop_model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct learn_counts {
    uint32_t seen, trained, correct; /* samples; those worth a backward pass; right before the update */
} learn_counts;

/* Opens and loads the model. 0 or a TP_E_*; TP_E_VERSION, TP_E_MISMATCH: plan, model and library were not made together. */
tp_status learn_open(void);
/* One step on a sample of TINYPROP_MODEL_INPUTS numbers${labelled(loss) ? ' and its class' : ' and TINYPROP_MODEL_OUTPUTS targets'}. */
tp_status learn_sample(const tinyprop_input *x, ${truth(loss)});
/* TINYPROP_MODEL_OUTPUTS numbers${loss === 'mse' ? '' : ' before the ' + (loss === 'bce' ? 'sigmoid' : 'softmax')}, valid until the next call. */
tp_status learn_predict(const tinyprop_input *x, const float **y);
/* Since learn_open. */
learn_counts learn_count(void);
/* FNV-1a over the bytes of all parameters: equal weights, equal hash, on every machine. */
uint32_t learn_weights_hash(void);

#ifdef __cplusplus
}
#endif
#endif
`;
}

function learnSource(loss: LossName): string {
  return `/* SPDX-License-Identifier: Apache-2.0 */
#include "tinyprop_learn.h"

static _Alignas(TP_ALIGN) uint8_t arena[TINYPROP_ARENA_BYTES]; /* weights that train, training state, activations: all of it */
static _Alignas(8) uint8_t stats_bytes[TINYPROP_STATS_BYTES];
static tp_net net;
static learn_counts counts;

#ifdef TINYPROP_CHECK_PLAN /* for tests: is the plan the one that this machine makes, byte for byte? Takes its size in RAM. */
#include <string.h>
static tp_status learn_check(const tp_plan *plan, const tp_blob *blob) {
    static _Alignas(8) uint8_t own[TINYPROP_PLAN_BYTES];
    static tp_node nodes[TINYPROP_MODEL_NODES];
    tp_model model;
    tp_status status = tp_blob_model(blob, nodes, TINYPROP_MODEL_NODES, &model);
    if (status == TP_OK) { status = tp_plan_make_with(&model, &plan->recipe, &plan->options, (tp_plan *)(void *)own, sizeof own, NULL); }
    return status != TP_OK ? status : memcmp(own, plan, sizeof own) == 0 ? TP_OK : TP_E_MISMATCH;
}
#else
#define learn_check tp_plan_check
#endif

tp_status learn_open(void) {
    const tp_plan *plan = (const tp_plan *)(const void *)tinyprop_plan; /* made by the exporter: no RAM for it, no code to make it */
    tp_blob blob;
    counts = (learn_counts){0, 0, 0};
    tp_status status = tp_blob_open(&blob, tinyprop_model, TINYPROP_MODEL_BYTES);
    if (status == TP_OK) { status = learn_check(plan, &blob); }
    if (status == TP_OK) { status = tp_net_open(&net, plan, arena, sizeof arena, NULL); }
    if (status == TP_OK) { status = tp_net_flash(&net, &blob); }
    if (status == TP_OK) { status = tp_net_init(&net); }
    if (status == TP_OK) { status = tp_blob_load(&blob, &net, TP_BLOB_WEIGHTS, NULL); }
    return status;
}

tp_status learn_sample(const tinyprop_input *x, ${truth(loss)}) {
    tp_stats *stats = (tp_stats *)(void *)stats_bytes;
    tp_batch batch = {.x = x, ${labelled(loss) ? '.label = &label' : '.target = target'}, .n = 1};
    tp_status status = tp_train_step(&net, &batch, stats);
    if (status != TP_OK) { return status; }
    counts.seen += stats->samples;
    counts.trained += stats->trained;
    counts.correct += stats->correct;
    return TP_OK;
}

tp_status learn_predict(const tinyprop_input *x, const float **y) { return tp_net_forward(&net, x, y); }

learn_counts learn_count(void) { return counts; }

uint32_t learn_weights_hash(void) {
    uint32_t hash = 0x811c9dc5u;
    tp_tensor tensor;
    void *data;
    for (uint32_t i = 0; tp_net_tensor(&net, i, &tensor, NULL, &data) == TP_OK; i++) {
        const uint8_t *bytes = (const uint8_t *)data;
        for (uint32_t j = 0; j < tensor.bytes; j++) { hash = (hash ^ bytes[j]) * 0x01000193u; }
    }
    return hash;
}
`;
}

function samplesHeader(loss: LossName): string {
  return `/* SPDX-License-Identifier: Apache-2.0 */
/* Where samples come from. Yours to replace: a sensor and what it should have been. */
#ifndef TINYPROP_SAMPLES_H
#define TINYPROP_SAMPLES_H

#include "tinyprop_model.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The next sample: TINYPROP_MODEL_INPUTS numbers and ${labelled(loss) ? 'its class' : 'TINYPROP_MODEL_OUTPUTS targets'}. false: the stream has ended. */
bool next_sample(tinyprop_input *x, ${labelled(loss) ? 'uint32_t *label' : 'float *target'});

#ifdef __cplusplus
}
#endif
#endif
`;
}

/** Numbers in lines of a readable length. */
function numberLines(values: readonly string[], indent: string): string {
  const lines: string[] = [];
  for (let at = 0; at < values.length; at += 12) lines.push(`${indent}${values.slice(at, at + 12).join(', ')},`);
  return lines.join('\n');
}

function embeddedSource(loss: LossName, { x, y, count }: EmbeddedSamples, inputs: number, outputs: number): string {
  const rows = (values: Float32Array | Int8Array, width: number): string =>
    Array.from({ length: count }, (_, i) => `    {\n${numberLines(Array.from(values.subarray(i * width, (i + 1) * width), values instanceof Int8Array ? String : floatLiteral), '        ')}\n    },`).join('\n');
  const truths = labelled(loss)
    ? `static const uint32_t sample_label[SAMPLES] = {\n${numberLines(Array.from(y, (v) => `${v}u`), '    ')}\n};`
    : `static const float sample_target[SAMPLES][TINYPROP_MODEL_OUTPUTS] = {\n${rows(y as Float32Array, outputs)}\n};`;
  const take = labelled(loss)
    ? '    *label = sample_label[at];'
    : '    for (uint32_t i = 0; i < TINYPROP_MODEL_OUTPUTS; i++) { target[i] = sample_target[at][i]; }';
  return `/* SPDX-License-Identifier: Apache-2.0 */
/* Real samples in flash, each twice, until a sensor takes their place. */
#include "tinyprop_samples.h"

enum { SAMPLES = ${count}, PASSES = 2 };

static const tinyprop_input sample_x[SAMPLES][TINYPROP_MODEL_INPUTS] = {
${rows(x, inputs)}
};
${truths}

bool next_sample(tinyprop_input *x, ${labelled(loss) ? 'uint32_t *label' : 'float *target'}) {
    static uint32_t n;
    if (n == SAMPLES * PASSES) { return false; }
    uint32_t at = n++ % SAMPLES;
    for (uint32_t i = 0; i < TINYPROP_MODEL_INPUTS; i++) { x[i] = sample_x[at][i]; }
${take}
    return true;
}
`;
}

function madeUpSource(loss: LossName, input: ProgramParts['input']): string {
  const number =
    input === 'float'
      ? '(float)(state >> 8) / 16777216.0f + ((i + n) % TINYPROP_MODEL_OUTPUTS == 0 ? 0.5f : -0.5f)'
      : '(int8_t)((int32_t)(state >> 25) - ((i + n) % TINYPROP_MODEL_OUTPUTS == 0 ? 0 : 128))';
  const take = labelled(loss)
    ? '    *label = n % TINYPROP_MODEL_OUTPUTS;'
    : '    for (uint32_t i = 0; i < TINYPROP_MODEL_OUTPUTS; i++) { target[i] = (n + i) % 2u == 0 ? 0.0f : 1.0f; }';
  return `/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up samples (noise that depends on the class) until a sensor takes their place. \`firmware export --data\` puts real ones here. */
#include "tinyprop_samples.h"

enum { SAMPLES = 200 };

bool next_sample(tinyprop_input *x, ${labelled(loss) ? 'uint32_t *label' : 'float *target'}) {
    static uint32_t n, state = 1;
    if (n == SAMPLES) { return false; }
    for (uint32_t i = 0; i < TINYPROP_MODEL_INPUTS; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = ${number};
    }
${take}
    n++;
    return true;
}
`;
}

/** `tinyprop_learn.*`, `tinyprop_samples.*`: the same for every ecosystem. @internal */
export function programFiles({ loss, inputs, outputs, samples, input }: ProgramParts): FileTree {
  return {
    'tinyprop_learn.h': learnHeader(loss),
    'tinyprop_learn.c': learnSource(loss),
    'tinyprop_samples.h': samplesHeader(loss),
    'tinyprop_samples.c': samples === null ? madeUpSource(loss, input) : embeddedSource(loss, samples, inputs, outputs),
  };
}

/** The names a main program has for what a sample should have been: its declaration, its address, its value. */
function truthNames(loss: LossName): { declare: string; fill: string; use: string } {
  return labelled(loss)
    ? { declare: 'uint32_t label = 0;', fill: '&label', use: 'label' }
    : { declare: 'static float target[TINYPROP_MODEL_OUTPUTS];', fill: 'target', use: 'target' };
}

/** A main program in C. `entry`: its first line; `end`: what it does at the end. @internal */
export function mainC(loss: LossName, entry: string, end: string): string {
  const { declare, fill, use } = truthNames(loss);
  return `/* SPDX-License-Identifier: Apache-2.0 */
/* Learns from a stream of samples and prints what came of it. Yours to change. */
#include "tinyprop_learn.h"
#include "tinyprop_samples.h"

#include <stdio.h>

${entry} {
    static tinyprop_input x[TINYPROP_MODEL_INPUTS];
    ${declare}
    tp_status status = learn_open();
    while (status == TP_OK && next_sample(x, ${fill})) { status = learn_sample(x, ${use}); }
    learn_counts n = learn_count();
    printf("%s: seen %lu, trained %lu, right before the update %lu\\n", tp_status_name(status), (unsigned long)n.seen,
           (unsigned long)n.trained, (unsigned long)n.correct);
    printf("weights %08lx, arena %lu bytes, sources %s\\n", (unsigned long)learn_weights_hash(), (unsigned long)TINYPROP_ARENA_BYTES,
           tp_source_id());
${end}}
`;
}

/** A sketch: `setup` and `loop` for Arduino. @internal */
export function sketch(loss: LossName): string {
  const { declare, fill, use } = truthNames(loss);
  return `/* SPDX-License-Identifier: Apache-2.0 */
/* Learns one sample a loop and prints what came of it. Yours to change. */
#include <Arduino.h>
#include <tinyprop_learn.h>

#include "tinyprop_samples.h"

static tp_status status;
static bool ended;

void setup() {
  Serial.begin(115200);
  status = learn_open();
}

void loop() {
  static tinyprop_input x[TINYPROP_MODEL_INPUTS];
  ${declare}
  if (ended) { return; }
  if (status == TP_OK && next_sample(x, ${fill})) {
    status = learn_sample(x, ${use});
    return;
  }
  ended = true;
  learn_counts n = learn_count();
  Serial.print(tp_status_name(status));
  Serial.print(": seen ");
  Serial.print(n.seen);
  Serial.print(", trained ");
  Serial.print(n.trained);
  Serial.print(", right before the update ");
  Serial.println(n.correct);
  Serial.print("weights ");
  Serial.println(learn_weights_hash(), HEX);
}
`;
}
