// SPDX-License-Identifier: Apache-2.0
// Net's jobs: what JavaScript asks for, checked, and what came of it.
#include "net.h"

namespace tinyprop {

static Napi::Value WriteLog(Napi::Env env, const std::vector<uint8_t> &log) {
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, log.size());
    if (!log.empty()) std::memcpy(bytes.Data(), log.data(), log.size());
    return bytes;
}

// run(kind, x, labels | targets | null, order, from, to, keepOutputs, record?, recall?: {visits?: Uint8Array, losses?: Float32Array,
// passed?: number, cut?: {values: Uint8Array, known: Uint8Array}}): the samples order[from .. to), in that order
void Net::ReadJob(const Napi::CallbackInfo &info, Job *job) const {
    Napi::Env env = info.Env();
    const tp_plan *plan = Claim(env);
    job->kind = static_cast<Job::Kind>(GetU32(env, info[0], "kind"));
    if (job->kind > Job::kForward) ThrowArg(env, "kind: unknown");
    if (job->kind == Job::kTrain && plan->training == 0) Throw(env, "ERR_TINYPROP_MODE", "opened for inference only");
    const View<float> x = GetView<float>(env, info[1], "x");
    const size_t n = x.length / plan->n_in;
    job->x = GetView<float>(env, info[1], "x", n * plan->n_in).data;
    View<uint32_t> label;
    if (IsView(env, info[2], &label)) {
        job->label = GetView<uint32_t>(env, info[2], "labels", n).data;
    } else if (job->kind == Job::kTrain || job->kind == Job::kEvaluate) {
        job->target = GetView<float>(env, info[2], "targets", n * plan->n_out).data;
    }
    const View<uint32_t> order = GetView<uint32_t>(env, info[3], "order");
    const uint32_t from = GetU32(env, info[4], "from"), to = GetU32(env, info[5], "to");
    if (from > to || to > order.length) ThrowArg(env, "from, to: outside of order");
    job->order.assign(order.data + from, order.data + to);
    for (const uint32_t index : job->order) {
        if (index >= n) ThrowArg(env, "order: sample " + std::to_string(index) + " of " + std::to_string(n));
    }
    job->keep_outputs = info[6].ToBoolean();
    job->log_flags = info[7].IsUndefined() ? 0 : GetU32(env, info[7], "record");
    if (job->log_flags > TP_LOG_SAMPLES) ThrowArg(env, "record: unknown");
    if ((job->kind != Job::kTrain && job->kind != Job::kEvaluate) || info[8].IsUndefined()) return;
    Napi::Object recall = GetObject(env, info[8], "recall");
    job->cache = ReadCutCache(env, recall.Get("cut"), *plan);
    if (job->kind != Job::kTrain) return;
    const Napi::Value visits = recall.Get("visits"), losses = recall.Get("losses"), passed = recall.Get("passed");
    if (!visits.IsUndefined()) job->visits = GetView<uint8_t>(env, visits, "visits", n).data;
    if (!losses.IsUndefined()) job->losses = GetView<float>(env, losses, "losses", n).data;
    if (!passed.IsUndefined()) job->passed = GetU32(env, passed, "passed");
}

Napi::Value Net::Run(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    auto job = std::make_shared<Job>();
    ReadJob(info, job.get());
    const Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
    // The thread reads x and the targets: they and this object stay alive until it reports.
    Napi::Object keep = Napi::Object::New(env);
    keep.Set("x", info[1]);
    keep.Set("y", info[2]);
    keep.Set("recall", info[8]);
    keep.Set("net", info.This());
    auto kept = std::make_shared<Napi::ObjectReference>(Napi::Persistent(keep));
    kept->SuppressDestruct();
    thread_.Start(
        env, [this, job](const std::atomic<bool> &stop) { job->Run(&net_, stop); },
        [this, job, kept, deferred](Napi::Env later) {
            const Napi::HandleScope scope(later);
            deferred.Resolve(WriteResult(later, *job));
            kept->Reset();
        });
    return deferred.Promise();
}

// runNow: the same on the calling thread, for work too small to be worth another one
Napi::Value Net::RunNow(const Napi::CallbackInfo &info) {
    Job job = {};
    ReadJob(info, &job);
    job.Run(&net_, std::atomic<bool>(false));
    return WriteResult(info.Env(), job);
}

// {done, computed, code, node, totals, outputs, log}; totals: the fields of tp_totals in order, then Job::kLayerSums a layer
Napi::Object Net::WriteResult(Napi::Env env, const Job &job) const {
    Napi::Object out = Napi::Object::New(env);
    out.Set("done", job.done);
    out.Set("computed", job.computed);
    out.Set("code",
            job.status == TP_OK ? env.Null() : Napi::String::New(env, StatusCode(job.status)).As<Napi::Value>());
    if (job.status == TP_E_DELTA && job.error_node < PlanOf(plan_)->n_nodes) {
        out.Set("node", PlanOf(plan_)->node[job.error_node].node.name);
    }
    const tp_totals &t = job.totals;
    const uint64_t sums[] = {t.samples, t.trained, t.correct,     t.steps,    t.macs_forward,
                             t.macs_dw, t.macs_dx, t.macs_worked, t.selected, t.macs_dense_backward,
                             t.passed,  t.macs_dense_forward, t.macs_policy};
    const size_t n_sums = sizeof sums / sizeof sums[0];
    Napi::Float64Array totals = Napi::Float64Array::New(env, n_sums + 1 + job.layers.size());
    for (size_t i = 0; i < n_sums; i++) totals[i] = static_cast<double>(sums[i]);
    totals[n_sums] = t.loss;
    for (size_t i = 0; i < job.layers.size(); i++) totals[n_sums + 1 + i] = job.layers[i];
    out.Set("totals", totals);
    Napi::Float32Array outputs = Napi::Float32Array::New(env, job.outputs.size());
    if (!job.outputs.empty()) std::memcpy(outputs.Data(), job.outputs.data(), job.outputs.size() * sizeof(float));
    out.Set("outputs", outputs);
    out.Set("log", WriteLog(env, job.log));
    return out;
}

// log(what, record) -> Uint8Array: 0 the head of a log, 1 the begin, 2 the end of an epoch
Napi::Value Net::Log(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Claim(env);
    std::vector<uint8_t> bytes;
    tp_log log = {AppendLog, &bytes, GetU32(env, info[1], "record"), 1, 0, 0, false};
    const uint32_t what = GetU32(env, info[0], "what");
    Check(env, what == 0 ? tp_log_begin(&log, &net_) : tp_log_epoch(&log, what == 2), "log");
    return WriteLog(env, bytes);
}

} // namespace tinyprop
