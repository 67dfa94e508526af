// SPDX-License-Identifier: Apache-2.0
// Jobs: one chunk of training, evaluation or prediction on a thread of the Net's own (never libuv's pool, whose
// four threads belong to fs, dns and crypto). The thread touches no JavaScript value.
#ifndef TINYPROP_BINDING_TRAIN_THREAD_H
#define TINYPROP_BINDING_TRAIN_THREAD_H

#include <atomic>
#include <functional>
#include <thread>

#include "tinyprop_log.h"
#include "view.h"

namespace tinyprop {

// A tp_log's write function: `to` is a std::vector<uint8_t>.
bool AppendLog(void *to, const void *bytes, uint32_t length);

struct Job {
    enum Kind : uint32_t { kTrain = 0, kEvaluate, kPredict, kForward };
    Kind kind;
    const float *x;              // samples of n_in elements
    const uint32_t *label;       // or
    const float *target;         // n_out elements a sample
    std::vector<uint32_t> order; // samples to visit; a copy, because it indexes memory
    bool keep_outputs;
    uint32_t log_flags; // training: TP_LOG_INDEX or TP_LOG_SAMPLES; 0: no log
    uint8_t *visits;    // training: a byte a sample (tp_revisit_due); or null
    float *losses;      // training: the last loss of every sample; or null
    uint32_t passed;    // training, one batch: samples that are not in it
    CutCache cache;     // training, evaluation

    std::vector<uint8_t> log;   // a record for every step
    std::vector<float> outputs; // evaluate, forward: raw outputs; predict: probabilities
    tp_totals totals;
    std::vector<double> layers; // kLayerSums numbers a weight layer
    uint32_t done;              // samples
    uint32_t computed;          // frozen parts, for the cache and where it has no room
    tp_status status;
    uint32_t error_node;
    static constexpr size_t kLayerSums = 6; // n, k, worked, l1, macs_dw, macs_dx
    // Samples that are evaluated in one call, whatever the plan: their losses are added up in float.
    static constexpr uint32_t kTogether = 32;

    void Run(tp_net *net, const std::atomic<bool> &stop); // looks at `stop` between steps

  private:
    void Loop(tp_net *net, const std::atomic<bool> &stop);
    void LoopAhead(tp_net *net, const std::atomic<bool> &stop);
    tp_status Step(tp_net *net, const tp_batch &batch, const void *cut, tp_stats *stats);
    tp_status Train(tp_net *net, const tp_batch &batch, const void *cut, const uint32_t *rows, uint32_t unseen, tp_ahead *ahead, tp_stats *stats);
    const void *Cut(tp_net *net, const tp_batch &batch, const uint32_t *rows, std::vector<uint8_t> *to);
    void FindFailure(tp_net *net, const tp_batch &batch, tp_stats *stats);
    void Add(const tp_plan *plan, const tp_stats *stats);
    void Record(const tp_net *net, const tp_batch &batch, const uint32_t *rows, const tp_stats *stats);
};

// Runs at most one job at a time and reports its end on the JavaScript thread.
class TrainThread {
  public:
    ~TrainThread() { StopAndJoin(); }
    // `done` is called on the JavaScript thread unless the environment goes away first.
    void Start(Napi::Env env, std::function<void(const std::atomic<bool> &)> work, std::function<void(Napi::Env)> done);
    void Stop() { stop_.store(true, std::memory_order_relaxed); }
    void StopAndJoin();
    bool busy() const { return done_ != nullptr; }

  private:
    static void OnDone(napi_env env, napi_value callback, void *context, void *data);
    static void OnTeardown(void *self) { static_cast<TrainThread *>(self)->StopAndJoin(); }

    std::thread thread_;
    std::atomic<bool> stop_{false};
    std::function<void(Napi::Env)> done_;
};

} // namespace tinyprop

#endif // TINYPROP_BINDING_TRAIN_THREAD_H
