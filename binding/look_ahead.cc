// SPDX-License-Identifier: Apache-2.0
// Training with batches of one sample under a method that leaves most of them untrained: as long as it does, the weights stay, and the
// forward passes of several samples are made together (tp_ahead).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "samples.h"
#include "train_thread.h"

namespace tinyprop {

namespace {

// The next samples of a job's order that are due, behind one another in memory.
class Window {
  public:
    Window(const Job &job, const tp_plan *plan)
        : job_(job), n_in_(plan->n_in), n_out_(job.target == nullptr ? 0 : plan->n_out), room_(2 * plan->options.samples),
          xs_(room_ * n_in_), targets_(room_ * n_out_), labels_(room_), rows_(room_), places_(room_),
          before_(job.visits == nullptr ? 0 : job.order.size()) {}

    // Visits beyond the last step have not been.
    ~Window() {
        if (job_.visits == nullptr) return;
        while (looked_-- > job_.done) job_.visits[job_.order[looked_]] = before_[looked_];
    }

    // Looks at the order until so many samples are there, or it ends.
    void Fill(uint32_t wanted) {
        if (begin_ + wanted > room_) Move();
        for (; count() < wanted && looked_ < job_.order.size(); looked_++) {
            const uint32_t row = job_.order[looked_];
            if (job_.visits != nullptr) before_[looked_] = job_.visits[row];
            if (job_.visits != nullptr && !tp_revisit_due(&job_.visits[row])) continue;
            std::memcpy(xs_.data() + end_ * n_in_, job_.x + row * n_in_, n_in_ * sizeof(float));
            if (n_out_ > 0) std::memcpy(targets_.data() + end_ * n_out_, job_.target + row * n_out_, n_out_ * sizeof(float));
            if (job_.label != nullptr) labels_[end_] = job_.label[row];
            rows_[end_] = row;
            places_[end_++] = looked_;
        }
        fetched_ = std::max(fetched_, looked_);
    }

    uint32_t count() const { return end_ - begin_; }
    // Is the sample whose turn it is here? Else it is not due.
    bool due() const { return count() > 0 && places_[begin_] == job_.done; }
    const uint32_t *rows() const { return &rows_[begin_]; }

    // So many samples from the next on.
    tp_batch Batch(uint32_t n) {
        return {xs_.data() + begin_ * n_in_, job_.label == nullptr ? nullptr : &labels_[begin_],
                n_out_ == 0 ? nullptr : targets_.data() + begin_ * n_out_, n};
    }

    // The sample whose turn it was has had it.
    void Next(bool was_due) {
        if (was_due && ++begin_ == end_) begin_ = end_ = 0;
    }

    // One more sample on its way while this one is worked on.
    void Prefetch() {
        if (fetched_ < job_.order.size() && fetched_ < looked_ + room_) tinyprop::Prefetch(job_.x + job_.order[fetched_++] * n_in_, n_in_);
    }

  private:
    void Move() {
        const uint32_t n = count();
        std::memmove(xs_.data(), xs_.data() + begin_ * n_in_, n * n_in_ * sizeof(float));
        if (n_out_ > 0) std::memmove(targets_.data(), targets_.data() + begin_ * n_out_, n * n_out_ * sizeof(float));
        for (std::vector<uint32_t> *all : {&labels_, &rows_, &places_}) std::copy_n(all->begin() + begin_, n, all->begin());
        begin_ = 0;
        end_ = n;
    }

    const Job &job_;
    const size_t n_in_, n_out_; // n_out_ 0: labels
    const uint32_t room_;
    Lines xs_, targets_;
    std::vector<uint32_t> labels_, rows_, places_; // places in the order
    std::vector<uint8_t> before_;                  // visits of order[.. looked_)
    uint32_t begin_ = 0, end_ = 0, looked_ = 0, fetched_ = 0;
};

// How many samples to take together when this share of them is trained, which ends what is known of those behind: measured on W1 to W6, the
// square root of the distance between two that are, times two where a weight is read for every sample, as in dense layers, and reading
// is what takes the time.
uint32_t Together(const tp_plan *plan, float trained) {
    const float gain = plan->macs_forward < 2 * uint64_t{plan->n_params} ? 2.0f : 1.0f;
    const float n = std::sqrt(gain / std::max(trained, 1e-3f));
    return std::clamp(static_cast<uint32_t>(n), 1u, plan->options.samples);
}

} // namespace

void Job::LoopAhead(tp_net *net, const std::atomic<bool> &stop) {
    const tp_plan *plan = net->plan;
    std::vector<uint64_t> record(tp_stats_bytes(plan) / 8 + 1);
    tp_stats *stats = reinterpret_cast<tp_stats *>(record.data());
    layers.assign(plan->n_layers * kLayerSums, 0.0);
    // What the cache has no room for would be computed anew whenever it is looked at.
    const bool whole = cache.values == nullptr || std::all_of(order.begin(), order.end(), [&](uint32_t row) { return row < cache.samples; });
    Window window(*this, plan);
    std::vector<uint8_t> frozen;
    tp_ahead ahead = {0, 0, 0};
    float trained = 0.5f;
    while (done < order.size() && !stop.load(std::memory_order_relaxed)) {
        const uint32_t together = whole ? Together(plan, trained) : 1;
        if (ahead.ready == 0) window.Fill(together);
        window.Prefetch();
        const bool due = window.due();
        const void *cut = nullptr;
        if (due && ahead.ready == 0) {
            ahead.n = std::min(together, window.count()) - 1;
            cut = Cut(net, window.Batch(ahead.n + 1), window.rows(), &frozen);
        }
        status = Train(net, window.Batch(due ? 1 : 0), cut, window.rows(), due ? 0 : 1, due ? &ahead : nullptr, stats);
        if (status != TP_OK) {
            error_node = net->error_node;
            return;
        }
        Add(plan, stats);
        window.Next(due);
        done++;
        if (due) trained += ((stats->trained > 0 ? 1.0f : 0.0f) - trained) / 32;
    }
}

} // namespace tinyprop
