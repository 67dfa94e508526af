/* SPDX-License-Identifier: Apache-2.0 */
/* Replays the fuzz corpus: every file as it is, signed again, cut short and with bytes changed. Runs in the root of the
 * repository (or the folder is the first argument). */
#define _POSIX_C_SOURCE 200809L
#include "../../../csrc/tinyprop.c"

#include <dirent.h>

#include "../tp_test.h"

#include "../../fuzz/blob_pipeline.h"

static const char *tp_folder = "test/fuzz/corpus";
static uint32_t tp_files;

static void tp_replay(const uint8_t *bytes, size_t length) {
    uint8_t *copy = (uint8_t *)malloc(length + 1u);
    if (copy == NULL) { abort(); }
    memcpy(copy, bytes, length);
    (void)tp_pipeline(copy, length);
    tp_pipeline_sign(copy, length);
    (void)tp_pipeline(copy, length);
    for (uint32_t i = 0; i < 300 && length > 0; i++) { /* a few mutations: always the same ones */
        size_t at = tp_random_below((uint32_t)length), n = 1u + tp_random_below(4);
        for (size_t j = at; j < length && j < at + n; j++) { copy[j] = (uint8_t)tp_random(); }
        size_t cut = i % 10u == 0 ? tp_random_below((uint32_t)length) : length;
        tp_pipeline_sign(copy, cut);
        (void)tp_pipeline(copy, cut);
        if (i % 3u == 2u) { memcpy(copy, bytes, length); }
    }
    free(copy);
}

static void tp_corpus(void) {
    char path[512];
    DIR *folder = opendir(tp_folder);
    TP_CHECKF(folder != NULL, "no folder %s: run in the root of the repository", tp_folder);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        static uint8_t bytes[1 << 16];
        snprintf(path, sizeof path, "%s/%s", tp_folder, entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "rb") : NULL;
        if (file == NULL) { continue; }
        size_t length = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        tp_random_state = length;
        tp_replay(bytes, length);
        tp_files++;
    }
    if (folder != NULL) { closedir(folder); }
    printf("# %u files\n", tp_files);
    TP_CHECK(tp_files >= 5);
}

/* The files that the core wrote still load. */
static void tp_corpus_loads(void) {
    static const char *const name[5] = {"mlp", "mlp-momentum", "bce-batch", "cnn", "conv1d"};
    for (uint32_t i = 0; i < 5; i++) {
        static uint8_t bytes[1 << 16];
        char path[512];
        snprintf(path, sizeof path, "%s/%s.tpm", tp_folder, name[i]);
        FILE *file = fopen(path, "rb");
        TP_CHECKF(file != NULL, "%s", path);
        if (file == NULL) { continue; }
        size_t length = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        TP_CHECKF(tp_pipeline(bytes, length) == TP_OK, "%s", path);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) { tp_folder = argv[1]; }
    TP_RUN(tp_corpus);
    TP_RUN(tp_corpus_loads);
    return tp_end();
}
