// SPDX-License-Identifier: Apache-2.0
// The module: Net, and the functions of tinyprop.h that need none. No state of its own, so that any number of
// environments (worker threads) may load it.
#include "net.h"

#include "../csrc/include/tinyprop_store.h"

namespace tinyprop {

namespace {

struct Constant {
    const char *group, *name;
    double value;
};

#define STAT(name, member) {"stats", name, offsetof(tp_stats, member)}
#define LAYER_STAT(name, member) {"layerStats", name, offsetof(tp_layer_stats, member)}

constexpr Constant kConstants[] = {
    {"node", "input", TP_INPUT},
    {"node", "none", TP_NONE},
    {"node", "notALayer", TP_NO_OFFSET},
    {"flag", "noBias", TP_FLAG_NO_BIAS},
    {"flag", "frozen", TP_FLAG_FROZEN},
    {"flag", "biasTrains", TP_FLAG_BIAS_TRAINS},
    {"trains", "all", TP_TRAINS_ALL},
    {"trains", "bias", TP_TRAINS_BIAS},
    {"padding", "valid", TP_PAD_VALID},
    {"padding", "same", TP_PAD_SAME},
    {"padding", "explicit", TP_PAD_EXPLICIT},
    {"init", "heUniform", TP_INIT_HE_UNIFORM},
    {"init", "glorotUniform", TP_INIT_GLOROT_UNIFORM},
    {"select", "element", TP_SELECT_ELEMENT},
    {"select", "channel", TP_SELECT_CHANNEL},
    {"select", "auto", TP_SELECT_AUTO},
    {"numerics", "ieee", TP_NUMERICS_IEEE},
    {"numerics", "flush", TP_NUMERICS_FLUSH},
    {"int8", "nearest", TP_INT8_NEAREST},
    {"int8", "residual", TP_INT8_RESIDUAL},
    {"int8", "unscaled", TP_INT8_UNSCALED},
    {"int8", "fraction", TP_INT8_FRACTION},
    {"dtype", "f32", TP_F32},
    {"dtype", "s8", TP_S8},
    {"dtype", "s32", TP_S32},
    {"max", "running", TP_MAX_RUNNING},
    {"max", "decay", TP_MAX_DECAY},
    {"max", "epoch", TP_MAX_EPOCH},
    {"max", "fixed", TP_MAX_FIXED},
    {"max", "analytic", TP_MAX_ANALYTIC},
    {"max", "auto", TP_MAX_AUTO},
    {"bias", "rows", TP_BIAS_ROWS},
    {"bias", "all", TP_BIAS_ALL},
    {"bias", "none", TP_BIAS_NONE},
    {"steer", "samples", TP_STEER_SAMPLES},
    {"steer", "effort", TP_STEER_EFFORT},
    {"schedule", "constant", TP_SCHEDULE_CONSTANT},
    {"schedule", "cosine", TP_SCHEDULE_COSINE},
    {"schedule", "step", TP_SCHEDULE_STEP},
    {"warning", "thetaNegative", TP_WARN_THETA_NEGATIVE},
    {"blob", "weights", TP_BLOB_WEIGHTS},
    {"blob", "state", TP_BLOB_STATE},
    {"blob", "partial", TP_BLOB_PARTIAL},
    {"job", "train", Job::kTrain},
    {"job", "evaluate", Job::kEvaluate},
    {"job", "predict", Job::kPredict},
    {"job", "forward", Job::kForward},
    {"job", "together", Job::kTogether},
    {"size", "net", sizeof(tp_net)},
    {"limit", "nameBytes", TP_NAME_BYTES - 1},
    {"limit", "history", TP_MAX_HISTORY},
    {"limit", "revisit", TP_MAX_REVISIT},
    {"limit", "threads", TP_MAX_THREADS},
    {"limit", "nodes", TP_MAX_NODES},
    {"limit", "layers", TP_MAX_LAYERS},
    STAT("samples", samples),
    STAT("trained", trained),
    STAT("correct", correct),
    STAT("loss", loss),
    STAT("macsForward", macs_forward),
    STAT("macsDw", macs_dw),
    STAT("macsDx", macs_dx),
    STAT("macsWorked", macs_worked),
    STAT("layers", layer),
    LAYER_STAT("n", n),
    LAYER_STAT("k", k),
    LAYER_STAT("worked", worked),
    LAYER_STAT("l1", l1),
    {"layerStats", "bytes", sizeof(tp_layer_stats)},
};

constexpr struct {
    const char *name;
    tp_list list;
} kLists[] = {{"layer", TP_LIST_LAYER},   {"loss", TP_LIST_LOSS},
              {"policy", TP_LIST_POLICY}, {"optimizer", TP_LIST_OPTIMIZER},
              {"preset", TP_LIST_PRESET}, {"kernel", TP_LIST_KERNEL},
              {"isa", TP_LIST_ISA},       {"status", TP_LIST_STATUS}};

// describe(): every list and constant of the core, so that TypeScript writes no number down
Napi::Value Describe(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Napi::Object out = Napi::Object::New(env), lists = Napi::Object::New(env), constants = Napi::Object::New(env);
    for (const auto &from : kLists) {
        Napi::Array rows = Napi::Array::New(env);
        int32_t id = 0;
        const char *name = nullptr;
        for (uint32_t i = 0; (name = tp_list_name(from.list, i, &id)) != nullptr; i++) {
            Napi::Object row = Napi::Object::New(env);
            row.Set("name", name);
            row.Set("id", id);
            rows.Set(i, row);
        }
        lists.Set(from.name, rows);
    }
    for (const Constant &constant : kConstants) {
        if (!constants.Has(constant.group)) constants.Set(constant.group, Napi::Object::New(env));
        constants.Get(constant.group).As<Napi::Object>().Set(constant.name, constant.value);
    }
    out.Set("lists", lists);
    out.Set("constants", constants);
    out.Set("version", tp_version());
    out.Set("sourceId", tp_source_id());
    out.Set("kernels", tp_kernels_name(ChooseKernels(env, env.Undefined())));
    return out;
}

Napi::Value RecipeDefault(const Napi::CallbackInfo &info) {
    return WriteRecipe(info.Env(), tp_recipe_default());
}

// recipePreset(recipe, name) -> recipe
Napi::Value RecipePreset(const Napi::CallbackInfo &info) {
    tp_recipe recipe = ReadRecipe(info.Env(), info[0]);
    const std::string name = GetText(info.Env(), info[1], "preset");
    Check(info.Env(), tp_recipe_preset(&recipe, name.c_str()), "no preset \"" + name + "\"");
    return WriteRecipe(info.Env(), recipe);
}

// planOf(model, recipe | null, flash?: true: what does not train stays in flash)
Napi::Value MakeAndWritePlan(const Napi::CallbackInfo &info) {
    const tp_plan_options options = {1, 1, 0, info[2].ToBoolean() ? 1u : 0u};
    const PlanData plan = MakePlan(info.Env(), info[0], info[1], &options);
    return WritePlan(info.Env(), *PlanOf(plan));
}

// planBytes(model, recipe): the plan of a device, whose flash keeps what does not train; the bytes it has on every machine
Napi::Value PlanBytes(const Napi::CallbackInfo &info) {
    const tp_plan_options options = {1, 1, 0, 1};
    const PlanData plan = MakePlan(info.Env(), info[0], info[1], &options);
    Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), PlanOf(plan)->bytes);
    std::memcpy(bytes.Data(), plan.data(), bytes.ByteLength());
    return bytes;
}

