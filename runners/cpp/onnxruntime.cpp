// An ONNX file on ONNX Runtime's CPU provider, as eagerbench/backends/onnx_session.py has it.
#include <onnxruntime_cxx_api.h>

#include "runner.hpp"

namespace {

struct Type {
    const char* npy;
    ONNXTensorElementDataType onnx;
};

constexpr Type TYPES[] = {
    {"f2", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16}, {"f4", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {"f8", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},  {"i1", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {"i2", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},   {"i4", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {"i8", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},   {"u1", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {"b1", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL}};

Ort::Value value_of(const npy::Array& array) {
    for (const auto& type : TYPES)
        if (array.type == type.npy) {
            Ort::AllocatorWithDefaultOptions allocator;
            auto value = Ort::Value::CreateTensor(allocator, array.shape.data(), array.shape.size(), type.onnx);
            std::memcpy(value.GetTensorMutableRawData(), array.bytes.data(), array.bytes.size());
            return value;
        }
    throw std::runtime_error("ONNX Runtime has no type " + array.type);
}

npy::Array array_of(const Ort::Value& value) {
    const auto info = value.GetTensorTypeAndShapeInfo();
    for (const auto& type : TYPES)
        if (info.GetElementType() == type.onnx) {
            npy::Array array{type.npy, info.GetShape(), {}};
            const auto* data = static_cast<const char*>(value.GetTensorRawData());
            array.bytes.assign(data, data + info.GetElementCount() * array.item());
            return array;
        }
    throw std::runtime_error("an output is of a type that .npy has not");
}

GraphOptimizationLevel level_of(const std::string& name) {
    if (name == "none") return ORT_DISABLE_ALL;
    if (name == "basic") return ORT_ENABLE_BASIC;
    return ORT_ENABLE_ALL;
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
    std::vector<const char*> found;
    for (const auto& name : names) found.push_back(name.c_str());
    return found;
}

class Runtime {
    int threads_;
    bool profiles_;
    Ort::Env env_{ORT_LOGGING_LEVEL_ERROR, "runner"};
    Ort::Session session_{nullptr};
    std::vector<std::string> input_names_, output_names_;
    std::vector<Ort::Value> found_;

  public:
    static constexpr const char* name = "onnxruntime";

    using Native = std::vector<Ort::Value>;

    static std::string version() { return OrtGetApiBase()->GetVersionString(); }

    explicit Runtime(const runner::Config& config)
        : threads_(config.threads()), profiles_(!config.text("profile").empty()) {
        Ort::SessionOptions options;
        options.SetIntraOpNumThreads(threads_);
        options.SetGraphOptimizationLevel(level_of(config.text("level", "all")));
        const char* policy = std::getenv("OMP_WAIT_POLICY");
        const char* spins = policy && std::string(policy) == "PASSIVE" ? "0" : "1";
        options.AddConfigEntry("session.intra_op.allow_spinning", spins);
        options.AddConfigEntry("session.inter_op.allow_spinning", spins);
        if (profiles_) options.EnableProfiling(config.text("profile").c_str());
        session_ = Ort::Session(env_, config.artifact().c_str(), options);
        Ort::AllocatorWithDefaultOptions allocator;
        for (std::size_t index = 0; index < session_.GetInputCount(); ++index)
            input_names_.emplace_back(session_.GetInputNameAllocated(index, allocator).get());
        for (std::size_t index = 0; index < session_.GetOutputCount(); ++index)
            output_names_.emplace_back(session_.GetOutputNameAllocated(index, allocator).get());
    }

    Native prepare(const npy::Arrays& arrays) const {
        Native native;
        for (const auto& input : input_names_) native.push_back(value_of(npy::named(arrays, input)));
        return native;
    }

    void call(Native& native) {
        const auto inputs = pointers(input_names_), outputs = pointers(output_names_);
        found_ = session_.Run(Ort::RunOptions{nullptr}, inputs.data(), native.data(), native.size(), outputs.data(),
                              outputs.size());
    }

    npy::Arrays outputs() const {
        npy::Arrays named;
        for (std::size_t index = 0; index < found_.size(); ++index)
            named.emplace_back(output_names_[index], array_of(found_[index]));
        return named;
    }

    int threads() const { return threads_; }

    // The file of the profile, which ends.
    std::string facts() {
        Ort::AllocatorWithDefaultOptions allocator;
        return profiles_ ? "profile=" + std::string(session_.EndProfilingAllocated(allocator).get()) + "\n" : "\n";
    }
};

}  // namespace

int main(int argc, char** argv) { return runner::run<Runtime>(argc, argv); }
