// SPDX-License-Identifier: Apache-2.0
// From JavaScript values to C ones and back: errors, checked views of typed arrays, structs as plain objects.
#ifndef TINYPROP_BINDING_VIEW_H
#define TINYPROP_BINDING_VIEW_H

#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL // std::bad_alloc, too, becomes a JavaScript error
#include <napi.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "../csrc/include/tinyprop.h"

namespace tinyprop {

[[noreturn]] inline void Throw(Napi::Env env, const std::string &code, const std::string &message) {
    Napi::Error error = Napi::Error::New(env, message);
    error.Set("code", code);
    throw error;
}

[[noreturn]] inline void ThrowArg(Napi::Env env, const std::string &message) {
    Throw(env, "ERR_TINYPROP_ARG", message);
}

// "TP_E_SHAPE" -> "ERR_TINYPROP_SHAPE"
inline std::string StatusCode(tp_status status) {
    return "ERR_TINYPROP_" + std::string(tp_status_name(status)).substr(sizeof "TP_E_" - 1);
}

inline void Check(Napi::Env env, tp_status status, const std::string &what) {
    if (status != TP_OK) Throw(env, StatusCode(status), what);
}

template <typename T> struct View {
    T *data;
    size_t length; // elements
};

// clang-format off
template <typename T> struct Typed;
template <> struct Typed<float> { static constexpr auto type = napi_float32_array; static constexpr auto name = "Float32Array"; };
template <> struct Typed<uint32_t> { static constexpr auto type = napi_uint32_array; static constexpr auto name = "Uint32Array"; };
template <> struct Typed<uint8_t> { static constexpr auto type = napi_uint8_array; static constexpr auto name = "Uint8Array"; };
// clang-format on

constexpr size_t kAnyLength = SIZE_MAX;

template <typename T> inline bool IsView(napi_env env, napi_value value, View<T> *view) {
    bool typed = false;
    napi_typedarray_type type;
    void *data = nullptr;
    if (napi_is_typedarray(env, value, &typed) != napi_ok || !typed) return false;
    if (napi_get_typedarray_info(env, value, &type, &view->length, &data, nullptr, nullptr) != napi_ok) return false;
    view->data = static_cast<T *>(data);
    return type == Typed<T>::type;
}

template <typename T>
inline View<T> GetView(Napi::Env env, napi_value value, const char *what, size_t length = kAnyLength) {
    View<T> view;
    if (!IsView(env, value, &view)) ThrowArg(env, std::string(what) + ": expected a " + Typed<T>::name);
    if (length != kAnyLength && view.length != length) {
        Throw(env, "ERR_TINYPROP_SHAPE",
              std::string(what) + ": expected " + std::to_string(length) + " elements, found " +
                  std::to_string(view.length));
    }
    return view;
}

inline double GetInteger(Napi::Env env, Napi::Value value, const char *what, double min, double max) {
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : min - 1;
    if (!(number >= min && number <= max) || number != static_cast<double>(static_cast<int64_t>(number))) {
        ThrowArg(env, std::string(what) + ": expected an integer");
    }
    return number;
}

inline uint32_t GetU32(Napi::Env env, Napi::Value value, const char *what) {
    return static_cast<uint32_t>(GetInteger(env, value, what, 0, 4294967295.0));
}

inline std::string GetText(Napi::Env env, Napi::Value value, const char *what) {
    if (!value.IsString()) ThrowArg(env, std::string(what) + ": expected a string");
    return value.As<Napi::String>().Utf8Value();
}

inline Napi::Array GetArray(Napi::Env env, Napi::Value value, const char *what) {
    if (!value.IsArray()) ThrowArg(env, std::string(what) + ": expected an array");
    return value.As<Napi::Array>();
}

inline Napi::Object GetObject(Napi::Env env, Napi::Value value, const char *what) {
    if (!value.IsObject()) ThrowArg(env, std::string(what) + ": expected an object");
    return value.As<Napi::Object>();
}

// One field of a C struct; reading and writing go by the same table.
struct Field {
    enum Kind { kU32, kI32, kF32, kU64 };
    const char *name;
    Kind kind;
    size_t offset;
    uint32_t count = 1; // > 1: an array
};

void ReadFields(Napi::Object from, void *to, const Field *fields, size_t n);
void WriteFields(const void *from, Napi::Object to, const Field *fields, size_t n);

template <size_t N> inline Napi::Object WriteStruct(Napi::Env env, const void *from, const Field (&fields)[N]) {
    Napi::Object out = Napi::Object::New(env);
    WriteFields(from, out, fields, N);
    return out;
}

struct ModelData {
    std::vector<tp_node> nodes;
    tp_model model;
};

using PlanData = std::vector<uint64_t>; // a tp_plan in 8-byte aligned memory

inline const tp_plan *PlanOf(const PlanData &data) {
    return reinterpret_cast<const tp_plan *>(data.data());
}

void ReadModel(Napi::Env env, Napi::Value value, ModelData *out);
Napi::Object WriteModel(Napi::Env env, const tp_model &model);
tp_recipe ReadRecipe(Napi::Env env, Napi::Value value);
Napi::Object WriteRecipe(Napi::Env env, const tp_recipe &recipe);
// recipe null: inference only; options null: the smallest arena
PlanData MakePlan(Napi::Env env, Napi::Value model, Napi::Value recipe, const tp_plan_options *options = nullptr);
// Outputs of the frozen part of the model (tp_recall.cut) of the first samples: computed at the first visit, then remembered.
struct CutCache {
    uint8_t *values; // tp_cut.bytes a sample; null: no cache
    uint8_t *known;  // 1: they are there
    size_t samples;
};

CutCache ReadCutCache(Napi::Env env, Napi::Value value, const tp_plan &plan); // undefined: none
Napi::Object WritePlan(Napi::Env env, const tp_plan &plan);
const tp_kernels *ChooseKernels(Napi::Env env, Napi::Value name); // undefined: the environment's TP_ISA, or the best

} // namespace tinyprop

#endif // TINYPROP_BINDING_VIEW_H