// storeBytes(model, recipe | null, progSize): what a commit of tp_store programs, with a recipe the training state too; 0: too large
Napi::Value StoreBytes(const Napi::CallbackInfo &info) {
    const PlanData plan = MakePlan(info.Env(), info[0], info[1]);
    const uint32_t flags = PlanOf(plan)->training != 0 ? TP_BLOB_WEIGHTS | TP_BLOB_STATE : TP_BLOB_WEIGHTS;
    return Napi::Number::New(info.Env(), tp_store_bytes(PlanOf(plan), flags, GetU32(info.Env(), info[2], "progSize")));
}

// editModel(model, "freeze" | "freezeAllButLast" | "replaceHead", argument) -> model
Napi::Value EditModel(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    ModelData data;
    ReadModel(env, info[0], &data);
    const std::string edit = GetText(env, info[1], "edit");
    const uint32_t n = data.model.n_nodes;
    if (edit == "freeze") {
        const std::string name = GetText(env, info[2], "name");
        Check(env, tp_model_freeze(data.nodes.data(), n, name.c_str()), "freeze \"" + name + "\": no such node");
    } else if (edit == "freezeAllButLast") {
        Check(env, tp_model_freeze_all_but_last(data.nodes.data(), n, GetU32(env, info[2], "n")), edit);
    } else {
        Check(env, tp_model_replace_head(data.nodes.data(), n, GetU32(env, info[2], "classes")), edit);
    }
    return WriteModel(env, data.model);
}

