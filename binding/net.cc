// SPDX-License-Identifier: Apache-2.0
#include "net.h"

namespace tinyprop {

Napi::Function Net::Define(Napi::Env env) {
    return DefineClass(env, "Net",
                       {InstanceMethod<&Net::Call<tp_net_init>>("init"),
                        InstanceMethod<&Net::Call<tp_net_reset_state>>("resetState"),
                        InstanceMethod<&Net::Call<tp_net_epoch_begin>>("epochBegin"),
                        InstanceMethod<&Net::Call<tp_net_epoch_end>>("epochEnd"),
                        InstanceMethod<&Net::BindStep>("bindStep"),
                        InstanceMethod<&Net::Log>("log"),
                        InstanceMethod<&Net::Mask>("mask"),
                        InstanceMethod<&Net::Run>("run"),
                        InstanceMethod<&Net::RunNow>("runNow"),
                        InstanceMethod<&Net::Tensors>("tensors"),
                        InstanceMethod<&Net::ReadTensor>("readTensor"),
                        InstanceMethod<&Net::WriteTensor>("writeTensor"),
                        InstanceMethod<&Net::Save>("save"),
                        InstanceMethod<&Net::Load>("load"),
                        InstanceMethod<&Net::Plan>("plan"),
                        InstanceMethod<&Net::Recipe>("recipe"),
                        InstanceMethod<&Net::Progress>("progress"),
                        InstanceMethod<&Net::SetTrace>("setTrace"),
                        InstanceMethod<&Net::CopyParamsFrom>("copyParamsFrom"),
                        InstanceMethod<&Net::Kernels>("kernels"),
                        InstanceMethod<&Net::IsBusy>("isBusy"),
                        InstanceMethod<&Net::Stop>("stop"),
                        InstanceMethod<&Net::Close>("close")});
}

namespace {

// Measured: a thread whose samples' activations and errors outgrow about two second-level caches loses more by fetching them than
// it wins by products over more samples (MobileNetV2 at 96 x 96, batch 32: a quarter).
constexpr uint32_t kMaxTogether = 32, kMaxAhead = 8, kMaxActBytes = 9u << 18;

// As many samples at once as pays: those of a batch, fewer where their activations are large.
PlanData MakeHostPlan(Napi::Env env, Napi::Value model, Napi::Value recipe, uint32_t samples, uint32_t threads) {
    const bool chosen = samples != 0;
    tp_plan_options options = {chosen ? samples : 1, threads, 1, 0};
    PlanData plan = MakePlan(env, model, recipe, &options);
    const tp_plan &one = *PlanOf(plan);
    const uint32_t steps = tp_plan_can_look_ahead(&one) ? kMaxAhead : one.recipe.batch;
    const uint32_t batch = one.training != 0 ? steps : kMaxTogether;
    uint32_t most = batch < kMaxTogether ? batch : kMaxTogether;
    while (most > threads && one.acts_bytes > uint64_t{kMaxActBytes} * threads / most) most /= 2;
    if (chosen || most == 1) return plan;
    options.samples = most;
    return MakePlan(env, model, recipe, &options);
}

uint32_t OptionU32(Napi::Env env, Napi::Object options, const char *name, uint32_t missing, uint32_t max) {
    const Napi::Value value = options.Get(name);
    return value.IsUndefined() ? missing : static_cast<uint32_t>(GetInteger(env, value, name, 1, max));
}

} // namespace

// Named by the options or by TP_ISA, else the best
const tp_kernels *ChooseKernels(Napi::Env env, Napi::Value name) {
    const char *forced = std::getenv("TP_ISA");
    const bool given = !name.IsUndefined();
    if (!given && (forced == nullptr || forced[0] == '\0')) return tp_kernels_best();
    const std::string wanted = given ? GetText(env, name, "kernels") : forced;
    const tp_kernels *kernels = tp_kernels_named(wanted.c_str());
    if (kernels == nullptr) {
        ThrowArg(env, (given ? "kernels \"" : "TP_ISA \"") + wanted + "\": not compiled in, or this CPU cannot run them");
    }
    return kernels;
}

// new Net(model, recipe | null, {kernels?: string, samples?: number, threads?: number})
Net::Net(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Net>(info) {
    Napi::Env env = info.Env();
    Napi::Object options = info[2].IsUndefined() ? Napi::Object::New(env) : GetObject(env, info[2], "options");
    const uint32_t samples = OptionU32(env, options, "samples", 0, TP_MAX_SAMPLES);
    const uint32_t threads = OptionU32(env, options, "threads", 1, TP_MAX_THREADS);
    const tp_kernels *kernels = ChooseKernels(env, options.Get("kernels"));
    plan_ = MakeHostPlan(env, info[0], info[1], samples, threads);
    const uint32_t bytes = PlanOf(plan_)->arena_bytes;
    if (!arena_.Take(bytes)) Throw(env, "ERR_TINYPROP_ARENA", "cannot allocate " + std::to_string(bytes) + " bytes");
    Check(env, tp_net_open(&net_, PlanOf(plan_), arena_.data(), bytes, kernels), "cannot open the net");
    if (threads > 1) {
        try {
            pool_ = std::make_unique<Pool>(threads);
        } catch (const std::system_error &error) {
            throw Napi::Error::New(env, std::string("cannot start a thread: ") + error.what());
        }
        net_.parallel = pool_->parallel();
    }
    Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(arena_.bytes()));
}

Net::~Net() {
    Release(Env());
}

void Net::Release(Napi::Env env) {
    thread_.StopAndJoin();
    pool_.reset();
    if (arena_) Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(arena_.bytes()));
    arena_.Release();
}

