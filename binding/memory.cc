// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <cstdint>
#include <cstdlib>

#include "../csrc/include/tinyprop.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tinyprop {

namespace {

void *AlignUp(void *block, size_t align) {
    return reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(block) + align - 1) / align * align);
}

#ifdef __linux__
// Measured: a step of W1 or W6 (bench/README.md), whose weights fill the second-level cache, takes 3 to 6 % less in large pages.
constexpr size_t kLargePage = size_t{2} << 20, kLarge = size_t{3} << 18;
#endif

} // namespace

bool Memory::Take(size_t bytes) {
#ifdef __linux__
    if (bytes >= kLarge) {
        const size_t whole = (bytes + kLargePage - 1) / kLargePage * kLargePage;
        void *block = mmap(nullptr, whole + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) return false;
        block_ = block;
        mapped_ = whole + kLargePage;
        data_ = AlignUp(block, kLargePage);
        bytes_ = whole;
        (void)madvise(data_, whole, MADV_HUGEPAGE); // a wish: small pages serve too
        return true;
    }
#endif
    block_ = std::calloc(1, bytes + TP_ALIGN);
    if (block_ == nullptr) return false;
    data_ = AlignUp(block_, TP_ALIGN);
    bytes_ = bytes;
    return true;
}

void Memory::Release() {
#ifdef __linux__
    if (mapped_ != 0) munmap(block_, mapped_);
#endif
    if (mapped_ == 0) std::free(block_);
    mapped_ = 0;
    block_ = data_ = nullptr;
    bytes_ = 0;
}

} // namespace tinyprop