// shuffle(seed, epoch, n) -> Uint32Array
Napi::Value Shuffle(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    const uint32_t n = GetU32(env, info[2], "n");
    Napi::Uint32Array out = Napi::Uint32Array::New(env, n);
    const double seed = GetInteger(env, info[0], "seed", 0, 9007199254740991.0);
    tp_shuffle(static_cast<uint64_t>(seed), GetU32(env, info[1], "epoch"), out.Data(), n);
    return out;
}

// readBlob(bytes) -> {model, recipe | null, hasState, sections: [{tag, data}]}
Napi::Value ReadBlob(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    const View<uint8_t> bytes = GetView<uint8_t>(env, info[0], "bytes");
    tp_blob blob;
    Check(env, tp_blob_open(&blob, bytes.data, bytes.length), "");
    std::vector<tp_node> nodes(blob.n_nodes + 1);
    tp_model model;
    Check(env, tp_blob_model(&blob, nodes.data(), blob.n_nodes, &model), "graph");
    Napi::Object out = Napi::Object::New(env);
    out.Set("model", WriteModel(env, model));
    out.Set("hasState", blob.has_state != 0);
    tp_recipe recipe;
    const tp_status status = tp_blob_recipe(&blob, &recipe);
    if (status != TP_E_MODE) Check(env, status, "recipe");
    out.Set("recipe", status == TP_OK ? WriteRecipe(env, recipe).As<Napi::Value>() : env.Null());
    Napi::Array sections = Napi::Array::New(env);
    char tag[5];
    const uint8_t *data = nullptr;
    uint32_t length = 0;
    for (uint32_t i = 0; tp_blob_entry(&blob, i, tag, &data, &length) == TP_OK; i++) {
        Napi::Uint8Array copy = Napi::Uint8Array::New(env, length);
        if (length != 0) std::memcpy(copy.Data(), data, length);
        Napi::Object row = Napi::Object::New(env);
        row.Set("tag", tag);
        row.Set("data", copy);
        sections.Set(i, row);
    }
    out.Set("sections", sections);
    return out;
}

Napi::Object Module(Napi::Env env, Napi::Object exports) {
    exports.Set("Net", Net::Define(env));
    exports.Set("describe", Napi::Function::New(env, Describe, "describe"));
    exports.Set("recipeDefault", Napi::Function::New(env, RecipeDefault, "recipeDefault"));
    exports.Set("recipePreset", Napi::Function::New(env, RecipePreset, "recipePreset"));
    exports.Set("planOf", Napi::Function::New(env, MakeAndWritePlan, "planOf"));
    exports.Set("planBytes", Napi::Function::New(env, PlanBytes, "planBytes"));
    exports.Set("storeBytes", Napi::Function::New(env, StoreBytes, "storeBytes"));
    exports.Set("editModel", Napi::Function::New(env, EditModel, "editModel"));
    exports.Set("shuffle", Napi::Function::New(env, Shuffle, "shuffle"));
    exports.Set("readBlob", Napi::Function::New(env, ReadBlob, "readBlob"));
    return exports;
}

} // namespace

NODE_API_MODULE(tinyprop, Module)

} // namespace tinyprop
