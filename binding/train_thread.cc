// SPDX-License-Identifier: Apache-2.0
#include "train_thread.h"

#include <algorithm>

#include "samples.h"

namespace tinyprop {

bool AppendLog(void *to, const void *bytes, uint32_t length) {
    auto &log = *static_cast<std::vector<uint8_t> *>(to);
    const auto *from = static_cast<const uint8_t *>(bytes);
    log.insert(log.end(), from, from + length);
    return true;
}

void Job::Run(tp_net *net, const std::atomic<bool> &stop) {
    try {
        if (kind == kTrain && passed == 0 && net->plan->options.samples > 1 && tp_plan_can_look_ahead(net->plan)) {
            LoopAhead(net, stop);
        } else {
            Loop(net, stop);
        }
    } catch (const std::bad_alloc &) {
        status = TP_E_LIMIT; // an exception must not leave the thread
    }
}

void Job::Loop(tp_net *net, const std::atomic<bool> &stop) {
    const tp_plan *plan = net->plan;
    const size_t n_in = plan->n_in, n_out = plan->n_out;
    const uint32_t count = static_cast<uint32_t>(order.size());
    // No more than there are: a batch may be of any size, and memory follows it.
    const uint32_t size = std::min(kind == kTrain ? plan->recipe.batch : kTogether, count);
    const bool gather = size > 1;
    Lines xs(gather ? size * n_in : 0), targets(gather && target != nullptr ? size * n_out : 0);
    std::vector<uint32_t> labels(size), rows(size + 1);
    std::vector<uint8_t> frozen;
    std::vector<uint64_t> record(tp_stats_bytes(plan) / 8 + 1);
    tp_stats *stats = reinterpret_cast<tp_stats *>(record.data());
    layers.assign(plan->n_layers * kLayerSums, 0.0);
    if (keep_outputs) outputs.assign(count * n_out, 0.0f);

    while ((done < count || passed > 0) && !stop.load(std::memory_order_relaxed)) {
        const uint32_t seen = count - done < size ? count - done : size, unseen = passed;
        uint32_t n = 0;
        for (uint32_t i = 0; i < seen; i++) {
            const uint32_t row = order[done + i];
            if (visits == nullptr || tp_revisit_due(&visits[row])) rows[n++] = row;
        }
        passed = 0;
        const uint32_t *at = rows.data();
        for (uint32_t i = 0; i < n; i++) {
            // Labels are copied so that the core checks the very values it uses, even if JavaScript writes meanwhile.
            if (label != nullptr) labels[i] = label[at[i]];
            const uint32_t next = i + 1 < n ? at[i + 1] : done + seen < count ? order[done + seen] : at[i];
            Prefetch(x + next * n_in, n_in);
            if (!gather) continue;
            std::memcpy(xs.data() + i * n_in, x + at[i] * n_in, n_in * sizeof(float));
            if (target != nullptr) std::memcpy(targets.data() + i * n_out, target + at[i] * n_out, n_out * sizeof(float));
        }
        const float *one = target == nullptr || n == 0 ? nullptr : target + at[0] * n_out;
        const tp_batch batch = {gather || n == 0 ? xs.data() : x + at[0] * n_in, label == nullptr ? nullptr : labels.data(),
                                gather && target != nullptr ? targets.data() : one, n};
        const void *cut = Cut(net, batch, at, &frozen);
        status = kind == kTrain ? Train(net, batch, cut, at, seen - n + unseen, nullptr, stats) : Step(net, batch, cut, stats);
        if (status != TP_OK) {
            error_node = net->error_node;
            if (kind != kTrain) FindFailure(net, batch, stats);
            return;
        }
        if (kind == kTrain || kind == kEvaluate) Add(plan, stats);
        done += seen;
    }
}

// Outputs of the frozen part for the samples of a batch, gathered in `to`; null: the step computes them.
const void *Job::Cut(tp_net *net, const tp_batch &batch, const uint32_t *rows, std::vector<uint8_t> *to) {
    tp_cut cut;
    if (cache.values == nullptr || batch.n == 0 || tp_plan_cut(net->plan, &cut) != TP_OK) return nullptr;
    const size_t bytes = cut.bytes, n_in = net->plan->n_in;
    const auto known = [&](uint32_t i) { return rows[i] < cache.samples && cache.known[rows[i]] != 0; };
    if (batch.n == 1 && known(0)) return cache.values + rows[0] * bytes;
    to->resize(batch.n * bytes);
    for (uint32_t i = 0, end; i < batch.n; i = end) {
        uint8_t *at = to->data() + i * bytes;
        end = i + 1;
        if (known(i)) {
            std::memcpy(at, cache.values + rows[i] * bytes, bytes);
            continue;
        }
        while (end < batch.n && !known(end)) end++;
        // What is wrong with a sample, the step says.
        if (tp_net_forward_cut(net, static_cast<const float *>(batch.x) + i * n_in, end - i, at) != TP_OK) return nullptr;
        computed += end - i;
        for (; i < end; i++, at += bytes) {
            if (rows[i] >= cache.samples) continue;
            std::memcpy(cache.values + rows[i] * bytes, at, bytes);
            cache.known[rows[i]] = 1;
        }
    }
    return to->data();
}

// Which of the samples it is: nothing was learnt, so they can be asked one by one.
void Job::FindFailure(tp_net *net, const tp_batch &batch, tp_stats *stats) {
    const size_t n_in = net->plan->n_in, n_out = net->plan->n_out;
    const tp_status failure = status;
    for (uint32_t i = 0; i < batch.n; i++, done++) {
        const tp_batch one = {static_cast<const float *>(batch.x) + i * n_in,
                              batch.label == nullptr ? nullptr : batch.label + i,
                              batch.target == nullptr ? nullptr : batch.target + i * n_out, 1};
        if (Step(net, one, nullptr, stats) != TP_OK) return;
    }
    status = failure;
}

tp_status Job::Step(tp_net *net, const tp_batch &batch, const void *cut, tp_stats *stats) {
    const uint32_t n_out = net->plan->n_out;
    float *out = keep_outputs ? &outputs[static_cast<size_t>(done) * n_out] : nullptr;
    if (kind == kEvaluate) {
        tp_recall recall = {nullptr, nullptr, 0, cut, nullptr};
        net->recall = &recall;
        const tp_status evaluated = tp_eval_step(net, &batch, out, stats);
        net->recall = nullptr;
        return evaluated;
    }
    if (out == nullptr) return TP_OK; // nobody wants to know
    const tp_status forward = tp_net_forward_batch(net, batch.x, batch.n, out);
    for (uint32_t i = 0; i < batch.n && forward == TP_OK && kind == kPredict; i++) {
        tp_net_probabilities(net, out + static_cast<size_t>(i) * n_out, out + static_cast<size_t>(i) * n_out);
    }
    return forward;
}

// One step, with what is known of its samples; `unseen` more of the batch are not in it.
tp_status Job::Train(tp_net *net, const tp_batch &batch, const void *cut, const uint32_t *rows, uint32_t unseen, tp_ahead *ahead, tp_stats *stats) {
    std::vector<float> loss(losses == nullptr ? 0 : batch.n);
    std::vector<uint8_t> trained(visits == nullptr ? 0 : batch.n);
    for (size_t i = 0; i < loss.size(); i++) loss[i] = losses[rows[i]];
    tp_recall recall = {loss.empty() ? nullptr : loss.data(), trained.empty() ? nullptr : trained.data(), unseen, cut, ahead};
    net->recall = &recall;
    status = tp_train_step(net, &batch, stats);
    if (log_flags != 0) Record(net, batch, rows, stats);
    net->recall = nullptr;
    for (size_t i = 0; i < loss.size(); i++) losses[rows[i]] = loss[i];
    const uint32_t cap = net->plan->recipe.policy_params.revisit;
    for (size_t i = 0; i < trained.size() && status == TP_OK; i++) {
        tp_revisit_mark(&visits[rows[i]], trained[i] != 0, cap);
    }
    return status;
}

void Job::Record(const tp_net *net, const tp_batch &batch, const uint32_t *rows, const tp_stats *stats) {
    tp_log to = {AppendLog, &log, log_flags, 1, 0, 0, false};
    const tp_status failed = tp_log_step(&to, net, &batch, rows, stats, status);
    if (status == TP_OK) status = failed;
}

void Job::Add(const tp_plan *plan, const tp_stats *stats) {
    tp_totals_add(&totals, plan, stats);
    for (uint32_t l = 0; l < plan->n_layers; l++) {
        const tp_layer_stats &from = stats->layer[l];
        const double sums[kLayerSums] = {static_cast<double>(from.n),       static_cast<double>(from.k),
                                         static_cast<double>(from.worked),  static_cast<double>(from.l1),
                                         static_cast<double>(from.macs_dw), static_cast<double>(from.macs_dx)};
        for (size_t i = 0; i < kLayerSums; i++) layers[l * kLayerSums + i] += sums[i];
    }
}

void TrainThread::Start(Napi::Env env, std::function<void(const std::atomic<bool> &)> work,
                        std::function<void(Napi::Env)> done) {
    napi_threadsafe_function report = nullptr;
    if (napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "tinyprop"), 0, 1, nullptr,
                                        nullptr, this, OnDone, &report) != napi_ok) {
        throw Napi::Error::New(env, "cannot create a thread-safe function");
    }
    stop_.store(false, std::memory_order_relaxed);
    try {
        thread_ = std::thread([this, report, work = std::move(work)] {
            work(stop_);
            napi_call_threadsafe_function(report, nullptr, napi_tsfn_nonblocking);
            napi_release_threadsafe_function(report, napi_tsfn_release);
        });
    } catch (const std::system_error &error) {
        napi_release_threadsafe_function(report, napi_tsfn_abort);
        throw Napi::Error::New(env, std::string("cannot start a thread: ") + error.what());
    }
    done_ = std::move(done);
    // Hooks run in reverse order of registration: this one, which joins, before the report's own.
    napi_add_env_cleanup_hook(env, OnTeardown, this);
}

void TrainThread::StopAndJoin() {
    Stop();
    if (thread_.joinable()) thread_.join();
}

void TrainThread::OnDone(napi_env env, napi_value, void *context, void *) {
    if (env == nullptr) return; // the environment is going away: OnTeardown has joined the thread
    TrainThread *self = static_cast<TrainThread *>(context);
    self->StopAndJoin();
    napi_remove_env_cleanup_hook(env, OnTeardown, self);
    std::function<void(Napi::Env)> done = std::move(self->done_);
    self->done_ = nullptr;
    done(Napi::Env(env));
}

} // namespace tinyprop
