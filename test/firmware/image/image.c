/* SPDX-License-Identifier: Apache-2.0 */
/* A product that learns in little RAM: what `tinyprop firmware export` wrote, fed with samples that lie in external flash as a camera would
 * give them. The same lines on the board and on the host, but for stack and ticks. */
#include <stdio.h>

#include "tinyprop_learn.h"

#include "../counter.h"

/* Numbers of samples to learn from and to test on; their labels; their bytes. Written by image.mjs. */
__asm__(".section .samples,\"a\"\n.balign 8\nimage_samples:\n.incbin \"" IMAGE_FILE "\"\n.previous\n");
extern const uint32_t image_samples[];

static tinyprop_input x[TINYPROP_MODEL_INPUTS]; /* the camera's buffer */

static uint32_t read_sample(uint32_t at) {
    const tinyprop_input *from = (const tinyprop_input *)(const void *)(image_samples + 2 + image_samples[0] + image_samples[1]) + (size_t)at * TINYPROP_MODEL_INPUTS;
    for (uint32_t i = 0; i < TINYPROP_MODEL_INPUTS; i++) { x[i] = from[i]; }
    return image_samples[2 + at];
}

static tp_status test(uint32_t *right) {
    tp_status status = TP_OK;
    *right = 0;
    for (uint32_t i = 0; status == TP_OK && i < image_samples[1]; i++) {
        const float *y = NULL;
        uint32_t label = read_sample(image_samples[0] + i), best = 0;
        status = learn_predict(x, &y);
        for (uint32_t j = 1; status == TP_OK && j < TINYPROP_MODEL_OUTPUTS; j++) { best = y[j] > y[best] ? j : best; }
        *right += best == label;
    }
    return status;
}

int main(void) {
    uint32_t before, after;
    stack_paint();
    const unsigned long million = (unsigned long)counter_start();
    tp_status status = learn_open();
    uint64_t from = counter_now();
    if (status == TP_OK) { status = test(&before); }
    const unsigned long forward = (unsigned long)((counter_now() - from) / 1000u);
    from = counter_now();
    for (uint32_t i = 0; status == TP_OK && i < image_samples[0]; i++) {
        uint32_t label = read_sample(i);
        status = learn_sample(x, label);
    }
    const unsigned long training = (unsigned long)((counter_now() - from) / 1000u);
    if (status == TP_OK) { status = test(&after); }
    const uint32_t stack = stack_used(); /* before printf */
    if (status == TP_OK) {
        learn_counts n = learn_count();
        printf("image weights=%08lx seen=%lu trained=%lu before=%lu after=%lu test=%lu source=%s\n", (unsigned long)learn_weights_hash(), (unsigned long)n.seen,
               (unsigned long)n.trained, (unsigned long)before, (unsigned long)after, (unsigned long)image_samples[1], tp_source_id());
        printf("stack %lu\nticks %lu %lu %lu\n", (unsigned long)stack, million, forward, training); /* no %f: newlib takes memory for it, and there is none */
    }
    printf("%s\n", tp_status_name(status));
    return status != TP_OK;
}
