// SPDX-License-Identifier: Apache-2.0
// Memory of a net: zeroed, and untouched until used, so that a huge arena that a hostile file asks for costs nothing before.
#ifndef TINYPROP_BINDING_MEMORY_H
#define TINYPROP_BINDING_MEMORY_H

#include <cstddef>

namespace tinyprop {

class Memory {
  public:
    Memory() = default;
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory() { Release(); }

    // Once; false: there is not so much. The memory begins at a multiple of TP_ALIGN.
    bool Take(size_t bytes);
    void Release();
    void *data() const { return data_; } // null: none
    size_t bytes() const { return bytes_; } // that it may come to hold
    explicit operator bool() const { return data_ != nullptr; }

  private:
    void *block_ = nullptr, *data_ = nullptr;
    size_t bytes_ = 0;
    size_t mapped_ = 0; // bytes of a mapping; 0: block_ is from calloc
};

} // namespace tinyprop

#endif // TINYPROP_BINDING_MEMORY_H
