/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds files to the whole life of a net (libFuzzer):
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined test/fuzz/blob_fuzz.c -o blob_fuzz && ./blob_fuzz test/fuzz/corpus
 * What it finds goes into the corpus, which test/csrc/core/tp_blob_corpus_test.c replays. */
#include "../../csrc/tinyprop.c"

#include "blob_pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = (uint8_t *)malloc(size + 1u);
    if (bytes == NULL) { abort(); }
    memcpy(bytes, data, size);
    (void)tp_pipeline(bytes, size);
    tp_pipeline_sign(bytes, size);
    (void)tp_pipeline(bytes, size);
    free(bytes);
    return 0;
}
