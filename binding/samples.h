// SPDX-License-Identifier: Apache-2.0
// How samples come to the core.
#ifndef TINYPROP_BINDING_SAMPLES_H
#define TINYPROP_BINDING_SAMPLES_H

#include <memory>
#include <vector>

#include "tinyprop.h"

namespace tinyprop {

// Samples in random order lie far away in memory: the next one comes while this one is worked on, or copied.
inline void Prefetch(const float *x, size_t n) {
    constexpr size_t kLine = 16, kMost = 4096; // floats
    for (size_t i = 0; i < n && i < kMost; i += kLine) __builtin_prefetch(x + i);
}

// Floats whose first begins a line of the cache, as in the arena: else every second load of a wide register takes two.
class Lines {
  public:
    explicit Lines(size_t n) : floats_(n + kLine) {
        void *from = floats_.data();
        size_t room = floats_.size() * sizeof(float);
        first_ = static_cast<float *>(std::align(TP_ALIGN, n * sizeof(float), from, room));
    }
    float *data() { return first_; }

  private:
    static constexpr size_t kLine = TP_ALIGN / sizeof(float);
    std::vector<float> floats_;
    float *first_;
};

} // namespace tinyprop

#endif // TINYPROP_BINDING_SAMPLES_H
