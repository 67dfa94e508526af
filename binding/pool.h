// SPDX-License-Identifier: Apache-2.0
// Threads that share the work of one step. They sleep between steps; results do not depend on their number.
#ifndef TINYPROP_BINDING_POOL_H
#define TINYPROP_BINDING_POOL_H

#include <pthread.h>

#include <atomic>
#include <thread>
#include <vector>

#include "../csrc/include/tinyprop.h"

namespace tinyprop {

class Pool {
  public:
    explicit Pool(uint32_t threads); // the caller's is one of them; std::system_error
    ~Pool();
    Pool(const Pool &) = delete;
    Pool &operator=(const Pool &) = delete;
    tp_parallel parallel() { return {Run, this}; }

  private:
    using Task = void (*)(void *argument, uint32_t index);
    static void Run(void *user, Task task, void *argument, uint32_t n);
    void Work(uint32_t index);
    void Stop();

    const uint32_t size_;
    std::vector<std::thread> threads_; // all but the caller
    // Not std::condition_variable: its wait() needs the libstdc++ of gcc 12, Node that of gcc 8.
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t wake_ = PTHREAD_COND_INITIALIZER;
    std::atomic<uint32_t> round_{0};   // counts jobs: a thread sees a new number and works
    std::atomic<uint32_t> working_{0}; // threads that have not finished this round
    Task task_ = nullptr;
    void *argument_ = nullptr;
    uint32_t n_ = 0;
    bool stop_ = false;
};

} // namespace tinyprop

#endif // TINYPROP_BINDING_POOL_H
