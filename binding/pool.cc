// SPDX-License-Identifier: Apache-2.0
#include "pool.h"

namespace tinyprop {

namespace {

// Rounds of a step follow each other within microseconds, less than a sleeping thread needs to wake up.
constexpr uint32_t kSpins = 4000;

inline void Pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

} // namespace

Pool::Pool(uint32_t threads) : size_(threads) {
    try {
        for (uint32_t i = 1; i < threads; i++) threads_.emplace_back([this, i] { Work(i); });
    } catch (...) {
        Stop();
        throw;
    }
}

Pool::~Pool() {
    Stop();
}

void Pool::Stop() {
    pthread_mutex_lock(&mutex_);
    stop_ = true;
    round_.fetch_add(1, std::memory_order_release);
    pthread_mutex_unlock(&mutex_);
    pthread_cond_broadcast(&wake_);
    for (std::thread &thread : threads_) thread.join();
}

void Pool::Run(void *user, Task task, void *argument, uint32_t n) {
    Pool *self = static_cast<Pool *>(user);
    pthread_mutex_lock(&self->mutex_);
    self->task_ = task;
    self->argument_ = argument;
    self->n_ = n;
    self->working_.store(self->size_ - 1, std::memory_order_relaxed);
    self->round_.fetch_add(1, std::memory_order_release);
    pthread_mutex_unlock(&self->mutex_);
    pthread_cond_broadcast(&self->wake_);
    for (uint32_t i = 0; i < n; i += self->size_) task(argument, i);
    // The others have parts of the same size: they end about now. After a while give up the core, they may share it.
    for (uint32_t i = 0; self->working_.load(std::memory_order_acquire) != 0; i++) {
        if (i < kSpins) {
            Pause();
        } else {
            std::this_thread::yield();
        }
    }
}

void Pool::Work(uint32_t index) {
    uint32_t seen = 0;
    for (;;) {
        for (uint32_t i = 0; i < kSpins && round_.load(std::memory_order_acquire) == seen; i++) Pause();
        pthread_mutex_lock(&mutex_);
        while (round_.load(std::memory_order_relaxed) == seen) pthread_cond_wait(&wake_, &mutex_);
        seen = round_.load(std::memory_order_relaxed);
        const bool stop = stop_;
        pthread_mutex_unlock(&mutex_);
        if (stop) return;
        for (uint32_t i = index; i < n_; i += size_) task_(argument_, i);
        working_.fetch_sub(1, std::memory_order_release);
    }
}

} // namespace tinyprop
