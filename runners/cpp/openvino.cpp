// An OpenVINO model on the CPU, as eagerbench/backends/openvino_runtime.py has it: latency hint, one stream.
#include <openvino/openvino.hpp>

#include "runner.hpp"

namespace {

struct Type {
    const char* npy;
    ov::element::Type_t openvino;
};

constexpr Type TYPES[] = {{"f2", ov::element::f16}, {"f4", ov::element::f32}, {"f8", ov::element::f64},
                          {"i1", ov::element::i8},  {"i2", ov::element::i16}, {"i4", ov::element::i32},
                          {"i8", ov::element::i64}, {"u1", ov::element::u8},  {"b1", ov::element::boolean}};

ov::Tensor tensor_of(const npy::Array& array) {
    for (const auto& type : TYPES)
        if (array.type == type.npy) {
            ov::Tensor tensor(type.openvino, ov::Shape(array.shape.begin(), array.shape.end()));
            std::memcpy(tensor.data(), array.bytes.data(), array.bytes.size());
            return tensor;
        }
    throw std::runtime_error("OpenVINO has no type " + array.type);
}

npy::Array array_of(const ov::Tensor& tensor) {
    for (const auto& type : TYPES)
        if (tensor.get_element_type() == type.openvino) {
            const auto* data = static_cast<const char*>(tensor.data());
            const auto shape = tensor.get_shape();
            return {type.npy, {shape.begin(), shape.end()}, {data, data + tensor.get_byte_size()}};
        }
    throw std::runtime_error("an output is of type " + tensor.get_element_type().get_type_name());
}

// One key=value of a line: tabs and line ends stand between them.
std::string plain(std::string text) {
    for (auto& letter : text)
        if (letter == '\t' || letter == '\n') letter = ' ';
    return text;
}

class Runtime {
    ov::Core core_;
    ov::CompiledModel compiled_;
    ov::InferRequest request_;

  public:
    static constexpr const char* name = "openvino";

    using Native = std::vector<std::pair<ov::Output<const ov::Node>, ov::Tensor>>;

    static std::string version() { return ov::get_openvino_version().buildNumber; }

    explicit Runtime(const runner::Config& config) {
        compiled_ = core_.compile_model(
            core_.read_model(config.artifact()), "CPU",
            ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY), ov::num_streams(1),
            ov::inference_num_threads(config.threads()),
            ov::hint::inference_precision(ov::element::Type(config.text("precision", "f32"))));
        request_ = compiled_.create_infer_request();
    }

    Native prepare(const npy::Arrays& arrays) const {
        Native native;
        for (const auto& port : compiled_.inputs())
            native.emplace_back(port, tensor_of(npy::named(arrays, port.get_any_name())));
        return native;
    }

    void call(Native& native) {
        for (const auto& [port, tensor] : native) request_.set_tensor(port, tensor);
        request_.infer();
    }

    npy::Arrays outputs() {
        npy::Arrays found;
        for (const auto& port : compiled_.outputs())
            found.emplace_back(port.get_any_name(), array_of(request_.get_tensor(port)));
        return found;
    }

    int threads() const { return compiled_.get_property(ov::inference_num_threads); }

    // The precision and whether bf16 is native, then a line for each node of the compiled model.
    std::string facts() {
        std::string native = "0";
        for (const auto& found : core_.get_property("CPU", ov::device::capabilities))
            if (found == "BF16") native = "1";
        std::string said = "precision=" + compiled_.get_property(ov::hint::inference_precision).get_type_name() +
                           "\tnative_bf16=" + native + "\n";
        for (const auto& node : compiled_.get_runtime_model()->get_ops()) {
            for (const auto& [key, value] : node->get_rt_info())
                said += key + "=" + plain(value.as<std::string>()) + "\t";
            said += "\n";
        }
        return said;
    }
};

}  // namespace

int main(int argc, char** argv) { return runner::run<Runtime>(argc, argv); }