const tp_plan *Net::Claim(Napi::Env env) const {
    if (!arena_) Throw(env, "ERR_TINYPROP_CLOSED", "the model was closed");
    if (thread_.busy()) Throw(env, "ERR_TINYPROP_BUSY", "the model is busy with another operation");
    return PlanOf(plan_);
}

template <tp_status (*Function)(tp_net *)> Napi::Value Net::Call(const Napi::CallbackInfo &info) {
    Claim(info.Env());
    Check(info.Env(), Function(&net_), "net");
    return info.Env().Undefined();
}

// bindStep(stats: Uint8Array) -> step(x, label | target), the hot call, which leaves its statistics there. A method would have to find the
// net behind its object and the memory behind `stats` every time. The caller never detaches the buffer of `stats`.
Napi::Value Net::BindStep(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    const View<uint8_t> stats = GetView<uint8_t>(env, info[0], "stats");
    if (stats.length < tp_stats_bytes(Claim(env)) || reinterpret_cast<uintptr_t>(stats.data) % alignof(tp_stats) != 0) {
        Throw(env, "ERR_TINYPROP_BUFFER", "stats: too small or not aligned");
    }
    auto bound = std::make_unique<Bound>(Bound{this, reinterpret_cast<tp_stats *>(stats.data)});
    Napi::Function step = Napi::Function::New<&Net::Step>(env, "step", bound.get());
    // What it points to lives as long as it does.
    step.DefineProperties({Napi::PropertyDescriptor::Value("net", info.This()), Napi::PropertyDescriptor::Value("stats", info[0])});
    step.AddFinalizer([](Napi::Env, Bound *data) { delete data; }, bound.get());
    bound.release();
    return step;
}

Napi::Value Net::Step(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    const Bound &bound = *static_cast<const Bound *>(info.Data());
    tp_net *net = &bound.net->net_;
    const tp_plan *plan = bound.net->Claim(env);
    uint32_t label = 0;
    tp_batch batch = {GetView<float>(env, info[0], "x", plan->n_in).data, nullptr, nullptr, 1};
    double number = 0;
    if (napi_get_value_double(env, info[1], &number) == napi_ok) {
        label = static_cast<uint32_t>(CheckInteger(env, number, "label", 0, kMaxU32));
        batch.label = &label;
    } else {
        batch.target = GetView<float>(env, info[1], "target", plan->n_out).data;
    }
    const tp_status status = tp_train_step(net, &batch, bound.stats);
    if (status != TP_OK) {
        const bool named = status == TP_E_DELTA && net->error_node < plan->n_nodes;
        Throw(env, StatusCode(status), named ? plan->node[net->error_node].node.name : "");
    }
    return {}; // undefined
}

