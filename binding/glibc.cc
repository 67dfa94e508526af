// SPDX-License-Identifier: Apache-2.0
//
// libstdc++ asks glibc 2.32 whether the process has a single thread, to spare std::shared_ptr an atomic operation. That one
// symbol would keep the addon off systems that Node itself still supports (glibc 2.28). Answered here: there are threads.
#include <cstdlib>

#ifdef __GLIBC__
extern "C" {
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
#endif
