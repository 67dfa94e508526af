// SPDX-License-Identifier: Apache-2.0
// Models, recipes and plans: the C structs as plain JavaScript objects, one table row a field.
#include "view.h"

namespace tinyprop {

namespace {

#define FIELD(name, kind, type, member) {name, Field::kind, offsetof(type, member)}
#define FIELDS(name, kind, type, member, count) {name, Field::kind, offsetof(type, member), count}

// clang-format off
constexpr Field kNode[] = {
    FIELD("op", kU32, tp_node, op), FIELDS("in", kI32, tp_node, in, 2), FIELD("flags", kU32, tp_node, flags),
    FIELD("units", kU32, tp_node, units), FIELDS("kernel", kU32, tp_node, kernel, 2),
    FIELDS("stride", kU32, tp_node, stride, 2), FIELD("padding", kU32, tp_node, padding),
    FIELDS("pad", kU32, tp_node, pad, 4), FIELD("groups", kU32, tp_node, groups), FIELD("init", kU32, tp_node, init),
    FIELD("param", kF32, tp_node, param), FIELD("scale", kF32, tp_node, scale), FIELD("zero", kI32, tp_node, zero),
};

// A shape crosses as its four numbers h, w, c, rank.
constexpr Field kModel[] = {FIELDS("input", kU32, tp_model, input, 4), FIELD("loss", kU32, tp_model, loss)};

#define RECIPE(name, kind, member) FIELD(name, kind, tp_recipe, member)
constexpr Field kRecipe[] = {
    RECIPE("policy", kU32, policy), RECIPE("optimizer", kU32, optimizer), RECIPE("batch", kU32, batch),
    RECIPE("numerics", kU32, numerics), RECIPE("lr", kF32, lr), RECIPE("momentum", kF32, momentum),
    RECIPE("weightDecay", kF32, weight_decay), RECIPE("int8", kU32, int8), RECIPE("seed", kU64, seed),
    RECIPE("scheduleKind", kU32, schedule.kind), RECIPE("scheduleWarmup", kU32, schedule.warmup),
    RECIPE("scheduleTotal", kU32, schedule.total), RECIPE("scheduleEvery", kU32, schedule.every),
    RECIPE("scheduleGamma", kF32, schedule.gamma),
    RECIPE("sMin", kF32, policy_params.s_min), RECIPE("sMax", kF32, policy_params.s_max),
    RECIPE("zeta", kF32, policy_params.zeta), RECIPE("ymaxMode", kU32, policy_params.ymax_mode),
    RECIPE("ymaxDecay", kF32, policy_params.ymax_decay), RECIPE("ymaxFixed", kF32, policy_params.ymax_fixed),
    RECIPE("outputDense", kU32, policy_params.output_dense), RECIPE("select", kU32, policy_params.select),
    RECIPE("dMin", kF32, policy_params.d_min), RECIPE("dMax", kF32, policy_params.d_max),
    RECIPE("tau", kF32, policy_params.tau), RECIPE("beta", kF32, policy_params.beta),
    RECIPE("alphaMode", kU32, policy_params.alpha_mode), RECIPE("alphaDecay", kF32, policy_params.alpha_decay),
    RECIPE("alphaFixed", kF32, policy_params.alpha_fixed), RECIPE("rate", kF32, policy_params.rate),
    RECIPE("steer", kU32, policy_params.steer), RECIPE("gain", kF32, policy_params.gain),
    RECIPE("history", kU32, policy_params.history), RECIPE("stale", kU32, policy_params.stale),
    RECIPE("weightShare", kF32, policy_params.weight_share), RECIPE("deltaShare", kF32, policy_params.delta_share),
    RECIPE("revisit", kU32, policy_params.revisit),
};

#define PLAN(name, kind, member) FIELD(name, kind, tp_plan, member)
constexpr Field kPlan[] = {
    PLAN("planBytes", kU32, bytes), PLAN("training", kU32, training), PLAN("warnings", kU32, warnings),
    PLAN("arenaBytes", kU32, arena_bytes), PLAN("paramBytes", kU32, params_bytes), PLAN("stateBytes", kU32, state_bytes),
    PLAN("gradBytes", kU32, grad_bytes), PLAN("actBytes", kU32, acts_bytes), PLAN("scratchBytes", kU32, scratch_bytes),
    PLAN("layers", kU32, n_layers), PLAN("parameters", kU32, n_params), PLAN("inputs", kU32, n_in),
    PLAN("outputs", kU32, n_out), PLAN("firstTrainable", kU32, first_trainable), PLAN("macsForward", kU64, macs_forward),
    PLAN("macsBackward", kU64, macs_backward), PLAN("theta", kF32, theta),
};

#define PLAN_NODE(name, member) FIELD(name, kU32, tp_plan_node, member)
constexpr Field kPlanNode[] = {
    FIELDS("in", kU32, tp_plan_node, in, 4), FIELDS("out", kU32, tp_plan_node, out, 4), PLAN_NODE("outputs", n_out),
    PLAN_NODE("scratchBytes", scratch), PLAN_NODE("layer", layer), PLAN_NODE("select", select),
    PLAN_NODE("selectable", n_select), PLAN_NODE("trainable", trainable),
    PLAN_NODE("needsDx", needs_dx[0]), PLAN_NODE("rows", rows), PLAN_NODE("rowLength", row_len), PLAN_NODE("macsRow", macs_row), PLAN_NODE("macsForward", macs_forward),
    PLAN_NODE("macsDw", macs_dw), PLAN_NODE("macsDx", macs_dx),
};
// clang-format on

constexpr double kMaxInteger = 9007199254740991.0; // Number.MAX_SAFE_INTEGER

void ReadValue(Napi::Env env, Napi::Value value, const Field &field, uint8_t *to) {
    if (field.kind == Field::kF32) {
        if (!value.IsNumber()) ThrowArg(env, std::string(field.name) + ": expected a number");
        const float number = value.As<Napi::Number>().FloatValue();
        std::memcpy(to, &number, 4);
    } else if (field.kind == Field::kU64) {
        const uint64_t number = static_cast<uint64_t>(GetInteger(env, value, field.name, 0, kMaxInteger));
        std::memcpy(to, &number, 8);
    } else {
        const bool is_signed = field.kind == Field::kI32;
        const int64_t number = static_cast<int64_t>(GetInteger(env, value, field.name, is_signed ? -2147483648.0 : 0.0,
                                                               is_signed ? 2147483647.0 : 4294967295.0));
        const uint32_t bits = static_cast<uint32_t>(number);
        std::memcpy(to, &bits, 4);
    }
}

Napi::Value WriteValue(Napi::Env env, const uint8_t *from, Field::Kind kind) {
    float f32;
    uint32_t u32;
    uint64_t u64;
    if (kind == Field::kU64) {
        std::memcpy(&u64, from, 8);
        return Napi::Number::New(env, static_cast<double>(u64));
    }
    std::memcpy(&f32, from, 4);
    std::memcpy(&u32, from, 4);
    if (kind == Field::kF32) return Napi::Number::New(env, static_cast<double>(f32));
    return Napi::Number::New(env, kind == Field::kI32 ? static_cast<double>(static_cast<int32_t>(u32)) : u32);
}

} // namespace

void ReadFields(Napi::Object from, void *to, const Field *fields, size_t n) {
    for (const Field *field = fields; field != fields + n; field++) {
        uint8_t *at = static_cast<uint8_t *>(to) + field->offset;
        if (field->count == 1) {
            ReadValue(from.Env(), from.Get(field->name), *field, at);
            continue;
        }
        Napi::Array values = GetArray(from.Env(), from.Get(field->name), field->name);
        for (uint32_t i = 0; i < field->count; i++) ReadValue(from.Env(), values.Get(i), *field, at + 4 * i);
    }
}

void WriteFields(const void *from, Napi::Object to, const Field *fields, size_t n) {
    for (const Field *field = fields; field != fields + n; field++) {
        const uint8_t *at = static_cast<const uint8_t *>(from) + field->offset;
        if (field->count == 1) {
            to.Set(field->name, WriteValue(to.Env(), at, field->kind));
            continue;
        }
        Napi::Array values = Napi::Array::New(to.Env(), field->count);
        for (uint32_t i = 0; i < field->count; i++) values.Set(i, WriteValue(to.Env(), at + 4 * i, field->kind));
        to.Set(field->name, values);
    }
}

void ReadModel(Napi::Env env, Napi::Value value, ModelData *out) {
    Napi::Object object = GetObject(env, value, "model");
    Napi::Array nodes = GetArray(env, object.Get("nodes"), "nodes");
    if (nodes.Length() > TP_MAX_NODES) {
        Throw(env, "ERR_TINYPROP_LIMIT", "the model has more than " + std::to_string(TP_MAX_NODES) + " nodes");
    }
    out->nodes.assign(nodes.Length(), tp_node{});
    for (uint32_t i = 0; i < nodes.Length(); i++) {
        Napi::Object node = GetObject(env, nodes.Get(i), "node");
        const std::string name = GetText(env, node.Get("name"), "name");
        if (name.size() >= TP_NAME_BYTES) Throw(env, "ERR_TINYPROP_MODEL", "node name \"" + name + "\" is too long");
        std::memcpy(out->nodes[i].name, name.data(), name.size());
        ReadFields(node, &out->nodes[i], kNode, sizeof kNode / sizeof kNode[0]);
    }
    out->model = tp_model{};
    ReadFields(object, &out->model, kModel, sizeof kModel / sizeof kModel[0]);
    out->model.nodes = out->nodes.data();
    out->model.n_nodes = nodes.Length();
    out->model.input_dtype = object.Get("int8Input").ToBoolean() ? TP_S8 : TP_F32; // of devices; here all samples are floats
}

Napi::Object WriteModel(Napi::Env env, const tp_model &model) {
    Napi::Object out = WriteStruct(env, &model, kModel);
    Napi::Array nodes = Napi::Array::New(env, model.n_nodes);
    for (uint32_t i = 0; i < model.n_nodes; i++) {
        Napi::Object node = WriteStruct(env, &model.nodes[i], kNode);
        node.Set("name", model.nodes[i].name);
        nodes.Set(i, node);
    }
    out.Set("nodes", nodes);
    return out;
}

tp_recipe ReadRecipe(Napi::Env env, Napi::Value value) {
    tp_recipe recipe = {};
    ReadFields(GetObject(env, value, "recipe"), &recipe, kRecipe, sizeof kRecipe / sizeof kRecipe[0]);
    return recipe;
}

Napi::Object WriteRecipe(Napi::Env env, const tp_recipe &recipe) {
    return WriteStruct(env, &recipe, kRecipe);
}

PlanData MakePlan(Napi::Env env, Napi::Value model, Napi::Value recipe, const tp_plan_options *options) {
    const tp_plan_options smallest = {1, 1, 0, 0};
    ModelData data;
    ReadModel(env, model, &data);
    const bool training = !recipe.IsNull() && !recipe.IsUndefined();
    const tp_recipe chosen = training ? ReadRecipe(env, recipe) : tp_recipe{};
    const uint32_t bytes = tp_plan_bytes(data.model.n_nodes);
    PlanData plan((bytes + 7u) / 8u, 0);
    uint32_t where = data.model.n_nodes;
    const tp_status status = tp_plan_make_with(&data.model, training ? &chosen : nullptr,
                                               options == nullptr ? &smallest : options,
                                               reinterpret_cast<tp_plan *>(plan.data()), bytes, &where);
    Check(env, status, where < data.model.n_nodes ? "node \"" + std::string(data.nodes[where].name) + "\"" : "");
    return plan;
}

CutCache ReadCutCache(Napi::Env env, Napi::Value value, const tp_plan &plan) {
    if (value.IsUndefined()) return {};
    Napi::Object cache = GetObject(env, value, "cut");
    tp_cut cut;
    Check(env, tp_plan_cut(&plan, &cut), "cut");
    const View<uint8_t> known = GetView<uint8_t>(env, cache.Get("known"), "known");
    return {GetView<uint8_t>(env, cache.Get("values"), "values", known.length * cut.bytes).data, known.data, known.length};
}

Napi::Object WritePlan(Napi::Env env, const tp_plan &plan) {
    Napi::Object out = WriteStruct(env, &plan, kPlan);
    out.Set("statsBytes", tp_stats_bytes(&plan));
    Napi::Array nodes = Napi::Array::New(env, plan.n_nodes);
    for (uint32_t i = 0; i < plan.n_nodes; i++) {
        const tp_plan_node &node = plan.node[i];
        Napi::Object row = WriteStruct(env, &node, kPlanNode);
        uint32_t bytes = 0;
        for (uint32_t t = 0; t < node.n_tensors; t++) bytes += node.tensor[t].bytes;
        row.Set("name", node.node.name);
        row.Set("op", node.node.op);
        row.Set("paramBytes", bytes);
        nodes.Set(i, row);
    }
    out.Set("nodes", nodes);
    tp_cut cut;
    if (tp_plan_cut(&plan, &cut) == TP_OK) {
        Napi::Object row = Napi::Object::New(env);
        row.Set("node", plan.node[cut.node].node.name);
        row.Set("bytes", cut.bytes);
        row.Set("macs", static_cast<double>(cut.macs));
        out.Set("cut", row);
    }
    return out;
}

} // namespace tinyprop