// mask(layer, rows: Uint8Array | null, bias): one byte a row, 0: it does not train; null: all train
Napi::Value Net::Mask(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    const tp_plan *plan = Claim(env);
    const uint32_t layer = GetU32(env, info[0], "layer");
    uint32_t rows = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++) rows = plan->node[i].layer == layer ? plan->node[i].rows : rows;
    const uint8_t *bytes = info[1].IsNull() ? nullptr : GetView<uint8_t>(env, info[1], "rows", rows).data;
    Check(env, tp_net_mask(&net_, layer, bytes, GetU32(env, info[2], "bias")), "mask");
    return env.Undefined();
}

Napi::Value Net::Tensors(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Claim(env);
    Napi::Array out = Napi::Array::New(env);
    tp_tensor tensor;
    char name[TP_NAME_BYTES + 16];
    void *data = nullptr;
    for (uint32_t i = 0; tp_net_tensor(&net_, i, &tensor, name, &data) == TP_OK; i++) {
        Napi::Array shape = Napi::Array::New(env);
        for (uint32_t d = 0; d < tensor.rank; d++) shape.Set(d, Napi::Number::New(env, tensor.dim[d]));
        Napi::Object row = Napi::Object::New(env);
        row.Set("name", name);
        row.Set("dtype", tensor.dtype);
        row.Set("shape", shape);
        row.Set("bytes", tensor.bytes);
        out.Set(i, row);
    }
    return out;
}

void *Net::FindTensor(Napi::Env env, Napi::Value index, tp_tensor *tensor) const {
    char name[TP_NAME_BYTES + 16];
    void *data = nullptr;
    Claim(env);
    Check(env, tp_net_tensor(&net_, GetU32(env, index, "index"), tensor, name, &data), "no such tensor");
    return data;
}

// readTensor(index) -> ArrayBuffer, a copy
Napi::Value Net::ReadTensor(const Napi::CallbackInfo &info) {
    tp_tensor tensor;
    const void *data = FindTensor(info.Env(), info[0], &tensor);
    Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(info.Env(), tensor.bytes);
    std::memcpy(copy.Data(), data, tensor.bytes);
    return copy;
}

// writeTensor(index, bytes: Uint8Array)
Napi::Value Net::WriteTensor(const Napi::CallbackInfo &info) {
    tp_tensor tensor;
    FindTensor(info.Env(), info[0], &tensor);
    const uint8_t *bytes = GetView<uint8_t>(info.Env(), info[1], "bytes", tensor.bytes).data;
    Check(info.Env(), tp_net_write(&net_, GetU32(info.Env(), info[0], "index"), bytes), "tensor");
    return info.Env().Undefined();
}

// save(flags, sections: [{tag, data: Uint8Array}]) -> Uint8Array
Napi::Value Net::Save(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Claim(env);
    const uint32_t flags = GetU32(env, info[0], "flags");
    std::vector<tp_section> sections;
    Napi::Array list = GetArray(env, info[1], "sections");
    for (uint32_t i = 0; i < list.Length(); i++) {
        Napi::Object row = GetObject(env, list.Get(i), "section");
        const std::string tag = GetText(env, row.Get("tag"), "tag");
        if (tag.size() != 4) ThrowArg(env, "section tag \"" + tag + "\": expected 4 bytes");
        const View<uint8_t> data = GetView<uint8_t>(env, row.Get("data"), "section");
        sections.push_back({{tag[0], tag[1], tag[2], tag[3]}, data.data, static_cast<uint32_t>(data.length)});
    }
    const uint32_t n = static_cast<uint32_t>(sections.size());
    size_t length = 0;
    Check(env, tp_blob_save(&net_, flags, sections.data(), n, nullptr, 0, &length), "save");
    Napi::Uint8Array out = Napi::Uint8Array::New(env, length);
    Check(env, tp_blob_save(&net_, flags, sections.data(), n, out.Data(), length, &length), "save");
    return out;
}

// load(bytes: Uint8Array, flags) -> number of tensors taken
Napi::Value Net::Load(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Claim(env);
    const View<uint8_t> bytes = GetView<uint8_t>(env, info[0], "bytes");
    tp_blob blob;
    uint32_t loaded = 0;
    Check(env, tp_blob_open(&blob, bytes.data, bytes.length), "");
    Check(env, tp_blob_load(&blob, &net_, GetU32(env, info[1], "flags"), &loaded), "");
    return Napi::Number::New(env, loaded);
}

