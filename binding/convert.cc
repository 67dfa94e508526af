// SPDX-License-Identifier: Apache-2.0
// Models, recipes and plans: the C structs as plain JavaScript objects, one table row a field.
#include "view.h"

namespace tinyprop {

namespace {

#define U32(type, member, name) \
  { name, Field::kU32, offsetof(type, member), sizeof(type::member) / 4 }
#define AT(type, member, kind, name) \
  { name, Field::kind, offsetof(type, member) }

constexpr Field kNode[] = {
    U32(tp_node, op, "op"),           {"in", Field::kI32, offsetof(tp_node, in), 2},
    U32(tp_node, flags, "flags"),     U32(tp_node, units, "units"),
    U32(tp_node, kernel, "kernel"),   U32(tp_node, stride, "stride"),
    U32(tp_node, padding, "padding"), U32(tp_node, pad, "pad"),
    U32(tp_node, groups, "groups"),   U32(tp_node, init, "init"),
    AT(tp_node, param, kF32, "param"),
};

// A shape crosses as its four numbers h, w, c, rank.
constexpr Field kModel[] = {{"input", Field::kU32, offsetof(tp_model, input), 4}, U32(tp_model, loss, "loss")};

constexpr Field kRecipe[] = {
    U32(tp_recipe, policy, "policy"),
    U32(tp_recipe, optimizer, "optimizer"),
    U32(tp_recipe, batch, "batch"),
    U32(tp_recipe, numerics, "numerics"),
    AT(tp_recipe, lr, kF32, "lr"),
    AT(tp_recipe, momentum, kF32, "momentum"),
    AT(tp_recipe, weight_decay, kF32, "weightDecay"),
    AT(tp_recipe, seed, kU64, "seed"),
    AT(tp_recipe, schedule.kind, kU32, "scheduleKind"),
    AT(tp_recipe, schedule.warmup, kU32, "scheduleWarmup"),
    AT(tp_recipe, schedule.total, kU32, "scheduleTotal"),
    AT(tp_recipe, schedule.every, kU32, "scheduleEvery"),
    AT(tp_recipe, schedule.gamma, kF32, "scheduleGamma"),
    AT(tp_recipe, policy_params.s_min, kF32, "sMin"),
    AT(tp_recipe, policy_params.s_max, kF32, "sMax"),
    AT(tp_recipe, policy_params.zeta, kF32, "zeta"),
    AT(tp_recipe, policy_params.ymax_mode, kU32, "ymaxMode"),
    AT(tp_recipe, policy_params.ymax_decay, kF32, "ymaxDecay"),
    AT(tp_recipe, policy_params.ymax_fixed, kF32, "ymaxFixed"),
    AT(tp_recipe, policy_params.output_dense, kU32, "outputDense"),
    AT(tp_recipe, policy_params.select, kU32, "select"),
    AT(tp_recipe, policy_params.d_min, kF32, "dMin"),
    AT(tp_recipe, policy_params.d_max, kF32, "dMax"),
    AT(tp_recipe, policy_params.tau, kF32, "tau"),
    AT(tp_recipe, policy_params.beta, kF32, "beta"),
    AT(tp_recipe, policy_params.alpha_mode, kU32, "alphaMode"),
    AT(tp_recipe, policy_params.alpha_decay, kF32, "alphaDecay"),
    AT(tp_recipe, policy_params.alpha_fixed, kF32, "alphaFixed"),
};

constexpr Field kPlan[] = {
    U32(tp_plan, bytes, "planBytes"),
    U32(tp_plan, training, "training"),
    U32(tp_plan, warnings, "warnings"),
    U32(tp_plan, arena_bytes, "arenaBytes"),
    U32(tp_plan, params_bytes, "paramBytes"),
    U32(tp_plan, state_bytes, "stateBytes"),
    U32(tp_plan, grad_bytes, "gradBytes"),
    U32(tp_plan, acts_bytes, "actBytes"),
    U32(tp_plan, scratch_bytes, "scratchBytes"),
    U32(tp_plan, n_layers, "layers"),
    U32(tp_plan, n_params, "parameters"),
    U32(tp_plan, n_in, "inputs"),
    U32(tp_plan, n_out, "outputs"),
    U32(tp_plan, first_trainable, "firstTrainable"),
    AT(tp_plan, macs_forward, kU64, "macsForward"),
    AT(tp_plan, macs_backward, kU64, "macsBackward"),
    AT(tp_plan, theta, kF32, "theta"),
};

constexpr Field kPlanNode[] = {
    {"in", Field::kU32, offsetof(tp_plan_node, in), 4},
    {"out", Field::kU32, offsetof(tp_plan_node, out), 4},
    U32(tp_plan_node, n_out, "outputs"),
    U32(tp_plan_node, scratch, "scratchBytes"),
    U32(tp_plan_node, layer, "layer"),
    U32(tp_plan_node, select, "select"),
    U32(tp_plan_node, n_select, "selectable"),
    U32(tp_plan_node, trainable, "trainable"),
    U32(tp_plan_node, macs_forward, "macsForward"),
    U32(tp_plan_node, macs_dw, "macsDw"),
    U32(tp_plan_node, macs_dx, "macsDx"),
};

constexpr double kMaxInteger = 9007199254740991.0;  // Number.MAX_SAFE_INTEGER

void ReadValue(Napi::Env env, Napi::Value value, const Field& field, uint8_t* to) {
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

Napi::Value WriteValue(Napi::Env env, const uint8_t* from, Field::Kind kind) {
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

}  // namespace

void ReadFields(Napi::Object from, void* to, const Field* fields, size_t n) {
  for (const Field* field = fields; field != fields + n; field++) {
    uint8_t* at = static_cast<uint8_t*>(to) + field->offset;
    if (field->count == 1) {
      ReadValue(from.Env(), from.Get(field->name), *field, at);
      continue;
    }
    Napi::Array values = GetArray(from.Env(), from.Get(field->name), field->name);
    for (uint32_t i = 0; i < field->count; i++) ReadValue(from.Env(), values.Get(i), *field, at + 4 * i);
  }
}

void WriteFields(const void* from, Napi::Object to, const Field* fields, size_t n) {
  for (const Field* field = fields; field != fields + n; field++) {
    const uint8_t* at = static_cast<const uint8_t*>(from) + field->offset;
    if (field->count == 1) {
      to.Set(field->name, WriteValue(to.Env(), at, field->kind));
      continue;
    }
    Napi::Array values = Napi::Array::New(to.Env(), field->count);
    for (uint32_t i = 0; i < field->count; i++) values.Set(i, WriteValue(to.Env(), at + 4 * i, field->kind));
    to.Set(field->name, values);
  }
}

void ReadModel(Napi::Env env, Napi::Value value, ModelData* out) {
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
  out->model.input_dtype = TP_F32;
}

Napi::Object WriteModel(Napi::Env env, const tp_model& model) {
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

Napi::Object WriteRecipe(Napi::Env env, const tp_recipe& recipe) { return WriteStruct(env, &recipe, kRecipe); }

PlanData MakePlan(Napi::Env env, Napi::Value model, Napi::Value recipe) {
  ModelData data;
  ReadModel(env, model, &data);
  const bool training = !recipe.IsNull() && !recipe.IsUndefined();
  const tp_recipe chosen = training ? ReadRecipe(env, recipe) : tp_recipe{};
  const uint32_t bytes = tp_plan_bytes(data.model.n_nodes);
  PlanData plan((bytes + 7u) / 8u, 0);
  uint32_t where = data.model.n_nodes;
  const tp_status status = tp_plan_make(&data.model, training ? &chosen : nullptr,
                                        reinterpret_cast<tp_plan*>(plan.data()), bytes, &where);
  Check(env, status, where < data.model.n_nodes ? "node \"" + std::string(data.nodes[where].name) + "\"" : "");
  return plan;
}

Napi::Object WritePlan(Napi::Env env, const tp_plan& plan) {
  Napi::Object out = WriteStruct(env, &plan, kPlan);
  out.Set("statsBytes", tp_stats_bytes(&plan));
  Napi::Array nodes = Napi::Array::New(env, plan.n_nodes);
  for (uint32_t i = 0; i < plan.n_nodes; i++) {
    const tp_plan_node& node = plan.node[i];
    Napi::Object row = WriteStruct(env, &node, kPlanNode);
    uint32_t bytes = 0;
    for (uint32_t t = 0; t < node.n_tensors; t++) bytes += node.tensor[t].bytes;
    row.Set("name", node.node.name);
    row.Set("op", node.node.op);
    row.Set("paramBytes", bytes);
    nodes.Set(i, row);
  }
  out.Set("nodes", nodes);
  return out;
}

}  // namespace tinyprop
