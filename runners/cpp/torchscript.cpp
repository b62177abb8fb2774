// A TorchScript file, called by keyword under inference mode, as eagerbench/backends/torchscript.py has it.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include "torch_arrays.hpp"

namespace {

class Runtime {
    torch::jit::Module module_;
    c10::IValue outputs_;

  public:
    static constexpr const char* name = "torchscript";

    using Native = torch::jit::Kwargs;

    static std::string version() { return torch_arrays::version(); }

    explicit Runtime(const runner::Config& config) {
        at::set_num_threads(config.threads());
        module_ = torch::jit::load(config.artifact(), c10::Device(c10::kCPU));
    }

    static Native prepare(const npy::Arrays& arrays) {
        Native native;
        for (const auto& [input, array] : arrays) native.emplace(input, torch_arrays::tensor_of(array));
        return native;
    }

    void call(Native& native) {
        const c10::InferenceMode guard;
        outputs_ = module_.forward({}, native);
    }

    npy::Arrays outputs() const {
        npy::Arrays found;
        if (outputs_.isTensor()) {
            found.emplace_back("output", torch_arrays::array_of(outputs_.toTensor()));
        } else if (outputs_.isGenericDict()) {
            for (const auto& entry : outputs_.toGenericDict())
                found.emplace_back(entry.key().toStringRef(), torch_arrays::array_of(entry.value().toTensor()));
        } else {
            for (const auto& value : outputs_.toTupleRef().elements())
                found.emplace_back("output_" + std::to_string(found.size()), torch_arrays::array_of(value.toTensor()));
        }
        return found;
    }

    static int threads() { return at::get_num_threads(); }

    // Parameters that freezing left, and the size of the graph that the executor ran last.
    std::string facts() const {
        const std::string graph = torch::jit::lastExecutedOptimizedGraph()->toString();
        std::size_t nodes = 0;
        for (auto at = graph.find(" = "); at != std::string::npos; at = graph.find(" = ", at + 1)) ++nodes;
        return "parameters_left=" + std::to_string(module_.parameters().size()) +
               "\tgraph_nodes=" + std::to_string(nodes) + "\n";
    }
};

}  // namespace

int main(int argc, char** argv) { return runner::run<Runtime>(argc, argv); }
