// A package of AOTInductor by its loader in C++, as eagerbench/backends/aot_inductor.py has it. Inputs go by position:
// runner.txt has them, and the outputs, in the order of the exported program.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include "torch_arrays.hpp"

namespace {

class Runtime {
    std::vector<std::string> inputs_, outputs_;
    std::unique_ptr<torch::inductor::AOTIModelPackageLoader> loader_;
    std::vector<at::Tensor> found_;

  public:
    static constexpr const char* name = "aot_inductor";

    using Native = std::vector<at::Tensor>;

    static std::string version() { return torch_arrays::version(); }

    explicit Runtime(const runner::Config& config) : inputs_(config.names("inputs")), outputs_(config.names("outputs")) {
        at::set_num_threads(config.threads());
        loader_ = std::make_unique<torch::inductor::AOTIModelPackageLoader>(config.artifact());
    }

    Native prepare(const npy::Arrays& arrays) const {
        Native native;
        for (const auto& input : inputs_) native.push_back(torch_arrays::tensor_of(npy::named(arrays, input)));
        return native;
    }

    void call(Native& native) {
        const c10::InferenceMode guard;
        found_ = loader_->run(native);
    }

    npy::Arrays outputs() const {
        if (found_.size() != outputs_.size())
            throw std::runtime_error(std::to_string(found_.size()) + " outputs where runner.txt names " +
                                     std::to_string(outputs_.size()));
        npy::Arrays named;
        for (std::size_t index = 0; index < found_.size(); ++index)
            named.emplace_back(outputs_[index], torch_arrays::array_of(found_[index]));
        return named;
    }

    static int threads() { return at::get_num_threads(); }

    std::string facts() { return "cpu_isa=" + loader_->get_metadata()["AOTI_CPU_ISA"] + "\n"; }
};

}  // namespace

int main(int argc, char** argv) { return runner::run<Runtime>(argc, argv); }
