// SPDX-License-Identifier: Apache-2.0
// The native class `Net`: owns plan, arena and tp_net; one method for each function of tinyprop.h.
#ifndef TINYPROP_BINDING_NET_H
#define TINYPROP_BINDING_NET_H

#include <memory>

#include "memory.h"
#include "pool.h"
#include "train_thread.h"

namespace tinyprop {

class Net : public Napi::ObjectWrap<Net> {
  public:
    static Napi::Function Define(Napi::Env env);
    explicit Net(const Napi::CallbackInfo &info);
    ~Net() override;

  private:
    // A net and where its steps leave their statistics.
    struct Bound {
        Net *net;
        tp_stats *stats;
    };

    template <tp_status (*Function)(tp_net *)> Napi::Value Call(const Napi::CallbackInfo &info);
    Napi::Value BindStep(const Napi::CallbackInfo &info);
    static Napi::Value Step(const Napi::CallbackInfo &info);
    Napi::Value Run(const Napi::CallbackInfo &info);
    Napi::Value RunNow(const Napi::CallbackInfo &info);
    Napi::Value Tensors(const Napi::CallbackInfo &info);
    Napi::Value ReadTensor(const Napi::CallbackInfo &info);
    Napi::Value WriteTensor(const Napi::CallbackInfo &info);
    Napi::Value Save(const Napi::CallbackInfo &info);
    Napi::Value Load(const Napi::CallbackInfo &info);
    Napi::Value Plan(const Napi::CallbackInfo &info);
    Napi::Value Recipe(const Napi::CallbackInfo &info);
    Napi::Value Progress(const Napi::CallbackInfo &info);
    Napi::Value Mask(const Napi::CallbackInfo &info);
    Napi::Value Log(const Napi::CallbackInfo &info);
    Napi::Value SetTrace(const Napi::CallbackInfo &info);
    Napi::Value CopyParamsFrom(const Napi::CallbackInfo &info);
    Napi::Value Kernels(const Napi::CallbackInfo &info);
    Napi::Value IsBusy(const Napi::CallbackInfo &info);
    Napi::Value Stop(const Napi::CallbackInfo &info);
    Napi::Value Close(const Napi::CallbackInfo &info);

    const tp_plan *Claim(Napi::Env env) const; // throws if closed or busy
    void *FindTensor(Napi::Env env, Napi::Value index, tp_tensor *tensor) const;
    void ReadJob(const Napi::CallbackInfo &info, Job *job) const;
    Napi::Object WriteResult(Napi::Env env, const Job &job) const;
    static void OnTrace(void *user, const tp_trace *event);
    void Release(Napi::Env env);

    PlanData plan_;
    Memory arena_; // none: closed
    tp_net net_ = {};
    Napi::FunctionReference trace_;
    std::unique_ptr<Pool> pool_; // null: one thread
    TrainThread thread_; // last member: joined before the arena goes
};

} // namespace tinyprop

#endif // TINYPROP_BINDING_NET_H