Napi::Value Net::Plan(const Napi::CallbackInfo &info) {
    return WritePlan(info.Env(), *PlanOf(plan_));
}

Napi::Value Net::Recipe(const Napi::CallbackInfo &info) {
    if (PlanOf(plan_)->training == 0) return info.Env().Null();
    return WriteRecipe(info.Env(), PlanOf(plan_)->recipe);
}

Napi::Value Net::Progress(const Napi::CallbackInfo &info) {
    static constexpr Field kProgress[] = {{"samples", Field::kU64, offsetof(tp_progress, samples)},
                                          {"batches", Field::kU64, offsetof(tp_progress, batches)},
                                          {"updates", Field::kU64, offsetof(tp_progress, updates)},
                                          {"epochs", Field::kU64, offsetof(tp_progress, epochs)}};
    Claim(info.Env());
    tp_progress progress;
    Check(info.Env(), tp_net_progress(&net_, &progress), "progress");
    Napi::Object out = WriteStruct(info.Env(), &progress, kProgress);
    out.Set("lr", static_cast<double>(tp_net_lr(&net_)));
    return out;
}

// setTrace(callback | null): for tests; called during step() and runNow(), never from the thread
Napi::Value Net::SetTrace(const Napi::CallbackInfo &info) {
    Claim(info.Env());
    trace_.Reset();
    if (info[0].IsFunction()) trace_ = Napi::Persistent(info[0].As<Napi::Function>());
    net_.trace = info[0].IsFunction() ? OnTrace : nullptr;
    net_.trace_user = this;
    return info.Env().Undefined();
}

void Net::OnTrace(void *user, const tp_trace *event) {
    Net *self = static_cast<Net *>(user);
    if (self->thread_.busy() || self->Env().IsExceptionPending()) return;
    Napi::Env env = self->Env();
    const Napi::HandleScope scope(env);
    auto copy = [env](const float *values, uint32_t n) -> Napi::Value {
        if (values == nullptr) return env.Null();
        Napi::Float32Array out = Napi::Float32Array::New(env, n);
        std::memcpy(out.Data(), values, n * sizeof(float));
        return out;
    };
    Napi::Object out = Napi::Object::New(env);
    out.Set("node", PlanOf(self->plan_)->node[event->node].node.name);
    out.Set("sample", static_cast<double>(event->sample));
    out.Set("layer", event->layer);
    out.Set("n", event->n);
    out.Set("k", event->k);
    out.Set("l1", static_cast<double>(event->l1));
    out.Set("ymax", static_cast<double>(event->ymax));
    out.Set("delta", copy(event->delta, event->n_delta));
    out.Set("kept", copy(event->kept, event->n_delta));
    try {
        self->trace_.Call({out});
    } catch (const Napi::Error &error) {
        error.ThrowAsJavaScriptException(); // pending until step() returns: no exception may cross the C frames
    }
}

// copyParamsFrom(net): the weights of a net of the same model; training and inference plans order them alike
Napi::Value Net::CopyParamsFrom(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    const tp_plan *to = Claim(env);
    Net *source = Net::Unwrap(GetObject(env, info[0], "net"));
    const tp_plan *from = source->Claim(env);
    if (to->params_bytes != from->params_bytes || to->n_params != from->n_params) {
        Throw(env, "ERR_TINYPROP_MISMATCH", "copyParamsFrom: the nets are of different models");
    }
    std::memcpy(net_.arena + to->params_at, source->net_.arena + from->params_at, to->params_bytes);
    return env.Undefined();
}

Napi::Value Net::Kernels(const Napi::CallbackInfo &info) {
    return Napi::String::New(info.Env(), tp_kernels_name(net_.kernels));
}

Napi::Value Net::IsBusy(const Napi::CallbackInfo &info) {
    return Napi::Boolean::New(info.Env(), thread_.busy());
}

Napi::Value Net::Stop(const Napi::CallbackInfo &info) {
    thread_.Stop();
    return info.Env().Undefined();
}

// Stops a running job, whose promise still resolves, and gives the arena back.
Napi::Value Net::Close(const Napi::CallbackInfo &info) {
    Release(info.Env());
    return info.Env().Undefined();
}

} // namespace tinyprop
