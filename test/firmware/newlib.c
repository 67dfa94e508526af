/* SPDX-License-Identifier: Apache-2.0 */
/* newlib's aligned_alloc() calls a function that newlib for bare metal lacks. */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>

int posix_memalign(void **block, size_t alignment, size_t bytes);

int posix_memalign(void **block, size_t alignment, size_t bytes) {
    *block = memalign(alignment, bytes);
    return *block != NULL ? 0 : ENOMEM;
}
